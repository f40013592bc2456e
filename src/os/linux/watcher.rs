//! The watcher thread of this process, which learns of the end of other processes.
//!
//! A futex and a pidfd cannot be waited for in one call. So the first wait that needs it starts
//! a thread. The thread sleeps in epoll on the pidfds of all watched processes. For each process
//! that ends the thread sets a latch, which wakes its waiters. The thread does the same for
//! any descriptor that can be polled. The child of a fork has no such thread and starts its own.

use super::park_word::{HAPPENED, Latch, UNWATCHED};
use crate::os::PerProcess;
use crate::sync::{AtomicBool, Ordering};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{Errno, Result};
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A watcher thread, and the descriptors that it watches.
#[derive(Debug)]
struct Watcher {
    process: u32,
    /// Never closed while there is a thread. The thread stops only where other code has closed the
    /// descriptor. Then the number of the descriptor may be that of another file.
    epoll: ManuallyDrop<OwnedFd>,
    watched: Mutex<Watched>,
    /// Whether the thread has stopped, which it does when the system no longer lets it wait.
    has_stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct Watched {
    last: u64,
    latches: HashMap<u64, Arc<Latch>>,
}

/// A watched descriptor. The thread watches it until it is readable, as a pidfd is when its process
/// has ended.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: Arc<Watcher>,
    id: u64,
    latch: Arc<Latch>,
}

impl Watch {
    /// Begins to watch a descriptor, which must stay open until [`end`](Watch::end).
    pub fn begin(descriptor: BorrowedFd<'_>) -> Result<Watch> {
        match Watch::by(&Watcher::of_this_process()?, descriptor) {
            // Other code has closed the epoll descriptor of the thread. The thread sleeps on, so a
            // new thread takes its place.
            Err((Errno::BADF | Errno::INVAL, watcher)) => {
                watcher.stop();
                Watch::by(&Watcher::of_this_process()?, descriptor).map_err(|(errno, _)| errno)
            }
            begun => begun.map_err(|(errno, _)| errno),
        }
    }

    fn by(
        watcher: &Arc<Watcher>,
        descriptor: BorrowedFd<'_>,
    ) -> std::result::Result<Watch, (Errno, Arc<Watcher>)> {
        let latch = Arc::new(Latch::default());
        let mut watched = watcher.lock();
        watched.last += 1;
        let id = watched.last;
        // Under the lock, since the thread looks the latch up at once where the descriptor is
        // readable already.
        let once = EventFlags::IN | EventFlags::ONESHOT;
        let data = EventData::new_u64(id);
        match epoll::add(&*watcher.epoll, descriptor, data, once) {
            Ok(()) => watched.latches.insert(id, Arc::clone(&latch)),
            Err(errno) => return Err((errno, Arc::clone(watcher))),
        };
        drop(watched);
        let watcher = Arc::clone(watcher);
        Ok(Watch { watcher, id, latch })
    }

    /// Returns the latch: 0; [`HAPPENED`] after the descriptor was readable; [`UNWATCHED`] when the
    /// thread no longer watches, and the waiter has to check.
    pub fn latch(&self) -> &Arc<Latch> {
        &self.latch
    }

    /// Returns whether a thread of this process still watches. It does not where the watch was
    /// begun before a fork that made this process, or where the thread has stopped.
    pub fn is_in_force(&self) -> bool {
        self.watcher.is_ours() && !self.watcher.has_stopped()
    }

    /// Ends the watch. Closing the descriptor is not enough: the descriptor would stay watched
    /// while a child has a copy of it.
    pub fn end(self, descriptor: BorrowedFd<'_>) {
        if self.is_in_force() {
            self.watcher.lock().latches.remove(&self.id);
            let _ = epoll::delete(&*self.watcher.epoll, descriptor);
        }
    }
}

impl Watcher {
    /// Returns the watcher of this process. A start that fails leaves nothing behind: the next
    /// call tries again.
    fn of_this_process() -> Result<Arc<Watcher>> {
        static EACH: PerProcess<Mutex<Option<Arc<Watcher>>>> = PerProcess::new();
        let current = EACH.get_or_init(Mutex::default);
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watcher) = current.as_ref().filter(|one| !one.has_stopped()) {
            return Ok(Arc::clone(watcher));
        }
        Ok(Arc::clone(current.insert(Watcher::start()?)))
    }

    fn start() -> Result<Arc<Watcher>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let watcher = Arc::new(Watcher {
            process: std::process::id(),
            epoll: ManuallyDrop::new(epoll),
            watched: Mutex::default(),
            has_stopped: AtomicBool::new(false),
        });

        let thread = std::thread::Builder::new().name("shmkit-watcher".into());
        let own = Arc::clone(&watcher);
        match thread.spawn(move || own.run()) {
            Ok(_) => Ok(watcher),
            Err(error) => {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::AGAIN);
                // No other thread has the watcher, so its descriptor is closed.
                if let Some(watcher) = Arc::into_inner(watcher) {
                    drop(ManuallyDrop::into_inner(watcher.epoll));
                }
                Err(errno)
            }
        }
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            match epoll::wait(&*self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                // Other code closed the descriptor, as programs that become daemons
                // do.
                Err(_) => return self.stop(),
            }

            for event in &events {
                let latch = self.lock().latches.remove(&event.data.u64());
                if let Some(latch) = latch {
                    latch.set(HAPPENED);
                }
            }
        }
    }

    /// Wakes all waiters. They check for themselves, and begin a new watch.
    fn stop(&self) {
        // Release: pairs with the acquire of `has_stopped`.
        self.has_stopped.store(true, Ordering::Release);
        for latch in self.lock().latches.values() {
            latch.set(UNWATCHED);
        }
    }

    fn has_stopped(&self) -> bool {
        // Acquire: pairs with the release of `stop`.
        self.has_stopped.load(Ordering::Acquire)
    }

    fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
