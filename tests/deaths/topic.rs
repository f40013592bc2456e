//! The world around a publisher or a subscriber.

use crate::walk::*;
use shmkit::ErrorKind::NotFound;
use shmkit::{Delivery, Publisher, RecvError, Start, Subscriber, TopicOptions};
use std::thread::JoinHandle;

/// The number of the message that the next publisher sends.
pub const LATER: u64 = 1000;
const LAST: u64 = 2000;
/// The number of messages that go several times around the ring.
const MANY: u64 = 200;

pub fn options() -> TopicOptions {
    lossy().delivery(Delivery::Lossless)
}

pub fn lossy() -> TopicOptions {
    Publisher::options().capacity(4096).max_message(200)
}

/// Returns the options of a topic of long messages with time stamps.
pub fn frames() -> TopicOptions {
    let options = Publisher::options().max_message(64 << 10);
    options.keep(2).timestamps(true)
}

pub fn from_the_oldest(name: &str) -> Subscriber {
    let options = Subscriber::options().start(Start::Oldest);
    options.open(name).unwrap()
}

/// Receives until the publisher has ended; returns the numbers of the messages, and the error at
/// the end.
fn until_left(subscriber: &mut Subscriber) -> (Vec<u64>, String) {
    let mut came = Vec::new();
    loop {
        match subscriber.recv_timeout(LONG) {
            Ok(bytes) => came.push(number(bytes)),
            Err(end) => return (came, format!("{end:?}")),
        }
    }
}

fn give(publisher: &mut Publisher, n: u64) {
    publisher.send_timeout(&message(n, 48), LONG).unwrap();
}

/// Checks that an attached subscriber and a new one receive from the next publisher.
fn goes_on(name: &str, mut subscriber: Option<Subscriber>) {
    let mut publisher = options().create(name).unwrap();
    if let Some(subscriber) = &mut subscriber {
        assert!(subscriber.wait_for_publisher(LONG).unwrap());
    }
    give(&mut publisher, LAST);
    let new = from_the_oldest(name);
    for mut subscriber in subscriber.into_iter().chain([new]) {
        assert_eq!(number(subscriber.recv_timeout(LONG).unwrap()), LAST);
    }
}

/// The world of a publisher: a subscriber that receives.
struct Listener {
    name: String,
    thread: Option<JoinHandle<(Subscriber, Vec<u64>, String)>>,
    before: u64,
    after: u64,
}

fn listener(name: &str, before: u64, after: u64) -> Box<dyn World> {
    Box::new(Listener {
        name: name.to_string(),
        thread: None,
        before,
        after,
    })
}

impl World for Listener {
    fn ready(&mut self) {
        let mut subscriber = from_the_oldest(&self.name);
        self.thread = Some(std::thread::spawn(move || {
            let (came, end) = until_left(&mut subscriber);
            (subscriber, came, end)
        }));
        until_asleep(&self.name);
    }

    fn survive(mut self: Box<Self>) -> u64 {
        let (subscriber, came, end) = self.thread.take().unwrap().join().unwrap();
        assert!(end.starts_with("Disconnected"), "{end}");
        assert_eq!(subscriber.missed(), 0);
        let came = in_order(&came, 0);
        assert!((self.before..=self.after).contains(&came), "{came}");
        goes_on(&self.name, Some(subscriber));
        came
    }
}

/// The world of a first publisher: there is no other participant yet.
struct Nobody(String);

fn nobody(name: &str) -> Box<dyn World> {
    Box::new(Nobody(name.to_string()))
}

impl World for Nobody {
    fn survive(self: Box<Self>) -> u64 {
        let absent = Subscriber::open(&*self.0).unwrap_err();
        assert_eq!(absent.kind(), NotFound, "{absent}");
        goes_on(&self.0, None);
        0
    }
}

/// The world of the next publisher: the first publisher is dead, and a subscriber receives its
/// messages.
struct Heir {
    name: String,
    thread: JoinHandle<()>,
}

fn heir(name: &str) -> Box<dyn World> {
    let mut subscriber = None;
    dead_owner("topic", name, || {
        subscriber = Some(from_the_oldest(name));
    });
    let mut subscriber = subscriber.unwrap();
    let thread = std::thread::spawn(move || {
        let mut came = Vec::new();
        loop {
            match subscriber.recv_timeout(LONG) {
                Ok(bytes) => came.push(number(bytes)),
                Err(RecvError::Disconnected(_)) => {
                    assert!(subscriber.wait_for_publisher(LONG).unwrap());
                }
                Err(error) => panic!("{error}"),
            }
            if came.last() == Some(&LAST) {
                break;
            }
        }
        assert_eq!(in_order(&came[..5], 0), 5);
        // The message of the second publisher, if the subscriber had joined that publisher before
        // its death.
        let later: &[u64] = &came[5..came.len() - 1];
        assert!(matches!(later, [] | [LATER]), "{came:?}");
        assert_eq!(subscriber.missed(), 0);
    });
    Box::new(Heir {
        name: name.to_string(),
        thread,
    })
}

impl World for Heir {
    fn survive(self: Box<Self>) -> u64 {
        let mut publisher = options().create(&*self.name).unwrap();
        give(&mut publisher, LAST);
        self.thread.join().unwrap();
        0
    }
}

/// The world of a subscriber: a publisher that waits for it, and another subscriber.
struct Audience {
    name: String,
    thread: JoinHandle<Publisher>,
    other: JoinHandle<()>,
    /// The publisher sends nothing before this signal.
    go: std::sync::mpsc::Sender<()>,
    fills: bool,
}

fn audience(name: &str, fills: bool) -> Box<dyn World> {
    let mut publisher = options().create(name).unwrap();
    (0..3).for_each(|n| give(&mut publisher, n));
    let mut other = from_the_oldest(name);
    let (go, gone) = std::sync::mpsc::channel();
    Box::new(Audience {
        name: name.to_string(),
        thread: std::thread::spawn(move || {
            gone.recv().unwrap();
            (3..MANY).for_each(|n| give(&mut publisher, n));
            publisher
        }),
        other: std::thread::spawn(move || {
            let (came, end) = until_left(&mut other);
            assert_eq!((in_order(&came, 0), &*end), (MANY, "Disconnected(Closed)"));
            assert_eq!(other.missed(), 0);
        }),
        go,
        fills,
    })
}

impl World for Audience {
    fn ready(&mut self) {
        if self.fills {
            self.go.send(()).unwrap();
            eventually("the publisher waits", || {
                shmkit::inspect::segment_info(&*self.name)
                    .unwrap()
                    .owner
                    .asleep
            });
        }
    }

    fn survive(self: Box<Self>) -> u64 {
        let _ = self.go.send(());
        let publisher = self.thread.join().unwrap();
        let mut new = Subscriber::open(&*self.name).unwrap();
        assert_eq!(number(new.recv_timeout(LONG).unwrap()), MANY - 1);
        drop(publisher);
        self.other.join().unwrap();
        let end = new.recv_timeout(LONG);
        assert_eq!(format!("{end:?}"), "Err(Disconnected(Closed))");
        0
    }
}

/// The world of a publisher that opens a topic: its owner, and a subscriber.
struct Several {
    name: String,
    owner: Publisher,
    subscriber: Subscriber,
    before: u64,
    after: u64,
    /// Whether the owner makes another generation before the victim acts.
    resizes: bool,
}

fn several(name: &str, before: u64, after: u64) -> Several {
    let mut owner = options().publishers(2).create(name).unwrap();
    let mut subscriber = from_the_oldest(name);
    give(&mut owner, LATER);
    assert_eq!(number(subscriber.recv_timeout(LONG).unwrap()), LATER);
    Several {
        name: name.to_string(),
        owner,
        subscriber,
        before,
        after,
        resizes: false,
    }
}

impl Several {
    /// Receives until the last message. Returns the numbers of the others.
    fn receive(&mut self) -> Vec<u64> {
        let mut came = Vec::new();
        loop {
            match self.subscriber.recv_timeout(LONG).map(number) {
                Ok(LAST) => return came,
                Ok(number) => came.push(number),
                Err(RecvError::PublisherGone { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl World for Several {
    fn ready(&mut self) {
        if self.resizes {
            let larger = options().publishers(2).capacity(8192);
            self.owner.resize(&larger).unwrap();
        }
    }

    fn survive(mut self: Box<Self>) -> u64 {
        // The place of the victim is free, and its lane can be used.
        let mut next = Publisher::open(&*self.name).unwrap();
        give(&mut next, LAST);
        let came = in_order(&self.receive(), 0);
        assert!((self.before..=self.after).contains(&came), "{came}");
        assert_eq!(self.subscriber.missed(), 0);
        // Nobody waits for the victim, and many messages find their way.
        for n in 0..MANY {
            for publisher in [&mut self.owner, &mut next] {
                give(publisher, n);
                assert_eq!(number(self.subscriber.recv_timeout(LONG).unwrap()), n);
            }
        }
        let id = next.id();
        drop(next);
        let gone = self.subscriber.recv_timeout(LONG);
        let is_gone =
            matches!(&gone, Err(RecvError::PublisherGone { publisher, .. }) if *publisher == id);
        assert!(is_gone, "{gone:?}");
        came
    }
}

/// The lane of the victim has had another publisher.
fn second_hand(name: &str) -> Box<dyn World> {
    let mut world = several(name, 0, 1);
    let mut first = Publisher::open(name).unwrap();
    (0..MANY).for_each(|n| {
        give(&mut first, n);
        assert_eq!(number(world.subscriber.recv_timeout(LONG).unwrap()), n);
    });
    drop(first);
    assert!(world.subscriber.recv_timeout(LONG).is_err());
    Box::new(world)
}

#[test]
fn guest_killed_anywhere_leaves_the_others_working() {
    in_all_places("guest: open and publish", |name| {
        Box::new(several(name, 0, 1))
    });
    in_all_places("guest: take a lane over", second_hand);
    in_all_places("guest: publish", |name| Box::new(several(name, 3, 4)));
    in_all_places("guest: publish into the next eighth", |name| {
        Box::new(several(name, 7, 9))
    });
    in_all_places("guest: reattach", |name| {
        let resizes = true;
        let world = several(name, 3, 4);
        Box::new(Several { resizes, ..world })
    });
    in_all_places("guest: close", |name| Box::new(several(name, 3, 3)));
}

#[test]
fn publisher_killed_in_send_leaves_whole_prefix() {
    in_all_places("publisher: publish", |name| listener(name, 3, 4));
    in_all_places("publisher: publish into the next eighth", |name| {
        listener(name, 7, 9)
    });
    in_all_places("publisher: publish, lossy", |name| listener(name, 3, 4));
    in_all_places("publisher: publish, long ring", |name| listener(name, 3, 4));
}

#[test]
fn publisher_killed_in_lifecycle_frees_its_name() {
    in_all_places("publisher: create", nobody);
    in_all_places("publisher: take over", heir);
    in_all_places("publisher: resize", |name| listener(name, 3, 3));
    in_all_places("publisher: close", |name| listener(name, 3, 3));
}

#[test]
fn subscriber_killed_anywhere_never_blocks_publisher() {
    in_all_places("subscriber: subscribe", |name| audience(name, false));
    in_all_places("subscriber: recv, and wake the publisher", |name| {
        audience(name, true)
    });
    in_all_places("subscriber: recv in place", |name| audience(name, true));
    in_all_places("subscriber: close", |name| audience(name, true));
}
