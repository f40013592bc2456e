//! Messages of a topic that are read in shared memory, without a copy of the whole.

use super::subscribing::Subscribing;
use crate::error::publisher_id::PublisherId;
use crate::format::describe::Described;
use crate::format::payload::Payload;
use crate::lane::in_place::InPlace;
use crate::lane::stamp::time_of;
use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::time::SystemTime;

/// A message of a topic that is still in shared memory; see
/// [`Subscriber::recv_ref`](crate::Subscriber::recv_ref). The subscriber goes on to the next message
/// when the reference is dropped.
///
/// [`Read`] and [`copy_to`](TopicRef::copy_to) read the message in pieces. A publisher that waits for
/// this subscriber does not overwrite the message meanwhile. Any other publisher may do so. Therefore
/// call [`verify`](TopicRef::verify) after reading, and discard everything that was read if it returns
/// `false`.
pub struct TopicRef<'a, M: Payload + ?Sized = [u8]> {
    message: InPlace<'a, Subscribing>,
    payload: PhantomData<fn() -> &'a M>,
}

impl<T: Described> TopicRef<'_, T> {
    /// Returns a copy of the value; `None` if the message was overwritten before the copy was
    /// complete.
    #[must_use]
    pub fn value(&mut self) -> Option<T> {
        // A message of a type has the length of the type (`recv_ref`).
        let value = self.message.value();
        self.verify().then_some(value)
    }
}

impl<'a, M: Payload + ?Sized> TopicRef<'a, M> {
    /// Makes the reference to the message that was found last, whose length fits the type.
    pub(crate) fn new(subscriber: &'a mut Subscribing, len: usize) -> TopicRef<'a, M> {
        TopicRef {
            message: InPlace::new(subscriber, len),
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

    /// Copies a part of the message, beginning at `offset`. What was copied is valid if
    /// [`verify`](TopicRef::verify) returns `true` afterwards.
    ///
    /// # Panics
    ///
    /// Panics if the part is not inside the message.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) {
        self.message.copy_to(offset, to);
    }

    /// Returns a copy of the message; `None` if the message was overwritten before the copy was
    /// complete.
    #[must_use]
    pub fn to_vec(&mut self) -> Option<Vec<u8>> {
        let all = self.message.to_vec();
        self.verify().then_some(all)
    }

    /// Returns whether everything that was read up to now is what the publisher has sent. If not, a
    /// publisher may have overwritten the message while it was read, so discard what was read.
    ///
    /// The message counts as received if the last call returned `true`, or if the message is whole
    /// when the reference is dropped. Otherwise the message counts as missed: the next call of
    /// [`recv`](crate::Subscriber::recv) returns [`Lagged`](crate::RecvError::Lagged), and the number
    /// includes the message.
    ///
    /// On a [lossless](crate::Delivery::Lossless) topic `verify` returns `true`, unless the subscriber
    /// is an [observer](crate::SubscriberOptions::observer), or a publisher has given it up
    /// ([`LosslessFor`](crate::Delivery::LosslessFor)).
    #[must_use]
    pub fn verify(&mut self) -> bool {
        self.message.source_mut().verify()
    }

    /// Returns the publisher of the message; see [`Subscriber::publisher`](crate::Subscriber::publisher).
    #[must_use]
    pub fn publisher(&self) -> Option<PublisherId> {
        self.message.source().publisher()
    }

    /// Returns when the message was sent, by the clock of the publisher's system; `None` if the topic
    /// has no [time stamps](crate::TopicOptions::timestamps).
    #[must_use]
    pub fn sent_at(&self) -> Option<SystemTime> {
        self.message.source().stamp().and_then(time_of)
    }

    /// Returns the bytes of the message in place.
    ///
    /// # Safety
    ///
    /// No process and no other thread changes the bytes as long as the slice is used. This is true if
    /// the topic is lossless, this subscriber is no observer, and no publisher gives it up meanwhile. It
    /// is not true of a lossy topic whose publisher goes on, even if [`verify`](TopicRef::verify) is
    /// called afterwards. A broken or hostile publisher may change the bytes of any topic. Without that
    /// promise, use [`Read`] or [`copy_to`](TopicRef::copy_to).
    #[must_use]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the caller promises that no process and no thread changes the bytes.
        unsafe { self.message.as_slice() }
    }
}

impl<M: Payload + ?Sized> Read for TopicRef<'_, M> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.message.read(to)
    }
}

impl<M: Payload + ?Sized> fmt::Debug for TopicRef<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicRef")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
