//! The endpoints that carry messages: two traits, and their implementations for the endpoints of
//! shmkit.

use crate::{Message, Result};
use shmkit::{Batch, Publisher, Receiver, Sender, Subscriber};

/// An endpoint that sends messages.
pub trait Outbox {
    /// Sends a message, and waits if there is no space for the message.
    ///
    /// # Errors
    ///
    /// An error if the message could not be sent, for instance because the other process ended.
    fn send(&mut self, message: Message<'_>) -> Result<()>;

    /// Sends the messages that `send` has held back. By default `send` holds no message back.
    ///
    /// # Errors
    ///
    /// The errors of [`Outbox::send`].
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// An endpoint that receives messages.
pub trait Inbox {
    /// Waits for the next message, passes the message to `look`, and returns the result of `look`.
    ///
    /// # Errors
    ///
    /// An error if no message can be received, for instance because the other process ended.
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T>;
}

impl Outbox for Sender {
    #[inline(always)]
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        Ok(Sender::send(self, message.body())?)
    }
}

impl Outbox for Batch<'_> {
    #[inline(always)]
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        Ok(Batch::send(self, message.body())?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(Batch::flush(self)?)
    }
}

impl Outbox for Publisher {
    #[inline(always)]
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        Ok(Publisher::send(self, message.body())?)
    }
}

impl Inbox for Receiver {
    #[inline(always)]
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(self.recv()?))
    }
}

impl Inbox for Subscriber {
    #[inline(always)]
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(self.recv()?))
    }
}
