//! The one thread of this process that learns of deaths.
//!
//! A futex and a pidfd cannot be waited for in one call. So a thread, started by the
//! first wait that needs it, sleeps on the pidfds of all watched processes, and for
//! each that ends sets a word on which its waiters sleep too. After a fork the child
//! has no such thread, and starts its own.

use super::futex;
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
    /// That of a child that was forked from this process.
    next: OnceLock<Made>,
}

type Made = Result<Box<Watcher>>;
type Started = Result<()>;

#[derive(Debug, Default)]
struct Watched {
    next: u64,
    words: HashMap<u64, Arc<AtomicU32>>,
}

/// A pidfd under watch.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: &'static Watcher,
    id: u64,
    dead: Arc<AtomicU32>,
}

impl Watch {
    /// Watches the process, whose pidfd stays open until [`end`](Watch::end).
    pub fn begin(process: BorrowedFd<'_>) -> Result<Watch> {
        let watcher = Watcher::of_this_process()?;
        let dead = Arc::new(AtomicU32::new(0));
        let mut watched = watcher.lock();
        let id = watched.next;
        watched.next += 1;
        let once = EventFlags::IN | EventFlags::ONESHOT;
        epoll::add(&watcher.epoll, process, EventData::new_u64(id), once)?;
        watched.words.insert(id, Arc::clone(&dead));
        drop(watched);
        Ok(Watch { watcher, id, dead })
    }

    /// 0, and 1 once the process has ended.
    pub fn word(&self) -> &Arc<AtomicU32> {
        &self.dead
    }

    /// Whether it serves this process, or its parent did before a fork.
    pub fn is_ours(&self) -> bool {
        self.watcher.process == std::process::id()
    }

    /// Forgets it; a pidfd that was only closed would stay watched where a child
    /// has a copy.
    pub fn end(self, process: BorrowedFd<'_>) {
        if self.is_ours() {
            self.watcher.lock().words.remove(&self.id);
            let _ = epoll::delete(&self.watcher.epoll, process);
        }
    }
}

impl Watcher {
    fn of_this_process() -> Result<&'static Watcher> {
        static FIRST: OnceLock<Made> = OnceLock::new();
        let mut link = &FIRST;
        loop {
            let made = link.get_or_init(Watcher::new).as_ref();
            let watcher = made.map_err(|errno| *errno)?;
            if watcher.process == std::process::id() {
                watcher.started()?;
                return Ok(watcher);
            }
            // Made before the fork that made us.
            link = &watcher.next;
        }
    }

    fn new() -> Made {
        Ok(Box::new(Watcher {
            process: std::process::id(),
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            watched: Mutex::default(),
            thread: OnceLock::new(),
            next: OnceLock::new(),
        }))
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
