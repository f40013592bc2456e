//! Single accesses by assembly code.

use std::arch::asm;

/// Copies a word.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of `copy.rs`) for a word; the shared side is
/// aligned to a word.
#[inline(always)]
pub(in crate::sync) unsafe fn copy_word<const WHICH: bool>(from: *const u8, to: *mut u8) {
    // SAFETY: the code reads the word at `from` and writes the word at `to`, for which the caller
    // promises valid, private and shared. "The set of memory locations that assembly code is
    // allowed to read and write are the same as those allowed for an FFI function" (Rust Reference,
    // asm.rules.mem-same-as-ffi). Neither instruction needs an aligned address, changes a flag or
    // uses the stack.
    unsafe {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        asm!("mov {word}, [{from}]", "mov [{to}], {word}", from = in(reg) from, to = in(reg) to,
            word = out(reg) _, options(nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("ldr {word}, [{from}]", "str {word}, [{to}]", from = in(reg) from, to = in(reg) to,
            word = out(reg) _, options(nostack, preserves_flags));
    }
}

/// Copies a byte.
///
/// # Safety
///
/// **valid**, **private** and **shared** (see the head of `copy.rs`) for a byte.
#[inline(always)]
pub(in crate::sync) unsafe fn copy_byte<const WHICH: bool>(from: *const u8, to: *mut u8) {
    // SAFETY: the code reads the byte at `from` and writes the byte at `to`, for which the caller
    // promises valid, private and shared. "The set of memory locations that assembly code is
    // allowed to read and write are the same as those allowed for an FFI function" (Rust Reference,
    // asm.rules.mem-same-as-ffi). Neither instruction changes a flag or uses the stack.
    unsafe {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        asm!("mov {byte}, byte ptr [{from}]", "mov byte ptr [{to}], {byte}", from = in(reg) from,
            to = in(reg) to, byte = out(reg_byte) _, options(nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("ldrb {byte:w}, [{from}]", "strb {byte:w}, [{to}]", from = in(reg) from,
            to = in(reg) to, byte = out(reg) _, options(nostack, preserves_flags));
    }
}

/// Loads half of a `u64` that is stored as a whole.
///
/// # Safety
///
/// `from` is valid for reads of 4 bytes and aligned to 4. Meanwhile the bytes are changed by
/// another process or through `sync` only.
#[inline(always)]
pub(in crate::sync) unsafe fn load_half(from: *const u32) -> u32 {
    let half: u32;
    // SAFETY: the code reads 4 bytes, which are valid by the caller's promise. An atomic load would
    // be a mixed-size access beside an atomic store of the `u64`, and "non-synchronized conflicting
    // atomic accesses may not partially overlap" (std::sync::atomic). "the compiler must treat the
    // assembly code as a black box" (Rust Reference, asm.rules.black-box), and a processor loads 4
    // aligned bytes as a whole. The instruction changes no flag and does not use the stack.
    unsafe {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        asm!("mov {half:e}, dword ptr [{from}]", from = in(reg) from, half = out(reg) half,
            options(nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("ldr {half:w}, [{from}]", from = in(reg) from, half = out(reg) half,
            options(nostack, preserves_flags));
    }
    half
}
