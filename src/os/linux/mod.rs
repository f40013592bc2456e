//! The backend for Linux. Objects are files in `/dev/shm` that live as long as the locks of their
//! holders. It needs Linux 5.16 and `/proc`.

mod access;
mod error;
mod event;
mod event_word;
mod findings;
mod folder;
mod folder_check;
mod futex;
mod lasting_lock;
mod life_locks;
mod lifetime;
mod list;
mod lives;
#[cfg(all(test, not(miri)))]
mod models;
mod mutex;
mod mutex_word;
mod naming;
mod no_fork;
mod object;
mod park_word;
mod parker;
mod pidfd;
mod poller;
mod proc;
mod process;
mod record_lock;
mod section;
mod signal;
mod user;
mod validity;
mod view;
mod watcher;
mod words;

pub(crate) use access::resolved;
pub(crate) use event::Event;
pub(crate) use findings::findings;
pub(crate) use folder::objects_folder;
pub(crate) use lifetime::clean;
pub(crate) use list::{account_name, holders, list, nameless};
pub(crate) use lives::Lives;
pub(crate) use mutex::Mutex;
pub(crate) use object::check_name;
pub(crate) use parker::Parker;
pub(crate) use process::{Process, has_several_processors};
pub(crate) use section::Section;
pub(crate) use signal::{Gate, MOST_SIGNALS, Signal, WaitHandle, wait_any};
pub(crate) use validity::Validity;
pub(crate) use view::View;

/// A descriptor in the form that other code takes: `RawFd` on Linux, `RawHandle` on Windows.
pub type RawObject = std::os::fd::RawFd;

/// A descriptor that is closed when it is dropped: `OwnedFd` on Linux, `OwnedHandle` on Windows.
pub type OwnedObject = std::os::fd::OwnedFd;
