//! The contract of the library: the same tests on every system, written against the public
//! interface alone.

#[path = "../common/mod.rs"]
mod common;

mod asynchronous;
mod examples;
mod foreign;
mod golden;
mod hostile;
mod messages;
mod os;
mod peers;
mod sensors;
mod suites;
mod sync;
mod waiting;
mod words;

#[test]
fn child_entry() {
    common::child_entry(&[
        ("asynchronous", asynchronous::play),
        ("messages", messages::play),
        ("os", os::play),
        ("peers", peers::play),
        ("sensors", sensors::play),
        ("sync", sync::play),
        ("waiting", waiting::play),
    ]);
}
