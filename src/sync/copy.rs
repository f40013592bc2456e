//! Copies of bytes between private memory and a section, which other processes and other threads
//! may be reading or writing meanwhile.
//!
//! # The contract of a copy
//!
//! Every copy has a *private* range, behind a plain reference of the caller, and a *shared* range.
//! The caller of each unsafe function of this file, and of `machine`, promises:
//!
//! - **valid**: the source is valid for reads of `len` bytes, the destination for writes of `len`
//!   bytes, and neither range wraps around the address space;
//! - **private**: during the copy no other thread accesses the private range, so the private range
//!   does not overlap the shared range;
//! - **shared**: during the copy the shared range is accessed by other processes and through `sync`
//!   only.
//!
//! # Why a race of such a copy is not undefined behavior
//!
//! "The most important aspect of this model is that data races are undefined behavior", and
//! "non-synchronized conflicting atomic accesses may not partially overlap" (std::sync::atomic). So
//! a copy by plain loads and stores is forbidden, and so is a copy by words of bytes that a thread
//! of this process changes by an atomic access of another size. Therefore this file copies by
//! assembly code:
//!
//! - "The set of memory locations that assembly code is allowed to read and write are the same as
//!   those allowed for an FFI function" (Rust Reference, asm.rules.mem-same-as-ffi). The ranges are
//!   valid, so a foreign function may access them.
//! - "the compiler must treat the assembly code as a black box and only take the interface
//!   specification into account, not the instructions themselves" (Rust Reference,
//!   asm.rules.black-box). So the compiler concludes nothing from a race. The processor decides the
//!   result of a race: each byte is an old byte or a new byte, and each aligned word of
//!   [`copy_word`] is whole.
//!
//! No block has the options `pure`, `nomem` or `readonly`, so the compiler assumes that each block
//! may change any memory that a foreign function may change.
//!
//! Miri, and processors without assembly code here, use relaxed atomic accesses of a byte or a word
//! (`machine/portable.rs`). There the **shared** part of the contract is stricter: no thread of
//! this process may change the range by accesses of another size during the copy.

use super::WORD;
use super::machine::{IN, OUT, copy_byte, copy_word};

/// The number of bytes in one step of a long copy.
const BLOCK: usize = 64;

/// Copies bytes out of a section. The copy is not a snapshot: each aligned word in it is whole, the
/// words together are not.
///
/// # Safety
///
/// **valid** and **shared** (see the head of this file) hold for the `to.len()` bytes at `from`.
#[inline]
pub(crate) unsafe fn copy_out(from: *const u8, to: &mut [u8]) {
    // SAFETY: valid: the caller promises it for `from`; `to` is a slice. private: `to` is a unique
    // reference, of which nothing else is accessed "while this reference exists" (std::ptr, Pointer
    // to reference conversion). shared: the caller promises it.
    unsafe { copy_aligned::<OUT>(from, to.as_mut_ptr(), to.len()) };
}

/// Copies bytes into a section. Each aligned word arrives whole, the words together do not.
///
/// # Safety
///
/// **valid** and **shared** (see the head of this file) hold for the `from.len()` bytes at `to`.
#[inline]
pub(crate) unsafe fn copy_in(from: &[u8], to: *mut u8) {
    // SAFETY: valid: the caller promises it for `to`; `from` is a slice. private: `from` is a
    // shared reference, whose memory "must not get mutated" while it exists (std::ptr, Pointer to
    // reference conversion), so no part of it is in a section. shared: the caller promises it.
    unsafe { copy_aligned::<IN>(from.as_ptr(), to, from.len()) };
}

/// Copies bytes up to the first aligned word of the shared range, then blocks, words, and bytes.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of this file).
#[inline]
unsafe fn copy_aligned<const WHICH: bool>(from: *const u8, to: *mut u8, len: usize) {
    let shared = if WHICH == OUT { from } else { to };
    let first = shared.align_offset(WORD).min(len);
    let blocks = (len - first) / BLOCK;
    let words = first + blocks * BLOCK;
    let rest = len - (len - words) % WORD;

    for at in (0..first).chain(rest..len) {
        // SAFETY: `at < len`, so the byte at `at` lies in both ranges, for which the caller
        // promises valid, private and shared.
        unsafe { copy_byte::<WHICH>(from.wrapping_add(at), to.wrapping_add(at)) };
    }
    // SAFETY: `first + blocks * 64 <= len`, so the blocks lie in both ranges, for which the caller
    // promises valid, private and shared. If there is a block, `first` is the result of
    // `align_offset`, so the shared side is aligned to a word.
    unsafe { copy_blocks::<WHICH>(from.wrapping_add(first), to.wrapping_add(first), blocks) };
    for at in (words..rest).step_by(WORD) {
        // SAFETY: `at + WORD <= rest <= len`, since `rest - words` is a multiple of a word, so the
        // word lies in both ranges, for which the caller promises valid, private and shared. If
        // there is a word, `first` is the result of `align_offset`, and `at - first` is a multiple
        // of a word, so the shared side is aligned.
        unsafe { copy_word::<WHICH>(from.wrapping_add(at), to.wrapping_add(at)) };
    }
}

/// Copies blocks by vector moves. The processor may execute a move of 16 bytes in two halves. Each
/// half, if it lies in one cache line, is whole.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of this file) for `blocks * 64` bytes; if
/// words must arrive whole, the shared side is aligned to a word.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
unsafe fn copy_blocks<const WHICH: bool>(from: *const u8, to: *mut u8, blocks: usize) {
    if blocks == 0 {
        return;
    }

    // SAFETY: each of the `blocks` rounds, at least one, reads 64 bytes at `from`, writes 64 bytes
    // at `to` and moves both on by 64. So the code accesses `blocks * 64` bytes of each range, for
    // which the caller promises valid, private and shared; see the head of this file. `movups`
    // needs no aligned address. All changed registers are outputs, and the flags may change, since
    // the option `preserves_flags` is not set.
    unsafe {
        std::arch::asm!(
            "2:",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "movups [{to} + 32], {c}",
            "movups [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "dec {blocks}",
            "jnz 2b",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            blocks = inout(reg) blocks => _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack),
        );
    }
}

/// Copies blocks word by word.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of this file) for `blocks * 64` bytes; the
/// shared side is aligned to a word.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
unsafe fn copy_blocks<const WHICH: bool>(from: *const u8, to: *mut u8, blocks: usize) {
    for at in (0..blocks * BLOCK).step_by(WORD) {
        // SAFETY: `at + WORD <= blocks * 64`, since a block is a multiple of a word, so the word
        // lies in both ranges, for which the caller promises valid, private and shared. The shared
        // side is aligned by the caller's promise, and `at` is a multiple of a word.
        unsafe { copy_word::<WHICH>(from.wrapping_add(at), to.wrapping_add(at)) };
    }
}

/// Copies bytes in pieces of any size and order, for callers that find out by other means whether
/// all bytes arrived whole. Pieces may overlap:
///
/// | `len` | pieces |
/// |---|---|
/// | above 64 | [`copy_long`] |
/// | 33 to 64 | 16 bytes at 0, 16, `len - 32` and `len - 16` |
/// | 16 to 32 | 16 bytes at 0 and `len - 16` |
/// | 8 to 15 | 8 bytes at 0 and `len - 8` |
/// | 4 to 7 | 4 bytes at 0 and `len - 4` |
/// | 0 to 3 | each byte |
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of this file).
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
pub(crate) unsafe fn copy_quickly<const WHICH: bool>(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: each branch reads and writes the pieces of the table, which lie between 0 and `len`:
    // there the caller promises valid, private and shared (see the head of this file). `mov` and
    // `movups` need no aligned address and change no flag; all changed registers are outputs.
    unsafe {
        if len > 64 {
            copy_long::<WHICH>(from, to, len);
        } else if len > 32 {
            std::arch::asm!(
                "movups {a}, [{from}]",
                "movups {b}, [{from} + 16]",
                "movups {c}, [{from} + {len} - 32]",
                "movups {d}, [{from} + {len} - 16]",
                "movups [{to} + {len} - 16], {d}",
                "movups [{to} + {len} - 32], {c}",
                "movups [{to} + 16], {b}",
                "movups [{to}], {a}",
                from = in(reg) from, to = in(reg) to, len = in(reg) len,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack, preserves_flags),
            );
        } else if len >= 16 {
            std::arch::asm!(
                "movups {a}, [{from}]",
                "movups {b}, [{from} + {len} - 16]",
                "movups [{to} + {len} - 16], {b}",
                "movups [{to}], {a}",
                from = in(reg) from, to = in(reg) to, len = in(reg) len,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                options(nostack, preserves_flags),
            );
        } else if len >= 8 {
            std::arch::asm!(
                "mov {a}, [{from}]",
                "mov {b}, [{from} + {len} - 8]",
                "mov [{to} + {len} - 8], {b}",
                "mov [{to}], {a}",
                from = in(reg) from, to = in(reg) to, len = in(reg) len,
                a = out(reg) _,
                b = out(reg) _,
                options(nostack, preserves_flags),
            );
        } else if len >= 4 {
            std::arch::asm!(
                "mov {a:e}, [{from}]",
                "mov {b:e}, [{from} + {len} - 4]",
                "mov [{to} + {len} - 4], {b:e}",
                "mov [{to}], {a:e}",
                from = in(reg) from, to = in(reg) to, len = in(reg) len,
                a = out(reg) _,
                b = out(reg) _,
                options(nostack, preserves_flags),
            );
        } else {
            for at in 0..len {
                copy_byte::<WHICH>(from.wrapping_add(at), to.wrapping_add(at));
            }
        }
    }
}

/// Copies blocks. The last block may overlap the block before it.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of this file); `len` is at least 64.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn copy_long<const WHICH: bool>(from: *const u8, to: *mut u8, len: usize) {
    let last = len - BLOCK;
    // SAFETY: `len / 64 * 64 <= len` and `last + 64 == len`, so all blocks lie in both ranges, for
    // which the caller promises valid, private and shared. Words need not arrive whole.
    unsafe {
        copy_blocks::<WHICH>(from, to, len / BLOCK);
        copy_blocks::<WHICH>(from.wrapping_add(last), to.wrapping_add(last), 1);
    }
}

/// Copies bytes in pieces of any size and order, for callers that find out by other means whether
/// all bytes arrived whole.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of this file).
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
pub(crate) unsafe fn copy_quickly<const WHICH: bool>(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller promises valid, private and shared for the same ranges.
    unsafe { copy_aligned::<WHICH>(from, to, len) };
}

/// Copies whole lines past the caches, for a reader whose processor is far away: the reader then
/// finds the lines in memory, and does not fetch each from this processor's cache.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of this file); `to` is the shared side and
/// aligned to 64, and `len` is a multiple of 64.
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) unsafe fn copy_past_caches(from: *const u8, to: *mut u8, len: usize) {
    if len == 0 {
        return;
    }

    // SAFETY: each round reads 64 bytes at `from`, writes 64 bytes at `to`, moves both on by 64 and
    // counts `len` down by 64. `len` is a multiple of 64 and not 0, so the code ends and accesses
    // `len` bytes of each range, for which the caller promises valid, private and shared; see the
    // head of this file. `movups` needs no aligned address; `movntps` needs one that is aligned to
    // 16, as `to` and all multiples of 64 behind it are. All changed registers are outputs, and the
    // flags may change, since the option `preserves_flags` is not set. `sfence` orders these stores
    // before all that follow, which a processor does not do by itself for stores past the caches.
    unsafe {
        std::arch::asm!(
            "2:",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movntps [{to}], {a}",
            "movntps [{to} + 16], {b}",
            "movntps [{to} + 32], {c}",
            "movntps [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "sub {len}, 64",
            "jnz 2b",
            "sfence",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            len = inout(reg) len => _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack),
        );
    }
}

/// Copies whole lines as [`copy_quickly`] does.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of this file); `to` is the shared side.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) unsafe fn copy_past_caches(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller promises valid, private and shared for the same ranges.
    unsafe { copy_quickly::<IN>(from, to, len) };
}

/// Returns the time in ticks of the processor's clock, taken after all earlier instructions.
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: `lfence` belongs to SSE2 and `rdtsc` to the first 64-bit processors, so every
    // processor that runs this code has both. They access no memory.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
}

/// Returns 0: there is no clock here, so no reader ever counts as far away.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) fn ticks() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares copies of each alignment, and of lengths around words and blocks, with the source.
    #[test]
    fn copy_is_exact_at_any_alignment() {
        const ROOM: usize = 4 * BLOCK;
        let source: Vec<u8> = (0..ROOM).map(|n| n as u8 ^ 0x5a).collect();
        for from in 0..2 * WORD {
            let mut lens: Vec<usize> = (0..=3 * WORD).collect();
            lens.extend([BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3, 3 * BLOCK]);
            for len in lens {
                let mut out = vec![0; len];
                // SAFETY: `from + len` is at most 15 + 195, and so below the 256 bytes of `source`.
                // No other thread accesses the ranges.
                unsafe { copy_out(source.as_ptr().add(from), &mut out) };
                assert_eq!(out, source[from..from + len]);

                let mut memory = vec![0u8; ROOM];
                // SAFETY: `from + len` is at most 15 + 195, and so below the 256 bytes of `memory`.
                // No other thread accesses the ranges.
                unsafe { copy_in(&source[..len], memory.as_mut_ptr().add(from)) };
                assert_eq!(memory[from..from + len], source[..len]);
                assert!(memory[..from].iter().all(|b| *b == 0));
                assert!(memory[from + len..].iter().all(|b| *b == 0));
            }
        }
    }

    #[test]
    fn copy_past_caches_is_exact() {
        #[repr(align(64))]
        struct Lines([u8; 256]);
        let source: Vec<u8> = (0..300).map(|n| n as u8 ^ 0x5a).collect();
        for len in [0, 64, 192] {
            let mut lines = Lines([0; 256]);
            // SAFETY: `lines` is aligned to 64, and `len` is a multiple of 64. `len` is at most
            // 192, and so below the 256 bytes of `lines` and, with 3, the 300 bytes of `source`. No
            // other thread accesses the ranges.
            unsafe { copy_past_caches(source.as_ptr().add(3), lines.0.as_mut_ptr(), len) };
            assert_eq!(lines.0[..len], source[3..3 + len]);
            assert!(lines.0[len..].iter().all(|b| *b == 0));
        }
    }

    /// Neither side of a copy has to be aligned.
    #[test]
    fn quick_copy_is_exact_at_any_length() {
        let source: Vec<u8> = (0..300).map(|n| n as u8 ^ 0x5a).collect();
        for len in (0..140).chain([191, 192, 193, 255]) {
            for (from, at) in [(0, 0), (1, 0), (8, 1), (0, 5), (3, 7)] {
                let mut shared = vec![0u64; 64];
                let place = shared.as_mut_ptr().cast::<u8>().wrapping_add(at);
                // SAFETY: `from + len` is below the 300 bytes of `source`, and `at + len` below the
                // 512 bytes of `shared`. No other thread accesses the ranges.
                unsafe { copy_quickly::<IN>(source.as_ptr().add(from), place, len) };
                let mut out = vec![0u8; from + len + 1];
                // SAFETY: `at + len` is below the 512 bytes of `shared`, and `out` has `from + len
                // + 1` bytes. No other thread accesses the ranges.
                unsafe { copy_quickly::<OUT>(place, out.as_mut_ptr().add(from), len) };
                assert_eq!(out[from..from + len], source[from..from + len]);
                assert!(out[..from].iter().all(|b| *b == 0) && out[from + len] == 0);
                let after = &shared[(at + len).div_ceil(8)..];
                assert!(after.iter().all(|word| *word == 0));
            }
        }
    }
}
