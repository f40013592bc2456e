//! What an endpoint does when it is dropped: a sender sends what it holds back, and an owner gives
//! up its ownership before it removes any object of its segment.

use crate::common::start;
use shmkit::ErrorKind::NotFound;
use shmkit::{
    Event, Name, Publisher, Receiver, RecvError, Result, Section, Sender, Server, Writer,
};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::thread::scope;

/// Offsets in the ownership record of the owner and of the generation in use.
const OWNER: usize = 16;
const GENERATION: usize = 28;
/// How often an owner of each kind closes.
const ROUNDS: usize = 150;

// layout: L069 L105
#[test]
fn forgotten_batch_is_sent_when_sender_drops() {
    let (_test, name) = start("closing-batch");
    let mut receiver = Receiver::create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    let mut batch = sender.batch();
    batch.send(b"first").unwrap();
    batch.send(b"second").unwrap();
    std::mem::forget(batch);
    drop(sender);
    assert_eq!(receiver.try_recv().unwrap(), b"first");
    assert_eq!(receiver.recv().unwrap(), b"second");
    assert!(matches!(receiver.recv(), Err(RecvError::Disconnected(_))));
}

// layout: L069
#[test]
fn forgotten_batch_is_sent_before_sender_reattaches() {
    let (_test, name) = start("closing-reattach");
    let mut receiver = Receiver::create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    let mut batch = sender.batch();
    batch.send(b"first").unwrap();
    std::mem::forget(batch);
    receiver.resize(&Receiver::options()).unwrap();
    sender.send(b"second").unwrap();
    assert_eq!(sender.generation(), 2);
    assert_eq!(receiver.recv().unwrap(), b"first");
    assert_eq!(receiver.recv().unwrap(), b"second");
}

/// Closes owners while another thread opens the objects that belong to them.
fn close_again_and_again<T>(case: &str, create: impl Fn(&str) -> Result<T>) {
    let (_test, name) = start(case);
    // Odd while an owner closes.
    let phase = AtomicU32::new(0);
    let is_over = AtomicBool::new(false);
    let mut owner = create(&name).unwrap();
    // This mapping keeps the ownership record, so that each owner makes a new generation.
    let root = Section::open(&*name).unwrap().map(..).unwrap();
    let words = || {
        let owner: u64 = root.read_value(OWNER).unwrap();
        let generation: u32 = root.read_value(GENERATION).unwrap();
        (owner, generation)
    };
    let look = || {
        let before = phase.load(SeqCst);
        let (who, generation) = words();
        let beside = |part: &str| Name::new(&format!("{name}{part}")).unwrap();
        let mut found = vec![
            section(beside(&format!("~control-{generation:08x}"))),
            section(beside(&format!("~roster-{generation:08x}"))),
            section(beside(&format!("~lanes-{generation:08x}"))),
        ];
        if cfg!(windows) {
            let event = beside(&format!("~wake-3ff-{:x}-{generation:x}", who >> 32));
            found.push(("the wake event", Event::open(event).map(drop)));
        }
        // Ownership is checked after the objects are opened: an object that was missing was missing
        // while it had an owner.
        let is_owned = || who != 0 && words() == (who, generation);
        if before % 2 == 1 && is_owned() && phase.load(SeqCst) == before {
            for (what, found) in found {
                let is_missing = found.is_err_and(|error| error.kind() == NotFound);
                assert!(!is_missing, "{what} of generation {generation} is missing");
            }
        }
    };
    scope(|scope| {
        let looking = scope.spawn(|| {
            while !is_over.load(SeqCst) {
                look();
            }
        });
        for _ in 0..ROUNDS {
            phase.fetch_add(1, SeqCst);
            drop(owner);
            phase.fetch_add(1, SeqCst);
            owner = create(&name).unwrap();
        }
        is_over.store(true, SeqCst);
        looking.join().unwrap();
    });
}

fn section(name: Name) -> (&'static str, Result<()>) {
    ("a section", Section::open(name).map(drop))
}

// layout: L018 L165
#[test]
fn receiver_clears_ownership_before_removing_objects() {
    let options = Receiver::options().capacity(4096).senders(1);
    close_again_and_again("closing-queue", |name| options.create(name));
}

// layout: L018 L165
#[test]
fn publisher_clears_ownership_before_removing_objects() {
    let options = Publisher::options().capacity(4096);
    close_again_and_again("closing-topic", |name| options.create(name));
}

// layout: L018 L165
#[test]
fn writer_clears_ownership_before_removing_objects() {
    close_again_and_again("closing-values", |name| Writer::create(name));
}

// layout: L018 L165
#[test]
fn server_clears_ownership_before_removing_objects() {
    let options = Server::options().clients(1).in_flight(1).max_message(8);
    close_again_and_again("closing-calls", |name| options.create(name));
}
