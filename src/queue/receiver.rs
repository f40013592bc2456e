//! The receiving end of a queue: many senders, one receiver, and nothing lost.

use crate::access::Access;
use crate::error::channel::RecvError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::Layout;
use crate::format::layout::{SLOTS, control, delivery};
use crate::lane::Step;
use crate::lane::claim::{Holds, MessageRef};
use crate::name::Name;
use crate::os::{LOOK_BACK, deadline_after};
use crate::segment::fan_in::{FanIn, in_order};
use crate::segment::participant::Participant;
use crate::segment::{Geometry, Owned};
use crate::wait::source::{Signals, Wait, Waitable};
use crate::wait::spin::{self, Inbox, Pace};
use std::time::{Duration, Instant};

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
    fn geometry(&self, name: &Name) -> Result<Geometry> {
        if !(1..=SLOTS).contains(&self.senders) {
            let kind = ErrorKind::InvalidArgument;
            let meaning = format!("there can be 1 to {SLOTS} senders");
            return Err(Error::new(kind, Operation::Create, name, meaning));
        }
        let layouts = self.layout.as_slice();
        let longest = Geometry::longest(self.max_message, layouts, name.as_str())?;
        Ok(Geometry {
            kind: control::kind::QUEUE,
            lanes: self.senders,
            ring_geometry: Geometry::ring_geometry_for(self.capacity, longest, name.as_str())?,
            delivery: delivery::LOSSLESS,
            in_flight: 0,
            table_geometry: None,
        })
    }

    /// How many bytes of messages each sender can be ahead of the receiver (256 KiB).
    /// A message takes 8 bytes more than its own, up to 64 rounded up to a power of two and
    /// beyond that to a multiple of 8. The capacity is rounded up to a power of two and to
    /// four of the longest messages.
    ///
    /// A quarter of a power of two has no room for a message of as many bytes, which needs 8 more:
    /// for long ones say [`max_message`](QueueOptions::max_message) instead.
    ///
    /// Streams are fastest where a lane is several times as large as the processor's own
    /// cache (4 MiB do): what its writer is ahead then lies in the cache that both share.
    /// The time for a single message does not depend on it.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> QueueOptions {
        self.capacity = bytes;
        self
    }

    /// The longest message in bytes (what fits: a quarter of the capacity less 8). With a
    /// [layout](QueueOptions::layout) it is the size of the layout, and a shorter `max_message` is refused.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> QueueOptions {
        self.max_message = Some(bytes);
        self
    }

    /// How many senders there can be at a time, 1 to 63 (16). Each has memory of its own, of the
    /// [`capacity`](QueueOptions::capacity), which the receiver allocates when it is created.
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
    /// message too; a shorter [`max_message`](QueueOptions::max_message) is refused.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> QueueOptions {
        self.layout = Some(layout);
        self
    }

    /// Creates the queue.
    ///
    /// # Errors
    ///
    /// As [`Receiver::create`]; [`ErrorKind::InvalidArgument`] for
    /// measures or a layout that cannot be.
    pub fn create(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Receiver> {
        Receiver::make(self, &Name::checked(name)?)
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
    fan_in: FanIn,
    /// Earlier generations with something left in them, the oldest first.
    older: Vec<(FanIn, Owned)>,
    /// Of those, the one in which the last message was found.
    from: Option<usize>,
    pace: Pace,
    buffer: Box<[u8]>,
    // Declared last, and so let go last: it has the name.
    segment: Owned,
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
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Receiver> {
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
        let geometry = options.geometry(name)?;
        let (mut segment, participant) =
            Owned::create(name, geometry, &options.access, options.layout.as_slice())?;
        let fan_in = FanIn::new(&segment, participant, options.prefault)?;
        let mut older = segment.older()?;
        segment.publish(&mut older);
        let mut receiver = Receiver {
            fan_in,
            older: Vec::new(),
            from: None,
            pace: Pace::default(),
            buffer: Box::default(),
            segment,
        };
        receiver.inherit(older)?;
        Ok(receiver)
    }

    /// Goes on with other measures, all of them new, while senders are there: they come over by
    /// themselves, and what they have sent before is received first. Rights and name stay as
    /// they are. As long as one of them sends nothing, and so does not come over, receiving takes
    /// somewhat longer.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-resize-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Receiver, Sender};
    ///
    /// let mut receiver = Receiver::options().max_message(100).create(name)?;
    /// let mut sender = Sender::open(name)?;
    /// sender.send(b"short")?;
    ///
    /// receiver.resize(&Receiver::options().max_message(1 << 20))?;
    /// sender.send(&[7; 1 << 20])?;
    /// assert_eq!(receiver.recv()?, b"short");
    /// assert_eq!(receiver.recv()?, [7; 1 << 20]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`QueueOptions::create`]; everything is as before then.
    pub fn resize(&mut self, options: &QueueOptions) -> Result<()> {
        self.fan_in.check_call()?;
        let geometry = options.geometry(self.segment.name())?;
        let (mut segment, participant) = self.segment.next(geometry, options.layout.as_slice())?;
        let fan_in = FanIn::new(&segment, participant, options.prefault)?;
        segment.follow(&mut self.segment);
        let mut fan_in = std::mem::replace(&mut self.fan_in, fan_in);
        self.fan_in.stay(&mut fan_in);
        let segment = std::mem::replace(&mut self.segment, segment);
        self.older.push((fan_in, segment));
        self.make_room();
        Ok(())
    }

    /// Has what is left in the generations of dead owners received first.
    // layout: L160
    fn inherit(&mut self, older: Vec<(Owned, Participant)>) -> Result<()> {
        for (segment, participant) in older {
            let is_queue = segment.geometry.kind == control::kind::QUEUE;
            // What is of another type is nothing to us.
            if is_queue && segment.has_type_of(&self.segment) {
                self.older
                    .push((FanIn::inherit(&segment, participant)?, segment));
            }
        }
        self.make_room();
        Ok(())
    }

    /// For the longest message of all generations.
    fn make_room(&mut self) {
        let older = self.older.iter().map(|(_, segment)| segment);
        let longest = older
            .chain([&self.segment])
            .map(|s| s.geometry.ring_geometry.max());
        self.buffer = vec![0; longest.max().unwrap_or_default()].into_boxed_slice();
        self.from = None;
    }

    /// The number of the queue's generation: another one after each restart, and
    /// [`resize`](Receiver::resize).
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
        self.segment.geometry.ring_geometry.max()
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
            Step::Message(len) => Ok(self.received(len)),
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
            Some(len) => Ok(self.received(len)),
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
    /// let mut image = images.recv_ref()?;
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
    pub fn recv_ref(&mut self) -> std::result::Result<MessageRef<'_, Receiver>, RecvError> {
        let len = match self.find_quickly() {
            Some(len) => len,
            None => spin::receive(&mut Finder(self), None)?,
        };
        Ok(MessageRef::new(self, len))
    }

    /// The next message where it stands, if there is one.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv).
    #[inline]
    pub fn try_recv_ref(&mut self) -> std::result::Result<MessageRef<'_, Receiver>, RecvError> {
        match Finder(self).look() {
            Step::Message(len) => Ok(MessageRef::new(self, len)),
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
}

impl Drop for Receiver {
    // layout: L165
    fn drop(&mut self) {
        self.segment.close();
    }
}

impl Receiver {
    /// Where the last message was found.
    fn source(&self) -> &FanIn {
        match self.from {
            Some(n) => &self.older[n].0,
            None => &self.fan_in,
        }
    }

    fn source_mut(&mut self) -> &mut FanIn {
        match self.from {
            Some(n) => &mut self.older[n].0,
            None => &mut self.fan_in,
        }
    }

    /// Finds the next message, which stays where it is.
    fn find(&mut self) -> Step {
        self.from = None;
        match self.older.is_empty() {
            true => self.fan_in.find(),
            false => self.find_in_all(),
        }
    }

    // layout: L161
    #[cold]
    fn find_in_all(&mut self) -> Step {
        in_order(self, Receiver::find_in_older, |receiver| {
            receiver.fan_in.find()
        })
    }

    fn find_in_older(&mut self) -> Option<Step> {
        let mut n = 0;
        while n < self.older.len() {
            let fan_in = &mut self.older[n].0;
            match fan_in.find() {
                Step::Nothing if fan_in.is_done() => {
                    let (fan_in, _) = self.older.remove(n);
                    self.fan_in.learn_of_senders_in(&fan_in);
                }
                Step::Nothing => n += 1,
                step => {
                    self.from = Some(n);
                    return Some(step);
                }
            }
        }
        None
    }

    /// Finds the next message, where it is one as most are.
    #[inline(always)]
    fn find_quickly(&mut self) -> Option<usize> {
        match self.older.is_empty() {
            true => self.fan_in.find_quickly(),
            // A sender's messages there come before those here.
            false => None,
        }
    }
}

impl Inbox for Receiver {
    /// A short one, behind the last one.
    #[inline(always)]
    fn glance(&mut self) -> Option<usize> {
        match self.older.is_empty() {
            true => self.fan_in.receive_quickly(&mut self.buffer),
            // A sender's messages there come before those here.
            false => None,
        }
    }

    fn poll(&mut self) -> Step {
        let step = self.find();
        if let Step::Message(len) = step {
            let source = match self.from {
                Some(n) => &mut self.older[n].0,
                None => &mut self.fan_in,
            };
            source.copy(0, &mut self.buffer[..len]);
            source.pass();
        }
        step
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    /// What there is to be told where there is no message.
    #[inline]
    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        if let Err(fault) = self.fan_in.check() {
            return Some(fault.into());
        }
        match step {
            Step::Corrupt => Some(RecvError::Corrupt),
            _ if !self.older.is_empty() => None,
            _ => self.fan_in.deserted().map(RecvError::Disconnected),
        }
    }

    #[cold]
    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        let mut older: Vec<&mut FanIn> = self.older.iter_mut().map(|(fan_in, _)| fan_in).collect();
        self.fan_in.sleep(&mut older, until)
    }
}

impl Waitable for Receiver {}

impl Wait for Receiver {
    fn has_news(&mut self) -> bool {
        self.fan_in.has_news()
            || self.older.iter_mut().any(|(fan_in, _)| fan_in.has_news())
            || self.older.is_empty() && self.fan_in.is_deserted()
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        for (fan_in, _) in &mut self.older {
            fan_in.watch_peers(signals);
            // Who leaves there rings for the owner that it knows.
            signals.look_again_in(LOOK_BACK);
        }
        self.fan_in.register(signals)
    }

    fn deregister(&mut self) {
        self.fan_in.deregister();
    }

    fn woken(&mut self) -> Result<bool> {
        self.fan_in.look_for_deaths();
        let older = self.older.iter_mut();
        older.for_each(|(fan_in, _)| fan_in.look_for_deaths());
        Ok(self.has_news())
    }
}

impl Holds for Receiver {
    fn copy(&self, at: usize, to: &mut [u8]) {
        self.source().copy(at, to);
    }

    fn bytes(&self) -> *const u8 {
        self.source().bytes()
    }

    #[inline]
    fn pass(&mut self) {
        // A child that was forked takes nothing from its parent.
        if !self.fan_in.is_forked() {
            self.source_mut().pass();
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
