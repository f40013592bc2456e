//! A descriptor of a process, and its watch.
//!
//! A process may have many participants. All of them share one descriptor here, so that an owner needs
//! a descriptor for each process and not for each participant.

use super::park_word::Latch;
use super::watcher::Watch;
use crate::os::PerProcess;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A descriptor of a process.
#[derive(Debug)]
pub(super) struct Pidfd {
    file: OwnedFd,
    /// The watch, which the first wait that needs it begins.
    watch: Mutex<Option<Watch>>,
}

impl Pidfd {
    pub fn new(file: OwnedFd) -> Pidfd {
        Pidfd {
            file,
            watch: Mutex::default(),
        }
    }

    /// Returns the descriptor of the process with this process word, which may be open already.
    pub fn shared(word: u64, open: impl FnOnce() -> Option<OwnedFd>) -> Option<Arc<Pidfd>> {
        static ALL: PerProcess<Mutex<HashMap<u64, Weak<Pidfd>>>> = PerProcess::new();
        let mut all = lock(ALL.get_or_init(Mutex::default));
        if let Some(known) = all.get(&word).and_then(Weak::upgrade) {
            return Some(known);
        }
        let pidfd = Arc::new(Pidfd::new(open()?));
        all.retain(|_, one| one.strong_count() > 0);
        all.insert(word, Arc::downgrade(&pidfd));
        Some(pidfd)
    }

    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Returns the latch that the watcher thread sets when the process has ended; see
    /// [`Watch::latch`].
    pub fn latch(&self) -> rustix::io::Result<Arc<Latch>> {
        let mut watch = lock(&self.watch);
        if let Some(watch) = watch.as_ref().filter(|watch| watch.is_in_force()) {
            return Ok(Arc::clone(watch.latch()));
        }
        if let Some(last) = watch.take() {
            last.end(self.file());
        }
        let begun = watch.insert(Watch::begin(self.file())?);
        Ok(Arc::clone(begun.latch()))
    }

    /// Returns the value of the latch, or 0 if nothing has waited for the process yet.
    pub fn report(&self) -> u32 {
        let watch = lock(&self.watch);
        watch.as_ref().map_or(0, |watch| watch.latch().value())
    }
}

impl Drop for Pidfd {
    fn drop(&mut self) {
        let watch = self.watch.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = watch.take() {
            watch.end(self.file.as_fd());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The state is never left half-updated, so lock poisoning is ignored.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
