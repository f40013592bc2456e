//! Names of kernel objects, in the form of Windows, and the checks that refuse a name before the
//! system is asked.

use crate::error::{Error, ErrorKind, Operation, Result};
use std::fmt;

/// The programs that can find a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `Local\X`, or bare `X`: the programs of this logon session (Windows), or of this user
    /// (Linux).
    Session,
    /// `Global\X`: the programs of every session and every user of the machine.
    Global,
}

/// Prints the prefix without the backslash: `Local` or `Global`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Session => "Local",
            Scope::Global => "Global",
        })
    }
}

/// A checked name of a section. The library uses the name verbatim.
///
/// | written | means |
/// |---|---|
/// | `X`, `Local\X` | `X` in the session ([`Scope::Session`]) |
/// | `Global\X` | `X` for the whole machine ([`Scope::Global`]) |
/// | `/X` (Linux) | the POSIX shared memory object `/X` that another program made |
///
/// `X` may contain every character except a backslash and NUL: spaces, slashes, `$pcars2$`, emoji.
/// Names are case-sensitive. The whole name has at most [`Name::MAX_UTF16`] UTF-16 units. This is
/// the limit of events and mutexes, so a name that is valid for a section is also valid for an
/// event and a mutex.
///
/// Every function that takes a name also takes a `&str`.
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
/// On Windows, a bare `X` and `Global\X` are the same name for a service (session 0). Creating a
/// section in `Global\` from any other session needs the privilege `SeCreateGlobalPrivilege`. On
/// Linux, the name becomes a file in `/dev/shm`, or in the folder that the variable `SHMKIT_DIR`
/// names (see [`inspect::folder`](crate::inspect::folder)): `shmkit.global.X` or
/// `shmkit.local.UID.X`, with `/` and `%` percent-encoded.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name {
    text: Box<str>,
    scope: Scope,
    base_at: usize,
}

impl Name {
    /// The length of the longest name in UTF-16 units, the prefix included: `MAX_PATH` less the
    /// final NUL. ("lpName: The name is limited to MAX_PATH characters", CreateMutexW,
    /// CreateEventW.)
    pub const MAX_UTF16: usize = 259;

    /// Checks a name. The system is not asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidName`], with the broken rule, if the name is empty or too long, contains
    /// a NUL or a backslash other than the backslash of the prefix, has a prefix in the wrong case,
    /// or has nothing after the prefix.
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
            return refuse("a name cannot contain a NUL".into(), "remove the NUL");
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
                "there is no name after the prefix".into(),
                "write the name after the prefix",
            );
        }
        if base.contains('\\') {
            return refuse(
                "a name contains at most one backslash, that of Local\\ or Global\\".into(),
                "use another character, such as '.' or '/'",
            );
        }

        Ok(Name {
            text: text.into(),
            scope,
            base_at,
        })
    }

    /// Checks a name from a caller, which is a [`Name`] or a text.
    pub(crate) fn checked(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Name> {
        name.try_into().map_err(Into::into)
    }

    /// Returns the whole name as the caller wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the name without `Local\` or `Global\`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.text[self.base_at..]
    }

    /// Returns which programs can find the name.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns whether the caller wrote the name without a prefix.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.base_at == 0
    }
}

/// Returns the error for a wrong prefix. Windows interprets the text before a backslash as a
/// directory and returns ERROR_PATH_NOT_FOUND, which does not name the cause. "These keywords are
/// case sensitive" (Kernel object namespaces).
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
    fn unusual_valid_names_are_used_verbatim() {
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
    fn invalid_names_are_refused_with_the_reason() {
        assert!(reason("").contains("empty"));
        assert!(reason("a\0b").contains("NUL"));
        assert!(reason("global\\X").contains("Global\\"));
        assert!(reason("GLOBAL\\X").contains("case"));
        assert!(reason("local\\X").contains("Local\\"));
        assert!(reason("Global\\").contains("after the prefix"));
        assert!(reason("Local\\").contains("after the prefix"));
        assert!(reason("a\\b").contains("backslash"));
        assert!(reason("Global\\a\\b").contains("backslash"));
        assert!(reason("\\BaseNamedObjects\\X").contains("path"));
        assert!(reason("Session\\1\\X").contains("reserved"));
    }

    #[test]
    fn equal_names_have_equal_hashes() {
        let name = |text| Name::new(text).unwrap();
        let set = std::collections::HashSet::from([name("X"), name("Local\\X"), name("X")]);
        // A name is used as it is written.
        assert_eq!(set.len(), 2);
        assert!(set.contains(&name("X")) && !set.contains(&name("x")));
        assert_eq!(
            format!("{} {}", name("X"), name("Global\\X").scope()),
            "X Global"
        );
    }

    // layout: L014
    #[test]
    fn length_counts_utf16_units_with_the_prefix() {
        let longest = format!("Global\\{}", "x".repeat(Name::MAX_UTF16 - 7));
        assert!(Name::new(&longest).is_ok());
        assert!(reason(&format!("{longest}x")).contains("260"));
        assert!(Name::new(&"🦀".repeat(129)).is_ok());
        assert!(reason(&"🦀".repeat(130)).contains("260"));
    }
}
