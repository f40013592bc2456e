//! The backend for Windows. Objects are sections, events and mutants of the kernel. It needs
//! Windows 10. It also runs under Wine 8, within the limits of Wine.

mod access;
mod call;
mod error;
mod event;
mod findings;
mod list;
mod lives;
mod mutex;
mod naming;
mod ntdll;
mod object;
mod parker;
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

pub(crate) use super::unforked::{Validity, nameless, objects_folder};
pub(crate) use access::account::shown as account_name;
pub(crate) use access::resolved;
pub(crate) use event::Event;
pub(crate) use findings::findings;
pub(crate) use list::{clean, list};
pub(crate) use lives::Lives;
pub(crate) use mutex::Mutex;
#[cfg(all(test, shmkit_nt_rules))]
pub(crate) use nt_rules::names_looked_up;
pub(crate) use parker::Parker;
pub(crate) use process::{Process, holders};
pub(crate) use section::Section;
pub(crate) use signal::{Gate, MOST_SIGNALS, Signal, WaitHandle, wait_any};
pub(crate) use view::{View, check_name, has_several_processors};

/// A handle in the form that other code takes: `RawHandle` on Windows, `RawFd` on Linux.
pub type RawObject = std::os::windows::io::RawHandle;

/// A handle that is closed when it is dropped: `OwnedHandle` on Windows, `OwnedFd` on Linux.
pub type OwnedObject = std::os::windows::io::OwnedHandle;
