//! Windows: sections are what the kernel calls sections. Needs Windows 10, and
//! runs under Wine 8 as far as that goes.

mod code;
mod list;
mod naming;
mod nt;
mod section;
mod security;
mod view;

pub(crate) use list::list;
pub(crate) use section::Section;
pub(crate) use view::View;

/// A handle, as foreign code wants it: `RawHandle` here, `RawFd` on Linux.
pub type RawObject = std::os::windows::io::RawHandle;

/// A handle and the duty to close it: `OwnedHandle` here, `OwnedFd` on Linux.
pub type OwnedObject = std::os::windows::io::OwnedHandle;
