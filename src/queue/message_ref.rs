//! Messages that are read in shared memory, without a copy of the whole.

use super::receiving::Receiving;
use crate::format::describe::Described;
use crate::format::payload::Payload;
use crate::lane::in_place::InPlace;
use crate::lane::stamp::time_of;
use crate::os::ProcessIdentity;
use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::time::SystemTime;

/// A received message that is still in shared memory; see
/// [`Receiver::recv_ref`](crate::Receiver::recv_ref). Dropping the reference takes the message from
/// the queue.
///
/// [`Read`] reads the message in pieces of any size. Each piece is a copy, as long as the caller's
/// buffer: a message that is read piece by piece need not leave the nearest cache.
pub struct MessageRef<'a, M: Payload + ?Sized = [u8]> {
    message: InPlace<'a, Receiving>,
    payload: PhantomData<fn() -> &'a M>,
}

impl<T: Described> MessageRef<'_, T> {
    /// Returns a copy of the value.
    #[must_use]
    pub fn value(&self) -> T {
        // A message of a type has the length of the type (`recv_ref`).
        self.message.value()
    }
}

impl<'a, M: Payload + ?Sized> MessageRef<'a, M> {
    /// Makes the reference to the message that was found last, whose length fits the type.
    #[inline]
    pub(crate) fn new(receiver: &'a mut Receiving, len: usize) -> MessageRef<'a, M> {
        MessageRef {
            message: InPlace::new(receiver, len),
            payload: PhantomData,
        }
    }

    /// Returns the length of the message in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.message.len()
    }

    /// Returns whether the message has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies a part of the message, beginning at `offset`.
    ///
    /// # Panics
    ///
    /// Panics if the part is not inside the message.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) {
        self.message.copy_to(offset, to);
    }

    /// Returns a copy of the message.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.message.to_vec()
    }

    /// Returns the process that has sent the message; `None` if its sender has gone, also if another
    /// sender has its lane now.
    ///
    /// The identity is what the sender itself has stored: it identifies the process of a sender that
    /// follows the rules, and authenticates nobody. Any process that may send can store another
    /// identity. [`ProcessIdentity::image`] and [`ProcessIdentity::user`] ask the system about the
    /// process.
    #[must_use]
    pub fn sender(&self) -> Option<ProcessIdentity> {
        self.message.source().sender_process()
    }

    /// Returns when the message was sent, by the system's clock of its sender; `None` if the queue has
    /// no [time stamps](crate::QueueOptions::timestamps). The time is what the sender has stored.
    #[must_use]
    pub fn sent_at(&self) -> Option<SystemTime> {
        self.message.source().found_stamp().and_then(time_of)
    }

    /// Returns the bytes of the message in place.
    ///
    /// # Safety
    ///
    /// No process changes the bytes as long as the slice is used. No [`Sender`](crate::Sender)
    /// does, but any process that may send can write all lanes of the queue. A broken or hostile
    /// process may do so at any time, although the compiler assumes that the bytes do not change.
    /// Against such a process, use [`Read`] or [`copy_to`](MessageRef::copy_to).
    #[must_use]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the caller promises that no process changes the bytes. A thread of this process
        // changes them only as a sender, which writes there only after the message was passed.
        unsafe { self.message.as_slice() }
    }
}

impl<M: Payload + ?Sized> Read for MessageRef<'_, M> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.message.read(to)
    }
}

impl<M: Payload + ?Sized> fmt::Debug for MessageRef<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageRef")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
