//! The error of set-up calls. It contains the operation, the name, the system's code, the most
//! probable meaning of the code at this place, and what to do.

pub(crate) mod channel;
mod convert;
pub(crate) mod publisher_id;

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;

/// The result of a set-up call, whose error is an [`Error`].
///
/// Calls that send, receive, call, get or set have errors of their own:
/// [`SendError`](crate::SendError), [`RecvError`](crate::RecvError),
/// [`CallError`](crate::CallError), [`GetError`](crate::GetError) and
/// [`SetError`](crate::SetError). Each of them converts into an [`Error`] and into a
/// [`std::io::Error`], so one `?` serves a program:
///
/// ```
/// # let name = format!("Local\\shmkit-doc-result-{}", std::process::id());
/// # let name = name.as_str();
/// fn exchange(name: &str) -> shmkit::Result<Vec<u8>> {
///     let mut receiver = shmkit::Receiver::create(name)?;
///     shmkit::Sender::open(name)?.send(b"17 pieces")?;
///     Ok(receiver.recv()?.to_vec())
/// }
/// assert_eq!(exchange(name)?, b"17 pieces");
/// # Ok::<(), shmkit::Error>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an [`Error`], for programs that must decide what to do.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The name breaks a rule. The system was not asked.
    InvalidName,
    /// An argument other than the name is invalid. The library or the system refused it.
    InvalidArgument,
    /// No process holds an object of this name, or no such file or process exists.
    NotFound,
    /// The name is taken by a living object of the same kind.
    AlreadyExists,
    /// The name is taken by an object of another kind: an event in place of a section, a symbolic
    /// link, a FIFO.
    WrongKind,
    /// The object exists, and its access does not admit this account.
    AccessDenied,
    /// The object belongs to another user than the expected one, or to a user whose stale file only
    /// that user can remove.
    WrongOwner,
    /// The account lacks a privilege that the system demands for this call.
    PrivilegeMissing,
    /// The call needs more access than the section was opened with.
    ReadOnly,
    /// The range reaches beyond the section, or the section is smaller than requested.
    OutOfBounds,
    /// The range lies in a reserved part of the section that no process has committed.
    NotCommitted,
    /// The memory, the commit limit or the disk is exhausted.
    NoSpace,
    /// The object cannot be used for now: another process is creating or closing it and does not
    /// finish, all slots are taken, or another program does not share the file.
    Busy,
    /// The shared memory has another version of the format. The message contains both versions.
    WrongVersion,
    /// The messages have another type, or no type. The message contains the first difference.
    WrongType,
    /// The queue or topic has other options than those with which it was to be opened or created.
    /// The message contains the first difference.
    WrongOptions,
    /// The shared memory was not written by this crate, or was damaged.
    Corrupt,
    /// This process was forked from the process that made the endpoint. Only that process may use
    /// the endpoint.
    Forked,
    /// The name, or the name of one of its companions, was removed while the owner is alive. No
    /// process can open the name any more.
    NameLost,
    /// There was nothing to receive, no space or no response, and the call does not wait.
    WouldBlock,
    /// There was nothing to receive, no space or no response until the deadline.
    Timeout,
    /// The peer closed or died. The message says how.
    Disconnected,
    /// The subscriber missed messages. The message says how many.
    Lagged,
    /// This system does not support the operation.
    Unsupported,
    /// The system refused for a reason that has no kind of its own; see [`Error::code`].
    System,
}

/// Prints the kind in words: `not found`, `wrong type`.
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::InvalidName => "invalid name",
            ErrorKind::InvalidArgument => "invalid argument",
            ErrorKind::NotFound => "not found",
            ErrorKind::AlreadyExists => "already exists",
            ErrorKind::WrongKind => "wrong kind",
            ErrorKind::AccessDenied => "access denied",
            ErrorKind::WrongOwner => "wrong owner",
            ErrorKind::PrivilegeMissing => "privilege missing",
            ErrorKind::ReadOnly => "read-only",
            ErrorKind::OutOfBounds => "out of bounds",
            ErrorKind::NotCommitted => "not committed",
            ErrorKind::NoSpace => "no space",
            ErrorKind::Busy => "busy",
            ErrorKind::WrongVersion => "wrong version",
            ErrorKind::WrongType => "wrong type",
            ErrorKind::WrongOptions => "wrong options",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Forked => "forked",
            ErrorKind::NameLost => "name lost",
            ErrorKind::WouldBlock => "would block",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Disconnected => "disconnected",
            ErrorKind::Lagged => "lagged",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::System => "refused by the system",
        })
    }
}

/// The operation that failed with an [`Error`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Checking a name.
    Name,
    /// Parsing an [`Access`](crate::Access), or looking up an [`Owner`](crate::Owner).
    Access,
    /// Creating an object.
    Create,
    /// Opening an object.
    Open,
    /// Mapping a view.
    Map,
    /// Copying bytes out of a section, or taking a cell of it.
    Read,
    /// Copying bytes into a section.
    Write,
    /// Committing reserved memory.
    Commit,
    /// Faulting pages in before they are used.
    Prefault,
    /// Writing changes to the file behind the section.
    Flush,
    /// Setting or resetting an event.
    Signal,
    /// Waiting for an event, a process or several wait sources.
    Wait,
    /// Taking a mutex.
    Lock,
    /// Identifying or watching a process.
    Watch,
    /// Querying facts about an object.
    Inspect,
    /// Listing the objects that this account can see, or removing stale files.
    List,
    /// Sending a message.
    Send,
    /// Receiving a message, or waiting for a value that changes.
    Receive,
    /// Calling a server.
    Call,
    /// Reading a value.
    Get,
    /// Setting a value.
    Set,
}

impl Operation {
    const fn verb(self) -> &'static str {
        match self {
            Operation::Name => "use the name",
            Operation::Access => "use the access",
            Operation::Create => "create",
            Operation::Open => "open",
            Operation::Map => "map",
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Commit => "commit memory of",
            Operation::Prefault => "prefault",
            Operation::Flush => "flush",
            Operation::Signal => "signal",
            Operation::Wait => "wait for",
            Operation::Lock => "lock",
            Operation::Watch => "watch",
            Operation::Inspect => "inspect",
            Operation::List => "list",
            Operation::Send => "send",
            Operation::Receive => "receive",
            Operation::Call => "call",
            Operation::Get => "get",
            Operation::Set => "set",
        }
    }
}

/// Prints the operation as a verb: `create`, `wait for`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

/// The error of a set-up call: the operation, the name, the system's code, the most probable
/// meaning of the code at this place, and what to do.
///
/// The error prints as one line. [`kind`](Error::kind) is for programs.
///
/// ```
/// let error = shmkit::Name::new("global\\Prices").unwrap_err();
/// assert_eq!(error.kind(), shmkit::ErrorKind::InvalidName);
/// assert!(error.to_string().contains("Global\\"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Facts>);

#[derive(Clone, PartialEq, Eq)]
struct Facts {
    kind: ErrorKind,
    operation: Operation,
    subject: String,
    system: Option<SystemError>,
    meaning: Cow<'static, str>,
    advice: Cow<'static, str>,
}

impl Error {
    pub(crate) fn new(
        kind: ErrorKind,
        operation: Operation,
        subject: &dyn fmt::Display,
        meaning: impl Into<Cow<'static, str>>,
    ) -> Error {
        Error(Box::new(Facts {
            kind,
            operation,
            subject: subject.to_string(),
            system: None,
            meaning: on_one_line(meaning.into()),
            advice: Cow::Borrowed(""),
        }))
    }

    pub(crate) fn with_code(mut self, code: i32) -> Error {
        self.0.system = Some(SystemError::of(code));
        self
    }

    pub(crate) fn with_advice(mut self, advice: impl Into<Cow<'static, str>>) -> Error {
        self.0.advice = on_one_line(advice.into());
        self
    }

    /// Returns the kind of the error, for programs that must decide what to do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the operation that failed.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// Returns the name or path of the operation, as the caller wrote it. The text is empty for an
    /// operation without a name.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Returns the system's code (`GetLastError`, `errno`), or `None` if the system was not asked.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.0
            .system
            .as_ref()
            .and_then(|system| system.0.raw_os_error())
    }

    /// Returns the most probable meaning of the failure at this place.
    #[must_use]
    pub fn meaning(&self) -> &str {
        &self.0.meaning
    }

    /// Returns what to do about the failure. The text is empty if there is no general advice.
    #[must_use]
    pub fn advice(&self) -> &str {
        &self.0.advice
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &*self.0;
        write!(f, "cannot {}", facts.operation.verb())?;
        if !facts.subject.is_empty() {
            write!(f, " \"{}\"", Verbatim(&facts.subject))?;
        }
        write!(f, ": {}", facts.meaning)?;
        if let Some(SystemError(system)) = &facts.system {
            write!(f, " [{system}]")?;
        }
        if !facts.advice.is_empty() {
            write!(f, "; {}", facts.advice)?;
        }
        Ok(())
    }
}

/// Escapes the control characters of a text. A name or path may contain control characters, and
/// they must not reach a terminal.
fn on_one_line(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.contains(char::is_control) {
        Cow::Owned(Verbatim(&text).to_string())
    } else {
        text
    }
}

/// A text that prints with its control characters escaped. Unlike with `Debug`, backslashes are not
/// doubled: a Windows user would read a doubled backslash as another name.
struct Verbatim<'a>(&'a str);

impl fmt::Display for Verbatim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// Prints the kind and the text of the error. A `main` that returns the error prints this.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    /// Returns the error of the system as a [`std::io::Error`], if the system was asked.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let system = self.0.system.as_ref()?;
        Some(&system.0)
    }
}

/// The error of the system, by its code.
struct SystemError(std::io::Error);

impl SystemError {
    fn of(code: i32) -> SystemError {
        SystemError(std::io::Error::from_raw_os_error(code))
    }
}

impl Clone for SystemError {
    fn clone(&self) -> SystemError {
        SystemError::of(self.0.raw_os_error().unwrap_or_default())
    }
}

impl PartialEq for SystemError {
    fn eq(&self, other: &SystemError) -> bool {
        self.0.raw_os_error() == other.0.raw_os_error()
    }
}

impl Eq for SystemError {}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Error {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_displays_all_parts_on_one_line() {
        let error = Error::new(
            ErrorKind::NotFound,
            Operation::Open,
            &"Global\\Prices",
            "no process holds a section of this name",
        )
        .with_code(2)
        .with_advice("start the server first");
        let text = error.to_string();
        assert!(text.starts_with("cannot open \"Global\\Prices\": no process holds"));
        assert!(text.contains("(os error 2)"));
        assert!(text.ends_with("; start the server first"));
        assert!(!text.contains('\n'));
    }

    #[test]
    fn control_characters_of_a_name_are_escaped() {
        let name = "a\x1b[2J\nb";
        let error = Error::new(
            ErrorKind::NotFound,
            Operation::Open,
            &name,
            format!("no {name}"),
        )
        .with_advice(format!("make {name}"));
        assert!(!error.to_string().contains(char::is_control), "{error}");
        assert!(error.to_string().contains("no a\\u{1b}[2J\\nb"), "{error}");
    }

    #[test]
    fn io_error_has_the_matching_kind() {
        let error = Error::new(ErrorKind::AlreadyExists, Operation::Create, &"x", "taken");
        let io = std::io::Error::from(error);
        assert_eq!(io.kind(), std::io::ErrorKind::AlreadyExists);
    }
}
