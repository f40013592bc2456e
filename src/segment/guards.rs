//! The guards of a table of values: words in the roster by which readers keep slots of values as they
//! are. `slots/mod.rs` explains how a writer heeds them.
//!
//! ```text
//!   take guard 3                      release guard 3               take it from a dead reader
//!   word 3: 0 -> mine (exchange)      GUARDED &= !(1 << 3)          word 3: theirs -> mine (exchange)
//!   GUARDED |= 1 << 3                 word 3: mine -> 0             GUARDED |= 1 << 3
//! ```
//!
//! Only the reader that has a guard changes the bit of the guard. So a release clears the bit first:
//! behind the exchange, the guard may have another reader, whose bit must stay. A reader that is
//! killed leaves its word behind, and mostly its bit. The writer heeds the guard until another reader
//! takes it. The word names the slot of the reader in the roster and the slot epoch, so a reader that
//! takes the guard knows whose life to ask for, and its exchange fails if the word has changed.

use crate::format::layout::roster::{GUARDED, GUARDS, MAX_GUARDS};
use crate::segment::roster::Roster;
use crate::sync::{Ordering, Shared};

/// A reader that has a guard, or had one when it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The slot of the reader in the roster.
    pub slot: usize,
    /// The lower half of the slot epoch.
    pub slot_epoch: u16,
}

/// What a guard keeps as it is: a slot of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The index of the value.
    pub index: usize,
    /// The slot of the value.
    pub slot: u64,
}

/// A guard that this reader has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guard {
    number: usize,
    word: u64,
}

/// Returns the word of a guard, which is never 0.
// layout: L303
fn word_of(holder: Holder, target: Target) -> u64 {
    let holder = u64::from(holder.slot_epoch) << 48 | (holder.slot as u64 & 0xffff) << 32;
    holder | (target.index as u64 & 0xff_ffff) << 8 | (target.slot + 1) & 0xff
}

/// Returns what the word of a guard says. A damaged process may have written any word.
// layout: L184 L303
fn parts_of(word: u64) -> (Holder, Option<Target>) {
    let holder = Holder {
        slot: (word >> 32 & 0xffff) as usize,
        slot_epoch: (word >> 48) as u16,
    };
    let index = (word >> 8 & 0xff_ffff) as usize;
    let slot = (word & 0xff).checked_sub(1).filter(|slot| *slot < 64);
    (holder, slot.map(|slot| Target { index, slot }))
}

fn at(number: usize) -> usize {
    GUARDS + number * 8
}

impl<W: Shared> Roster<W> {
    /// Returns the slots of a value that readers hold, as bits. `count` is the number of guards.
    // layout: L184 L307
    pub fn held(&self, index: usize, count: usize) -> u64 {
        // Acquires: pairs with the operation of `release_guard` on the bits (L5), and with that of
        // `take_guard`, whose word is visible then.
        let mut bits = self.words().load64(GUARDED) & all(count);
        let mut held = 0;
        while bits != 0 {
            let word = self.words().load64(at(bits.trailing_zeros() as usize));
            bits &= bits - 1;
            if let (_, Some(target)) = parts_of(word)
                && target.index == index
            {
                held |= 1 << target.slot;
            }
        }
        held
    }

    /// Takes a guard for this target: a free one, or else one whose holder is gone. Returns `None` if
    /// all guards have living holders.
    // layout: L304 L308
    pub fn take_guard(
        &self,
        count: usize,
        (me, target): (Holder, Target),
        is_gone: impl Fn(Holder) -> bool,
    ) -> Option<Guard> {
        let count = count.min(MAX_GUARDS);
        let word = word_of(me, target);
        let take = |number: usize, from: u64| {
            // Acquire and release: pairs with the exchange of the last holder, whose operation on the
            // bits comes before this one then.
            let taken = self
                .words()
                .replace64(at(number), from, word, Ordering::AcqRel);
            taken.then(|| {
                // Acquire and release: pairs with the writer's load of the bits, which then finds the
                // word.
                self.words()
                    .set_bits64(GUARDED, 1 << number, Ordering::AcqRel);
                Guard { number, word }
            })
        };
        // Readers begin at different guards, so that they seldom try the same one.
        let all = || (0..count).map(|number| (me.slot + number) % count);
        let free = all().filter(|number| self.words().load64(at(*number)) == 0);
        free.filter_map(|number| take(number, 0))
            .next()
            .or_else(|| {
                all().find_map(|number| {
                    let theirs = self.words().load64(at(number));
                    let is_free = theirs == 0 || is_gone(parts_of(theirs).0);
                    is_free.then(|| take(number, theirs)).flatten()
                })
            })
    }

    /// Makes a guard of this reader name another target.
    // layout: L306
    pub fn aim_guard(&self, guard: Guard, me: Holder, target: Target) -> Guard {
        let word = word_of(me, target);
        // Pairs with the writer's load of the word. The reader has read nothing by the last target.
        self.words().publish64(at(guard.number), word);
        Guard { word, ..guard }
    }

    /// Releases a guard of this reader.
    // layout: L305
    pub fn release_guard(&self, guard: Guard) {
        // Acquire and release: pairs with the writer's load of the bits (L5), which writes to the slot
        // after this reader has read it.
        self.words()
            .clear_bits64(GUARDED, 1 << guard.number, Ordering::AcqRel);
        // Acquire and release: pairs with the exchange of the next holder, which sets the bit after
        // the operation above.
        self.words()
            .replace64(at(guard.number), guard.word, 0, Ordering::AcqRel);
    }

    /// Returns whether the holder of a guard has left its slot. `is_dead` says whether the participant
    /// with this process word in a slot is proved dead.
    // layout: L308
    pub fn has_left(&self, holder: Holder, is_dead: impl Fn(usize, u64) -> bool) -> bool {
        if holder.slot >= self.slots() {
            return true;
        }
        let is_there = || self.slot_epoch(holder.slot) as u16 == holder.slot_epoch;
        match self.process_word(holder.slot) {
            0 => true,
            word => !is_there() || is_dead(holder.slot, word),
        }
    }
}

/// Returns the bits of this number of guards.
fn all(count: usize) -> u64 {
    (1 << count.min(MAX_GUARDS)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::layout::roster;
    use crate::segment::roster::roster_len;
    use crate::sync::{WindowMut, Words as _, WordsMut as _, heap};

    const COUNT: usize = 6;

    fn new() -> Roster<WindowMut> {
        Roster::begin(heap::window(roster_len(3, 1)), 3, 1)
    }

    fn holder(slot: usize) -> Holder {
        Holder {
            slot,
            slot_epoch: 0xffff,
        }
    }

    fn target(index: usize, slot: u64) -> Target {
        Target { index, slot }
    }

    // layout: L303
    #[test]
    fn guard_word_matches_the_document() {
        let me = Holder {
            slot: 1022,
            slot_epoch: 0xfffe,
        };
        let word = word_of(me, target((1 << 20) - 1, 63));
        assert_eq!(word, 0xfffe_03fe_0fff_ff40);
        assert_eq!(parts_of(word), (me, Some(target((1 << 20) - 1, 63))));
        for slot in [0, 65, 255] {
            assert_eq!(parts_of(slot).1, None);
        }
    }

    // layout: L304 L305
    #[test]
    fn taken_guards_are_held_until_release() {
        let roster = new();
        let take = |index| roster.take_guard(COUNT, (holder(1), target(index, 5)), |_| false);
        let guards: Vec<Guard> = (0..COUNT).map(|index| take(index).unwrap()).collect();
        assert_eq!(take(7), None, "there are only six guards");
        for (index, guard) in guards.into_iter().enumerate() {
            assert_eq!(roster.held(index, COUNT), 1 << 5);
            let guard = roster.aim_guard(guard, holder(1), target(index, 6));
            assert_eq!(roster.held(index, COUNT), 1 << 6);
            roster.release_guard(guard);
            assert_eq!(roster.held(index, COUNT), 0);
        }
        assert_eq!(roster.words().load64(roster::GUARDED), 0);
        assert!(take(7).is_some());
    }

    // layout: L308
    #[test]
    fn guard_of_gone_reader_is_taken() {
        let roster = new();
        for _ in 0..COUNT {
            roster.take_guard(COUNT, (holder(0), target(0, 1)), |_| false);
        }
        let take = |gone| roster.take_guard(COUNT, (holder(1), target(0, 2)), |one| one == gone);
        assert_eq!(take(holder(1)), None);
        let guard = take(holder(0)).unwrap();
        assert_eq!(roster.held(0, COUNT), 0b110);
        roster.release_guard(guard);
        assert_eq!(roster.held(0, COUNT), 0b010, "the other guards stay");
    }

    // layout: L308
    #[test]
    fn reader_has_left_unless_slot_agrees() {
        let roster = new();
        let alive = |_, _| false;
        let mine = Holder {
            slot: 0,
            slot_epoch: roster.slot_epoch(0) as u16,
        };
        let other = Holder {
            slot_epoch: mine.slot_epoch.wrapping_add(1),
            ..mine
        };
        assert!(roster.has_left(mine, alive), "the slot is free");
        roster.words().store64(roster::SLOTS_AT, 7);
        assert!(!roster.has_left(mine, alive));
        assert!(roster.has_left(mine, |slot, word| (slot, word) == (0, 7)));
        assert!(roster.has_left(other, alive));
        assert!(roster.has_left(holder(3), alive), "there is no such slot");
    }

    /// Words that a damaged process has written hold at most as many slots as there are guards.
    // layout: L184 L260
    #[test]
    fn garbage_guards_hold_few_slots() {
        let roster = new();
        roster.words().store64(roster::GUARDED, u64::MAX);
        for number in 0..64 {
            roster.words().store64(at(number), number as u64 + 1);
        }
        assert_eq!(roster.held(0, COUNT), 0b11_1111);
        assert_eq!(roster.held(1, COUNT), 0);
        roster.words().store64(at(0), u64::MAX);
        assert_eq!(roster.held(0, COUNT), 0b11_1110);
        assert_eq!(roster.held(0, usize::MAX).count_ones(), 61);
        // The holder of a garbage word is gone.
        let taken = roster.take_guard(COUNT, (holder(1), target(0, 1)), |one| {
            roster.has_left(one, |_, _| false)
        });
        assert!(taken.is_some());
    }
}
