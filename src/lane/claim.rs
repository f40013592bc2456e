//! Messages that are written in shared memory, without a copy of the whole.

use crate::error::channel::SendError;
use crate::lane::ring::Place;
use std::fmt;
use std::io::{self, Write};

pub(crate) fn assert_inside(message: usize, offset: usize, len: usize) {
    let inside = message.checked_sub(offset);
    assert!(inside.is_some_and(|left| len <= left), "beyond the message");
}

/// An endpoint that sends messages which were written in place.
pub trait Claimed {
    fn fill(&self, place: Place, at: usize, bytes: &[u8]);
    fn bytes(&self, place: Place, len: usize) -> *mut u8;
    fn commit(&mut self, place: Place, len: usize) -> Result<(), SendError>;
    /// Commits a message with a source number, if the endpoint has a source key.
    fn commit_numbered(
        &mut self,
        _place: Place,
        _len: usize,
        _number: u64,
    ) -> Result<(), SendError> {
        Err(SendError::NoSource)
    }
}

/// Room for a message in shared memory; see [`Sender::claim`](crate::Sender::claim) and
/// [`Publisher::claim`](crate::Publisher::claim). [`commit`](Claim::commit) sends the message. A
/// claim that is dropped without `commit` sends nothing.
///
/// Bytes that the caller does not write have arbitrary values: bytes of earlier messages.
///
/// [`Write`] writes the message from its beginning, until the message is full.
#[must_use = "it is sent by `commit`"]
pub struct Claim<'a> {
    endpoint: &'a mut dyn Claimed,
    place: Place,
    len: usize,
    written: usize,
}

impl<'a> Claim<'a> {
    #[inline]
    pub(crate) fn new(endpoint: &'a mut dyn Claimed, place: Place, len: usize) -> Claim<'a> {
        Claim {
            endpoint,
            place,
            len,
            written: 0,
        }
    }

    /// Returns the length of the message in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the message has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes a part of the message, beginning at `offset`.
    ///
    /// # Panics
    ///
    /// Panics if the part is not inside the message.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        assert_inside(self.len, offset, bytes.len());
        self.endpoint.fill(self.place, offset, bytes);
    }

    /// Returns the bytes of the message in place, as they are: they are not zeroed.
    ///
    /// # Safety
    ///
    /// As long as the slice is used:
    ///
    /// - No other process writes the bytes. No endpoint of this crate does, but any process that
    ///   may send to the queue can. The bytes of a topic are written by its publisher alone.
    /// - No other thread of this process reads the bytes. A subscriber of a lossy topic does if it
    ///   is so slow that it still copies the old message that was stored there.
    ///
    /// If one of these conditions does not hold, use [`Write`] or [`write_at`](Claim::write_at).
    #[must_use]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: `Claimed::bytes` gives the address of `len` bytes that `Window::bytes` keeps
        // inside the lane: one mapping, readable and writable, which the endpoint keeps as long as
        // `self` borrows it. They are initialized, as all mapped memory is, and need no alignment.
        // "The memory referenced by the returned slice must not be accessed through any other
        // pointer (not derived from the return value) for the duration of lifetime 'a"
        // (slice::from_raw_parts_mut): `self` is borrowed exclusively, and with it the one writer
        // of the lane; a receiver reads the bytes only after `commit`, which consumes `self`; the
        // accesses of other processes and of slow subscribers in this process are the caller's
        // promise.
        unsafe {
            std::slice::from_raw_parts_mut(self.endpoint.bytes(self.place, self.len), self.len)
        }
    }

    /// Sends the message.
    ///
    /// # Errors
    ///
    /// [`SendError::Forked`]: this process was forked from the process of the endpoint. There is no
    /// other error, since the claim reserved the place of the message.
    #[inline]
    pub fn commit(self) -> Result<(), SendError> {
        self.endpoint.commit(self.place, self.len)
    }

    /// Sends the message with a source number; see
    /// [`Sender::send_numbered`](crate::Sender::send_numbered).
    ///
    /// # Errors
    ///
    /// - [`SendError::NoSource`] if the sender was opened without a
    ///   [source key](crate::SenderOptions::source), or if a publisher has made the claim.
    /// - [`SendError::Forked`] in a process that was forked from the process of the endpoint.
    pub fn commit_numbered(self, number: u64) -> Result<(), SendError> {
        self.endpoint.commit_numbered(self.place, self.len, number)
    }
}

impl Write for Claim<'_> {
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

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
