//! Tests of the behavior that only Windows has, and of the facts about Win32 on which the library
//! relies.
#![cfg(windows)]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod closed;
mod facts;
mod group;
mod os;
mod waits;
mod win32;

#[test]
fn child_entry() {
    common::child_entry(&[
        ("closed", closed::play),
        ("facts", facts::play),
        ("group", group::play),
        ("waits", waits::play),
    ]);
}
