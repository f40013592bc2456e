//! The watch of more processes than one sleep can watch.
//!
//! On Windows a thread waits for at most 64 objects, and an owner may have a thousand participants.
//! Worker threads (`wait/reactor.rs`) wait for the ends of the processes beyond the first 63, each
//! thread for some sixty. A worker wakes the owner by the event on which the owner sleeps. On Linux
//! one thread watches all processes, and no sleep has a limit.

use crate::error::Result;
use crate::object::process::Process;
use crate::os::{self, ParkerBackend};
use crate::segment::participant::Participant;
use crate::sync::{AtomicBool, Ordering};
use crate::wait::reactor::{Notice, Registrations, What, register};
use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// How often a participant asks for each peer whether it is alive. The system does not report that a
/// process has replaced its program (`exec`).
const ASK_EACH: Duration = Duration::from_secs(1);

/// The time at which a participant last asked for each peer whether it is alive.
#[derive(Debug)]
pub(crate) struct AskedEach(Instant);

impl Default for AskedEach {
    fn default() -> AskedEach {
        AskedEach(Instant::now())
    }
}

impl AskedEach {
    /// Returns whether it is time to ask for each peer again, and notes that it is done.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now - self.0 > ASK_EACH;
        if is_due {
            self.0 = now;
        }
        is_due
    }
}

/// The most processes that one sleep can watch.
pub(crate) const MAX_PEERS: usize = <os::Parker as ParkerBackend>::MAX_PEERS;

/// The watch of the processes beyond those that one sleep can watch.
#[derive(Debug, Default)]
pub(crate) struct PeerWatch {
    owner: Option<Arc<Owner>>,
    /// By slot and slot epoch.
    watched: HashMap<(usize, u32), Registrations>,
}

/// The owner, for the worker threads.
#[derive(Debug)]
struct Owner {
    has_ended: AtomicBool,
    parker: os::Parker,
}

impl Wake for Owner {
    fn wake(self: Arc<Owner>) {
        // Release: pairs with the acquire of `has_told`.
        self.has_ended.store(true, Ordering::Release);
        self.parker.unpark();
    }
}

impl PeerWatch {
    /// Watches these processes, and no others. Returns `false` if the end of one of them would not
    /// wake the owner.
    pub fn watch<'a>(
        &mut self,
        rest: impl Iterator<Item = ((usize, u32), &'a Process)>,
        owner: &Participant,
    ) -> bool {
        let mut rest = rest.peekable();
        if rest.peek().is_none() {
            self.watched.clear();
            return true;
        }

        let mut before = std::mem::take(&mut self.watched);
        for (slot, process) in rest {
            let watched = before.remove(&slot).map(Ok);
            match watched.unwrap_or_else(|| self.begin(process, owner)) {
                Ok(watched) => drop(self.watched.insert(slot, watched)),
                Err(_) => return false,
            }
        }
        true
    }

    fn begin(&mut self, process: &Process, owner: &Participant) -> Result<Registrations> {
        let owner = match &self.owner {
            Some(owner) => owner,
            None => self.owner.insert(Arc::new(Owner {
                has_ended: AtomicBool::new(false),
                parker: owner.own_parker()?,
            })),
        };
        let waker = Waker::from(Arc::clone(owner));
        register([(What::Signal(process.signal()?), Notice::new(&waker))])
    }

    /// Returns whether one of the processes has ended since the last call.
    pub fn has_told(&self) -> bool {
        // Acquire: pairs with the release of `wake`.
        let told = |owner: &Arc<Owner>| owner.has_ended.swap(false, Ordering::Acquire);
        self.owner.as_ref().is_some_and(told)
    }
}
