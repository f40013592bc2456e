//! Who may use an object: what its creator grants, and whom its opener expects.

use crate::error::{Error, ErrorKind, Operation, Result};
use std::fmt;
use std::str::FromStr;

/// Who may do what with an object that is being created.
///
/// | preset | written | Windows | Linux |
/// |---|---|---|---|
/// | [`SameUser`](Access::SameUser), the default | `same-user` | owned by my SID, which may do everything | mode 0600 |
/// | [`UsersReadOnly`](Access::UsersReadOnly) | `users-read-only` | adds authenticated users | mode 0644 |
/// | [`InteractiveReadOnly`](Access::InteractiveReadOnly) | `interactive-read-only` | adds the system and administrators, for everything, and interactive users | mode 0644 |
/// | [`Sddl`](Access::Sddl) | `sddl:D:P(…)` | the entries that it has | refused |
///
/// What others get is the right to look: to read a section, to wait for an event,
/// and on Windows to take a mutex. There is no preset that lets everybody write,
/// and none without an access list.
///
/// ```
/// use shmkit::{Access, Section};
///
/// # let name = format!("Local\\shmkit-doc-access-{}", std::process::id());
/// # let name = name.as_str();
/// // A service publishes, the programs of all users read.
/// let section = Section::options()
///     .access(Access::UsersReadOnly)
///     .create_new(name, 4096)?;
/// assert_eq!("users-read-only".parse::<Access>()?, Access::UsersReadOnly);
/// # Ok::<(), shmkit::Error>(())
/// ```
///
/// # Platform notes
///
/// On Windows no generic right is written into an object, since "the system checks the
/// requested access rights against the object's security descriptor", and a generic right means
/// something else for each kind of object. Each preset, and each generic right of an
/// [`Sddl`](Access::Sddl), becomes the rights of the kind:
///
/// | in SDDL | section | event | mutex |
/// |---|---|---|---|
/// | `GR` | to read | to wait | to take |
/// | `GW` | to read and write | to set, and `GRGW` to wait too | to take |
/// | `GA` | everything | everything | everything |
///
/// Rights that are written in another way stay as they are. What a queue, a topic, values or
/// calls need besides their sections follows from these, labels included: whoever may write a
/// section may set the events of those who use it, and whoever may read it may watch the processes
/// that do.
///
/// A descriptor without an owner belongs to this user. (The system would give the objects of an
/// elevated program to `BUILTIN\Administrators`.) Where this process has medium integrity or more,
/// and the descriptor has no label, the objects are labelled `S:(ML;;NW;;;ME)`: programs of medium
/// integrity may write what an elevated program of the same user made.
///
/// An auto-reset event gives its signal to whoever waits, so who may wait can take a
/// signal away from others; who may take a mutex can keep it.
///
/// On Linux those need the right to write to the object's file, which would also
/// let others shrink it under its users. So with every preset an auto-reset event
/// can be waited for, and a mutex taken, by its own user only.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// This user, in every session and at every elevation; nobody else.
    #[default]
    SameUser,
    /// This user; and every user who has logged on may look.
    UsersReadOnly,
    /// This user, the system and administrators; and the users at this machine's
    /// screens may look. For services.
    InteractiveReadOnly,
    /// A security descriptor as ConvertStringSecurityDescriptorToSecurityDescriptorW
    /// reads it, with entries that allow (`A`) or deny (`D`) (Windows). Such as
    /// `O:<my SID>D:P(A;;GA;;;<my SID>)(A;;GR;;;AU)`, which every user may read.
    Sddl(String),
}

impl FromStr for Access {
    type Err = Error;

    /// Reads what is written above.
    fn from_str(text: &str) -> Result<Access> {
        match text {
            "same-user" => Ok(Access::SameUser),
            "users-read-only" => Ok(Access::UsersReadOnly),
            "interactive-read-only" => Ok(Access::InteractiveReadOnly),
            _ => match text.strip_prefix("sddl:") {
                Some(sddl) => Ok(Access::Sddl(sddl.to_string())),
                None => Err(Error::new(
                    ErrorKind::InvalidArgument,
                    Operation::Access,
                    &text,
                    "there is no such preset",
                )
                .with_advice(
                    "write same-user, users-read-only, interactive-read-only, or sddl:… (Windows)",
                )),
            },
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::SameUser => f.write_str("same-user"),
            Access::UsersReadOnly => f.write_str("users-read-only"),
            Access::InteractiveReadOnly => f.write_str("interactive-read-only"),
            Access::Sddl(sddl) => write!(f, "sddl:{sddl}"),
        }
    }
}

/// To whom an object must belong, so that an opener believes it.
///
/// ```
/// use shmkit::{ErrorKind, Owner, Section};
///
/// # let name = format!("Local\\shmkit-doc-owner-{}", std::process::id());
/// # let name = name.as_str();
/// let _section = Section::create_new(name, 4096)?;
/// Section::options().expect_owner(Owner::Me).open(name)?;
///
/// // SYSTEM on Windows; nobody of that name on Linux.
/// let services = Owner::Account("S-1-5-18".into());
/// let refused = Section::options().expect_owner(services).open(name).unwrap_err();
/// assert_ne!(refused.kind(), ErrorKind::NotFound);
/// # Ok::<(), shmkit::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The user of this process. On Windows also the default owner of its objects: those that an
    /// elevated program makes without saying whose they are belong to `BUILTIN\Administrators`
    /// (`S-1-5-32-544`).
    Me,
    /// An account: a SID (`S-1-5-18`) or a name (`MACHINE\name`) on Windows, a
    /// user id or a name of `/etc/passwd` on Linux.
    Account(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Me => f.write_str("this user"),
            Owner::Account(account) => f.write_str(account),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for access in [
            Access::SameUser,
            Access::UsersReadOnly,
            Access::InteractiveReadOnly,
            Access::Sddl("D:P(A;;GA;;;WD)".into()),
        ] {
            assert_eq!(access.to_string().parse::<Access>().unwrap(), access);
        }
        assert_eq!(Access::default(), Access::SameUser);
        for wrong in ["", "everybody", "Same-User", "D:P"] {
            let error = wrong.parse::<Access>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
    }
}
