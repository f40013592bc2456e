//! What sending and receiving can come to.

use crate::error::{Error, ErrorKind, Operation};
use std::fmt;

/// What [`Forked`](ErrorKind::Forked) means, and what to do.
const FORKED: &str = "this process was forked from the one that opened it";
const OPEN_ONE: &str = "open one in this process";
const NAME_LOST: &str = "its name was removed, by rm or by a log-out (RemoveIPC): nobody new finds \
                         it, and those who have it open go on";
const CREATE_AGAIN: &str = "close it and create it again";

/// Why an endpoint cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "some systems have no fork, and keep names")]
pub(crate) enum Fault {
    /// This process was forked from the one that made the endpoint.
    Forked,
    /// Somebody removed the name of the owner. Told once.
    NameLost,
}

impl Fault {
    /// As the error of a call that is not a message's.
    pub fn error(self, operation: Operation, name: &dyn fmt::Display) -> Error {
        let (kind, meaning, advice) = match self {
            Fault::Forked => (ErrorKind::Forked, FORKED, OPEN_ONE),
            Fault::NameLost => (ErrorKind::NameLost, NAME_LOST, CREATE_AGAIN),
        };
        Error::new(kind, operation, name, meaning).with_advice(advice)
    }
}

/// How the other side went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// In good order: it was dropped.
    Closed,
    /// Its process ended without that.
    Died,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DisconnectReason::Closed => "closed",
            DisconnectReason::Died => "died",
        })
    }
}

/// Why a message was not sent.
#[non_exhaustive]
#[derive(Debug)]
pub enum SendError {
    /// There is no room for it now.
    Full,
    /// There was no room for it in all the time.
    Timeout,
    /// Nobody will receive it.
    Disconnected(DisconnectReason),
    /// It is longer than the creator lets messages be.
    TooLong {
        /// Its bytes.
        len: usize,
        /// Those of the longest message.
        max: usize,
    },
    /// This process was forked from the one that opened the endpoint, which alone may use it.
    Forked,
    /// Somebody removed the name of the endpoint, for example `rm` or a log-out with `RemoveIPC`
    /// (Linux). Nobody new can open it, and those who have it open go on. It is told once, by a
    /// call that did nothing else; the next calls work.
    NameLost,
    /// The system refused something.
    System(Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Full => f.write_str("there is no room for the message now"),
            SendError::Timeout => f.write_str("there was no room for the message in time"),
            SendError::Disconnected(how) => write!(f, "the receiving side has {how}"),
            SendError::TooLong { len, max } => write!(
                f,
                "a message of {len} bytes is longer than the {max} bytes that its receiver allows"
            ),
            SendError::Forked => write!(f, "{FORKED}; {OPEN_ONE}"),
            SendError::NameLost => write!(f, "{NAME_LOST}; {CREATE_AGAIN}"),
            SendError::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {}

impl From<Fault> for SendError {
    fn from(fault: Fault) -> SendError {
        match fault {
            Fault::Forked => SendError::Forked,
            Fault::NameLost => SendError::NameLost,
        }
    }
}

impl From<Error> for SendError {
    fn from(error: Error) -> SendError {
        SendError::System(error)
    }
}

/// Why a call has no response.
#[non_exhaustive]
#[derive(Debug)]
pub enum CallError {
    /// It is not there now.
    Empty,
    /// It did not come in all the time. The server may answer yet; that is not told.
    Timeout,
    /// As many calls are open as can be, and each is still held.
    Full,
    /// The server has gone before it answered. Whether it did what was asked is not known.
    Disconnected(DisconnectReason),
    /// The server dropped the request without an answer.
    Unanswered,
    /// The request is longer than the server lets messages be.
    TooLong {
        /// Its bytes.
        len: usize,
        /// Those of the longest message.
        max: usize,
    },
    /// What stands there was written by no server of this crate, or is no value of the type.
    Corrupt,
    /// This process was forked from the one that opened the endpoint, which alone may use it.
    Forked,
    /// The system refused something.
    System(Error),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Empty => f.write_str("there is no response now"),
            CallError::Timeout => f.write_str("there was no response in time"),
            CallError::Full => f.write_str("as many calls are open as there can be"),
            CallError::Disconnected(how) => write!(f, "the server has {how} and did not answer"),
            CallError::Unanswered => f.write_str("the server dropped the request"),
            CallError::TooLong { len, max } => write!(
                f,
                "a request of {len} bytes is longer than the {max} bytes that the server allows"
            ),
            CallError::Corrupt => f.write_str("the response is none"),
            CallError::Forked => write!(f, "{FORKED}; {OPEN_ONE}"),
            CallError::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

impl From<Error> for CallError {
    fn from(error: Error) -> CallError {
        CallError::System(error)
    }
}

/// Why there is no message.
#[non_exhaustive]
#[derive(Debug)]
pub enum RecvError {
    /// None is there now.
    Empty,
    /// None came in all the time.
    Timeout,
    /// So many messages were not received: they were overwritten, or left out with those to
    /// go on at a safe distance. The next call goes on behind them.
    Lagged(u64),
    /// Everything that was sent was received, and nobody is left who would send more.
    Disconnected(DisconnectReason),
    /// The value changed faster than it could be read, each time; see
    /// [`Reader::get`](crate::Reader::get).
    Busy,
    /// What stands there was written by no sender of this crate. The next call goes on
    /// without that sender, if there are others.
    Corrupt,
    /// This process was forked from the one that opened the endpoint, which alone may use it.
    Forked,
    /// Somebody removed the name of the endpoint, for example `rm` or a log-out with `RemoveIPC`
    /// (Linux). Nobody new can open it, and those who have it open go on. It is told once, by a
    /// call that did nothing else; the next calls work.
    NameLost,
    /// The system refused something.
    System(Error),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Empty => f.write_str("there is no message now"),
            RecvError::Timeout => f.write_str("there was no message in time"),
            RecvError::Lagged(1) => f.write_str("1 message was missed"),
            RecvError::Lagged(n) => write!(f, "{n} messages were missed"),
            RecvError::Disconnected(how) => write!(f, "the sending side has {how}"),
            RecvError::Busy => f.write_str("the value changed each time that it was read"),
            RecvError::Corrupt => f.write_str("a sender wrote what is no message"),
            RecvError::Forked => write!(f, "{FORKED}; {OPEN_ONE}"),
            RecvError::NameLost => write!(f, "{NAME_LOST}; {CREATE_AGAIN}"),
            RecvError::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RecvError {}

impl From<Fault> for RecvError {
    fn from(fault: Fault) -> RecvError {
        match fault {
            Fault::Forked => RecvError::Forked,
            Fault::NameLost => RecvError::NameLost,
        }
    }
}

impl From<Error> for RecvError {
    fn from(error: Error) -> RecvError {
        RecvError::System(error)
    }
}
