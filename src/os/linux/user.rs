//! Users, by their numbers and in words.

use rustix::process::geteuid;

/// The user who may remove all files.
pub(super) const ROOT: u32 = 0;

/// Returns the user of this process, which owns new files.
pub(super) fn me() -> u32 {
    geteuid().as_raw()
}

/// Returns `name (uid N)`, or `uid N` where `/etc/passwd` does not know the user.
pub(super) fn describe(uid: u32) -> String {
    match users().into_iter().find(|(_, id)| *id == uid) {
        Some((name, _)) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    }
}

/// Returns `group name (gid N)`, or `group N` where `/etc/group` does not know the group.
pub(super) fn describe_group(gid: u32) -> String {
    match groups().into_iter().find(|(_, id)| *id == gid) {
        Some((name, _)) => format!("group {name} (gid {gid})"),
        None => format!("group {gid}"),
    }
}

/// Returns the names and numbers of the users in `/etc/passwd`.
pub(super) fn users() -> Vec<(String, u32)> {
    names_in("/etc/passwd")
}

/// Returns the names and numbers of the groups in `/etc/group`.
pub(super) fn groups() -> Vec<(String, u32)> {
    names_in("/etc/group")
}

/// Returns the first field and the number in the third field of each line.
fn names_in(path: &str) -> Vec<(String, u32)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let entry = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_string(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}
