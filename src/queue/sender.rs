//! The sender of a queue.

use super::batch::Batch;
use super::sending::Sending;
use crate::error::channel::SendError;
use crate::error::{Error, Result};
use crate::format::describe::Described;
use crate::format::payload::{self, Payload};
use crate::lane::claim::Claim;
use crate::name::Name;
use crate::segment::options::{Open, OpenOptions};
use crate::segment::owner_monitor::wait_for_next;
use crate::wait::spin::Deadline;
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// How to open a queue to send; see [`Sender::options`].
pub type SenderOptions<M = [u8]> = OpenOptions<Sender<M>>;

impl SenderOptions {
    /// Makes each message a value of this type.
    #[must_use]
    pub fn typed<T: Described>(self) -> SenderOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> Open for Sender<M> {
    type Choices = ();

    fn open_with(options: &SenderOptions<M>, name: &Name) -> Result<Sender<M>> {
        Ok(Sender {
            core: Sending::open(&options.how, name)?,
            messages: PhantomData,
        })
    }
}

/// A sender of a queue. See [`Receiver`](crate::Receiver).
///
/// It is `Send`, and not shared: each thread opens its own.
pub struct Sender<M: Payload + ?Sized = [u8]> {
    pub(crate) core: Sending,
    messages: PhantomData<fn(&M)>,
}

impl Sender {
    /// Opens a queue of any messages to send bytes to it. It never creates one.
    ///
    /// # Errors
    ///
    /// The errors of [`SenderOptions::open`](OpenOptions::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Sender> {
        Sender::options().open(name)
    }

    /// Returns the options to open a queue with.
    #[must_use]
    pub fn options() -> SenderOptions {
        SenderOptions::default()
    }

    /// Reserves space for a message of this length in shared memory, and waits until there is space.
    /// See [`Receiver::recv_ref`](crate::Receiver::recv_ref).
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Sender::send).
    #[inline]
    pub fn claim(&mut self, len: usize) -> std::result::Result<Claim<'_>, SendError> {
        let place = self.core.claim(len, Deadline::Never)?;
        Ok(Claim::new(&mut self.core, place, len))
    }

    /// Reserves space for a message of this length if there is any, without waiting.
    ///
    /// # Errors
    ///
    /// The errors of [`try_send`](Sender::try_send).
    #[inline]
    pub fn try_claim(&mut self, len: usize) -> std::result::Result<Claim<'_>, SendError> {
        let place = self.core.claim(len, Deadline::Now)?;
        Ok(Claim::new(&mut self.core, place, len))
    }

    /// Sends all of these messages, several at a time, and waits while there is no space. Where one
    /// fails, the messages before it are sent.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Sender::send).
    pub fn send_all<B: AsRef<[u8]>>(
        &mut self,
        messages: impl IntoIterator<Item = B>,
    ) -> std::result::Result<(), SendError> {
        let mut batch = self.batch();
        for message in messages {
            batch.send(message.as_ref())?;
        }
        Ok(())
    }
}

impl<T: Described> Sender<T> {
    /// Sends all of these values, several at a time, and waits while there is no space. Where one
    /// fails, the values before it are sent.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Sender::send).
    pub fn send_all<B: Borrow<T>>(
        &mut self,
        values: impl IntoIterator<Item = B>,
    ) -> std::result::Result<(), SendError> {
        let mut batch = self.batch();
        for value in values {
            batch.send(value.borrow())?;
        }
        Ok(())
    }
}

impl<M: Payload + ?Sized> Sender<M> {
    /// Returns the name by which the queue was opened.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.core.found().name
    }

    /// Returns the length of the longest message, in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.max_message()
    }

    /// Returns the number of the generation. It changes with each receiver that follows, and each time
    /// that one is [resized](crate::Receiver::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.found().generation
    }

    /// Waits for the next receiver, at most this long, and goes on with it; returns whether there is
    /// one. It receives the messages that were sent to the receiver before it, and not received.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](OpenOptions::open), where there is a receiver that this sender cannot
    /// use.
    pub fn wait_for_receiver(&mut self, timeout: Duration) -> Result<bool> {
        wait_for_next(&mut self.core, timeout)
    }

    /// Sends a message if there is space for it, without waiting. The message is visible to the
    /// receiver when this returns.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] where there is no space; otherwise the errors of [`send`](Sender::send).
    #[inline]
    pub fn try_send(&mut self, message: &M) -> std::result::Result<(), SendError> {
        self.core.send(message.bytes(), Deadline::Now)
    }

    /// Sends a message, and waits until there is space. The message is visible to the receiver when
    /// this returns; a receiver that dies later may not have received it.
    ///
    /// # Errors
    ///
    /// [`SendError::Disconnected`] where the receiver has closed or died: at once where it closed, and
    /// where it died at the latest when the lane is full. The messages that were sent stay for the next
    /// receiver as long as any process holds the queue; the message of this call was not sent.
    /// [`SendError::TooLong`] where the message is longer than [`max_message`](Sender::max_message).
    #[inline]
    pub fn send(&mut self, message: &M) -> std::result::Result<(), SendError> {
        self.core.send(message.bytes(), Deadline::Never)
    }

    /// Sends a message, and waits for space at most this long.
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`] where there was no space in time; otherwise the errors of
    /// [`send`](Sender::send).
    pub fn send_timeout(
        &mut self,
        message: &M,
        timeout: Duration,
    ) -> std::result::Result<(), SendError> {
        self.core.send(message.bytes(), Deadline::within(timeout))
    }

    /// Begins a batch: its messages are sent together when it is flushed or dropped, with one wake-up
    /// where the receiver sleeps. To a receiver that does not sleep, short messages go no faster this
    /// way.
    #[must_use]
    pub fn batch(&mut self) -> Batch<'_, M> {
        Batch::new(&mut self.core)
    }

    /// Returns the same sender for messages of bytes, which sends messages of any length.
    #[must_use]
    pub fn into_untyped(self) -> Sender {
        Sender {
            core: self.core,
            messages: PhantomData,
        }
    }
}

impl<M: Payload + ?Sized> fmt::Debug for Sender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
