//! A death at every instruction: of each operation on messages and latest values, at each place
//! that leaves another world behind than the one before it. Nothing that was committed is lost,
//! nothing else appears, nothing comes twice, nobody waits in vain, and the name can be taken
//! again.
//!
//! It is about what the optimizer makes of the library: `cargo test --release --package
//! shmkit-deaths` kills in some places of each operation, and with `SHMKIT_TEST_LONG=1` in all of
//! them. In a debug build there are a few kills between system calls.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;

mod acts;
mod calls;
mod decode;
mod memory;
mod ptrace;
mod queue;
mod topic;
mod values;
mod walk;

#[test]
fn child_entry() {
    common::unwatched_child_entry(&[("deaths", acts::play)]);
}
