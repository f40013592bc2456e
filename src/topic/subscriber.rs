//! The receiving end of a topic.

use crate::access::Owner;
use crate::error::channel::RecvError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::Layout;
use crate::format::layout::{OWNER, SLOTS, control, cursor, delivery, roster};
use crate::lane::Step;
use crate::lane::lossy::{Begin, LossyReader};
use crate::name::Name;
use crate::os::{Validity, ValidityBackend, deadline_after};
use crate::segment::owner_monitor::{self, OwnerMonitor, Reattach};
use crate::segment::participant::Participant;
use crate::segment::roster::JOINED;
use crate::segment::{Cursor, Found, Head, HowToJoin};
use crate::sync::{Round, Window, WindowMut, WordsMut};
use crate::topic::backpressure;
use crate::wait::source::{Signals, Wait, Waitable};
use crate::wait::spin::{self, Inbox, Pace};
use std::fmt;
use std::time::{Duration, Instant};

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

/// How to open a topic; see [`Subscriber::options`].
#[derive(Clone, Debug, Default)]
pub struct SubscriberOptions {
    start: Start,
    how: HowToJoin,
}

impl SubscriberOptions {
    /// Where to begin ([`Start::Latest`]).
    #[must_use]
    pub fn start(mut self, start: Start) -> SubscriberOptions {
        self.start = start;
        self
    }

    /// Subscribe only to a topic that belongs to this owner.
    #[must_use]
    pub fn expect_owner(mut self, owner: Owner) -> SubscriberOptions {
        self.how.owner = Some(owner);
        self
    }

    /// Waits so long for a publisher that is not there yet (not at all). It looks again every
    /// few milliseconds.
    #[must_use]
    pub fn wait(mut self, deadline: Duration) -> SubscriberOptions {
        self.how.wait = deadline;
        self
    }

    /// Only to a topic of messages of this type.
    pub(crate) fn expect_layout(mut self, layout: Layout) -> SubscriberOptions {
        self.how.layouts = vec![layout];
        self
    }

    /// Opens the topic.
    ///
    /// # Errors
    ///
    /// As [`Subscriber::open`], and [`ErrorKind::WrongOwner`].
    pub fn open(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Subscriber> {
        let join = |found| Subscriber::join(found, self.start);
        self.how
            .join(&Name::checked(name)?, control::kind::TOPIC, join)
    }
}

/// A receiving end of a topic: a message consumer. See [`Publisher`](crate::Publisher).
///
/// It maps the messages read-only, so that it can do no harm to anybody. Each message is
/// copied out of shared memory, and thrown away if it was overwritten meanwhile; what is
/// handed out is whole.
///
/// # Platform notes
///
/// A program that the publisher's [`Access`](crate::Access) lets only look, that of another user, is no
/// participant: it is not waited for, nobody sees it, and where nothing comes it looks
/// again each millisecond.
pub struct Subscriber {
    lane: Lane,
    owner_monitor: OwnerMonitor,
    pace: Pace,
    buffer: Box<[u8]>,
    received: u64,
    missed: u64,
    place: Option<Place>,
    validity: Validity,
    /// Why we could not go on with the next publisher.
    failed: Option<Error>,
    // Declared last, and so let go last.
    found: Found,
}

type Lane = LossyReader<Window<Round>, Window<Head>>;

/// What a participant has in the roster.
struct Place {
    cursor: WindowMut<Cursor>,
    /// As last stored at `room`.
    freed: u64,
    participant: Participant,
}

impl Subscriber {
    /// Opens a topic to receive from it, beginning with the last message that was sent.
    /// Never creates one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] where there is none, [`ErrorKind::WrongKind`] where it is
    /// something else, [`ErrorKind::Busy`] where it is not ready after a second, or where its
    /// delivery is lossless and it has 63 subscribers,
    /// [`ErrorKind::WrongVersion`]; otherwise as [`Section::open`](crate::Section::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Subscriber> {
        Subscriber::options().open(name)
    }

    /// Other ways to open one.
    #[must_use]
    pub fn options() -> SubscriberOptions {
        SubscriberOptions::default()
    }

    fn join(found: Found, start: Start) -> Result<Subscriber> {
        let mut subscriber = Subscriber::at_the_beginning(found)?;
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
    fn go_on(found: Found) -> Result<Subscriber> {
        let mut subscriber = Subscriber::at_the_beginning(found)?;
        // If not, the next look finds out what is gone.
        let _ = subscriber.is_safe_here();
        Ok(subscriber)
    }

    /// Goes on with the next publisher, which has begun.
    #[cold]
    fn reattach(&mut self) -> Result<bool> {
        let Some(mut next) = self.found.follow(Subscriber::go_on)? else {
            self.owner_monitor.lose_the_next(&self.found);
            return Ok(false);
        };
        next.missed = self.missed;
        next.received = self.received;
        *self = next;
        Ok(true)
    }

    fn at_the_beginning(found: Found) -> Result<Subscriber> {
        let owner_monitor = OwnerMonitor::begin(&found)?;
        let lane = found.lane(0)?;
        let ring_geometry = found.geometry.ring_geometry;
        let place = Subscriber::take_place(&found)?;
        Ok(Subscriber {
            lane: LossyReader::new(lane.ring, lane.head, ring_geometry),
            owner_monitor,
            pace: Pace::default(),
            buffer: vec![0; ring_geometry.max()].into_boxed_slice(),
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
            Err(error) => match (error.kind(), found.geometry.delivery) {
                (ErrorKind::Busy, delivery::LOSSY) => return Ok(None),
                _ => return Err(error),
            },
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
        let lossless = self.found.geometry.delivery == delivery::LOSSLESS;
        let position = self.lane.position();
        let Some(place) = &mut self.place else {
            return true;
        };
        place.free(position);
        place.cursor.publish64(cursor::EXACT, position);
        place.cursor.store64(cursor::NUMBER, self.lane.number());
        !lossless || place.activate(&mut self.lane)
    }

    /// The name it was opened by.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.found.name
    }

    /// The longest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.found.geometry.ring_geometry.max()
    }

    /// The number of the next message: how many the publisher has sent before it.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.lane.number()
    }

    /// How many messages were missed since it was opened.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// How many messages the publisher is ahead.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.lane.sent().saturating_sub(self.lane.number())
    }

    /// Waits for the next publisher, at most this long; says whether there is one. What the one
    /// before has sent is received first, and [`recv`](Subscriber::recv) says that it has gone; after that it
    /// goes on with the next.
    ///
    /// # Errors
    ///
    /// As [`open`](Subscriber::open), where there is one that does not let us in.
    pub fn wait_for_publisher(&mut self, timeout: Duration) -> Result<bool> {
        owner_monitor::wait_for_next(self, timeout)
    }

    /// The number of its generation: another one with each publisher that follows, and each time
    /// that one changes its measures.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.found.generation
    }

    /// The next message, if there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`]; otherwise as [`recv`](Subscriber::recv). Who never waits learns
    /// of the publisher's death after 4096 looks in vain at the latest.
    #[inline]
    pub fn try_recv(&mut self) -> std::result::Result<&[u8], RecvError> {
        match self.look() {
            Step::Message(len) => Ok(self.received(len)),
            other => Err(self.no_message(other).unwrap_or(RecvError::Empty)),
        }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] with the number of messages that were overwritten before
    /// they were read; the next call goes on behind them.
    /// [`RecvError::Disconnected`] when the publisher has gone and everything was received.
    /// [`RecvError::Corrupt`] where it wrote what is no message.
    #[inline]
    pub fn recv(&mut self) -> std::result::Result<&[u8], RecvError> {
        match self.glance() {
            Some(len) => Ok(self.received(len)),
            None => self.wait_until(None),
        }
    }

    /// Waits for the next message, at most this long.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`]; otherwise as [`recv`](Subscriber::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> std::result::Result<&[u8], RecvError> {
        match self.glance() {
            Some(len) => Ok(self.received(len)),
            None => self.wait_until(deadline_after(Some(timeout))),
        }
    }

    fn wait_until(&mut self, until: Option<Instant>) -> std::result::Result<&[u8], RecvError> {
        let len = spin::receive(self, until)?;
        Ok(self.received(len))
    }

    /// The message of this length that was received last.
    #[inline(always)]
    pub(crate) fn received(&self, len: usize) -> &[u8] {
        &self.buffer[..len]
    }

    /// Hands out every message that is there now, without waiting, and says how many they
    /// were.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Subscriber::try_recv), but that it is empty is none.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> std::result::Result<usize, RecvError> {
        let mut count = 0;
        loop {
            match self.try_recv() {
                Ok(message) => each(message),
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
            if position - place.freed >= self.found.geometry.ring_geometry.bytes() / 8 {
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

impl Reattach for Subscriber {
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
            false => self.found.is_followed_well(),
        }
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("name", &self.found.name)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

impl Inbox for Subscriber {
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

impl Waitable for Subscriber {}

impl Wait for Subscriber {
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
