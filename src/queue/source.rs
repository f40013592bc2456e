//! The sender of a source: it has a source key, and messages with source numbers;
//! [`segment::sources`](crate::segment::sources) explains how they are stored.

use crate::error::Result;
use crate::lane::ring::Place;
use crate::segment::Found;
use crate::segment::roster::Roster;
use crate::segment::sources::{Pair, SourceWords, last_pair};

/// How a sender with a source key joins a generation.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceOptions {
    pub key: u64,
    /// The last number of a sender that was in an earlier generation before; `None` for a new sender,
    /// which has to look for it.
    pub known: Option<Option<u64>>,
}

/// The source key of a sender, and its numbers.
#[derive(Debug)]
pub(super) struct Source {
    key: u64,
    /// The words of the slot, as this sender has stored them.
    pairs: [Pair; 2],
}

impl Source {
    /// Finds the last number of the key, and stores it in the slot of this sender. `tail` is the
    /// position behind the last message in the lane.
    // layout: L320 L322
    pub fn begin(
        options: SourceOptions,
        found: &Found,
        (roster, slot): (&Roster, usize),
        tail: u64,
    ) -> Result<Source> {
        let key = options.key;
        let before = match options.known {
            Some(known) => known,
            None => found.last_number(key, roster, slot)?,
        };

        let mut pairs = SourceWords::read(roster.words(), slot).pairs;
        match (last_pair(&pairs, tail), options.known, before) {
            (Some(last), known, _) => {
                // The other pair may be that of a message that was never committed.
                let other = 1 - last;
                pairs[other] = Pair::default();
                roster.clear_pair(slot, other);
                if let Some(Some(number)) = known {
                    pairs[last].number = number;
                    roster.set_pair(slot, last, pairs[last]);
                }
            }
            (None, _, Some(number)) => {
                let end = tail + 1;
                pairs = [Pair { end, number }, Pair::default()];
                roster.set_base_pair(slot, pairs[0]);
            }
            (None, _, None) => {
                pairs = [Pair::default(); 2];
                (0..pairs.len()).for_each(|n| roster.clear_pair(slot, n));
            }
        }
        Ok(Source { key, pairs })
    }

    /// Returns how this sender joins the next generation.
    pub fn reattaching(&self, committed: u64) -> SourceOptions {
        SourceOptions {
            key: self.key,
            known: Some(self.last(committed)),
        }
    }

    /// Returns the number of the last message. `committed` is the position behind the messages that
    /// were committed.
    pub fn last(&self, committed: u64) -> Option<u64> {
        last_pair(&self.pairs, committed).map(|n| self.pairs[n].number)
    }

    /// Stores the number of a message that is committed next, at this place.
    // layout: L318
    pub fn note(
        &mut self,
        (roster, slot): (&Roster, usize),
        place: Place,
        number: u64,
        committed: u64,
    ) {
        let n = last_pair(&self.pairs, committed).map_or(0, |last| 1 - last);
        let end = place.end() + 1;
        self.pairs[n] = Pair { end, number };
        roster.set_pair(slot, n, self.pairs[n]);
    }
}
