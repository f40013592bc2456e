//! Messages where they stand, in shared memory: read and written without a copy of the
//! whole.

use crate::error::channel::SendError;
use crate::lane::ring::Place;
use std::fmt;
use std::io::{self, Read, Write};

/// An end that has found a message, which stays where it is until it is passed.
pub trait Holds {
    fn copy(&self, at: usize, to: &mut [u8]);
    fn bytes(&self) -> *const u8;
    fn pass(&mut self);
}

fn assert_inside(message: usize, offset: usize, len: usize) {
    let inside = message.checked_sub(offset);
    assert!(inside.is_some_and(|left| len <= left), "beyond the message");
}

/// A message that was received and is still in shared memory; see
/// [`Receiver::recv_ref`](crate::Receiver::recv_ref). It is taken from the queue when this is dropped.
///
/// [`Read`] hands it out in pieces of any size. Each is a copy, as long as the caller's
/// buffer: what is read piece by piece need not leave the nearest cache.
pub struct MessageRef<'a, E: Holds> {
    endpoint: &'a mut E,
    len: usize,
    read: usize,
}

impl<'a, E: Holds> MessageRef<'a, E> {
    #[inline]
    pub(crate) fn new(endpoint: &'a mut E, len: usize) -> MessageRef<'a, E> {
        MessageRef {
            endpoint,
            len,
            read: 0,
        }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies a part of it that begins at an offset.
    ///
    /// # Panics
    ///
    /// Where the part is not inside the message.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) {
        assert_inside(self.len, offset, to.len());
        self.endpoint.copy(offset, to);
    }

    /// A copy of it.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = vec![0; self.len];
        self.copy_to(0, &mut all);
        all
    }

    /// The bytes themselves.
    ///
    /// # Safety
    ///
    /// Nobody changes them as long as the slice is used. No [`Sender`](crate::Sender) does, but any
    /// process that may send can write all lanes of the queue, and one that is broken or
    /// hostile may do so at any time, while the compiler takes the bytes for constant. What
    /// must hold against such a process is read by [`Read`] or [`copy_to`](MessageRef::copy_to).
    #[must_use]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: in the lane, which the end keeps mapped; the writer leaves it alone
        // until it is passed, which the drop of this guard does; the rest is the caller's
        // promise.
        unsafe { std::slice::from_raw_parts(self.endpoint.bytes(), self.len) }
    }
}

impl<E: Holds> Read for MessageRef<'_, E> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = to.len().min(self.len - self.read);
        self.copy_to(self.read, &mut to[..len]);
        self.read += len;
        Ok(len)
    }
}

impl<E: Holds> Drop for MessageRef<'_, E> {
    // layout: L114
    #[inline]
    fn drop(&mut self) {
        self.endpoint.pass();
    }
}

impl<E: Holds> fmt::Debug for MessageRef<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageRef")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// An end that sends what is written in place.
pub trait Claimed {
    fn fill(&self, place: Place, at: usize, bytes: &[u8]);
    fn bytes(&self, place: Place, len: usize) -> *mut u8;
    fn commit(&mut self, place: Place, len: usize) -> Result<(), SendError>;
}

/// Room for a message in shared memory; see [`Sender::claim`](crate::Sender::claim) and
/// [`Publisher::claim`](crate::Publisher::claim). It is sent by [`commit`](Claim::commit); dropped before, it is
/// as if it had never been.
///
/// What is not written has any value: that of messages sent before.
///
/// [`Write`] writes it from its beginning on, until it is full.
#[must_use = "it is sent by `commit`"]
pub struct Claim<'a, E: Claimed> {
    endpoint: &'a mut E,
    place: Place,
    len: usize,
    written: usize,
}

impl<'a, E: Claimed> Claim<'a, E> {
    #[inline]
    pub(crate) fn new(endpoint: &'a mut E, place: Place, len: usize) -> Claim<'a, E> {
        Claim {
            endpoint,
            place,
            len,
            written: 0,
        }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes a part of it that begins at an offset.
    ///
    /// # Panics
    ///
    /// Where the part is not inside the message.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        assert_inside(self.len, offset, bytes.len());
        self.endpoint.fill(self.place, offset, bytes);
    }

    /// The bytes themselves, as they are: not zero.
    ///
    /// # Safety
    ///
    /// No other process writes them as long as the slice is used. No end of ours does, but
    /// any process that may send to the queue could. A topic's are written by its publisher
    /// alone. What must hold against such a process is written by [`Write`] or
    /// [`write_at`](Claim::write_at).
    #[must_use]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: in the lane, which the end keeps mapped; readers look at it when it is
        // committed, which needs this claim; the rest is the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(self.endpoint.bytes(self.place, self.len), self.len)
        }
    }

    /// Sends it.
    ///
    /// # Errors
    ///
    /// [`SendError::Forked`] in a process that was forked from that of the endpoint; otherwise none:
    /// the message had its place.
    #[inline]
    pub fn commit(self) -> Result<(), SendError> {
        self.endpoint.commit(self.place, self.len)
    }
}

impl<E: Claimed> Write for Claim<'_, E> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.len - self.written);
        self.write_at(self.written, &bytes[..len]);
        self.written += len;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<E: Claimed> fmt::Debug for Claim<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
