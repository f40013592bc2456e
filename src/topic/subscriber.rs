//! The subscriber of a topic: a message consumer.

use super::subscribing::{Start, Subscribing};
use crate::error::channel::RecvError;
use crate::error::{Error, Result};
use crate::format::describe::Described;
use crate::format::payload::{self, Payload};
use crate::name::Name;
use crate::segment::options::{Open, OpenOptions};
use crate::segment::owner_monitor::wait_for_next;
use crate::wait::source::{AsWait, Wait, Waitable};
use crate::wait::spin::{Deadline, Inbox};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// How to open a topic; see [`Subscriber::options`].
pub type SubscriberOptions<M = [u8]> = OpenOptions<Subscriber<M>>;

/// What only a subscriber lets a program choose.
#[derive(Clone, Debug, Default)]
pub struct SubscriberChoices {
    start: Start,
}

impl<M: Payload + ?Sized> OpenOptions<Subscriber<M>> {
    /// Sets where to begin ([`Start::Latest`]).
    #[must_use]
    pub fn start(mut self, start: Start) -> SubscriberOptions<M> {
        self.choices.start = start;
        self
    }
}

impl SubscriberOptions {
    /// Makes each message a value of this type.
    #[must_use]
    pub fn typed<T: Described>(self) -> SubscriberOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> Open for Subscriber<M> {
    type Choices = SubscriberChoices;

    fn open_with(options: &SubscriberOptions<M>, name: &Name) -> Result<Subscriber<M>> {
        Ok(Subscriber {
            core: Subscribing::open(&options.how, options.choices.start, name)?,
            messages: PhantomData,
        })
    }
}

/// A receiving end of a topic: a message consumer. See [`Publisher`](crate::Publisher).
///
/// It maps the messages read-only, so that it can do no harm to anybody. Each message is
/// copied out of shared memory, and thrown away if it was overwritten meanwhile; what is
/// handed out is whole.
///
/// # Platform notes
///
/// A program that the publisher's [`Access`](crate::Access) lets only look, that of another user, is no
/// participant: it is not waited for, nobody sees it, and where nothing comes it looks
/// again each millisecond.
pub struct Subscriber<M: Payload + ?Sized = [u8]> {
    pub(crate) core: Subscribing,
    messages: PhantomData<fn(&M)>,
}

impl Subscriber {
    /// Opens a topic of any messages to receive them as bytes, beginning with the last message that
    /// was sent. It never creates one.
    ///
    /// # Errors
    ///
    /// The errors of [`SubscriberOptions::open`](OpenOptions::open).
    /// [`Busy`](crate::ErrorKind::Busy) where delivery is lossless and the topic has 63 subscribers.
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Subscriber> {
        Subscriber::options().open(name)
    }

    /// Returns the options to open a topic with.
    #[must_use]
    pub fn options() -> SubscriberOptions {
        SubscriberOptions::default()
    }
}

impl<M: Payload + ?Sized> Subscriber<M> {
    /// The name it was opened by.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.core.found.name
    }

    /// The longest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.found.geometry.max()
    }

    /// The number of the next message: how many the publisher has sent before it.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.core.lane.number()
    }

    /// How many messages were missed since it was opened.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.core.missed
    }

    /// How many messages the publisher is ahead.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.core
            .lane
            .sent()
            .saturating_sub(self.core.lane.number())
    }

    /// Waits for the next publisher, at most this long; says whether there is one. What the one
    /// before has sent is received first, and [`recv`](Subscriber::recv) says that it has gone; after that it
    /// goes on with the next.
    ///
    /// # Errors
    ///
    /// As [`open`](Subscriber::open), where there is one that does not let us in.
    pub fn wait_for_publisher(&mut self, timeout: Duration) -> Result<bool> {
        wait_for_next(&mut self.core, timeout)
    }

    /// The number of its generation: another one with each publisher that follows, and each time
    /// that one changes its measures.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.found.generation
    }

    /// Receives the next message if there is one, without waiting.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`] where there is no message; otherwise the errors of
    /// [`recv`](Subscriber::recv). A subscriber that never waits learns of the death of the publisher
    /// after 4096 calls without a message at the latest.
    #[inline]
    pub fn try_recv(&mut self) -> std::result::Result<M::Received<'_>, RecvError> {
        let len = self.core.receive(Deadline::Now)?;
        M::received(self.core.received(len)).ok_or(RecvError::Corrupt)
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] with the number of messages that were overwritten before they were read;
    /// the next call goes on behind them. [`RecvError::Disconnected`] when the publisher has closed or
    /// died and every message was received. [`RecvError::Corrupt`] where the publisher wrote no valid
    /// message, or an untyped publisher sent a message of another length than the type has.
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
    /// [`recv`](Subscriber::recv).
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
    /// The errors of [`try_recv`](Subscriber::try_recv), except that it is empty is none. Where a
    /// message has another length than the type, all other messages are received nevertheless.
    pub fn drain(
        &mut self,
        each: impl FnMut(M::Received<'_>),
    ) -> std::result::Result<usize, RecvError> {
        payload::drain::<M>(each, |each| self.core.drain(each))
    }

    /// Returns the same subscriber for messages of bytes.
    #[must_use]
    pub fn into_untyped(self) -> Subscriber {
        Subscriber {
            core: self.core,
            messages: PhantomData,
        }
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
