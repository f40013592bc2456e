//! The only module that uses atomics: cells in shared memory, copies of bytes that another process
//! may be writing, and windows that give access to both.
//!
//! Only this module accesses memory that a peer can write. It uses atomics and assembly code
//! (`copy`). A plain `memcpy` of such bytes would be a data race, and a `&[u8]` of them would
//! promise the compiler that they do not change.

mod copy;
#[cfg(all(test, not(miri), not(windows)))]
pub(crate) mod explore;
mod machine;
mod window;

pub(crate) use copy::{copy_in, copy_out, ticks};
use copy::{copy_past_caches, copy_quickly};
use machine::{IN, OUT, load_half};
#[cfg(test)]
pub(crate) use window::Ring;
#[cfg(test)]
pub(crate) use window::heap;
pub(crate) use window::{
    AtLeast, Fixed, RingWindow, RingWindowMut, RingWords, RingWordsMut, Shared, Window, WindowMut,
    Words, WordsMut,
};

use std::marker::PhantomData;
#[allow(unused_imports, reason = "not every system has use for it")]
pub(crate) use std::sync::atomic::AtomicU8;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

const WORD: usize = size_of::<usize>();

/// Keeps the compiler from moving accesses across this call; the processor may move them.
#[inline]
pub(crate) fn compiler_fence_full() {
    // SeqCst: pairs with nothing in another process; it binds the compiler alone.
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// A `u32` or `u64` in a view that may be read-only. It can only be loaded.
///
/// A load is relaxed, and an acquire fence follows. Rust allows relaxed loads on memory that is
/// mapped read-only. The fence pairs with a release store (or a full barrier) of the process that
/// writes the word.
#[derive(Clone, Copy)]
pub struct ReadCell<'a, T> {
    at: *const T,
    view: PhantomData<&'a T>,
}

// SAFETY: the only operations of a cell are loads that `read_cell`'s caller promised to be valid
// for 'a, on whichever thread: they are atomic, or assembly code (`machine`). A cell owns nothing
// that another thread could drop.
unsafe impl<T> Send for ReadCell<'_, T> {}
// SAFETY: a type is `Sync` if "there is no possibility of undefined behavior (including data races)
// when passing `&T` references between threads" (std::marker::Sync). A cell has no method that
// changes the cell, and its loads are valid on any thread by the promise of `read_cell`'s caller.
unsafe impl<T> Sync for ReadCell<'_, T> {}

impl<T> std::fmt::Debug for ReadCell<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadCell").finish_non_exhaustive()
    }
}

impl ReadCell<'_, u32> {
    /// Loads the value. Everything that the writer stored before the word is visible afterwards.
    #[inline]
    #[must_use]
    pub fn load(self) -> u32 {
        // SAFETY: the caller of `read_cell` promised that `at` is aligned to 4 and readable for 'a,
        // as the conversion of a pointer to a shared reference needs; the bytes change inside an
        // atomic, which is an `UnsafeCell` (std::ptr, Pointer to reference conversion). The memory
        // may be mapped read-only: relaxed loads up to a size, which is 4 bytes or more on every
        // target of the table, "are implemented in a way that works on read-only memory"
        // (std::sync::atomic).
        let value = unsafe { &*self.at.cast::<AtomicU32>() }.load(Ordering::Relaxed);
        // Acquire: pairs with the release store of the process that writes the word.
        fence(Ordering::Acquire);
        value
    }
}

impl ReadCell<'_, u64> {
    /// Loads the value. Everything that the writer stored before the word is visible afterwards.
    ///
    /// # Platform notes
    ///
    /// On a 32-bit target the two halves are loaded separately. The load is repeated until the
    /// upper half is the same before and after the load of the lower half. The value is whole if
    /// the word is a counter that never jumps by 2^32 between two loads. For other words use two
    /// `u32` and a rule of your own.
    #[inline]
    #[must_use]
    pub fn load(self) -> u64 {
        let value = if WORD == 8 {
            // SAFETY: the caller of `read_cell` promised that `at` is aligned to 8 and readable for
            // 'a, as the conversion of a pointer to a shared reference needs; the bytes change
            // inside an atomic, which is an `UnsafeCell` (std::ptr, Pointer to reference
            // conversion). The memory may be mapped read-only: relaxed loads up to a size, which is
            // 8 bytes on the 64-bit targets of the table, "are implemented in a way that works on
            // read-only memory" (std::sync::atomic).
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
            // SAFETY: `n` is 0 or 1, so the half lies in the `u64` at `at`. The caller of
            // `read_cell` promised that the `u64` is aligned to 8 and readable for 'a, and that it
            // is changed through `sync` or by another process.
            unsafe { load_half(self.at.cast::<u32>().wrapping_add(n)) }
        };

        loop {
            let before = half(high_first);
            // Acquire: the lower half is loaded after the first load of the upper half, and before
            // the second; pairs with the atomic 64-bit store.
            fence(Ordering::Acquire);
            let low = half(1 - high_first);
            fence(Ordering::Acquire);
            if half(high_first) == before {
                return u64::from(before) << 32 | u64::from(low);
            }
        }
    }
}

/// Returns a cell that is only read; `T` is `u32` or `u64`.
///
/// # Safety
///
/// `at` is aligned to the size of `T` and readable for all of `'a`. Meanwhile its bytes are changed
/// by another process or through `sync` only: by atomic accesses of the size of `T`, and by copies.
#[inline]
pub(crate) unsafe fn read_cell<'a, T>(at: *const T) -> ReadCell<'a, T> {
    ReadCell {
        at,
        view: PhantomData,
    }
}

/// Returns a word that any process with the section may change.
///
/// # Safety
///
/// `at` is aligned to 4 and readable for all of `'a`. Meanwhile its bytes are changed by another
/// process or through `sync` only: by atomic accesses of 4 bytes, and by copies. If `at` is not
/// writable, the reference is used for relaxed loads only.
#[inline]
pub(crate) unsafe fn atomic_u32<'a>(at: *mut u32) -> &'a AtomicU32 {
    // SAFETY: the caller promises that `at` is aligned and readable for 'a, as the conversion of a
    // pointer to a shared reference needs; the bytes change inside an atomic, which is an
    // `UnsafeCell` (std::ptr, Pointer to reference conversion). `AtomicU32::from_ptr` is not used,
    // since its pointer "must be valid for both reads and writes", and a view may be read-only.
    unsafe { &*at.cast::<AtomicU32>() }
}

/// Returns a word that any process with the section may change.
///
/// # Safety
///
/// `at` is aligned to 8 and readable and writable for all of `'a`. Meanwhile its bytes are changed
/// by another process or through `sync` only: by atomic accesses of 8 bytes, and by copies.
#[inline]
pub(crate) unsafe fn atomic_u64<'a>(at: *mut u64) -> &'a AtomicU64 {
    // SAFETY: the caller promises what `from_ptr` asks for: `at` is aligned, "valid for both reads
    // and writes for the whole lifetime `'a`", and there are no conflicting "atomic accesses of
    // different sizes, without synchronization" (AtomicU64::from_ptr): those of other processes are
    // not accesses of this program, and copies are assembly code (see `copy`).
    unsafe { AtomicU64::from_ptr(at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // layout: L005
    #[test]
    fn read_cell_loads_the_stored_value() {
        let word = AtomicU64::new(0);
        // Pairs with the loads below, in the same thread.
        word.store(0x0123_4567_89ab_cdef, Ordering::Release);
        // SAFETY: `word` is a `u64`, so aligned to 8, outlives the cell, and does not change while
        // the cell exists.
        let cell = unsafe { read_cell(word.as_ptr().cast_const()) };
        assert_eq!(cell.load(), 0x0123_4567_89ab_cdef);
        assert_eq!(cell.load_halves(), 0x0123_4567_89ab_cdef);
        let narrow = AtomicU32::new(7);
        // SAFETY: `narrow` is a `u32`, so aligned to 4, outlives the cell, and does not change
        // while the cell exists.
        assert_eq!(unsafe { read_cell(narrow.as_ptr().cast_const()) }.load(), 7);
    }
}
