//! The word of an event, mapped, on which threads sleep.

use super::view::View;
use super::words::{Condition, WaitedWord};
use crate::os::Reset;
use crate::sync::AtomicU32;

/// The offset of the word.
pub(super) const STATE: usize = 64;

/// The mapped word, which outlives the event while a thread waits for it.
#[derive(Debug)]
pub(crate) struct State {
    pub view: View,
    pub reset: Reset,
    /// Whether this process may write the file. Taking a signal writes the file too.
    pub may_write: bool,
    pub subject: String,
}

impl State {
    pub fn word(&self) -> &AtomicU32 {
        self.view.word(STATE)
    }

    /// Returns the word of a view that is mapped for writing; panics for another view.
    pub fn writable_word(&self) -> &AtomicU32 {
        assert!(
            self.may_write,
            "an event that this account may only look at"
        );
        self.word()
    }

    /// Returns the word, and the condition that ends a wait that began when the word was `before`.
    pub(super) fn waited_word(&self, before: u32) -> WaitedWord<'_, AtomicU32> {
        match self.reset {
            // The wait changes the word.
            Reset::Auto => WaitedWord {
                word: self.writable_word(),
                condition: Condition::Auto,
            },
            Reset::Manual => WaitedWord {
                word: self.word(),
                condition: Condition::Manual(before),
            },
        }
    }

    /// Takes a signal, and returns whether there was one. For a manual-reset event, a signal that
    /// came after the word was `before` counts, even if it was reset.
    // layout: L207
    pub(super) fn take(&self, before: u32) -> bool {
        self.waited_word(before).take()
    }
}
