//! Signals. Each is a handle, so that a thread can wait for several signals in one system call.

use super::call::{self, Ended};
use super::error::explain;
use super::watched::Watched;
use crate::error::{Operation, Result};
use crate::os::{GateBackend, OwnedObject, WaitHandleBackend, Woken, deadline_after};
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A signal that may happen. A clone is the same signal for another thread.
#[derive(Clone, Debug)]
pub(crate) enum Signal {
    Object(Arc<OwnedHandle>),
    Death(Arc<Watched>),
}

impl Signal {
    /// Returns whether a wait that the signal ends takes the signal. Then no other wait may include
    /// the signal.
    pub fn is_taken(&self) -> bool {
        matches!(self, Signal::Object(_))
    }

    /// Returns the handle; `None` where the signal is known to have happened.
    fn handle(&self) -> Option<BorrowedHandle<'_>> {
        match self {
            Signal::Object(handle) => Some(handle.as_handle()),
            Signal::Death(watched) => watched.death(),
        }
    }
}

/// The most signals that [`wait_any`] takes, one less than `WaitForMultipleObjects`: "The maximum
/// number of object handles is MAXIMUM_WAIT_OBJECTS minus one" (MsgWaitForMultipleObjectsEx).
pub(crate) const MOST_SIGNALS: usize = 63;

/// Waits for one of the signals and, if `input` is `true`, for a message to a window of this
/// thread. If `input` is `false`, there may be one signal more than [`MOST_SIGNALS`].
pub(crate) fn wait_any(signals: &[Signal], until: Option<Instant>, input: bool) -> Result<Woken> {
    let mut handles = Vec::with_capacity(signals.len());
    let mut indices = Vec::with_capacity(signals.len());
    let mut happened = None;

    for (n, signal) in signals.iter().enumerate() {
        match signal.handle() {
            // "It may not contain multiple copies of the same handle" (WaitForMultipleObjects).
            Some(handle) if !handles.iter().any(|one| is_same(one, &handle)) => {
                handles.push(handle);
                indices.push(n);
            }
            Some(_) => {}
            None => happened = happened.or(Some(n)),
        }
    }

    // A signal that has happened needs no wait. But signals in front of it go first, so all handles
    // are checked once.
    let until = match happened {
        Some(_) => deadline_after(Some(Duration::ZERO)),
        None => until,
    };

    let waited = if input {
        call::wait_or_input(&handles, until)
    } else {
        call::wait(&handles, until)
    };
    let woken = waited.map_err(|code| explain(Operation::Wait, &"several things", code))?;

    Ok(match woken {
        Ended::Signaled(n) | Ended::Abandoned(n) => {
            let n = indices[n];
            if let Signal::Death(watched) = &signals[n] {
                watched.give_back();
            }
            Woken::Signal(n)
        }
        Ended::Input => Woken::Input,
        Ended::TimedOut => {
            let orphan = || signals.iter().position(|signal| signal.handle().is_none());
            happened
                .or_else(orphan)
                .map_or(Woken::TimedOut, Woken::Signal)
        }
    })
}

fn is_same(one: &BorrowedHandle<'_>, other: &BorrowedHandle<'_>) -> bool {
    one.as_raw_handle() == other.as_raw_handle()
}

/// A signal of this process to itself.
#[derive(Debug)]
pub(crate) struct Gate(Arc<OwnedHandle>);

impl GateBackend for Gate {
    fn new() -> Result<Gate> {
        let made = call::create_gate();
        let handle = made.map_err(|code| explain(Operation::Create, &"an event", code))?;
        Ok(Gate(Arc::new(handle)))
    }

    fn open(&self) {
        let set = call::set_event(self.0.as_handle());
        debug_assert!(set.is_ok(), "SetEvent of our own: {set:?}");
    }

    fn signal(&self) -> Signal {
        Signal::Object(Arc::clone(&self.0))
    }
}

/// A handle that can be waited for.
#[derive(Debug)]
pub(crate) struct WaitHandle(Arc<OwnedHandle>);

const SUBJECT: &str = "a handle";

impl WaitHandleBackend for WaitHandle {
    const IS_TAKEN: bool = true;

    fn new(handle: OwnedObject) -> WaitHandle {
        WaitHandle(Arc::new(handle))
    }

    fn object(&self) -> &OwnedObject {
        &self.0
    }

    fn try_wait(&self) -> Result<bool> {
        let woken = call::wait(&[self.0.as_handle()], deadline_after(Some(Duration::ZERO)))
            .map_err(|code| explain(Operation::Wait, &SUBJECT, code))?;
        Ok(woken != Ended::TimedOut)
    }

    fn signal(&self) -> Result<Signal> {
        Ok(Signal::Object(Arc::clone(&self.0)))
    }
}
