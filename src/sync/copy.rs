//! Copies of bytes that another process may be reading or writing meanwhile.

use super::WORD;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// What is copied at a time where there is that much.
const BLOCK: usize = 64;

/// Which side of a copy is shared: the one that is read, or the one that is written. The
/// private one stands behind a plain reference, and must not be looked at as atomics.
pub(crate) const OUT: bool = true;
pub(crate) const IN: bool = false;

/// Copies bytes out of memory that a peer may be writing. The copy is not a
/// snapshot: each aligned word in it is whole, the words together are not.
///
/// # Safety
///
/// `from` is readable for `to.len()` bytes, and whatever is written there
/// meanwhile is written atomically or by another process.
#[inline]
pub(crate) unsafe fn copy_out(from: *const u8, to: &mut [u8]) {
    let head = from.align_offset(WORD).min(to.len());
    let (to_head, to_rest) = to.split_at_mut(head);
    // SAFETY: the head lies in the caller's range.
    unsafe { copy_out_bytes(from, to_head) };
    let mut at = from.wrapping_add(head);
    let (to_blocks, to_rest) = to_rest.split_at_mut(to_rest.len() / BLOCK * BLOCK);
    // SAFETY: the blocks lie in the caller's range, and `at` is aligned to a word.
    unsafe { copy_blocks::<OUT>(at, to_blocks.as_mut_ptr(), to_blocks.len() / BLOCK) };
    at = at.wrapping_add(to_blocks.len());
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
#[inline]
pub(crate) unsafe fn copy_in(from: &[u8], to: *mut u8) {
    let head = to.align_offset(WORD).min(from.len());
    let (from_head, from_rest) = from.split_at(head);
    // SAFETY: the head lies in the caller's range.
    unsafe { copy_in_bytes(from_head, to) };
    let mut at = to.wrapping_add(head);
    let (from_blocks, from_rest) = from_rest.split_at(from_rest.len() / BLOCK * BLOCK);
    // SAFETY: the blocks lie in the caller's range, and `at` is aligned to a word.
    unsafe { copy_blocks::<IN>(from_blocks.as_ptr(), at, from_blocks.len() / BLOCK) };
    at = at.wrapping_add(from_blocks.len());
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

/// Copies blocks by vector moves that the compiler cannot look into: whatever a peer
/// does to the bytes meanwhile, the copy has some value for each, and nothing more
/// can come of it. A move of 16 bytes may be done in two halves; each half, in one line
/// of the cache, is whole.
///
/// # Safety
///
/// Both ranges are valid for `blocks * 64` bytes and do not overlap; the shared one is
/// aligned to a word.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
unsafe fn copy_blocks<const WHICH: bool>(from: *const u8, to: *mut u8, blocks: usize) {
    if blocks == 0 {
        return;
    }
    // SAFETY: reads and writes the caller's ranges and nothing else.
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

/// As above, word by word.
///
/// # Safety
///
/// As above.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
unsafe fn copy_blocks<const WHICH: bool>(from: *const u8, to: *mut u8, blocks: usize) {
    for at in (0..blocks * BLOCK).step_by(WORD) {
        // SAFETY: in the caller's ranges.
        unsafe { copy_word::<WHICH>(from.wrapping_add(at), to.wrapping_add(at)) };
    }
}

/// One word; the shared one is aligned.
///
/// # Safety
///
/// As above.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
unsafe fn copy_word<const WHICH: bool>(from: *const u8, to: *mut u8) {
    // SAFETY: words in the caller's ranges.
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

/// # Safety
///
/// As [`copy_quickly`].
#[inline]
unsafe fn copy_byte<const WHICH: bool>(from: *const u8, to: *mut u8) {
    // SAFETY: bytes in the caller's ranges.
    unsafe {
        if WHICH == OUT {
            to.write((*from.cast::<AtomicU8>()).load(Ordering::Relaxed));
        } else {
            AtomicU8::from_ptr(to).store(from.read(), Ordering::Relaxed);
        }
    }
}

/// Copies bytes in pieces of any size and order, into or out of memory that a peer may
/// be using, for those who learn otherwise whether the whole arrived. The compiler cannot
/// look into it; pieces may overlap.
///
/// # Safety
///
/// Both ranges are valid for `len` bytes and do not overlap, and whatever a peer in this
/// process does to them meanwhile is ordered otherwise.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
pub(crate) unsafe fn copy_quickly<const WHICH: bool>(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: reads and writes the caller's ranges and nothing else.
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
                from = in(reg) from,
                to = in(reg) to,
                len = in(reg) len,
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
                from = in(reg) from,
                to = in(reg) to,
                len = in(reg) len,
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
                from = in(reg) from,
                to = in(reg) to,
                len = in(reg) len,
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
                from = in(reg) from,
                to = in(reg) to,
                len = in(reg) len,
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

/// Blocks, the last of which may overlap the one before.
///
/// # Safety
///
/// As [`copy_quickly`], and more than 64 bytes.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn copy_long<const WHICH: bool>(from: *const u8, to: *mut u8, len: usize) {
    let end = len - BLOCK;
    // SAFETY: in the caller's ranges.
    unsafe {
        copy_blocks::<WHICH>(from, to, len / BLOCK);
        copy_blocks::<WHICH>(from.wrapping_add(end), to.wrapping_add(end), 1);
    }
}

/// Copies whole lines past the caches, for a reader whose processor is far away: it then
/// finds them in memory and need not fetch each from this processor's cache.
///
/// # Safety
///
/// As [`copy_quickly`]; `to` is aligned to 64, and `len` a multiple of that.
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) unsafe fn copy_past_caches(from: *const u8, to: *mut u8, len: usize) {
    if len == 0 {
        return;
    }
    // SAFETY: reads and writes the caller's ranges and nothing else. The fence puts these
    // stores before all that follow, which the processor otherwise does not do for them.
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

/// The time in the processor's own ticks, taken when everything before is done.
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every x86-64 processor has both.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
}

/// No clock, and so nothing is ever found to be far away.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) fn ticks() -> u64 {
    0
}

/// As above, word by word.
///
/// # Safety
///
/// As above.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
pub(crate) unsafe fn copy_quickly<const WHICH: bool>(from: *const u8, to: *mut u8, len: usize) {
    let shared = if WHICH == OUT { from } else { to };
    let first = shared.align_offset(WORD).min(len);
    let words = (len - first) / WORD * WORD;
    for at in (0..first).chain(first + words..len) {
        // SAFETY: in the caller's ranges.
        unsafe { copy_byte::<WHICH>(from.add(at), to.add(at)) };
    }
    for at in (first..first + words).step_by(WORD) {
        // SAFETY: in the caller's ranges, and aligned.
        unsafe { copy_word::<WHICH>(from.wrapping_add(at), to.wrapping_add(at)) };
    }
}

/// As an ordinary copy.
///
/// # Safety
///
/// As [`copy_quickly`].
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) unsafe fn copy_past_caches(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { copy_quickly::<IN>(from, to, len) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every alignment and length around blocks and words, against the obvious answer.
    #[test]
    fn copies_every_alignment_and_length() {
        const ROOM: usize = 4 * BLOCK;
        let source: Vec<u8> = (0..ROOM).map(|n| n as u8 ^ 0x5a).collect();
        for from in 0..2 * WORD {
            let mut lens: Vec<usize> = (0..=3 * WORD).collect();
            lens.extend([BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3, 3 * BLOCK]);
            for len in lens {
                let mut out = vec![0; len];
                // SAFETY: `from + len` is below 4 blocks.
                unsafe { copy_out(source.as_ptr().add(from), &mut out) };
                assert_eq!(out, source[from..from + len]);

                let mut memory = vec![0u8; ROOM];
                // SAFETY: as above.
                unsafe { copy_in(&source[..len], memory.as_mut_ptr().add(from)) };
                assert_eq!(memory[from..from + len], source[..len]);
                assert!(memory[..from].iter().all(|b| *b == 0));
                assert!(memory[from + len..].iter().all(|b| *b == 0));
            }
        }
    }

    #[test]
    fn a_copy_past_the_caches_is_a_copy() {
        #[repr(align(64))]
        struct Lines([u8; 256]);
        let source: Vec<u8> = (0..300).map(|n| n as u8 ^ 0x5a).collect();
        for len in [0, 64, 192] {
            let mut lines = Lines([0; 256]);
            // SAFETY: aligned, and `len` is below both lengths.
            unsafe { copy_past_caches(source.as_ptr().add(3), lines.0.as_mut_ptr(), len) };
            assert_eq!(lines.0[..len], source[3..3 + len]);
            assert!(lines.0[len..].iter().all(|b| *b == 0));
        }
    }

    /// Neither side need be aligned.
    #[test]
    fn quick_copies_take_every_length() {
        let source: Vec<u8> = (0..300).map(|n| n as u8 ^ 0x5a).collect();
        for len in (0..140).chain([191, 192, 193, 255]) {
            for (from, at) in [(0, 0), (1, 0), (8, 1), (0, 5), (3, 7)] {
                let mut shared = vec![0u64; 64];
                let place = shared.as_mut_ptr().cast::<u8>().wrapping_add(at);
                // SAFETY: `from + len` is below 300, and `at + len` below 512.
                unsafe { copy_quickly::<IN>(source.as_ptr().add(from), place, len) };
                let mut out = vec![0u8; from + len + 1];
                // SAFETY: as above.
                unsafe { copy_quickly::<OUT>(place, out.as_mut_ptr().add(from), len) };
                assert_eq!(out[from..from + len], source[from..from + len]);
                assert!(out[..from].iter().all(|b| *b == 0) && out[from + len] == 0);
                let after = &shared[(at + len).div_ceil(8)..];
                assert!(after.iter().all(|word| *word == 0));
            }
        }
    }
}
