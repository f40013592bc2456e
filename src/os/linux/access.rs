//! Users: who they are in words, and what a file's mode lets them do.

use crate::access::{Access, Owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::Grant;
use rustix::fs::{Mode, Stat};
use rustix::process::geteuid;
use std::fmt::Display;

/// Who may remove everybody's files.
pub(super) const ROOT: u32 = 0;

/// This process's user, by whose rights files are made.
pub(super) fn me() -> u32 {
    geteuid().as_raw()
}

/// `name (uid N)`, or `uid N` where `/etc/passwd` does not know it.
pub(super) fn describe(uid: u32) -> String {
    match users().into_iter().find(|(_, id)| *id == uid) {
        Some((name, _)) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    }
}

fn users() -> Vec<(String, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_string(), fields.nth(1)?.parse().ok()?))
    };
    users.lines().filter_map(user).collect()
}

/// Refuses what does not belong to whom it is expected to.
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
    Err(error.with_advice("find out who squats the name, or expect its real owner"))
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

/// The bits of a file's mode that an access stands for.
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

/// Who may do what with a file, in words.
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
