//! The conversions of errors, so that one `?` serves a program: the error of a call that moves data
//! becomes an [`Error`], and each error becomes a [`std::io::Error`].

use crate::error::channel::{CallError, GetError, RecvError, SendError, SetError};
use crate::error::{Error, ErrorKind, Operation};
use std::io;

/// Returns the error of an operation without a name.
fn error(operation: Operation, kind: ErrorKind, text: &impl ToString) -> Error {
    Error::new(kind, operation, &"", text.to_string())
}

impl From<SendError> for Error {
    /// Returns an error with the text of the [`SendError`], or the error of the system.
    fn from(from: SendError) -> Error {
        let kind = match &from {
            SendError::System(error) => return error.clone(),
            SendError::Full => ErrorKind::WouldBlock,
            SendError::Timeout => ErrorKind::Timeout,
            SendError::Disconnected(_) => ErrorKind::Disconnected,
            SendError::TooLong { .. } | SendError::NoSource => ErrorKind::InvalidArgument,
            SendError::Forked => ErrorKind::Forked,
            SendError::NameLost => ErrorKind::NameLost,
        };
        error(Operation::Send, kind, &from)
    }
}

impl From<RecvError> for Error {
    /// Returns an error with the text of the [`RecvError`], or the error of the system.
    fn from(from: RecvError) -> Error {
        let kind = match &from {
            RecvError::System(error) => return error.clone(),
            RecvError::Empty => ErrorKind::WouldBlock,
            RecvError::Timeout => ErrorKind::Timeout,
            RecvError::Lagged(_) => ErrorKind::Lagged,
            RecvError::Disconnected(_) | RecvError::PublisherGone { .. } => ErrorKind::Disconnected,
            RecvError::Corrupt => ErrorKind::Corrupt,
            RecvError::Forked => ErrorKind::Forked,
            RecvError::NameLost => ErrorKind::NameLost,
        };
        error(Operation::Receive, kind, &from)
    }
}

impl From<CallError> for Error {
    /// Returns an error with the text of the [`CallError`], or the error of the system.
    fn from(from: CallError) -> Error {
        let kind = match &from {
            CallError::System(error) => return error.clone(),
            CallError::Empty | CallError::Full => ErrorKind::WouldBlock,
            CallError::Timeout => ErrorKind::Timeout,
            CallError::Disconnected(_) | CallError::Unanswered => ErrorKind::Disconnected,
            CallError::TooLong { .. } => ErrorKind::InvalidArgument,
            CallError::Corrupt => ErrorKind::Corrupt,
            CallError::Forked => ErrorKind::Forked,
        };
        error(Operation::Call, kind, &from)
    }
}

impl From<GetError> for Error {
    /// Returns an error with the text of the [`GetError`], or the error of the system.
    fn from(from: GetError) -> Error {
        let kind = match &from {
            GetError::System(error) => return error.clone(),
            GetError::NotSet => ErrorKind::NotFound,
            GetError::Busy => ErrorKind::Busy,
            GetError::Corrupt => ErrorKind::Corrupt,
            GetError::Forked => ErrorKind::Forked,
        };
        error(Operation::Get, kind, &from)
    }
}

impl From<SetError> for Error {
    /// Returns an error with the text of the [`SetError`].
    fn from(from: SetError) -> Error {
        let kind = match &from {
            SetError::TooLong { .. } => ErrorKind::InvalidArgument,
            SetError::Forked => ErrorKind::Forked,
            SetError::NameLost => ErrorKind::NameLost,
        };
        error(Operation::Set, kind, &from)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        use io::ErrorKind as Io;
        let kind = match error.kind() {
            ErrorKind::InvalidName | ErrorKind::InvalidArgument | ErrorKind::OutOfBounds => {
                Io::InvalidInput
            }
            ErrorKind::NotFound => Io::NotFound,
            ErrorKind::AlreadyExists => Io::AlreadyExists,
            ErrorKind::AccessDenied
            | ErrorKind::WrongOwner
            | ErrorKind::PrivilegeMissing
            | ErrorKind::ReadOnly => Io::PermissionDenied,
            ErrorKind::NoSpace => Io::OutOfMemory,
            ErrorKind::Busy | ErrorKind::WouldBlock => Io::WouldBlock,
            ErrorKind::Timeout => Io::TimedOut,
            ErrorKind::Disconnected => Io::BrokenPipe,
            ErrorKind::Unsupported => Io::Unsupported,
            ErrorKind::Corrupt
            | ErrorKind::WrongVersion
            | ErrorKind::WrongType
            | ErrorKind::WrongOptions => Io::InvalidData,
            ErrorKind::WrongKind
            | ErrorKind::NotCommitted
            | ErrorKind::Forked
            | ErrorKind::Lagged
            | ErrorKind::NameLost
            | ErrorKind::System => Io::Other,
        };

        io::Error::new(kind, error)
    }
}

/// Implements the conversion into an I/O error, and the source of an error: the error of the system.
macro_rules! convert {
    ($($error:ident $($system:ident)?,)*) => {$(
        impl From<$error> for io::Error {
            fn from(error: $error) -> io::Error {
                Error::from(error).into()
            }
        }

        impl std::error::Error for $error {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self {
                    $($error::$system(error) => Some(error),)?
                    #[allow(unreachable_patterns, reason = "an error without a source")]
                    _ => None,
                }
            }
        }
    )*};
}

convert!(SendError System, RecvError System, CallError System, GetError System, SetError,);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::channel::DisconnectReason;
    use std::error::Error as _;

    /// One function with one `?` for each kind of call, as programs have it.
    fn fails<E>(with: E) -> Result<(), Error>
    where
        Error: From<E>,
    {
        Err(with)?
    }

    #[test]
    fn channel_errors_become_one_error() {
        let kind = |result: Result<(), Error>| result.unwrap_err().kind();
        let closed = DisconnectReason::Closed;
        assert_eq!(kind(fails(SendError::Full)), ErrorKind::WouldBlock);
        assert_eq!(kind(fails(RecvError::Empty)), ErrorKind::WouldBlock);
        assert_eq!(kind(fails(RecvError::Timeout)), ErrorKind::Timeout);
        assert_eq!(kind(fails(RecvError::Lagged(3))), ErrorKind::Lagged);
        assert_eq!(
            kind(fails(CallError::Disconnected(closed))),
            ErrorKind::Disconnected
        );
        assert_eq!(kind(fails(GetError::NotSet)), ErrorKind::NotFound);
        assert_eq!(
            kind(fails(SetError::TooLong { len: 2, max: 1 })),
            ErrorKind::InvalidArgument
        );
        let text = Error::from(RecvError::Disconnected(closed)).to_string();
        assert_eq!(text, "cannot receive: the sending side has closed");
    }

    #[test]
    fn channel_errors_become_io_errors() {
        let kind = |error: io::Error| error.kind();
        assert_eq!(kind(RecvError::Empty.into()), io::ErrorKind::WouldBlock);
        assert_eq!(kind(SendError::Timeout.into()), io::ErrorKind::TimedOut);
        let died = SendError::Disconnected(DisconnectReason::Died);
        let error = io::Error::from(died);
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(
            error.to_string(),
            "cannot send: the receiving side has died"
        );
    }

    #[test]
    fn errors_compare_and_have_sources() {
        let refused =
            |code| Error::new(ErrorKind::System, Operation::Wait, &"", "x").with_code(code);
        assert_eq!(RecvError::System(refused(5)), RecvError::System(refused(5)));
        assert_ne!(RecvError::System(refused(5)), RecvError::System(refused(6)));
        assert_ne!(RecvError::Empty, RecvError::Timeout);

        let error = SendError::System(refused(5));
        let source = error.source().unwrap();
        assert_eq!(source.to_string(), refused(5).to_string());
        let system = source.source().unwrap().downcast_ref::<io::Error>();
        assert_eq!(system.unwrap().raw_os_error(), Some(5));
        assert!(SendError::Full.source().is_none());
        assert_eq!(Error::from(error), refused(5));
    }
}
