//! Tests of the behavior that only Linux has.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod facts;
mod files;
mod folders;
mod fork;
mod group;
mod holders;
mod lives;
mod lost;
mod messages;
mod refused;
mod sandbox;
mod stops;

#[test]
fn child_entry() {
    common::child_entry(&[
        ("access", access::play),
        ("facts", facts::play),
        ("folders", folders::play),
        ("fork", fork::play),
        ("group", group::play),
        ("holders", holders::play),
        ("lives", lives::play),
        ("lost", lost::play),
        ("messages", messages::play),
        ("refused", refused::play),
        ("stops", stops::play),
    ]);
}
