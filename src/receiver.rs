//! The receiving end of a queue: many senders, one receiver, and nothing lost.

use crate::access::Access;
use crate::describe::Layout;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::exchange::{Departure, RecvError};
use crate::in_place::{Holds, InPlace};
use crate::lane::Step;
use crate::lane::gated::GatedReader;
use crate::layout::{SLOTS, control, delivery, roster};
use crate::name::Name;
use crate::os::deadline;
use crate::process::Process;
use crate::roster::{LEFT, has_joined, watch};
use crate::segment::{Cursor, Measures, Owned};
use crate::sync::{Round, Window, WindowMut};
use crate::wait::{self, Inbox, Pace};
use std::time::{Duration, Instant};

/// So many bytes of one sender are received in a row before the others are looked at, or of
/// the only one.
const TURN: u64 = 8192;
const ALONE: u64 = 1 << 60;
/// How many looks in vain go between two questions whether the senders are alive, for
/// those who never sleep.
const LOOKS: u32 = 4096;

/// How to create a queue; see [`Receiver::options`].
#[derive(Clone, Debug)]
pub struct QueueOptions {
    capacity: u64,
    max_message: Option<u64>,
    senders: usize,
    access: Access,
    prefault: bool,
    layout: Option<Layout>,
}

impl QueueOptions {
    /// How many bytes of messages each sender can be ahead of the receiver (256 KiB).
    /// A message takes 8 bytes more than its own, up to 64 rounded up to a power of two and
    /// beyond that to a multiple of 8. The capacity is rounded up to a power of two and to
    /// four of the longest messages.
    ///
    /// Streams are fastest where a lane is several times as large as the processor's own
    /// cache (4 MiB do): what its writer is ahead then lies in the cache that both share.
    /// The time for a single message does not depend on it.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> QueueOptions {
        self.capacity = bytes;
        self
    }

    /// The longest message in bytes (what fits: a quarter of the capacity less 8).
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> QueueOptions {
        self.max_message = Some(bytes);
        self
    }

    /// How many senders there can be at a time, 1 to 63 (16). Each has memory of its own.
    #[must_use]
    pub fn senders(mut self, senders: usize) -> QueueOptions {
        self.senders = senders;
        self
    }

    /// Who may send: [`Access::SameUser`] or [`Access::Sddl`]. The other presets let
    /// others see that the queue is there, and not send.
    #[must_use]
    pub fn access(mut self, access: Access) -> QueueOptions {
        self.access = access;
        self
    }

    /// Touches all memory now, so that no message has to.
    #[must_use]
    pub fn prefault(mut self, on: bool) -> QueueOptions {
        self.prefault = on;
        self
    }

    /// What every message is made of, which is told to those who open the queue. For who
    /// learns it when the program runs; others use [`typed::Receiver`](crate::typed::Receiver). It sets the longest
    /// message too.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> QueueOptions {
        self.max_message = Some(layout.size as u64);
        self.layout = Some(layout);
        self
    }

    /// Creates the queue.
    ///
    /// # Errors
    ///
    /// As [`Receiver::create`]; [`ErrorKind::InvalidArgument`] for
    /// measures or a layout that cannot be.
    pub fn create<N>(&self, name: N) -> Result<Receiver>
    where
        N: TryInto<Name>,
        Error: From<N::Error>,
    {
        Receiver::make(self, &name.try_into()?)
    }
}

/// The receiving end of a queue, which owns its name.
///
/// Every message that a [`Sender`](crate::Sender) has sent reaches it once, in each sender's order.
/// Nothing is lost: a sender that finds its lane full waits, or is told. Each sender has
/// a lane of its own, so that senders do not slow each other down and a dead one is in
/// nobody's way: what it has sent is received, and what it was about to send is not.
///
/// ```
/// # let name = format!("Local\\shmkit-doc-queue-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Receiver, Sender};
///
/// // One program.
/// let mut orders = Receiver::create(name)?;
///
/// // Another one.
/// let mut sender = Sender::open(name)?;
/// sender.send(b"17 pieces").unwrap();
///
/// // The first again.
/// assert_eq!(orders.recv().unwrap(), b"17 pieces");
/// # Ok::<(), shmkit::Error>(())
/// ```
///
/// A message is copied out of shared memory before it is handed out, into memory of the
/// receiver that the next call uses again.
#[derive(Debug)]
pub struct Receiver {
    // Declared before the segment, and so dropped before it is closed.
    lanes: Vec<Lane>,
    /// Bit i: lane i is looked at.
    active: u64,
    /// The lane whose turn it is.
    turn: usize,
    members: u32,
    idle: u32,
    pace: Pace,
    /// Somebody was there, and how the last of them went.
    had_senders: bool,
    last: Departure,
    buffer: Box<[u8]>,
    segment: Owned,
}

#[derive(Debug)]
struct Lane {
    reader: GatedReader<Window<Round>, WindowMut<Cursor>>,
    /// The word of whoever sends here, or 0.
    tenant: u64,
    process: Option<Process>,
}

impl Receiver {
    /// Creates a queue for the programs of this user.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] where the name is held, with the
    /// process that owns it; [`ErrorKind::InvalidName`] where it leaves no room for the
    /// names of what stands beside it, 26 characters longer; otherwise as
    /// [`Section::create_new`](crate::Section::create_new).
    pub fn create<N>(name: N) -> Result<Receiver>
    where
        N: TryInto<Name>,
        Error: From<N::Error>,
    {
        Receiver::options().create(name)
    }

    /// Other ways to create one.
    #[must_use]
    pub fn options() -> QueueOptions {
        QueueOptions {
            capacity: 256 << 10,
            max_message: None,
            senders: 16,
            access: Access::SameUser,
            prefault: false,
            layout: None,
        }
    }

    fn make(options: &QueueOptions, name: &Name) -> Result<Receiver> {
        let senders = options.senders.clamp(1, SLOTS);
        if senders != options.senders {
            let kind = ErrorKind::InvalidArgument;
            let meaning = format!("there can be 1 to {SLOTS} senders");
            return Err(Error::new(kind, Operation::Create, name, meaning));
        }
        let shape = Measures::shape_for(options.capacity, options.max_message, name.as_str())?;
        let measures = Measures {
            kind: control::kind::QUEUE,
            lanes: senders,
            shape,
            delivery: delivery::LOSSLESS,
            grid: None,
        };
        let segment = Owned::create(name, measures, &options.access)?;
        let lanes = (0..senders).map(|lane| {
            let mapped = segment.lane(lane, options.prefault)?;
            Ok(Lane {
                reader: GatedReader::new(mapped.ring, segment.cursor(lane), shape),
                tenant: 0,
                process: None,
            })
        });
        let lanes = lanes.collect::<Result<Vec<Lane>>>()?;
        segment.publish(options.layout.as_ref())?;
        Ok(Receiver {
            lanes,
            active: 0,
            turn: 0,
            members: 0,
            idle: 0,
            pace: Pace::default(),
            had_senders: false,
            last: Departure::Closed,
            buffer: vec![0; shape.max()].into_boxed_slice(),
            segment,
        })
    }

    /// The name it was created by.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.segment.name()
    }

    /// The longest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.segment.measures.shape.max()
    }

    /// The next message, if there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`]; otherwise as [`recv`](Receiver::recv). Who never waits learns of
    /// a sender's death after 4096 looks in vain at the latest.
    #[inline]
    pub fn try_recv(&mut self) -> std::result::Result<&[u8], RecvError> {
        match self.look() {
            Step::Message(len) => Ok(&self.buffer[..len]),
            other => Err(self.no_message(other).unwrap_or(RecvError::Empty)),
        }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`RecvError::Disconnected`] when the last sender has gone and everything was
    /// received; that is told once, and the next call waits for the next sender.
    /// [`RecvError::Corrupt`] where a sender wrote what is no message.
    #[inline]
    pub fn recv(&mut self) -> std::result::Result<&[u8], RecvError> {
        match self.glance() {
            Some(len) => Ok(&self.buffer[..len]),
            None => self.wait_until(None),
        }
    }

    /// Waits for the next message, at most this long.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`]; otherwise as [`recv`](Receiver::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> std::result::Result<&[u8], RecvError> {
        match self.glance() {
            Some(len) => Ok(&self.buffer[..len]),
            None => self.wait_until(deadline(Some(timeout))),
        }
    }

    fn wait_until(&mut self, until: Option<Instant>) -> std::result::Result<&[u8], RecvError> {
        let len = wait::receive(self, until)?;
        Ok(&self.buffer[..len])
    }

    /// Waits for the next message, and leaves it in shared memory as long as it is used.
    ///
    /// For long messages, which need not be copied as a whole; the sender has to go without
    /// that room meanwhile. Short ones are received faster by [`recv`](Receiver::recv).
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-in-place-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Receiver, Sender};
    /// use std::io::{Read, Write};
    ///
    /// let mut images = Receiver::options().capacity(16 << 20).create(name)?;
    /// let mut sender = Sender::open(name)?;
    ///
    /// let mut image = sender.claim(1 << 20)?;
    /// image.write_all(&[7; 1 << 20])?;
    /// image.commit()?;
    ///
    /// let mut image = images.recv_in_place()?;
    /// let mut pixels = [0; 4096];
    /// image.read_exact(&mut pixels)?;
    /// assert_eq!((image.len(), pixels), (1 << 20, [7; 4096]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv).
    #[inline]
    pub fn recv_in_place(&mut self) -> std::result::Result<InPlace<'_, Receiver>, RecvError> {
        let len = match self.find_quickly() {
            Some(len) => len,
            None => wait::receive(&mut Finder(self), None)?,
        };
        Ok(InPlace::new(self, len))
    }

    /// The next message where it stands, if there is one.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv).
    #[inline]
    pub fn try_recv_in_place(&mut self) -> std::result::Result<InPlace<'_, Receiver>, RecvError> {
        match Finder(self).look() {
            Step::Message(len) => Ok(InPlace::new(self, len)),
            other => Err(self.no_message(other).unwrap_or(RecvError::Empty)),
        }
    }

    /// Hands out every message that is there now, without waiting, and says how many they
    /// were.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv), but that it is empty is none.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> std::result::Result<usize, RecvError> {
        let mut count = 0;
        loop {
            match self.look() {
                Step::Message(len) => each(&self.buffer[..len]),
                // That the last sender has gone is told next time.
                Step::Nothing if count > 0 => return Ok(count),
                other => return self.no_message(other).map_or(Ok(count), Err),
            }
            count += 1;
        }
    }

    /// The next message, of any length, where it is as most are: behind the last one. It stays
    /// there.
    #[inline]
    fn find_quickly(&mut self) -> Option<usize> {
        if self.segment.roster().members() != self.members {
            return None;
        }
        self.lanes[self.turn].reader.find_quickly()
    }

    /// Looks at a lane for a message, which stays where it is.
    fn look_at(&mut self, lane: usize) -> Step {
        let end = &mut self.lanes[lane];
        let step = end.reader.find();
        if end.reader.has_freed() {
            self.segment.seat.wake(1 << lane);
        }
        match step {
            Step::Message(_) => end.reader.begin_turn(match self.active.is_power_of_two() {
                true => ALONE,
                false => TURN,
            }),
            Step::Nothing => {
                if end.tenant == 0 {
                    // Everything that was ever sent here was received.
                    self.active &= !(1 << lane);
                }
            }
            Step::Corrupt | Step::Lagged(_) | Step::Overtaken => {
                self.active &= !(1 << lane);
                return Step::Corrupt;
            }
        }
        step
    }

    /// Finds the next message, which stays where it is: looks at each lane once, beginning
    /// behind the one whose turn it was.
    fn find(&mut self) -> Step {
        if self.segment.roster().members() != self.members {
            self.look_who_is_there();
        }
        let mut left = self.active;
        let mut lane = self.turn;
        while left != 0 {
            let ahead = left & u64::MAX << lane << 1;
            lane = if ahead == 0 { left } else { ahead }.trailing_zeros() as usize;
            left &= !(1 << lane);
            match self.look_at(lane) {
                Step::Nothing => {}
                Step::Message(len) => {
                    self.turn = lane;
                    return Step::Message(len);
                }
                step => return step,
            }
        }
        self.idle = self.idle.wrapping_add(1);
        if self.idle.is_multiple_of(LOOKS) {
            self.look_who_is_alive();
        }
        Step::Nothing
    }

    /// After somebody joined or left.
    #[cold]
    fn look_who_is_there(&mut self) {
        let members = self.segment.roster().members();
        // Somebody may have come, sent and gone since the last look. That one has gone is no
        // sign of it: who was seen to leave before it was counted was told of already.
        self.had_senders |= has_joined(self.members, members);
        self.members = members;
        // The deaths before it, which are told by nobody.
        self.look_who_is_alive();
        self.last = Departure::Closed;
        for (slot, lane) in self.lanes.iter_mut().enumerate() {
            let who = match self.segment.roster().state(slot) {
                roster::state::ACTIVE => self.segment.roster().who(slot),
                _ => 0,
            };
            if who == lane.tenant {
                continue;
            }
            lane.tenant = who;
            lane.process = None;
            self.had_senders |= who != 0;
        }
        self.active = u64::MAX >> (u64::BITS as usize - self.lanes.len());
    }

    /// Frees the slots of the dead. What they sent stays to be received.
    #[cold]
    fn look_who_is_alive(&mut self) {
        for (slot, lane) in self.lanes.iter_mut().enumerate() {
            if lane.tenant == 0 {
                continue;
            }
            if lane.process.is_none() {
                match watch(lane.tenant) {
                    Ok(Some(process)) => lane.process = Some(process),
                    Ok(None) => {}
                    // It cannot be told, and so is taken for alive.
                    Err(_) => continue,
                }
            }
            let alive = lane
                .process
                .as_ref()
                .is_some_and(|p| !matches!(p.has_ended(), Ok(true)));
            if !alive {
                if self.segment.roster().evict(slot, lane.tenant) {
                    self.last = Departure::Died;
                    self.members = self.members.wrapping_add(LEFT);
                } else {
                    // It had left in good order, and ended right after.
                    self.last = Departure::Closed;
                }
                lane.tenant = 0;
                lane.process = None;
            }
        }
    }

    /// Whether all have gone and nothing is left of them; told once.
    #[inline]
    fn deserted(&mut self) -> Option<Departure> {
        if self.active != 0 || !self.had_senders {
            return None;
        }
        self.had_senders = false;
        Some(self.last)
    }
}

impl Inbox for Receiver {
    /// A short one, behind the last one.
    #[inline(always)]
    fn glance(&mut self) -> Option<usize> {
        if self.segment.roster().members() != self.members {
            return None;
        }
        let lane = &mut self.lanes[self.turn];
        lane.reader.receive_quickly(&mut self.buffer)
    }

    fn poll(&mut self) -> Step {
        let step = self.find();
        if let Step::Message(len) = step {
            let reader = &self.lanes[self.turn].reader;
            reader.copy(0, &mut self.buffer[..len]);
            self.pass();
        }
        step
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    /// What there is to be told where there is no message.
    #[inline]
    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        match step {
            Step::Corrupt => Some(RecvError::Corrupt),
            _ => self.deserted().map(RecvError::Disconnected),
        }
    }

    #[cold]
    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        self.look_who_is_alive();
        let Receiver {
            lanes,
            active,
            members,
            segment,
            ..
        } = self;
        let peers: Vec<&Process> = lanes.iter().filter_map(|l| l.process.as_ref()).collect();
        let roster = segment.roster().clone();
        let ready = || {
            let active = |lane: &usize| *active & 1 << lane != 0;
            roster.members() != *members
                || (0..lanes.len())
                    .filter(active)
                    .any(|lane| lanes[lane].tenant == 0 || !lanes[lane].reader.is_empty())
        };
        if segment.seat.park(ready, &peers, until)? {
            self.look_who_is_alive();
        }
        Ok(())
    }
}

/// The message that was found last is in the lane whose turn it is.
impl Holds for Receiver {
    fn copy(&self, at: usize, to: &mut [u8]) {
        self.lanes[self.turn].reader.copy(at, to);
    }

    fn bytes(&self) -> *const u8 {
        self.lanes[self.turn].reader.bytes()
    }

    #[inline]
    fn pass(&mut self) {
        let reader = &mut self.lanes[self.turn].reader;
        reader.pass();
        if reader.has_freed() {
            self.segment.seat.wake(1 << self.turn);
        }
    }
}

/// A receiver that finds messages and leaves them where they are.
struct Finder<'a>(&'a mut Receiver);

impl Inbox for Finder<'_> {
    #[inline]
    fn glance(&mut self) -> Option<usize> {
        self.0.find_quickly()
    }

    fn poll(&mut self) -> Step {
        self.0.find()
    }

    fn pace(&mut self) -> &mut Pace {
        self.0.pace()
    }

    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        self.0.no_message(step)
    }

    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        self.0.sleep(until)
    }
}
