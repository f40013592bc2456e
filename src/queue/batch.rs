//! Batches of a queue: messages that are sent together.

use super::sending::Sending;
use crate::error::channel::SendError;
use crate::format::payload::Payload;
use crate::wait::spin::Deadline;
use std::marker::PhantomData;

/// A batch of messages that are sent together; see [`Sender::batch`](crate::Sender::batch).
///
/// The batch sends the messages that were added to it when [`flush`](Batch::flush) is called, when
/// the sixteenth message is added, before it waits for space, and when it is dropped. A crash
/// before that loses the added messages.
#[derive(Debug)]
pub struct Batch<'a, M: Payload + ?Sized = [u8]> {
    sender: &'a mut Sending,
    count: u32,
    messages: PhantomData<fn(&M)>,
}

/// The number of messages after which a batch is sent.
const BATCH: u32 = 16;

impl<'a, M: Payload + ?Sized> Batch<'a, M> {
    pub(crate) fn new(sender: &'a mut Sending) -> Batch<'a, M> {
        Batch {
            sender,
            count: 0,
            messages: PhantomData,
        }
    }

    /// Adds a message to the batch, and blocks until there is space for the message.
    ///
    /// # Errors
    ///
    /// The errors of [`Sender::send`](crate::Sender::send).
    #[inline]
    pub fn send(&mut self, message: &M) -> Result<(), SendError> {
        self.add(message, Deadline::Never)
    }

    /// Adds a message to the batch if there is space for the message, without blocking.
    ///
    /// # Errors
    ///
    /// The errors of [`Sender::try_send`](crate::Sender::try_send). With [`SendError::Full`], the
    /// messages that were added before are sent.
    #[inline]
    pub fn try_send(&mut self, message: &M) -> Result<(), SendError> {
        self.add(message, Deadline::Now)
    }

    /// Adds a message with a source number to the batch, and blocks until there is space for the
    /// message. The number counts when the message is sent; see
    /// [`Sender::send_numbered`](crate::Sender::send_numbered).
    ///
    /// # Errors
    ///
    /// The errors of [`Sender::send_numbered`](crate::Sender::send_numbered).
    pub fn send_numbered(&mut self, number: u64, message: &M) -> Result<(), SendError> {
        let how = (Deadline::Never, true);
        let has_sent = self.sender.send_numbered(number, message.bytes(), how)?;
        self.count_one(has_sent)
    }

    #[inline]
    fn add(&mut self, message: &M, deadline: Deadline) -> Result<(), SendError> {
        let has_sent = self.sender.add(message.bytes(), deadline)?;
        self.count_one(has_sent)
    }

    /// Counts a message that was added. `has_sent` says whether the messages before are sent.
    #[inline]
    fn count_one(&mut self, has_sent: bool) -> Result<(), SendError> {
        if has_sent {
            self.count = 0;
        }
        self.count += 1;
        if self.count >= BATCH {
            return self.flush();
        }
        Ok(())
    }

    /// Sends the messages that were added.
    ///
    /// # Errors
    ///
    /// [`SendError::Forked`] in a process that was forked from the process that opened the sender.
    /// There are no other errors: each added message has its space.
    pub fn flush(&mut self) -> Result<(), SendError> {
        self.count = 0;
        self.sender.flush()
    }
}

impl<M: Payload + ?Sized> Drop for Batch<'_, M> {
    // layout: L069
    fn drop(&mut self) {
        // A forked child sends nothing.
        let _ = self.flush();
    }
}
