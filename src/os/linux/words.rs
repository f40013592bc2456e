//! The words of events, gates and deaths: how each changes, and how a thread sleeps on several.
//!
//! The code knows atomics and a [`Futex`] by traits alone. It runs over mapped memory and the
//! kernel, and over a model checker's atomics (`models/`).

use crate::os::{Reset, Woken};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Instant;

/// An atomic word. Each caller tells what its order pairs with.
pub(super) trait Atomic<T> {
    fn load(&self, order: Ordering) -> T;
    /// Loads with acquire, in a way that is valid on memory that is mapped read-only.
    fn peek(&self) -> T;
    fn store(&self, value: T, order: Ordering);
    fn fetch_and(&self, bits: T, order: Ordering) -> T;
    /// Replaces the value `from` by `to`; returns whether the word had the value `from`. Where it
    /// had not, the word is loaded relaxed.
    fn replace(&self, from: T, to: T, order: Ordering) -> bool;
    /// Changes the value, and tries again when another thread changes it meanwhile. Returns the
    /// value before, and `None` where `change` had nothing to store. Then the word is loaded
    /// relaxed.
    fn change(&self, order: Ordering, change: impl FnMut(T) -> Option<T>) -> Option<T>;
}

macro_rules! atomic {
    ($word:ty, $value:ty, $fence:path) => {
        impl $crate::os::linux::words::Atomic<$value> for $word {
            #[inline(always)]
            fn load(&self, order: Ordering) -> $value {
                <$word>::load(self, order)
            }

            #[inline(always)]
            fn peek(&self) -> $value {
                let value = <$word>::load(self, Ordering::Relaxed);
                // Acquire: pairs with the release store of the word.
                $fence(Ordering::Acquire);
                value
            }

            #[inline(always)]
            fn store(&self, value: $value, order: Ordering) {
                <$word>::store(self, value, order);
            }

            #[inline(always)]
            fn fetch_and(&self, bits: $value, order: Ordering) -> $value {
                <$word>::fetch_and(self, bits, order)
            }

            #[inline(always)]
            fn replace(&self, from: $value, to: $value, order: Ordering) -> bool {
                <$word>::compare_exchange(self, from, to, order, Ordering::Relaxed).is_ok()
            }

            #[inline(always)]
            fn change(
                &self,
                order: Ordering,
                change: impl FnMut($value) -> Option<$value>,
            ) -> Option<$value> {
                <$word>::fetch_update(self, order, Ordering::Relaxed, change).ok()
            }
        }
    };
}
#[cfg(all(test, not(miri)))]
pub(super) use atomic;

atomic!(AtomicU32, u32, fence);
atomic!(AtomicU64, u64, fence);

/// A word on which threads sleep.
pub(super) trait Futex: Atomic<u32> + Sized {
    /// Wakes all threads that sleep on the word.
    fn wake(&self);
    /// Sleeps while each word has its expected value, until one of them is woken or the
    /// deadline has come. A sleep may end for no reason.
    fn sleep(words: &[(&Self, u32)], until: Option<Instant>) -> rustix::io::Result<()>;
}

/// The condition under which a word ends a wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition {
    /// The word is 1. One wait takes the signal by changing the word to 0.
    Auto,
    /// The word is odd, or its count is not the count of this value, which the word had when the
    /// wait began.
    Manual(u32),
    /// The word is not 0, for good.
    Once,
}

/// A word, and the condition that a wait waits for.
pub(super) struct WaitedWord<'a, W> {
    pub word: &'a W,
    pub condition: Condition,
}

impl<W: Atomic<u32>> WaitedWord<'_, W> {
    /// Returns the value of the word while there is reason to sleep.
    #[inline]
    fn expected(&self) -> u32 {
        match self.condition {
            // After the value has changed there is nothing to sleep for.
            Condition::Once => 0,
            // Relaxed: `take` and the kernel look again.
            Condition::Auto | Condition::Manual(_) => self.word.load(Ordering::Relaxed),
        }
    }

    /// Returns whether the condition holds; takes a signal that one wait may take.
    #[inline]
    pub fn take(&self) -> bool {
        match self.condition {
            // Acquire: pairs with the release of `set`.
            Condition::Auto => self.word.replace(1, 0, Ordering::Acquire),
            Condition::Manual(before) => {
                // Pairs with the release of `set`.
                let now = self.word.peek();
                now & 1 == 1 || now >> 1 != before >> 1
            }
            Condition::Once => look(self.word) != 0,
        }
    }
}

/// A source that a thread can wait for.
pub(super) trait WaitSource {
    type Word: Futex;
    fn waited_word(&self) -> WaitedWord<'_, Self::Word>;
}

/// Waits until the condition of a source holds, and takes the signal of that source.
pub(super) fn wait_any<S: WaitSource>(
    sources: &[S],
    until: Option<Instant>,
) -> rustix::io::Result<Woken> {
    let mut words = Vec::with_capacity(sources.len());
    loop {
        words.clear();
        words.extend(sources.iter().map(|source| {
            let waited = source.waited_word();
            (waited.word, waited.expected())
        }));
        // After the words were loaded: what happens from now on changes one.
        let happened = |source: &S| source.waited_word().take();
        if let Some(n) = sources.iter().position(happened) {
            return Ok(Woken::Signal(n));
        }

        if until.is_some_and(|at| Instant::now() >= at) {
            return Ok(Woken::TimedOut);
        }
        S::Word::sleep(&words, until)?;
    }
}

/// Signals an event, and wakes all threads that wait for it, also for a signal that one wait may
/// take: a thread that is woken alone may be killed before it takes the signal, or may not take it.
pub(super) fn set(word: &impl Futex, reset: Reset) {
    match reset {
        // Release: pairs with the acquire of `take`.
        Reset::Auto => word.store(1, Ordering::Release),
        Reset::Manual => {
            // A store also where the event is signaled: a thread that resets it afterwards sees the
            // stores in front of this signal.
            let signal = |now: u32| match now & 1 {
                1 => Some(now),
                _ => Some(now.wrapping_add(3)),
            };
            // Release: pairs with the acquire of `take` and of `unset`.
            word.change(Ordering::Release, signal);
        }
    }
    word.wake();
}

/// Takes the signal of an event away.
pub(super) fn unset(word: &impl Atomic<u32>) {
    // Acquire and release: pairs with the release of `set`, and with its load.
    word.fetch_and(!1, Ordering::AcqRel);
}

/// Stores a value, and wakes all that sleep on the word.
pub(super) fn tell(word: &impl Futex, value: u32) {
    // Release: pairs with the acquire of `look`.
    word.store(value, Ordering::Release);
    word.wake();
}

/// Returns the value that `tell` stored.
pub(super) fn look(word: &impl Atomic<u32>) -> u32 {
    // Acquire: pairs with the release of `tell`.
    word.load(Ordering::Acquire)
}
