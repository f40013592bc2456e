//! The one door to atomics: cells in shared memory, and copies of bytes that
//! another process may be writing.
//!
//! Memory that a peer can write is only ever touched here, by atomic loads and
//! stores. A plain `memcpy` of such bytes would be a data race, and a `&[u8]`
//! over them a lie to the compiler.

use std::marker::PhantomData;
#[cfg_attr(not(windows), allow(unused_imports, reason = "one system needs it"))]
pub(crate) use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU8, AtomicUsize};
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

const WORD: usize = size_of::<usize>();

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
pub(crate) unsafe fn atomic_u32<'a>(at: *mut u32) -> &'a AtomicU32 {
    // SAFETY: the caller's promise is that of `from_ptr`.
    unsafe { AtomicU32::from_ptr(at) }
}

/// A word that any process with the section may change.
///
/// # Safety
///
/// As [`atomic_u32`], aligned to 8.
pub(crate) unsafe fn atomic_u64<'a>(at: *mut u64) -> &'a AtomicU64 {
    // SAFETY: the caller's promise is that of `from_ptr`.
    unsafe { AtomicU64::from_ptr(at) }
}

/// Copies bytes out of memory that a peer may be writing. The copy is not a
/// snapshot: each aligned word in it is whole, the words together are not.
///
/// # Safety
///
/// `from` is readable for `to.len()` bytes, and whatever is written there
/// meanwhile is written atomically or by another process.
pub(crate) unsafe fn copy_out(from: *const u8, to: &mut [u8]) {
    let head = from.align_offset(WORD).min(to.len());
    let (to_head, to_rest) = to.split_at_mut(head);
    // SAFETY: the head lies in the caller's range.
    unsafe { copy_out_bytes(from, to_head) };
    let mut at = from.wrapping_add(head);
    let mut words = to_rest.chunks_exact_mut(WORD);
    for chunk in &mut words {
        // SAFETY: `at` is aligned to a word, and the word lies in the range.
        let word = unsafe { &*at.cast::<AtomicUsize>() }.load(Ordering::Relaxed);
        chunk.copy_from_slice(&word.to_ne_bytes());
        at = at.wrapping_add(WORD);
    }
    // SAFETY: what remains lies in the caller's range.
    unsafe { copy_out_bytes(at, words.into_remainder()) };
}

/// # Safety
///
/// As [`copy_out`].
unsafe fn copy_out_bytes(from: *const u8, to: &mut [u8]) {
    for (i, byte) in to.iter_mut().enumerate() {
        // SAFETY: the caller's range covers `to.len()` bytes.
        *byte = unsafe { &*from.add(i).cast::<AtomicU8>() }.load(Ordering::Relaxed);
    }
}

/// Copies bytes into memory that a peer may be reading. Each aligned word
/// arrives whole, the words together do not.
///
/// # Safety
///
/// `to` is writable for `from.len()` bytes, and whatever else is written there
/// meanwhile is written atomically or by another process.
pub(crate) unsafe fn copy_in(from: &[u8], to: *mut u8) {
    let head = to.align_offset(WORD).min(from.len());
    let (from_head, from_rest) = from.split_at(head);
    // SAFETY: the head lies in the caller's range.
    unsafe { copy_in_bytes(from_head, to) };
    let mut at = to.wrapping_add(head);
    let words = from_rest.chunks_exact(WORD);
    let tail = words.remainder();
    for chunk in words {
        let mut bytes = [0; WORD];
        bytes.copy_from_slice(chunk);
        // SAFETY: `at` is aligned to a word, and the word lies in the range.
        let cell = unsafe { AtomicUsize::from_ptr(at.cast()) };
        cell.store(usize::from_ne_bytes(bytes), Ordering::Relaxed);
        at = at.wrapping_add(WORD);
    }
    // SAFETY: what remains lies in the caller's range.
    unsafe { copy_in_bytes(tail, at) };
}

/// # Safety
///
/// As [`copy_in`].
unsafe fn copy_in_bytes(from: &[u8], to: *mut u8) {
    for (i, byte) in from.iter().enumerate() {
        // SAFETY: the caller's range covers `from.len()` bytes.
        unsafe { AtomicU8::from_ptr(to.add(i)) }.store(*byte, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every alignment and length around two words, against the obvious answer.
    #[test]
    fn copies_every_alignment_and_length() {
        let source: Vec<u8> = (1..=64).collect();
        for from in 0..2 * WORD {
            for len in 0..=3 * WORD {
                let mut out = vec![0; len];
                // SAFETY: `from + len` is at most 5 words, below 64 bytes.
                unsafe { copy_out(source.as_ptr().add(from), &mut out) };
                assert_eq!(out, source[from..from + len]);

                let mut memory = vec![0u8; 64];
                // SAFETY: as above.
                unsafe { copy_in(&source[..len], memory.as_mut_ptr().add(from)) };
                assert_eq!(memory[from..from + len], source[..len]);
                assert!(memory[..from].iter().all(|b| *b == 0));
                assert!(memory[from + len..].iter().all(|b| *b == 0));
            }
        }
    }

    #[test]
    fn cells_load_what_was_stored() {
        let word = AtomicU64::new(0);
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
