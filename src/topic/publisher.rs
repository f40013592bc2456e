//! The publisher of a topic, and the options to create a topic.

use super::publishing::Publishing;
use crate::error::channel::SendError;
use crate::error::publisher_id::PublisherId;
use crate::error::{Error, Result};
use crate::format::describe::{Described, Layout};
use crate::format::payload::{self, Payload};
use crate::lane::claim::Claim;
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::segment::Geometry;
use crate::segment::open_or_create::Wanted;
use crate::segment::options::{Create, CreateOptions, Open, OpenOptions};
use crate::segment::pattern::Delivery;
use crate::segment::ring_size::{RingSize, refused};
use crate::wait::spin::Deadline;
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Options to create a topic; see [`Publisher::options`].
pub type TopicOptions<M = [u8]> = CreateOptions<Publisher<M>>;

/// Options to open a topic as one of its publishers; see [`Publisher::open_options`].
pub type PublisherOptions<M = [u8]> = OpenOptions<Publisher<M>>;

/// The capacity of a topic, unless the creator sets another one.
const CAPACITY: u64 = 1 << 20;

/// Options that only a topic has.
#[derive(Clone, Debug)]
pub struct TopicChoices {
    delivery: Delivery,
    publishers: usize,
    /// How many messages are kept at least.
    keep: Option<u64>,
}

impl<M: Payload + ?Sized> CreateOptions<Publisher<M>> {
    fn geometry(&self, name: &Name) -> Result<(Geometry, RingGeometry)> {
        let (common, choices, subject) = (&self.common, &self.choices, name.as_str());
        Geometry::check_slots(common.slots, "subscribers with a slot", subject)?;
        Geometry::check_publishers(choices.publishers, common.slots, subject)?;
        let longest = Geometry::longest(common.max_message, &common.layouts, subject)?;
        let keep = choices.keep;
        let ring = match (keep, longest) {
            (Some(_), None) => Err(refused(
                subject,
                "how long the kept messages can be is not known".to_string(),
                "set max_message too, or a type".to_string(),
            )),
            (Some(0), _) => Err(refused(
                subject,
                "a topic cannot keep 0 messages".to_string(),
                "keep 1 message or more".to_string(),
            )),
            _ => {
                let size = RingSize {
                    capacity: common.capacity.unwrap_or(keep.map_or(CAPACITY, |_| 0)),
                    longest,
                    keep,
                    is_stamped: common.is_stamped,
                };
                size.ring(subject)
            }
        }?;
        let geometry = Geometry::Topic {
            publishers: choices.publishers,
            delivery: choices.delivery,
            subscribers: common.slots,
            ring,
        };
        Ok((geometry, ring))
    }

    /// Sets how many bytes of messages are kept for subscribers that join late or are slow
    /// (default: 1 MiB).
    ///
    /// Each message takes 8 bytes more than its own length. Up to 64 bytes, that sum is rounded up
    /// to a power of two; a larger sum is rounded up to a multiple of 8. The capacity is rounded up
    /// to a power of two, and to space for four of the longest messages. A subscriber can read
    /// between 7/8 of the capacity and all of it. If [`max_message`](TopicOptions::max_message) sets
    /// 64 KiB or more, the capacity is rounded up to a multiple of 64 bytes only. Short messages are
    /// then sent and received somewhat more slowly, unless the capacity is a power of two.
    ///
    /// A message must fit into a quarter of the capacity, together with its 8 bytes. So a capacity
    /// of 4 MiB has no space for a message of 1 MiB. For long messages, set
    /// [`max_message`](TopicOptions::max_message) instead of the capacity.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> TopicOptions<M> {
        self.common.capacity = Some(bytes);
        self
    }

    /// Sets how many messages are kept at least, for subscribers that join late or are slow. The
    /// option needs the longest message ([`max_message`](TopicOptions::max_message), or a type). With
    /// a [`capacity`](TopicOptions::capacity) too, the larger of the two counts.
    ///
    /// A subscriber can read each of the last `messages` messages at every moment, also while the next
    /// message is written into a [claim](Publisher::claim). If the longest message has 64 KiB or more,
    /// the topic has memory for `messages + 2` of the longest messages: one is being written, and one
    /// may not fit behind the others. For shorter messages it has more.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-keep-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Publisher, Start, Subscriber};
    ///
    /// const FRAME: usize = 1 << 20;
    /// let options = Publisher::options().max_message(FRAME as u64).keep(2);
    /// let mut frames = options.create(name)?;
    /// for n in 0..10 {
    ///     frames.send(&[n; FRAME])?;
    /// }
    ///
    /// let mut late = Subscriber::options().start(Start::Oldest).open(name)?;
    /// while late.next_number() < 8 {
    ///     late.recv()?;
    /// }
    /// assert_eq!(late.recv()?, [8; FRAME]);
    /// assert_eq!(late.recv()?, [9; FRAME]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn keep(mut self, messages: u64) -> TopicOptions<M> {
        self.choices.keep = Some(messages);
        self
    }

    /// Sets whether each message has the time at which it was sent (default: off). It takes 8 bytes
    /// more then; see [`Subscriber::sent_at`](crate::Subscriber::sent_at).
    ///
    /// The time is that of the system's clock, which a user may set at any moment, also backwards.
    /// It is taken when the message is sent: for a [claim](crate::Publisher::claim) when it is committed,
    /// and for a batch when the message is added.
    #[must_use]
    pub fn timestamps(mut self, on: bool) -> TopicOptions<M> {
        self.common.is_stamped = on;
        self
    }

    /// Sets the length of the longest message in bytes (default: a quarter of the capacity, less
    /// 8). With a [layout](TopicOptions::layout), the longest message has the size of the layout,
    /// and a shorter `max_message` is refused.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> TopicOptions<M> {
        self.common.max_message = Some(bytes);
        self
    }

    /// Sets how many subscribers can have a slot at a time, 1 to 1023 (default: 63). A subscriber
    /// with a slot is woken by the publisher. A lossless publisher waits only for subscribers with a
    /// slot, so a subscriber of a lossless topic that finds no free slot is refused
    /// ([`Busy`](crate::ErrorKind::Busy)). A subscriber of a lossy topic becomes an observer then, which
    /// polls. The number of observers has no limit.
    #[must_use]
    pub fn subscribers(mut self, subscribers: usize) -> TopicOptions<M> {
        self.common.slots = subscribers;
        self
    }

    /// Sets how many publishers the topic can have at a time, 1 to 1024 less the number of
    /// [`subscribers`](TopicOptions::subscribers) (default: 1). The publisher that creates the topic is
    /// one of them, and the others [open](Publisher::open) it.
    ///
    /// Each publisher has a lane with the whole capacity, so the memory of the topic grows with their
    /// number. The messages of one publisher arrive in their order; there is no order among the
    /// messages of several publishers. A subscriber learns [who sent](crate::Subscriber::publisher)
    /// each message, and [which publisher is gone](crate::RecvError::PublisherGone).
    #[must_use]
    pub fn publishers(mut self, publishers: usize) -> TopicOptions<M> {
        self.choices.publishers = publishers;
        self
    }

    /// Sets what the publishers do about slow subscribers (default: [`Delivery::Lossy`]).
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> TopicOptions<M> {
        self.choices.delivery = delivery;
        self
    }
}

impl<M: Payload + ?Sized> CreateOptions<Publisher<M>> {
    /// Returns what a process wants that opens or creates the topic with these options.
    pub(super) fn wanted(&self, name: &Name) -> Result<Wanted<'_>> {
        Ok(Wanted {
            geometry: self.geometry(name)?.0,
            common: &self.common,
        })
    }

    /// Creates the topic, takes a topic that a [subscriber](crate::Subscriber::open_or_create) has
    /// created with the same options, or joins a topic that another publisher owns, and that has
    /// [places](TopicOptions::publishers) for more.
    ///
    /// # Errors
    ///
    /// - [`WrongOptions`](crate::ErrorKind::WrongOptions) if the topic has other options. The error
    ///   names the first difference.
    /// - [`Busy`](crate::ErrorKind::Busy) if the topic has as many publishers as it can have.
    /// - Otherwise the errors of [`create`](CreateOptions::create) but `AlreadyExists`.
    pub fn open_or_create(
        &self,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<Publisher<M>> {
        let name = Name::checked(name)?;
        let mut options = self.clone();
        options.common = self.common.with_same_options();
        let create = || Publisher::create_with(&options, &name).map(|publisher| publisher.core);
        Ok(Publisher {
            core: Publishing::open_or_create(&name, &options.wanted(&name)?, create)?,
            messages: PhantomData,
        })
    }
}

impl TopicOptions {
    /// Sets the layout of each message, which the programs that open the topic can read. This
    /// method is for programs that learn the layout when they run; other programs use
    /// [`typed`](TopicOptions::typed). The layout also sets the longest message; a shorter
    /// [`max_message`](TopicOptions::max_message) is refused.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> TopicOptions {
        self.common.layouts = vec![layout];
        self
    }

    /// Makes each message a value of the type `T`.
    #[must_use]
    pub fn typed<T: Described>(self) -> TopicOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> Create for Publisher<M> {
    type Choices = TopicChoices;

    fn create_with(options: &TopicOptions<M>, name: &Name) -> Result<Publisher<M>> {
        Ok(Publisher {
            core: {
                let (geometry, ring) = options.geometry(name)?;
                Publishing::create(&options.common, geometry, ring, name)?
            },
            messages: PhantomData,
        })
    }
}

impl PublisherOptions {
    /// Makes each message a value of the type `T`.
    #[must_use]
    pub fn typed<T: Described>(self) -> PublisherOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> Open for Publisher<M> {
    type Choices = ();

    fn open_with(options: &PublisherOptions<M>, name: &Name) -> Result<Publisher<M>> {
        Ok(Publisher {
            core: Publishing::open(&options.how, name)?,
            messages: PhantomData,
        })
    }
}

/// A publisher of a topic: a message server. The publisher that creates the topic owns its name. Other
/// publishers can open a topic that was created for [several](TopicOptions::publishers).
///
/// ```
/// # let name = format!("Local\\shmkit-doc-topic-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Publisher, Subscriber};
///
/// // The server.
/// let mut prices = Publisher::create(name)?;
/// prices.send(b"101.5").unwrap();
///
/// // A consumer that opens the topic late still receives the last message.
/// let mut subscriber = Subscriber::open(name)?;
/// assert_eq!(subscriber.recv().unwrap(), b"101.5");
/// # Ok::<(), shmkit::Error>(())
/// ```
pub struct Publisher<M: Payload + ?Sized = [u8]> {
    pub(crate) core: Publishing,
    messages: PhantomData<fn(&M)>,
}

impl Publisher {
    /// Creates a topic of bytes that the programs of this user can open.
    ///
    /// # Errors
    ///
    /// The errors of [`TopicOptions::create`](CreateOptions::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Publisher> {
        Publisher::options().create(name)
    }

    /// Creates a topic of bytes, or takes a topic that a subscriber has created; see
    /// [`TopicOptions::open_or_create`].
    ///
    /// # Errors
    ///
    /// The errors of [`TopicOptions::open_or_create`].
    pub fn open_or_create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Publisher> {
        Publisher::options().open_or_create(name)
    }

    /// Returns the options to create a topic.
    #[must_use]
    pub fn options() -> TopicOptions {
        let choices = TopicChoices {
            delivery: Delivery::Lossy,
            publishers: 1,
            keep: None,
        };
        CreateOptions::new(choices)
    }

    /// Opens a topic of bytes as one of its publishers. The call never creates a topic.
    ///
    /// If the owner of the topic ends, the other publishers continue, and subscribers receive what
    /// they send. When another process has created the topic again, they reattach with their next
    /// message.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-publishers-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Publisher, Subscriber};
    ///
    /// let mut first = Publisher::options().publishers(2).create(name)?;
    /// let mut second = Publisher::open(name)?;
    /// let mut subscriber = Subscriber::open(name)?;
    ///
    /// second.send(b"101.5").unwrap();
    /// assert_eq!(subscriber.recv().unwrap(), b"101.5");
    /// assert_eq!(subscriber.publisher(), Some(second.id()));
    /// # first.send(b"").unwrap();
    /// # Ok::<(), shmkit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`PublisherOptions::open`](OpenOptions::open). Also
    /// [`Busy`](crate::ErrorKind::Busy) if the topic has as many publishers as its creator
    /// [allowed](TopicOptions::publishers).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Publisher> {
        Publisher::open_options().open(name)
    }

    /// Returns the options to open a topic as one of its publishers.
    #[must_use]
    pub fn open_options() -> PublisherOptions {
        OpenOptions::default()
    }

    /// Reserves space for a message of `len` bytes in shared memory. If delivery is lossless, the
    /// call blocks while slow subscribers still have to read messages that the call would
    /// overwrite.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Publisher::send).
    #[inline]
    pub fn claim(&mut self, len: usize) -> Result<Claim<'_>, SendError> {
        let place = self.core.claim(len, Deadline::Never)?;
        Ok(Claim::new(&mut self.core, place, len))
    }

    /// Reserves space for a message of `len` bytes in shared memory, without blocking.
    ///
    /// # Errors
    ///
    /// The errors of [`try_send`](Publisher::try_send).
    #[inline]
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_>, SendError> {
        let place = self.core.claim(len, Deadline::Now)?;
        Ok(Claim::new(&mut self.core, place, len))
    }

    /// Sends all of these messages, several at a time. If a message fails, the messages before it
    /// are sent.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Publisher::send).
    pub fn send_all<B: AsRef<[u8]>>(
        &mut self,
        messages: impl IntoIterator<Item = B>,
    ) -> Result<(), SendError> {
        let mut batch = self.core.batch()?;
        for message in messages {
            batch.add(message.as_ref())?;
        }
        Ok(())
    }
}

impl<T: Described> Publisher<T> {
    /// Sends all of these values, several at a time. If a value fails, the values before it are
    /// sent.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Publisher::send).
    pub fn send_all<B: Borrow<T>>(
        &mut self,
        values: impl IntoIterator<Item = B>,
    ) -> Result<(), SendError> {
        let mut batch = self.core.batch()?;
        for value in values {
            batch.add(value.borrow().bytes())?;
        }
        Ok(())
    }
}

impl<M: Payload + ?Sized> Publisher<M> {
    /// Creates the next generation of the topic, with other options, while subscribers are
    /// attached. Each subscriber first receives the messages that were sent before, and then
    /// reattaches by itself. The message numbers begin anew. The name and the access rights stay as
    /// they are.
    ///
    /// Until the subscribers have reattached, no other process holds the messages that are sent
    /// from now on. If the publisher closes before that, these messages are lost.
    ///
    /// # Errors
    ///
    /// The errors of [`TopicOptions::create`], and [`InvalidArgument`](crate::ErrorKind::InvalidArgument)
    /// for a publisher that does not own the topic. After an error the topic is unchanged.
    pub fn resize(&mut self, options: &TopicOptions<M>) -> Result<()> {
        let (geometry, ring) = options.geometry(self.name())?;
        self.core.resize(&options.common, geometry, ring)
    }

    /// Returns the number of the topic's generation. The number changes with each restart of the
    /// publisher, and with each [`resize`](Publisher::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.generation()
    }

    /// Returns the identity of this publisher, which subscribers see with each message.
    #[must_use]
    pub fn id(&self) -> PublisherId {
        self.core.id()
    }

    /// Returns the name of the topic.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.core.name()
    }

    /// Returns the length of the longest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.lane.ring_geometry().max()
    }

    /// Returns the number of messages that this publisher has sent in this generation.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.core.sent()
    }

    /// Sends a message to all subscribers, and to subscribers that open the topic while the message
    /// is kept. The message is visible to them when `send` returns. If delivery is lossless, the
    /// call blocks while slow subscribers still have to read messages that the call would
    /// overwrite.
    ///
    /// # Errors
    ///
    /// - [`SendError::TooLong`] if the message is longer than
    ///   [`max_message`](Publisher::max_message).
    /// - [`SendError::Forked`] in a process that was forked from the process that created the
    ///   publisher.
    /// - [`SendError::NameLost`] once, if the name of the topic was removed (Linux). The message of
    ///   that call was not sent.
    /// - [`SendError::System`] if the system refuses to let the call wait.
    #[inline]
    pub fn send(&mut self, message: &M) -> Result<(), SendError> {
        self.core.write(message.bytes(), Deadline::Never, &mut None)
    }

    /// Sends a message, without blocking.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if the message would overwrite a message that a subscriber of a lossless
    /// topic has not read; otherwise the errors of [`send`](Publisher::send).
    #[inline]
    pub fn try_send(&mut self, message: &M) -> Result<(), SendError> {
        self.core.write(message.bytes(), Deadline::Now, &mut None)
    }

    /// Sends a message, and blocks for at most `timeout` while slow subscribers still have to read
    /// messages that the call would overwrite.
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`] if a subscriber did not read in time; otherwise the errors of
    /// [`send`](Publisher::send).
    pub fn send_timeout(&mut self, message: &M, timeout: Duration) -> Result<(), SendError> {
        let deadline = Deadline::within(timeout);
        self.core.write(message.bytes(), deadline, &mut None)
    }

    /// Returns this publisher as a publisher of bytes. The programs that open the topic still see
    /// the type.
    #[must_use]
    pub fn into_untyped(self) -> Publisher {
        Publisher {
            core: self.core,
            messages: PhantomData,
        }
    }
}

impl<M: Payload + ?Sized> fmt::Debug for Publisher<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
