//! How a publisher writes messages into its lane, overwrites old messages, and waits for slow
//! subscribers.
//!
//! ```text
//!   send(message, deadline)
//!     1  forked, or name lost?            return the error
//!        longer than the longest message? return TooLong
//!     2  does the message end before RESERVED?
//!          yes:             go to 3
//!          no, lossy:       RESERVED = the end of the message, rounded up to an eighth of the ring
//!          no, lossless:    announce the same position, unless a subscriber is in the way
//!                           (backpressure.rs); if one is:
//!              send what a batch holds back
//!              drop the subscribers in the way that are dead or late; repeat if there were any
//!              the call does not wait?    return Full
//!              deadline passed?           return Timeout
//!              spin for 100 µs, then park until a subscriber reads, leaves or dies; repeat
//!     3  write the payload, store the commit word, wake the subscribers that sleep
//! ```
//!
//! A subscriber that reads finds out by RESERVED that its copy may have been overwritten
//! (`lane/lossy.rs`).

use crate::error::Result;
use crate::error::channel::SendError;
use crate::lane::claim::Claimed;
use crate::lane::lossy::LossyWriter;
use crate::lane::ring::{Place, RingGeometry};
use crate::name::Name;
use crate::object::process::Process;
use crate::os::{LOOK_BACK, ValidityBackend, deadline_within};
use crate::segment::options::Common;
use crate::segment::participant::Participant;
use crate::segment::peer_watch::MAX_PEERS;
use crate::segment::roster::WakeTarget;
use crate::segment::{Geometry, Head, Owned};
use crate::sync::{Round, WindowMut};
use crate::topic::backpressure::{announce, is_free};
use crate::topic::subscribers::{Subscribers, Waiting, lowest};
#[cfg(feature = "async")]
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Spin};
use std::time::{Duration, Instant};

/// The delivery of a topic: what a publisher does about subscribers that are slower than the
/// publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// The publisher never waits. A subscriber that is overtaken receives
    /// [`Lagged(n)`](crate::RecvError::Lagged): it missed n messages.
    #[default]
    Lossy,
    /// The publisher waits for the slowest living subscriber, so that no subscriber misses a
    /// message.
    Lossless,
    /// The publisher waits this long for a slow subscriber, and then continues without it. The
    /// subscriber receives [`Lagged(n)`](crate::RecvError::Lagged): it missed n messages. From then
    /// on the publisher waits for the subscriber again.
    LosslessFor(Duration),
}

impl Delivery {
    fn geometry(self, slots: usize, ring: RingGeometry) -> Geometry {
        Geometry::Topic {
            is_lossless: self != Delivery::Lossy,
            slots,
            ring,
        }
    }
}

/// The publisher of a topic, for messages of any type.
#[derive(Debug)]
pub struct Publishing {
    pub lane: LossyWriter<WindowMut<Round>, WindowMut<Head>>,
    delivery: Delivery,
    generations: Vec<Subscribers>,
    participant: Participant,
    // Declared last, so that it is dropped last: it holds the name.
    pub segment: Owned,
}

impl Publishing {
    pub fn create(
        common: &Common,
        ring: RingGeometry,
        delivery: Delivery,
        name: &Name,
    ) -> Result<Publishing> {
        let geometry = delivery.geometry(common.slots, ring);
        let (mut segment, participant) =
            Owned::create(name, geometry, &common.access, &common.layouts)?;

        let lane = segment.lane_mut(0, common.prefault)?;
        let mut older = segment.older()?;
        segment.publish(&mut older);

        Ok(Publishing {
            lane: LossyWriter::new(lane.ring, lane.head, ring),
            delivery,
            generations: Subscribers::all(&segment, ring, older),
            participant,
            segment,
        })
    }

    pub fn resize(
        &mut self,
        common: &Common,
        ring: RingGeometry,
        delivery: Delivery,
    ) -> Result<()> {
        let geometry = delivery.geometry(common.slots, ring);
        self.participant.check()?;
        let (mut segment, participant) = self.segment.next(geometry, &common.layouts)?;
        let lane = segment.lane_mut(0, common.prefault)?;

        self.flush();
        segment.follow(&mut self.segment);
        self.lane = LossyWriter::new(lane.ring, lane.head, ring);
        self.delivery = delivery;
        let mut participant = std::mem::replace(&mut self.participant, participant);
        self.participant.stay(&mut participant);

        let segment = std::mem::replace(&mut self.segment, segment);
        self.generations[0].earlier = Some((segment, participant));
        self.generations
            .insert(0, Subscribers::of(&self.segment, ring));
        for subscribers in &mut self.generations {
            subscribers.first = ring.first();
        }

        self.let_go();
        Ok(())
    }

    /// Closes the earlier generations that have no subscriber for which the publisher waits.
    // layout: L127
    fn let_go(&mut self) {
        let waits = self.segment.geometry.is_lossless();
        let is_needed = |subscribers: &Subscribers| waits && subscribers.places().next().is_some();
        self.generations
            .retain(|subscribers| subscribers.earlier.is_none() || is_needed(subscribers));
    }

    /// Reserves space for a message of this length.
    #[inline]
    pub fn claim(&mut self, len: usize, deadline: Deadline) -> Result<Place, SendError> {
        self.make_room(len, deadline, &mut None)?;
        Ok(self.lane.claim(len))
    }

    /// Begins a batch of messages that are sent together.
    pub fn batch(&mut self) -> Result<Batch<'_>, SendError> {
        // The check is done once, here: a call that returns a fault sends nothing.
        self.participant.validity.check()?;
        Ok(Batch {
            publisher: self,
            count: 0,
        })
    }

    fn flush(&mut self) {
        self.lane.flush();
        self.participant.wake(WakeTarget::AllSlots);
    }

    /// Sends a message. `since` is the time at which the caller began to wait, if the caller has
    /// waited.
    // layout: L097
    #[inline]
    pub fn write(
        &mut self,
        message: &[u8],
        deadline: Deadline,
        since: &mut Option<Instant>,
    ) -> Result<(), SendError> {
        if !self.participant.validity.is_valid() || !self.lane.send_quickly(message) {
            self.make_room(message.len(), deadline, since)?;
            self.lane.send(message);
        }
        self.participant.wake(WakeTarget::AllSlots);
        Ok(())
    }

    fn make_room(
        &mut self,
        len: usize,
        deadline: Deadline,
        since: &mut Option<Instant>,
    ) -> Result<(), SendError> {
        self.participant.validity.check()?;
        self.find_room(len, deadline, since)
    }

    fn find_room(
        &mut self,
        len: usize,
        deadline: Deadline,
        since: &mut Option<Instant>,
    ) -> Result<(), SendError> {
        let max = self.lane.ring_geometry().max();
        if len > max {
            return Err(SendError::TooLong { len, max });
        }
        match (self.lane.lacks(len), self.delivery) {
            (None, _) => {}
            (Some(position), Delivery::Lossy) => self.lane.announce(position),
            (Some(position), _) => self.announce_to_all(position, deadline, since)?,
        }
        Ok(())
    }

    /// Announces the position as soon as no subscriber for which the publisher waits is in the way.
    // layout: L126
    #[cold]
    fn announce_to_all(
        &mut self,
        position: u64,
        deadline: Deadline,
        since: &mut Option<Instant>,
    ) -> Result<(), SendError> {
        let bytes = self.lane.ring_geometry().bytes();
        self.let_go();
        loop {
            let lowest = || lowest(&self.generations, position);
            if announce(&mut self.lane, position, lowest) {
                return Ok(());
            }
            // A subscriber cannot read messages that were not sent.
            self.flush();

            let since = *since.get_or_insert_with(Instant::now);
            let late = match self.delivery {
                Delivery::LosslessFor(limit) => since.elapsed() >= limit,
                _ => false,
            };
            let generations = self.generations.iter_mut();
            if generations.fold(false, |any, subscribers| {
                subscribers.drop_the_dead_and_late(position, bytes, late) | any
            }) {
                continue;
            }

            let until = match deadline {
                Deadline::Now => return Err(SendError::Full),
                Deadline::At(at) if Instant::now() >= at => return Err(SendError::Timeout),
                Deadline::At(at) => Some(at),
                Deadline::Never => None,
            };
            self.wait_for_the_slowest(position, since, until)?;
        }
    }

    // layout: L091
    fn wait_for_the_slowest(
        &mut self,
        position: u64,
        since: Instant,
        until: Option<Instant>,
    ) -> Result<()> {
        let bytes = self.lane.ring_geometry().bytes();
        let Publishing {
            participant,
            generations,
            delivery,
            ..
        } = self;

        let mut spin = Spin::new(until);
        while spin.again() {
            if is_free(lowest(generations, position), bytes, position) {
                return Ok(());
            }
        }

        let late = match delivery {
            Delivery::LosslessFor(limit) => since.checked_add(*limit),
            _ => None,
        };
        let until = match (until, late) {
            (Some(until), Some(late)) => Some(until.min(late)),
            (until, late) => until.or(late),
        };
        // The processes are looked up once for each sleep. The same look shows whether all of them
        // were found.
        let waiting = generations
            .iter()
            .map(|subscribers| subscribers.waits_for(position, bytes));
        let waiting: Vec<Waiting> = waiting.collect();
        let peers = waiting.iter().flat_map(|one| one.watched.iter().copied());
        let mut peers: Vec<&Process> = peers.collect();
        let until = match waiting.iter().all(|one| one.is_complete) && peers.len() <= MAX_PEERS {
            true => until,
            false => deadline_within(LOOK_BACK, until),
        };
        peers.truncate(MAX_PEERS);
        let ready = || is_free(lowest(generations, position), bytes, position);
        participant.park(ready, &peers, until).map(|_| ())
    }
}

/// A publisher that waits for its slowest subscriber, since there is no space for a message.
#[cfg(feature = "async")]
pub(crate) struct Held<'a> {
    publisher: &'a mut Publishing,
    /// The position that the publisher wants to announce.
    position: u64,
    /// The time at which the publisher drops late subscribers.
    limit: Option<Instant>,
}

#[cfg(feature = "async")]
impl<'a> Held<'a> {
    pub fn of(publisher: &'a mut Publishing, len: usize, since: Option<Instant>) -> Held<'a> {
        let limit = match publisher.delivery {
            Delivery::LosslessFor(limit) => since.and_then(|since| since.checked_add(limit)),
            _ => None,
        };
        Held {
            position: publisher.lane.lacks(len).unwrap_or_default(),
            limit,
            publisher,
        }
    }
}

#[cfg(feature = "async")]
impl Wait for Held<'_> {
    fn has_news(&mut self) -> bool {
        let Publishing {
            generations, lane, ..
        } = &self.publisher;
        let lowest = lowest(generations, self.position);
        is_free(lowest, lane.ring_geometry().bytes(), self.position)
            || self.limit.is_some_and(|at| Instant::now() >= at)
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        let bytes = self.publisher.lane.ring_geometry().bytes();
        let Publishing {
            generations,
            participant,
            ..
        } = &mut *self.publisher;
        participant.register(signals)?;

        for subscribers in generations.iter_mut() {
            let waiting = subscribers.waits_for(self.position, bytes);
            waiting.watched.iter().for_each(|peer| peer.add_to(signals));
            if !waiting.is_complete {
                signals.look_again_in(LOOK_BACK);
            }
        }

        if let Some(limit) = self.limit {
            signals.look_again_in(limit.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    fn deregister(&mut self) {
        self.publisher.participant.deregister();
    }

    /// Returns `true`, so that the publisher looks again and drops dead subscribers.
    fn woken(&mut self) -> Result<bool> {
        Ok(true)
    }
}

impl Drop for Publishing {
    // layout: L165
    fn drop(&mut self) {
        self.segment.close();
    }
}

impl Claimed for Publishing {
    fn fill(&self, place: Place, at: usize, bytes: &[u8]) {
        if !self.participant.validity.is_forked() {
            self.lane.ring().fill(place, at, bytes);
        }
    }

    fn bytes(&self, place: Place, len: usize) -> *mut u8 {
        self.lane.ring().bytes(place, len)
    }

    #[inline]
    fn commit(&mut self, place: Place, len: usize) -> Result<(), SendError> {
        // A lost name is no error here, since the message has its space. The next call reports it.
        if self.participant.validity.is_forked() {
            return Err(SendError::Forked);
        }
        self.lane.commit(place, len);
        self.participant.wake(WakeTarget::AllSlots);
        Ok(())
    }
}

/// The number of messages after which a batch is sent.
const BATCH: u32 = 16;

/// A batch of messages that are sent together: with each sixteenth message ([`BATCH`]), and when
/// the batch is dropped.
pub struct Batch<'a> {
    publisher: &'a mut Publishing,
    count: u32,
}

impl Batch<'_> {
    pub fn add(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.publisher
            .find_room(message.len(), Deadline::Never, &mut None)?;
        self.publisher.lane.add(message);
        self.count += 1;
        if self.count.is_multiple_of(BATCH) {
            self.publisher.flush();
        }
        Ok(())
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.publisher.participant.validity.is_forked() {
            self.publisher.flush();
        }
    }
}
