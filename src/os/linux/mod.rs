//! Linux: objects are files in `/dev/shm` whose life is that of their holders'
//! locks. Needs Linux 5.16 and `/proc`.

mod errno;
mod event;
mod event_word;
mod findings;
mod futex;
mod lifetime;
mod list;
mod looker;
#[cfg(all(test, not(miri)))]
mod models;
mod mutex;
mod mutex_word;
mod naming;
mod object;
mod owner;
mod proc;
mod process;
mod section;
mod signal;
mod validity;
mod view;
mod watcher;
mod words;

pub(crate) use event::Event;
pub(crate) use findings::findings;
pub(crate) use lifetime::clean;
pub(crate) use list::{account_name, has_open, holders, list, nameless};
pub(crate) use mutex::Mutex;
pub(crate) use naming::check_name;
pub(crate) use process::{Process, has_several_processors};
pub(crate) use section::Section;
pub(crate) use signal::{Gate, MOST_SIGNALS, Signal, WaitHandle, wait_any};
pub(crate) use validity::Validity;
pub(crate) use view::View;

/// A descriptor, as foreign code wants it: `RawFd` here, `RawHandle` on Windows.
pub type RawObject = std::os::fd::RawFd;

/// A descriptor and the duty to close it: `OwnedFd` here, `OwnedHandle` on Windows.
pub type OwnedObject = std::os::fd::OwnedFd;
