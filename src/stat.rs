//! Read-only facts about what is there, for tools.

use crate::error::Result;
use crate::os::{self, Listed};

/// The named sections in reach, sorted by name: those of this session and those
/// of the whole machine, and on Linux the POSIX objects in `/dev/shm` too.
///
/// # Errors
///
/// [`ErrorKind::AccessDenied`](crate::ErrorKind::AccessDenied) where the system
/// does not show them.
///
/// # Platform notes
///
/// On Windows a section is opened to be measured, and so held for a moment.
pub fn list() -> Result<Vec<Listed>> {
    let mut found = os::list()?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}
