//! The receiver of a queue: many senders, one receiver, and no message is lost.

use super::message_ref::MessageRef;
use super::receiving::Receiving;
use crate::error::channel::RecvError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::{Described, Layout};
use crate::format::layout::SLOTS;
use crate::format::payload::{self, Payload};
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::segment::Geometry;
use crate::segment::options::{Create, CreateOptions};
use crate::wait::source::{AsWait, Wait, Waitable};
use crate::wait::spin::{Deadline, Inbox};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// How to create a queue; see [`Receiver::options`].
pub type QueueOptions<M = [u8]> = CreateOptions<Receiver<M>>;

/// What only a queue lets a program choose.
#[derive(Clone, Debug)]
pub struct QueueChoices {
    senders: usize,
}

impl<M: Payload + ?Sized> CreateOptions<Receiver<M>> {
    /// How many senders there can be, and the ring of each.
    fn sizes(&self, name: &Name) -> Result<(usize, RingGeometry)> {
        if !(1..=SLOTS).contains(&self.choices.senders) {
            let kind = ErrorKind::InvalidArgument;
            let meaning = format!("there can be 1 to {SLOTS} senders");
            return Err(Error::new(kind, Operation::Create, name, meaning));
        }
        let (common, subject) = (&self.common, name.as_str());
        let longest = Geometry::longest(common.max_message, &common.layouts, subject)?;
        let ring = Geometry::ring(common.capacity, longest, subject)?;
        Ok((self.choices.senders, ring))
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
    pub fn capacity(mut self, bytes: u64) -> QueueOptions<M> {
        self.common.capacity = bytes;
        self
    }

    /// The longest message in bytes (what fits: a quarter of the capacity less 8). With a
    /// [layout](QueueOptions::layout) it is the size of the layout, and a shorter `max_message` is refused.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> QueueOptions<M> {
        self.common.max_message = Some(bytes);
        self
    }

    /// How many senders there can be at a time, 1 to 63 (16). Each has memory of its own, of the
    /// [`capacity`](QueueOptions::capacity), which the receiver allocates when it is created.
    #[must_use]
    pub fn senders(mut self, senders: usize) -> QueueOptions<M> {
        self.choices.senders = senders;
        self
    }
}

impl QueueOptions {
    /// Tells the layout of each message to the programs that open the queue. It is for programs that
    /// learn the layout when they run; others use [`typed`](QueueOptions::typed). It sets the longest
    /// message too; a shorter [`max_message`](QueueOptions::max_message) is refused.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> QueueOptions {
        self.common.layouts = vec![layout];
        self
    }

    /// Makes each message a value of this type.
    #[must_use]
    pub fn typed<T: Described>(self) -> QueueOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> Create for Receiver<M> {
    type Choices = QueueChoices;

    fn create_with(options: &QueueOptions<M>, name: &Name) -> Result<Receiver<M>> {
        Ok(Receiver {
            core: Receiving::create(&options.common, options.sizes(name)?, name)?,
            messages: PhantomData,
        })
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
pub struct Receiver<M: Payload + ?Sized = [u8]> {
    pub(crate) core: Receiving,
    messages: PhantomData<fn(&M)>,
}

impl Receiver {
    /// Creates a queue of bytes for the programs of this user.
    ///
    /// # Errors
    ///
    /// The errors of [`QueueOptions::create`](CreateOptions::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Receiver> {
        Receiver::options().create(name)
    }

    /// Returns the options to create a queue with.
    #[must_use]
    pub fn options() -> QueueOptions {
        CreateOptions::new(256 << 10, QueueChoices { senders: 16 })
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
    pub fn recv_ref(&mut self) -> std::result::Result<MessageRef<'_>, RecvError> {
        let len = self.core.find_next(Deadline::Never)?;
        Ok(MessageRef::new(&mut self.core, len))
    }

    /// The next message where it stands, if there is one.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv).
    #[inline]
    pub fn try_recv_ref(&mut self) -> std::result::Result<MessageRef<'_>, RecvError> {
        let len = self.core.find_next(Deadline::Now)?;
        Ok(MessageRef::new(&mut self.core, len))
    }
}

impl<M: Payload + ?Sized> Receiver<M> {
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
    pub fn resize(&mut self, options: &QueueOptions<M>) -> Result<()> {
        let sizes = options.sizes(self.name())?;
        self.core.resize(&options.common, sizes)
    }

    /// The number of the queue's generation: another one after each restart, and
    /// [`resize`](Receiver::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.segment.generation
    }

    /// The name it was created by.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.core.segment.name()
    }

    /// The longest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.segment.geometry.max()
    }

    /// Receives the next message if there is one, without waiting.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`] where there is no message; otherwise the errors of
    /// [`recv`](Receiver::recv). A receiver that never waits learns of the death of a sender after
    /// 4096 calls without a message at the latest.
    #[inline]
    pub fn try_recv(&mut self) -> std::result::Result<M::Received<'_>, RecvError> {
        let len = self.core.receive(Deadline::Now)?;
        M::received(self.core.received(len)).ok_or(RecvError::Corrupt)
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`RecvError::Disconnected`] when the last sender has closed or died and every message was
    /// received; that is told once, and the next call waits for the next sender.
    /// [`RecvError::Corrupt`] where a sender wrote no valid message, or an untyped sender sent a
    /// message of another length than the type has; the next call goes on behind it.
    #[inline]
    pub fn recv(&mut self) -> std::result::Result<M::Received<'_>, RecvError> {
        let len = self.core.receive(Deadline::Never)?;
        M::received(self.core.received(len)).ok_or(RecvError::Corrupt)
    }

    /// Waits for the next message, at most this long.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`] where no message came in time; otherwise the errors of
    /// [`recv`](Receiver::recv).
    pub fn recv_timeout(
        &mut self,
        timeout: Duration,
    ) -> std::result::Result<M::Received<'_>, RecvError> {
        let len = self.core.receive_within(timeout)?;
        M::received(self.core.received(len)).ok_or(RecvError::Corrupt)
    }

    /// Receives every message that is there now, without waiting, and returns how many they were.
    ///
    /// # Errors
    ///
    /// The errors of [`try_recv`](Receiver::try_recv), except that an empty queue is none. Where a
    /// message has another length than the type, all other messages are received nevertheless.
    pub fn drain(
        &mut self,
        each: impl FnMut(M::Received<'_>),
    ) -> std::result::Result<usize, RecvError> {
        payload::drain::<M>(each, |each| self.core.drain(each))
    }

    /// Returns the same receiver for messages of bytes. The programs that open the queue are told the
    /// type still.
    #[must_use]
    pub fn into_untyped(self) -> Receiver {
        Receiver {
            core: self.core,
            messages: PhantomData,
        }
    }
}

impl<M: Payload + ?Sized> fmt::Debug for Receiver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl<M: Payload + ?Sized> Waitable for Receiver<M> {}

impl<M: Payload + ?Sized> AsWait for Receiver<M> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        &mut self.core
    }
}
