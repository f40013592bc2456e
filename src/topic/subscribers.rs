//! The subscribers for which a lossless publisher waits, of each generation, and whether they are
//! alive.

use crate::lane::ring::RingGeometry;
use crate::object::process::Process;
use crate::segment::participant::{Kernel, Participant};
use crate::segment::roster::{Eviction, Roster};
use crate::segment::{Owned, Pattern};
use crate::topic::backpressure::{self, is_waited_for};

/// Returns the position of the slowest subscriber for which the publisher waits, or `position` if
/// that is lower or there is no such subscriber.
pub(crate) fn lowest(generations: &[Subscribers], position: u64) -> u64 {
    let places = generations
        .iter()
        .flat_map(Subscribers::places)
        .map(|(_, place)| place);
    places.min().unwrap_or(position).min(position)
}

/// The subscribers of one generation, as far as the publisher waits for them.
#[derive(Debug)]
pub(crate) struct Subscribers {
    kernel: Kernel,
    roster: Roster,
    slots: usize,
    /// The watched process of each slot, with the process word and the slot epoch for which it was
    /// opened.
    processes: Vec<Option<((u64, u32), Process)>>,
    /// An earlier generation, which is kept open; `None` for the generation in use. The subscribers
    /// of an earlier generation begin with the first message of the generation in use when they
    /// reattach.
    pub earlier: Option<(Owned, Participant)>,
    /// The position of the first message in the lane that is in use.
    pub first: u64,
}

impl Subscribers {
    pub fn of(segment: &Owned, ring: RingGeometry) -> Subscribers {
        Subscribers {
            kernel: segment.notifier().system().clone(),
            roster: segment.roster().clone(),
            slots: segment.geometry.slots(),
            processes: Vec::new(),
            earlier: None,
            first: ring.first(),
        }
    }

    fn before(earlier: (Owned, Participant), ring: RingGeometry) -> Subscribers {
        let subscribers = Subscribers::of(&earlier.0, ring);
        Subscribers {
            earlier: Some(earlier),
            ..subscribers
        }
    }

    // layout: L163
    pub fn all(
        segment: &Owned,
        ring: RingGeometry,
        older: Vec<(Owned, Participant)>,
    ) -> Vec<Subscribers> {
        let mut generations = vec![Subscribers::of(segment, ring)];
        if segment.geometry.is_lossless() {
            let topics = older
                .into_iter()
                .filter(|(segment, _)| segment.geometry.pattern() == Pattern::Topic);
            generations.extend(topics.map(|earlier| Subscribers::before(earlier, ring)));
        }
        generations
    }

    /// Returns the slots of the subscribers for which the publisher waits, and the position up to
    /// which each has read. A position further back than the ring reaches does not belong to a
    /// subscriber of this crate: a subscriber of this crate joins at a position at which the
    /// publisher can wait for it.
    // layout: L126
    pub fn places(&self) -> impl Iterator<Item = (usize, u64)> {
        let waited_for = (0..self.slots).filter(|slot| is_waited_for(&self.roster, *slot));
        waited_for.map(|slot| match self.earlier {
            None => (slot, self.roster.room(slot)),
            Some(_) => (slot, self.first),
        })
    }

    /// Returns the slots of the subscribers that have not read messages which are about to be
    /// overwritten.
    fn in_the_way(&self, position: u64, bytes: u64) -> impl Iterator<Item = usize> {
        let in_the_way = move |(slot, place): (usize, u64)| {
            (place.saturating_add(bytes) < position).then_some(slot)
        };
        self.places().filter_map(in_the_way)
    }

    /// Stops waiting for the subscribers in the way that have died, and for all in the way if they
    /// are `late`. Returns whether there were any.
    // layout: L106 L126
    pub fn drop_the_dead_and_late(&mut self, position: u64, bytes: u64, late: bool) -> bool {
        self.processes.resize_with(self.slots, || None);
        let mut dropped = false;
        let slots: Vec<usize> = self.in_the_way(position, bytes).collect();
        for slot in slots {
            let occupant = (self.roster.process_word(slot), self.roster.slot_epoch(slot));
            if occupant.0 == 0 {
                // The subscriber has just left.
                continue;
            }

            let known = &mut self.processes[slot];
            if known
                .as_ref()
                .is_none_or(|(watched, _)| *watched != occupant)
            {
                let watched = self.kernel.watch(slot);
                // The system cannot tell, so the process counts as alive.
                let untold = watched.is_err();
                *known = watched.ok().flatten().map(|process| (occupant, process));
                if untold {
                    continue;
                }
            }

            let ended = |(_, process): &(_, Process)| matches!(process.has_ended(), Ok(true));
            let dead = known.as_ref().is_none_or(ended);
            if dead {
                let watched = known.take().map(|(_, process)| process);
                if !self.kernel.has_died(watched, slot, occupant.0) {
                    continue;
                }
                if self.kernel.evict(slot, occupant.0) == Eviction::Failed {
                    backpressure::drop_late(&self.roster, slot);
                }
            } else if late {
                backpressure::drop_late(&self.roster, slot);
            }
            dropped |= dead || late;
        }
        dropped
    }

    /// Returns the processes of the subscribers that are in the way now. The result lacks a process
    /// if its slot has got another occupant since the process was opened.
    pub fn waits_for(&self, position: u64, bytes: u64) -> Waiting<'_> {
        let mut waiting = Waiting {
            watched: Vec::new(),
            // A subscriber that leaves an earlier generation wakes only the owner of that
            // generation.
            is_complete: self.earlier.is_none(),
        };

        for slot in self.in_the_way(position, bytes) {
            let occupant = (self.roster.process_word(slot), self.roster.slot_epoch(slot));
            match self.processes.get(slot) {
                Some(Some((watched, process))) if *watched == occupant => {
                    waiting.watched.push(process)
                }
                _ => waiting.is_complete = false,
            }
        }
        waiting
    }
}

/// The processes for which a publisher waits.
pub(crate) struct Waiting<'a> {
    pub watched: Vec<&'a Process>,
    /// Whether the wait ends when any of the subscribers in the way dies or leaves.
    pub is_complete: bool,
}
