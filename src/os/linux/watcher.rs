//! The one thread of this process that learns of the ends of other processes.
//!
//! A futex and a pidfd cannot be waited for in one call. So the first wait that needs it starts
//! a thread. The thread sleeps in epoll on the pidfds of all watched processes. For each process
//! that ends the thread sets a word, on which the waiters sleep too. The thread does the same for
//! any descriptor that can be polled, and for a process without a pidfd, which it looks at from
//! time to time. The child of a fork has no such thread and starts its own.

use super::futex;
use super::process::has_gone;
use super::section::Section;
use crate::os::{PerProcess, ProcessIdentity};
use crate::sync::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{AtFlags, CWD, statat};
use rustix::io::{Errno, Result};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at a process without a pidfd.
const LOOK: Duration = Duration::from_millis(10);
/// Between two looks at the names that this process owns.
const NAMES_EVERY: Duration = Duration::from_secs(1);
/// What a waiter finds in its word when that for which it waits has happened.
pub(super) const HAPPENED: u32 = 1;
/// And when nobody watches for it any longer.
const UNWATCHED: u32 = 2;
/// What epoll calls the descriptor that wakes the thread.
const CHANGED: u64 = 0;

/// A watcher thread, and what it watches.
#[derive(Debug)]
struct Watcher {
    process: u32,
    epoll: OwnedFd,
    /// Readable when the thread has to look at `watched` anew.
    changed: OwnedFd,
    watched: Mutex<Watched>,
    /// The thread has ended, since the system no longer lets it wait.
    has_stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct Watched {
    last: u64,
    words: HashMap<u64, Arc<AtomicU32>>,
    /// The processes without a pidfd.
    looked_at: HashMap<u64, ProcessIdentity>,
    /// The names that this process owns.
    names: HashMap<u64, OwnedName>,
}

/// A name that the file of an owner has, until somebody removes it.
#[derive(Clone, Debug)]
struct OwnedName {
    path: String,
    /// Its device and number.
    file: (u64, u64),
    byte: &'static AtomicU8,
    /// Tells the owner of the loss, by its byte.
    tell: fn(&AtomicU8),
}

impl OwnedName {
    /// Whether another file has the name now, or none. What cannot be told is no loss.
    fn is_lost(&self) -> bool {
        match statat(CWD, &*self.path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => (found.st_dev, found.st_ino) != self.file,
            Err(errno) => errno == Errno::NOENT,
        }
    }
}

/// What the thread watches: a descriptor that becomes readable, as a pidfd does when its process
/// ends, or a process that is looked at.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: Arc<Watcher>,
    id: u64,
    dead: Arc<AtomicU32>,
}

impl Watch {
    /// Watches a descriptor, which stays open until [`end`](Watch::end).
    pub fn begin(descriptor: BorrowedFd<'_>) -> Result<Watch> {
        let watch = Watch::new()?;
        let once = EventFlags::IN | EventFlags::ONESHOT;
        // Not before the word is there: the thread looks it up.
        match epoll::add(
            &watch.watcher.epoll,
            descriptor,
            EventData::new_u64(watch.id),
            once,
        ) {
            Ok(()) => Ok(watch),
            Err(errno) => {
                watch.watcher.lock().words.remove(&watch.id);
                Err(errno)
            }
        }
    }

    /// Looks at a process, of which the system gives no pidfd, until [`end`](Watch::end).
    pub fn look_at(process: ProcessIdentity) -> Result<Watch> {
        let watch = Watch::new()?;
        watch.watcher.lock().looked_at.insert(watch.id, process);
        watch.watcher.tell()?;
        Ok(watch)
    }

    fn new() -> Result<Watch> {
        let watcher = Watcher::of_this_process()?;
        let dead = Arc::new(AtomicU32::new(0));
        let mut watched = watcher.lock();
        watched.last += 1;
        let id = watched.last;
        watched.words.insert(id, Arc::clone(&dead));
        drop(watched);
        Ok(Watch { watcher, id, dead })
    }

    /// 0; [`HAPPENED`] once the descriptor was readable or the process had ended; [`UNWATCHED`]
    /// where the thread watches no longer, and somebody else has to look.
    pub fn word(&self) -> &Arc<AtomicU32> {
        &self.dead
    }

    /// Whether a thread of this process still watches. The thread may be that of the parent
    /// before a fork, or have stopped.
    pub fn is_in_force(&self) -> bool {
        self.watcher.is_ours() && !self.watcher.has_stopped()
    }

    /// Forgets it. A descriptor that was only closed would stay watched where a child has a copy
    /// of it.
    pub fn end(self, descriptor: Option<BorrowedFd<'_>>) {
        if !self.watcher.is_ours() {
            return;
        }
        let mut watched = self.watcher.lock();
        watched.words.remove(&self.id);
        watched.looked_at.remove(&self.id);
        drop(watched);
        if let Some(descriptor) = descriptor {
            let _ = epoll::delete(&self.watcher.epoll, descriptor);
        }
    }
}

/// What the thread looks at once a second: that the name of an owner is still there. The files of
/// a user are removed by others: by `rm`, or by a login manager when the user logs out (RemoveIPC).
#[derive(Debug)]
pub(super) struct NameWatch {
    watcher: Arc<Watcher>,
    id: u64,
}

impl NameWatch {
    /// Watches the name of this section, and calls `tell` when the name is lost. `None` where
    /// there is no thread to watch it.
    pub fn begin(
        section: &Section,
        byte: &'static AtomicU8,
        tell: fn(&AtomicU8),
    ) -> Option<NameWatch> {
        let (path, file) = section.named_file()?;
        let watcher = Watcher::of_this_process().ok()?;
        let mut watched = watcher.lock();
        watched.last += 1;
        let id = watched.last;
        let name = OwnedName {
            path: path.to_string(),
            file,
            byte,
            tell,
        };
        watched.names.insert(id, name);
        drop(watched);
        watcher.tell().ok()?;
        Some(NameWatch { watcher, id })
    }
}

impl Drop for NameWatch {
    fn drop(&mut self) {
        if self.watcher.is_ours() {
            self.watcher.lock().names.remove(&self.id);
        }
    }
}

impl Watcher {
    /// The watcher of this process. A start that fails leaves nothing behind: the next call tries
    /// again.
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
        let watcher = Arc::new(Watcher {
            process: std::process::id(),
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            changed: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            watched: Mutex::default(),
            has_stopped: AtomicBool::new(false),
        });
        epoll::add(
            &watcher.epoll,
            watcher.changed.as_fd(),
            EventData::new_u64(CHANGED),
            EventFlags::IN | EventFlags::ET,
        )?;
        let thread = std::thread::Builder::new().name("shmkit-watcher".into());
        let own = Arc::clone(&watcher);
        match thread.spawn(move || own.run()) {
            Ok(_) => Ok(watcher),
            Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)),
        }
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(64);
        let mut names_at = Instant::now() + NAMES_EVERY;
        loop {
            events.clear();
            let timeout = self.timeout(names_at).map(futex::timespec);
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                // Somebody closed the descriptor, as programs that become daemons do.
                Err(_) => return self.stop(),
            }
            for event in &events {
                self.declare(event.data.u64());
            }
            self.look_at_processes();
            if Instant::now() >= names_at {
                names_at = Instant::now() + NAMES_EVERY;
                self.look_at_names();
            }
        }
    }

    /// How long the thread may sleep.
    fn timeout(&self, names_at: Instant) -> Option<Duration> {
        let watched = self.lock();
        if !watched.looked_at.is_empty() {
            Some(LOOK)
        } else if !watched.names.is_empty() {
            Some(names_at.saturating_duration_since(Instant::now()))
        } else {
            None
        }
    }

    /// Looks at the processes without a pidfd.
    fn look_at_processes(&self) {
        let looked_at = self.lock().looked_at.clone();
        for (id, process) in looked_at {
            if has_gone(process) == Ok(true) {
                self.declare(id);
            }
        }
    }

    fn look_at_names(&self) {
        let names: Vec<(u64, OwnedName)> = self.lock().names.clone().into_iter().collect();
        for (id, name) in names.into_iter().filter(|(_, name)| name.is_lost()) {
            // Under the lock: a name that is no longer watched has given its byte back.
            let mut watched = self.lock();
            if watched.names.remove(&id).is_some() {
                (name.tell)(name.byte);
            }
        }
    }

    fn declare(&self, id: u64) {
        let mut watched = self.lock();
        watched.looked_at.remove(&id);
        let dead = watched.words.remove(&id);
        drop(watched);
        if let Some(dead) = dead {
            futex::tell(&dead, HAPPENED);
        }
    }

    /// Wakes all waiters. They look for themselves, and begin a new watch.
    fn stop(&self) {
        // Release: pairs with the acquire of `has_stopped`.
        self.has_stopped.store(true, Ordering::Release);
        for word in self.lock().words.values() {
            futex::tell(word, UNWATCHED);
        }
    }

    fn has_stopped(&self) -> bool {
        // Acquire: pairs with the release of `stop`.
        self.has_stopped.load(Ordering::Acquire)
    }

    fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    /// Lets the thread look at what it watches.
    fn tell(&self) -> Result<()> {
        match rustix::io::write(&self.changed, &1u64.to_ne_bytes()) {
            // The thread has not come to the last call yet.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
