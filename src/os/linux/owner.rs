//! Who a user id is, in words.

use rustix::process::geteuid;

/// This process's user, by whose rights files are made.
pub(super) fn me() -> u32 {
    geteuid().as_raw()
}

/// `name (uid N)`, or `uid N` where `/etc/passwd` does not know it.
pub(super) fn describe(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then_some(name)
    });
    match name {
        Some(name) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    }
}
