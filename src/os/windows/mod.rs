//! Windows: objects are what the kernel calls sections, events and mutants. Needs Windows 10, and
//! runs under Wine 8 as far as that goes.

mod access;
mod call;
mod error;
mod event;
mod findings;
mod list;
mod mutex;
mod naming;
mod ntdll;
mod object;
mod process;
mod section;
mod signal;
mod view;
mod watched;
#[cfg(not(shmkit_nt_rules))]
mod win32;

#[cfg(shmkit_nt_rules)]
mod nt_rules;
#[cfg(shmkit_nt_rules)]
use nt_rules as win32;

pub(crate) use super::unforked::{Validity, has_open, nameless};
pub(crate) use access::account::shown as account_name;
pub(crate) use event::Event;
pub(crate) use findings::findings;
pub(crate) use list::{clean, list};
pub(crate) use mutex::Mutex;
#[cfg(all(test, shmkit_nt_rules))]
pub(crate) use nt_rules::names_looked_up;
pub(crate) use process::{Process, holders};
pub(crate) use section::Section;
pub(crate) use signal::{Gate, MOST_SIGNALS, Signal, WaitHandle, wait_any};
pub(crate) use view::{View, check_name, has_several_processors};

/// A handle, as foreign code wants it: `RawHandle` here, `RawFd` on Linux.
pub type RawObject = std::os::windows::io::RawHandle;

/// A handle and the duty to close it: `OwnedHandle` here, `OwnedFd` on Linux.
pub type OwnedObject = std::os::windows::io::OwnedHandle;
