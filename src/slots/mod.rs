//! The algorithm of values: one writer, and many readers that write nothing.
//!
//! Each value has several slots. The writer uses the slots in turn: it marks a slot as being
//! written, writes the value, marks the slot as whole, and then stores the number of the value as
//! the newest. A reader copies the newest slot and then loads the mark of this slot. The copy is
//! torn only if the writer has come back to this slot meanwhile. A reader whose copies are torn
//! again and again asks the writer to leave a slot alone (`hold`). The writer does so as long as
//! two slots are left to write in.
//!
//! # Which accesses pair
//!
//! | | store | load | what it guarantees |
//! |---|---|---|---|
//! | L1 | writer: `NEWEST` published | reader: its load | the reader sees the value and its mark |
//! | L2 | writer: release fence after the odd mark | reader: acquire fence after the copy | a torn copy is recognised |
//! | L3 | reader: its hold, full fence | writer: its look at the holds | the writer soon leaves a held slot alone |
//! | L4 | writer: `CHANGES` published | reader: its load | the reader sees which values changed, and the values |

#[cfg(test)]
pub(crate) mod tests;

use crate::format::layout::{FIRST_COUNT, values};
use crate::sync::{Words, WordsMut};

/// The number of attempts of a reader without a hold, and then with a hold. The writer leaves a
/// slot alone in every store that begins after it saw the hold, so one or two stores may still
/// write to the held slot.
const TRIES: u32 = 64;

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

/// The slot of a value that a reader asks the writer to leave alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold(pub u64);

impl Hold {
    pub const NONE: Hold = Hold(0);

    fn new(index: usize, slot: u64) -> Hold {
        Hold(((index as u64) << 8) | (slot + 1))
    }

    /// Returns the held slot as a bit; 0 if the hold is not for this value. The bit may stand for a
    /// slot that the value does not have, since a value may have fewer than 64 slots.
    // layout: L184
    #[inline]
    fn bit(self, index: usize) -> u64 {
        match (self.0 & 0xff, self.0 >> 8 == index as u64) {
            (slot @ 1..=64, true) => 1 << (slot - 1),
            _ => 0,
        }
    }
}

/// The writer's side.
#[derive(Debug)]
pub(crate) struct ValueWriter<W> {
    words: W,
    table_geometry: TableGeometry,
    /// The number of the newest value, for each value of the table.
    newest: Vec<u64>,
    changes: u64,
}

impl<W: WordsMut> ValueWriter<W> {
    /// Creates the writer of a new table.
    pub fn new(words: W, table_geometry: TableGeometry) -> ValueWriter<W> {
        words.store64(values::CHANGES, FIRST_COUNT);
        ValueWriter {
            words,
            table_geometry,
            newest: vec![FIRST_COUNT; table_geometry.count],
            changes: FIRST_COUNT,
        }
    }

    pub fn table_geometry(&self) -> TableGeometry {
        self.table_geometry
    }

    /// Stores a value that is not longer than the longest allowed value. `holds` are the holds of
    /// the readers; mostly there are none.
    // layout: L076 L136
    #[inline]
    pub fn store(&mut self, index: usize, value: &[u8], holds: impl Iterator<Item = Hold>) {
        let entry = self.table_geometry.entry(index);
        let mut number = self.newest[index] + 1;
        let held = holds.fold(0, |held, hold| held | hold.bit(index));
        if held != 0 {
            number = self.free_number(number, held);
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

        self.newest[index] = number;
        self.announce(index);
    }

    /// Returns the next number whose slot is not held. Holds that leave fewer than two slots
    /// are ignored: their readers are dead or broken.
    // layout: L136 L184
    #[cold]
    fn free_number(&self, number: u64, held: u64) -> u64 {
        // No reader can hold a slot that the value does not have.
        let held = held & (u64::MAX >> (64 - self.table_geometry.slots));
        if u64::from(held.count_ones()) > self.table_geometry.slots - 2 {
            return number;
        }
        let free = |number: &u64| held >> self.table_geometry.slot_of(*number) & 1 == 0;
        let others = number..number + self.table_geometry.slots;
        others.into_iter().find(free).unwrap_or(number)
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
    /// value. If the reader is overtaken in each attempt, it calls `hold` with the slot that the
    /// writer is to leave alone, and later with no slot. Without `hold` the reader gives up.
    #[inline]
    pub fn load(&self, index: usize, to: &mut [u8], hold: Option<impl Fn(Hold)>) -> Look {
        let entry = self.table_geometry.entry(index);
        for _ in 0..TRIES {
            match self.try_load(entry, to) {
                Look::Busy => self.words.relax(),
                found => return found,
            }
        }
        match hold {
            Some(hold) => self.load_held(index, to, hold),
            None => Look::Busy,
        }
    }

    /// Copies the newest value under a hold, for a reader that was overtaken in each attempt.
    // layout: L138
    #[cold]
    pub fn load_held(&self, index: usize, to: &mut [u8], hold: impl Fn(Hold)) -> Look {
        let entry = self.table_geometry.entry(index);
        let mut found = Look::Busy;
        for _ in 0..TRIES {
            let number = self.number(index);
            hold(Hold::new(index, self.table_geometry.slot_of(number)));
            // `hold` ends with a full fence, which stands between the hold and the copy. Pairs with
            // the writer's look at the holds (L3).
            found = self.try_number(entry, number, to);
            if found != Look::Busy {
                break;
            }
            self.words.relax();
        }
        hold(Hold::NONE);
        found
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
