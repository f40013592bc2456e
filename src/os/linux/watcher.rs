//! The one thread of this process that learns of deaths.
//!
//! A futex and a pidfd cannot be waited for in one call. So a thread, started by the
//! first wait that needs it, sleeps on the pidfds of all watched processes, and for
//! each that ends sets a word on which its waiters sleep too. It does the same for any
//! descriptor that can be polled. After a fork the child has no such thread, and starts its
//! own.

use super::futex;
use crate::os::PerProcess;
use crate::sync::AtomicU32;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{Errno, Result};
use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A watcher thread, and what it watches.
#[derive(Debug)]
struct Watcher {
    process: u32,
    epoll: OwnedFd,
    watched: Mutex<Watched>,
    thread: OnceLock<Started>,
}

type Started = Result<()>;

#[derive(Debug, Default)]
struct Watched {
    next: u64,
    words: HashMap<u64, Arc<AtomicU32>>,
}

/// A descriptor under watch: once it is readable, as a pidfd is when its process has ended.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: &'static Watcher,
    id: u64,
    dead: Arc<AtomicU32>,
}

impl Watch {
    /// Watches it; it stays open until [`end`](Watch::end).
    pub fn begin(descriptor: BorrowedFd<'_>) -> Result<Watch> {
        let watcher = Watcher::of_this_process()?;
        let dead = Arc::new(AtomicU32::new(0));
        let mut watched = watcher.lock();
        let id = watched.next;
        watched.next += 1;
        let once = EventFlags::IN | EventFlags::ONESHOT;
        epoll::add(&watcher.epoll, descriptor, EventData::new_u64(id), once)?;
        watched.words.insert(id, Arc::clone(&dead));
        drop(watched);
        Ok(Watch { watcher, id, dead })
    }

    /// 0, and 1 once it was readable.
    pub fn word(&self) -> &Arc<AtomicU32> {
        &self.dead
    }

    /// Whether it serves this process, or its parent did before a fork.
    pub fn is_ours(&self) -> bool {
        self.watcher.process == std::process::id()
    }

    /// Forgets it; one that was only closed would stay watched where a child has a copy.
    pub fn end(self, descriptor: BorrowedFd<'_>) {
        if self.is_ours() {
            self.watcher.lock().words.remove(&self.id);
            let _ = epoll::delete(&self.watcher.epoll, descriptor);
        }
    }
}

impl Watcher {
    fn of_this_process() -> Result<&'static Watcher> {
        static EACH: PerProcess<Result<Watcher>> = PerProcess::new();
        let made = EACH.get_or_init(Watcher::new).as_ref();
        let watcher = made.map_err(|errno| *errno)?;
        watcher.started()?;
        Ok(watcher)
    }

    fn new() -> Result<Watcher> {
        Ok(Watcher {
            process: std::process::id(),
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            watched: Mutex::default(),
            thread: OnceLock::new(),
        })
    }

    fn started(&'static self) -> Started {
        *self.thread.get_or_init(|| {
            let thread = std::thread::Builder::new().name("shmkit-watcher".into());
            match thread.spawn(|| self.run()) {
                Ok(_) => Ok(()),
                Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)),
            }
        })
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            // It is interrupted by signals, and cannot fail otherwise.
            if epoll::wait(&self.epoll, spare_capacity(&mut events), None).is_err() {
                continue;
            }
            for event in &events {
                let dead = self.lock().words.remove(&event.data.u64());
                if let Some(dead) = dead {
                    futex::declare_dead(&dead);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
