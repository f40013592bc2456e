//! Sets of slots in the roster: the participants that sleep, and the lanes with news.
//!
//! A set has a bit for each slot, in 16 words, and a summary with a bit for each of these words. So a
//! process that asks whether the set is empty loads one word.
//!
//! ```text
//!   put slot 70 in               take slot 70 out          find the slots of word 1
//!   word 1  |= 1 << 6            word 1 &= !(1 << 6)       word 1 has bits? there they are
//!   summary |= 1 << 1                                      otherwise: summary &= !(1 << 1)
//!                                                          word 1 has bits now? summary |= 1 << 1
//! ```
//!
//! The summary may have a bit for a word without bits, which costs one more look. It lacks the bit of
//! a word with bits only between two operations of one process: of the process that puts a slot in,
//! or of the process that has found the word empty. If that process is killed there, the bit is missing
//! until a slot of the word is put in again.

use crate::format::layout::roster;
use crate::sync::{Ordering, Shared};

/// A set of slots: the offsets of its summary and of its words in the roster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotSet {
    summary: usize,
    words: usize,
}

/// The participants that are asleep, or about to sleep.
pub(crate) const SLEEPERS: SlotSet = SlotSet {
    summary: roster::ASLEEP,
    words: roster::SLEEPERS,
};

/// The lanes that have got a message while the owner did not poll them.
pub(crate) const NEWS: SlotSet = SlotSet {
    summary: roster::NEWS,
    words: roster::NEWS_OF,
};

/// The bits of a summary.
const ALL_WORDS: u64 = (1 << (roster::SET_LEN / 8)) - 1;

impl SlotSet {
    /// Returns the offset of the word of a slot, and the bit of the slot in that word.
    pub fn place(self, slot: usize) -> (usize, u64) {
        place_of(self.words, slot)
    }

    /// Returns the bits of the words that may have a slot. The load orders nothing.
    #[inline(always)]
    pub fn summary(self, words: &impl Shared) -> u64 {
        words.peek64(self.summary) & ALL_WORDS
    }

    /// Returns whether the set has this slot. The load orders nothing.
    #[inline]
    pub fn has(self, words: &impl Shared, slot: usize) -> bool {
        let (at, bit) = self.place(slot);
        words.peek64(at) & bit != 0
    }

    // layout: L049 L252
    pub fn insert(self, words: &impl Shared, slot: usize) {
        let (at, bit) = self.place(slot);
        // Acquire and release: pairs with the load of `word`, which sees what this process stored
        // before.
        words.set_bits64(at, bit, Ordering::AcqRel);
        // Acquire and release: pairs with the operation of `word` on the summary. If the bit is
        // cleared after this, `word` sees the slot.
        words.set_bits64(self.summary, 1 << (slot / 64), Ordering::AcqRel);
    }

    // layout: L049 L252
    pub fn remove(self, words: &impl Shared, slot: usize) {
        let (at, bit) = self.place(slot);
        // Acquire and release: pairs with the load of `word`.
        words.clear_bits64(at, bit, Ordering::AcqRel);
    }

    /// Puts a slot in, unless both of its bits are set.
    #[cold]
    pub fn insert_once(self, words: &impl Shared, slot: usize) {
        let is_there = self.summary(words) & 1 << (slot / 64) != 0 && self.has(words, slot);
        if !is_there {
            self.insert(words, slot);
        }
    }

    /// Takes all slots out, and returns them. One process takes slots out of a set.
    // layout: L255
    pub fn take<W: Shared>(self, words: &W) -> impl Iterator<Item = usize> {
        bits_of(self.summary(words)).flat_map(move |n| {
            let at = self.words + n * 8;
            // Acquire and release: pairs with the operation of `insert` on the summary. The summary
            // comes first: a slot that is put in after the load below sets its bit in the summary
            // after this.
            words.clear_bits64(self.summary, 1 << n, Ordering::AcqRel);
            let bits = words.load64(at);
            // Acquire and release: pairs with the operation of `insert` on the word.
            words.clear_bits64(at, bits, Ordering::AcqRel);
            bits_of(bits).map(move |bit| n * 64 + bit)
        })
    }

    /// Returns a word of the set. If the word has no bits, its bit in the summary is cleared.
    // layout: L252
    pub fn word(self, words: &impl Shared, n: usize) -> u64 {
        let at = self.words + n * 8;
        // Acquires: pairs with `insert`.
        let bits = words.load64(at);
        if bits != 0 {
            return bits;
        }
        // Acquire and release: pairs with the operation of `insert` on the summary.
        words.clear_bits64(self.summary, 1 << n, Ordering::AcqRel);
        let bits = words.load64(at);
        if bits != 0 {
            // Acquire and release, as in `insert`.
            words.set_bits64(self.summary, 1 << n, Ordering::AcqRel);
        }
        bits
    }

    /// Returns the slots of the set, as far as they are found now.
    pub fn slots<W: Shared>(self, words: &W) -> impl Iterator<Item = usize> {
        // The summary is loaded once: every slot that is put in meanwhile may be missed.
        bits_of(self.summary(words)).flat_map(move |n| {
            let slots = bits_of(self.word(words, n));
            slots.map(move |bit| n * 64 + bit)
        })
    }
}

/// Returns the offset of the word of a slot, and the bit of the slot in that word. `words` is the
/// offset of words with a bit for each slot.
pub(crate) fn place_of(words: usize, slot: usize) -> (usize, u64) {
    (words + slot / 64 * 8, 1 << (slot % 64))
}

/// Returns the positions of the bits of a word.
fn bits_of(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::layout::MAX_SLOTS;
    use crate::sync::heap;

    // layout: L252
    #[test]
    fn set_finds_every_slot() {
        let words = heap::window(roster::SLOTS_AT);
        let found = || SLEEPERS.slots(&words).collect::<Vec<_>>();
        for slot in 0..MAX_SLOTS {
            assert!(!SLEEPERS.has(&words, slot));
            SLEEPERS.insert(&words, slot);
            assert!(SLEEPERS.has(&words, slot));
            assert_eq!(found(), [slot]);
            SLEEPERS.remove(&words, slot);
            assert_eq!(SLEEPERS.summary(&words), 1 << (slot / 64));
            assert_eq!(found(), [0; 0]);
            assert_eq!(SLEEPERS.summary(&words), 0);
        }

        let several = [0, 63, 64, 700, 1022];
        for slot in several {
            SLEEPERS.insert(&words, slot);
        }
        assert_eq!(found(), several);
        assert_eq!(NEWS.summary(&words), 0);
    }
}
