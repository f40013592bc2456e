//! How a sender writes messages into its lane, and reattaches to the next receiver.
//!
//! ```text
//!   send(message, deadline)
//!     1  this process was forked?             return Forked
//!        the receiver died in an earlier
//!        send, or END is set?                 join the next receiver, or return Disconnected
//!        longer than the longest message?     return TooLong
//!     2  space in the lane?                   write the payload, store the commit word
//!                                             the receiver sleeps? wake it
//!                                             return
//!     3  send what a batch holds back, and wake the receiver if it sleeps
//!        the call does not wait?              return Full
//!        spin for 100 µs; space?              repeat from 1
//!        the receiver has ended?              join the next receiver, or return Disconnected
//!        deadline passed?                     return Timeout
//!        park until the receiver frees space or ends, or until the deadline
//!        repeat from 1
//! ```
//!
//! A send does not ask the system whether the receiver is alive. There are two exceptions: a sender
//! that has woken the receiver and sees no reaction, and every 4096th send that finds no space.

use super::source::{Source, SourceOptions};
use crate::error::channel::SendError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{OWNER, roster};
use crate::lane::claim::Claimed;
use crate::lane::lossless::LosslessWriter;
use crate::lane::ring::{Place, RingGeometry};
use crate::name::Name;
use crate::object::process::Process;
use crate::os::ValidityBackend;
use crate::segment::fan_in::begin_cursors;
use crate::segment::geometry::QUEUE;
use crate::segment::open_or_create::Wanted;
use crate::segment::owner_monitor::Reattach;
use crate::segment::participant::Participant;
use crate::segment::roster::{JOINED, Roster, WakeTarget};
use crate::segment::{Cursor, Found, Head, HowToJoin};
use crate::sync::{RingWindowMut, Window, WindowMut};
#[cfg(feature = "async")]
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Spin};
use std::fmt;
use std::time::Instant;

/// How many sends find no space before the sender checks whether the receiver is alive. A sender
/// that never sleeps needs this check.
const LOOKS: u32 = 4096;

/// The sender of a queue, for messages of any type.
pub struct Sending {
    unreceived: Vec<Unreceived>,
    full: u32,
    /// Whether the receiver was found dead after a message was sent.
    has_died: bool,
    // Declared last, so that it is dropped last.
    pub(super) connection: Connection,
}

/// The connection of a sender with the receiver of one generation.
// layout: L018
pub(super) struct Connection {
    pub lane: Lane,
    pub participant: Participant,
    /// The source of a sender with a source key.
    pub source: Option<Source>,
    /// `None` if no receiver has come yet.
    owner: Option<Process>,
    // Declared last, so that it is dropped last.
    found: Found,
}

type Lane = LosslessWriter<RingWindowMut, WindowMut<Head>, Window<Cursor>>;

/// A lane of an earlier generation with messages that were sent and not received. The sender holds
/// the lane, so that the next receiver finds the lane too if this receiver dies.
// layout: L170
#[derive(Debug)]
struct Unreceived {
    lane: Lane,
    _roster: Roster,
    _found: Found,
}

impl Connection {
    // layout: L050 L104
    fn join(found: Found, ring: RingGeometry, source: Option<SourceOptions>) -> Result<Connection> {
        let owner = found.watch_owner()?;
        let key = source.map(|source| source.key);
        let mut participant = found.take_sender_slot(&found.roster()?, key)?;
        let lane = found.lane_mut(participant.slot())?;
        let cursor = found.cursor(participant.slot());
        let Some(lane) = LosslessWriter::resume(lane.ring, lane.head, cursor, ring) else {
            let kind = ErrorKind::Corrupt;
            let meaning = "an earlier sender left an invalid message";
            let error = Error::new(kind, Operation::Open, &found.name, meaning);
            return Err(error.with_advice("restart the receiver"));
        };

        let (roster, slot) = (participant.roster(), participant.slot());
        let begin = |source| Source::begin(source, &found, (roster, slot), lane.position());
        let source = source.map(begin).transpose()?;
        roster.set_beginning(slot, lane.position());
        roster.set_state(slot, roster::state::ACTIVE);
        roster.tell(JOINED);
        // The owner is woken, so that it watches this process too.
        participant.wake(WakeTarget::Owner);

        Ok(Connection {
            lane,
            participant,
            source,
            owner,
            found,
        })
    }
}

impl Connection {
    /// Returns whether the receiver has ended. A receiver that has not come yet has not ended.
    fn has_owner_ended(&self) -> Result<bool> {
        self.owner.as_ref().map_or(Ok(false), Process::has_ended)
    }
}

impl Sending {
    /// Opens a queue, with a source key or without one.
    pub fn open(how: &HowToJoin, name: &Name, source: Option<u64>) -> Result<Sending> {
        let source = source.map(|key| SourceOptions { key, known: None });
        let join = |found, ring| Connection::join(found, ring, source);
        how.join(name, QUEUE, join).map(Sending::new)
    }

    /// Opens the queue, or creates a queue that waits for its receiver.
    // layout: L330
    pub fn open_or_create(
        how: &HowToJoin,
        name: &Name,
        source: Option<u64>,
        wanted: &Wanted,
    ) -> Result<Sending> {
        let how = how.without_wait();
        let source = source.map(|key| SourceOptions { key, known: None });
        let join = |found: Found, ring| {
            // A queue whose receiver has ended counts as one that is not there.
            found.watch_owner()?;
            wanted.check(&found)?;
            Connection::join(found, ring, source)
        };
        let open = || how.join(name, QUEUE, join).map(Sending::new);
        wanted.open_or_create(name, open, |segment, older| {
            let ring = (QUEUE.sizes)(&segment.geometry);
            ring.into_iter()
                .for_each(|ring| begin_cursors(segment, ring));
            for (earlier, _) in older.iter().rev() {
                segment.reserve_sources(earlier)?;
            }
            older.iter().for_each(|(earlier, _)| {
                segment.carry_numbers(earlier);
            });
            Ok(())
        })
    }

    fn new(connection: Connection) -> Sending {
        Sending {
            connection,
            full: 0,
            has_died: false,
            unreceived: Vec::new(),
        }
    }

    pub fn found(&self) -> &Found {
        &self.connection.found
    }

    pub fn max_message(&self) -> usize {
        self.connection.lane.ring_geometry().max()
    }

    fn generation(&self) -> u32 {
        self.connection.found.generation
    }

    /// Sends a message, and waits for space until the deadline.
    #[inline(always)]
    pub fn send(&mut self, message: &[u8], deadline: Deadline) -> Result<(), SendError> {
        if self.is_attached() && self.connection.lane.send_quickly(message) {
            self.sent();
            return Ok(());
        }
        self.send_until(message, deadline)
    }

    /// Returns the error of a call that found no space.
    fn full(&mut self) -> SendError {
        // A batch that was forgotten may hold messages back. The receiver cannot free the space of
        // messages that were not sent.
        self.connection.lane.flush();
        self.sent();
        self.full = self.full.wrapping_add(1);
        let gone = match self.full.is_multiple_of(LOOKS) {
            true => self.check_owner(),
            false => Ok(()),
        };
        gone.err().unwrap_or(SendError::Full)
    }

    /// Returns whether this process may use the endpoint, and the generation has not ended.
    #[inline(always)]
    fn is_attached(&self) -> bool {
        self.connection.participant.validity.is_valid() && !self.connection.found.is_ended()
    }

    /// Reserves space for a message of this length, and waits for the space until the deadline.
    #[inline]
    pub fn claim(&mut self, len: usize, deadline: Deadline) -> Result<Place, SendError> {
        loop {
            self.check(len)?;
            if let Some(place) = self.connection.lane.claim(len) {
                return Ok(place);
            }
            self.wait_or_refuse(len, deadline)?;
        }
    }

    /// Adds a message to a batch, which is sent later. Returns whether the messages that were added
    /// before are sent.
    #[inline]
    pub fn add(&mut self, message: &[u8], deadline: Deadline) -> Result<bool, SendError> {
        if self.is_attached() && self.connection.lane.add_quickly(message) {
            return Ok(false);
        }
        let mut has_sent = false;
        loop {
            self.check(message.len())?;
            if self.connection.lane.try_add(message) {
                return Ok(has_sent);
            }
            has_sent = true;
            self.wait_or_refuse(message.len(), deadline)?;
        }
    }

    /// Sends the messages that were added.
    pub fn flush(&mut self) -> Result<(), SendError> {
        self.connection.participant.validity.check()?;
        self.connection.lane.flush();
        self.sent();
        Ok(())
    }

    /// Stores the number of the message that is committed next.
    pub(super) fn note_number(&mut self, place: Place, number: u64) -> Result<(), SendError> {
        let connection = &mut self.connection;
        let Some(source) = &mut connection.source else {
            return Err(SendError::NoSource);
        };
        let participant = &connection.participant;
        let slot = (participant.roster(), participant.slot());
        source.note(slot, place, number, connection.lane.committed());
        Ok(())
    }

    /// Waits for space until the deadline. Returns an error if the call does not wait.
    #[cold]
    pub(super) fn wait_or_refuse(
        &mut self,
        len: usize,
        deadline: Deadline,
    ) -> Result<(), SendError> {
        match deadline.instant_or(()) {
            Ok(until) => self.wait_for_room(len, until),
            Err(()) => Err(self.full()),
        }
    }

    // layout: L108
    #[inline]
    pub(super) fn check(&mut self, len: usize) -> Result<(), SendError> {
        self.connection.participant.validity.check()?;
        if self.has_died {
            self.check_owner()?;
        }
        if self.connection.found.is_ended() {
            self.go_on()?;
        }
        let max = self.connection.lane.ring_geometry().max();
        match len > max {
            true => Err(SendError::TooLong { len, max }),
            false => Ok(()),
        }
    }

    /// Reattaches to the next receiver; `false` if there is none.
    // layout: L069 L167 L169 L170
    fn reattach(&mut self) -> Result<bool> {
        self.connection.participant.check()?;
        // The next receiver receives the messages that were sent to this receiver. This receiver
        // may be alive and asleep.
        let Connection {
            lane,
            participant,
            source,
            found,
            ..
        } = &mut self.connection;
        lane.flush();
        participant.tell_news(&found.control);
        participant.wake(WakeTarget::Owner);
        let source = source
            .as_ref()
            .map(|source| source.reattaching(lane.committed()));
        let join = |found, ring| Connection::join(found, ring, source);
        let Some(next) = self.connection.found.follow(QUEUE, join)? else {
            return Ok(false);
        };

        let before = std::mem::replace(&mut self.connection, next);
        (self.full, self.has_died) = (0, false);
        self.unreceived.push(Unreceived {
            lane: before.lane,
            _roster: before.participant.roster().clone(),
            _found: before.found,
        });
        self.let_go();
        Ok(true)
    }

    /// Closes the earlier lanes whose messages were all received.
    fn let_go(&mut self) {
        self.unreceived.retain(|one| !one.lane.is_received());
    }

    /// Reattaches to the next receiver, or returns the error, after the receiver has ended.
    #[cold]
    fn go_on(&mut self) -> Result<(), SendError> {
        if self.reattach()? {
            return Ok(());
        }
        let how = self.connection.found.reason();
        let how = how.unwrap_or_else(|| self.connection.found.last_reason());
        Err(SendError::Disconnected(how))
    }

    // layout: L097
    #[inline]
    pub(super) fn sent(&mut self) {
        if self.connection.participant.has_to_tell_owner() {
            self.tell_owner();
        }
    }

    /// Tells a receiver that does not poll this lane of a message, and wakes a receiver that sleeps.
    #[inline(never)]
    fn tell_owner(&mut self) {
        let Connection {
            participant, found, ..
        } = &self.connection;
        participant.tell_news(&found.control);
        if participant.has_to_wake(WakeTarget::Owner) {
            self.wake();
        }
    }

    /// Wakes the receiver. A receiver that was notified and does not wake up may be dead. The next
    /// receiver then receives the message that was sent, so this call does not fail; the next call
    /// does.
    // layout: L108
    #[cold]
    fn wake(&mut self) {
        self.connection.participant.wake(WakeTarget::Owner);
        self.let_go();
        if self.connection.found.is_ended() {
            // If there is a next receiver, joining makes it look into this lane once more.
            let _ = self.reattach();
        } else if self.connection.participant.is_unreachable(OWNER)
            && matches!(self.connection.has_owner_ended(), Ok(true))
        {
            self.has_died = true;
            self.connection.lane.pause();
        }
    }

    // layout: L110
    #[cold]
    fn check_owner(&mut self) -> Result<(), SendError> {
        // The receiver may have stored END before it ended.
        match self.connection.has_owner_ended()? || self.connection.found.has_to_be_left() {
            true => self.go_on(),
            false => Ok(()),
        }
    }

    fn send_until(&mut self, message: &[u8], deadline: Deadline) -> Result<(), SendError> {
        loop {
            // The longest message of the next receiver may be shorter.
            self.check(message.len())?;
            if self.connection.lane.try_send(message) {
                self.sent();
                return Ok(());
            }
            self.wait_or_refuse(message.len(), deadline)?;
        }
    }

    /// Waits until there may be space, or until the sender has reattached and has to check
    /// everything again.
    // layout: L109
    #[cold]
    fn wait_for_room(&mut self, len: usize, until: Option<Instant>) -> Result<(), SendError> {
        let generation = self.generation();
        // The receiver cannot free the space of messages that were not sent.
        // layout: L069
        self.connection.lane.flush();
        self.let_go();
        self.sent();
        if self.generation() != generation {
            return Ok(());
        }

        let mut spin = Spin::new(until);
        loop {
            if self.connection.lane.has_room(len) {
                return Ok(());
            }
            if !spin.again() {
                break;
            }
        }

        self.check_owner()?;
        if self.generation() != generation {
            return Ok(());
        }
        if until.is_some_and(|at| Instant::now() >= at) {
            return Err(SendError::Timeout);
        }

        let Connection {
            lane,
            participant,
            owner,
            found,
            ..
        } = &mut self.connection;
        let ready = || lane.has_room(len) || found.has_to_be_left();
        let peers: &[&Process] = match owner {
            Some(owner) => &[owner],
            None => &[],
        };
        if participant.park(ready, peers, until)? {
            self.check_owner()?;
        }
        Ok(())
    }
}

impl Drop for Sending {
    /// Sends the messages that a forgotten batch has held back. The drop of the participant wakes
    /// the receiver.
    // layout: L069 L083 L105
    fn drop(&mut self) {
        // A forked child sends nothing.
        if !self.connection.participant.validity.is_forked() {
            self.connection.lane.flush();
        }
    }
}

impl Claimed for Sending {
    fn fill(&self, place: Place, at: usize, bytes: &[u8]) {
        if !self.connection.participant.validity.is_forked() {
            self.connection.lane.ring().fill(place, at, bytes);
        }
    }

    fn bytes(&self, place: Place, len: usize) -> *mut u8 {
        self.connection.lane.ring().bytes(place, len)
    }

    #[inline]
    fn commit(&mut self, place: Place, len: usize) -> Result<(), SendError> {
        self.connection.participant.validity.check()?;
        self.connection.lane.commit(place, len);
        self.sent();
        Ok(())
    }

    fn commit_numbered(&mut self, place: Place, len: usize, number: u64) -> Result<(), SendError> {
        self.connection.participant.validity.check()?;
        self.note_number(place, number)?;
        self.commit(place, len)
    }
}

impl Reattach for Sending {
    fn parts(&mut self) -> (&Found, Option<&mut Participant>) {
        (
            &self.connection.found,
            Some(&mut self.connection.participant),
        )
    }

    fn reattach_if_ended(&mut self) -> Result<bool> {
        self.reattach()
    }
}

/// A sender that waits for space for a message of this length.
#[cfg_attr(
    not(feature = "async"),
    allow(dead_code, reason = "threads wait in it")
)]
pub(crate) struct Room<'a> {
    sender: &'a mut Sending,
    len: usize,
}

impl<'a> Room<'a> {
    #[cfg_attr(
        not(feature = "async"),
        allow(dead_code, reason = "threads wait in it")
    )]
    pub fn of(sender: &'a mut Sending, len: usize) -> Room<'a> {
        Room { sender, len }
    }
}

#[cfg(feature = "async")]
impl Wait for Room<'_> {
    fn has_news(&mut self) -> bool {
        let Connection { lane, found, .. } = &mut self.sender.connection;
        lane.has_room(self.len) || found.has_to_be_left()
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        let owner = self.sender.connection.owner.iter();
        owner.for_each(|owner| owner.add_to(signals));
        self.sender.connection.participant.register(signals)
    }

    fn deregister(&mut self) {
        self.sender.connection.participant.deregister();
    }

    fn woken(&mut self) -> Result<bool> {
        // The next message returns the error.
        self.sender.has_died |= self.sender.connection.has_owner_ended()?;
        Ok(self.sender.has_died || self.has_news())
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("name", &self.connection.found.name)
            .field("lane", &self.connection.participant.slot())
            .finish_non_exhaustive()
    }
}
