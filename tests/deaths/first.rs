//! The worlds of `open_or_create`: a process that creates a queue or a topic before its owner has come,
//! and the first owner.

use crate::walk::*;
use crate::{queue, topic};
use shmkit::ErrorKind::NotFound;
use shmkit::{RecvError, Sender, Subscriber};
use std::thread::JoinHandle;

/// The number of the message that the next owner or sender sends.
const NEXT: u64 = 1000;

/// The number of the message of the victim.
pub const FIRST: u64 = 7;

pub fn sender(name: &str) -> Sender {
    let options = Sender::options();
    options.open_or_create(name, &queue::options()).unwrap()
}

pub fn subscriber(name: &str) -> Subscriber {
    let options = Subscriber::options();
    options.open_or_create(name, &topic::options()).unwrap()
}

/// The world of a process that creates a name alone.
struct Nobody(String);

fn nobody(name: &str) -> Box<dyn World> {
    Box::new(Nobody(name.to_string()))
}

impl World for Nobody {
    fn survive(self: Box<Self>) -> u64 {
        let name = &*self.0;
        assert_eq!(Sender::open(name).unwrap_err().kind(), NotFound);
        assert_eq!(Subscriber::open(name).unwrap_err().kind(), NotFound);
        let mut sender = sender(name);
        sender.send(&message(NEXT, 48)).unwrap();
        let mut receiver = queue::options().open_or_create(name).unwrap();
        assert_eq!(number(receiver.recv_timeout(LONG).unwrap()), NEXT);
        0
    }
}

/// The world of a sender that creates a queue anew: its receiver is dead, and another sender waits.
struct Orphan {
    name: String,
    other: Sender,
}

fn orphan(name: &str) -> Box<dyn World> {
    let mut other = None;
    dead_owner("queue", name, || {
        let mut sender = Sender::open(name).unwrap();
        (0..5).for_each(|n| sender.send(&message(n, 48)).unwrap());
        other = Some(sender);
    });
    Box::new(Orphan {
        name: name.to_string(),
        other: other.unwrap(),
    })
}

impl World for Orphan {
    fn survive(mut self: Box<Self>) -> u64 {
        let mut receiver = queue::options().open_or_create(&*self.name).unwrap();
        self.other.send(&message(5, 48)).unwrap();
        let mut came = Vec::new();
        while came.last() != Some(&5) {
            came.push(number(receiver.recv_timeout(LONG).unwrap()));
        }
        // The victim has sent one message, which is lost if no other process had its queue.
        let victims = came.iter().position(|n| *n == FIRST);
        let victims = victims.map(|at| came.remove(at));
        // The dead receiver has received two messages.
        assert_eq!(in_order(&came, 2), 6);
        u64::from(victims.is_some())
    }
}

/// The world of the first receiver: a sender has created the queue.
struct Waiting {
    name: String,
    sender: Sender,
}

fn waiting(name: &str) -> Box<dyn World> {
    let mut sender = sender(name);
    (0..5).for_each(|n| sender.send(&message(n, 48)).unwrap());
    Box::new(Waiting {
        name: name.to_string(),
        sender,
    })
}

impl World for Waiting {
    fn survive(mut self: Box<Self>) -> u64 {
        let mut receiver = queue::options().create(&*self.name).unwrap();
        self.sender.send(&message(5, 48)).unwrap();
        let mut came = Vec::new();
        while came.last() != Some(&5) {
            came.push(number(receiver.recv_timeout(LONG).unwrap()));
        }
        assert_eq!(in_order(&came, came[0]), 6);
        assert!(came[0] <= 1, "{came:?}");
        came[0]
    }
}

/// The world of the first publisher: a subscriber has created the topic, and receives.
struct Listener {
    name: String,
    thread: Option<JoinHandle<Vec<u64>>>,
}

fn listener(name: &str) -> Box<dyn World> {
    let mut subscriber = subscriber(name);
    let thread = std::thread::spawn(move || {
        let mut came = Vec::new();
        while came.last() != Some(&NEXT) {
            match subscriber.recv_timeout(LONG).map(number) {
                Ok(number) => came.push(number),
                Err(RecvError::Disconnected(_)) => {
                    assert!(subscriber.wait_for_publisher(LONG).unwrap());
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(subscriber.missed(), 0);
        came
    });
    Box::new(Listener {
        name: name.to_string(),
        thread: Some(thread),
    })
}

impl World for Listener {
    fn ready(&mut self) {
        until_asleep(&self.name);
    }

    fn survive(mut self: Box<Self>) -> u64 {
        let mut publisher = topic::options().create(&*self.name).unwrap();
        publisher.send_timeout(&message(NEXT, 48), LONG).unwrap();
        let came = self.thread.take().unwrap().join().unwrap();
        // The victim has sent one message, which is lost if the subscriber had not joined it.
        assert!(matches!(came[..], [NEXT] | [FIRST, NEXT]), "{came:?}");
        came.len() as u64 - 1
    }
}

#[test]
fn creator_killed_anywhere_frees_the_name() {
    in_all_places("sender: create first", nobody);
    in_all_places("subscriber: create first", nobody);
    in_all_places("sender: create after a dead receiver", orphan);
}

#[test]
fn first_owner_killed_anywhere_loses_no_participant() {
    in_all_places("receiver: take a waiting queue", waiting);
    in_all_places("publisher: take a waiting topic", listener);
}
