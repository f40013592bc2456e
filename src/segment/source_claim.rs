//! How a participant takes a slot, with or without a source key: it tries again while other
//! participants are leaving or taking slots.

use super::participant::{Kernel, Life};
use super::sources::SourceClaim;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{LivesBackend, Occupant, pid_of};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;
use std::time::Duration;

/// How often a participant tries to take a slot that another participant is leaving or taking, and
/// the pause between two tries.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);
/// How often a sender tries to take the slot of its key from a living participant, which may be one
/// that is just giving the slot up.
const FEW_TRIES: u32 = 5;

impl Kernel {
    /// Takes one of these slots, or the slot of a source key; see [`Roster::claim`] and
    /// [`Roster::claim_source`].
    ///
    /// [`Roster::claim`]: super::roster::Roster::claim
    /// [`Roster::claim_source`]: super::roster::Roster::claim_source
    // layout: L104 L317
    pub fn claim(
        &self,
        me: Occupant,
        slots: Range<usize>,
        source: Option<u64>,
        prepare: impl Fn(usize) -> Result<()>,
    ) -> Result<(usize, Life)> {
        let mut tries = 0;
        loop {
            tries += 1;
            let begin = |slot, word| self.lives.take(slot, word);
            let claimed = match source {
                None => {
                    let claimed = self.roster.claim(me, slots.clone(), begin, &prepare)?;
                    claimed.map_or(SourceClaim::NoSlot, |(slot, life)| {
                        SourceClaim::Taken(slot, life)
                    })
                }
                Some(key) => {
                    let slots = slots.clone();
                    self.roster.claim_source(me, slots, key, begin, &prepare)?
                }
            };
            match claimed {
                SourceClaim::Taken(slot, life) => return Ok((slot, life)),
                SourceClaim::NoSlot if tries < TRIES && self.will_change(slots.clone()) => {
                    std::thread::sleep(PAUSE);
                }
                SourceClaim::NoSlot => return Err(self.no_slot(slots)),
                SourceClaim::Open(slot)
                    if tries < FEW_TRIES || tries < TRIES && self.is_leaving(slot) =>
                {
                    std::thread::sleep(PAUSE);
                }
                SourceClaim::Again if tries < TRIES => std::thread::sleep(any_pause()),
                SourceClaim::Open(slot) => return Err(self.is_open(Some(slot))),
                SourceClaim::Again => return Err(self.is_open(None)),
            }
        }
    }

    /// Returns whether the participant that has the life of this slot has left the slot, or is ending.
    fn is_leaving(&self, slot: usize) -> bool {
        self.roster.process_word(slot) == 0 || self.is_ending(slot)
    }

    fn is_ending(&self, slot: usize) -> bool {
        self.lives.is_ending(self.roster.occupant(slot))
    }

    /// Returns whether one of these slots is free, or will be free in a moment: a participant frees its
    /// slot a moment before its life ends, and the process of a dead one ends a moment before.
    fn will_change(&self, mut slots: Range<usize>) -> bool {
        let is_ending = |slot| !self.roster.is_reserved(slot) && self.is_ending(slot);
        self.roster.has_free(slots.clone()) || slots.any(is_ending)
    }

    fn no_slot(&self, slots: Range<usize>) -> Error {
        let count = slots.len();
        let meaning = match self.roster.reserved(slots) {
            0 => format!("all {count} slots are taken by living processes"),
            reserved => format!(
                "of its {count} slots, {reserved} are reserved for source keys, and living processes \
                 have the others"
            ),
        };
        let error = Error::new(ErrorKind::Busy, Operation::Open, &self.name, meaning);
        error.with_advice("wait until one of them leaves, or let the creator allow more")
    }

    fn is_open(&self, slot: Option<usize>) -> Error {
        let pid = slot.map_or(0, |slot| pid_of(self.roster.process_word(slot)));
        key_is_open(&self.name, pid)
    }
}

/// Returns the error for a source key that the process with this id has; 0 if the id is not known.
pub(super) fn key_is_open(name: &Name, pid: u32) -> Error {
    let meaning = match pid {
        0 => "another process has just opened a sender with this source key".to_string(),
        pid => format!("process {pid} has a sender with this source key"),
    };
    let error = Error::new(ErrorKind::Busy, Operation::Open, name, meaning);
    error.with_advice("close that sender, or use another source key")
}

/// Returns a pause of up to 4 ms that differs by process and thread, so that two processes which have
/// seen each other do not meet again.
fn any_pause() -> Duration {
    Duration::from_micros(RandomState::new().hash_one(0) % 4000)
}
