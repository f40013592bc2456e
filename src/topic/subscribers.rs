//! The subscribers for which a lossless publisher waits, of each generation, and whether they are
//! alive.

use crate::access::Access;
use crate::error::Result;
use crate::lane::ring::RingGeometry;
use crate::object::process::Process;
use crate::object::section::Section;
use crate::os::Kind;
use crate::segment::participant::{Kernel, Participant};
use crate::segment::roster::{Eviction, Roster};
use crate::segment::{Found, Geometry, Owned, Pattern};
use crate::topic::backpressure::{self, is_waited_for};
use std::ops::Range;

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
    slots: Range<usize>,
    /// The lane of the publisher.
    lane: usize,
    /// The watched process of each slot, with the process word and the slot epoch for which it was
    /// opened.
    processes: Vec<Option<((u64, u32), Process)>>,
    /// An earlier generation, which is kept open; `None` for the generation in use. The subscribers
    /// of an earlier generation begin with the first message of the generation in use when they
    /// reattach.
    pub earlier: Option<Earlier>,
    /// The position of the first message in the lane that is in use.
    pub first: u64,
}

/// What keeps an earlier generation open.
#[derive(Debug)]
pub(crate) enum Earlier {
    Owned(#[expect(dead_code, reason = "it is kept open")] Box<(Owned, Participant)>),
    /// A publisher that is not the owner keeps the roster.
    Seen(#[expect(dead_code, reason = "it is kept open")] Section),
}

impl Earlier {
    pub fn owned(generation: Owned, participant: Participant) -> Earlier {
        Earlier::Owned(Box::new((generation, participant)))
    }
}

impl Subscribers {
    pub fn of(segment: &Owned, ring: RingGeometry) -> Subscribers {
        let (kernel, roster) = (segment.notifier().system(), segment.roster());
        Subscribers::new(kernel, roster, &segment.geometry, 0, ring)
    }

    fn new(
        kernel: &Kernel,
        roster: &Roster,
        geometry: &Geometry,
        lane: usize,
        ring: RingGeometry,
    ) -> Subscribers {
        Subscribers {
            kernel: kernel.clone(),
            roster: roster.clone(),
            slots: geometry.subscriber_slots(),
            lane,
            processes: Vec::new(),
            earlier: None,
            first: ring.first(),
        }
    }

    fn before(earlier: (Owned, Participant), ring: RingGeometry) -> Subscribers {
        let subscribers = Subscribers::of(&earlier.0, ring);
        Subscribers {
            earlier: Some(Earlier::owned(earlier.0, earlier.1)),
            ..subscribers
        }
    }

    /// Returns the subscribers for a publisher that is not the owner, and that writes this lane.
    // layout: L163
    pub fn of_guest(
        found: &Found,
        participant: &Participant,
        lane: usize,
        ring: RingGeometry,
    ) -> Result<Vec<Subscribers>> {
        let (kernel, roster) = (participant.kernel(), participant.roster());
        let mut generations = vec![Subscribers::new(
            kernel,
            roster,
            &found.geometry,
            lane,
            ring,
        )];
        if !found.geometry.is_lossless() {
            return Ok(generations);
        }
        for (geometry, section) in found.earlier_rosters() {
            if geometry.pattern() != Pattern::Topic {
                continue;
            }
            let roster = geometry.roster(section.words_from_mut(geometry.roster_len())?);
            let access: Access = section.companion_access(Kind::Event)?;
            let kernel = Kernel::new(&found.name, &section, &roster, &access)?;
            let subscribers = Subscribers::new(&kernel, &roster, &geometry, lane, ring);
            generations.push(Subscribers {
                earlier: Some(Earlier::Seen(section)),
                ..subscribers
            });
        }
        Ok(generations)
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
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
        let slots = self.slots.clone();
        let waited_for = slots.filter(|slot| is_waited_for(&self.roster, *slot));
        waited_for.map(|slot| match self.earlier {
            None => (slot, self.roster.room(slot, self.lane)),
            Some(_) => (slot, self.first),
        })
    }

    /// Returns the slots of the subscribers that have not read messages which are about to be
    /// overwritten.
    pub fn in_the_way(&self, position: u64, bytes: u64) -> impl Iterator<Item = usize> {
        let in_the_way = move |(slot, place): (usize, u64)| {
            (place.saturating_add(bytes) < position).then_some(slot)
        };
        self.places().filter_map(in_the_way)
    }

    /// Stops waiting for the subscribers in the way that have died, and for all in the way if they
    /// are `late`. Returns whether there were any.
    // layout: L106 L126
    pub fn drop_the_dead_and_late(&mut self, position: u64, bytes: u64, late: bool) -> bool {
        self.processes.resize_with(self.slots.end, || None);
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
