//! Single accesses by relaxed atomics: for Miri, and for processors without assembly code here.
//!
//! The **shared** part of the contract of `copy.rs` is stricter here: no thread of this process
//! changes the range by accesses of another size, since "non-synchronized conflicting atomic
//! accesses may not partially overlap" (std::sync::atomic).

use super::OUT;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// Copies a word.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of `copy.rs`) for a word; the shared side is
/// aligned to a word.
#[inline(always)]
pub(in crate::sync) unsafe fn copy_word<const WHICH: bool>(from: *const u8, to: *mut u8) {
    // SAFETY: both sides are valid for a word by the caller's promise. The shared side is aligned
    // by that promise, so a reference to an atomic may be made of its address, and the atomic
    // access races with accesses of its own size only (the stricter contract at the head of this
    // file). No other thread accesses the private side, so its plain accesses are no data race;
    // they need no aligned address.
    unsafe {
        if WHICH == OUT {
            let word = (*from.cast::<AtomicUsize>()).load(Ordering::Relaxed);
            to.cast::<usize>().write_unaligned(word);
        } else {
            let word = from.cast::<usize>().read_unaligned();
            AtomicUsize::from_ptr(to.cast()).store(word, Ordering::Relaxed);
        }
    }
}

/// Copies a byte.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of `copy.rs`) for a byte.
#[inline(always)]
pub(in crate::sync) unsafe fn copy_byte<const WHICH: bool>(from: *const u8, to: *mut u8) {
    // SAFETY: both sides are valid for a byte by the caller's promise, and every address is aligned
    // for a byte. The atomic access races with accesses of its own size only (the stricter contract
    // at the head of this file). No other thread accesses the private side, so its plain accesses
    // are no data race.
    unsafe {
        if WHICH == OUT {
            to.write((*from.cast::<AtomicU8>()).load(Ordering::Relaxed));
        } else {
            AtomicU8::from_ptr(to).store(from.read(), Ordering::Relaxed);
        }
    }
}

/// Loads half of a `u64` that is stored as a whole.
///
/// # Safety
///
/// `from` is valid for reads of 4 bytes and aligned to 4. Meanwhile the bytes are changed by
/// another process or by atomic accesses of 4 bytes only.
#[inline(always)]
pub(in crate::sync) unsafe fn load_half(from: *const u32) -> u32 {
    use std::sync::atomic::AtomicU32;
    // SAFETY: the 4 bytes are valid for reads and aligned by the caller's promise, as the
    // conversion of a pointer to a shared reference needs (std::ptr). The load races with accesses
    // of its own size only.
    unsafe { &*from.cast::<AtomicU32>() }.load(Ordering::Relaxed)
}
