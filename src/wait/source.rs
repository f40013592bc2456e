//! What can be waited for together with others, and what wakes whoever does.

use crate::error::Result;
use crate::os;
use crate::sync::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Duration;

/// What wakes whoever waits for several things.
#[derive(Debug)]
pub struct Signals {
    pub(crate) list: Vec<os::Signal>,
    /// After how long to look again where none came.
    pub(crate) again: Option<Duration>,
    /// For those that have none.
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

/// What can be waited for together with others.
pub trait Wait {
    /// Whether there is reason to look, as far as memory tells. Of 4096 such questions one may
    /// ask the system.
    fn has_news(&mut self) -> bool;
    /// The same for those of whom the system has to be asked.
    fn ask(&mut self) -> Result<bool> {
        Ok(self.has_news())
    }
    /// Says that somebody sleeps, and on what. A look for news comes after it.
    fn register(&mut self, signals: &mut Signals) -> Result<()>;
    /// Says that nobody does any longer.
    fn deregister(&mut self);
    /// One of its signals came. Whether there is reason to look.
    fn woken(&mut self) -> Result<bool>;
}

/// What a [`WaitSet`](crate::WaitSet) can wait for.
///
/// It is ready when there is reason to ask it, by the call that never waits:
///
/// | | is ready when there is | ask |
/// |---|---|---|
/// | [`Receiver`](crate::Receiver), [`Subscriber`](crate::Subscriber) | a message, or something else to be told: that messages were missed, an end | `try_recv` |
/// | [`Server`](crate::Server) | a request | `try_recv` |
/// | [`Client`](crate::Client) | a response to a call that was begun by `send`, or its end | `try_recv` of each of its calls |
/// | [`Reader`](crate::Reader) | a change, or the end | `try_change` |
/// | [`Event`](crate::Event), [`WaitHandle`](crate::WaitHandle) | its signal | `try_wait` |
/// | [`Process`](crate::Process) | its end, from when on it stays ready | `has_ended` |
///
/// Of an end it is ready once; from then on when there is a next owner to go on with. (A client
/// has nothing to be asked as long as it has no calls open.) Where going on with that one fails,
/// that is told once too, and it is yours to try again.
pub trait Waitable: AsWait {}

/// How a [`WaitSet`](crate::WaitSet) reaches what only this crate calls.
pub trait AsWait {
    fn as_wait(&mut self) -> &mut dyn Wait;
}

impl<W: Wait> AsWait for W {
    fn as_wait(&mut self) -> &mut dyn Wait {
        self
    }
}

/// A signal that was taken for a wait which it ended, until somebody asks for it.
#[derive(Debug, Default)]
pub(crate) struct Kept(AtomicBool);

impl Kept {
    /// It is for the next who asks.
    pub fn keep(&self) {
        // Release: pairs with the acquire of `take`.
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was there, which it then no longer is.
    pub fn take(&self) -> bool {
        // Acquire: pairs with the release of `keep`, and so with what the signal told of.
        self.0.swap(false, Ordering::Acquire)
    }

    pub fn is_there(&self) -> bool {
        // Relaxed: whoever then asks for it takes it in order.
        self.0.load(Ordering::Relaxed)
    }
}

/// What waits find where no signal tells of it.
#[cfg(test)]
pub(crate) mod silent {
    use super::*;

    /// The first look of one that lies down misses what has come, and no signal follows: as where
    /// a waker's look is older than its store.
    #[derive(Debug, Default)]
    pub(crate) struct Silent {
        lies: bool,
        looks: u32,
    }

    impl Wait for Silent {
        fn has_news(&mut self) -> bool {
            self.looks += u32::from(self.lies);
            self.looks > 1
        }

        fn register(&mut self, _signals: &mut Signals) -> Result<()> {
            self.lies = true;
            Ok(())
        }

        fn deregister(&mut self) {
            self.lies = false;
        }

        fn woken(&mut self) -> Result<bool> {
            Ok(self.has_news())
        }
    }
}
