//! Signals. Each is a word, so that a thread can sleep on several signals in one system call.

use super::error::explain;
use super::event_word::State;
use super::futex;
use super::park_word::{Latch, ParkWord};
use super::watcher::Watch;
use super::words::{self, Condition, WaitSource, WaitedWord};
use crate::error::{Operation, Result};
use crate::os::{GateBackend, OwnedObject, Reset, WaitHandleBackend, Woken};
use crate::sync::AtomicU32;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// A signal that may happen. A clone is the same signal for another thread.
#[derive(Clone, Debug)]
pub(crate) enum Signal {
    /// An event, with the value that its word had when the wait began.
    Event(Arc<State>, u32),
    /// The park word of a participant.
    Park(Arc<ParkWord>),
    /// A latch: 0 until the end has happened, or until the waiter has to check.
    Once(Arc<Latch>),
    /// A gate: 1 while it is open; the waiter closes it.
    Gate(Arc<AtomicU32>),
}

impl Signal {
    /// Returns whether a wait that the signal ends takes the signal. Then no other wait may include
    /// the signal.
    pub fn is_taken(&self) -> bool {
        matches!(self, Signal::Event(..) | Signal::Park(_) | Signal::Gate(_))
    }
}

impl WaitSource for Signal {
    type Word = AtomicU32;

    fn waited_word(&self) -> WaitedWord<'_, AtomicU32> {
        let (word, condition) = match self {
            Signal::Event(state, before) => return state.waited_word(*before),
            Signal::Park(word) => (word.word(), Condition::Auto),
            Signal::Once(latch) => (latch.word(), Condition::Once),
            Signal::Gate(word) => (&**word, Condition::Auto),
        };
        WaitedWord { word, condition }
    }
}

/// The most signals that [`wait_any`] takes.
pub(crate) const MOST_SIGNALS: usize = futex::MOST;

/// Waits for one of the signals. There are no messages to windows on this system.
pub(crate) fn wait_any(signals: &[Signal], until: Option<Instant>, _input: bool) -> Result<Woken> {
    words::wait_any(signals, until)
        .map_err(|errno| explain(Operation::Wait, &"several things", errno))
}

/// A signal of this process to itself.
#[derive(Debug)]
pub(crate) struct Gate(Arc<AtomicU32>);

impl GateBackend for Gate {
    fn new() -> Result<Gate> {
        Ok(Gate(Arc::new(AtomicU32::new(0))))
    }

    fn open(&self) {
        words::set(&*self.0, Reset::Auto);
    }

    fn signal(&self) -> Signal {
        Signal::Gate(Arc::clone(&self.0))
    }
}

/// A descriptor that can be polled.
#[derive(Debug)]
pub(crate) struct WaitHandle {
    descriptor: OwnedFd,
    /// The last watch, which may have reported already.
    watch: std::sync::Mutex<Option<Watch>>,
}

impl WaitHandle {
    fn set_watch(&self, watch: Option<Watch>) {
        let mut last = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = std::mem::replace(&mut *last, watch) {
            last.end(self.descriptor.as_fd());
        }
    }
}

const SUBJECT: &str = "a descriptor";

impl WaitHandleBackend for WaitHandle {
    const IS_TAKEN: bool = false;

    fn new(descriptor: OwnedObject) -> WaitHandle {
        WaitHandle {
            descriptor,
            watch: std::sync::Mutex::default(),
        }
    }

    fn object(&self) -> &OwnedObject {
        &self.descriptor
    }

    fn try_wait(&self) -> Result<bool> {
        readable(self.descriptor.as_fd(), Some(Instant::now()))
            .map_err(|errno| explain(Operation::Wait, &SUBJECT, errno))
    }

    fn signal(&self) -> Result<Signal> {
        // A watch reports once, and a descriptor can be watched once at a time.
        self.set_watch(None);
        let watch = Watch::begin(self.descriptor.as_fd())
            .map_err(|errno| explain(Operation::Watch, &SUBJECT, errno))?;
        let latch = Arc::clone(watch.latch());
        self.set_watch(Some(watch));
        Ok(Signal::Once(latch))
    }
}

impl Drop for WaitHandle {
    fn drop(&mut self) {
        self.set_watch(None);
    }
}

/// Waits until a descriptor is readable; returns whether it is when the time is over. A pidfd is
/// readable after its process has ended.
pub(super) fn readable(
    descriptor: BorrowedFd<'_>,
    until: Option<Instant>,
) -> rustix::io::Result<bool> {
    loop {
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = left.map(futex::timespec);
        let mut fds = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
        // "EINTR: A signal occurred before any requested event" (poll). That happens also without a
        // time to wait.
        let found = retry_on_intr(|| poll(&mut fds, timeout.as_ref()))? > 0;
        if found || until.is_some_and(|at| Instant::now() >= at) {
            return Ok(found);
        }
    }
}
