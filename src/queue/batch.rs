//! Messages that are sent together.

use super::sending::Sending;
use crate::error::channel::SendError;
use crate::format::payload::Payload;
use crate::wait::spin::Deadline;
use std::marker::PhantomData;

/// Messages that are sent together; see [`Sender::batch`](crate::Sender::batch).
///
/// A message that was added is sent by [`flush`](Batch::flush), at the end of the batch, with the
/// sixteenth message, and before any call that waits. A crash before that loses it.
#[derive(Debug)]
pub struct Batch<'a, M: Payload + ?Sized = [u8]> {
    sender: &'a mut Sending,
    count: u32,
    messages: PhantomData<fn(&M)>,
}

/// After so many messages a batch is sent.
const BATCH: u32 = 16;

impl<'a, M: Payload + ?Sized> Batch<'a, M> {
    pub(crate) fn new(sender: &'a mut Sending) -> Batch<'a, M> {
        Batch {
            sender,
            count: 0,
            messages: PhantomData,
        }
    }

    /// Adds a message, and waits until there is space.
    ///
    /// # Errors
    ///
    /// The errors of [`Sender::send`](crate::Sender::send).
    #[inline]
    pub fn send(&mut self, message: &M) -> Result<(), SendError> {
        self.add(message, Deadline::Never)
    }

    /// Adds a message if there is space for it, without waiting.
    ///
    /// # Errors
    ///
    /// The errors of [`Sender::try_send`](crate::Sender::try_send). The messages before are sent then.
    #[inline]
    pub fn try_send(&mut self, message: &M) -> Result<(), SendError> {
        self.add(message, Deadline::Now)
    }

    #[inline]
    fn add(&mut self, message: &M, deadline: Deadline) -> Result<(), SendError> {
        if self.sender.add(message.bytes(), deadline)? {
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
    /// [`SendError::Forked`] in a process that was forked from that of the sender; otherwise none:
    /// each added message had its space.
    pub fn flush(&mut self) -> Result<(), SendError> {
        self.count = 0;
        self.sender.flush()
    }
}

impl<M: Payload + ?Sized> Drop for Batch<'_, M> {
    // layout: L069
    fn drop(&mut self) {
        // In a child that was forked nothing is sent.
        let _ = self.flush();
    }
}
