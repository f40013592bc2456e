//! What a wait for the end of a process waits for.

use super::{call, ntdll};
use crate::sync::{AtomicBool, Ordering};
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};

#[derive(Debug)]
pub(crate) enum Watched {
    Process(OwnedHandle),
    /// Held by a thread of the process as long as it lives.
    Liveness(Liveness),
    /// Nothing: it had ended before it was watched.
    Ended,
}

/// A mutex whose owner is watched.
#[derive(Debug)]
pub(crate) struct Liveness {
    pub mutex: OwnedHandle,
    /// Who has it, where that is told. A watcher that finds it free has it for a
    /// moment, and is not taken for its owner.
    owner: Option<u32>,
    /// It does not live again.
    ended: AtomicBool,
}

impl Watched {
    /// What is signaled when it ends; `None` where it is known to have.
    pub(super) fn death(&self) -> Option<BorrowedHandle<'_>> {
        match self {
            Watched::Process(handle) => Some(handle.as_handle()),
            Watched::Liveness(liveness) if liveness.is_orphan() => None,
            Watched::Liveness(liveness) => Some(liveness.mutex.as_handle()),
            Watched::Ended => None,
        }
    }

    /// After a wait for the death: a liveness mutex is now this thread's.
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

    /// Whether it is known to have lost its owner, whoever has it now.
    // layout: L230
    fn is_orphan(&self) -> bool {
        let now = ntdll::mutex_owner(self.mutex.as_raw_handle());
        if self.owner.is_some() && now != self.owner {
            // Relaxed: it says nothing about other memory.
            self.ended.store(true, Ordering::Relaxed);
        }
        self.ended.load(Ordering::Relaxed)
    }
}
