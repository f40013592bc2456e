//! The one door to atomics: cells in shared memory, copies of bytes that another
//! process may be writing, and windows of both.
//!
//! Memory that a peer can write is only ever touched here, by atomic loads and
//! stores. A plain `memcpy` of such bytes would be a data race, and a `&[u8]`
//! over them a lie to the compiler.

mod copy;
mod window;

use copy::{IN, OUT, copy_past_caches, copy_quickly};
pub(crate) use copy::{copy_in, copy_out, ticks};
#[cfg(test)]
pub(crate) use window::heap;
pub(crate) use window::{Fixed, Round, Shared, Window, WindowMut, Words, WordsMut};

use std::marker::PhantomData;
#[allow(unused_imports, reason = "not every system has use for it")]
pub(crate) use std::sync::atomic::AtomicU8;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

const WORD: usize = size_of::<usize>();

/// Keeps the compiler from moving anything across; the processor may.
#[inline]
pub(crate) fn compiler_fence_full() {
    // SeqCst: pairs with nothing in another process; it binds the compiler alone.
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// A `u32` or `u64` in a view that may be read-only; it can only be loaded.
///
/// Loads are relaxed, followed by an acquire fence: that is what Rust promises
/// to be valid on memory mapped read-only. It pairs with a release store (or a
/// full barrier) of whoever writes the word.
#[derive(Clone, Copy)]
pub struct ReadCell<'a, T> {
    at: *const T,
    view: PhantomData<&'a T>,
}

// SAFETY: the cell only loads, atomically; any thread may do that.
unsafe impl<T> Send for ReadCell<'_, T> {}
// SAFETY: as above.
unsafe impl<T> Sync for ReadCell<'_, T> {}

impl<T> std::fmt::Debug for ReadCell<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadCell").finish_non_exhaustive()
    }
}

impl ReadCell<'_, u32> {
    /// The value now; what the writer stored before it is visible afterwards.
    #[inline]
    #[must_use]
    pub fn load(self) -> u32 {
        // SAFETY: `read_cell` was told that `at` is valid and aligned for 'a.
        let value = unsafe { &*self.at.cast::<AtomicU32>() }.load(Ordering::Relaxed);
        // Acquire: pairs with the release store of the process that writes the word.
        fence(Ordering::Acquire);
        value
    }
}

impl ReadCell<'_, u64> {
    /// The value now; what the writer stored before it is visible afterwards.
    ///
    /// # Platform notes
    ///
    /// On a 32-bit target the word is read in halves until the upper half holds
    /// still. That is whole for a counter that never jumps by 2^32 between two
    /// loads; for other words use two `u32` and a rule of your own.
    #[inline]
    #[must_use]
    pub fn load(self) -> u64 {
        let value = if WORD == 8 {
            // SAFETY: `read_cell` was told that `at` is valid and aligned for 'a.
            unsafe { &*self.at.cast::<AtomicU64>() }.load(Ordering::Relaxed)
        } else {
            self.load_halves()
        };
        // Acquire: pairs with the release store of the process that writes the word.
        fence(Ordering::Acquire);
        value
    }

    // layout: L005
    fn load_halves(self) -> u64 {
        let high_first = usize::from(cfg!(target_endian = "little"));
        let half = |n: usize| {
            // SAFETY: both halves lie in the u64 at `at`, which is valid for 'a.
            let word = unsafe { &*self.at.cast::<AtomicU32>().add(n) };
            word.load(Ordering::Relaxed)
        };
        loop {
            let before = half(high_first);
            // Acquire: the low half is read after the first look at the upper one,
            // and before the second; pairs with the atomic 64-bit store.
            fence(Ordering::Acquire);
            let low = half(1 - high_first);
            fence(Ordering::Acquire);
            if half(high_first) == before {
                return u64::from(before) << 32 | u64::from(low);
            }
        }
    }
}

/// A cell that is only read.
///
/// # Safety
///
/// `at` is aligned for `T`, readable for all of `'a`, and whatever is written
/// there meanwhile is written atomically or by another process.
#[inline]
pub(crate) unsafe fn read_cell<'a, T>(at: *const T) -> ReadCell<'a, T> {
    ReadCell {
        at,
        view: PhantomData,
    }
}

/// A word that any process with the section may change.
///
/// # Safety
///
/// `at` is aligned to 4, readable and writable for all of `'a`, and whatever is
/// written there meanwhile is written atomically or by another process.
#[inline]
pub(crate) unsafe fn atomic_u32<'a>(at: *mut u32) -> &'a AtomicU32 {
    // SAFETY: the caller's promise is that of `from_ptr`.
    unsafe { AtomicU32::from_ptr(at) }
}

/// A word that any process with the section may change.
///
/// # Safety
///
/// As [`atomic_u32`], aligned to 8.
#[inline]
pub(crate) unsafe fn atomic_u64<'a>(at: *mut u64) -> &'a AtomicU64 {
    // SAFETY: the caller's promise is that of `from_ptr`.
    unsafe { AtomicU64::from_ptr(at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // layout: L005
    #[test]
    fn cells_load_what_was_stored() {
        let word = AtomicU64::new(0);
        // Pairs with the loads below, in the same thread.
        word.store(0x0123_4567_89ab_cdef, Ordering::Release);
        // SAFETY: `word` outlives the cells and is only written atomically.
        let cell = unsafe { read_cell(word.as_ptr().cast_const()) };
        assert_eq!(cell.load(), 0x0123_4567_89ab_cdef);
        assert_eq!(cell.load_halves(), 0x0123_4567_89ab_cdef);
        let narrow = AtomicU32::new(7);
        // SAFETY: as above.
        assert_eq!(unsafe { read_cell(narrow.as_ptr().cast_const()) }.load(), 7);
    }
}
