//! Access to files: the mode and the group of a new file, and the checks of an opened file.

use super::error::explain;
use super::folder::{folder, here};
use super::naming::{Place, PlaceKind};
use super::user::{describe, describe_group, groups, me, users};
use crate::access::{Access, Owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{Grant, HowToCreate};
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, Stat, fchmod, fchown, fremovexattr, statat};
use rustix::io::Errno;
use rustix::process::Gid;
use std::fmt::Display;
use std::os::fd::OwnedFd;

/// Refuses a file that does not belong to the expected owner.
// layout: L202
pub(super) fn check(stat: &Stat, expected: &Owner, name: &dyn Display) -> Result<()> {
    let uid = match expected {
        Owner::Me => me(),
        Owner::Account(account) => uid_of(account)?,
    };
    if stat.st_uid == uid {
        return Ok(());
    }
    let user = describe(stat.st_uid);
    let meaning = format!("it belongs to {user}, and not to {expected}");
    let error = Error::new(ErrorKind::WrongOwner, Operation::Open, name, meaning);
    Err(error.with_advice("find the program that took the name, or expect the real owner"))
}

fn uid_of(account: &str) -> Result<u32> {
    let known = || users().into_iter().find(|(name, _)| name == account);
    let uid = account.parse().ok().or_else(|| known().map(|(_, uid)| uid));
    uid.ok_or_else(|| {
        let meaning = "there is no such user in /etc/passwd";
        let kind = ErrorKind::InvalidArgument;
        Error::new(kind, Operation::Access, &account, meaning).with_advice("write the user id")
    })
}

pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Returns the kind of a file in words.
pub(super) fn what(stat: &Stat) -> &'static str {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        _ => "a device",
    }
}

/// Refuses a file that is not regular, and a file of another user at a name of this user's session.
pub(super) fn check_file(
    stat: &Stat,
    place: &Place,
    operation: Operation,
    name: &Name,
) -> Result<()> {
    if !is_regular(stat) {
        let meaning = format!(
            "{} stands at {}, and not shared memory",
            what(stat),
            place.path
        );
        let advice = format!(
            "find out who put it there (ls -l {}), and remove it",
            place.path
        );
        return Err(Error::new(ErrorKind::WrongKind, operation, name, meaning).with_advice(advice));
    }

    if place.kind == PlaceKind::Local && stat.st_uid != place.me {
        let user = describe(stat.st_uid);
        let meaning = format!("a file of {user} has a name of this user's session");
        let advice = format!("remove {} as {user} or root", place.path);
        return Err(Error::new(ErrorKind::WrongOwner, operation, name, meaning).with_advice(advice));
    }

    Ok(())
}

/// Returns the error for a refused open, with the owner of the file where the system tells.
pub(super) fn refused(place: &Place, operation: Operation, name: &Name, errno: Errno) -> Error {
    let error = explain(operation, name, errno);
    match error.kind() {
        ErrorKind::AccessDenied => {}
        ErrorKind::WrongKind => {
            return error.with_advice(format!("look at it (ls -l {}), and remove it", place.path));
        }
        _ => return error,
    }

    match statat(CWD, &place.path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            if let Err(squatted) = check_file(&stat, place, operation, name) {
                return squatted;
            }
            let user = describe(stat.st_uid);
            let mode = stat.st_mode & 0o777;
            let is_of_group = mode >> 3 & 0o6 & !mode != 0;
            let group = match is_of_group {
                true => format!(" and to {}", describe_group(stat.st_gid)),
                false => String::new(),
            };
            let (lets, advice) = match fs::access(&place.path, fs::Access::READ_OK) {
                Ok(()) => (
                    "lets this account read it, but not change it",
                    "open it without the right to write, or run as that user",
                ),
                Err(_) => (
                    "does not let this account open it, or check whether a process holds it",
                    match is_of_group {
                        true => "run as that user, or join that group and log in again",
                        false => "run as that user, or have the owner grant access",
                    },
                ),
            };
            let meaning = format!("it belongs to {user}{group} with mode {mode:04o}, which {lets}");
            Error::new(ErrorKind::AccessDenied, operation, name, meaning)
                .with_code(errno.raw_os_error())
                .with_advice(advice)
        }
        Err(_) => Error::new(
            ErrorKind::AccessDenied,
            operation,
            name,
            format!("this account may not look into {}", folder()),
        )
        .with_code(errno.raw_os_error())
        .with_advice(here("restore its mode: chmod 1777 /dev/shm")),
    }
}

/// The mode of a new file, and the group that it belongs to; `None` for the group of this process.
#[derive(Debug)]
pub(super) struct FileRights {
    pub mode: Mode,
    group: Option<Gid>,
}

impl FileRights {
    /// Returns the rights of the file of a new object.
    // layout: L190 L270 L271
    pub fn of(how: &HowToCreate, place: &Place, name: &Name) -> Result<FileRights> {
        let own = Mode::RUSR | Mode::WUSR;
        let rights = |mode, group| Ok(FileRights { mode, group });
        match &how.access {
            Access::SameUser => rights(own, None),
            Access::UsersReadOnly | Access::InteractiveReadOnly => {
                rights(own | Mode::RGRP | Mode::ROTH, None)
            }
            Access::Group(group) => {
                if place.kind == PlaceKind::Local {
                    return Err(found_by_nobody(name));
                }
                let write = match how.only_look {
                    true => Mode::empty(),
                    false => Mode::WGRP,
                };
                rights(own | Mode::RGRP | write, Some(gid_of(group)?))
            }
            Access::AppContainer => Err(unsupported(name, "Linux has no AppContainers")),
            Access::Sddl(_) => {
                let meaning = "a file has a mode and no security descriptor";
                Err(unsupported(name, meaning))
            }
        }
    }

    /// Gives the rights to a new file that has no name yet.
    // layout: L195 L271
    pub fn give_to(&self, file: &OwnedFd, name: &Name) -> Result<()> {
        let fail = |errno| explain(Operation::Create, name, errno);
        if let Some(group) = self.group {
            // The group comes first: until then the file has no right for any group.
            fchown(file, None, Some(group)).map_err(|errno| no_member(group, name, errno))?;
            // A folder may give its files a list of accounts, to which the bits of the group in the
            // mode would then apply (acl(5)).
            match fremovexattr(file, "system.posix_acl_access") {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
        // The umask may have removed bits of a mode that is given to `open`.
        fchmod(file, self.mode).map_err(fail)
    }
}

/// Returns the same access with the number of a group in place of its name. Fails where there is no
/// such group.
// layout: L270
pub(crate) fn resolved(access: &Access) -> Result<Access> {
    match access {
        Access::Group(group) => Ok(Access::Group(gid_of(group)?.as_raw().to_string())),
        access => Ok(access.clone()),
    }
}

fn gid_of(group: &str) -> Result<Gid> {
    let known = || groups().into_iter().find(|(name, _)| name == group);
    let gid = group.parse().ok().or_else(|| known().map(|(_, gid)| gid));
    // The greatest number means "no change" (chown(2)), and is the number of no group.
    match gid.filter(|gid| *gid != u32::MAX) {
        Some(gid) => Ok(Gid::from_raw(gid)),
        None => {
            let meaning = "there is no such group in /etc/group";
            let kind = ErrorKind::InvalidArgument;
            let error = Error::new(kind, Operation::Access, &group, meaning);
            Err(error.with_advice("create the group, or write its id (getent group NAME)"))
        }
    }
}

/// Returns the error for a group to which this process may not give a file.
fn no_member(group: Gid, name: &Name, errno: Errno) -> Error {
    let group = describe_group(group.as_raw());
    let (kind, meaning, advice) = match errno {
        Errno::PERM => (
            ErrorKind::PrivilegeMissing,
            format!("this process is not in the {group}, and so may not give the group access"),
            "add the user to the group (usermod -aG GROUP USER) and log in again, or use a group \
             that `id` shows",
        ),
        Errno::INVAL => (
            ErrorKind::InvalidArgument,
            format!("the {group} has no number in this user namespace"),
            "map the group into the namespace (/proc/PID/gid_map)",
        ),
        errno => return explain(Operation::Create, name, errno),
    };
    Error::new(kind, Operation::Create, name, meaning)
        .with_code(errno.raw_os_error())
        .with_advice(advice)
}

/// Returns the error for a group that is to use a name of this user's session.
fn found_by_nobody(name: &Name) -> Error {
    let meaning = "other users do not find names of this user's session, so a group cannot use it";
    let error = Error::new(ErrorKind::InvalidName, Operation::Create, name, meaning);
    error.with_advice(format!("use the name Global\\{}", name.base()))
}

fn unsupported(name: &Name, meaning: &'static str) -> Error {
    let error = Error::new(ErrorKind::Unsupported, Operation::Create, name, meaning);
    error.with_advice("use another preset: same-user, users-read-only, group:NAME")
}

/// Returns the users and groups that may use a file, and their rights, in words.
pub(super) fn grants(stat: &Stat) -> Vec<Grant> {
    let words = |bits: u32| match bits & 0o6 {
        0o6 => Some("read and write"),
        0o4 => Some("read"),
        0o2 => Some("write"),
        _ => None,
    };

    let classes = [
        (describe(stat.st_uid), stat.st_mode >> 6),
        (describe_group(stat.st_gid), stat.st_mode >> 3),
        ("everybody else".to_string(), stat.st_mode),
    ];

    let grant = |(account, bits)| {
        let may = words(bits)?.to_string();
        Some(Grant { account, may })
    };
    classes.into_iter().filter_map(grant).collect()
}
