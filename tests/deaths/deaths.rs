//! Kills a process in each operation on messages and values: at every instruction that
//! changes shared memory or calls the system. Nothing that was committed is lost, nothing else
//! appears, nothing arrives twice, no process waits forever, and the name can be taken over.
//!
//! The tests are about the optimized code of the library: `cargo test --release --package
//! shmkit-deaths` kills at some places of each operation, and with `SHMKIT_TEST_LONG=1` at all of
//! them. A debug build kills at a few places between system calls.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;

mod acts;
mod calls;
mod decode;
mod first;
mod memory;
mod ptrace;
mod queue;
mod sources;
mod topic;
mod values;
mod walk;

#[test]
fn child_entry() {
    common::unwatched_child_entry(&[("deaths", acts::play)]);
}
