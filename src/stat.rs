//! Read-only facts about what is there, for tools, and tidying up.

use crate::error::Result;
use crate::os::{self, Holders, Listed, RawObject};

/// The named sections, events and mutexes in reach, sorted by name: those of this
/// session and those of the whole machine, and on Linux the POSIX objects in
/// `/dev/shm` too.
///
/// # Errors
///
/// [`ErrorKind::AccessDenied`](crate::ErrorKind::AccessDenied) where the system
/// does not show them.
///
/// # Platform notes
///
/// On Windows an object is opened to be looked at, and so held for a moment.
pub fn list() -> Result<Vec<Listed>> {
    let mut found = os::list()?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The processes that hold an object, given by its handle or descriptor (`as_raw`).
///
/// # Errors
///
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the system does
/// not tell.
pub fn holders(object: RawObject) -> Result<Holders> {
    os::holders(object)
}

/// Removes the files that killed programs of this user left (Linux), and says what
/// names they had. They are dead by the rules of this crate and in nobody's way;
/// creating removes them too. On Windows nothing is ever left.
///
/// # Errors
///
/// [`ErrorKind::AccessDenied`](crate::ErrorKind::AccessDenied) where `/dev/shm` may
/// not be read.
pub fn clean() -> Result<Vec<String>> {
    let mut removed = os::clean()?;
    removed.sort();
    Ok(removed)
}
