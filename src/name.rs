//! Names of kernel objects, as Windows users write them, and what is refused
//! before the system is asked.

use crate::error::{Error, ErrorKind, Operation, Result};
use std::fmt;

/// Who can find a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `Local\X`, or bare `X`: the programs of this logon session on Windows, of
    /// this user on Linux.
    Session,
    /// `Global\X`: every session and every user of the machine.
    Global,
}

/// A checked name of a section, used verbatim.
///
/// | written | means |
/// |---|---|
/// | `X`, `Local\X` | `X` in the session ([`Scope::Session`]) |
/// | `Global\X` | `X` for the whole machine ([`Scope::Global`]) |
/// | `/X` (Linux) | the POSIX shared memory object `/X`, made by somebody else |
///
/// Everything but a backslash and NUL may stand in `X`: spaces, slashes,
/// `$pcars2$`, emoji. Names are case-sensitive. The whole name has at most
/// [`Name::MAX_UTF16`] UTF-16 units, the limit of events and mutexes, so that
/// an object beside a section can always be named too.
///
/// Wherever this crate wants a name it takes a `&str` as well.
///
/// ```
/// use shmkit::{Name, Scope};
///
/// let name = Name::new("Local\\MyFileMappingObject")?;
/// assert_eq!(name.scope(), Scope::Session);
/// assert_eq!(name.base(), "MyFileMappingObject");
/// assert!(Name::new("local\\MyFileMappingObject").is_err());
/// # Ok::<(), shmkit::Error>(())
/// ```
///
/// # Platform notes
///
/// On Windows a service (session 0) finds a bare `X` and `Global\X` in the same
/// place, and creating a section in `Global\` from any other session needs the
/// privilege `SeCreateGlobalPrivilege`. On Linux the name becomes a file in
/// `/dev/shm`: `shmkit.global.X`, or `shmkit.local.UID.X`, with
/// `/` and `%` percent-encoded.
#[derive(Clone)]
pub struct Name {
    text: Box<str>,
    scope: Scope,
    base_at: usize,
}

impl Name {
    /// The longest name, prefix included, in UTF-16 units: `MAX_PATH` less its
    /// final NUL. ("lpName: The name is limited to MAX_PATH characters",
    /// CreateMutexW, CreateEventW.)
    pub const MAX_UTF16: usize = 259;

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidName`], with the rule that was broken: empty, too
    /// long, a NUL, a backslash other than the one of the prefix, a prefix in
    /// the wrong case, a prefix with nothing behind it.
    // layout: L014 L015
    pub fn new(text: &str) -> Result<Name> {
        let refuse = |meaning: String, advice: &'static str| {
            Err(
                Error::new(ErrorKind::InvalidName, Operation::Name, &text, meaning)
                    .with_advice(advice),
            )
        };
        if text.is_empty() {
            return refuse("a name must not be empty".into(), "give the section a name");
        }
        if text.contains('\0') {
            return refuse("a name ends at a NUL".into(), "take the NUL out");
        }
        let units = text.encode_utf16().count();
        if units > Self::MAX_UTF16 {
            return refuse(
                format!(
                    "it has {units} UTF-16 units, and {} is the limit",
                    Self::MAX_UTF16
                ),
                "use a shorter name",
            );
        }
        let (scope, base_at) = match text.split_once('\\') {
            None => (Scope::Session, 0),
            Some(("Local", _)) => (Scope::Session, 6),
            Some(("Global", _)) => (Scope::Global, 7),
            Some((prefix, _)) => return refuse_prefix(text, prefix),
        };
        let base = &text[base_at..];
        if base.is_empty() {
            return refuse(
                "nothing stands behind the prefix".into(),
                "write the name behind it",
            );
        }
        if base.contains('\\') {
            return refuse(
                "only one backslash, that of Local\\ or Global\\, may stand in a name".into(),
                "use another character, such as '.' or '/'",
            );
        }
        Ok(Name {
            text: text.into(),
            scope,
            base_at,
        })
    }

    /// Checks what a caller gives for a name: a [`Name`], or a text.
    pub(crate) fn checked(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Name> {
        name.try_into().map_err(Into::into)
    }

    /// The whole name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name without `Local\` or `Global\`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.text[self.base_at..]
    }

    /// Who can find it.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether it was written without a prefix.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.base_at == 0
    }
}

/// Windows resolves what stands before a backslash as a directory, so these fail
/// there as ERROR_PATH_NOT_FOUND, which says nothing. "These keywords are case
/// sensitive" (Kernel object namespaces).
fn refuse_prefix(text: &str, prefix: &str) -> Result<Name> {
    let (meaning, advice) = if prefix.eq_ignore_ascii_case("Local") {
        ("the prefix is case-sensitive", "write Local\\")
    } else if prefix.eq_ignore_ascii_case("Global") {
        ("the prefix is case-sensitive", "write Global\\")
    } else if prefix.is_empty() {
        (
            "a name is not a path and does not begin with a backslash",
            "write Local\\X, Global\\X or X",
        )
    } else if prefix.eq_ignore_ascii_case("Session") {
        (
            "the prefix Session\\ is reserved for the system",
            "write Local\\X, Global\\X or X",
        )
    } else {
        (
            "a backslash may only follow Local or Global",
            "use another character, such as '.' or '/'",
        )
    };
    Err(Error::new(ErrorKind::InvalidName, Operation::Name, &text, meaning).with_advice(advice))
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.text)
    }
}

impl std::str::FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Name> {
        Name::new(text)
    }
}

impl TryFrom<&str> for Name {
    type Error = Error;

    fn try_from(text: &str) -> Result<Name> {
        Name::new(text)
    }
}

impl TryFrom<&String> for Name {
    type Error = Error;

    fn try_from(text: &String) -> Result<Name> {
        Name::new(text)
    }
}

impl TryFrom<String> for Name {
    type Error = Error;

    fn try_from(text: String) -> Result<Name> {
        Name::new(&text)
    }
}

impl From<&Name> for Name {
    fn from(name: &Name) -> Name {
        name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        let error = Name::new(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidName, "{text:?}");
        assert_eq!(error.code(), None, "the system must not be asked");
        assert!(!error.advice().is_empty());
        error.to_string()
    }

    // layout: L015
    #[test]
    fn prefixes_choose_the_scope() {
        for (text, scope, base) in [
            ("X", Scope::Session, "X"),
            ("Local\\X", Scope::Session, "X"),
            ("Global\\X", Scope::Global, "X"),
            ("Localhost", Scope::Session, "Localhost"),
        ] {
            let name = Name::new(text).unwrap();
            assert_eq!(
                (name.scope(), name.base(), name.as_str()),
                (scope, base, text)
            );
        }
    }

    #[test]
    fn odd_but_legal_names_are_used_verbatim() {
        for text in [
            "$pcars2$",
            "a b",
            "🦀",
            "/MumbleLink.1000",
            "a/b:*?\"<>|",
            "%2F",
            ".",
            "\u{1}",
        ] {
            assert_eq!(Name::new(text).unwrap().base(), text);
        }
    }

    // layout: L015
    #[test]
    fn wrong_forms_are_refused_with_the_reason() {
        assert!(reason("").contains("empty"));
        assert!(reason("a\0b").contains("NUL"));
        assert!(reason("global\\X").contains("Global\\"));
        assert!(reason("GLOBAL\\X").contains("case"));
        assert!(reason("local\\X").contains("Local\\"));
        assert!(reason("Global\\").contains("behind"));
        assert!(reason("Local\\").contains("behind"));
        assert!(reason("a\\b").contains("backslash"));
        assert!(reason("Global\\a\\b").contains("backslash"));
        assert!(reason("\\BaseNamedObjects\\X").contains("path"));
        assert!(reason("Session\\1\\X").contains("reserved"));
    }

    // layout: L014
    #[test]
    fn length_is_counted_in_utf16_units_with_the_prefix() {
        let longest = format!("Global\\{}", "x".repeat(Name::MAX_UTF16 - 7));
        assert!(Name::new(&longest).is_ok());
        assert!(reason(&format!("{longest}x")).contains("260"));
        assert!(Name::new(&"🦀".repeat(129)).is_ok());
        assert!(reason(&"🦀".repeat(130)).contains("260"));
    }
}
