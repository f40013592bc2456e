//! The objects that a wait for the end of a process waits for.

use super::{call, ntdll};
use crate::sync::{AtomicBool, Ordering};
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};

#[derive(Debug)]
pub(crate) enum Watched {
    Process(OwnedHandle),
    /// A mutex that a thread of the process has as long as the process lives.
    Liveness(Liveness),
    /// No object: the process had ended before it was watched.
    Ended,
}

/// A mutex whose owner is watched.
#[derive(Debug)]
pub(crate) struct Liveness {
    pub mutex: OwnedHandle,
    /// The process that had the mutex when the watch began; `None` where the system does not tell.
    /// A watcher that finds the mutex free has it for a moment; this field keeps that watcher from
    /// being taken for the owner.
    owner: Option<u32>,
    /// Whether the owner is known to have ended. Once `true`, it stays so.
    ended: AtomicBool,
}

impl Watched {
    /// Returns the object that is signaled when the process ends; `None` where the process is known
    /// to have ended.
    pub(super) fn death(&self) -> Option<BorrowedHandle<'_>> {
        match self {
            Watched::Process(handle) => Some(handle.as_handle()),
            Watched::Liveness(liveness) if liveness.is_orphan() => None,
            Watched::Liveness(liveness) => Some(liveness.mutex.as_handle()),
            Watched::Ended => None,
        }
    }

    /// Releases a liveness mutex after the death has ended a wait: the wait has locked the mutex
    /// for this thread.
    // layout: L230
    pub(super) fn give_back(&self) {
        if let Watched::Liveness(liveness) = self {
            liveness.ended.store(true, Ordering::Relaxed);
            let released = call::release_mutex(liveness.mutex.as_handle());
            debug_assert!(released.is_ok(), "ReleaseMutex of our own: {released:?}");
        }
    }
}

impl Liveness {
    pub fn new(mutex: OwnedHandle) -> Liveness {
        Liveness {
            owner: ntdll::mutex_owner(mutex.as_raw_handle()),
            mutex,
            ended: AtomicBool::new(false),
        }
    }

    /// Returns whether the mutex is known to have lost its owner, whichever thread has it now.
    // layout: L230
    fn is_orphan(&self) -> bool {
        let now = ntdll::mutex_owner(self.mutex.as_raw_handle());
        if self.owner.is_some() && now != self.owner {
            // Relaxed: the flag tells nothing about other memory.
            self.ended.store(true, Ordering::Relaxed);
        }
        self.ended.load(Ordering::Relaxed)
    }
}
