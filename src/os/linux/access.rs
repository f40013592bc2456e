//! Access to files: the mode of a file, and the checks of an opened file.

use super::error::explain;
use super::folder::{folder, here};
use super::naming::{Place, PlaceKind};
use super::user::{describe, me, users};
use crate::access::{Access, Owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::Grant;
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, Stat, statat};
use rustix::io::Errno;
use std::fmt::Display;

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
            let (lets, advice) = match fs::access(&place.path, fs::Access::READ_OK) {
                Ok(()) => (
                    "lets this account read it, but not change it",
                    "open it without the right to write, or run as that user",
                ),
                Err(_) => (
                    "does not let this account open it, or check whether a process holds it",
                    "run as that user, or have the owner grant access",
                ),
            };
            let meaning = format!("it belongs to {user} with mode {mode:04o}, which {lets}");
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

/// Returns the bits of a file's mode for an access.
// layout: L190
pub(super) fn mode(access: &Access, name: &Name) -> Result<Mode> {
    let own = Mode::RUSR | Mode::WUSR;
    match access {
        Access::SameUser => Ok(own),
        Access::UsersReadOnly | Access::InteractiveReadOnly => Ok(own | Mode::RGRP | Mode::ROTH),
        Access::Sddl(_) => {
            let meaning = "a file has a mode and no security descriptor";
            let error = Error::new(ErrorKind::Unsupported, Operation::Create, name, meaning);
            Err(error.with_advice("use a preset: same-user, users-read-only"))
        }
    }
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
        (format!("group {}", stat.st_gid), stat.st_mode >> 3),
        ("everybody else".to_string(), stat.st_mode),
    ];

    let grant = |(account, bits)| {
        let may = words(bits)?.to_string();
        Some(Grant { account, may })
    };
    classes.into_iter().filter_map(grant).collect()
}
