//! The polling thread of this process: it checks what the system does not report, which is the end
//! of processes without a pidfd and of participants in other pid namespaces, and the loss of names
//! that this process owns.
//!
//! The first registration starts the thread, which then never ends. The thread has no descriptors,
//! so a program that closes all unknown descriptors (`close_range`, as daemons do) takes nothing
//! from the thread. The child of a fork starts a thread of its own.

use super::life_locks::LifeLocks;
use super::park_word::{HAPPENED, Latch};
use super::proc::has_gone;
use super::section::Section;
use crate::os::{PerProcess, ProcessIdentity};
use crate::sync::AtomicU8;
use rustix::fs::{AtFlags, CWD, stat, statat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time between two checks of a process or a participant.
const PROCESS_INTERVAL: Duration = Duration::from_millis(20);
/// The time between two checks of the names that this process owns.
const NAME_INTERVAL: Duration = Duration::from_secs(1);

struct Poller {
    process: u32,
    polled: Mutex<Polled>,
    /// Notified when an entry was added.
    changed: Condvar,
}

/// What the thread checks, by the number of the registration.
#[derive(Default)]
struct Polled {
    last_id: u64,
    has_thread: bool,
    processes: HashMap<u64, (PolledPeer, Arc<Latch>)>,
    names: HashMap<u64, OwnedName>,
}

/// What is polled until it has ended.
pub(super) enum PolledPeer {
    Process(ProcessIdentity),
    /// The participant with this number.
    Life(LifeLocks, usize),
}

impl PolledPeer {
    fn has_ended(&self) -> bool {
        match self {
            PolledPeer::Process(identity) => has_gone(*identity) == Ok(true),
            PolledPeer::Life(lives, place) => matches!(lives.is_free(*place), Ok(true)),
        }
    }
}

/// A name that the file of an owner has, until another process removes it.
struct OwnedName {
    path: String,
    descriptor: i32,
    /// The device and inode number of the file.
    file: (u64, u64),
    byte: &'static AtomicU8,
    /// Reports the loss of the name to the owner, by the owner's byte.
    report: fn(&AtomicU8),
}

impl OwnedName {
    /// Returns whether the file has lost its name, or another file has the name. A path that is not
    /// found proves nothing: this process may have changed its root folder.
    fn is_lost(&self) -> bool {
        let named = statat(CWD, &*self.path, AtFlags::SYMLINK_NOFOLLOW);
        if let Ok(named) = named {
            return (named.st_dev, named.st_ino) != self.file;
        }
        let own = stat(format!("/proc/self/fd/{}", self.descriptor));
        own.is_ok_and(|own| (own.st_dev, own.st_ino) == self.file && own.st_nlink == 0)
    }
}

/// An entry of the polling thread, which is removed when the registration is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    id: u64,
    process: u32,
}

impl Registration {
    /// Registers a process or a participant. The thread sets the latch when it has ended.
    pub fn of_peer(peer: PolledPeer, latch: Arc<Latch>) -> rustix::io::Result<Registration> {
        Registration::add(|polled, id| drop(polled.processes.insert(id, (peer, latch))))
    }

    /// Registers the name of a section that this process owns. The thread calls `report` once when
    /// the name is lost: by `rm`, or by a login manager when the user logs out (RemoveIPC). Returns
    /// `None` where the thread cannot be started.
    pub fn of_name(
        section: &Section,
        byte: &'static AtomicU8,
        report: fn(&AtomicU8),
    ) -> Option<Registration> {
        let (path, descriptor, file) = section.named_file()?;
        let name = OwnedName {
            path: path.to_string(),
            descriptor,
            file,
            byte,
            report,
        };
        Registration::add(|polled, id| drop(polled.names.insert(id, name))).ok()
    }

    fn add(insert: impl FnOnce(&mut Polled, u64)) -> rustix::io::Result<Registration> {
        let poller = Poller::of_this_process();
        let mut polled = poller.lock();
        if !polled.has_thread {
            let thread = std::thread::Builder::new().name("shmkit-poller".into());
            let started = thread.spawn(|| poller.run());
            started.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
            polled.has_thread = true;
        }

        polled.last_id += 1;
        let id = polled.last_id;
        insert(&mut polled, id);
        drop(polled);
        poller.changed.notify_one();
        Ok(Registration {
            id,
            process: poller.process,
        })
    }

    /// Returns whether the thread of this registration runs in this process, and not in the parent
    /// before a fork.
    pub fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.is_of_this_process() {
            let mut polled = Poller::of_this_process().lock();
            polled.processes.remove(&self.id);
            // Under the lock: the thread stores to no byte that was given back.
            polled.names.remove(&self.id);
        }
    }
}

impl Poller {
    fn of_this_process() -> &'static Poller {
        static EACH: PerProcess<Poller> = PerProcess::new();
        EACH.get_or_init(|| Poller {
            process: std::process::id(),
            polled: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn run(&self) {
        let mut names_at = Instant::now() + NAME_INTERVAL;
        let mut polled = self.lock();
        loop {
            polled = self.pause(polled, names_at);

            let has_ended = |_: &u64, (peer, latch): &mut (PolledPeer, Arc<Latch>)| {
                let has_ended = peer.has_ended();
                if has_ended {
                    latch.set(HAPPENED);
                }
                has_ended
            };
            polled.processes.extract_if(has_ended).for_each(drop);

            if Instant::now() >= names_at {
                names_at = Instant::now() + NAME_INTERVAL;
                let lost = polled.names.extract_if(|_, name| name.is_lost());
                lost.for_each(|(_, name)| (name.report)(name.byte));
            }
        }
    }

    /// Sleeps until the next check, or until an entry is added.
    fn pause<'a>(
        &self,
        polled: MutexGuard<'a, Polled>,
        names_at: Instant,
    ) -> MutexGuard<'a, Polled> {
        let pause = if !polled.processes.is_empty() {
            PROCESS_INTERVAL
        } else if !polled.names.is_empty() {
            names_at.saturating_duration_since(Instant::now())
        } else {
            let woken = self.changed.wait(polled);
            return woken.unwrap_or_else(PoisonError::into_inner);
        };
        let woken = self.changed.wait_timeout(polled, pause);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Polled> {
        self.polled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
