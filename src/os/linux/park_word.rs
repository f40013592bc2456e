//! The word on which a participant sleeps, and the latches that tell of deaths.
//!
//! A participant sleeps on one word, which is in the roster, and so other processes wake it by a
//! store and one system call. A thread of its own process learns of the deaths of its peers, and
//! wakes it by the same word. So a sleep of a participant needs no `futex_waitv`.
//!
//! ```text
//!   another process    PARK_WORD = 1, futex wake
//!   a thread of ours   latch = HAPPENED; then for each participant that watches the peer:
//!                      PARK_WORD = 1, futex wake
//!   the participant    PARK_WORD is 1: store 0, look at the latches and at the memory
//! ```

use super::words;
use crate::os::{ParkPlace, Reset};
use crate::sync::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The value of a latch after the peer has ended, or after the descriptor was readable.
pub(super) const HAPPENED: u32 = 1;
/// The value of a latch that no thread watches any longer.
pub(super) const UNWATCHED: u32 = 2;

/// The park word of one participant: 1 after a wake-up, 0 after the participant took the wake-up.
#[derive(Debug)]
pub(crate) struct ParkWord(ParkPlace);

impl ParkWord {
    pub fn new(place: ParkPlace) -> ParkWord {
        ParkWord(place)
    }

    pub fn word(&self) -> &AtomicU32 {
        self.0.atomic32(0)
    }

    /// Wakes the participant, now or at its next sleep.
    // layout: L206
    pub fn wake(&self) {
        words::set(self.word(), Reset::Auto);
    }
}

/// A word that a thread of this process changes once from 0, and the participants that the thread
/// wakes at that moment.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    word: AtomicU32,
    parked: Mutex<Vec<Weak<ParkWord>>>,
}

impl Latch {
    /// Creates a latch that is set already.
    pub fn set_already() -> Latch {
        Latch {
            word: AtomicU32::new(HAPPENED),
            parked: Mutex::default(),
        }
    }

    pub fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// Returns 0, [`HAPPENED`] or [`UNWATCHED`].
    pub fn value(&self) -> u32 {
        words::look(&self.word)
    }

    /// Sets the latch, and wakes the threads that sleep on it and the participants that watch it.
    pub fn set(&self, value: u32) {
        words::tell(&self.word, value);
        let parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        parked
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|one| one.wake());
    }

    /// Lets the thread that sets the latch wake this participant too. Wakes the participant at once
    /// if the latch is set.
    pub fn wake_too(&self, participant: &Arc<ParkWord>) {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |one: &Weak<ParkWord>| std::ptr::eq(one.as_ptr(), Arc::as_ptr(participant));
        if !parked.iter().any(is_known) {
            parked.retain(|one| one.strong_count() > 0);
            parked.push(Arc::downgrade(participant));
        }
        drop(parked);
        // `set` stores the value before it looks at the list.
        if self.value() != 0 {
            participant.wake();
        }
    }
}
