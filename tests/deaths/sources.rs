//! The world around a sender with a source key, or around a receiver that takes keys over.

use crate::queue::{SENT, options, until_deserted};
use crate::walk::*;
use shmkit::{Receiver, Sender};

const KEY: u64 = 7;
const LATER: u64 = 2000;

/// Opens a sender with the key.
pub fn open(name: &str) -> Sender {
    Sender::options().source(KEY).open(name).unwrap()
}

/// Sends a message whose source number is its number.
pub fn give(sender: &mut Sender, n: u64) {
    sender
        .send_numbered_timeout(n, &message(n, 48), LONG)
        .unwrap();
}

/// Returns the last number of the key, and checks that it stays when the lane goes on.
fn last(name: &str) -> Option<u64> {
    let mut next = open(name);
    let last = next.last_number();
    next.send_timeout(&message(LATER, 20), LONG).unwrap();
    drop(next);
    assert_eq!(open(name).last_number(), last);
    last
}

/// The world of a sender with the key.
struct Sources {
    name: String,
    receiver: Receiver,
    /// Whether the receiver is resized when the victim is ready.
    resizes: bool,
    before: u64,
    after: u64,
}

fn sources(name: &str, resizes: bool, before: u64, after: u64) -> Box<dyn World> {
    Box::new(Sources {
        name: name.to_string(),
        receiver: options().create(name).unwrap(),
        resizes,
        before,
        after,
    })
}

/// The world of a sender that opens a key with numbers.
fn successor(name: &str) -> Box<dyn World> {
    let world = sources(name, false, SENT, SENT);
    let mut sender = open(name);
    (0..SENT).for_each(|n| give(&mut sender, n));
    world
}

impl World for Sources {
    fn ready(&mut self) {
        if self.resizes {
            self.receiver.resize(&options().capacity(8192)).unwrap();
        }
    }

    fn survive(mut self: Box<Self>) -> u64 {
        let last = last(&self.name);
        if last.is_none() {
            // The key has kept no slot.
            let plain = [(); 2].map(|()| Sender::open(&*self.name).unwrap());
            drop(plain);
        }
        let (came, end) = until_deserted(&mut self.receiver);
        assert!(end.starts_with("Disconnected"), "{end}");
        let came: Vec<u64> = came.into_iter().filter(|n| *n != LATER).collect();
        let came = in_order(&came, 0);
        assert_eq!(last, came.checked_sub(1));
        assert!((self.before..=self.after).contains(&came), "{came}");
        came
    }
}

/// The world of a receiver: a sender with the key has left, and another sender keeps the queue.
struct Keeper {
    name: String,
    keeper: Option<Sender>,
}

impl Keeper {
    fn enter(&mut self) {
        self.keeper = Some(Sender::open(&*self.name).unwrap());
        let mut sender = open(&self.name);
        (0..SENT).for_each(|n| give(&mut sender, n));
    }
}

fn keeper(name: &str) -> Box<dyn World> {
    let (name, keeper) = (name.to_string(), None);
    Box::new(Keeper { name, keeper })
}

/// The world of the next receiver.
fn heir(name: &str) -> Box<dyn World> {
    let (text, keeper) = (name.to_string(), None);
    let mut world = Keeper { name: text, keeper };
    dead_owner("queue", name, || world.enter());
    Box::new(world)
}

impl World for Keeper {
    fn ready(&mut self) {
        if self.keeper.is_none() {
            self.enter();
        }
    }

    fn survive(mut self: Box<Self>) -> u64 {
        let mut receiver = options().create(&*self.name).unwrap();
        assert_eq!(last(&self.name), Some(SENT - 1));
        let keeper = self.keeper.as_mut().unwrap();
        keeper.send_timeout(&message(LATER, 20), LONG).unwrap();
        drop(self.keeper);
        until_deserted(&mut receiver);
        assert_eq!(last(&self.name), Some(SENT - 1));
        0
    }
}

#[test]
fn source_killed_in_send_keeps_last_number() {
    at_every_instruction("source: send", |name| sources(name, false, SENT, SENT + 1));
    at_every_instruction("source: claim and commit", |name| {
        sources(name, false, SENT, SENT + 1)
    });
    at_every_instruction("source: send a batch", |name| {
        sources(name, false, SENT, SENT + 3)
    });
    in_all_places("source: reattach", |name| {
        sources(name, true, SENT, SENT + 1)
    });
}

#[test]
fn source_killed_opening_keeps_last_number() {
    in_all_places("source: open", successor);
    in_all_places("source: open", |name| sources(name, false, 0, 0));
    in_all_places("source: close", |name| sources(name, false, SENT, SENT));
}

#[test]
fn receiver_killed_in_lifecycle_keeps_source_numbers() {
    in_all_places("receiver: take over", heir);
    in_all_places("receiver: resize", keeper);
}
