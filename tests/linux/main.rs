//! What holds on Linux alone.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod facts;
mod holders;
mod messages;
mod stops;

#[test]
fn child_entry() {
    common::child_entry(&[
        ("access", access::play),
        ("facts", facts::play),
        ("holders", holders::play),
        ("messages", messages::play),
        ("stops", stops::play),
    ]);
}
