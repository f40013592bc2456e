//! How a subscriber reads messages from the lane of its publisher, and reattaches to the next
//! publisher.
//!
//! ```text
//!   receive(deadline), by `Inbox` in wait/spin.rs
//!     1  copy the next message of the lane (lane/lossy.rs)
//!          a message:   store RECEIVED, NUMBER, EXACT in the cursor; after an eighth of the ring
//!                       also ROOM, and wake the publisher; return the length
//!          overtaken:   the publisher still waits for this subscriber?  it takes its announcement
//!                       back in a moment: as if there were no message
//!                       otherwise: go to a safe mark, return Lagged
//!     2  no message:    store ROOM, and wake the publisher
//!                       the end of the publisher was reported, and there is a next generation?
//!                       reattach, and repeat from 1
//!                       END, or the publisher is dead?  look for messages once more, and then
//!                       return Disconnected
//!                       spin, park, repeat from 1
//! ```

use crate::error::channel::RecvError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{cursor, roster};
use crate::lane::Step;
use crate::lane::lossy::{Begin, LossyReader};
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::os::{Validity, ValidityBackend};
use crate::segment::geometry::TOPIC;
use crate::segment::owner_monitor::{OwnerMonitor, Reattach};
use crate::segment::participant::Participant;
use crate::segment::roster::{JOINED, WakeTarget};
use crate::segment::{Cursor, Found, Head, HowToJoin, ReadLane};
use crate::sync::{Round, Window, WindowMut, WordsMut};
use crate::topic::backpressure;
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Inbox, Pace, receive};
use std::fmt;
use std::time::Instant;

/// The message with which a subscriber begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The last message that was sent before the topic was opened, if there is one, as in the
    /// classic recipe.
    #[default]
    Latest,
    /// The oldest message that is still kept.
    Oldest,
    /// The next message that is sent.
    New,
}

/// The subscriber of a topic, for messages of any type.
pub struct Subscribing {
    pub lane: Lane,
    owner_monitor: OwnerMonitor,
    pace: Pace,
    buffer: Box<[u8]>,
    received: u64,
    pub missed: u64,
    place: Option<Place>,
    validity: Validity,
    /// Whether the subscriber takes no slot, even if it could.
    is_observer: bool,
    /// Why the subscriber could not reattach to the next publisher.
    failed: Option<Error>,
    // Declared last, so that it is dropped last.
    pub found: Found,
}

type Lane = LossyReader<Window<Round>, Window<Head>>;

/// The place of a participant in the roster.
struct Place {
    cursor: WindowMut<Cursor>,
    /// The position that was last stored in ROOM.
    freed: u64,
    participant: Participant,
}

impl Subscribing {
    pub fn open(
        how: &HowToJoin,
        start: Start,
        is_observer: bool,
        name: &Name,
    ) -> Result<Subscribing> {
        let join = |found, ring| Subscribing::join(found, ring, start, is_observer);
        how.join(name, TOPIC, join)
    }

    fn join(
        found: Found,
        ring: RingGeometry,
        start: Start,
        is_observer: bool,
    ) -> Result<Subscribing> {
        let mut subscriber = Subscribing::at_the_beginning(found, ring, is_observer)?;

        let begin = match start {
            Start::Latest => Begin::Last,
            Start::Oldest => Begin::Oldest,
            Start::New => Begin::Next,
        };

        for _ in 0..100 {
            if !subscriber.lane.begin(begin) {
                break;
            }
            if subscriber.is_safe_here() {
                return Ok(subscriber);
            }
        }

        let meaning = "its publisher overwrites everything before it can be read";
        let name = &subscriber.found.name;
        let error = Error::new(ErrorKind::Busy, Operation::Open, name, meaning);
        Err(error.with_advice("let the publisher create it with more capacity"))
    }

    /// Joins a generation as the subscriber of an earlier generation. The messages that the
    /// subscriber does not see count as missed.
    // layout: L171
    fn go_on(found: Found, ring: RingGeometry, is_observer: bool) -> Result<Subscribing> {
        let mut subscriber = Subscribing::at_the_beginning(found, ring, is_observer)?;
        // If the position is not safe, the next look finds out which messages are gone.
        let _ = subscriber.is_safe_here();
        Ok(subscriber)
    }

    /// Reattaches to the next publisher; `false` if the next publisher has gone as well.
    #[cold]
    fn reattach(&mut self) -> Result<bool> {
        let is_observer = self.is_observer;
        let go_on = |found, ring| Subscribing::go_on(found, ring, is_observer);
        let Some(mut next) = self.found.follow(TOPIC, go_on)? else {
            self.owner_monitor.lose_the_next(&self.found);
            return Ok(false);
        };
        next.missed = self.missed;
        next.received = self.received;
        *self = next;
        Ok(true)
    }

    fn at_the_beginning(
        mut found: Found,
        ring: RingGeometry,
        is_observer: bool,
    ) -> Result<Subscribing> {
        let mut owner_monitor = OwnerMonitor::begin(&found)?;
        let place = match is_observer {
            true => None,
            false => Subscribing::take_place(&found)?,
        };
        let lanes = match place {
            Some(_) => found.lanes_view()?,
            None => found.observe(owner_monitor.process())?,
        };
        let lane = ReadLane::of(&lanes)?;
        Ok(Subscribing {
            lane: LossyReader::new(lane.ring, lane.head, ring),
            owner_monitor,
            pace: Pace::default(),
            buffer: vec![0; ring.max()].into_boxed_slice(),
            received: 0,
            missed: 0,
            place,
            validity: Validity::new(),
            is_observer,
            failed: None,
            found,
        })
    }

    /// Takes a slot, if this account may take a slot and a slot is free. A subscriber for which no
    /// publisher waits needs no slot.
    // layout: L103 L133
    fn take_place(found: &Found) -> Result<Option<Place>> {
        let Some(roster) = found.roster_if_let_in()? else {
            return Ok(None);
        };
        let participant = match found.take_slot(&roster) {
            Ok(participant) => participant,
            Err(error) if error.kind() == ErrorKind::Busy && !found.geometry.is_lossless() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };

        participant.roster().tell(JOINED);
        let cursor = participant.roster().cursor(participant.slot());
        for at in [cursor::RECEIVED, cursor::MISSED] {
            cursor.store64(at, 0);
        }
        Ok(Some(Place {
            cursor,
            freed: 0,
            participant,
        }))
    }

    /// Makes the publisher wait for this subscriber, if the topic is lossless. Returns whether the
    /// message at this position is safe: the publisher never waits, or it waits before it
    /// overwrites the message.
    // layout: L133
    fn is_safe_here(&mut self) -> bool {
        let lossless = self.found.geometry.is_lossless();
        let position = self.lane.position();
        let Some(place) = &mut self.place else {
            return true;
        };
        place.free(position);
        place.cursor.publish64(cursor::EXACT, position);
        place.cursor.store64(cursor::NUMBER, self.lane.number());
        !lossless || place.activate(&mut self.lane)
    }

    /// Returns the message of this length that was received last.
    #[inline(always)]
    pub fn received(&self, len: usize) -> &[u8] {
        &self.buffer[..len]
    }

    /// Receives every message that is there now, and returns the number of messages.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> Result<usize, RecvError> {
        let mut count = 0;
        loop {
            match self.receive(Deadline::Now) {
                Ok(len) => each(self.received(len)),
                Err(RecvError::Empty) => return Ok(count),
                // The messages that were received count. The next call returns that the publisher
                // has gone.
                Err(RecvError::Disconnected(_)) if count > 0 => return Ok(count),
                Err(error) => return Err(error),
            }
            count += 1;
        }
    }

    // layout: L133
    #[inline(always)]
    fn passed(&mut self) {
        self.received += 1;
        let position = self.lane.position();
        if let Some(place) = &mut self.place {
            place.cursor.store64(cursor::RECEIVED, self.received);
            place.cursor.store64(cursor::NUMBER, self.lane.number());
            // For other programs that show how far each subscriber has read.
            place.cursor.publish64(cursor::EXACT, position);
            if position - place.freed >= self.found.geometry.capacity() / 8 {
                place.free_and_return(&mut self.lane);
            }
        }
    }

    /// Returns whether the publisher still has to wait for this subscriber.
    // layout: L134
    #[cold]
    fn is_waited_for(&self) -> bool {
        let Some(Place { participant, .. }) = &self.place else {
            return false;
        };
        // Pairs with the publisher's change of the state. The publisher changes the state before it
        // announces how far it will write.
        !self.owner_monitor.has_ended()
            && participant.roster().state(participant.slot()) == roster::state::ACTIVE
    }

    #[cold]
    fn lagged(&mut self, missed: u64) {
        self.missed += missed;
        if let Some(place) = &self.place {
            place.cursor.store64(cursor::MISSED, self.missed);
            place.cursor.store64(cursor::NUMBER, self.lane.number());
        }
        // The publisher waits again from here on. If it does not, the next look finds that out.
        let _ = self.is_safe_here();
    }

    // layout: L135
    fn nothing(&mut self) -> Step {
        let position = self.lane.position();
        if let Some(place) = self.place.as_mut().filter(|place| place.freed != position) {
            place.free_and_return(&mut self.lane);
        }

        if self.owner_monitor.is_followed(&self.found) {
            return match self.reattach() {
                Ok(true) => self.poll(),
                Ok(false) => Step::Nothing,
                Err(error) => {
                    self.failed = Some(error);
                    Step::Nothing
                }
            };
        }

        match !self.owner_monitor.has_ended() && self.owner_monitor.look(&self.found) {
            false => Step::Nothing,
            // The messages that were sent before the end are visible now.
            true => self.poll(),
        }
    }
}

impl Place {
    /// Lets the publisher overwrite the messages that were read.
    // layout: L097 L133
    fn free(&mut self, position: u64) {
        self.freed = position;
        self.participant
            .roster()
            .set_room(self.participant.slot(), position);
        self.participant.wake(WakeTarget::Owner);
    }

    /// Lets the publisher overwrite the messages that were read. If the publisher has dropped this
    /// subscriber and no message was missed, the publisher has to wait again.
    // layout: L133
    #[cold]
    fn free_and_return(&mut self, lane: &mut Lane) {
        self.free(lane.position());
        if self.participant.roster().state(self.participant.slot()) == roster::state::DROPPED {
            self.activate(lane);
        }
    }

    /// Makes the publisher wait for this subscriber; see [`backpressure::join`].
    fn activate(&mut self, lane: &mut Lane) -> bool {
        backpressure::join(self.participant.roster(), self.participant.slot(), lane)
    }
}

impl Reattach for Subscribing {
    fn parts(&mut self) -> (&Found, Option<&mut Participant>) {
        (
            &self.found,
            self.place.as_mut().map(|place| &mut place.participant),
        )
    }

    /// Reattaches when every message was received and the end of the publisher was reported. Before
    /// that, returns only whether there is a next publisher that this subscriber can join.
    fn reattach_if_ended(&mut self) -> Result<bool> {
        self.found.check(&self.validity)?;
        match self.owner_monitor.is_followed(&self.found) {
            true => self.reattach(),
            false => self.found.is_followed_well(TOPIC),
        }
    }
}

impl fmt::Debug for Subscribing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("name", &self.found.name)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

impl Inbox for Subscribing {
    #[inline(always)]
    fn glance(&mut self) -> Option<usize> {
        if !self.validity.is_valid() {
            return None;
        }
        let len = self.lane.receive_quickly(&mut self.buffer)?;
        self.passed();
        Some(len)
    }

    fn poll(&mut self) -> Step {
        if self.validity.is_faulty() {
            return Step::Nothing;
        }
        let step = match self.lane.receive(&mut self.buffer) {
            // The publisher takes its announcement back in a moment. If the publisher has died
            // meanwhile, the wait ends.
            Step::Overtaken if self.is_waited_for() => Step::Nothing,
            Step::Overtaken => self.lane.lag(),
            step => step,
        };

        match step {
            Step::Message(_) => self.passed(),
            Step::Nothing => return self.nothing(),
            Step::Lagged(missed) => self.lagged(missed),
            Step::Overtaken | Step::Corrupt => {}
        }
        step
    }

    fn wait(&mut self, deadline: Deadline) -> Result<usize, RecvError> {
        receive(self, deadline)
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    /// Returns the error of a call that found no message, if there is one.
    #[inline]
    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        if let Err(fault) = self.validity.check() {
            return Some(fault.into());
        }
        match step {
            Step::Lagged(missed) => Some(RecvError::Lagged(missed)),
            Step::Corrupt => Some(RecvError::Corrupt),
            _ => match self.failed.take() {
                Some(error) => Some(RecvError::System(error)),
                None => self.owner_monitor.tell().map(RecvError::Disconnected),
            },
        }
    }

    #[cold]
    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        let participant = self.place.as_mut().map(|place| &mut place.participant);
        let number = self.lane.number();
        let has_news = || self.lane.has_news();
        self.owner_monitor
            .sleep(&self.found, participant, number, has_news, until)
    }

    fn is_observer(&self) -> bool {
        self.place.is_none()
    }
}

impl Wait for Subscribing {
    fn has_news(&mut self) -> bool {
        self.lane.has_news()
            || self.failed.is_some()
            || self.validity.is_faulty()
            || self.owner_monitor.has_news(&self.found)
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        let participant = self.place.as_mut().map(|place| &mut place.participant);
        self.owner_monitor
            .register(participant, self.lane.number(), signals)
    }

    fn deregister(&mut self) {
        if let Some(place) = &mut self.place {
            place.participant.deregister();
        }
    }

    fn woken(&mut self) -> Result<bool> {
        self.owner_monitor.look_whether_alive(&self.found);
        Ok(self.has_news())
    }
}
