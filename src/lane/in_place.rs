//! Messages and values that are read where they are in shared memory: what all references to them
//! share.

use super::claim::assert_inside;
use crate::format::describe::Described;
use std::io::{self, Read};

/// An endpoint whose last message or value stays where it is until it is released.
pub trait Source {
    /// Copies bytes of the message, beginning at `offset`. The caller checks that they are inside the
    /// message.
    fn copy(&self, offset: usize, to: &mut [u8]);
    /// Returns the address of the message. All its bytes are inside one mapping, or inside a buffer of
    /// the endpoint.
    fn bytes(&self) -> *const u8;
    /// Ends the use of the message.
    fn release(&mut self);
}

/// A message or a value that stays where it is until this is dropped.
pub(crate) struct InPlace<'a, S: Source> {
    source: &'a mut S,
    len: usize,
    read: usize,
}

impl<'a, S: Source> InPlace<'a, S> {
    /// `len` is the length of the message that the endpoint has found last.
    #[inline]
    pub fn new(source: &'a mut S, len: usize) -> InPlace<'a, S> {
        InPlace {
            source,
            len,
            read: 0,
        }
    }

    pub fn source(&self) -> &S {
        self.source
    }

    pub fn source_mut(&mut self) -> &mut S {
        self.source
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn copy_to(&self, offset: usize, to: &mut [u8]) {
        assert_inside(self.len, offset, to.len());
        self.source.copy(offset, to);
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = vec![0; self.len];
        self.copy_to(0, &mut all);
        all
    }

    /// Returns a copy of the value. The caller has checked that the message has the length of the
    /// type.
    pub fn value<T: Described>(&self) -> T {
        let mut value = T::new_zeroed();
        self.copy_to(0, value.as_mut_bytes());
        value
    }

    /// # Safety
    ///
    /// No process and no other thread changes the bytes as long as the slice is used.
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: `Source::bytes` gives the address of the message of `len` bytes that the endpoint
        // has found, whose bytes `Window::bytes` keeps inside one mapping, or which are in a buffer
        // of the endpoint; the endpoint keeps both as long as `self` borrows it. They are
        // initialized, as all mapped memory is, and need no alignment. "The memory referenced by the
        // returned slice must not be mutated for the duration of lifetime 'a"
        // (slice::from_raw_parts): the endpoint changes its buffer, and lets others write the bytes,
        // only after `Source::release`, which the drop of `self` calls; that nobody writes them
        // nevertheless is the caller's promise.
        unsafe { std::slice::from_raw_parts(self.source.bytes(), self.len) }
    }
}

impl<S: Source> Read for InPlace<'_, S> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = to.len().min(self.len - self.read);
        self.copy_to(self.read, &mut to[..len]);
        self.read += len;
        Ok(len)
    }
}

impl<S: Source> Drop for InPlace<'_, S> {
    #[inline]
    fn drop(&mut self) {
        self.source.release();
    }
}
