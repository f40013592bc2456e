//! Windows: objects are what the kernel calls sections, events and mutants. Needs Windows 10, and
//! runs under Wine 8 as far as that goes.

mod call;
mod code;
mod event;
mod findings;
mod list;
mod mutex;
mod naming;
mod nt;
mod object;
mod process;
mod section;
mod security;
mod signal;
mod view;

pub(crate) use event::Event;
pub(crate) use findings::findings;
pub(crate) use list::{clean, list};
pub(crate) use mutex::Mutex;
pub(crate) use process::{Process, holders};
pub(crate) use section::Section;
pub(crate) use signal::{Gate, Handle, MOST_SIGNALS, Signal, wait_any};
pub(crate) use view::{View, check_name, has_several_processors};

/// A handle, as foreign code wants it: `RawHandle` here, `RawFd` on Linux.
pub type RawObject = std::os::windows::io::RawHandle;

/// A handle and the duty to close it: `OwnedHandle` here, `OwnedFd` on Linux.
pub type OwnedObject = std::os::windows::io::OwnedHandle;
