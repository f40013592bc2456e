//! What a thread can sleep on together with others: a word in each case.

use super::errno::explain;
use super::event::State;
use super::futex;
use super::process::readable;
use super::watcher::Watch;
use crate::error::{Operation, Result};
use crate::os::{GateBackend, HandleBackend, OwnedObject, Woken};
use crate::sync::{AtomicU32, Ordering};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Something that may happen. A clone is the same for another thread.
#[derive(Clone, Debug)]
pub(crate) enum Signal {
    /// With its word from when somebody began to wait.
    Event(Arc<State>, u32),
    /// 0 until it has happened, or somebody has to look: what the watcher watches.
    Once(Arc<AtomicU32>),
    /// 1 while it is open; who waits closes it.
    Gate(Arc<AtomicU32>),
}

impl Signal {
    fn word(&self) -> &AtomicU32 {
        match self {
            Signal::Event(state, _) => state.word(),
            Signal::Once(word) | Signal::Gate(word) => word,
        }
    }

    fn now(&self) -> u32 {
        self.word().load(Ordering::Relaxed)
    }

    /// Whether a wait that it ends takes it, so that no other one may wait for it then.
    pub fn is_taken(&self) -> bool {
        matches!(self, Signal::Event(..) | Signal::Gate(_))
    }

    /// Whether it has happened; takes what one may take.
    fn take(&self) -> bool {
        match self {
            Signal::Event(state, before) => state.take(*before),
            // Acquire: pairs with the release of `futex::tell`.
            Signal::Once(word) => word.load(Ordering::Acquire) != 0,
            // Acquire: pairs with the release of `Gate::open`.
            Signal::Gate(word) => word.swap(0, Ordering::Acquire) != 0,
        }
    }
}

/// As many as [`wait_any`] takes.
pub(crate) const MOST_SIGNALS: usize = futex::MOST;

/// There are no messages to windows here, so none are waited for.
pub(crate) fn wait_any(signals: &[Signal], until: Option<Instant>, _input: bool) -> Result<Woken> {
    let mut words = Vec::with_capacity(signals.len());
    loop {
        words.clear();
        words.extend(signals.iter().map(|signal| match signal {
            // Once it has happened there is nothing to sleep for.
            Signal::Once(word) => (&**word, 0),
            other => (other.word(), other.now()),
        }));
        // After the words were loaded: a signal from now on changes one.
        if let Some(n) = signals.iter().position(Signal::take) {
            return Ok(Woken::Signal(n));
        }
        if until.is_some_and(|at| Instant::now() >= at) {
            return Ok(Woken::TimedOut);
        }
        futex::sleep(&words, until)
            .map_err(|errno| explain(Operation::Wait, &"several things", errno))?;
    }
}

/// A signal of this process to itself.
#[derive(Debug)]
pub(crate) struct Gate(Arc<AtomicU32>);

impl GateBackend for Gate {
    fn new() -> Result<Gate> {
        Ok(Gate(Arc::new(AtomicU32::new(0))))
    }

    fn open(&self) {
        // Release: pairs with the acquire of `take`.
        self.0.store(1, Ordering::Release);
        futex::wake(&self.0);
    }

    fn signal(&self) -> Signal {
        Signal::Gate(Arc::clone(&self.0))
    }
}

/// A descriptor that can be polled.
#[derive(Debug)]
pub(crate) struct Handle {
    descriptor: OwnedFd,
    /// The last one, which may have told already.
    watch: std::sync::Mutex<Option<Watch>>,
}

impl Handle {
    fn set_watch(&self, watch: Option<Watch>) {
        let mut last = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = std::mem::replace(&mut *last, watch) {
            last.end(self.descriptor.as_fd());
        }
    }
}

const SUBJECT: &str = "a descriptor";

impl HandleBackend for Handle {
    const IS_TAKEN: bool = false;

    fn new(descriptor: OwnedObject) -> Handle {
        Handle {
            descriptor,
            watch: std::sync::Mutex::default(),
        }
    }

    fn object(&self) -> &OwnedObject {
        &self.descriptor
    }

    fn try_wait(&self) -> Result<bool> {
        readable(&self.descriptor, Some(Instant::now()))
            .map_err(|errno| explain(Operation::Wait, &SUBJECT, errno))
    }

    fn signal(&self) -> Result<Signal> {
        // One watch tells once, and a descriptor is watched once at a time.
        self.set_watch(None);
        let watch = Watch::begin(self.descriptor.as_fd())
            .map_err(|errno| explain(Operation::Watch, &SUBJECT, errno))?;
        let word = Arc::clone(watch.word());
        self.set_watch(Some(watch));
        Ok(Signal::Once(word))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.set_watch(None);
    }
}
