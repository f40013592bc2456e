//! Values that are read in shared memory, without a copy of the whole.

use super::reading::Reading;
use crate::format::describe::Described;
use crate::format::payload::Payload;
use crate::lane::in_place::InPlace;
use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;

/// A value that is still in shared memory; see [`Reader::get_ref`](crate::Reader::get_ref). The value
/// stays as it is until the reference is dropped, also if the writer sets later values meanwhile.
///
/// [`Read`] reads the value in pieces of any size. Each piece is a copy, as long as the caller's
/// buffer.
///
/// An [observer](crate::ReaderOptions::observer) stores nothing in shared memory, so the writer does
/// not know what an observer reads. Its reference holds a copy of the value.
pub struct ValueRef<'a, M: Payload + ?Sized = [u8]> {
    value: InPlace<'a, Reading>,
    number: u64,
    message: PhantomData<fn() -> &'a M>,
}

impl<T: Described> ValueRef<'_, T> {
    /// Returns a copy of the value.
    #[must_use]
    pub fn value(&self) -> T {
        // A value of a type has the length of the type (`get_ref`).
        self.value.value()
    }
}

impl<'a, M: Payload + ?Sized> ValueRef<'a, M> {
    /// Makes the reference to the value that was held last, whose length fits the type.
    pub(crate) fn new(reader: &'a mut Reading, len: usize, number: u64) -> ValueRef<'a, M> {
        ValueRef {
            value: InPlace::new(reader, len),
            number,
            message: PhantomData,
        }
    }

    /// Returns the length of the value in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.value.len()
    }

    /// Returns whether the value has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of the value, as [`Reader::version`](crate::Reader::version) returned it
    /// while this was the newest value.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.number
    }

    /// Copies a part of the value, beginning at `offset`.
    ///
    /// # Panics
    ///
    /// Panics if the part is not inside the value.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) {
        self.value.copy_to(offset, to);
    }

    /// Returns a copy of the value.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.value.to_vec()
    }

    /// Returns the bytes of the value in place.
    ///
    /// # Safety
    ///
    /// No process changes the bytes as long as the slice is used. No [`Writer`](crate::Writer) does,
    /// and readers map the values read-only. But a broken or hostile process of the writer's account
    /// may do so at any time, although the compiler assumes that the bytes do not change. Against such
    /// a process, use [`Read`] or [`copy_to`](ValueRef::copy_to).
    #[must_use]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the caller promises that no process changes the bytes. A thread of this process
        // changes them only as the writer of the values, which leaves the slot alone until the guard
        // is released.
        unsafe { self.value.as_slice() }
    }
}

impl<M: Payload + ?Sized> Read for ValueRef<'_, M> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.value.read(to)
    }
}

impl<M: Payload + ?Sized> fmt::Debug for ValueRef<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueRef")
            .field("len", &self.len())
            .field("version", &self.number)
            .finish_non_exhaustive()
    }
}
