//! The publisher of a topic: a message server.

use super::publishing::{Delivery, Publishing};
use crate::error::channel::SendError;
use crate::error::{Error, Result};
use crate::format::describe::{Described, Layout};
use crate::format::payload::{self, Payload};
use crate::lane::claim::Claim;
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::segment::Geometry;
use crate::segment::options::{Create, CreateOptions};
use crate::wait::spin::Deadline;
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// How to create a topic; see [`Publisher::options`].
pub type TopicOptions<M = [u8]> = CreateOptions<Publisher<M>>;

/// What only a topic lets a program choose.
#[derive(Clone, Debug)]
pub struct TopicChoices {
    delivery: Delivery,
}

impl<M: Payload + ?Sized> CreateOptions<Publisher<M>> {
    fn ring(&self, name: &Name) -> Result<RingGeometry> {
        let (common, subject) = (&self.common, name.as_str());
        let longest = Geometry::longest(common.max_message, &common.layouts, subject)?;
        Geometry::ring(common.capacity, longest, subject)
    }

    /// How many bytes of messages are kept for those who come late or are slow (1 MiB).
    /// A message takes 8 bytes more than its own, up to 64 rounded up to a power of two and
    /// beyond that to a multiple of 8. Between 7/8 and all of the capacity can be read. It
    /// is rounded up to a power of two and to four of the longest messages.
    ///
    /// A quarter of a power of two has no room for a message of as many bytes, which needs 8 more:
    /// for long ones say [`max_message`](TopicOptions::max_message) instead.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> TopicOptions<M> {
        self.common.capacity = bytes;
        self
    }

    /// The longest message in bytes (what fits: a quarter of the capacity less 8). With a
    /// [layout](TopicOptions::layout) it is the size of the layout, and a shorter `max_message` is refused.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> TopicOptions<M> {
        self.common.max_message = Some(bytes);
        self
    }

    /// What to do about slow subscribers ([`Delivery::Lossy`]).
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> TopicOptions<M> {
        self.choices.delivery = delivery;
        self
    }
}

impl TopicOptions {
    /// Tells the layout of each message to the programs that open the topic. It is for programs that
    /// learn the layout when they run; others use [`typed`](TopicOptions::typed). It sets the longest
    /// message too; a shorter [`max_message`](TopicOptions::max_message) is refused.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> TopicOptions {
        self.common.layouts = vec![layout];
        self
    }

    /// Makes each message a value of this type.
    #[must_use]
    pub fn typed<T: Described>(self) -> TopicOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> Create for Publisher<M> {
    type Choices = TopicChoices;

    fn create_with(options: &TopicOptions<M>, name: &Name) -> Result<Publisher<M>> {
        Ok(Publisher {
            core: Publishing::create(
                &options.common,
                options.ring(name)?,
                options.choices.delivery,
                name,
            )?,
            messages: PhantomData,
        })
    }
}

/// The sending end of a topic, which owns its name: a message server.
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
/// // A consumer, which comes late and still sees the last message.
/// let mut subscriber = Subscriber::open(name)?;
/// assert_eq!(subscriber.recv().unwrap(), b"101.5");
/// # Ok::<(), shmkit::Error>(())
/// ```
pub struct Publisher<M: Payload + ?Sized = [u8]> {
    pub(crate) core: Publishing,
    messages: PhantomData<fn(&M)>,
}

impl Publisher {
    /// Creates a topic of bytes for the programs of this user.
    ///
    /// # Errors
    ///
    /// The errors of [`TopicOptions::create`](CreateOptions::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Publisher> {
        Publisher::options().create(name)
    }

    /// Returns the options to create a topic with.
    #[must_use]
    pub fn options() -> TopicOptions {
        let delivery = Delivery::Lossy;
        CreateOptions::new(1 << 20, TopicChoices { delivery })
    }

    /// Reserves space for a message of this length in shared memory. Where delivery is lossless, it
    /// waits for slow subscribers.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Publisher::send).
    #[inline]
    pub fn claim(&mut self, len: usize) -> std::result::Result<Claim<'_>, SendError> {
        let place = self.core.claim(len, Deadline::Never)?;
        Ok(Claim::new(&mut self.core, place, len))
    }

    /// Reserves space for a message of this length, without waiting.
    ///
    /// # Errors
    ///
    /// The errors of [`try_send`](Publisher::try_send).
    #[inline]
    pub fn try_claim(&mut self, len: usize) -> std::result::Result<Claim<'_>, SendError> {
        let place = self.core.claim(len, Deadline::Now)?;
        Ok(Claim::new(&mut self.core, place, len))
    }

    /// Sends all of these messages, several at a time. Where one fails, the messages before it are
    /// sent.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Publisher::send).
    pub fn send_all<B: AsRef<[u8]>>(
        &mut self,
        messages: impl IntoIterator<Item = B>,
    ) -> std::result::Result<(), SendError> {
        let mut batch = self.core.batch()?;
        for message in messages {
            batch.add(message.as_ref())?;
        }
        Ok(())
    }
}

impl<T: Described> Publisher<T> {
    /// Sends all of these values, several at a time. Where one fails, the values before it are sent.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Publisher::send).
    pub fn send_all<B: Borrow<T>>(
        &mut self,
        values: impl IntoIterator<Item = B>,
    ) -> std::result::Result<(), SendError> {
        let mut batch = self.core.batch()?;
        for value in values {
            batch.add(value.borrow().bytes())?;
        }
        Ok(())
    }
}

impl<M: Payload + ?Sized> Publisher<M> {
    /// Goes on with other measures, all of them new, while subscribers are there: they come over
    /// by themselves when they have received what was sent before, and their numbers begin anew.
    /// Rights and name stay as they are. Nobody holds what is sent from now on before they have
    /// come over: a publisher that closes until then takes it along.
    ///
    /// # Errors
    ///
    /// As [`TopicOptions::create`]; everything is as before then.
    pub fn resize(&mut self, options: &TopicOptions<M>) -> Result<()> {
        let ring = options.ring(self.name())?;
        self.core
            .resize(&options.common, ring, options.choices.delivery)
    }

    /// Returns the number of the generation. It changes with each restart, and with each
    /// [`resize`](Publisher::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.segment.generation
    }

    /// Returns the name by which the topic was created.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.core.segment.name()
    }

    /// Returns the length of the longest message, in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.lane.ring_geometry().max()
    }

    /// Returns how many messages were sent in this generation.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.core.lane.sent()
    }

    /// Sends a message to all subscribers, and to those that open the topic while the message is kept.
    /// The message is visible to them when this returns. Where delivery is lossless, it waits for slow
    /// subscribers.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLong`] where the message is longer than
    /// [`max_message`](Publisher::max_message); [`SendError::System`] where the system refuses to let
    /// it wait.
    #[inline]
    pub fn send(&mut self, message: &M) -> std::result::Result<(), SendError> {
        self.core.write(message.bytes(), Deadline::Never, &mut None)
    }

    /// Sends a message without waiting.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] where the message would overwrite a message that a subscriber of a lossless
    /// topic has not read; otherwise the errors of [`send`](Publisher::send).
    #[inline]
    pub fn try_send(&mut self, message: &M) -> std::result::Result<(), SendError> {
        self.core.write(message.bytes(), Deadline::Now, &mut None)
    }

    /// Sends a message, and waits for slow subscribers at most this long.
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`] where a subscriber did not read in time; otherwise the errors of
    /// [`send`](Publisher::send).
    pub fn send_timeout(
        &mut self,
        message: &M,
        timeout: Duration,
    ) -> std::result::Result<(), SendError> {
        let deadline = Deadline::within(timeout);
        self.core.write(message.bytes(), deadline, &mut None)
    }

    /// Returns the same publisher for messages of bytes. The programs that open the topic are told the
    /// type still.
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
