//! The source keys of a queue: a sender with a key has a slot to itself, and the slot has the source
//! number of the last message that a sender with this key has committed.
//!
//! A slot has two pairs, each of the end of a record and its number. The sender of a message with a
//! number overwrites the pair that does not belong to its last committed message, and commits the
//! message after that:
//!
//! ```text
//!   tail of the lane: 640          pair 0              pair 1
//!   before                         end 512, number 8   end 640, number 9    the last number is 9
//!   the sender stores pair 0       end 704, number 10  end 640, number 9    704 > 640: it is still 9
//!   the sender commits: tail 704   end 704, number 10  end 640, number 9    it is 10
//! ```
//!
//! So one store, that of the commit word, changes the tail and the last number. The next sender with
//! the key finds the tail by the records in the lane, and the number by the tail.
//!
//! A slot is *reserved* if its key has a pair, or was taken over from an earlier generation. Only
//! senders with the key take a reserved slot. A new key takes any other slot:
//!
//! ```text
//!   sender A                        sender B, with the same key
//!   take slot 1                     take slot 2
//!   KEY of slot 1 = the key         KEY of slot 2 = the key
//!   full fence                      full fence
//!   look at KEY of all other slots  look at KEY of all other slots
//! ```
//!
//! At least one of the two sees the key of the other, gives its slot up, and begins again.

use super::roster::{Roster, slot_at};
use crate::error::Result;
use crate::format::layout::roster;
use crate::os::Occupant;
use crate::sync::{Shared, Words};
use std::ops::Range;

/// The offsets in a slot of END and NUMBER of each pair.
const PAIRS: [(usize, usize); 2] = [
    (roster::SOURCE_END_0, roster::SOURCE_NUMBER_0),
    (roster::SOURCE_END_1, roster::SOURCE_NUMBER_1),
];

/// The end of a record, plus 1, and its source number. An end of 0 means that there is no record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub end: u64,
    pub number: u64,
}

/// Returns the index of the pair of the last message before the tail of a lane.
// layout: L319
pub(crate) fn last_pair(pairs: &[Pair; 2], tail: u64) -> Option<usize> {
    let is_committed = |n: &usize| pairs[*n].end != 0 && pairs[*n].end <= tail.saturating_add(1);
    [0, 1]
        .into_iter()
        .filter(is_committed)
        .max_by_key(|n| pairs[*n].end)
}

/// A source number, and the generation in which it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownNumber {
    pub generation: u32,
    pub number: u64,
    /// Whether it was found in the lane of that generation. Otherwise an owner has copied it, perhaps
    /// before the last message of that lane was sent.
    pub is_original: bool,
}

impl KnownNumber {
    /// Returns the later number: `known`, as a generation says, or `earlier`, as an earlier generation
    /// says.
    // layout: L321 L322
    pub fn later(known: Option<KnownNumber>, earlier: Option<KnownNumber>) -> Option<KnownNumber> {
        let (Some(one), Some(other)) = (known, earlier) else {
            return known.or(earlier);
        };
        let is_later = other.generation > one.generation
            || other.generation == one.generation && other.is_original;
        Some(if is_later { other } else { one })
    }
}

/// The words of a slot about the source key of its senders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceWords {
    pub key: u64,
    pub pairs: [Pair; 2],
    inherited: u64,
    inherited_number: u64,
}

impl SourceWords {
    /// Loads the words of a slot. A peer can write any word at any time. So the words choose the slot of
    /// a key and its number, and nothing else. All loads acquire: pairs with the stores of `set_pair` and
    /// `set_inherited`, so that the number is that of the loaded end, or a later one.
    // layout: L323
    pub fn read(words: &impl Words, slot: usize) -> SourceWords {
        let load = |at| words.load64(slot_at(slot) + at);
        SourceWords {
            key: load(roster::SOURCE_KEY),
            pairs: PAIRS.map(|(end, number)| Pair {
                end: load(end),
                number: load(number),
            }),
            inherited: load(roster::INHERITED),
            inherited_number: load(roster::INHERITED_NUMBER),
        }
    }

    /// Returns whether only senders with the key may take the slot.
    // layout: L315
    pub fn is_reserved(&self) -> bool {
        let has_pair = self.pairs.iter().any(|pair| pair.end != 0);
        self.key != 0 && (has_pair || self.inherited != 0)
    }

    /// Returns the number that the owner has found in an earlier generation.
    pub fn inherited(&self) -> Option<KnownNumber> {
        let generation = self.inherited as u32;
        (generation != 0).then_some(KnownNumber {
            generation,
            number: self.inherited_number,
            is_original: false,
        })
    }

    /// Returns the number of the last message in a lane of this generation with this tail, or
    /// otherwise in an earlier generation. Without a tail, only the earlier generations count.
    // layout: L319 L321
    pub fn known(&self, generation: u32, tail: Option<u64>) -> Option<KnownNumber> {
        let last = tail.and_then(|tail| last_pair(&self.pairs, tail));
        let own = last.map(|n| KnownNumber {
            generation,
            number: self.pairs[n].number,
            is_original: true,
        });
        own.or_else(|| self.inherited())
    }
}

/// The result of [`Roster::claim_source`].
pub(crate) enum SourceClaim<L> {
    /// The process has this slot, whose participant has this life.
    Taken(usize, L),
    /// A living participant has the slot of the key.
    Open(usize),
    /// Another process was just taking a slot for the key, or has just taken the slot of the key.
    Again,
    /// All slots have living participants or are reserved.
    NoSlot,
}

impl<W: Shared> Roster<W> {
    pub fn source_key(&self, slot: usize) -> u64 {
        self.words.load64(slot_at(slot) + roster::SOURCE_KEY)
    }

    pub fn set_source_key(&self, slot: usize, key: u64) {
        let at = slot_at(slot) + roster::SOURCE_KEY;
        // Pairs with the load of `source_key`.
        self.words.publish64(at, key);
    }

    /// Returns whether only senders with the key of this slot may take the slot.
    // layout: L315
    pub fn is_reserved(&self, slot: usize) -> bool {
        self.source_key(slot) != 0 && SourceWords::read(&self.words, slot).is_reserved()
    }

    /// Returns how many of these slots are reserved.
    pub fn reserved(&self, slots: Range<usize>) -> usize {
        slots.filter(|slot| self.is_reserved(*slot)).count()
    }

    /// Returns the reserved slot of a key among these slots.
    pub fn reserved_for(&self, key: u64, mut slots: Range<usize>) -> Option<usize> {
        slots.find(|slot| self.source_key(*slot) == key && self.is_reserved(*slot))
    }

    /// Removes the key of a slot that this process has taken; `false` if the slot is reserved.
    // layout: L316
    pub(super) fn forget_source(&self, slot: usize) -> bool {
        if self.source_key(slot) == 0 {
            return true;
        }
        let is_free = !self.is_reserved(slot);
        if is_free {
            self.set_source_key(slot, 0);
        }
        is_free
    }

    /// Stores a pair. The END goes first: a sender that is killed before it has stored the number has
    /// a pair that is not committed.
    // layout: L318
    pub fn set_pair(&self, slot: usize, n: usize, pair: Pair) {
        let (end, number) = PAIRS[n];
        // Both stores pair with the loads of `SourceWords::read`: a process that sees one of them sees
        // the commit of the message before, and then finds another tail (`carry`).
        self.words.publish64(slot_at(slot) + end, pair.end);
        self.words.publish64(slot_at(slot) + number, pair.number);
    }

    /// Stores a number that was sent in an earlier generation. The END goes last, since it is not
    /// greater than the tail.
    // layout: L320
    pub fn set_base_pair(&self, slot: usize, pair: Pair) {
        let [(end, number), (other, _)] =
            PAIRS.map(|(e, n)| (slot_at(slot) + e, slot_at(slot) + n));
        self.words.publish64(end, 0);
        self.words.publish64(other, 0);
        // Both stores pair with the loads of `SourceWords::read`.
        self.words.publish64(number, pair.number);
        self.words.publish64(end, pair.end);
    }

    /// Removes a pair that was not committed.
    // layout: L320
    pub fn clear_pair(&self, slot: usize, n: usize) {
        // Pairs with the load of `SourceWords::read`.
        self.words.publish64(slot_at(slot) + PAIRS[n].0, 0);
    }

    /// Reserves a slot for a key of an earlier generation. `known` is its number, if that is known.
    // layout: L321
    pub fn set_inherited(&self, slot: usize, key: u64, known: Option<KnownNumber>) {
        let (generation, number) = known.map_or((0, 0), |known| (known.generation, known.number));
        let at = slot_at(slot);
        // Pairs with the load of `SourceWords::read`: a process that sees INHERITED sees this number or
        // a later one.
        self.words.publish64(at + roster::INHERITED_NUMBER, number);
        let word = roster::KEPT | u64::from(generation);
        self.words.publish64(at + roster::INHERITED, word);
        self.set_source_key(slot, key);
    }

    /// Takes the slot of a source key, or another slot that is not reserved, for the process `me`. For
    /// `begin` and `prepare` see [`claim`](Roster::claim).
    // layout: L317
    pub fn claim_source<L>(
        &self,
        me: Occupant,
        slots: Range<usize>,
        key: u64,
        begin: impl Fn(usize, u64) -> Result<Option<L>>,
        prepare: impl Fn(usize) -> Result<()>,
    ) -> Result<SourceClaim<L>> {
        let has_key = |slot: &usize| self.source_key(*slot) == key;
        let home = self.reserved_for(key, slots.clone());
        let (slot, life) = match home.or_else(|| slots.clone().find(has_key)) {
            Some(slot) => match self.inherit(slot, me.word, &begin)? {
                Some(life) => (slot, life),
                None => return Ok(SourceClaim::Open(slot)),
            },
            None => match self.take_unreserved(me.word, slots.clone(), &begin)? {
                Some(taken) => taken,
                None => return Ok(SourceClaim::NoSlot),
            },
        };

        // The slot of another key: a participant without a key has had the slot meanwhile.
        let is_of_other = self.is_reserved(slot) && !has_key(&slot);
        if is_of_other || !self.announce_source(slot, key, slots) {
            self.leave(slot, me.word);
            return Ok(SourceClaim::Again);
        }
        prepare(slot).inspect_err(|_| {
            self.forget_source(slot);
            self.leave(slot, me.word);
        })?;
        self.begin_occupancy(slot, &me);
        Ok(SourceClaim::Taken(slot, life))
    }

    /// Stores the key in a slot that this process has taken. Returns `false`, without the key in the
    /// slot, if another process may have taken another slot for the key.
    // layout: L317
    fn announce_source(&self, slot: usize, key: u64, mut slots: Range<usize>) -> bool {
        if self.source_key(slot) != key {
            // The slot is not reserved. What stands there has no meaning.
            let words = [
                roster::SOURCE_END_0,
                roster::SOURCE_END_1,
                roster::INHERITED,
            ];
            for at in words {
                self.words.store64(slot_at(slot) + at, 0);
            }
            self.set_source_key(slot, key);
        }
        // Pairs with the fence of a process that takes another slot for the key: at least one of the
        // two sees the key of the other. Also pairs with the fence of `Ownership::is_still`: a sender
        // that stays in an earlier generation is visible there after this.
        self.words.full();
        // No other slot is reserved for the key: its sender has seen this one.
        if self.is_reserved(slot) {
            return true;
        }
        let is_alone = !slots.any(|other| other != slot && self.source_key(other) == key);
        if !is_alone {
            self.set_source_key(slot, 0);
        }
        is_alone
    }
}
