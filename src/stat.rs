//! Read-only facts about what is there, for tools.

use crate::error::Result;
use crate::os;

/// A section that [`list`] found.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name that opens it: `Global\X`, `Local\X`, or `/X` for a POSIX object
    /// (Linux). Names that are not Unicode are left out on Linux, and shown with
    /// replacement characters on Windows.
    pub name: String,
    /// Its bytes, as the kernel counts them; `None` where this account may not
    /// look.
    pub len: Option<u64>,
    /// Its owner, as in [`SectionInfo`](crate::SectionInfo).
    pub owner: Option<String>,
}

/// The named sections in reach, sorted by name: those of this session and those
/// of the whole machine, and on Linux the POSIX objects in `/dev/shm` too.
///
/// # Errors
///
/// [`ErrorKind::AccessDenied`](crate::ErrorKind::AccessDenied) where the system
/// does not show them.
pub fn list() -> Result<Vec<Listed>> {
    let mut found: Vec<Listed> = os::list()?
        .into_iter()
        .map(|listed| Listed {
            name: listed.name,
            len: listed.len,
            owner: listed.owner,
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}
