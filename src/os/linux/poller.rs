//! The one thread of this process that looks from time to time, where the system tells nothing: at
//! processes without a pidfd, and at the names that this process owns.
//!
//! The thread is started by the first of them, and then stays. It has no descriptors, so that a
//! program that closes all it does not know (`close_range`, as daemons do) takes nothing from it.
//! The child of a fork starts its own.

use super::proc::has_gone;
use super::section::Section;
use super::words;
use crate::os::{PerProcess, ProcessIdentity};
use crate::sync::{AtomicU8, AtomicU32};
use rustix::fs::{AtFlags, CWD, stat, statat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at a process without a pidfd.
const PROCESSES_EVERY: Duration = Duration::from_millis(10);
/// Between two looks at the names that this process owns.
const NAMES_EVERY: Duration = Duration::from_secs(1);

struct Looker {
    process: u32,
    seen: Mutex<Seen>,
    /// There is more to look at.
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    last: u64,
    has_thread: bool,
    processes: HashMap<u64, (ProcessIdentity, Arc<AtomicU32>)>,
    names: HashMap<u64, OwnedName>,
}

/// A name that the file of an owner has, until somebody removes it.
struct OwnedName {
    path: String,
    descriptor: i32,
    /// The device and number of the file.
    file: (u64, u64),
    byte: &'static AtomicU8,
    /// Tells the owner of the loss, by its byte.
    tell: fn(&AtomicU8),
}

impl OwnedName {
    /// Whether the file has no name any more, or another file has its name. A path that is not to be
    /// found says nothing: this process may have another root folder by now.
    fn is_lost(&self) -> bool {
        let named = statat(CWD, &*self.path, AtFlags::SYMLINK_NOFOLLOW);
        if let Ok(named) = named {
            return (named.st_dev, named.st_ino) != self.file;
        }
        let own = stat(format!("/proc/self/fd/{}", self.descriptor));
        own.is_ok_and(|own| (own.st_dev, own.st_ino) == self.file && own.st_nlink == 0)
    }
}

/// What the thread looks at, until this is dropped.
#[derive(Debug)]
pub(super) struct Look {
    id: u64,
    process: u32,
}

impl Look {
    /// Looks at a process, and stores `value` in the word and wakes its sleepers when the process has
    /// ended.
    pub fn at_process(process: ProcessIdentity, dead: Arc<AtomicU32>) -> rustix::io::Result<Look> {
        Look::begin(|seen, id| drop(seen.processes.insert(id, (process, dead))))
    }

    /// Looks at the name of a section that this process owns, and calls `tell` once when the name is
    /// lost: by `rm`, or by a login manager when the user logs out (RemoveIPC). `None` where there is
    /// no thread to do it.
    pub fn at_name(
        section: &Section,
        byte: &'static AtomicU8,
        tell: fn(&AtomicU8),
    ) -> Option<Look> {
        let (path, descriptor, file) = section.named_file()?;
        let name = OwnedName {
            path: path.to_string(),
            descriptor,
            file,
            byte,
            tell,
        };
        Look::begin(|seen, id| drop(seen.names.insert(id, name))).ok()
    }

    fn begin(add: impl FnOnce(&mut Seen, u64)) -> rustix::io::Result<Look> {
        let looker = Looker::of_this_process();
        let mut seen = looker.lock();
        if !seen.has_thread {
            let thread = std::thread::Builder::new().name("shmkit-looker".into());
            let started = thread.spawn(|| looker.run());
            started.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
            seen.has_thread = true;
        }
        seen.last += 1;
        let id = seen.last;
        add(&mut seen, id);
        drop(seen);
        looker.changed.notify_one();
        Ok(Look {
            id,
            process: looker.process,
        })
    }

    /// Whether a thread of this process looks, and not that of the parent before a fork.
    pub fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if self.is_ours() {
            let mut seen = Looker::of_this_process().lock();
            seen.processes.remove(&self.id);
            // Under the lock: the thread stores to no byte that was given back.
            seen.names.remove(&self.id);
        }
    }
}

impl Looker {
    fn of_this_process() -> &'static Looker {
        static EACH: PerProcess<Looker> = PerProcess::new();
        EACH.get_or_init(|| Looker {
            process: std::process::id(),
            seen: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn run(&self) {
        let mut names_at = Instant::now() + NAMES_EVERY;
        let mut seen = self.lock();
        loop {
            let pause = if !seen.processes.is_empty() {
                PROCESSES_EVERY
            } else if !seen.names.is_empty() {
                names_at.saturating_duration_since(Instant::now())
            } else {
                Duration::MAX
            };
            seen = match pause {
                Duration::MAX => self
                    .changed
                    .wait(seen)
                    .unwrap_or_else(PoisonError::into_inner),
                pause => {
                    let waited = self.changed.wait_timeout(seen, pause);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            let gone = |_: &u64, (process, dead): &mut (ProcessIdentity, Arc<AtomicU32>)| {
                let has_gone = has_gone(*process) == Ok(true);
                if has_gone {
                    words::tell(&**dead, super::watcher::HAPPENED);
                }
                has_gone
            };
            seen.processes.extract_if(gone).for_each(drop);
            if Instant::now() >= names_at {
                names_at = Instant::now() + NAMES_EVERY;
                let lost = seen.names.extract_if(|_, name| name.is_lost());
                lost.for_each(|(_, name)| (name.tell)(name.byte));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
