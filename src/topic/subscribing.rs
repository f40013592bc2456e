//! How a subscriber reads messages from the lane of its publisher.

use crate::error::channel::RecvError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{OWNER, SLOTS, cursor, roster};
use crate::lane::Step;
use crate::lane::lossy::{Begin, LossyReader};
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::os::{Validity, ValidityBackend};
use crate::segment::geometry::TOPIC;
use crate::segment::owner_monitor::{OwnerMonitor, Reattach};
use crate::segment::participant::Participant;
use crate::segment::roster::JOINED;
use crate::segment::{Cursor, Found, Head, HowToJoin};
use crate::sync::{Round, Window, WindowMut, WordsMut};
use crate::topic::backpressure;
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Inbox, Pace};
use std::fmt;
use std::time::Instant;

/// Where a subscriber begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the last message that was sent before, if there is one, as a consumer of the
    /// classic recipe does.
    #[default]
    Latest,
    /// With the oldest message that is still kept.
    Oldest,
    /// With the next one that is sent.
    New,
}

/// The subscriber of a topic, whatever its messages are.
pub struct Subscribing {
    pub lane: Lane,
    owner_monitor: OwnerMonitor,
    pace: Pace,
    buffer: Box<[u8]>,
    received: u64,
    pub missed: u64,
    place: Option<Place>,
    validity: Validity,
    /// Why we could not go on with the next publisher.
    failed: Option<Error>,
    // Declared last, and so let go last.
    pub found: Found,
}

type Lane = LossyReader<Window<Round>, Window<Head>>;

/// What a participant has in the roster.
struct Place {
    cursor: WindowMut<Cursor>,
    /// As last stored at `room`.
    freed: u64,
    participant: Participant,
}

impl Subscribing {
    pub fn open(how: &HowToJoin, start: Start, name: &Name) -> Result<Subscribing> {
        let join = |found, ring| Subscribing::join(found, ring, start);
        how.join(name, TOPIC, join)
    }

    fn join(found: Found, ring: RingGeometry, start: Start) -> Result<Subscribing> {
        let mut subscriber = Subscribing::at_the_beginning(found, ring)?;
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

    /// One that was there before: what it did not see is missed.
    // layout: L171
    fn go_on(found: Found, ring: RingGeometry) -> Result<Subscribing> {
        let mut subscriber = Subscribing::at_the_beginning(found, ring)?;
        // If not, the next look finds out what is gone.
        let _ = subscriber.is_safe_here();
        Ok(subscriber)
    }

    /// Goes on with the next publisher, which has begun.
    #[cold]
    fn reattach(&mut self) -> Result<bool> {
        let Some(mut next) = self.found.follow(TOPIC, Subscribing::go_on)? else {
            self.owner_monitor.lose_the_next(&self.found);
            return Ok(false);
        };
        next.missed = self.missed;
        next.received = self.received;
        *self = next;
        Ok(true)
    }

    fn at_the_beginning(found: Found, ring: RingGeometry) -> Result<Subscribing> {
        let owner_monitor = OwnerMonitor::begin(&found)?;
        let lane = found.lane(0)?;
        let place = Subscribing::take_place(&found)?;
        Ok(Subscribing {
            lane: LossyReader::new(lane.ring, lane.head, ring),
            owner_monitor,
            pace: Pace::default(),
            buffer: vec![0; ring.max()].into_boxed_slice(),
            received: 0,
            missed: 0,
            place,
            validity: Validity::new(),
            failed: None,
            found,
        })
    }

    /// A slot, where this account may have one and there is one left. Who is not waited
    /// for can do without.
    // layout: L103 L133
    fn take_place(found: &Found) -> Result<Option<Place>> {
        let Some(roster) = found.roster_if_let_in()? else {
            return Ok(None);
        };
        let participant = match found.take_slot(&roster, SLOTS) {
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

    /// Lets the publisher wait for us, if it waits for anybody, and says whether it will
    /// before it overwrites what stands here.
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

    /// The message of this length that was received last.
    #[inline(always)]
    pub fn received(&self, len: usize) -> &[u8] {
        &self.buffer[..len]
    }

    /// Receives every message that is there now, and returns how many they were.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> std::result::Result<usize, RecvError> {
        let mut count = 0;
        loop {
            match self.receive(Deadline::Now) {
                Ok(len) => each(self.received(len)),
                Err(RecvError::Empty) => return Ok(count),
                // What was received counts; that it ended is told next time.
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
            // For those who look on.
            place.cursor.publish64(cursor::EXACT, position);
            if position - place.freed >= self.found.geometry.capacity() / 8 {
                place.free_and_return(&mut self.lane);
            }
        }
    }

    /// Whether the publisher still has to wait for us.
    // layout: L134
    #[cold]
    fn is_waited_for(&self) -> bool {
        let Some(Place { participant, .. }) = &self.place else {
            return false;
        };
        // Pairs with the publisher's change of it, which it makes before it announces what it
        // then writes.
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
        // From here on we are waited for again; if not, the next look finds that out.
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
            // What was sent before the end is seen now.
            true => self.poll(),
        }
    }
}

impl Place {
    /// Lets the publisher have what was read.
    // layout: L097 L133
    fn free(&mut self, position: u64) {
        self.freed = position;
        self.participant
            .roster()
            .set_room(self.participant.slot(), position);
        self.participant.wake(1 << OWNER);
    }

    /// The same; and where it gave us up, and nothing was missed, it has to wait again.
    // layout: L133
    #[cold]
    fn free_and_return(&mut self, lane: &mut Lane) {
        self.free(lane.position());
        if self.participant.roster().state(self.participant.slot()) == roster::state::DROPPED {
            self.activate(lane);
        }
    }

    /// Has the publisher wait for us; see [`backpressure::join`].
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

    /// What is left here goes before, and then that the one before has gone.
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
            // Taken back in a moment. That the writer has died meanwhile ends the wait.
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

    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    /// What there is to be told where there is no message.
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
        let has_news = || self.lane.has_news();
        self.owner_monitor
            .sleep(&self.found, participant, has_news, until)
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
        self.owner_monitor.register(participant, signals)
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
