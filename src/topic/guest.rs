//! A publisher that opens a topic of several publishers: it takes a slot and the lane of that slot,
//! and reattaches to the next generation.
//!
//! ```text
//!   join
//!     1  take a slot of a publisher, and map its lane
//!     2  find the end of the lane, behind what its earlier publishers have sent
//!     3  store who sends here (lane/tenure.rs)
//!     4  lossless: stop waiting for the subscribers that the last publisher may be overwriting
//!     5  is the generation still in use? otherwise leave, and join the next one
//! ```
//!
//! The others keep publishing when the owner has ended. They reattach with the first message after
//! another owner has made a generation.

use super::backpressure::drop_late;
use super::home::{Guest, Home};
use super::publishing::{Publishing, next_tenure};
use super::subscribers::Subscribers;
use crate::error::channel::SendError;
use crate::error::publisher_id::PublisherId;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::roster;
use crate::lane::lossy::LossyWriter;
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::segment::geometry::TOPIC;
use crate::segment::open_or_create::Wanted;
use crate::segment::roster::{JOINED, WakeTarget};
use crate::segment::{Found, HowToJoin};
use crate::sync::{RingWordsMut, WordsMut};
use std::time::Instant;

impl Publishing {
    pub fn open(how: &HowToJoin, name: &Name) -> Result<Publishing> {
        how.join(name, TOPIC, |found, ring| {
            Publishing::join(found, ring, None)
        })
    }

    /// Creates the topic by `create`, or joins a topic that another publisher owns.
    pub fn open_or_create(
        name: &Name,
        wanted: &Wanted,
        create: impl Fn() -> Result<Publishing>,
    ) -> Result<Publishing> {
        let how = HowToJoin {
            layouts: wanted.common.layouts.clone(),
            ..HowToJoin::default()
        };
        let join = |found: Found, ring| {
            wanted.check(&found)?;
            Publishing::join(found, ring, None)
        };
        wanted.create_or_open(create, || how.join(name, TOPIC, join))
    }

    // layout: L290 L296 L300
    fn join(found: Found, ring: RingGeometry, id: Option<PublisherId>) -> Result<Publishing> {
        // A topic whose owner has ended, or has not come yet, is refused.
        if found.watch_owner()?.is_none() {
            let meaning = "no publisher owns it yet";
            let error = Error::new(ErrorKind::NotFound, Operation::Open, &found.name, meaning);
            return Err(error.with_advice("create it: Publisher::options().open_or_create"));
        }
        let slots = found.geometry.publisher_slots();
        if slots.is_empty() {
            let meaning = "its owner is the only publisher that it can have";
            let error = Error::new(ErrorKind::Busy, Operation::Open, &found.name, meaning);
            return Err(error.with_advice("let the owner create it for several publishers"));
        }
        let mut participant = found.take_slot_of(&found.roster()?, slots)?;
        let slot = participant.slot();
        let lane = found.lane_mut(slot + 1)?;
        let Some(lane) = LossyWriter::resume(lane.ring, lane.head, ring) else {
            let meaning = "an earlier publisher left an invalid message";
            let error = Error::new(ErrorKind::Corrupt, Operation::Open, &found.name, meaning);
            return Err(error.with_advice("restart the owner of the topic"));
        };

        let slot_epoch = participant.roster().slot_epoch(slot);
        let tenure = next_tenure(&lane, (found.generation, slot + 1), slot_epoch, id)?;
        let generations = Subscribers::of_guest(&found, &participant, slot + 1, ring)?;
        drop_overtaken(&generations, &lane);
        tenure.begin(lane.head());

        let roster = participant.roster();
        roster.set_state(slot, roster::state::ACTIVE);
        roster.tell(JOINED);
        participant.wake(WakeTarget::AllSlots);
        Ok(Publishing {
            delivery: found.geometry.delivery(),
            lane,
            tenure,
            generations,
            participant,
            home: Home::Guest(Box::new(Guest {
                found,
                refused: None,
            })),
        })
    }

    /// Reattaches to the generation in use, if this publisher has a slot of a generation that has
    /// ended. A publisher that cannot reattach keeps publishing for the subscribers that it has.
    // layout: L166 L167 L301
    #[cold]
    pub(super) fn follow(&mut self) -> Result<(), SendError> {
        let id = self.tenure.id;
        let Home::Guest(guest) = &mut self.home else {
            return Ok(());
        };
        if !guest.may_follow() {
            return Ok(());
        }
        let joined = guest
            .found
            .follow(TOPIC, |found, ring| Publishing::join(found, ring, Some(id)));
        let Some(mut next) = joined? else {
            guest.refused = Some(Instant::now());
            return Ok(());
        };
        next.participant.stay(&mut self.participant);
        // Its drop closes this publisher in the generation before.
        *self = next;
        Ok(())
    }
}

/// Stops waiting for the subscribers whose next messages the last publisher of a lane may be
/// overwriting: it has announced that it would write there.
// layout: L300
fn drop_overtaken(
    generations: &[Subscribers],
    lane: &LossyWriter<impl RingWordsMut, impl WordsMut>,
) {
    // Pairs with the fence of a subscriber that joins: it sees RESERVED, or this publisher sees it.
    lane.full_fence();
    let bytes = lane.ring_geometry().bytes();
    for subscribers in generations {
        for slot in subscribers.in_the_way(lane.reserved(), bytes) {
            drop_late(subscribers.roster(), slot);
        }
    }
}
