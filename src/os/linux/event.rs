//! An event: a word in a small file, on which its waiters sleep.
//!
//! The word of an auto-reset event is 1 while the event is signaled. A thread that changes it to 0
//! has taken the signal. The word of a manual-reset event is odd while the event is signaled, and
//! the bits above count how often it was signaled: so a waiter notices a signal that was reset
//! before it woke up.

use super::RawObject;
use super::event_word::{self, State};
use super::object::{self, LEN, Object};
use super::signal::{Signal, wait_any};
use super::view::View;
use super::words;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::FIRST_COUNT;
use crate::name::Name;
use crate::os::{
    EventBackend, HowToCreate, HowToOpen, Kind, LONGEST_SLEEP, LOOK_BACK, MAX_PEERS, ObjectBackend,
    ObjectInfo, Process, ProcessBackend, Protection, Reset, Wake, Woken, deadline_after,
    deadline_within,
};
use crate::sync::{AtomicU32, Ordering};
use rustix::fs::FallocateFlags;
use rustix::io::pwrite;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The values of the header's detail.
const AUTO: u32 = 0;
const MANUAL: u32 = 1;

#[derive(Debug)]
pub(crate) struct Event {
    state: Arc<State>,
    object: Object,
    writable: bool,
}

impl Event {
    fn new(object: Object, name: &Name, writable: bool, may_write: bool) -> Result<Event> {
        let protection = if may_write {
            Protection::ReadWrite
        } else {
            Protection::ReadOnly
        };
        let reset = match object::detail(&object) {
            MANUAL => Reset::Manual,
            _ => Reset::Auto,
        };

        let subject = name.to_string();
        let view = View::new(object.file().as_fd(), protection, 0, LEN, subject.clone())?;

        Ok(Event {
            state: Arc::new(State {
                view,
                reset,
                may_write,
                subject,
            }),
            object,
            writable,
        })
    }

    fn word(&self) -> &AtomicU32 {
        self.state.word()
    }
}

impl ObjectBackend for Event {
    fn raw(&self) -> RawObject {
        object::raw(&self.object)
    }

    fn info(&self) -> ObjectInfo {
        self.object.info()
    }
}

impl EventBackend for Event {
    fn create(name: &Name, reset: Reset, how: &HowToCreate) -> Result<Event> {
        let detail = match reset {
            Reset::Auto => AUTO,
            Reset::Manual => MANUAL,
        };

        let object = Object::create(name, Kind::Event, LEN as u64, how, |file| {
            object::allocate(file, FallocateFlags::empty(), 0, LEN as u64)?;
            if detail == MANUAL {
                // An even number, which is not signaled.
                pwrite(
                    file,
                    &(FIRST_COUNT as u32).to_le_bytes(),
                    event_word::STATE as u64,
                )?;
            }
            pwrite(file, &object::header(Kind::Event, detail), 0).map(|_| ())
        })?;

        Event::new(object, name, true, true)
    }

    fn open(name: &Name, how: &HowToOpen) -> Result<Event> {
        // A wait for an auto-reset event changes the event.
        let write = HowToOpen {
            write: true,
            ..how.clone()
        };
        match Object::open(name, Kind::Event, &write) {
            Err(error) if error.kind() == ErrorKind::AccessDenied && !how.write => {
                let object = Object::open(name, Kind::Event, how)?;
                Event::new(object, name, false, false)
            }
            opened => Event::new(opened?, name, how.write, true),
        }
    }

    fn reset_mode(&self) -> Option<Reset> {
        Some(self.state.reset)
    }

    fn writable(&self) -> bool {
        self.writable
    }

    fn is_set(&self) -> Option<bool> {
        Some(self.word().load(Ordering::Relaxed) & 1 == 1)
    }

    fn set(&self) -> Result<()> {
        words::set(self.state.writable_word(), self.state.reset);
        Ok(())
    }

    fn reset(&self) -> Result<()> {
        words::unset(self.state.writable_word());
        Ok(())
    }

    fn signal(&self) -> Result<Signal> {
        let state = &self.state;
        if state.reset == Reset::Auto && !state.may_write {
            let meaning = "its owner lets this account only read it, and waiting for an auto-reset event changes the event";
            let kind = ErrorKind::AccessDenied;
            let error = Error::new(kind, Operation::Wait, &state.subject, meaning);
            return Err(error
                .with_advice("run as its owner, or have the owner make it a manual-reset event"));
        }
        Ok(Signal::Event(
            Arc::clone(state),
            self.word().load(Ordering::Relaxed),
        ))
    }

    fn wait(&self, peers: &[&Process], timeout: Option<Duration>) -> Result<Wake> {
        debug_assert!(peers.len() <= MAX_PEERS);

        let until = deadline_after(timeout);
        let before = self.word().load(Ordering::Relaxed);
        loop {
            let mut signals = Vec::with_capacity(1 + peers.len());
            signals.push(self.signal()?);
            if self.state.take(before) {
                return Ok(Wake::Signaled);
            }

            // Where this process has no descriptor left for the watch of a peer, it checks below
            // whether the peer has ended.
            signals.extend(peers.iter().filter_map(|peer| peer.signal().ok()));
            let slice = if signals.len() > peers.len() {
                LONGEST_SLEEP
            } else {
                LOOK_BACK
            };

            match wait_any(&signals, deadline_within(slice, until), false)? {
                Woken::Signal(0) => return Ok(Wake::Signaled),
                // A signal that the process sent before it died goes first.
                Woken::Signal(_) if self.state.take(before) => return Ok(Wake::Signaled),
                Woken::Signal(_) | Woken::TimedOut | Woken::Input => {}
            }

            // A death goes before the time-out, also a death of which the watcher has not learned
            // yet.
            for peer in peers {
                if peer.wait(Some(Duration::ZERO))? {
                    return Ok(Wake::PeerDied);
                }
            }

            if until.is_some_and(|at| Instant::now() >= at) {
                return Ok(Wake::TimedOut);
            }
        }
    }
}
