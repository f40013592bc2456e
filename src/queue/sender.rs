//! The sending end of a queue.

use crate::access::Owner;
use crate::error::channel::SendError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::Layout;
use crate::format::layout::{OWNER, control, roster};
use crate::lane::claim::{Claim, Claimed};
use crate::lane::lossless::LosslessWriter;
use crate::lane::ring::Place;
use crate::name::Name;
use crate::object::process::Process;
use crate::os::{ValidityBackend, deadline_after};
use crate::segment::owner_monitor::{self, Reattach};
use crate::segment::participant::Participant;
use crate::segment::roster::{JOINED, Roster};
use crate::segment::{Cursor, Found, Head, HowToJoin};
use crate::sync::{Round, Window, WindowMut};
#[cfg(feature = "async")]
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::Spin;
use std::fmt;
use std::time::{Duration, Instant};

/// How many messages that found no room go between two questions whether the receiver is
/// alive, for those who never sleep.
const LOOKS: u32 = 4096;

/// How to open a queue; see [`Sender::options`].
#[derive(Clone, Debug, Default)]
pub struct SenderOptions {
    how: HowToJoin,
}

impl SenderOptions {
    /// Send only to a queue that belongs to this owner.
    #[must_use]
    pub fn expect_owner(mut self, owner: Owner) -> SenderOptions {
        self.how.owner = Some(owner);
        self
    }

    /// Waits so long for a receiver that is not there yet (not at all). It looks again every
    /// few milliseconds.
    #[must_use]
    pub fn wait(mut self, deadline: Duration) -> SenderOptions {
        self.how.wait = deadline;
        self
    }

    /// Only to a queue of messages of this type.
    pub(crate) fn expect_layout(mut self, layout: Layout) -> SenderOptions {
        self.how.layouts = vec![layout];
        self
    }

    /// Opens the queue.
    ///
    /// # Errors
    ///
    /// As [`Sender::open`], and [`ErrorKind::WrongOwner`].
    pub fn open(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Sender> {
        self.how
            .join(
                &Name::checked(name)?,
                control::kind::QUEUE,
                Connection::join,
            )
            .map(Sender::new)
    }
}

/// A sending end of a queue. See [`Receiver`](crate::Receiver).
///
/// It is `Send`, and not shared: each thread opens its own.
pub struct Sender {
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
    fn join(found: Found) -> Result<Connection> {
        let owner = found.watch_owner()?;
        let geometry = found.geometry;
        let mut participant = found.take_slot(&found.roster()?, geometry.lanes)?;
        let lane = found.lane_mut(participant.slot())?;
        let cursor = found.cursor(participant.slot());
        let Some(lane) =
            LosslessWriter::resume(lane.ring, lane.head, cursor, geometry.ring_geometry)
        else {
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

impl Sender {
    /// Opens a queue to send. Never creates one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] where there is none,
    /// [`ErrorKind::WrongKind`] where it is something else,
    /// [`ErrorKind::Busy`] where all its lanes are taken or it is not
    /// ready after a second, [`ErrorKind::WrongVersion`];
    /// otherwise as [`Section::open`](crate::Section::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Sender> {
        Sender::options().open(name)
    }

    /// Other ways to open one.
    #[must_use]
    pub fn options() -> SenderOptions {
        SenderOptions::default()
    }

    fn new(connection: Connection) -> Sender {
        Sender {
            connection,
            full: 0,
            has_died: false,
            unreceived: Vec::new(),
        }
    }

    /// The name it was opened by.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.connection.found.name
    }

    /// The longest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.connection.lane.ring_geometry().max()
    }

    /// Waits for the next receiver, at most this long, and goes on with it; says whether there
    /// is one. It receives what was sent to the one before, and not received.
    ///
    /// # Errors
    ///
    /// As [`open`](Sender::open), where there is one that does not let us in.
    pub fn wait_for_receiver(&mut self, timeout: Duration) -> Result<bool> {
        owner_monitor::wait_for_next(self, timeout)
    }

    /// The number of its generation: another one with each receiver that follows, and each time
    /// that one changes its measures.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.connection.found.generation
    }

    /// Sends a message, if there is room for it. It is sent when this returns.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`]; otherwise as [`send`](Sender::send).
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> std::result::Result<(), SendError> {
        if self.send_quickly(message) {
            self.sent();
            return Ok(());
        }
        self.check(message.len())?;
        if self.connection.lane.try_send(message) {
            self.sent();
            return Ok(());
        }
        Err(self.full())
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

    /// Sends a message, and waits for room where there is none. It is sent when this
    /// returns; a receiver that dies later may not have received it.
    ///
    /// # Errors
    ///
    /// [`SendError::Disconnected`] where the receiver has gone: at once where it closed,
    /// and where it died at the latest when its lane is full. What was sent stays for the next
    /// receiver as long as anybody holds it, and what this says of was not sent.
    /// [`SendError::TooLong`].
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> std::result::Result<(), SendError> {
        if self.send_quickly(message) {
            self.sent();
            return Ok(());
        }
        self.send_until(message, None)
    }

    #[inline(always)]
    fn send_quickly(&mut self, message: &[u8]) -> bool {
        self.connection.participant.validity.is_valid()
            && !self.connection.found.is_ended()
            && self.connection.lane.send_quickly(message)
    }

    /// Sends a message, and waits for room at most this long.
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`]; otherwise as [`send`](Sender::send).
    pub fn send_timeout(
        &mut self,
        message: &[u8],
        timeout: Duration,
    ) -> std::result::Result<(), SendError> {
        self.send_until(message, deadline_after(Some(timeout)))
    }

    /// Room for a message of this length, to be written where it will be read; waits for it
    /// where there is none. See [`Receiver::recv_ref`](crate::Receiver::recv_ref).
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    #[inline]
    pub fn claim(&mut self, len: usize) -> std::result::Result<Claim<'_, Sender>, SendError> {
        let place = loop {
            self.check(len)?;
            match self.connection.lane.claim(len) {
                Some(place) => break place,
                None => self.wait_for_room(len, None)?,
            }
        };
        Ok(Claim::new(self, place, len))
    }

    /// Room for a message of this length, if there is any.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Sender::try_send).
    #[inline]
    pub fn try_claim(&mut self, len: usize) -> std::result::Result<Claim<'_, Sender>, SendError> {
        self.check(len)?;
        match self.connection.lane.claim(len) {
            Some(place) => Ok(Claim::new(self, place, len)),
            None => Err(self.full()),
        }
    }

    /// Sends all of them, several at a time, and waits for room where there is none.
    /// Those before one that fails are sent.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    pub fn send_all<M: AsRef<[u8]>>(
        &mut self,
        messages: impl IntoIterator<Item = M>,
    ) -> std::result::Result<(), SendError> {
        let mut batch = self.batch();
        for message in messages {
            batch.send(message.as_ref())?;
        }
        Ok(())
    }

    /// Begins a batch: its messages are sent together when it is flushed or dropped, with
    /// one wake-up where the receiver sleeps. To one that does not, short messages go no
    /// faster this way.
    #[must_use]
    pub fn batch(&mut self) -> Batch<'_> {
        Batch {
            sender: self,
            count: 0,
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
        let Some(next) = self.connection.found.follow(Connection::join)? else {
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
        until: Option<Instant>,
    ) -> std::result::Result<(), SendError> {
        loop {
            // The next receiver may allow less.
            self.check(message.len())?;
            if self.connection.lane.try_send(message) {
                self.sent();
                return Ok(());
            }
            self.wait_for_room(message.len(), until)?;
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

impl Drop for Sender {
    /// Sends what a batch that was forgotten has held back; the drop of the participant wakes the receiver.
    // layout: L069 L083 L105
    fn drop(&mut self) {
        // In a child that was forked nothing is sent.
        if !self.connection.participant.validity.is_forked() {
            self.connection.lane.flush();
        }
    }
}

impl Claimed for Sender {
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

impl Reattach for Sender {
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
    sender: &'a mut Sender,
    len: usize,
}

impl<'a> Room<'a> {
    #[cfg_attr(
        not(feature = "async"),
        allow(dead_code, reason = "threads wait in it")
    )]
    pub fn of(sender: &'a mut Sender, len: usize) -> Room<'a> {
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

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("name", &self.connection.found.name)
            .field("lane", &self.connection.participant.slot())
            .finish_non_exhaustive()
    }
}

/// Messages that are sent together; see [`Sender::batch`].
///
/// What is added is sent by [`flush`](Batch::flush), at the end of the batch, every 16
/// messages, and before anything that waits; until then a crash loses it.
#[derive(Debug)]
pub struct Batch<'a> {
    sender: &'a mut Sender,
    count: u32,
}

/// After so many messages a batch is sent.
const BATCH: u32 = 16;

impl Batch<'_> {
    /// Adds a message, and waits for room where there is none.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> std::result::Result<(), SendError> {
        if !self.add_quickly(message) {
            loop {
                self.sender.check(message.len())?;
                if self.sender.connection.lane.try_add(message) {
                    break;
                }
                self.count = 0;
                self.sender.wait_for_room(message.len(), None)?;
            }
        }
        self.added()
    }

    /// Adds a message, if there is room for it.
    ///
    /// # Errors
    ///
    /// As [`Sender::try_send`]; the messages before are sent then.
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> std::result::Result<(), SendError> {
        if !self.add_quickly(message) {
            self.sender.check(message.len())?;
            if !self.sender.connection.lane.try_add(message) {
                self.flush()?;
                return Err(SendError::Full);
            }
        }
        self.added()
    }

    #[inline(always)]
    fn add_quickly(&mut self, message: &[u8]) -> bool {
        self.sender.connection.participant.validity.is_valid()
            && !self.sender.connection.found.is_ended()
            && self.sender.connection.lane.add_quickly(message)
    }

    #[inline]
    fn added(&mut self) -> std::result::Result<(), SendError> {
        self.count += 1;
        if self.count >= BATCH {
            return self.flush();
        }
        Ok(())
    }

    /// Sends what was added.
    ///
    /// # Errors
    ///
    /// [`SendError::Forked`] in a process that was forked from that of the sender; otherwise none:
    /// what was added had its place.
    pub fn flush(&mut self) -> std::result::Result<(), SendError> {
        self.sender.connection.participant.validity.check()?;
        self.count = 0;
        self.sender.connection.lane.flush();
        self.sender.sent();
        Ok(())
    }
}

impl Drop for Batch<'_> {
    // layout: L069
    fn drop(&mut self) {
        // In a child that was forked nothing is sent.
        let _ = self.flush();
    }
}
