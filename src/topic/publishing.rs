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
//!                           (not in a long ring, whose length is no power of two)
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

use crate::error::channel::SendError;
use crate::error::publisher_id::PublisherId;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::OWNER;
use crate::lane::claim::Claimed;
use crate::lane::lossy::LossyWriter;
use crate::lane::ring::{Place, RingGeometry};
use crate::lane::tenure::{Tenure, new_id};
use crate::name::Name;
use crate::object::process::Process;
use crate::os::{LOOK_BACK, ProcessIdentity, ValidityBackend, deadline_within};
use crate::segment::options::Common;
use crate::segment::participant::Participant;
use crate::segment::pattern::Delivery;
use crate::segment::peer_watch::MAX_PEERS;
use crate::segment::roster::WakeTarget;
use crate::segment::{Geometry, Head, Owned, WriteLane};
use crate::sync::{RingWindowMut, WindowMut};
use crate::topic::backpressure::{announce, is_free};
use crate::topic::home::Home;
use crate::topic::subscribers::{Earlier, Subscribers, Waiting, lowest};
#[cfg(feature = "async")]
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Spin};
use std::time::Instant;

type Lane = LossyWriter<RingWindowMut, WindowMut<Head>>;

/// A publisher of a topic, for messages of any type.
#[derive(Debug)]
pub struct Publishing {
    pub lane: Lane,
    pub(super) tenure: Tenure,
    pub(super) delivery: Delivery,
    pub(super) generations: Vec<Subscribers>,
    pub(super) participant: Participant,
    // Declared last, so that it is dropped last: it holds the name.
    pub(super) home: Home,
}

/// Prepares the lanes of a new generation, and returns the one of the owner, which has this identity if
/// it is known already.
fn begin_lanes(
    segment: &Owned,
    ring: RingGeometry,
    prefault: bool,
    id: Option<PublisherId>,
) -> Result<(Lane, Tenure)> {
    prepare_lanes(segment, ring, prefault, 1)?;
    let lane = segment.lane_mut(0, prefault)?;
    let lane = LossyWriter::new(lane.ring, lane.head, ring);
    let slot_epoch = segment.roster().slot_epoch(OWNER);
    let tenure = next_tenure(&lane, (segment.generation, 0), slot_epoch, id)?;
    tenure.begin(lane.head());
    Ok((lane, tenure))
}

/// Returns the tenure of a publisher of this process that takes a lane of a generation now. The
/// publisher has this identity if it is known already.
pub(super) fn next_tenure(
    lane: &Lane,
    (generation, number): (u32, usize),
    slot_epoch: u32,
    id: Option<PublisherId>,
) -> Result<Tenure> {
    let me = ProcessIdentity::current()?;
    let new = |count| new_id(generation, number, count, me.to_words());
    let id = |count| id.unwrap_or_else(|| new(count));
    let begin = (lane.position(), lane.sent());
    Ok(Tenure::next(lane.head(), id, begin, slot_epoch))
}

/// Stores the first mark of each lane from this one on: the marks of a lane begin at the position of
/// its first record.
pub(super) fn prepare_lanes(
    segment: &Owned,
    ring: RingGeometry,
    prefault: bool,
    first: usize,
) -> Result<()> {
    for lane in first..segment.geometry.lanes() {
        let lane: WriteLane = segment.lane_mut(lane, prefault)?;
        drop(LossyWriter::new(lane.ring, lane.head, ring));
    }
    Ok(())
}

impl Publishing {
    pub fn create(
        common: &Common,
        geometry: Geometry,
        ring: RingGeometry,
        name: &Name,
    ) -> Result<Publishing> {
        let (mut segment, participant) =
            Owned::create(name, geometry, &common.access, &common.layouts)?;
        let (lane, tenure) = begin_lanes(&segment, ring, common.prefault, None)?;
        let mut older = segment.older_like(common)?;
        segment.publish(&mut older);

        Ok(Publishing {
            lane,
            tenure,
            delivery: geometry.delivery(),
            generations: Subscribers::all(&segment, ring, older),
            participant,
            home: Home::Owner(Box::new(segment)),
        })
    }

    // layout: L164
    pub fn resize(
        &mut self,
        common: &Common,
        geometry: Geometry,
        ring: RingGeometry,
    ) -> Result<()> {
        self.participant.check()?;
        let name = self.name().clone();
        let Home::Owner(before) = &mut self.home else {
            let meaning = "another process owns the topic";
            let error = Error::new(
                ErrorKind::InvalidArgument,
                Operation::Create,
                &name,
                meaning,
            );
            return Err(error.with_advice("let the owner of the topic resize it"));
        };
        let (mut segment, participant) = before.next(geometry, &common.layouts)?;
        let id = Some(self.tenure.id);
        let (lane, tenure) = begin_lanes(&segment, ring, common.prefault, id)?;

        self.lane.flush();
        self.participant.wake(WakeTarget::AllSlots);
        segment.follow(before);
        (self.lane, self.tenure) = (lane, tenure);
        self.delivery = geometry.delivery();
        let mut participant = std::mem::replace(&mut self.participant, participant);
        self.participant.stay(&mut participant);

        let subscribers = Subscribers::of(&segment, ring);
        let segment = std::mem::replace(&mut **before, segment);
        self.generations[0].earlier = Some(Earlier::owned(segment, participant));
        self.generations.insert(0, subscribers);
        for subscribers in &mut self.generations {
            subscribers.first = ring.first();
        }

        self.let_go();
        Ok(())
    }

    /// Closes the earlier generations that have no subscriber for which the publisher waits.
    // layout: L127
    fn let_go(&mut self) {
        let waits = self.delivery != Delivery::Lossy;
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

    /// Says that this publisher sends nothing more in this generation.
    // layout: L294
    fn close(&mut self) {
        self.lane.flush();
        self.tenure.close(self.lane.head());
        self.participant.wake(WakeTarget::AllSlots);
    }

    pub fn name(&self) -> &Name {
        match &self.home {
            Home::Owner(segment) => segment.name(),
            Home::Guest(guest) => &guest.found.name,
        }
    }

    pub fn generation(&self) -> u32 {
        match &self.home {
            Home::Owner(segment) => segment.generation,
            Home::Guest(guest) => guest.found.generation,
        }
    }

    pub fn id(&self) -> PublisherId {
        self.tenure.id
    }

    /// Returns the number of messages that this publisher has sent in this generation.
    pub fn sent(&self) -> u64 {
        self.lane.sent() - self.tenure.first
    }

    /// Returns whether this process may use the endpoint, and the generation has not ended.
    #[inline(always)]
    fn is_attached(&self) -> bool {
        self.participant.validity.is_valid() && !self.home.has_ended()
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
        if !self.is_attached() || !self.lane.send_quickly(message) {
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
        if self.home.has_ended() {
            self.follow()?;
        }
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
            (Some(position), _) => return self.announce_to_all(len, position, deadline, since),
        }
        Ok(())
    }

    /// Announces the position as soon as no subscriber for which the publisher waits is in the way.
    // layout: L126
    #[cold]
    fn announce_to_all(
        &mut self,
        len: usize,
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
            if self.home.has_ended() {
                let generation = self.generation();
                self.follow()?;
                if self.generation() != generation {
                    return self.find_room(len, deadline, &mut Some(since));
                }
            }
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
            home,
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
        let is_free = || is_free(lowest(generations, position), bytes, position);
        participant
            .park(|| is_free() || home.may_follow(), &peers, until)
            .map(|_| ())
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
    // layout: L069 L165 L294
    fn drop(&mut self) {
        // A forked child closes nothing.
        if self.participant.validity.is_forked() {
            return;
        }
        self.close();
        if let Home::Owner(segment) = &mut self.home {
            segment.close();
        }
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
