//! The subscriber of a topic, and the options to open a topic.

use super::publisher::{Publisher, TopicOptions};
use super::subscribing::{Start, Subscribing};
use super::topic_ref::TopicRef;
use crate::error::channel::RecvError;
use crate::error::publisher_id::PublisherId;
use crate::error::{Error, Result};
use crate::format::describe::Described;
use crate::format::payload::{self, Payload};
use crate::lane::in_place::Source;
use crate::lane::stamp::time_of;
use crate::name::Name;
use crate::segment::options::{Open, OpenOptions};
use crate::segment::owner_monitor::wait_for_next;
use crate::wait::iter::messages;
use crate::wait::source::{AsWait, Wait, Waitable};
use crate::wait::spin::{Deadline, Inbox};
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

/// Options to open a topic; see [`Subscriber::options`].
pub type SubscriberOptions<M = [u8]> = OpenOptions<Subscriber<M>>;

/// Options that only a subscriber has.
#[derive(Clone, Debug, Default)]
pub struct SubscriberChoices {
    start: Start,
    observer: bool,
}

impl<M: Payload + ?Sized> OpenOptions<Subscriber<M>> {
    /// Sets the message with which the subscriber begins (default: [`Start::Latest`]).
    #[must_use]
    pub fn start(mut self, start: Start) -> SubscriberOptions<M> {
        self.choices.start = start;
        self
    }

    /// Sets whether the subscriber is an observer, which takes no slot (default: off).
    ///
    /// There can be any number of observers. An observer stores nothing in shared memory, so no
    /// publisher waits for it, also if delivery is lossless. No process wakes an observer: it polls
    /// each millisecond for 100 ms after its last message, and then each 10 ms.
    #[must_use]
    pub fn observer(mut self, on: bool) -> SubscriberOptions<M> {
        self.choices.observer = on;
        self
    }
}

impl<M: Payload + ?Sized> OpenOptions<Subscriber<M>> {
    /// Opens the topic, or creates it with these options if no process has created it. The publisher
    /// can come later: until then the subscriber waits, and is not disconnected.
    ///
    /// The first [publisher](crate::Publisher::open_or_create) takes the topic. The subscriber receives
    /// its messages from the first one on, if the publisher stays and does not resize the topic until
    /// the subscriber has called it once more; in a lossy topic, the subscriber can be overtaken as
    /// always. A topic whose owner has closed or died counts as one that no process has created.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-first-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Publisher, Subscriber};
    ///
    /// let options = Publisher::options().max_message(100);
    /// let mut subscriber = Subscriber::options().open_or_create(name, &options)?;
    ///
    /// let mut publisher = options.open_or_create(name)?;
    /// publisher.send(b"101.5")?;
    /// assert_eq!(subscriber.recv()?, b"101.5");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`WrongOptions`](crate::ErrorKind::WrongOptions) if the topic has other options. The error
    ///   names the first difference.
    /// - Otherwise the errors of [`open`](OpenOptions::open) but `NotFound`, and those of
    ///   [`TopicOptions::create`](crate::TopicOptions::create).
    pub fn open_or_create(
        &self,
        name: impl TryInto<Name, Error: Into<Error>>,
        options: &TopicOptions<M>,
    ) -> Result<Subscriber<M>> {
        let name = Name::checked(name)?;
        let choices = (self.choices.start, self.choices.observer);
        let wanted = options.wanted(&name)?;
        Ok(Subscriber {
            core: Subscribing::open_or_create(&self.how, choices, &name, &wanted)?,
            messages: PhantomData,
        })
    }
}

impl SubscriberOptions {
    /// Makes each message a value of the type `T`.
    #[must_use]
    pub fn typed<T: Described>(self) -> SubscriberOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> Open for Subscriber<M> {
    type Choices = SubscriberChoices;

    fn open_with(options: &SubscriberOptions<M>, name: &Name) -> Result<Subscriber<M>> {
        Ok(Subscriber {
            core: Subscribing::open(
                &options.how,
                options.choices.start,
                options.choices.observer,
                name,
            )?,
            messages: PhantomData,
        })
    }
}

/// A subscriber of a topic: a message consumer. See [`Publisher`](crate::Publisher).
///
/// A subscriber maps the messages read-only, so it cannot damage them. It copies each message out
/// of shared memory, and discards the copy if the message was overwritten meanwhile. So a message
/// that it returns is whole. [`recv_ref`](Subscriber::recv_ref) copies nothing.
///
/// # Platform notes
///
/// If the publisher's [`Access`](crate::Access) lets a program only read, as a program of another
/// user, the subscriber is an observer; see [`observer`](OpenOptions::observer).
pub struct Subscriber<M: Payload + ?Sized = [u8]> {
    pub(crate) core: Subscribing,
    messages: PhantomData<fn(&M)>,
}

impl Subscriber {
    /// Opens a topic with messages of any type, to receive them as bytes. The subscriber begins
    /// with the last message that was sent. The call never creates a topic.
    ///
    /// # Errors
    ///
    /// The errors of [`SubscriberOptions::open`](OpenOptions::open). Also
    /// [`Busy`](crate::ErrorKind::Busy) if delivery is lossless and all slots for
    /// subscribers are taken.
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Subscriber> {
        Subscriber::options().open(name)
    }

    /// Opens a topic of bytes, or creates it if no process has created it; see
    /// [`SubscriberOptions::open_or_create`].
    ///
    /// # Errors
    ///
    /// The errors of [`SubscriberOptions::open_or_create`].
    pub fn open_or_create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Subscriber> {
        Subscriber::options().open_or_create(name, &Publisher::options())
    }

    /// Returns the options to open a topic.
    #[must_use]
    pub fn options() -> SubscriberOptions {
        SubscriberOptions::default()
    }
}

impl<M: Payload + ?Sized> Subscriber<M> {
    /// Returns the name by which the topic was opened.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.core.found.name
    }

    /// Returns the length of the longest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.found.geometry.max()
    }

    /// Returns the number of the next message: how many messages the publishers have sent before it.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.core.number()
    }

    /// Returns the publisher of the message that was received last, of the messages that were
    /// [missed](RecvError::Lagged) last, or whose [end](RecvError::PublisherGone) was reported last.
    /// Returns `None` before the first message of a topic of several publishers, and for a message
    /// whose publisher had left its place to another one before this subscriber came.
    #[must_use]
    pub fn publisher(&self) -> Option<PublisherId> {
        self.core.publisher()
    }

    /// Returns when the message that was received last was sent, by the clock of the publisher's
    /// system; `None` if the topic has no [time stamps](crate::TopicOptions::timestamps), or no message
    /// was received.
    ///
    /// The clock can be set at any moment, so a later message may have an earlier time.
    #[must_use]
    pub fn sent_at(&self) -> Option<SystemTime> {
        self.core.stamp().and_then(time_of)
    }

    /// Returns how many messages this subscriber has missed since it was opened.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.core.missed
    }

    /// Returns how many messages the publishers are ahead of this subscriber.
    #[must_use]
    pub fn behind(&self) -> u64 {
        let lanes = self.core.inlets().map(|inlet| &inlet.lane);
        lanes
            .map(|lane| lane.sent().saturating_sub(lane.number()))
            .sum()
    }

    /// Waits for the next publisher for at most `timeout`, and returns whether there is a next
    /// publisher. The subscriber first receives all messages that the last publisher has sent. Then
    /// [`recv`](Subscriber::recv) returns that the last publisher has gone, and after that the
    /// messages of the next publisher.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Subscriber::open), if there is a publisher that this subscriber
    /// cannot use.
    pub fn wait_for_publisher(&mut self, timeout: Duration) -> Result<bool> {
        wait_for_next(&mut self.core, timeout)
    }

    /// Returns the number of the topic's generation to which this subscriber is attached. The
    /// number changes with each publisher that follows, and each time that a publisher is
    /// [resized](crate::Publisher::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.found.generation
    }

    /// Receives the next message if there is a message, without waiting.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`] if there is no message; otherwise the errors of
    /// [`recv`](Subscriber::recv). A subscriber that never waits notices the death of the publisher
    /// after at most 4096 calls without a message.
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<M::Received<'_>, RecvError> {
        let len = self.core.receive(Deadline::Now)?;
        payload::received::<M>(self.core.received(len))
    }

    /// Waits for the next message, and returns it.
    ///
    /// # Errors
    ///
    /// - [`RecvError::Lagged`] with the number of messages that were overwritten before they were
    ///   read. The next call continues behind them.
    /// - [`RecvError::Disconnected`] when the publisher has closed or died and every message was
    ///   received; if there were several publishers, when the last one has gone.
    /// - [`RecvError::PublisherGone`] when one of several publishers has closed or died, and every
    ///   message that it sent was received. The next call continues.
    /// - [`RecvError::Corrupt`] if the publisher wrote an invalid record, or if an untyped
    ///   publisher sent a message whose length is not the length of the type.
    /// - [`RecvError::Forked`] in a process that was forked from the process that opened the
    ///   subscriber.
    /// - [`RecvError::System`] if the system refuses to let the call wait, or if the subscriber
    ///   cannot reattach to the next publisher.
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
    /// [`recv`](Subscriber::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<M::Received<'_>, RecvError> {
        let len = self.core.receive_within(timeout)?;
        payload::received::<M>(self.core.received(len))
    }

    /// Waits for the next message, and returns a reference to the message in shared memory.
    ///
    /// This method is for long messages, which need not be copied as a whole. On a lossless topic the
    /// publisher waits for this subscriber, and so does not overwrite the message until the reference
    /// is dropped. On a lossy topic the publisher may overwrite the message at any moment.
    /// [`TopicRef::verify`] tells afterwards whether it has; what was read must be discarded then.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-held-message-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Publisher, Subscriber};
    /// use std::io::Read;
    ///
    /// let mut frames = Publisher::options().max_message(1 << 20).create(name)?;
    /// let mut subscriber = Subscriber::open(name)?;
    /// frames.send(&[7; 1 << 20])?;
    ///
    /// let mut frame = subscriber.recv_ref()?;
    /// let (mut line, mut sum) = ([0; 4096], 0);
    /// for _ in 0..frame.len() / line.len() {
    ///     frame.read_exact(&mut line)?;
    ///     sum += line.iter().map(|pixel| u64::from(*pixel)).sum::<u64>();
    /// }
    /// if frame.verify() {
    ///     assert_eq!(sum, 7 << 20);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`recv`](Subscriber::recv).
    pub fn recv_ref(&mut self) -> Result<TopicRef<'_, M>, RecvError> {
        self.reference(Deadline::Never)
    }

    /// Returns a reference to the next message in shared memory if there is a message, without
    /// waiting; see [`recv_ref`](Subscriber::recv_ref).
    ///
    /// # Errors
    ///
    /// The errors of [`try_recv`](Subscriber::try_recv).
    pub fn try_recv_ref(&mut self) -> Result<TopicRef<'_, M>, RecvError> {
        self.reference(Deadline::Now)
    }

    /// Waits for the next message for at most `timeout`, and returns a reference to the message in
    /// shared memory; see [`recv_ref`](Subscriber::recv_ref).
    ///
    /// # Errors
    ///
    /// The errors of [`recv_timeout`](Subscriber::recv_timeout).
    pub fn recv_ref_timeout(&mut self, timeout: Duration) -> Result<TopicRef<'_, M>, RecvError> {
        self.reference(Deadline::within(timeout))
    }

    // layout: L042
    fn reference(&mut self, deadline: Deadline) -> Result<TopicRef<'_, M>, RecvError> {
        let len = self.core.find_next(deadline)?;
        if !M::fits(len) {
            self.core.release();
            return Err(RecvError::Corrupt);
        }
        Ok(TopicRef::new(&mut self.core, len))
    }

    /// Receives every message that is there now, without waiting. Passes each message to `each`,
    /// and returns the number of messages.
    ///
    /// # Errors
    ///
    /// The errors of [`try_recv`](Subscriber::try_recv), except [`RecvError::Empty`]. If a message
    /// has another length than the type, the call first receives all other messages, and then
    /// returns [`RecvError::Corrupt`].
    pub fn drain(&mut self, each: impl FnMut(M::Received<'_>)) -> Result<usize, RecvError> {
        payload::drain::<M>(each, |each| self.core.drain(each))
    }

    /// Returns this subscriber as a subscriber of bytes.
    #[must_use]
    pub fn into_untyped(self) -> Subscriber {
        Subscriber {
            core: self.core,
            messages: PhantomData,
        }
    }
}

impl<T: Described> Subscriber<T> {
    /// Returns an iterator that waits for each value. It ends when no publisher is left. Missed
    /// messages and invalid ones are errors, behind which it continues.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-iter-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Publisher, Subscriber};
    ///
    /// let mut publisher = Publisher::options().typed::<u64>().create(name)?;
    /// let mut subscriber = Subscriber::options().typed::<u64>().open(name)?;
    /// publisher.send_all([1, 2, 3])?;
    /// drop(publisher);
    ///
    /// let sum = subscriber.iter().sum::<Result<u64, _>>()?;
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

impl<M: Payload + ?Sized> fmt::Debug for Subscriber<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl<M: Payload + ?Sized> Waitable for Subscriber<M> {}

impl<M: Payload + ?Sized> AsWait for Subscriber<M> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        &mut self.core
    }
}
