//! A topic of values of one type.

use super::{each_value, messages, value};
use crate::error::channel::{RecvError, SendError};
use crate::error::{Error, Result};
use crate::format::describe::{Described, Layout};
use crate::name::Name;
use crate::topic::publisher::{self, TopicOptions};
use crate::topic::subscriber::{self, SubscriberOptions};
use crate::wait::source::{AsWait, Wait, Waitable};
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The sending end of a topic of values, which owns its name. See
/// [`Publisher`](crate::Publisher).
pub struct Publisher<T> {
    endpoint: publisher::Publisher,
    of: PhantomData<T>,
}

impl<T: Described> Publisher<T> {
    /// Creates a topic for the programs of this user.
    ///
    /// # Errors
    ///
    /// As [`Publisher::create`](crate::Publisher::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Publisher<T>> {
        Publisher::from_options(publisher::Publisher::options(), name)
    }

    /// Creates one with these options, and messages of just the type's size.
    ///
    /// # Errors
    ///
    /// As [`TopicOptions::create`].
    pub fn from_options(
        options: TopicOptions,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<Publisher<T>> {
        Ok(Publisher {
            endpoint: options.layout(Layout::of::<T>()).create(name)?,
            of: PhantomData,
        })
    }

    /// Sends a value to all who are there and all who come while it is kept. It is sent when
    /// this returns. Where delivery is lossless it waits for slow subscribers.
    ///
    /// # Errors
    ///
    /// As [`Publisher::send`](crate::Publisher::send).
    #[inline]
    pub fn send(&mut self, value: &T) -> std::result::Result<(), SendError> {
        self.endpoint.send(value.as_bytes())
    }

    /// Sends a value without waiting.
    ///
    /// # Errors
    ///
    /// As [`Publisher::try_send`](crate::Publisher::try_send).
    #[inline]
    pub fn try_send(&mut self, value: &T) -> std::result::Result<(), SendError> {
        self.endpoint.try_send(value.as_bytes())
    }

    /// Sends a value, and waits for slow subscribers at most this long.
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`]; otherwise as [`send`](Publisher::send).
    #[inline]
    pub fn send_timeout(
        &mut self,
        value: &T,
        timeout: Duration,
    ) -> std::result::Result<(), SendError> {
        self.endpoint.send_timeout(value.as_bytes(), timeout)
    }

    /// Sends all of them, values or references, several at a time. Those before one that
    /// fails are sent.
    ///
    /// # Errors
    ///
    /// As [`send`](Publisher::send).
    pub fn send_all<B: Borrow<T>>(
        &mut self,
        values: impl IntoIterator<Item = B>,
    ) -> std::result::Result<(), SendError> {
        self.endpoint.send_all(messages(values))
    }
    /// Goes on with other measures, but those of the type; see
    /// [`Publisher::resize`](crate::Publisher::resize).
    ///
    /// # Errors
    ///
    /// As [`TopicOptions::create`].
    pub fn resize(&mut self, options: TopicOptions) -> Result<()> {
        self.endpoint.resize(&options.layout(Layout::of::<T>()))
    }
}

impl<T> Publisher<T> {
    /// The end without its type, to be asked.
    #[must_use]
    pub fn as_untyped(&self) -> &publisher::Publisher {
        &self.endpoint
    }

    /// The end without its type, which sends any bytes. Subscribers are told the type still.
    #[must_use]
    pub fn into_untyped(self) -> publisher::Publisher {
        self.endpoint
    }

    #[cfg(feature = "async")]
    pub(crate) fn endpoint_mut(&mut self) -> &mut publisher::Publisher {
        &mut self.endpoint
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// A receiving end of a topic of values. See [`Subscriber`](crate::Subscriber).
pub struct Subscriber<T> {
    endpoint: subscriber::Subscriber,
    of: PhantomData<T>,
}

impl<T: Described> Subscriber<T> {
    /// Opens a topic to receive from it, beginning with the last value that was sent.
    /// Never creates one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) where its messages are of
    /// another type, with the first field that differs, or of none; otherwise as
    /// [`Subscriber::open`](crate::Subscriber::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Subscriber<T>> {
        Subscriber::from_options(subscriber::Subscriber::options(), name)
    }

    /// Opens one with these options.
    ///
    /// # Errors
    ///
    /// As [`open`](Subscriber::open) and [`SubscriberOptions::open`].
    pub fn from_options(
        options: SubscriberOptions,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<Subscriber<T>> {
        Ok(Subscriber {
            endpoint: options.expect_layout(Layout::of::<T>()).open(name)?,
            of: PhantomData,
        })
    }

    /// The next value, if there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`]; otherwise as [`recv`](Subscriber::recv).
    #[inline]
    pub fn try_recv(&mut self) -> std::result::Result<T, RecvError> {
        value(self.endpoint.try_recv())
    }

    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// As [`Subscriber::recv`](crate::Subscriber::recv). [`RecvError::Corrupt`] too where the
    /// publisher sent a message of another length; the next call goes on behind it.
    #[inline]
    pub fn recv(&mut self) -> std::result::Result<T, RecvError> {
        value(self.endpoint.recv())
    }

    /// Waits for the next value, at most this long.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`]; otherwise as [`recv`](Subscriber::recv).
    #[inline]
    pub fn recv_timeout(&mut self, timeout: Duration) -> std::result::Result<T, RecvError> {
        value(self.endpoint.recv_timeout(timeout))
    }

    /// Hands out every value that is there now, without waiting, and says how many they
    /// were.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Subscriber::try_recv), but that it is empty is none; where there was
    /// a message of another length, all values are handed out nevertheless, and that is told
    /// rather than that some were missed.
    pub fn drain(&mut self, each: impl FnMut(T)) -> std::result::Result<usize, RecvError> {
        let mut corrupt = false;
        let drained = self.endpoint.drain(each_value(each, &mut corrupt));
        match corrupt {
            true => Err(RecvError::Corrupt),
            false => drained,
        }
    }
    /// Waits for the next publisher, at most this long; see
    /// [`Subscriber::wait_for_publisher`](crate::Subscriber::wait_for_publisher).
    ///
    /// # Errors
    ///
    /// As [`open`](Subscriber::open), where there is one that does not let us in.
    pub fn wait_for_publisher(&mut self, timeout: Duration) -> Result<bool> {
        self.endpoint.wait_for_publisher(timeout)
    }
}

impl<T> Subscriber<T> {
    /// The end without its type, to be asked.
    #[must_use]
    pub fn as_untyped(&self) -> &subscriber::Subscriber {
        &self.endpoint
    }

    /// The end without its type.
    #[must_use]
    pub fn into_untyped(self) -> subscriber::Subscriber {
        self.endpoint
    }

    pub(crate) fn endpoint_mut(&mut self) -> &mut subscriber::Subscriber {
        &mut self.endpoint
    }
}

impl<T> fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

impl<T> Waitable for Subscriber<T> {}

impl<T> AsWait for Subscriber<T> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        self.endpoint_mut()
    }
}
