//! Linux: sections are files in `/dev/shm` whose life is that of their holders'
//! locks. Needs Linux 5.16 and `/proc`.

mod errno;
mod lifetime;
mod list;
mod naming;
mod owner;
mod section;
mod view;

pub(crate) use list::list;
pub(crate) use section::Section;
pub(crate) use view::View;

/// A descriptor, as foreign code wants it: `RawFd` here, `RawHandle` on Windows.
pub type RawObject = std::os::fd::RawFd;

/// A descriptor and the duty to close it: `OwnedFd` here, `OwnedHandle` on Windows.
pub type OwnedObject = std::os::fd::OwnedFd;
