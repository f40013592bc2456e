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

/// Returns the names and numbers of the users in `/etc/passwd`.
pub(super) fn users() -> Vec<(String, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_string(), fields.nth(1)?.parse().ok()?))
    };
    users.lines().filter_map(user).collect()
}
