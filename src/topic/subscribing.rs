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

use crate::error::channel::{DisconnectReason, RecvError};
use crate::error::publisher_id::PublisherId;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{cursor, roster};
use crate::lane::Step;
use crate::lane::lossy::{Begin, LossyReader};
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::os::{Validity, ValidityBackend};
use crate::segment::geometry::TOPIC;
use crate::segment::open_or_create::Wanted;
use crate::segment::owner_monitor::{OwnerMonitor, Reattach};
use crate::segment::participant::Participant;
use crate::segment::peer_watch::AskedEach;
use crate::segment::roster::{JOINED, WakeTarget};
use crate::segment::{Cursor, Found, HowToJoin, ReadLane};
use crate::sync::{WindowMut, WordsMut};
use crate::topic::backpressure;
use crate::topic::inlet::{Gone, Inlet};
use crate::topic::publishing::prepare_lanes;
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

/// Prints `latest`, `oldest` or `new`.
impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Start::Latest => "latest",
            Start::Oldest => "oldest",
            Start::New => "new",
        })
    }
}

/// The subscriber of a topic, for messages of any type.
pub struct Subscribing {
    /// The lane of the owner, which is the only lane if there are no [`others`](Subscribing::others).
    pub(super) inlet: Inlet,
    /// The lanes of the other publishers.
    pub(super) others: Vec<Inlet>,
    /// The reading of several lanes in turn; `None` if there is one lane.
    pub(super) merging: Option<Box<Merging>>,
    pub(super) owner_monitor: OwnerMonitor,
    pace: Pace,
    pub(super) buffer: Box<[u8]>,
    pub(super) received: u64,
    pub missed: u64,
    pub(super) place: Option<Place>,
    pub(super) validity: Validity,
    pub(super) finding: Finding,
    /// Whether the subscriber takes no slot, even if it could.
    is_observer: bool,
    /// Why the subscriber could not reattach to the next publisher.
    pub(super) failed: Option<Error>,
    // Declared last, so that it is dropped last.
    pub found: Found,
}

/// What a subscriber does with the next message, and the message that it has found.
#[derive(Debug, Default)]
pub(super) struct Finding {
    /// Whether the next message is left in its lane.
    pub is_on: bool,
    /// The lane of the message that was found and is still in use; `None` if it was copied.
    pub lane: Option<usize>,
    /// Whether the message was whole after its user had read it.
    pub is_verified: bool,
}

/// The reading of several lanes.
pub(super) struct Merging {
    /// The lane whose turn it is, and how many bytes were received in this turn.
    pub turn: (usize, usize),
    /// The publisher of the message that was received last.
    pub last: Option<PublisherId>,
    /// A publisher whose end is to be reported.
    pub gone: Option<Gone>,
    /// How the publisher has ended that ended last.
    pub how: DisconnectReason,
    /// The earlier generations that may have publishers, the oldest first.
    pub earlier: Vec<Subscribing>,
    /// The generation in use that this subscriber could not join, and when it tried.
    pub tried: Option<(u32, Instant)>,
    pub looks: u32,
    pub asked_each: AskedEach,
    /// Whether the system would report the end of each publisher.
    pub is_complete: bool,
    /// The number of messages that were sent before the next one, in all lanes.
    pub number: u64,
    /// The time stamp of the message that was received last.
    pub stamp: Option<u64>,
}

impl Default for Merging {
    fn default() -> Merging {
        Merging {
            turn: (0, 0),
            last: None,
            gone: None,
            how: DisconnectReason::Closed,
            earlier: Vec::new(),
            tried: None,
            looks: 0,
            asked_each: AskedEach::default(),
            is_complete: true,
            number: 0,
            stamp: None,
        }
    }
}

/// The place of a participant in the roster.
pub(super) struct Place {
    pub cursor: WindowMut<Cursor>,
    pub participant: Participant,
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

    /// Opens the topic, or creates a topic that waits for its publisher.
    // layout: L330
    pub fn open_or_create(
        how: &HowToJoin,
        (start, is_observer): (Start, bool),
        name: &Name,
        wanted: &Wanted,
    ) -> Result<Subscribing> {
        let how = how.without_wait();
        let join = |found: Found, ring| {
            wanted.check(&found)?;
            Subscribing::join(found, ring, start, is_observer)
        };
        wanted.open_or_create(
            name,
            || how.join(name, TOPIC, join),
            |segment, _| match (TOPIC.sizes)(&segment.geometry) {
                Some(ring) => prepare_lanes(segment, ring, false, 0),
                None => Ok(()),
            },
        )
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
            if !subscriber.inlets_mut().all(|inlet| inlet.lane.begin(begin)) {
                break;
            }
            if subscriber.is_safe_here() {
                return subscriber.check_publishers();
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
        subscriber.check_publishers()
    }

    /// Returns an error if no publisher is left.
    // layout: L302
    fn check_publishers(mut self) -> Result<Subscribing> {
        self.note_publishers();
        match self.failed.take() {
            Some(error) if !self.others.iter().any(Inlet::has_publisher) => Err(error),
            _ => Ok(self),
        }
    }

    /// Reattaches to the next publisher; `false` if the next publisher has gone as well.
    #[cold]
    pub(super) fn reattach(&mut self) -> Result<bool> {
        let is_observer = self.is_observer;
        let go_on = |found, ring| Subscribing::go_on(found, ring, is_observer);
        let Some(mut next) = self.found.follow(TOPIC, go_on)? else {
            self.owner_monitor.lose_the_next(&self.found);
            return Ok(false);
        };
        next.missed = self.missed;
        next.received = self.received;
        next.finding = std::mem::take(&mut self.finding);
        let before = std::mem::replace(self, next);
        self.keep(before);
        Ok(true)
    }

    fn at_the_beginning(
        mut found: Found,
        ring: RingGeometry,
        is_observer: bool,
    ) -> Result<Subscribing> {
        let mut failed = None;
        let mut owner_monitor = match OwnerMonitor::begin(&found) {
            // Other publishers may continue; see `check_publishers`.
            Err(error) if error.kind() == ErrorKind::NotFound && found.geometry.lanes() > 1 => {
                failed = Some(error);
                OwnerMonitor::of_ended(&found)
            }
            monitor => monitor?,
        };
        let place = match is_observer {
            true => None,
            false => Subscribing::take_place(&found)?,
        };
        let lanes = match place {
            Some(_) => found.lanes_view()?,
            None => found.observe(owner_monitor.process())?,
        };
        let geometry = found.geometry;
        let inlet = |number| -> Result<Inlet> {
            let lane = ReadLane::at(&lanes, geometry.place(number))?;
            Ok(Inlet::new(
                LossyReader::new(lane.ring, lane.head, ring),
                number,
            ))
        };
        let others: Vec<Inlet> = (1..geometry.lanes()).map(inlet).collect::<Result<_>>()?;
        Ok(Subscribing {
            merging: (!others.is_empty()).then(Box::default),
            inlet: inlet(0)?,
            others,
            owner_monitor,
            pace: Pace::default(),
            buffer: vec![0; ring.max()].into_boxed_slice(),
            received: 0,
            missed: 0,
            place,
            validity: Validity::new(),
            finding: Finding::default(),
            is_observer,
            failed,
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
            participant,
        }))
    }

    /// Makes the publishers wait for this subscriber, if the topic is lossless. Returns whether the
    /// next message of each lane is safe: no publisher ever waits, or it waits before it overwrites
    /// the message.
    // layout: L133
    pub(super) fn is_safe_here(&mut self) -> bool {
        let lossless = self.found.geometry.is_lossless();
        let Some(place) = &mut self.place else {
            return true;
        };
        for inlet in std::iter::once(&mut self.inlet).chain(&mut self.others) {
            place.free(inlet);
        }
        let position = self.inlet.lane.position();
        place.cursor.publish64(cursor::EXACT, position);
        self.store_number();
        !lossless || self.activate()
    }

    /// Makes the publishers wait for this subscriber; see [`backpressure::join`].
    fn activate(&mut self) -> bool {
        let Some(Place { participant, .. }) = &self.place else {
            return false;
        };
        let inlets = std::iter::once(&mut self.inlet).chain(&mut self.others);
        let lanes = inlets.map(|inlet| &mut inlet.lane);
        backpressure::join(participant.roster(), participant.slot(), lanes)
    }

    /// Returns all lanes of this generation.
    pub(super) fn inlets(&self) -> impl Iterator<Item = &Inlet> {
        std::iter::once(&self.inlet).chain(&self.others)
    }

    pub(super) fn inlets_mut(&mut self) -> impl Iterator<Item = &mut Inlet> {
        std::iter::once(&mut self.inlet).chain(&mut self.others)
    }

    /// Returns the number of messages that were sent before the next one, in all lanes.
    pub(super) fn number(&self) -> u64 {
        let others = self.others.iter().map(|inlet| inlet.lane.number());
        others.fold(self.inlet.lane.number(), u64::wrapping_add)
    }

    fn store_number(&self) {
        if let Some(place) = &self.place {
            place.cursor.store64(cursor::NUMBER, self.number());
        }
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
        let position = self.inlet.lane.position();
        if let Some(place) = &mut self.place {
            place.cursor.store64(cursor::RECEIVED, self.received);
            let number = self.inlet.lane.number();
            place.cursor.store64(cursor::NUMBER, number);
            // For other programs that show how far each subscriber has read.
            place.cursor.publish64(cursor::EXACT, position);
            if position - self.inlet.freed >= self.found.geometry.capacity() / 8 {
                self.free_and_return(0);
            }
        }
    }

    /// Notes that a message of this length was received from a lane.
    pub(super) fn passed_one(&mut self, lane: usize, len: usize) {
        if self.merging.is_none() {
            return self.passed();
        }
        let number = self.count(lane, len);
        self.passed_in(lane, number);
    }

    /// Notes that a message of one of several lanes was received.
    // layout: L133 L291
    pub(super) fn passed_in(&mut self, lane: usize, number: u64) {
        self.received += 1;
        let step = self.found.geometry.capacity() / 8;
        let exact = self.inlet.lane.position();
        let inlet = self.inlet_mut(lane);
        let is_far = inlet.lane.position() - inlet.freed >= step;
        if let Some(place) = &mut self.place {
            place.cursor.store64(cursor::RECEIVED, self.received);
            place.cursor.store64(cursor::NUMBER, number);
            place.cursor.publish64(cursor::EXACT, exact);
            if is_far {
                self.free_and_return(lane);
            }
        }
    }

    /// Returns a lane of this generation; the last lane if there are not so many.
    pub(super) fn inlet_mut(&mut self, lane: usize) -> &mut Inlet {
        let others = &mut self.others;
        match lane.checked_sub(1).and_then(|other| others.get_mut(other)) {
            Some(inlet) => inlet,
            None => &mut self.inlet,
        }
    }

    /// Lets the publisher of a lane overwrite the messages that were read. If the publishers do not
    /// wait for this subscriber any more, and no message was missed, they have to wait again.
    // layout: L133
    #[cold]
    pub(super) fn free_and_return(&mut self, lane: usize) {
        let Some(mut place) = self.place.take() else {
            return;
        };
        place.free(self.inlet_mut(lane));
        let slot = place.participant.slot();
        let is_dropped = place.participant.roster().state(slot) == roster::state::DROPPED;
        self.place = Some(place);
        if is_dropped {
            self.activate();
        }
    }

    /// Returns whether the publishers still have to wait for this subscriber.
    // layout: L134
    #[cold]
    pub(super) fn is_waited_for(&self) -> bool {
        !self.owner_monitor.has_ended() && self.is_active()
    }

    /// Returns whether the publishers that are alive wait for this subscriber.
    pub(super) fn is_active(&self) -> bool {
        let is_active = |Place { participant, .. }: &Place| {
            // Pairs with the publisher's change of the state. The publisher changes the state before it
            // announces how far it will write.
            participant.roster().state(participant.slot()) == roster::state::ACTIVE
        };
        self.place.as_ref().is_some_and(is_active)
    }

    #[cold]
    pub(super) fn lagged(&mut self, missed: u64) {
        self.missed += missed;
        if let Some(place) = &self.place {
            place.cursor.store64(cursor::MISSED, self.missed);
        }
        self.store_number();
        self.count_again();
        // The publisher waits again from here on. If it does not, the next look finds that out.
        let _ = self.is_safe_here();
    }

    // layout: L135
    fn nothing(&mut self) -> Step {
        if self.inlet.freed != self.inlet.lane.position() {
            self.free_and_return(0);
        }

        if self.owner_monitor.is_followed(&self.found) {
            return self.go_on_in_next();
        }
        match !self.owner_monitor.has_ended() && self.owner_monitor.look(&self.found) {
            false => Step::Nothing,
            // The messages that were sent before the end are visible now.
            true => self.poll(),
        }
    }

    /// Reattaches to the next generation, and looks for a message there.
    pub(super) fn go_on_in_next(&mut self) -> Step {
        match self.reattach() {
            Ok(true) => self.poll(),
            Ok(false) => Step::Nothing,
            Err(error) => {
                self.failed = Some(error);
                Step::Nothing
            }
        }
    }
}

impl Place {
    /// Lets the publisher of a lane overwrite the messages that were read.
    // layout: L097 L133
    fn free(&mut self, inlet: &mut Inlet) {
        inlet.freed = inlet.lane.position();
        let slot = self.participant.slot();
        let roster = self.participant.roster();
        roster.set_room(slot, inlet.number, inlet.freed);
        self.participant.wake(match inlet.number.checked_sub(1) {
            None => WakeTarget::Owner,
            Some(slot) => WakeTarget::Slot(slot),
        });
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
        // If there are several lanes, the general path reads all of them.
        let len = self.inlet.lane.receive_quickly(&mut self.buffer)?;
        self.passed();
        Some(len)
    }

    fn poll(&mut self) -> Step {
        if self.validity.is_faulty() {
            return Step::Nothing;
        }
        if self.merging.is_some() {
            return self.poll_merged();
        }
        let step = match self.look_in(0) {
            // The publisher takes its announcement back in a moment. If the publisher has died
            // meanwhile, the wait ends.
            Step::Overtaken if self.is_waited_for() => Step::Nothing,
            Step::Overtaken => self.inlet.lane.lag(),
            step => step,
        };

        match step {
            Step::Message(_) if self.finding.is_on => self.finding.lane = Some(0),
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
            _ => match (self.failed.take(), &self.merging) {
                (Some(error), _) => Some(RecvError::System(error)),
                (None, None) => self.owner_monitor.tell().map(RecvError::Disconnected),
                (None, Some(_)) => self.gone_or_deserted(),
            },
        }
    }

    #[cold]
    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        if self.merging.is_some() {
            return self.sleep_merged(until);
        }
        let participant = self.place.as_mut().map(|place| &mut place.participant);
        let number = self.inlet.lane.number();
        let has_news = || self.inlet.lane.has_news();
        self.owner_monitor
            .sleep(&self.found, participant, number, has_news, until)
    }

    fn is_observer(&self) -> bool {
        self.place.is_none()
    }
}

impl Wait for Subscribing {
    fn has_news(&mut self) -> bool {
        let has_news = match self.merging {
            None => self.inlet.lane.has_news(),
            Some(_) => self.has_merged_news(),
        };
        has_news
            || self.failed.is_some()
            || self.validity.is_faulty()
            || self.owner_monitor.has_news(&self.found)
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        let participant = self.place.as_mut().map(|place| &mut place.participant);
        let number = self.inlet.lane.number();
        self.owner_monitor.register(participant, number, signals)?;
        self.register_merged(signals);
        Ok(())
    }

    fn deregister(&mut self) {
        if let Some(place) = &mut self.place {
            place.participant.deregister();
        }
    }

    fn woken(&mut self) -> Result<bool> {
        self.owner_monitor.look_whether_alive(&self.found);
        self.look_for_deaths();
        Ok(self.has_news())
    }
}
