//! The one error of set-up work: what was asked, on what, what the system said,
//! what that means here, and what to do about it.

pub(crate) mod channel;

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;

/// What every fallible call of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, for programs that must decide.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The name breaks a rule; the system was not asked.
    InvalidName,
    /// An argument other than the name makes no sense; the system was not asked
    /// or said so.
    InvalidArgument,
    /// No process holds anything of this name, or no such file or process exists.
    NotFound,
    /// The name is taken by a living object of the same kind.
    AlreadyExists,
    /// The name is held by something of another kind: an event where a section is
    /// wanted, a symbolic link, a FIFO.
    WrongKind,
    /// The object exists, and its owner does not let this account in.
    AccessDenied,
    /// The object belongs to somebody from whom it is not accepted, or whose
    /// leftovers only they can remove.
    WrongOwner,
    /// The account lacks a privilege that the system demands for this call.
    PrivilegeMissing,
    /// More access was asked for than the section was opened with.
    ReadOnly,
    /// The range reaches beyond the section, or the section is smaller than asked.
    OutOfBounds,
    /// The range lies in a reserved part of the section that nobody committed.
    NotCommitted,
    /// Memory, commit limit or disk are exhausted.
    NoSpace,
    /// The name is being created, closed or judged by somebody who does not finish.
    Busy,
    /// It has another version of the format in shared memory; both are in the message.
    WrongVersion,
    /// Its messages are of another type, or of none; the first difference is in the
    /// message.
    WrongType,
    /// What stands in shared memory was not written by this crate, or was damaged.
    Corrupt,
    /// This process was forked from the process that made the endpoint, which alone may use it.
    Forked,
    /// Somebody removed the name, or that of one of its parts, while its owner is alive: nobody can
    /// open it any more.
    NameLost,
    /// This system cannot do it.
    Unsupported,
    /// The system refused for a reason that has no kind of its own; see
    /// [`Error::code`].
    System,
}

/// What was being done when an [`Error`] arose.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A name was checked.
    Name,
    /// An [`Access`](crate::Access) was read, or an [`Owner`](crate::Owner) looked up.
    Access,
    /// An object was created.
    Create,
    /// An object was opened.
    Open,
    /// A view was mapped.
    Map,
    /// Bytes were copied out, or a cell was asked for.
    Read,
    /// Bytes were copied in.
    Write,
    /// Reserved memory was committed.
    Commit,
    /// Pages were faulted in ahead of use.
    Prefault,
    /// Changes were written to the file behind the section.
    Flush,
    /// An event was set or reset.
    Signal,
    /// An event or a process was waited for.
    Wait,
    /// A mutex was taken.
    Lock,
    /// A process was identified or watched.
    Watch,
    /// Facts about an object were asked for.
    Inspect,
    /// The objects in reach were listed, or dead ones removed.
    List,
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
        }
    }
}

/// As a verb: `create`, `wait for`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

/// Why a call failed: the operation, the name it was about, the system's code,
/// the most likely meaning at this place, and what to do.
///
/// It prints as one line. [`kind`](Error::kind) is for programs.
///
/// ```
/// let error = shmkit::Name::new("global\\Prices").unwrap_err();
/// assert_eq!(error.kind(), shmkit::ErrorKind::InvalidName);
/// assert!(error.to_string().contains("Global\\"));
/// ```
pub struct Error(Box<Facts>);

struct Facts {
    kind: ErrorKind,
    operation: Operation,
    subject: String,
    code: Option<i32>,
    meaning: Cow<'static, str>,
    advice: Cow<'static, str>,
}

impl Error {
    /// The same, for another one who asked.
    pub(crate) fn again(&self) -> Error {
        Error(Box::new(Facts {
            kind: self.0.kind,
            operation: self.0.operation,
            subject: self.0.subject.clone(),
            code: self.0.code,
            meaning: self.0.meaning.clone(),
            advice: self.0.advice.clone(),
        }))
    }

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
            code: None,
            meaning: on_one_line(meaning.into()),
            advice: Cow::Borrowed(""),
        }))
    }

    pub(crate) fn with_code(mut self, code: i32) -> Error {
        self.0.code = Some(code);
        self
    }

    pub(crate) fn with_advice(mut self, advice: impl Into<Cow<'static, str>>) -> Error {
        self.0.advice = on_one_line(advice.into());
        self
    }

    /// What went wrong, for programs that must decide.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// The name or path it was about, as the caller wrote it; empty where there
    /// is none.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The system's own code (`GetLastError`, `errno`), where the system was asked.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.0.code
    }

    /// What the failure most probably means at this place.
    #[must_use]
    pub fn meaning(&self) -> &str {
        &self.0.meaning
    }

    /// What to do about it; empty where nothing general can be said.
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
        if let Some(code) = facts.code {
            let system = std::io::Error::from_raw_os_error(code);
            write!(f, " [{system}]")?;
        }
        if !facts.advice.is_empty() {
            write!(f, "; {}", facts.advice)?;
        }
        Ok(())
    }
}

/// Names and paths may hold control characters, which must reach no terminal.
fn on_one_line(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.contains(char::is_control) {
        Cow::Owned(Verbatim(&text).to_string())
    } else {
        text
    }
}

/// A text without control characters, and unlike `Debug` without doubled
/// backslashes, which a Windows user would take for a different name.
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

/// As it prints, with its kind: this is what a `main` that returns it shows.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Error {
        match never {}
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        use std::io::ErrorKind as Io;
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
            ErrorKind::Busy => Io::WouldBlock,
            ErrorKind::Unsupported => Io::Unsupported,
            ErrorKind::Corrupt | ErrorKind::WrongVersion | ErrorKind::WrongType => Io::InvalidData,
            ErrorKind::WrongKind
            | ErrorKind::NotCommitted
            | ErrorKind::Forked
            | ErrorKind::NameLost
            | ErrorKind::System => Io::Other,
        };
        std::io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_one_line_with_everything() {
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
    fn a_name_cannot_smuggle_control_characters_into_the_message() {
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
    fn becomes_an_io_error_of_the_same_kind() {
        let error = Error::new(ErrorKind::AlreadyExists, Operation::Create, &"x", "taken");
        let io = std::io::Error::from(error);
        assert_eq!(io.kind(), std::io::ErrorKind::AlreadyExists);
    }
}
