//! The receiver of a queue, and the options to create a queue.

use super::message_ref::MessageRef;
use super::receiving::Receiving;
use crate::error::channel::RecvError;
use crate::error::{Error, Result};
use crate::format::describe::{Described, Layout};
use crate::format::layout::DEFAULT_SLOTS;
use crate::format::payload::{self, Payload};
use crate::lane::in_place::Source;
use crate::lane::ring::RingGeometry;
use crate::lane::stamp::time_of;
use crate::name::Name;
use crate::segment::Geometry;
use crate::segment::open_or_create::Wanted;
use crate::segment::options::{Create, CreateOptions};
use crate::segment::ring_size::RingSize;
use crate::wait::iter::messages;
use crate::wait::source::{AsWait, Wait, Waitable};
use crate::wait::spin::{Deadline, Inbox};
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

/// Options to create a queue; see [`Receiver::options`].
pub type QueueOptions<M = [u8]> = CreateOptions<Receiver<M>>;

/// The capacity of a sender's lane, unless the creator sets another one.
const CAPACITY: u64 = 256 << 10;

/// Options that only a queue has.
#[derive(Clone, Debug)]
pub struct QueueChoices {
    senders: usize,
}

impl<M: Payload + ?Sized> CreateOptions<Receiver<M>> {
    /// Returns how many senders there can be, and the geometry of their rings.
    fn sizes(&self, name: &Name) -> Result<(usize, RingGeometry)> {
        let (common, subject) = (&self.common, name.as_str());
        Geometry::check_slots(self.choices.senders, "senders", subject)?;
        let longest = Geometry::longest(common.max_message, &common.layouts, subject)?;
        let size = RingSize {
            capacity: common.capacity.unwrap_or(CAPACITY),
            longest,
            keep: None,
            is_stamped: common.is_stamped,
        };
        Ok((self.choices.senders, size.ring(subject)?))
    }

    /// Sets the capacity of each sender's lane in bytes (default: 256 KiB). A sender can be ahead
    /// of the receiver by this many bytes of messages.
    ///
    /// Each message takes 8 bytes more than its own length. Up to 64 bytes, that sum is rounded up
    /// to a power of two; a larger sum is rounded up to a multiple of 8. The capacity is rounded up
    /// to a power of two, and to space for four of the longest messages. If
    /// [`max_message`](QueueOptions::max_message) sets 64 KiB or more, the capacity is rounded up to
    /// a multiple of 64 bytes only. Short messages are then sent somewhat more slowly, unless the
    /// capacity is a power of two.
    ///
    /// A message must fit into a quarter of the capacity, together with its 8 bytes. So a capacity
    /// of 4 MiB has no space for a message of 1 MiB. For long messages, set
    /// [`max_message`](QueueOptions::max_message) instead of the capacity.
    ///
    /// Streams are fastest if a lane is several times as large as the processor's own cache (4 MiB
    /// are enough). The messages that the sender is ahead then lie in the cache that both
    /// processors share. The time for a single message does not depend on the capacity.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> QueueOptions<M> {
        self.common.capacity = Some(bytes);
        self
    }

    /// Sets the length of the longest message in bytes (default: a quarter of the capacity, less
    /// 8). With a [layout](QueueOptions::layout), the longest message has the size of the layout,
    /// and a shorter `max_message` is refused.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> QueueOptions<M> {
        self.common.max_message = Some(bytes);
        self
    }

    /// Sets whether each message has the time at which it was sent (default: off). It takes 8 bytes
    /// more then; see [`Receiver::sent_at`](crate::Receiver::sent_at).
    ///
    /// The time is that of the system's clock, which a user may set at any moment, also backwards.
    /// It is taken when the message is sent: for a [claim](crate::Sender::claim) when it is committed,
    /// and for a batch when the message is added.
    #[must_use]
    pub fn timestamps(mut self, on: bool) -> QueueOptions<M> {
        self.common.is_stamped = on;
        self
    }

    /// Sets how many senders there can be at a time, 1 to 1023 (default: 63). Each sender has a lane
    /// of its own, with the [`capacity`](QueueOptions::capacity). A lane gets its memory when the
    /// first sender opens it: if there is no memory, that call fails with
    /// [`NoSpace`](crate::ErrorKind::NoSpace), and no other endpoint notices.
    #[must_use]
    pub fn senders(mut self, senders: usize) -> QueueOptions<M> {
        self.choices.senders = senders;
        self
    }
}

impl<M: Payload + ?Sized> CreateOptions<Receiver<M>> {
    /// Returns what a process wants that opens or creates the queue with these options.
    pub(super) fn wanted(&self, name: &Name) -> Result<Wanted<'_>> {
        let (senders, ring) = self.sizes(name)?;
        Ok(Wanted {
            geometry: Geometry::Queue { senders, ring },
            common: &self.common,
        })
    }

    /// Creates the queue, or takes a queue that a [sender](crate::Sender::open_or_create) has created
    /// with the same options. The messages that senders have sent meanwhile are received.
    ///
    /// # Errors
    ///
    /// [`WrongOptions`](crate::ErrorKind::WrongOptions) if senders have created the queue with other
    /// options; otherwise the errors of [`create`](CreateOptions::create).
    pub fn open_or_create(
        &self,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<Receiver<M>> {
        let mut options = self.clone();
        options.common = self.common.with_same_options();
        options.create(name)
    }
}

impl QueueOptions {
    /// Sets the layout of each message, which the programs that open the queue can read. This
    /// method is for programs that learn the layout when they run; other programs use
    /// [`typed`](QueueOptions::typed). The layout also sets the longest message; a shorter
    /// [`max_message`](QueueOptions::max_message) is refused.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> QueueOptions {
        self.common.layouts = vec![layout];
        self
    }

    /// Makes each message a value of the type `T`.
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

/// The receiver of a queue, which owns the name of the queue.
///
/// The receiver receives each message of each [`Sender`](crate::Sender) once. It receives the
/// messages of one sender in the order in which they were sent. No message is lost: a sender whose
/// lane is full waits, or gets an error. Each sender has a lane of its own, so senders do not slow
/// each other down. A sender that dies stops no other sender. The messages that it has sent are
/// received; the message that it was about to send is not.
///
/// ```
/// # let name = format!("Local\\shmkit-doc-queue-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Receiver, Sender};
///
/// // One program.
/// let mut orders = Receiver::create(name)?;
///
/// // Another program.
/// let mut sender = Sender::open(name)?;
/// sender.send(b"17 pieces").unwrap();
///
/// // The first program again.
/// assert_eq!(orders.recv().unwrap(), b"17 pieces");
/// # Ok::<(), shmkit::Error>(())
/// ```
///
/// The receiver copies a message out of shared memory before it returns the message. The copy is in
/// a buffer of the receiver, which the next call uses again.
pub struct Receiver<M: Payload + ?Sized = [u8]> {
    pub(crate) core: Receiving,
    messages: PhantomData<fn(&M)>,
}

impl Receiver {
    /// Creates a queue of bytes that the programs of this user can open.
    ///
    /// # Errors
    ///
    /// The errors of [`QueueOptions::create`](CreateOptions::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Receiver> {
        Receiver::options().create(name)
    }

    /// Creates a queue of bytes, or takes a queue that a sender has created; see
    /// [`QueueOptions::open_or_create`].
    ///
    /// # Errors
    ///
    /// The errors of [`QueueOptions::open_or_create`].
    pub fn open_or_create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Receiver> {
        Receiver::options().open_or_create(name)
    }

    /// Returns the options to create a queue.
    #[must_use]
    pub fn options() -> QueueOptions {
        CreateOptions::new(QueueChoices {
            senders: DEFAULT_SLOTS,
        })
    }
}

impl<M: Payload + ?Sized> Receiver<M> {
    /// Creates the next generation of the queue, with other options, while senders are attached.
    /// The senders reattach by themselves, and the receiver first receives the messages that they
    /// sent before. The name and the access rights stay as they are. A sender reattaches when it
    /// sends. Until all senders have reattached, receiving takes somewhat longer.
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
    /// The errors of [`QueueOptions::create`]. After an error the queue is unchanged.
    pub fn resize(&mut self, options: &QueueOptions<M>) -> Result<()> {
        let sizes = options.sizes(self.name())?;
        self.core.resize(&options.common, sizes)
    }

    /// Returns the number of the queue's generation. The number changes with each restart of the
    /// receiver, and with each [`resize`](Receiver::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.segment.generation
    }

    /// Returns the name by which the queue was created.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.core.segment.name()
    }

    /// Returns the length of the longest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.segment.geometry.max()
    }

    /// Returns when the message that was received last was sent, by the system's clock of its sender;
    /// `None` if the queue has no [time stamps](QueueOptions::timestamps), or no message was received.
    /// The time is what the sender has stored.
    ///
    /// The clock can be set at any moment, so a later message may have an earlier time. For a message
    /// in shared memory, use [`MessageRef::sent_at`].
    #[must_use]
    pub fn sent_at(&self) -> Option<SystemTime> {
        self.core.stamp().and_then(time_of)
    }

    /// Receives the next message if there is a message, without waiting.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`] if there is no message; otherwise the errors of
    /// [`recv`](Receiver::recv). A receiver that never waits notices the death of a sender after at
    /// most 4096 calls without a message.
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<M::Received<'_>, RecvError> {
        let len = self.core.receive(Deadline::Now)?;
        payload::received::<M>(self.core.received(len))
    }

    /// Waits for the next message, and returns it.
    ///
    /// # Errors
    ///
    /// - [`RecvError::Disconnected`] when all senders have closed or died and every message was
    ///   received. It is returned once; the next call waits for the next sender.
    /// - [`RecvError::Corrupt`] if a sender wrote an invalid record; the next call continues with
    ///   the other senders. Also if an untyped sender sent a message whose length is not the length
    ///   of the type; the next call continues behind that message.
    /// - [`RecvError::Forked`] in a process that was forked from the process that created the
    ///   receiver.
    /// - [`RecvError::NameLost`] once, if the name of the queue was removed (Linux).
    /// - [`RecvError::System`] if the system refuses to let the call wait.
    #[inline(always)]
    pub fn recv(&mut self) -> Result<M::Received<'_>, RecvError> {
        let len = self.core.receive(Deadline::Never)?;
        payload::received::<M>(self.core.received(len))
    }

    /// Waits for the next message for at most `timeout`, and returns it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`] if no message came in time; otherwise the errors of
    /// [`recv`](Receiver::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<M::Received<'_>, RecvError> {
        let len = self.core.receive_within(timeout)?;
        payload::received::<M>(self.core.received(len))
    }

    /// Waits for the next message, and returns a reference to the message in shared memory.
    ///
    /// This method is for long messages, which need not be copied as a whole. The sender cannot use
    /// the space of the message until the reference is dropped. [`recv`](Receiver::recv) receives
    /// short messages faster. The reference also tells which process has
    /// [sent](MessageRef::sender) the message, and of what a typed receiver receives, it returns the
    /// [value](MessageRef::value).
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
    /// The errors of [`recv`](Receiver::recv).
    #[inline]
    pub fn recv_ref(&mut self) -> Result<MessageRef<'_, M>, RecvError> {
        self.reference(Deadline::Never)
    }

    /// Returns a reference to the next message in shared memory if there is a message, without
    /// waiting.
    ///
    /// # Errors
    ///
    /// The errors of [`try_recv`](Receiver::try_recv).
    #[inline]
    pub fn try_recv_ref(&mut self) -> Result<MessageRef<'_, M>, RecvError> {
        self.reference(Deadline::Now)
    }

    // layout: L042
    #[inline]
    fn reference(&mut self, deadline: Deadline) -> Result<MessageRef<'_, M>, RecvError> {
        let len = self.core.find_next(deadline)?;
        if !M::fits(len) {
            self.core.release();
            return Err(RecvError::Corrupt);
        }
        Ok(MessageRef::new(&mut self.core, len))
    }

    /// Waits for the next message, and returns its number and the message. The message stays in the
    /// queue until it is [released](Receiver::release_to).
    ///
    /// This method is for messages that must not be lost with this receiver: the next receiver of
    /// the queue receives again what was not released. The messages of all senders that this receiver
    /// receives ahead, by any of the three methods, have the numbers 1, 2, 3 and so on.
    ///
    /// If a lane is full of messages that are not released, its sender waits. Any other receiving call
    /// first releases all messages.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-ahead-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Receiver, Sender};
    ///
    /// let mut jobs = Receiver::create(name)?;
    /// let mut sender = Sender::open(name)?;
    /// sender.send(b"first")?;
    /// sender.send(b"second")?;
    ///
    /// let (number, job) = jobs.recv_ahead()?;
    /// assert_eq!((number, job), (1, &b"first"[..]));
    /// jobs.release_to(number);
    /// let (_, job) = jobs.recv_ahead()?;
    /// assert_eq!(job, b"second");
    ///
    /// // The receiver ends before it has released the second job.
    /// drop(jobs);
    /// let mut jobs = Receiver::create(name)?;
    /// assert_eq!(jobs.recv()?, b"second");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`recv`](Receiver::recv).
    pub fn recv_ahead(&mut self) -> Result<(u64, M::Received<'_>), RecvError> {
        self.ahead(Deadline::Never)
    }

    /// Does the same as [`recv_ahead`](Receiver::recv_ahead) if there is a message, without waiting.
    ///
    /// # Errors
    ///
    /// The errors of [`try_recv`](Receiver::try_recv).
    pub fn try_recv_ahead(&mut self) -> Result<(u64, M::Received<'_>), RecvError> {
        self.ahead(Deadline::Now)
    }

    /// Does the same as [`recv_ahead`](Receiver::recv_ahead), and waits at most for `timeout`.
    ///
    /// # Errors
    ///
    /// The errors of [`recv_timeout`](Receiver::recv_timeout).
    pub fn recv_ahead_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<(u64, M::Received<'_>), RecvError> {
        self.ahead(Deadline::within(timeout))
    }

    fn ahead(&mut self, deadline: Deadline) -> Result<(u64, M::Received<'_>), RecvError> {
        let (number, len) = self.core.receive_ahead(deadline)?;
        if M::received(self.core.received(len)).is_none() {
            self.core.skip_last();
            return Err(RecvError::Corrupt);
        }
        let message = payload::received::<M>(self.core.received(len))?;
        Ok((number, message))
    }

    /// Releases the messages that were [received ahead](Receiver::recv_ahead), up to the message
    /// with this number: no receiver receives them again, and their senders can use the space.
    /// The number of a message that was released already changes nothing. The call does not block.
    pub fn release_to(&mut self, number: u64) {
        self.core.release_to(number);
    }

    /// Receives every message that is there now, without waiting. Passes each message to `each`,
    /// and returns the number of messages.
    ///
    /// # Errors
    ///
    /// The errors of [`try_recv`](Receiver::try_recv), except [`RecvError::Empty`]. If a message
    /// has another length than the type, the call first receives all other messages, and then
    /// returns [`RecvError::Corrupt`].
    pub fn drain(&mut self, each: impl FnMut(M::Received<'_>)) -> Result<usize, RecvError> {
        payload::drain::<M>(each, |each| self.core.drain(each))
    }

    /// Returns this receiver as a receiver of bytes. The programs that open the queue still see the
    /// type.
    #[must_use]
    pub fn into_untyped(self) -> Receiver {
        Receiver {
            core: self.core,
            messages: PhantomData,
        }
    }
}

impl<T: Described> Receiver<T> {
    /// Returns an iterator that waits for each value. It ends when all senders have gone. Missed
    /// messages and invalid ones are errors, behind which it continues.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-iter-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Receiver, Sender};
    ///
    /// let mut receiver = Receiver::options().typed::<u64>().create(name)?;
    /// let mut sender = Sender::options().typed::<u64>().open(name)?;
    /// sender.send_all([1, 2, 3])?;
    /// drop(sender);
    ///
    /// let sum = receiver.iter().sum::<Result<u64, _>>()?;
    /// assert_eq!(sum, 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&mut self) -> impl Iterator<Item = Result<T, RecvError>> + '_ {
        messages(|| self.recv())
    }

    /// Returns an iterator over the values that are there now, which does not wait.
    pub fn try_iter(&mut self) -> impl Iterator<Item = Result<T, RecvError>> + '_ {
        messages(|| self.try_recv())
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
