//! A queue of values of one type.

use super::{each_value, messages, value};
use crate::error::channel::{RecvError, SendError};
use crate::error::{Error, Result};
use crate::format::describe::{Described, Layout};
use crate::name::Name;
use crate::queue::receiver::{self, QueueOptions};
use crate::queue::sender::{self, SenderOptions};
use crate::wait::source::{AsWait, Wait, Waitable};
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The receiving end of a queue of values, which owns its name. See
/// [`Receiver`](crate::Receiver).
pub struct Receiver<T> {
    endpoint: receiver::Receiver,
    of: PhantomData<T>,
}

impl<T: Described> Receiver<T> {
    /// Creates a queue for the programs of this user.
    ///
    /// # Errors
    ///
    /// As [`Receiver::create`](crate::Receiver::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Receiver<T>> {
        Receiver::from_options(receiver::Receiver::options(), name)
    }

    /// Creates one with these options, and messages of just the type's size.
    ///
    /// # Errors
    ///
    /// As [`QueueOptions::create`].
    pub fn from_options(
        options: QueueOptions,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<Receiver<T>> {
        Ok(Receiver {
            endpoint: options.layout(Layout::of::<T>()).create(name)?,
            of: PhantomData,
        })
    }

    /// The next value, if there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`]; otherwise as [`recv`](Receiver::recv).
    #[inline]
    pub fn try_recv(&mut self) -> std::result::Result<T, RecvError> {
        value(self.endpoint.try_recv())
    }

    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`](crate::Receiver::recv). [`RecvError::Corrupt`] too where a
    /// sender without a type sent a message of another length; the next call goes on
    /// behind it.
    #[inline]
    pub fn recv(&mut self) -> std::result::Result<T, RecvError> {
        value(self.endpoint.recv())
    }

    /// Waits for the next value, at most this long.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`]; otherwise as [`recv`](Receiver::recv).
    #[inline]
    pub fn recv_timeout(&mut self, timeout: Duration) -> std::result::Result<T, RecvError> {
        value(self.endpoint.recv_timeout(timeout))
    }

    /// Hands out every value that is there now, without waiting, and says how many they
    /// were.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv), but that it is empty is none; where there was a
    /// message of another length, all values are handed out nevertheless.
    pub fn drain(&mut self, each: impl FnMut(T)) -> std::result::Result<usize, RecvError> {
        let mut corrupt = false;
        let drained = self.endpoint.drain(each_value(each, &mut corrupt));
        match corrupt {
            true => Err(RecvError::Corrupt),
            false => drained,
        }
    }
    /// Goes on with other measures, but those of the type; see
    /// [`Receiver::resize`](crate::Receiver::resize).
    ///
    /// # Errors
    ///
    /// As [`QueueOptions::create`].
    pub fn resize(&mut self, options: QueueOptions) -> Result<()> {
        self.endpoint.resize(&options.layout(Layout::of::<T>()))
    }
}

impl<T> Receiver<T> {
    /// The end without its type, to be asked.
    #[must_use]
    pub fn as_untyped(&self) -> &receiver::Receiver {
        &self.endpoint
    }

    /// The end without its type. Those who open the queue are told it still.
    #[must_use]
    pub fn into_untyped(self) -> receiver::Receiver {
        self.endpoint
    }

    pub(crate) fn endpoint_mut(&mut self) -> &mut receiver::Receiver {
        &mut self.endpoint
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// A sending end of a queue of values. See [`Sender`](crate::Sender).
pub struct Sender<T> {
    endpoint: sender::Sender,
    of: PhantomData<T>,
}

impl<T: Described> Sender<T> {
    /// Opens a queue to send. Never creates one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) where its messages are of
    /// another type, with the first field that differs, or of none; otherwise as
    /// [`Sender::open`](crate::Sender::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Sender<T>> {
        Sender::from_options(sender::Sender::options(), name)
    }

    /// Opens one with these options.
    ///
    /// # Errors
    ///
    /// As [`open`](Sender::open) and [`SenderOptions::open`].
    pub fn from_options(
        options: SenderOptions,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<Sender<T>> {
        Ok(Sender {
            endpoint: options.expect_layout(Layout::of::<T>()).open(name)?,
            of: PhantomData,
        })
    }

    /// Sends a value, if there is room for it. It is sent when this returns.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`]; otherwise as [`send`](Sender::send).
    #[inline]
    pub fn try_send(&mut self, value: &T) -> std::result::Result<(), SendError> {
        self.endpoint.try_send(value.as_bytes())
    }

    /// Sends a value, and waits for room where there is none. It is sent when this returns.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`](crate::Sender::send).
    #[inline]
    pub fn send(&mut self, value: &T) -> std::result::Result<(), SendError> {
        self.endpoint.send(value.as_bytes())
    }

    /// Sends a value, and waits for room at most this long.
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`]; otherwise as [`send`](Sender::send).
    #[inline]
    pub fn send_timeout(
        &mut self,
        value: &T,
        timeout: Duration,
    ) -> std::result::Result<(), SendError> {
        self.endpoint.send_timeout(value.as_bytes(), timeout)
    }

    /// Sends all of them, values or references, several at a time, and waits for room where
    /// there is none. Those before one that fails are sent.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    pub fn send_all<B: Borrow<T>>(
        &mut self,
        values: impl IntoIterator<Item = B>,
    ) -> std::result::Result<(), SendError> {
        self.endpoint.send_all(messages(values))
    }
    /// Waits for the next receiver, at most this long; see
    /// [`Sender::wait_for_receiver`](crate::Sender::wait_for_receiver).
    ///
    /// # Errors
    ///
    /// As [`open`](Sender::open), where there is one that does not let us in.
    pub fn wait_for_receiver(&mut self, timeout: Duration) -> Result<bool> {
        self.endpoint.wait_for_receiver(timeout)
    }
}

impl<T> Sender<T> {
    /// The end without its type, to be asked.
    #[must_use]
    pub fn as_untyped(&self) -> &sender::Sender {
        &self.endpoint
    }

    /// The end without its type, which sends any bytes.
    #[must_use]
    pub fn into_untyped(self) -> sender::Sender {
        self.endpoint
    }

    #[cfg(feature = "async")]
    pub(crate) fn endpoint_mut(&mut self) -> &mut sender::Sender {
        &mut self.endpoint
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

impl<T> Waitable for Receiver<T> {}

impl<T> AsWait for Receiver<T> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        self.endpoint_mut()
    }
}
