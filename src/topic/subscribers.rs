//! The subscribers for which a lossless publisher waits, generation by generation, and whether they
//! live.

use crate::format::layout::SLOTS;
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::object::process::Process;
use crate::segment::participant::{Participant, has_died, open_occupant};
use crate::segment::roster::Roster;
use crate::segment::{Owned, Pattern};
use crate::topic::backpressure::{self, is_waited_for};

/// The place of the slowest subscriber that is waited for; that position where there is
/// none.
pub(crate) fn lowest(generations: &[Subscribers], position: u64) -> u64 {
    let places = generations
        .iter()
        .flat_map(Subscribers::places)
        .map(|(_, place)| place);
    places.min().unwrap_or(position).min(position)
}

/// The subscribers of one generation, as far as they are waited for.
#[derive(Debug)]
pub(crate) struct Subscribers {
    name: Name,
    roster: Roster,
    /// Of each slot, the process that is watched, with its word and its slot epoch.
    processes: Vec<Option<((u64, u32), Process)>>,
    /// Of an earlier generation, which is kept: those who come over begin at the beginning.
    pub earlier: Option<(Owned, Participant)>,
    /// The position of the first message in the lane that is in use.
    pub first: u64,
}

impl Subscribers {
    pub fn of(segment: &Owned, ring: RingGeometry) -> Subscribers {
        Subscribers {
            name: segment.name().clone(),
            roster: segment.roster().clone(),
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

    /// Those who are waited for, and how far they have read. A place that lies further back than
    /// the ring reaches is no subscriber's of ours, who joins where it can be waited for.
    // layout: L126
    pub fn places(&self) -> impl Iterator<Item = (usize, u64)> {
        let waited_for = (0..SLOTS).filter(|slot| is_waited_for(&self.roster, *slot));
        waited_for.map(|slot| match self.earlier {
            None => (slot, self.roster.room(slot)),
            Some(_) => (slot, self.first),
        })
    }

    /// The slots of the subscribers that have not read what is about to be overwritten.
    fn in_the_way(&self, position: u64, bytes: u64) -> impl Iterator<Item = usize> {
        let in_the_way = move |(slot, place): (usize, u64)| {
            (place.saturating_add(bytes) < position).then_some(slot)
        };
        self.places().filter_map(in_the_way)
    }

    /// Gives up waiting for those that have died, or had their time; says whether there
    /// were any.
    // layout: L106 L126
    pub fn drop_the_dead_and_late(&mut self, position: u64, bytes: u64, late: bool) -> bool {
        self.processes.resize_with(SLOTS, || None);
        let mut dropped = false;
        let slots: Vec<usize> = self.in_the_way(position, bytes).collect();
        for slot in slots {
            let occupant = (self.roster.process_word(slot), self.roster.slot_epoch(slot));
            if occupant.0 == 0 {
                // It has just left.
                continue;
            }
            let known = &mut self.processes[slot];
            if known
                .as_ref()
                .is_none_or(|(watched, _)| *watched != occupant)
            {
                let watched = open_occupant(&self.roster, &self.name, slot, occupant.0);
                // It cannot be told, and so is taken for alive.
                let untold = watched.is_err();
                *known = watched.ok().flatten().map(|process| (occupant, process));
                if untold {
                    continue;
                }
            }
            let ended = |(_, process): &(_, Process)| matches!(process.has_ended(), Ok(true));
            let dead = known.as_ref().is_none_or(ended);
            if dead && !has_died(known.take().map(|(_, process)| process), occupant.0) {
                continue;
            }
            if dead {
                self.roster.evict(slot, occupant.0);
            } else if late {
                backpressure::drop_late(&self.roster, slot);
            }
            dropped |= dead || late;
        }
        dropped
    }

    /// The processes of the subscribers that are in the way now. A slot may have changed hands since
    /// its process was looked up; that process is not waited for then.
    pub fn waits_for(&self, position: u64, bytes: u64) -> Waiting<'_> {
        let mut waiting = Waiting {
            watched: Vec::new(),
            // A subscriber that leaves an earlier generation wakes the owner that it knows.
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
    /// The death of each of them, and that it leaves, ends the wait.
    pub is_complete: bool,
}
