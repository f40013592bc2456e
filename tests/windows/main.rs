//! What holds on Windows alone, and the facts about Win32 that the library relies on.
#![cfg(windows)]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod closed;
mod facts;
mod os;
mod waits;
mod win32;

#[test]
fn child_entry() {
    common::child_entry(&[
        ("closed", closed::play),
        ("facts", facts::play),
        ("waits", waits::play),
    ]);
}
