//! The accounts that may use an object: the access that its creator grants, and the owner that its
//! opener expects.

use crate::error::{Error, ErrorKind, Operation, Result};
use std::fmt;
use std::str::FromStr;

/// The accounts that may use a new object, and the rights of each.
///
/// | preset | written | Windows | Linux |
/// |---|---|---|---|
/// | [`SameUser`](Access::SameUser), the default | `same-user` | the SID of this user owns the object, and has every right | mode 0600 |
/// | [`UsersReadOnly`](Access::UsersReadOnly) | `users-read-only` | also lets authenticated users look | mode 0644 |
/// | [`InteractiveReadOnly`](Access::InteractiveReadOnly) | `interactive-read-only` | also gives the system and administrators every right, and lets interactive users look | mode 0644 |
/// | [`Group`](Access::Group) | `group:NAME` | also lets the members of a group use the object | the group, and mode 0660 |
/// | [`AppContainer`](Access::AppContainer) | `app-container` | also lets programs in AppContainers use the object | refused |
/// | [`Sddl`](Access::Sddl) | `sddl:D:P(…)` | the entries of the descriptor | refused |
///
/// The two read-only presets grant other accounts only rights to look: to read a section, to wait for
/// an event, and on Windows to take a mutex. [`Group`](Access::Group) and
/// [`AppContainer`](Access::AppContainer) grant some accounts also the rights to write a section, to
/// set and reset an event, and to take a mutex. No preset lets every account write, and no preset
/// makes an object without an access list.
///
/// A queue, a topic, values and calls consist of several objects. With
/// [`Group`](Access::Group) and [`AppContainer`](Access::AppContainer), the accounts may write only
/// what senders, clients, subscribers and readers write. So these accounts can take part, and cannot
/// own: after the owner has ended, only the user who created the name can create the next owner.
///
/// ```
/// use shmkit::{Access, Section};
///
/// # let name = format!("Local\\shmkit-doc-access-{}", std::process::id());
/// # let name = name.as_str();
/// // A service writes, and the programs of all users read.
/// let section = Section::options()
///     .access(Access::UsersReadOnly)
///     .create_new(name, 4096)?;
/// assert_eq!("users-read-only".parse::<Access>()?, Access::UsersReadOnly);
/// # Ok::<(), shmkit::Error>(())
/// ```
///
/// # Platform notes
///
/// On Windows the library writes no generic right into an object, since "the system checks the
/// requested access rights against the object's security descriptor", and a generic right has a
/// different meaning for each kind of object. The library replaces each preset, and each generic
/// right of an [`Sddl`](Access::Sddl), by the rights of the kind of object:
///
/// | in SDDL | section | event | mutex |
/// |---|---|---|---|
/// | `GR` | to read | to wait | to take |
/// | `GW` | to read and write | to set, and `GRGW` to wait too | to take |
/// | `GA` | everything | everything | everything |
///
/// Rights that are not generic stay as they are. The library derives the access of the other
/// objects of a queue, a topic, values or calls from the access of the sections, labels included:
/// an account that may write a section may set the events of its participants, and an account that
/// may read a section may watch the processes of its participants.
///
/// An object whose descriptor names no owner belongs to this user. (The system would give the
/// objects of an elevated program to `BUILTIN\Administrators`.) If this process has medium
/// integrity or more, and the descriptor has no label, the object gets the label `S:(ML;;NW;;;ME)`:
/// programs of medium integrity may write an object that an elevated program of the same user made.
///
/// An auto-reset event gives its signal to one waiter. So an account that may wait can take a
/// signal away from other accounts. An account that may take a mutex can keep the mutex.
///
/// On Linux, waiting for an auto-reset event and taking a mutex need the right to write the
/// object's file. This right would also let another user shrink the file while processes use it, which
/// ends these processes (SIGBUS). So with the read-only presets only the object's own user can wait
/// for an auto-reset event or take a mutex. With [`Group`](Access::Group) each member of the group
/// can, and each member can shrink the file of what it may write: choose the group accordingly.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Gives every right to this user, in every session and at every elevation, and no right to
    /// other accounts.
    #[default]
    SameUser,
    /// Gives every right to this user, and the rights to look to every user who has logged on.
    UsersReadOnly,
    /// Gives every right to this user, the system and administrators, and the rights to look to the
    /// users at this machine's screens. This preset is for services.
    InteractiveReadOnly,
    /// Gives every right to this user, and the rights to take part to the members of a group.
    ///
    /// On Linux this is the name of a group in `/etc/group`, or the id of a group. The name of the
    /// object must begin with `Global\`, since other users do not find the names of `Local\`. This
    /// process must be in the group, or have the right to give files to any group, as root has.
    ///
    /// On Windows this is the SID (`S-1-…`) or the name (`MACHINE\name`) of a group, or of another
    /// account. This user need not be in the group.
    Group(String),
    /// Gives every right to this user, and the rights to take part to the programs of this user in
    /// AppContainers (Windows).
    ///
    /// An AppContainer has low integrity, so what its programs may write has the label
    /// `S:(ML;;NW;;;LW)`: all programs of this user with low integrity may write it. This preset only
    /// gives rights. An AppContainer has a namespace of its own, and may not find the name.
    AppContainer,
    /// A security descriptor in the form that ConvertStringSecurityDescriptorToSecurityDescriptorW
    /// reads, with entries that allow (`A`) or deny (`D`) (Windows). For example, every user may
    /// read a section with `O:<my SID>D:P(A;;GA;;;<my SID>)(A;;GR;;;AU)`.
    Sddl(String),
}

impl FromStr for Access {
    type Err = Error;

    /// Parses the text of an access: `same-user`, `users-read-only`, `interactive-read-only`,
    /// `group:` and a group, `app-container`, or `sddl:` and a security descriptor.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if the text has none of these forms.
    fn from_str(text: &str) -> Result<Access> {
        match text.split_once(':') {
            None if text == "same-user" => Ok(Access::SameUser),
            None if text == "users-read-only" => Ok(Access::UsersReadOnly),
            None if text == "interactive-read-only" => Ok(Access::InteractiveReadOnly),
            None if text == "app-container" => Ok(Access::AppContainer),
            Some(("group", group)) if !group.is_empty() => Ok(Access::Group(group.to_string())),
            Some(("sddl", sddl)) => Ok(Access::Sddl(sddl.to_string())),
            _ => {
                let (kind, meaning) = (ErrorKind::InvalidArgument, "there is no such preset");
                let error = Error::new(kind, Operation::Access, &text, meaning);
                Err(error.with_advice(
                    "write same-user, users-read-only, interactive-read-only, group:NAME, or \
                     app-container or sddl:… (Windows)",
                ))
            }
        }
    }
}

impl Access {
    /// Returns whether the access lets other accounts write what participants write.
    pub(crate) fn admits_participants(&self) -> bool {
        match self {
            Access::SameUser | Access::UsersReadOnly | Access::InteractiveReadOnly => false,
            Access::Group(_) | Access::AppContainer | Access::Sddl(_) => true,
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::SameUser => f.write_str("same-user"),
            Access::UsersReadOnly => f.write_str("users-read-only"),
            Access::InteractiveReadOnly => f.write_str("interactive-read-only"),
            Access::Group(group) => write!(f, "group:{group}"),
            Access::AppContainer => f.write_str("app-container"),
            Access::Sddl(sddl) => write!(f, "sddl:{sddl}"),
        }
    }
}

/// The account that must own an object. An opener refuses an object of any other owner.
///
/// ```
/// use shmkit::{ErrorKind, Owner, Section};
///
/// # let name = format!("Local\\shmkit-doc-owner-{}", std::process::id());
/// # let name = name.as_str();
/// let _section = Section::create_new(name, 4096)?;
/// Section::options().expect_owner(Owner::Me).open(name)?;
///
/// // SYSTEM on Windows. On Linux no account has this name.
/// let services = Owner::Account("S-1-5-18".into());
/// let refused = Section::options().expect_owner(services).open(name).unwrap_err();
/// assert_ne!(refused.kind(), ErrorKind::NotFound);
/// # Ok::<(), shmkit::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The user of this process. On Windows, also the default owner of the objects that this
    /// process makes: an object that an elevated program makes without naming an owner belongs to
    /// `BUILTIN\Administrators` (`S-1-5-32-544`).
    Me,
    /// An account: on Windows a SID (`S-1-5-18`) or a name (`MACHINE\name`), on Linux a user id or
    /// a name in `/etc/passwd`.
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
    fn printed_access_parses_to_the_same_access() {
        for access in [
            Access::SameUser,
            Access::UsersReadOnly,
            Access::InteractiveReadOnly,
            Access::Group("S-1-5-32-545".into()),
            Access::Group("MACHINE\\odd:name".into()),
            Access::AppContainer,
            Access::Sddl("D:P(A;;GA;;;WD)".into()),
        ] {
            assert_eq!(access.to_string().parse::<Access>().unwrap(), access);
        }
        assert_eq!(Access::default(), Access::SameUser);
        for wrong in [
            "",
            "everybody",
            "Same-User",
            "D:P",
            "group",
            "group:",
            "app-container:",
        ] {
            let error = wrong.parse::<Access>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
    }
}
