//! The errors of the calls that move data: send, receive, call, get and set.

use crate::error::publisher_id::PublisherId;
use crate::error::{Error, ErrorKind, Operation};
use std::fmt;

/// The meaning of [`ErrorKind::Forked`].
const FORKED: &str = "this process was forked from the process that opened the endpoint";
/// The advice for [`ErrorKind::Forked`].
const OPEN_ONE: &str = "open an endpoint in this process";
/// The meaning of [`ErrorKind::NameLost`].
const NAME_LOST: &str = "its name was removed, by rm or by a log-out (RemoveIPC): no other process \
                         can open it any more, and processes that have it open continue";
/// The advice for [`ErrorKind::NameLost`].
const CREATE_AGAIN: &str = "close it and create it again";

/// The reason why an endpoint cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "some systems have no fork, and keep names")]
pub(crate) enum Fault {
    /// This process was forked from the one that made the endpoint.
    Forked,
    /// The name of the owner was removed. This fault is reported once.
    NameLost,
}

impl Fault {
    /// Returns the fault as the error of a call that neither sends nor receives.
    pub fn error(self, operation: Operation, name: &dyn fmt::Display) -> Error {
        let (kind, meaning, advice) = match self {
            Fault::Forked => (ErrorKind::Forked, FORKED, OPEN_ONE),
            Fault::NameLost => (ErrorKind::NameLost, NAME_LOST, CREATE_AGAIN),
        };
        Error::new(kind, operation, name, meaning).with_advice(advice)
    }
}

/// Why the peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The peer closed in good order: its endpoint was dropped.
    Closed,
    /// The peer's process ended, or was killed, before the endpoint was dropped.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// There is no room for the message now, and the call does not wait.
    Full,
    /// There was no room for the message until the deadline.
    Timeout,
    /// No process will receive the message: the receiver is gone, for this reason.
    Disconnected(DisconnectReason),
    /// The message is longer than the creator of the name allows.
    TooLong {
        /// The length of the message, in bytes.
        len: usize,
        /// The length of the longest message that the creator allows, in bytes.
        max: usize,
    },
    /// The message has a source number, and the sender was opened without a source key.
    NoSource,
    /// This process was forked from the process that opened the endpoint. Only that process may use
    /// the endpoint.
    Forked,
    /// The name of the endpoint was removed, for example by `rm` or by a log-out with `RemoveIPC`
    /// (Linux). No other process can open the name any more; processes that have it open continue.
    /// The call that returns this error did nothing else. The error is returned once, and the next
    /// calls work.
    NameLost,
    /// The system refused an operation.
    System(Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Full => f.write_str("there is no space for the message now"),
            SendError::Timeout => f.write_str("there was no space for the message in time"),
            SendError::Disconnected(how) => write!(f, "the receiving side has {how}"),
            SendError::TooLong { len, max } => write!(
                f,
                "a message of {len} bytes is longer than the {max} bytes that its receiver allows"
            ),
            SendError::NoSource => f.write_str(
                "the sender was opened without a source key; set one with SenderOptions::source",
            ),
            SendError::Forked => write!(f, "{FORKED}; {OPEN_ONE}"),
            SendError::NameLost => write!(f, "{NAME_LOST}; {CREATE_AGAIN}"),
            SendError::System(error) => error.fmt(f),
        }
    }
}

/// Why a call has no response.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// There is no response now, and the call does not wait.
    Empty,
    /// There was no response until the deadline. The server may still answer.
    Timeout,
    /// There is no place for another call. Either the program still holds a [`Call`](crate::Call)
    /// for each place, or each place is in use now and this call does not wait.
    Full,
    /// The server closed or died before it answered. The server may or may not have done the work.
    Disconnected(DisconnectReason),
    /// The server dropped the request without an answer.
    Unanswered,
    /// The request is longer than the server allows.
    TooLong {
        /// The length of the request, in bytes.
        len: usize,
        /// The length of the longest request that the server allows, in bytes.
        max: usize,
    },
    /// The response was not written by a server of this crate, or is not a value of the type.
    Corrupt,
    /// This process was forked from the process that opened the endpoint. Only that process may use
    /// the endpoint.
    Forked,
    /// The system refused an operation.
    System(Error),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Empty => f.write_str("there is no response now"),
            CallError::Timeout => f.write_str("there was no response in time"),
            CallError::Full => f.write_str("all calls that can be open are open"),
            CallError::Disconnected(how) => write!(f, "the server has {how} and did not answer"),
            CallError::Unanswered => f.write_str("the server dropped the request"),
            CallError::TooLong { len, max } => write!(
                f,
                "a request of {len} bytes is longer than the {max} bytes that the server allows"
            ),
            CallError::Corrupt => f.write_str("the response is invalid"),
            CallError::Forked => write!(f, "{FORKED}; {OPEN_ONE}"),
            CallError::System(error) => error.fmt(f),
        }
    }
}

/// Why there is no message.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// There is no message now, or no value that changed, and the call does not wait.
    Empty,
    /// There was no message, or no value that changed, until the deadline.
    Timeout,
    /// The subscriber missed this number of messages. The publisher overwrote them, or the
    /// subscriber skipped them to continue at a safe distance from the publisher. The next call
    /// continues behind the missed messages.
    Lagged(u64),
    /// Every message was received, and no process is left that would send more, for this reason.
    Disconnected(DisconnectReason),
    /// A publisher of a topic of several publishers is gone, and every message that it sent was
    /// received or missed. The next call continues with the other publishers.
    PublisherGone {
        /// The publisher that is gone.
        publisher: PublisherId,
        /// How it ended.
        reason: DisconnectReason,
    },
    /// A message was not written by a sender of this crate, or is not a value of the type. The next
    /// call continues without the sender of a damaged record, if there are other senders.
    Corrupt,
    /// This process was forked from the process that opened the endpoint. Only that process may use
    /// the endpoint.
    Forked,
    /// The name of the endpoint was removed, for example by `rm` or by a log-out with `RemoveIPC`
    /// (Linux). No other process can open the name any more; processes that have it open continue.
    /// The call that returns this error did nothing else. The error is returned once, and the next
    /// calls work.
    NameLost,
    /// The system refused an operation.
    System(Error),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Empty => f.write_str("there is nothing to receive now"),
            RecvError::Timeout => f.write_str("there was nothing to receive in time"),
            RecvError::Lagged(1) => f.write_str("1 message was missed"),
            RecvError::Lagged(n) => write!(f, "{n} messages were missed"),
            RecvError::Disconnected(how) => write!(f, "the sending side has {how}"),
            RecvError::PublisherGone { publisher, reason } => {
                write!(f, "{publisher} has {reason}; the others continue")
            }
            RecvError::Corrupt => f.write_str("a sender wrote an invalid message"),
            RecvError::Forked => write!(f, "{FORKED}; {OPEN_ONE}"),
            RecvError::NameLost => write!(f, "{NAME_LOST}; {CREATE_AGAIN}"),
            RecvError::System(error) => error.fmt(f),
        }
    }
}

/// Why a value was not read.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetError {
    /// The value was not set yet.
    NotSet,
    /// The value changed during each attempt to read it, see [`Reader::get`](crate::Reader::get); or
    /// no guard is free, see [`Reader::get_ref`](crate::Reader::get_ref).
    Busy,
    /// The value was not written by a writer of this crate, or is not a value of the type.
    Corrupt,
    /// This process was forked from the process that opened the reader. Only that process may use
    /// the reader.
    Forked,
    /// The reader cannot join the next writer.
    System(Error),
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::NotSet => f.write_str("the value was not set yet"),
            GetError::Busy => {
                f.write_str("the value changed each time that it was read, or no guard is free")
            }
            GetError::Corrupt => f.write_str("the writer wrote an invalid value"),
            GetError::Forked => write!(f, "{FORKED}; {OPEN_ONE}"),
            GetError::System(error) => error.fmt(f),
        }
    }
}

/// Why a value was not set.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// The value is longer than the writer was created for.
    TooLong {
        /// The length of the value, in bytes.
        len: usize,
        /// The length of the longest value, in bytes.
        max: usize,
    },
    /// This process was forked from the process that created the writer. Only that process may use
    /// the writer.
    Forked,
    /// The name of the values was removed, for example by `rm` or by a log-out with `RemoveIPC`
    /// (Linux). No other process can open the name any more; processes that have it open continue.
    /// The call that returns this error did nothing else. The error is returned once, and the next
    /// calls work.
    NameLost,
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::TooLong { len, max } => write!(
                f,
                "a value of {len} bytes is longer than the {max} bytes that the writer allows"
            ),
            SetError::Forked => write!(f, "{FORKED}; {OPEN_ONE}"),
            SetError::NameLost => write!(f, "{NAME_LOST}; {CREATE_AGAIN}"),
        }
    }
}

/// Implements the conversion of a refusal of the system.
macro_rules! from_error {
    ($($error:ident)*) => {$(
        impl From<Error> for $error {
            fn from(error: Error) -> $error {
                $error::System(error)
            }
        }
    )*};
}

/// Implements the conversion of a fault, for endpoints that may own a name.
macro_rules! from_fault {
    ($($error:ident)*) => {$(
        impl From<Fault> for $error {
            fn from(fault: Fault) -> $error {
                match fault {
                    Fault::Forked => $error::Forked,
                    Fault::NameLost => $error::NameLost,
                }
            }
        }
    )*};
}

from_error!(SendError RecvError CallError GetError);
from_fault!(SendError RecvError SetError);
