//! `open_or_create`: the first process creates the queue or the topic, whatever its role is. Until an
//! owner comes, the others wait and are not disconnected.

use super::*;
use crate::common::{refused, start, unique};
use shmkit::DisconnectReason::Closed;
use shmkit::ErrorKind::{
    AlreadyExists, Busy, InvalidName, NotFound, WrongKind, WrongOptions, WrongType,
};
use shmkit::{Access, QueueOptions, TopicOptions};
use std::sync::Barrier;
use std::thread::scope;

fn orders_queue() -> QueueOptions {
    Receiver::options().capacity(CAPACITY).max_message(LONGEST)
}

fn prices(delivery: Delivery) -> TopicOptions {
    let options = Publisher::options().capacity(CAPACITY).max_message(LONGEST);
    options.delivery(delivery).publishers(2)
}

fn first_sender(name: &str) -> Sender {
    let options = Sender::options();
    options.open_or_create(name, &orders_queue()).unwrap()
}

fn first_subscriber(name: &str, delivery: Delivery) -> Subscriber {
    let options = Subscriber::options();
    options.open_or_create(name, &prices(delivery)).unwrap()
}

/// Creates a queue, sends a message, and waits for the end of the parent.
pub fn send_first(name: &str) {
    let mut sender = first_sender(name);
    sender.send(b"of the child").unwrap();
    say("sent");
    hear();
}

// layout: L330 L332
#[test]
fn first_receiver_gets_messages_sent_before() {
    let (_test, name) = start("first-queue");
    let mut creator = first_sender(&name);
    creator.send(b"one").unwrap();
    let mut second = Sender::open(&*name).unwrap();
    second.send(b"two").unwrap();
    let mut third = first_sender(&name);
    third.send(b"three").unwrap();
    drop(third);
    assert_eq!(creator.generation(), 1);

    let mut receiver = orders_queue().open_or_create(&*name).unwrap();
    let mut came: Vec<_> = (0..3).map(|_| receiver.recv().unwrap().to_vec()).collect();
    came.sort();
    assert_eq!(came, [&b"one"[..], b"three", b"two"]);
    assert_eq!(why(receiver.try_recv()), "Empty");

    creator.send(b"four").unwrap();
    assert_eq!((creator.generation(), receiver.generation()), (2, 2));
    assert_eq!(receiver.recv().unwrap(), b"four");
    drop(receiver);
    assert_eq!(
        why(creator.send(b"five")),
        format!("{:?}", SendError::Disconnected(Closed))
    );
}

// layout: L331
#[test]
fn full_lane_blocks_until_receiver_comes() {
    let (_test, name) = start("first-full");
    let mut sender = first_sender(&name);
    while sender.try_send(&[7; 100]).is_ok() {}
    assert_eq!(why(sender.send_timeout(&[7; 100], MOMENT)), "Timeout");
    scope(|scope| {
        let blocked = scope.spawn(move || sender.send(&[8; 100]));
        eventually("the sender sleeps", || {
            common::is_asleep(&name, Some(std::process::id()))
        });
        let mut receiver = orders_queue().open_or_create(&*name).unwrap();
        let mut count = 0;
        while receiver.recv().unwrap() != [8; 100] {
            count += 1;
        }
        assert!(count > 10, "{count}");
        blocked.join().unwrap().unwrap();
    });
}

// layout: L330 L332
#[test]
fn first_publisher_serves_waiting_subscribers() {
    for (delivery, case) in [(Delivery::Lossy, "lossy"), (Delivery::Lossless, "lossless")] {
        let name = unique(&format!("first-topic-{case}"));
        let mut creator = first_subscriber(&name, delivery);
        let mut observer = Subscriber::options().observer(true).open(&*name).unwrap();
        let mut second = Subscriber::open(&*name).unwrap();
        for subscriber in [&mut creator, &mut observer, &mut second] {
            assert_eq!(why(subscriber.recv_timeout(MOMENT)), "Timeout");
        }
        refused(NotFound, Publisher::open(&*name));

        let mut publisher = prices(delivery).open_or_create(&*name).unwrap();
        let mut guest = prices(delivery).open_or_create(&*name).unwrap();
        refused(Busy, prices(delivery).open_or_create(&*name));
        publisher.send(b"one").unwrap();
        for subscriber in [&mut creator, &mut observer, &mut second] {
            assert_eq!(subscriber.recv().unwrap(), b"one");
            assert_eq!(subscriber.publisher(), Some(publisher.id()));
            assert_eq!((subscriber.missed(), subscriber.next_number()), (0, 1));
        }
        guest.send(b"two").unwrap();
        assert_eq!(creator.recv().unwrap(), b"two");
        drop((publisher, guest));
        assert!(why(creator.recv()).starts_with("PublisherGone"));
    }
}

// layout: L332
#[test]
fn lossless_publisher_waits_for_earlier_subscribers() {
    let (_test, name) = start("first-lossless");
    let mut subscriber = first_subscriber(&name, Delivery::Lossless);
    let mut publisher = prices(Delivery::Lossless).open_or_create(&*name).unwrap();
    let mut sent = 0;
    while publisher.try_send(&[sent; 100]).is_ok() {
        sent += 1;
    }
    assert!(sent > 10, "{sent}");
    for number in 0..sent {
        assert_eq!(subscriber.recv().unwrap(), [number; 100]);
    }
    assert_eq!(why(subscriber.try_recv()), "Empty");
    publisher.send(b"more").unwrap();
    assert_eq!(subscriber.recv().unwrap(), b"more");
}

// layout: L331 L332
#[test]
fn asleep_subscriber_is_woken_by_first_publisher() {
    let (_test, name) = start("first-asleep");
    let options = prices(Delivery::Lossy).publishers(1);
    let subscribing = Subscriber::options();
    let mut subscriber = subscribing.open_or_create(&*name, &options).unwrap();
    scope(|scope| {
        let waiting = scope.spawn(move || subscriber.recv().map(<[u8]>::to_vec));
        eventually("the subscriber sleeps", || {
            common::is_asleep(&name, Some(std::process::id()))
        });
        let mut publisher = options.create(&*name).unwrap();
        publisher.send(b"one").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), b"one");
    });
}

#[test]
fn sender_waits_for_its_first_receiver() {
    let (_test, name) = start("first-wait");
    let mut sender = first_sender(&name);
    assert!(!sender.wait_for_receiver(MOMENT).unwrap());
    let receiver = orders_queue().create(&*name).unwrap();
    assert!(sender.wait_for_receiver(MOMENT).unwrap());
    assert_eq!(sender.generation(), receiver.generation());
}

// layout: L334
#[test]
fn different_options_are_refused_on_both_sides() {
    let (_test, name) = start("first-options");
    let sender = first_sender(&name);
    let other = [
        (orders_queue().senders(5), "63 senders"),
        (
            orders_queue().max_message(300),
            "messages of up to 200 bytes",
        ),
        (orders_queue().capacity(1 << 20), "a capacity of 4096 bytes"),
        (orders_queue().timestamps(true), "no time stamps"),
    ];
    for (options, says) in &other {
        for error in [
            refused(WrongOptions, options.open_or_create(&*name)),
            refused(
                WrongOptions,
                Sender::options().open_or_create(&*name, options),
            ),
        ] {
            assert!(error.to_string().contains(says), "{error}");
        }
    }
    // An access that is different is told by the sender; the receiver cannot take the name then.
    let open = orders_queue().access(Access::UsersReadOnly);
    refused(AlreadyExists, open.open_or_create(&*name));
    refused(
        WrongOptions,
        Sender::options().open_or_create(&*name, &open),
    );
    let typed = Receiver::options().capacity(CAPACITY).typed::<u64>();
    refused(WrongOptions, typed.open_or_create(&*name));
    refused(
        WrongType,
        Sender::options().typed().open_or_create(&*name, &typed),
    );
    refused(WrongKind, Subscriber::open_or_create(&*name));
    refused(WrongOptions, Publisher::open_or_create(&*name));
    assert_eq!(sender.generation(), 1, "nothing has changed");

    // The same options fit, and `create` may choose others.
    let receiver = orders_queue().open_or_create(&*name).unwrap();
    refused(AlreadyExists, orders_queue().open_or_create(&*name));
    drop(receiver);
    other[0].0.create(&*name).unwrap();
}

// layout: L334
#[test]
fn options_of_a_living_owner_are_checked() {
    let (_test, name) = start("first-living");
    let receiver = orders_queue().create(&*name).unwrap();
    let mut sender = first_sender(&name);
    sender.send(b"one").unwrap();
    assert_eq!(receiver.generation(), 1);
    let other = orders_queue().senders(2);
    refused(
        WrongOptions,
        Sender::options().open_or_create(&*name, &other),
    );

    let topic = unique("first-living-topic");
    let lossless = prices(Delivery::Lossless);
    let _publisher = lossless.create(&*topic).unwrap();
    let lossy = prices(Delivery::Lossy);
    let error = refused(WrongOptions, lossy.open_or_create(&*topic));
    assert!(error.to_string().contains("delivery lossless"), "{error}");
    refused(
        WrongOptions,
        Subscriber::options().open_or_create(&*topic, &lossy),
    );
    refused(InvalidName, Sender::open_or_create(""));
}

// layout: L330
#[test]
fn simultaneous_creators_share_one_queue() {
    const ROUNDS: usize = 40;
    let (_test, stem) = start("first-race");
    for round in 0..ROUNDS {
        common::step();
        let name = format!("{stem}-{round}");
        let (name, barrier) = (&*name, &Barrier::new(4));
        scope(|scope| {
            // The senders keep the queue until the receiver has their messages.
            let senders = [0, 1, 2].map(|number: u8| {
                scope.spawn(move || {
                    barrier.wait();
                    let mut sender = first_sender(name);
                    sender.send(&[number]).unwrap();
                    sender
                })
            });
            barrier.wait();
            let mut receiver = orders_queue().open_or_create(name).unwrap();
            let senders = senders.map(|sender| sender.join().unwrap());
            let mut came = [0, 1, 2].map(|_| receiver.recv().unwrap()[0]);
            came.sort_unstable();
            assert_eq!(came, [0, 1, 2]);
            drop(senders);
        });
    }
}

/// The second of two creators joins what the first one has made, and does not follow it.
// layout: L330
#[test]
fn simultaneous_creators_make_one_generation() {
    const ROUNDS: usize = 60;
    let (_test, stem) = start("first-one");
    for round in 0..ROUNDS {
        common::step();
        let name = format!("{stem}-{round}");
        let (name, barrier) = (&*name, &Barrier::new(3));
        let senders: Vec<Sender> = scope(|scope| {
            let creating = [0, 1, 2].map(|number: u8| {
                scope.spawn(move || {
                    barrier.wait();
                    let mut sender = first_sender(name);
                    sender.send(&[number]).unwrap();
                    sender
                })
            });
            creating.map(|one| one.join().unwrap()).into()
        });
        assert!(senders.iter().all(|sender| sender.generation() == 1));
    }
}

// layout: L330
#[test]
fn killed_creator_leaves_its_messages() {
    let (mut test, name) = start("first-killed");
    let mut child = test.child("messages/first-sender", &[&name]);
    child.expect("sent");
    let mut second = first_sender(&name);
    child.kill();
    second.send(b"of the second").unwrap();
    let mut receiver = orders_queue().open_or_create(&*name).unwrap();
    let mut came: Vec<_> = (0..2).map(|_| receiver.recv().unwrap().to_vec()).collect();
    came.sort();
    assert_eq!(came, [&b"of the child"[..], b"of the second"]);
}

// layout: L330
#[test]
fn queue_of_dead_receiver_is_created_anew() {
    let (mut test, name) = start("first-again");
    let mut receiver = test.child("messages/receiver", &[&name]);
    receiver.expect("ready");
    let mut witness = Sender::open(&*name).unwrap();
    witness.send(b"one").unwrap();
    receiver.kill();
    eventually("the receiver is gone", || Sender::open(&*name).is_err());

    let mut sender = first_sender(&name);
    assert_eq!(sender.generation(), 2);
    sender.send(b"three").unwrap();
    // The witness reattaches to the queue without a receiver.
    witness.send(b"four").unwrap();
    assert_eq!(witness.generation(), 2);
    let mut receiver = orders_queue().open_or_create(&*name).unwrap();
    let mut came = Vec::new();
    while let Ok(message) = receiver.recv_timeout(MOMENT) {
        came.push(message.to_vec());
    }
    came.sort();
    assert_eq!(came, [&b"four"[..], b"one", b"three"]);
}

#[test]
fn abandoned_name_is_free_again() {
    let (_test, name) = start("first-free");
    drop(first_sender(&name));
    refused(NotFound, Sender::open(&*name));
    drop(first_subscriber(&name, Delivery::Lossy));
    assert_eq!(orders_queue().create(&*name).unwrap().generation(), 1);
}

/// A sender with a source key creates a queue, and another process creates it anew after its receiver
/// has died.
// layout: L321 L330
#[test]
fn source_number_survives_generations_without_owner() {
    let (mut test, name) = start("first-source");
    let open = || {
        let options = Sender::options().source(7);
        options.open_or_create(&*name, &orders_queue()).unwrap()
    };
    let _witness = first_sender(&name);
    let mut sender = open();
    assert_eq!(sender.last_number(), None);
    sender.send_numbered(41, b"one").unwrap();
    drop(sender);
    assert_eq!(open().last_number(), Some(41));

    let mut receiver = test.child("messages/receiver", &[&name]);
    receiver.expect("ready");
    let mut sender = open();
    assert_eq!((sender.generation(), sender.last_number()), (2, Some(41)));
    sender.send_numbered(42, b"two").unwrap();
    let mut second = Sender::open(&*name).unwrap();
    drop(sender);
    receiver.kill();
    eventually("the receiver is gone", || Sender::open(&*name).is_err());
    // The second sender creates the next generation, and nobody has the one before any more.
    let mut third = first_sender(&name);
    assert_eq!(third.generation(), 3);
    for sender in [&mut second, &mut third] {
        sender.send(b"three").unwrap();
        assert_eq!(sender.generation(), 3);
    }
    drop(second);
    assert_eq!(open().last_number(), Some(42));
}
