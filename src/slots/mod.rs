//! The algorithm of values: one writer, and many readers, which write nothing to the table.
//!
//! Each value has several slots. The writer uses the slots in turn: it marks a slot as being
//! written, writes the value, marks the slot as whole, and then stores the number of the value as
//! the newest. A reader copies the newest slot and then loads the mark of this slot. The copy is
//! torn only if the writer has come back to this slot meanwhile.
//!
//! # Guards
//!
//! A reader keeps a slot as it is by a *guard*: a word in the roster that names the slot
//! (`segment/guards.rs`). A table has two guards less than a value has slots. So the writer always
//! has two slots to write in, and never waits.
//!
//! ```text
//!   reader                                   writer, number c = NEWEST + 1
//!   n = NEWEST                               looked less than 3/4 S numbers ago, and found
//!   guard = slot(n)                          no guard of this value?  write c
//!   full fence                               otherwise:
//!   q = NEWEST, and then                       m = c, or the next number whose slot is free
//!   mark = MARK of slot(n)                     MARK of slot(m) = 2 m + 1
//!   mark is not 2 n?  aim again                full fence
//!   (q - n) modulo S < 1/4 S?  held            a guard of slot(m)?  restore MARK, next m
//!   otherwise: load q and mark again           otherwise: write m
//! ```
//!
//! A number m that goes into the slot of n is n plus a multiple of S, S being the number of slots. Why
//! the writer writes no such number while a reader holds the slot:
//!
//! - Not a number up to q: the reader would have found another MARK, since it has loaded q first.
//! - Not a later number m without a look. The last look before m was for a number above m - 3/4 S, so a
//!   NEWEST of m - 3/4 S or more was published before the fence of that look. If the fence of the
//!   reader came first, the look has found the guard, and m has a look of its own. If it came second,
//!   the reader has loaded that NEWEST or a later one as q, and (q - n) modulo S is at least 1/4 S.
//! - Not a later number with a look. If the fence of the reader came first, the look has found the
//!   guard. If it came second, the reader has loaded a MARK that is not 2 n; or it has loaded 2 n after
//!   the writer gave up the slot in this look, and each later look has a fence of its own.
//!
//! # Which accesses pair
//!
//! | | store | load | what it guarantees |
//! |---|---|---|---|
//! | L1 | writer: `NEWEST` published | reader: its load | the reader sees the value and its mark |
//! | L2 | writer: release fence after the odd mark | reader: acquire fence after the copy | a torn copy is recognised |
//! | L3 | reader: its guard, full fence | writer: full fence, its look at the guards | the writer sees the guard, or the reader sees what the writer stored |
//! | L4 | writer: `CHANGES` published | reader: its load | the reader sees which values changed, and the values |
//! | L5 | reader: guard released | writer: its look at the guards | the writer writes after the reader has read |

#[cfg(test)]
pub(crate) mod tests;

use crate::format::layout::{FIRST_COUNT, MAX_SLOTS, values};
use crate::sync::{Window, Words, WordsMut};

/// The number of attempts of a reader to copy a value without a guard, and to hold a slot with one.
const TRIES: u32 = 64;

/// How many slots a writer tries in one store before it ignores the guards. Each reader that follows
/// the rules can take one slot from the writer meanwhile, since the newest value stays the same.
const LOOKS: usize = MAX_SLOTS;

/// The sizes of a table of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableGeometry {
    count: usize,
    max: usize,
    slots: u64,
}

impl TableGeometry {
    /// Returns the geometry of a table; `None` if the sizes are impossible.
    // layout: L176
    pub fn new(count: usize, max: usize, slots: u64) -> Option<TableGeometry> {
        let sound = (1..=values::MAX_COUNT).contains(&count)
            && max <= values::MAX_LEN
            && (values::MIN_SLOTS..=values::MAX_SLOTS).contains(&slots)
            && slots.is_power_of_two();
        let table_geometry = TableGeometry { count, max, slots };
        (sound && table_geometry.len() <= values::MAX_TABLE).then_some(table_geometry)
    }

    /// Returns a geometry with so many slots that the writer is unlikely to come back to a slot
    /// while a reader copies it. Measured: a read of 1 KiB beside a hot writer took at worst 12389
    /// attempts with 2 slots, 14 with 8 slots and 2 with 16 slots. A table of several values has
    /// the smallest number of slots, since few of its values are written all the time.
    pub fn with_slots_for(count: usize, max: usize) -> Option<TableGeometry> {
        let slots = match count {
            1 => 16384 / slot_len(max.min(values::MAX_LEN)) as u64,
            _ => values::MIN_SLOTS,
        };
        let slots = slots.clamp(values::MIN_SLOTS, values::MAX_SLOTS);
        TableGeometry::new(count, max, slots.next_power_of_two())
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn max(&self) -> usize {
        self.max
    }

    pub fn slots(&self) -> u64 {
        self.slots
    }

    /// Returns the length of the whole table in bytes.
    // layout: L071
    pub fn len(&self) -> u64 {
        self.first() as u64 + self.count as u64 * self.stride() as u64
    }

    /// Returns the offset of the name of a value.
    pub fn name(&self, index: usize) -> usize {
        values::NAMES + index * values::NAME_LEN
    }

    fn first(&self) -> usize {
        (values::NAMES + self.count * values::NAME_LEN).next_multiple_of(values::APART)
    }

    fn stride(&self) -> usize {
        let slots = self.slots as usize * slot_len(self.max);
        (values::SLOTS_AT + slots).next_multiple_of(values::APART)
    }

    #[inline]
    fn entry(&self, index: usize) -> usize {
        assert!(index < self.count, "there is no value {index}");
        self.first() + index * self.stride()
    }

    /// Returns the number of guards of the table. So two slots of each value are never held.
    // layout: L303
    pub fn guards(&self) -> usize {
        self.slots as usize - 2
    }

    /// Returns how many numbers of a value the writer may use after a look that found no guard of the
    /// value, and how far a reader that begins to hold a slot may be behind the newest value.
    // layout: L306 L307
    fn interval(&self) -> u64 {
        self.slots - self.slots / 4
    }

    /// Returns the slot to which the value with this number is written.
    #[inline]
    fn slot_of(&self, number: u64) -> u64 {
        number & (self.slots - 1)
    }

    #[inline]
    fn slot(&self, entry: usize, number: u64) -> usize {
        entry + values::SLOTS_AT + self.slot_of(number) as usize * slot_len(self.max)
    }
}

/// Returns the length of a slot in bytes, which is a multiple of the line size.
fn slot_len(max: usize) -> usize {
    (values::VALUE + max).next_multiple_of(crate::format::layout::LINE)
}

/// The writer's side.
#[derive(Debug)]
pub(crate) struct ValueWriter<W> {
    words: W,
    table_geometry: TableGeometry,
    /// What the writer knows of each value of the table.
    known: Vec<Known>,
    changes: u64,
}

/// What the writer knows of a value.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The number of the newest value.
    newest: u64,
    /// The first number for which the writer has to look at the guards.
    look_at: u64,
}

impl<W: WordsMut> ValueWriter<W> {
    /// Creates the writer of a new table.
    pub fn new(words: W, table_geometry: TableGeometry) -> ValueWriter<W> {
        words.store64(values::CHANGES, FIRST_COUNT);
        ValueWriter {
            words,
            table_geometry,
            known: vec![
                Known {
                    newest: FIRST_COUNT,
                    look_at: 0,
                };
                table_geometry.count
            ],
            changes: FIRST_COUNT,
        }
    }

    pub fn table_geometry(&self) -> TableGeometry {
        self.table_geometry
    }

    /// Stores a value that is not longer than the longest allowed value. `held` returns the slots
    /// that readers hold of the value with an index, as bits.
    // layout: L076 L136
    #[inline]
    pub fn store(&mut self, index: usize, value: &[u8], held: impl Fn(usize) -> u64) {
        let entry = self.table_geometry.entry(index);
        let known = self.known[index];
        let mut number = known.newest + 1;
        if number >= known.look_at {
            number = self.find_slot(index, held);
        }

        let slot = self.table_geometry.slot(entry, number);
        let words = &self.words;
        words.store64(slot + values::MARK, 2 * number + 1);
        // Pairs with the reader's fence after its copy (L2).
        words.release();
        words.store32(slot + values::LEN, value.len() as u32);
        words.copy_in(slot + values::VALUE, value);
        words.publish64(slot + values::MARK, 2 * number);
        // Pairs with the reader's load (L1).
        words.publish64(entry + values::NEWEST, number);

        self.known[index].newest = number;
        self.announce(index);
    }

    /// Returns the next number of a value whose slot no reader holds, after a look at the guards. The
    /// slot of that number is marked as being written.
    // layout: L136 L307
    #[inline(never)]
    fn find_slot(&mut self, index: usize, held: impl Fn(usize) -> u64) -> u64 {
        let Known { newest, look_at } = self.known[index];
        // Mostly no reader holds the value, as at the last look.
        if look_at != 0 {
            let number = newest + 1;
            let mark = self.mark(index, number);
            let before = self.begin(mark, number);
            if held(index) == 0 {
                self.look_later(index);
                return number;
            }
            self.words.store64(mark, before);
        }
        self.find_free_slot(index, held)
    }

    /// Does the same as [`find_slot`](ValueWriter::find_slot) while readers may hold the value.
    // layout: L136 L184 L307
    #[cold]
    fn find_free_slot(&mut self, index: usize, held: impl Fn(usize) -> u64) -> u64 {
        // There are no other slots, so no reader can hold one.
        let slots = u64::MAX >> (64 - self.table_geometry.slots);
        let held = |index| held(index) & slots;
        let newest = self.known[index].newest;
        let mut number = newest + 1;
        // This look is only a guess, so that the writer seldom marks a slot that is held.
        let mut bits = held(index);
        self.known[index].look_at = 0;

        for _ in 0..LOOKS {
            number = self.next_free(newest, number, bits);
            let mark = self.mark(index, number);
            let before = self.begin(mark, number);
            bits = held(index);
            if bits == 0 {
                self.look_later(index);
                break;
            }
            if bits >> self.table_geometry.slot_of(number) & 1 == 0 {
                break;
            }
            // A reader has begun to hold this slot. Nothing was written to it. The store needs no
            // order: a reader sees the value of the slot by its load of the newest number (L1).
            self.words.store64(mark, before);
            number += 1;
        }
        number
    }

    /// Notes that a look has found no guard of a value.
    // layout: L307
    fn look_later(&mut self, index: usize) {
        let known = &mut self.known[index];
        known.look_at = known.newest + 1 + self.table_geometry.interval();
    }

    /// Returns the offset of the mark of the slot for a number.
    fn mark(&self, index: usize, number: u64) -> usize {
        let entry = self.table_geometry.entry(index);
        self.table_geometry.slot(entry, number) + values::MARK
    }

    /// Marks a slot as being written, before a look at the guards. Returns its former mark.
    fn begin(&self, mark: usize, number: u64) -> u64 {
        let before = self.words.load64(mark);
        self.words.store64(mark, 2 * number + 1);
        // Pairs with the reader's fence between its guard and its loads of the newest number and of
        // the mark (L3).
        self.words.full();
        before
    }

    /// Returns the first number from `number` on whose slot is neither held nor that of the newest
    /// value. There is always one, since a table has two guards less than a value has slots.
    // layout: L136 L303
    fn next_free(&self, newest: u64, number: u64, held: u64) -> u64 {
        let taken = held | 1 << self.table_geometry.slot_of(newest);
        let free = |number: &u64| taken >> self.table_geometry.slot_of(*number) & 1 == 0;
        let all = number..number + self.table_geometry.slots;
        all.into_iter().find(free).unwrap_or(number)
    }

    /// Stores which value changed, for readers that wait. The fence in
    /// [`store`](ValueWriter::store) orders the previous store of `CHANGES` before the store of
    /// this entry. So a reader that loads an entry which replaced an older entry also sees that
    /// previous `CHANGES`.
    // layout: L136
    #[inline]
    fn announce(&mut self, index: usize) {
        self.words.store32(recent(self.changes), index as u32);
        self.changes += 1;
        // Pairs with the reader's load (L4).
        self.words.publish64(values::CHANGES, self.changes);
    }

    /// Writes the name of a value, before any reader reads it.
    pub fn name(&self, index: usize, name: &str) {
        let at = self.table_geometry.name(index);
        let mut bytes = [0; values::NAME_LEN];
        bytes[0] = name.len() as u8;
        bytes[1..=name.len()].copy_from_slice(name.as_bytes());
        self.words.copy_in(at, &bytes);
    }
}

/// Returns the offset of the entry of change number `n`.
fn recent(n: u64) -> usize {
    values::RECENT + (n % values::RECENT_COUNT) as usize * 4
}

/// The result of loading a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// No value was stored yet.
    Nothing,
    /// A value of this length and number was copied out.
    Value(usize, u64),
    /// The value changed while it was copied, in each attempt.
    Busy,
    /// The table holds a word that no writer of this crate writes.
    Corrupt,
}

/// The result of an attempt to hold the newest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// No value was stored yet.
    Nothing,
    /// The guard holds the value.
    Held(Held),
    /// There is no guard, or the value changed in each attempt.
    Busy,
    /// The table holds a word that no writer of this crate writes.
    Corrupt,
}

/// A value that a guard holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The offset of the bytes of the value in the table.
    at: usize,
    pub len: usize,
    pub number: u64,
}

/// The reader's side.
#[derive(Debug)]
pub(crate) struct ValueReader<W> {
    words: W,
    table_geometry: TableGeometry,
    /// The number of changes that the reader has looked at.
    seen: u64,
    /// Set after too many changes: all values from this index on may have changed.
    all_from: Option<usize>,
}

impl<W: Words> ValueReader<W> {
    /// Creates a reader that has seen all changes up to now.
    // layout: L140
    pub fn new(words: W, table_geometry: TableGeometry) -> ValueReader<W> {
        // Pairs with the writer's store (L4).
        let seen = words.load64(values::CHANGES);
        ValueReader {
            words,
            table_geometry,
            seen,
            all_from: None,
        }
    }

    /// Creates a reader that has seen no change: all values of the table are new to it.
    // layout: L140
    pub fn from_the_beginning(words: W, table_geometry: TableGeometry) -> ValueReader<W> {
        ValueReader {
            seen: FIRST_COUNT,
            ..ValueReader::new(words, table_geometry)
        }
    }

    pub fn table_geometry(&self) -> TableGeometry {
        self.table_geometry
    }

    /// Returns the number of the newest value, which differs after each store.
    pub fn number(&self, index: usize) -> u64 {
        // Pairs with the writer's store (L1).
        self.words
            .load64(self.table_geometry.entry(index) + values::NEWEST)
    }

    /// Copies the newest value to the beginning of `to`, which must be long enough for the longest
    /// value. The reader gives up if it is overtaken in each attempt.
    #[inline]
    pub fn load(&self, index: usize, to: &mut [u8]) -> Look {
        let entry = self.table_geometry.entry(index);
        for _ in 0..TRIES {
            match self.try_load(entry, to) {
                Look::Busy => self.words.relax(),
                found => return found,
            }
        }
        Look::Busy
    }

    /// Holds the newest value. `aim` makes the reader's guard name a slot of the value, and returns
    /// whether the reader has a guard. The caller releases the guard.
    // layout: L138 L306
    pub fn hold(&self, index: usize, mut aim: impl FnMut(u64) -> bool) -> Hold {
        let entry = self.table_geometry.entry(index);
        for _ in 0..TRIES {
            let number = self.number(index);
            if number == 0 {
                return Hold::Nothing;
            }
            if !aim(self.table_geometry.slot_of(number)) {
                return Hold::Busy;
            }
            // Pairs with the writer's fence before its look at the guards (L3).
            self.words.full();

            let slot = self.table_geometry.slot(entry, number);
            if self.is_held(index, slot, number) {
                let len = self.words.load32(slot + values::LEN) as usize;
                let at = slot + values::VALUE;
                return match len <= self.table_geometry.max {
                    true => Hold::Held(Held { at, len, number }),
                    false => Hold::Corrupt,
                };
            }
            self.words.relax();
        }
        Hold::Busy
    }

    /// Returns whether this reader holds the slot of a value with a number, which its guard names. If
    /// the writer may be about to come to the slot without a look, this looks again until the writer
    /// has gone by.
    // layout: L306
    fn is_held(&self, index: usize, slot: usize, number: u64) -> bool {
        let limit = self.table_geometry.slots - self.table_geometry.interval();
        for _ in 0..TRIES {
            // The mark comes second: if the writer has written to the slot for a number up to the one
            // that is loaded here, the mark tells (L1).
            let behind = self.number(index).wrapping_sub(number);
            if self.words.load64(slot + values::MARK) != number.wrapping_mul(2) {
                return false;
            }
            if behind % self.table_geometry.slots < limit {
                return true;
            }
            self.words.relax();
        }
        false
    }

    /// Copies bytes of a value that a guard holds. The caller checks that they are inside the value.
    pub fn copy(&self, held: Held, offset: usize, to: &mut [u8]) {
        self.words.copy_out(held.at + offset, to);
    }

    #[inline]
    fn try_load(&self, entry: usize, to: &mut [u8]) -> Look {
        // Pairs with the writer's store (L1).
        let number = self.words.load64(entry + values::NEWEST);
        self.try_number(entry, number, to)
    }

    // layout: L137 L183
    #[inline]
    fn try_number(&self, entry: usize, number: u64, to: &mut [u8]) -> Look {
        if number == 0 {
            return Look::Nothing;
        }

        let slot = self.table_geometry.slot(entry, number);
        let len = self.words.load32(slot + values::LEN) as usize;
        if len <= self.table_geometry.max {
            self.words.copy_out(slot + values::VALUE, &mut to[..len]);
        }

        // Pairs with the writer's fence after the odd mark (L2).
        self.words.acquire();
        if self.words.load64(slot + values::MARK) != number.wrapping_mul(2) {
            Look::Busy
        } else if len <= self.table_geometry.max {
            Look::Value(len, number)
        } else {
            Look::Corrupt
        }
    }

    /// Returns the next value that changed since the last call. A value that changed several
    /// times may be returned several times. After too many changes, every value is returned
    /// once.
    // layout: L139 L183
    pub fn next_change(&mut self) -> Option<usize> {
        if let Some(index) = self.all_from {
            self.all_from = Some(index + 1).filter(|next| *next < self.table_geometry.count);
            return Some(index);
        }

        // Pairs with the writer's store (L4).
        let changes = self.words.load64(values::CHANGES);
        if changes == self.seen {
            return None;
        }

        let index = self.words.load32(recent(self.seen)) as usize;
        // Pairs with the writer's fence in `store`. The next change overwrites the oldest entry.
        self.words.acquire();
        let behind = self.words.load64(values::CHANGES).wrapping_sub(self.seen);

        if behind >= values::RECENT_COUNT || index >= self.table_geometry.count {
            self.seen = changes;
            self.all_from = Some(1).filter(|next| *next < self.table_geometry.count);
            return Some(0);
        }
        self.seen = self.seen.wrapping_add(1);
        Some(index)
    }

    /// Returns the number of changes that the reader has looked at.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Returns whether there is a change that the reader has not looked at.
    pub fn has_news(&self) -> bool {
        self.all_from.is_some() || self.words.load64(values::CHANGES) != self.seen
    }

    /// Returns the name of a value; an empty text if the bytes are not a name.
    // layout: L183
    pub fn name(&self, index: usize) -> String {
        let mut bytes = [0; values::NAME_LEN];
        self.words
            .copy_out(self.table_geometry.name(index), &mut bytes);
        let len = usize::from(bytes[0]).min(values::NAME_LEN - 1);
        String::from_utf8(bytes[1..=len].to_vec()).unwrap_or_default()
    }
}

impl ValueReader<Window> {
    /// Returns the address of a value that a guard holds.
    pub fn bytes(&self, held: Held) -> *const u8 {
        self.words.bytes(held.at, held.len)
    }
}
