//! How a sender writes messages into its lane, and goes on with the next receiver.

use crate::error::channel::SendError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{OWNER, roster};
use crate::lane::claim::Claimed;
use crate::lane::lossless::LosslessWriter;
use crate::lane::ring::{Place, RingGeometry};
use crate::name::Name;
use crate::object::process::Process;
use crate::os::ValidityBackend;
use crate::segment::geometry::QUEUE;
use crate::segment::owner_monitor::Reattach;
use crate::segment::participant::Participant;
use crate::segment::roster::{JOINED, Roster};
use crate::segment::{Cursor, Found, Head, HowToJoin};
use crate::sync::{Round, Window, WindowMut};
#[cfg(feature = "async")]
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Spin};
use std::fmt;
use std::time::Instant;

/// How many messages that found no space go between two questions whether the receiver is
/// alive, for senders that never sleep.
const LOOKS: u32 = 4096;

/// The sender of a queue, whatever its messages are.
pub struct Sending {
    unreceived: Vec<Unreceived>,
    full: u32,
    /// The receiver was found dead when a message was sent.
    has_died: bool,
    // Declared last, and so let go last.
    connection: Connection,
}

/// What connects a sender with a receiver, for one generation.
// layout: L018
struct Connection {
    lane: Lane,
    participant: Participant,
    owner: Process,
    // Declared last, and so let go last.
    found: Found,
}

type Lane = LosslessWriter<WindowMut<Round>, WindowMut<Head>, Window<Cursor>>;

/// A lane of an earlier generation in which something was sent and not received: held, so that it
/// is there for the next receiver too, should this one die.
// layout: L170
#[derive(Debug)]
struct Unreceived {
    lane: Lane,
    _roster: Roster,
    _found: Found,
}

impl Connection {
    // layout: L050 L104
    fn join(found: Found, (senders, ring): (usize, RingGeometry)) -> Result<Connection> {
        let owner = found.watch_owner()?;
        let mut participant = found.take_slot(&found.roster()?, senders)?;
        let lane = found.lane_mut(participant.slot())?;
        let cursor = found.cursor(participant.slot());
        let Some(lane) = LosslessWriter::resume(lane.ring, lane.head, cursor, ring) else {
            let kind = ErrorKind::Corrupt;
            let meaning = "an earlier sender left what is no message";
            let error = Error::new(kind, Operation::Open, &found.name, meaning);
            return Err(error.with_advice("restart the receiver"));
        };
        let roster = participant.roster();
        roster.set_state(participant.slot(), roster::state::ACTIVE);
        roster.tell(JOINED);
        // So that it watches us too.
        participant.wake(1 << OWNER);
        Ok(Connection {
            lane,
            participant,
            owner,
            found,
        })
    }
}

impl Sending {
    pub fn open(how: &HowToJoin, name: &Name) -> Result<Sending> {
        how.join(name, QUEUE, Connection::join).map(Sending::new)
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
    #[inline]
    pub fn send(
        &mut self,
        message: &[u8],
        deadline: Deadline,
    ) -> std::result::Result<(), SendError> {
        if self.send_quickly(message) {
            self.sent();
            return Ok(());
        }
        self.send_until(message, deadline)
    }

    /// What there is to be told where there is no room.
    fn full(&mut self) -> SendError {
        // Nobody frees what was not sent, as of a batch that was forgotten.
        self.connection.lane.flush();
        self.sent();
        self.full = self.full.wrapping_add(1);
        let gone = match self.full.is_multiple_of(LOOKS) {
            true => self.check_owner(),
            false => Ok(()),
        };
        gone.err().unwrap_or(SendError::Full)
    }

    #[inline(always)]
    fn send_quickly(&mut self, message: &[u8]) -> bool {
        self.connection.participant.validity.is_valid()
            && !self.connection.found.is_ended()
            && self.connection.lane.send_quickly(message)
    }

    /// Reserves space for a message of this length, which is waited for until the deadline.
    #[inline]
    pub fn claim(
        &mut self,
        len: usize,
        deadline: Deadline,
    ) -> std::result::Result<Place, SendError> {
        loop {
            self.check(len)?;
            if let Some(place) = self.connection.lane.claim(len) {
                return Ok(place);
            }
            self.wait_or_refuse(len, deadline)?;
        }
    }

    /// Adds a message to a batch, which is sent later; says whether what was added before is sent.
    #[inline]
    pub fn add(
        &mut self,
        message: &[u8],
        deadline: Deadline,
    ) -> std::result::Result<bool, SendError> {
        if self.add_quickly(message) {
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

    #[inline(always)]
    fn add_quickly(&mut self, message: &[u8]) -> bool {
        self.connection.participant.validity.is_valid()
            && !self.connection.found.is_ended()
            && self.connection.lane.add_quickly(message)
    }

    /// Sends what was added.
    pub fn flush(&mut self) -> std::result::Result<(), SendError> {
        self.connection.participant.validity.check()?;
        self.connection.lane.flush();
        self.sent();
        Ok(())
    }

    /// Waits for space until the deadline; an error where it does not wait.
    #[cold]
    fn wait_or_refuse(
        &mut self,
        len: usize,
        deadline: Deadline,
    ) -> std::result::Result<(), SendError> {
        match deadline.instant_or(()) {
            Ok(until) => self.wait_for_room(len, until),
            Err(()) => Err(self.full()),
        }
    }

    // layout: L108
    #[inline]
    fn check(&mut self, len: usize) -> std::result::Result<(), SendError> {
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

    /// Goes on with the next receiver, where there is one.
    // layout: L069 L167 L169 L170
    fn reattach(&mut self) -> Result<bool> {
        self.connection.participant.check()?;
        // It receives what was sent to the one before, which may be asleep and live.
        self.connection.lane.flush();
        self.connection.participant.wake(1 << OWNER);
        let Some(next) = self.connection.found.follow(QUEUE, Connection::join)? else {
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

    /// Lets go of what was received.
    fn let_go(&mut self) {
        self.unreceived.retain(|one| !one.lane.is_received());
    }

    /// After the end of the receiver.
    #[cold]
    fn go_on(&mut self) -> std::result::Result<(), SendError> {
        if self.reattach()? {
            return Ok(());
        }
        let how = self.connection.found.reason();
        let how = how.unwrap_or_else(|| self.connection.found.last_reason());
        Err(SendError::Disconnected(how))
    }

    // layout: L097
    #[inline]
    fn sent(&mut self) {
        if self.connection.participant.has_to_wake(1 << OWNER) {
            self.wake();
        }
    }

    /// Who was rung for and does not wake up may be dead. What was sent is for the next receiver
    /// then, and is no failure; the message that follows is.
    // layout: L108
    #[cold]
    fn wake(&mut self) {
        self.connection.participant.wake(1 << OWNER);
        self.let_go();
        if self.connection.found.is_ended() {
            // Where there is another receiver, that we come has it look.
            let _ = self.reattach();
        } else if self.connection.participant.is_unreachable(OWNER)
            && matches!(self.connection.owner.has_ended(), Ok(true))
        {
            self.has_died = true;
            self.connection.lane.pause();
        }
    }

    // layout: L110
    #[cold]
    fn check_owner(&mut self) -> std::result::Result<(), SendError> {
        // It may have said something before it ended.
        match self.connection.owner.has_ended()? || self.connection.found.is_ended() {
            true => self.go_on(),
            false => Ok(()),
        }
    }

    fn send_until(
        &mut self,
        message: &[u8],
        deadline: Deadline,
    ) -> std::result::Result<(), SendError> {
        loop {
            // The next receiver may allow less.
            self.check(message.len())?;
            if self.connection.lane.try_send(message) {
                self.sent();
                return Ok(());
            }
            self.wait_or_refuse(message.len(), deadline)?;
        }
    }

    /// Until there may be room, or all is to be looked at anew, since another receiver is there.
    // layout: L109
    #[cold]
    fn wait_for_room(
        &mut self,
        len: usize,
        until: Option<Instant>,
    ) -> std::result::Result<(), SendError> {
        let generation = self.generation();
        // Nobody frees what was not sent.
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
        } = &mut self.connection;
        let ready = || lane.has_room(len) || found.is_ended();
        if participant.park(ready, &[owner], until)? {
            self.check_owner()?;
        }
        Ok(())
    }
}

impl Drop for Sending {
    /// Sends what a batch that was forgotten has held back; the drop of the participant wakes the receiver.
    // layout: L069 L083 L105
    fn drop(&mut self) {
        // In a child that was forked nothing is sent.
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
    fn commit(&mut self, place: Place, len: usize) -> std::result::Result<(), SendError> {
        self.connection.participant.validity.check()?;
        self.connection.lane.commit(place, len);
        self.sent();
        Ok(())
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

/// A sender that waits for room for a message of this length.
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
        self.sender.connection.lane.has_room(self.len) || self.sender.connection.found.is_ended()
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        self.sender.connection.owner.add_to(signals);
        self.sender.connection.participant.register(signals)
    }

    fn deregister(&mut self) {
        self.sender.connection.participant.deregister();
    }

    fn woken(&mut self) -> Result<bool> {
        // The next message tells.
        self.sender.has_died |= self.sender.connection.owner.has_ended()?;
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
