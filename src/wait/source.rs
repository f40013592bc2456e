//! Wait sources, and the signals that wake a thread or task that waits for several of them.

use crate::error::Result;
use crate::os;
use crate::sync::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Duration;

/// The signals that end one wait for several wait sources.
#[derive(Debug)]
pub struct Signals {
    pub(crate) list: Vec<os::Signal>,
    /// The time after which the waiter looks again if no signal came.
    pub(crate) again: Option<Duration>,
    /// The waker for sources that have no signal.
    pub(crate) waker: Waker,
}

impl Signals {
    pub(crate) fn new(waker: Waker) -> Signals {
        Signals {
            list: Vec::new(),
            again: None,
            waker,
        }
    }

    pub(crate) fn add(&mut self, signal: os::Signal) {
        self.list.push(signal);
    }

    pub(crate) fn look_again_in(&mut self, time: Duration) {
        self.again = Some(self.again.map_or(time, |again| again.min(time)));
    }
}

/// A wait source. The comments describe the calls of a waiter in their order.
pub trait Wait {
    /// Returns whether there is reason to ask the source, as far as memory shows. At most one of
    /// 1024 such calls asks the system.
    fn has_news(&mut self) -> bool;
    /// Returns whether there is reason to ask the source. A source whose state only the system
    /// knows asks the system.
    fn ask(&mut self) -> Result<bool> {
        Ok(self.has_news())
    }
    /// Says that a waiter is about to sleep, and adds the signals on which it sleeps. The waiter
    /// then calls `has_news` once more.
    fn register(&mut self, signals: &mut Signals) -> Result<()>;
    /// Says that the waiter no longer sleeps.
    fn deregister(&mut self);
    /// Handles a signal of this source that has come. Returns whether there is reason to ask the
    /// source.
    fn woken(&mut self) -> Result<bool>;
}

/// A wait source: an endpoint or object that a [`WaitSet`](crate::WaitSet) can wait for.
///
/// A source is ready when there is reason to ask it, with the call that never blocks:
///
/// | source | is ready when there is | call |
/// |---|---|---|
/// | [`Receiver`](crate::Receiver), [`Subscriber`](crate::Subscriber) | a message, or an error to report: missed messages, a disconnect | `try_recv` |
/// | [`Server`](crate::Server) | a request | `try_recv` |
/// | [`Client`](crate::Client) | a response to a call that `send` began, or a disconnect | `try_recv` for each open call |
/// | [`Reader`](crate::Reader) | a change, or a disconnect | `try_change` |
/// | [`Event`](crate::Event), [`WaitHandle`](crate::WaitHandle) | a signal | `try_wait` |
/// | [`Process`](crate::Process) | the end of the process, after which the source stays ready | `has_ended` |
///
/// An endpoint is ready once for a disconnect. After that, the endpoint is ready when there is a
/// next owner to which it can reattach. (A client without open calls has no disconnect to report.)
/// If reattaching fails, the endpoint is ready once for that error too, and the program decides
/// whether to try again.
pub trait Waitable: AsWait {}

/// Gives a [`WaitSet`](crate::WaitSet) the [`Wait`] of a source, which only this crate calls.
pub trait AsWait {
    fn as_wait(&mut self) -> &mut dyn Wait;
}

impl<W: Wait> AsWait for W {
    fn as_wait(&mut self) -> &mut dyn Wait {
        self
    }
}

/// A signal that ended a wait, and that the wait took. The signal is kept until the program asks
/// for it.
#[derive(Debug, Default)]
pub(crate) struct Kept(AtomicBool);

impl Kept {
    /// Keeps the signal for the next caller of [`take`](Kept::take).
    pub fn keep(&self) {
        // Release: pairs with the acquire of `take`.
        self.0.store(true, Ordering::Release);
    }

    /// Takes the kept signal, and returns whether there was one.
    pub fn take(&self) -> bool {
        // Acquire: pairs with the release of `keep`, and so with the stores before the signal.
        self.0.swap(false, Ordering::Acquire)
    }

    /// Returns whether there is a kept signal.
    pub fn is_there(&self) -> bool {
        // Relaxed: the caller then calls `take`, which has acquire order.
        self.0.load(Ordering::Relaxed)
    }
}

/// A wait source whose news has no signal.
#[cfg(test)]
pub(crate) mod silent {
    use super::*;

    /// A source whose first look after `register` misses the news, and for which no signal follows.
    /// This happens to a sleeper if the waker's look at ASLEEP is older than the waker's store.
    #[derive(Debug, Default)]
    pub(crate) struct Silent {
        is_registered: bool,
        looks: u32,
    }

    impl Wait for Silent {
        fn has_news(&mut self) -> bool {
            self.looks += u32::from(self.is_registered);
            self.looks > 1
        }

        fn register(&mut self, _signals: &mut Signals) -> Result<()> {
            self.is_registered = true;
            Ok(())
        }

        fn deregister(&mut self) {
            self.is_registered = false;
        }

        fn woken(&mut self) -> Result<bool> {
            Ok(self.has_news())
        }
    }
}
