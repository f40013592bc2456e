//! The world around a sender or a receiver.

use crate::walk::*;
use shmkit::ErrorKind::{Busy, NotFound};
use shmkit::{QueueOptions, Receiver, RecvError, SendError, Sender};
use std::thread::JoinHandle;

/// The number of messages that a victim has sent before.
pub const SENT: u64 = 3;
/// The number of messages that go almost to the end of a ring.
pub const AROUND: u64 = 63;
/// The number of short messages that go almost to the end of a ring.
pub const LAP: u64 = 127;
const OTHER: u64 = 1000;
const LATER: u64 = 2000;

pub fn options() -> QueueOptions {
    Receiver::options()
        .capacity(4096)
        .max_message(200)
        .senders(2)
}

/// Receives until no sender is left; returns the numbers of the messages, and the error at the end.
pub fn until_deserted(receiver: &mut Receiver) -> (Vec<u64>, String) {
    let mut came = Vec::new();
    loop {
        match receiver.recv_timeout(LONG) {
            Ok(bytes) => came.push(number(bytes)),
            Err(end) => return (came, format!("{end:?}")),
        }
    }
}

fn give(sender: &mut Sender, n: u64) {
    sender.send_timeout(&message(n, 48), LONG).unwrap();
}

/// The world of a sender: its receiver, and another sender.
struct Senders {
    name: String,
    receiver: Receiver,
    other: Sender,
    /// The numbers of the messages that were received before the kill.
    came: Vec<u64>,
    before: u64,
    after: u64,
}

fn senders(name: &str, options: &QueueOptions, before: u64, after: u64) -> Box<dyn World> {
    let receiver = options.create(name).unwrap();
    let mut other = Sender::open(name).unwrap();
    give(&mut other, OTHER);
    Box::new(Senders {
        name: name.to_string(),
        receiver,
        other,
        came: Vec::new(),
        before,
        after,
    })
}

impl World for Senders {
    fn ready(&mut self) {
        // If the victim sends around the end of the ring, there has to be space.
        while self.before >= AROUND && self.came.len() as u64 <= self.before.min(LAP) {
            self.came
                .push(number(self.receiver.recv_timeout(LONG).unwrap()));
        }
    }

    fn survive(mut self: Box<Self>) -> u64 {
        give(&mut self.other, OTHER + 1);
        // The only free slot is that of the dead sender.
        let mut next = Sender::open(&*self.name).unwrap();
        give(&mut next, LATER);
        drop((next, self.other));
        let (came, end) = until_deserted(&mut self.receiver);
        assert!(end.starts_with("Disconnected"), "{end}");
        self.came.extend(came);
        let of = |from| {
            let all = self.came.iter().copied();
            all.filter(|n| n / 1000 * 1000 == from)
                .collect::<Vec<u64>>()
        };
        assert_eq!(in_order(&of(OTHER), OTHER), OTHER + 2);
        assert_eq!(in_order(&of(LATER), LATER), LATER + 1);
        let came = in_order(&of(0), 0);
        assert!((self.before..=self.after).contains(&came), "{came}");
        assert_eq!(format!("{:?}", self.receiver.try_recv()), "Err(Empty)");
        came
    }
}

/// The world of a sender whose receiver sleeps; there is no other participant.
struct Sleeper {
    name: String,
    receiver: Option<Receiver>,
    thread: Option<JoinHandle<(Receiver, Vec<u64>, String)>>,
}

fn sleeper(name: &str) -> Box<dyn World> {
    let options = options().senders(1);
    Box::new(Sleeper {
        name: name.to_string(),
        receiver: Some(options.create(name).unwrap()),
        thread: None,
    })
}

impl World for Sleeper {
    fn ready(&mut self) {
        let mut receiver = self.receiver.take().unwrap();
        self.thread = Some(std::thread::spawn(move || {
            let (came, end) = until_deserted(&mut receiver);
            (receiver, came, end)
        }));
        until_asleep(&self.name);
    }

    fn survive(mut self: Box<Self>) -> u64 {
        let (mut receiver, came, end) = self.thread.take().unwrap().join().unwrap();
        assert_eq!(end, "Disconnected(Died)");
        let mut next = Sender::open(&*self.name).unwrap();
        give(&mut next, LATER);
        drop(next);
        let later = until_deserted(&mut receiver);
        assert_eq!(later, (vec![LATER], "Disconnected(Closed)".to_string()));
        in_order(&came, 0)
    }
}

/// The world of a receiver: a sender sends, and waits when the lane is full.
struct Owner {
    name: String,
    thread: Option<JoinHandle<(Sender, u64)>>,
    /// The number of messages that were received before the operation, and after it.
    before: u64,
    after: u64,
}

fn owner(name: &str, before: u64, after: u64) -> Box<dyn World> {
    Box::new(Owner {
        name: name.to_string(),
        thread: None,
        before,
        after,
    })
}

impl World for Owner {
    fn ready(&mut self) {
        let mut sender = Sender::open(&*self.name).unwrap();
        self.thread = Some(std::thread::spawn(move || {
            let mut sent = 0;
            loop {
                match sender.send_timeout(&message(sent, 48), LONG) {
                    Ok(()) => sent += 1,
                    Err(SendError::Disconnected(_)) => return (sender, sent),
                    Err(error) => panic!("{error}"),
                }
            }
        }));
        until_asleep(&self.name);
    }

    fn survive(mut self: Box<Self>) -> u64 {
        let (mut sender, sent) = self.thread.take().unwrap().join().unwrap();
        let mut receiver = options().create(&*self.name).unwrap();
        give(&mut sender, sent);
        let mut other = Sender::open(&*self.name).unwrap();
        give(&mut other, OTHER);
        drop((sender, other));
        let (mut came, end) = until_deserted(&mut receiver);
        assert_eq!(end, "Disconnected(Closed)");
        let at = came.iter().position(|n| *n == OTHER).unwrap();
        came.remove(at);
        let first = came[0];
        assert_eq!(in_order(&came, first), sent + 1);
        assert!((self.before..=self.after).contains(&first), "{first}");
        first
    }
}

/// The world of a first receiver: there is no other participant yet.
struct Nobody(String);

fn nobody(name: &str) -> Box<dyn World> {
    Box::new(Nobody(name.to_string()))
}

impl World for Nobody {
    fn survive(self: Box<Self>) -> u64 {
        let name = &*self.0;
        let absent = Sender::open(name).unwrap_err();
        assert_eq!(absent.kind(), NotFound, "{absent}");
        let mut receiver = options().create(name).unwrap();
        let mut sender = Sender::open(name).unwrap();
        give(&mut sender, LATER);
        drop(sender);
        let came = until_deserted(&mut receiver);
        assert_eq!(came, (vec![LATER], "Disconnected(Closed)".to_string()));
        0
    }
}

/// The world of the next receiver: the first receiver is dead, and has left messages. One sender
/// has sent, and another sender waits for the next receiver.
struct Heir {
    name: String,
    sender: Sender,
    waiter: Option<JoinHandle<Sender>>,
}

fn heir(name: &str) -> Box<dyn World> {
    let mut senders = None;
    dead_owner("queue", name, || {
        let mut sender = Sender::open(name).unwrap();
        (0..5).for_each(|n| give(&mut sender, n));
        senders = Some((sender, Sender::open(name).unwrap()));
    });
    let (sender, mut other) = senders.unwrap();
    Box::new(Heir {
        name: name.to_string(),
        sender,
        waiter: Some(std::thread::spawn(move || {
            assert!(other.wait_for_receiver(LONG).unwrap());
            give(&mut other, OTHER);
            other
        })),
    })
}

impl World for Heir {
    fn survive(mut self: Box<Self>) -> u64 {
        let mut receiver = options().create(&*self.name).unwrap();
        let other = self.waiter.take().unwrap().join().unwrap();
        give(&mut self.sender, 5);
        drop((self.sender, other));
        let (mut came, end) = until_deserted(&mut receiver);
        assert_eq!(end, "Disconnected(Closed)");
        let at = came.iter().position(|n| *n == OTHER).unwrap();
        came.remove(at);
        assert_eq!(in_order(&came, came[0]), 6);
        assert!((2..=3).contains(&came[0]), "{came:?}");
        came[0]
    }
}

/// The world of a sender that opens: the next sender needs the slot of the dead sender.
struct Entrance {
    name: String,
    receiver: Receiver,
}

fn entrance(name: &str) -> Box<dyn World> {
    let receiver = options().senders(1).create(name).unwrap();
    Box::new(Entrance {
        name: name.to_string(),
        receiver,
    })
}

impl World for Entrance {
    fn survive(mut self: Box<Self>) -> u64 {
        let mut next = Sender::open(&*self.name).unwrap();
        assert_eq!(Sender::open(&*self.name).unwrap_err().kind(), Busy);
        give(&mut next, LATER);
        // The receiver may first report the dead sender, if that sender had joined.
        let mut came = self.receiver.recv_timeout(LONG);
        if let Err(RecvError::Disconnected(_)) = came {
            came = self.receiver.recv_timeout(LONG);
        }
        assert_eq!(number(came.unwrap()), LATER);
        drop(next);
        let (came, end) = until_deserted(&mut self.receiver);
        assert_eq!((came, &*end), (vec![], "Disconnected(Closed)"));
        0
    }
}

#[test]
fn sender_killed_in_send_loses_no_message() {
    let build: Build = |name| senders(name, &options(), SENT, SENT + 1);
    at_every_instruction("sender: send", build);
    in_all_places("sender: send to one that sleeps", sleeper);
    in_all_places("sender: send around the end", |name| {
        senders(name, &options(), AROUND, AROUND + 1)
    });
    at_every_instruction("sender: send in the second lap", |name| {
        senders(name, &options(), LAP + 1, LAP + 2)
    });
    in_all_places("sender: send 5000 bytes", |name| {
        let long = options().capacity(32 << 10).max_message(6000);
        senders(name, &long, SENT, SENT + 1)
    });
    in_all_places("sender: claim and commit", build);
    // A long ring whose records have time stamps.
    let build: Build = |name| {
        let long = options().max_message(64 << 10).timestamps(true);
        senders(name, &long, SENT, SENT + 1)
    };
    in_all_places("sender: send", build);
    in_all_places("sender: claim and commit", build);
    in_all_places("sender: send a batch", |name| {
        senders(name, &options(), SENT, SENT + 3)
    });
}

#[test]
fn sender_killed_opening_or_closing_frees_slot() {
    in_all_places("sender: open", entrance);
    in_all_places("sender: close", |name| {
        senders(name, &options(), SENT, SENT)
    });
}

#[test]
fn receiver_killed_in_recv_loses_no_message() {
    at_every_instruction("receiver: recv", |name| owner(name, 1, 2));
    in_all_places("receiver: recv, and wake a sender", |name| {
        owner(name, 7, 9)
    });
}

#[test]
fn receiver_killed_in_lifecycle_frees_its_name() {
    in_all_places("receiver: create", nobody);
    in_all_places("receiver: take over", heir);
    in_all_places("receiver: resize", |name| owner(name, 0, 0));
    in_all_places("receiver: close", |name| owner(name, 0, 0));
}
