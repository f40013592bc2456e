//! Single accesses of a copy: a word, a byte, and half of a `u64`. They are assembly code, for the
//! reasons at the head of `copy.rs`; Miri and other processors use atomics.

#[cfg(all(
    any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]
mod assembly;
#[cfg(all(
    any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]
use assembly as accesses;

#[cfg(not(all(
    any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
)))]
mod portable;
#[cfg(not(all(
    any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
)))]
use portable as accesses;

pub(super) use accesses::{copy_byte, copy_word, load_half};

/// The direction of a copy: `OUT` reads the shared range, `IN` writes it.
pub(super) const OUT: bool = true;
pub(super) const IN: bool = false;
