//! The sending end of a topic: one publisher, many subscribers, each of which sees every
//! message or is told exactly how many it missed.

use crate::access::Access;
use crate::error::channel::SendError;
use crate::error::{Error, Result};
use crate::format::describe::Layout;
use crate::format::layout::{control, delivery};
use crate::lane::claim::{Claim, Claimed};
use crate::lane::lossy::LossyWriter;
use crate::lane::ring::Place;
use crate::name::Name;
use crate::object::process::Process;
use crate::os::{LOOK_BACK, MAX_PEERS, ValidityBackend, deadline_within};
use crate::segment::ending::ALL_SLOTS;
use crate::segment::participant::Participant;
use crate::segment::{Geometry, Head, Owned};
use crate::sync::{Round, WindowMut};
use crate::topic::backpressure::{announce, is_free};
use crate::topic::subscribers::{Subscribers, Waiting, lowest};
#[cfg(feature = "async")]
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Spin};
use std::time::{Duration, Instant};

/// What a publisher does about subscribers that are slower than it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// It never waits. A subscriber that is overtaken is told how many messages it missed.
    #[default]
    Lossy,
    /// It waits for the slowest one that lives, so that no subscriber misses anything.
    Lossless,
    /// It waits this long for a slow one, and then goes on without it: that one is told how
    /// many messages it missed, and is waited for again from then on.
    LosslessFor(Duration),
}

/// How to create a topic; see [`Publisher::options`].
#[derive(Clone, Debug)]
pub struct TopicOptions {
    capacity: u64,
    max_message: Option<u64>,
    delivery: Delivery,
    access: Access,
    prefault: bool,
    layout: Option<Layout>,
}

impl TopicOptions {
    fn geometry(&self, name: &Name) -> Result<Geometry> {
        let layouts = self.layout.as_slice();
        let longest = Geometry::longest(self.max_message, layouts, name.as_str())?;
        Ok(Geometry {
            kind: control::kind::TOPIC,
            lanes: 1,
            ring_geometry: Geometry::ring_geometry_for(self.capacity, longest, name.as_str())?,
            delivery: match self.delivery {
                Delivery::Lossy => delivery::LOSSY,
                Delivery::Lossless | Delivery::LosslessFor(_) => delivery::LOSSLESS,
            },
            in_flight: 0,
            table_geometry: None,
        })
    }

    /// How many bytes of messages are kept for those who come late or are slow (1 MiB).
    /// A message takes 8 bytes more than its own, up to 64 rounded up to a power of two and
    /// beyond that to a multiple of 8. Between 7/8 and all of the capacity can be read. It
    /// is rounded up to a power of two and to four of the longest messages.
    ///
    /// A quarter of a power of two has no room for a message of as many bytes, which needs 8 more:
    /// for long ones say [`max_message`](TopicOptions::max_message) instead.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> TopicOptions {
        self.capacity = bytes;
        self
    }

    /// The longest message in bytes (what fits: a quarter of the capacity less 8). With a
    /// [layout](TopicOptions::layout) it is the size of the layout, and a shorter `max_message` is refused.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> TopicOptions {
        self.max_message = Some(bytes);
        self
    }

    /// What to do about slow subscribers ([`Delivery::Lossy`]).
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> TopicOptions {
        self.delivery = delivery;
        self
    }

    /// Who may subscribe. What is let in only to look reads the messages too, and is never
    /// waited for; see [`Subscriber`](crate::Subscriber).
    #[must_use]
    pub fn access(mut self, access: Access) -> TopicOptions {
        self.access = access;
        self
    }

    /// Touches all memory now, so that no message has to.
    #[must_use]
    pub fn prefault(mut self, on: bool) -> TopicOptions {
        self.prefault = on;
        self
    }

    /// What every message is made of, which is told to those who open the topic. For who
    /// learns it when the program runs; others use [`typed::Publisher`](crate::typed::Publisher). It sets the longest
    /// message too; a shorter [`max_message`](TopicOptions::max_message) is refused.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> TopicOptions {
        self.layout = Some(layout);
        self
    }

    /// Creates the topic.
    ///
    /// # Errors
    ///
    /// As [`Publisher::create`]; [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for measures or a layout that cannot be.
    pub fn create(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Publisher> {
        Publisher::make(self, &Name::checked(name)?)
    }
}

/// The sending end of a topic, which owns its name: a message server.
///
/// ```
/// # let name = format!("Local\\shmkit-doc-topic-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Publisher, Subscriber};
///
/// // The server.
/// let mut prices = Publisher::create(name)?;
/// prices.send(b"101.5").unwrap();
///
/// // A consumer, which comes late and still sees the last message.
/// let mut subscriber = Subscriber::open(name)?;
/// assert_eq!(subscriber.recv().unwrap(), b"101.5");
/// # Ok::<(), shmkit::Error>(())
/// ```
#[derive(Debug)]
pub struct Publisher {
    lane: LossyWriter<WindowMut<Round>, WindowMut<Head>>,
    delivery: Delivery,
    generations: Vec<Subscribers>,
    participant: Participant,
    // Declared last, and so let go last: it has the name.
    segment: Owned,
}

impl Publisher {
    /// Creates a topic for the programs of this user.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) where the name is held, with the process that owns it;
    /// [`InvalidName`](crate::ErrorKind::InvalidName) where it leaves no room for the names of
    /// what stands beside it, 26 characters longer; otherwise as [`Section::create_new`](crate::Section::create_new).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Publisher> {
        Publisher::options().create(name)
    }

    /// Other ways to create one.
    #[must_use]
    pub fn options() -> TopicOptions {
        TopicOptions {
            capacity: 1 << 20,
            max_message: None,
            delivery: Delivery::Lossy,
            access: Access::SameUser,
            prefault: false,
            layout: None,
        }
    }

    fn make(options: &TopicOptions, name: &Name) -> Result<Publisher> {
        let geometry = options.geometry(name)?;
        let (mut segment, participant) =
            Owned::create(name, geometry, &options.access, options.layout.as_slice())?;
        let lane = segment.lane_mut(0, options.prefault)?;
        let mut older = segment.older()?;
        segment.publish(&mut older);
        Ok(Publisher {
            lane: LossyWriter::new(lane.ring, lane.head, geometry.ring_geometry),
            delivery: options.delivery,
            generations: Subscribers::all(&segment, older),
            participant,
            segment,
        })
    }

    /// Goes on with other measures, all of them new, while subscribers are there: they come over
    /// by themselves when they have received what was sent before, and their numbers begin anew.
    /// Rights and name stay as they are. Nobody holds what is sent from now on before they have
    /// come over: a publisher that closes until then takes it along.
    ///
    /// # Errors
    ///
    /// As [`TopicOptions::create`]; everything is as before then.
    pub fn resize(&mut self, options: &TopicOptions) -> Result<()> {
        self.participant.check()?;
        let geometry = options.geometry(self.segment.name())?;
        let (mut segment, participant) = self.segment.next(geometry, options.layout.as_slice())?;
        let lane = segment.lane_mut(0, options.prefault)?;
        self.flush();
        segment.follow(&mut self.segment);
        self.lane = LossyWriter::new(lane.ring, lane.head, geometry.ring_geometry);
        self.delivery = options.delivery;
        let mut participant = std::mem::replace(&mut self.participant, participant);
        self.participant.stay(&mut participant);
        let segment = std::mem::replace(&mut self.segment, segment);
        self.generations[0].earlier = Some((segment, participant));
        self.generations.insert(0, Subscribers::of(&self.segment));
        for subscribers in &mut self.generations {
            subscribers.first = geometry.ring_geometry.first();
        }
        self.let_go();
        Ok(())
    }

    /// Lets go of earlier generations in which nobody is waited for.
    // layout: L127
    fn let_go(&mut self) {
        let waits = self.segment.geometry.delivery == delivery::LOSSLESS;
        let is_needed = |subscribers: &Subscribers| waits && subscribers.places().next().is_some();
        self.generations
            .retain(|subscribers| subscribers.earlier.is_none() || is_needed(subscribers));
    }

    /// The number of the topic's generation: another one after each restart, and
    /// [`resize`](Publisher::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.segment.generation
    }

    /// The name it was created by.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.segment.name()
    }

    /// The longest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.lane.ring_geometry().max()
    }

    /// How many messages were sent in this generation.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.lane.sent()
    }

    /// Sends a message to all who are there and all who come while it is kept. It is sent
    /// when this returns. Where delivery is lossless it waits for slow subscribers.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLong`]; [`SendError::System`] where the system lets it not wait.
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> std::result::Result<(), SendError> {
        self.write(message, Deadline::Never, &mut None)
    }

    /// Sends a message without waiting.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] where a subscriber that must not miss anything has not read yet
    /// what would be overwritten; otherwise as [`send`](Publisher::send).
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> std::result::Result<(), SendError> {
        self.write(message, Deadline::Now, &mut None)
    }

    /// Sends a message, and waits for slow subscribers at most this long.
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`]; otherwise as [`send`](Publisher::send).
    pub fn send_timeout(
        &mut self,
        message: &[u8],
        timeout: Duration,
    ) -> std::result::Result<(), SendError> {
        self.write(message, Deadline::within(timeout), &mut None)
    }

    /// Room for a message of this length, to be written where it will be read. Where delivery
    /// is lossless it waits for slow subscribers.
    ///
    /// # Errors
    ///
    /// As [`send`](Publisher::send).
    #[inline]
    pub fn claim(&mut self, len: usize) -> std::result::Result<Claim<'_, Publisher>, SendError> {
        self.make_room(len, Deadline::Never, &mut None)?;
        let place = self.lane.claim(len);
        Ok(Claim::new(self, place, len))
    }

    /// Room for a message of this length, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Publisher::try_send).
    #[inline]
    pub fn try_claim(
        &mut self,
        len: usize,
    ) -> std::result::Result<Claim<'_, Publisher>, SendError> {
        self.make_room(len, Deadline::Now, &mut None)?;
        let place = self.lane.claim(len);
        Ok(Claim::new(self, place, len))
    }

    /// Sends all of them, several at a time. Those before one that fails are sent.
    ///
    /// # Errors
    ///
    /// As [`send`](Publisher::send).
    pub fn send_all<M: AsRef<[u8]>>(
        &mut self,
        messages: impl IntoIterator<Item = M>,
    ) -> std::result::Result<(), SendError> {
        // Once: a call that tells a fault sends nothing.
        self.participant.validity.check()?;
        let batch = Flushed(self);
        for (count, message) in (1u32..).zip(messages) {
            let message = message.as_ref();
            batch
                .0
                .find_room(message.len(), Deadline::Never, &mut None)?;
            batch.0.lane.add(message);
            if count.is_multiple_of(BATCH) {
                batch.0.flush();
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.lane.flush();
        self.participant.wake(ALL_SLOTS);
    }

    /// `since` is when it began to wait, once it has.
    // layout: L097
    #[inline]
    pub(crate) fn write(
        &mut self,
        message: &[u8],
        deadline: Deadline,
        since: &mut Option<Instant>,
    ) -> std::result::Result<(), SendError> {
        if !self.participant.validity.is_valid() || !self.lane.send_quickly(message) {
            self.make_room(message.len(), deadline, since)?;
            self.lane.send(message);
        }
        self.participant.wake(ALL_SLOTS);
        Ok(())
    }

    fn make_room(
        &mut self,
        len: usize,
        deadline: Deadline,
        since: &mut Option<Instant>,
    ) -> std::result::Result<(), SendError> {
        self.participant.validity.check()?;
        self.find_room(len, deadline, since)
    }

    fn find_room(
        &mut self,
        len: usize,
        deadline: Deadline,
        since: &mut Option<Instant>,
    ) -> std::result::Result<(), SendError> {
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

    /// Announces once nobody who is waited for is in the way.
    // layout: L126
    #[cold]
    fn announce_to_all(
        &mut self,
        position: u64,
        deadline: Deadline,
        since: &mut Option<Instant>,
    ) -> std::result::Result<(), SendError> {
        let bytes = self.lane.ring_geometry().bytes();
        self.let_go();
        loop {
            let lowest = || lowest(&self.generations, position);
            if announce(&mut self.lane, position, lowest) {
                return Ok(());
            }
            // Nobody reads on in what was not sent.
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
        let Publisher {
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
        // The peers of a sleep are found once, together with whether they are all.
        let waiting = generations
            .iter()
            .map(|subscribers| subscribers.waits_for(position, bytes));
        let waiting: Vec<Waiting> = waiting.collect();
        let until = match waiting.iter().all(|one| one.is_complete) {
            true => until,
            false => deadline_within(LOOK_BACK, until),
        };
        let peers = waiting.iter().flat_map(|one| one.watched.iter().copied());
        let peers: Vec<&Process> = peers.take(MAX_PEERS).collect();
        let ready = || is_free(lowest(generations, position), bytes, position);
        participant.park(ready, &peers, until).map(|_| ())
    }
}

/// A publisher that waits for its slowest subscriber, since a message of this length has no room.
#[cfg(feature = "async")]
pub(crate) struct Held<'a> {
    publisher: &'a mut Publisher,
    /// How far it is to announce.
    position: u64,
    /// When it gives up those that are late.
    limit: Option<Instant>,
}

#[cfg(feature = "async")]
impl<'a> Held<'a> {
    pub fn of(publisher: &'a mut Publisher, len: usize, since: Option<Instant>) -> Held<'a> {
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
        let Publisher {
            generations, lane, ..
        } = &self.publisher;
        let lowest = lowest(generations, self.position);
        is_free(lowest, lane.ring_geometry().bytes(), self.position)
            || self.limit.is_some_and(|at| Instant::now() >= at)
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        let bytes = self.publisher.lane.ring_geometry().bytes();
        let Publisher {
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

    /// The next look gives up the dead.
    fn woken(&mut self) -> Result<bool> {
        Ok(true)
    }
}

impl Drop for Publisher {
    // layout: L165
    fn drop(&mut self) {
        self.segment.close();
    }
}

impl Claimed for Publisher {
    fn fill(&self, place: Place, at: usize, bytes: &[u8]) {
        if !self.participant.validity.is_forked() {
            self.lane.ring().fill(place, at, bytes);
        }
    }

    fn bytes(&self, place: Place, len: usize) -> *mut u8 {
        self.lane.ring().bytes(place, len)
    }

    #[inline]
    fn commit(&mut self, place: Place, len: usize) -> std::result::Result<(), SendError> {
        // It has its place: that the name is lost is for the next call to tell.
        if self.participant.validity.is_forked() {
            return Err(SendError::Forked);
        }
        self.lane.commit(place, len);
        self.participant.wake(ALL_SLOTS);
        Ok(())
    }
}

/// Sends what was added, however that ended.
struct Flushed<'a>(&'a mut Publisher);

impl Drop for Flushed<'_> {
    fn drop(&mut self) {
        if !self.0.participant.validity.is_forked() {
            self.0.flush();
        }
    }
}

/// After so many messages a batch is sent.
const BATCH: u32 = 16;
