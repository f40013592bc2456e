//! Messages of a topic that a subscriber reads in place.

use super::typed::{Tick, tick};
use super::*;
use crate::common::start;
use shmkit::{PublisherId, TopicOptions};
use std::io::Read as _;
use std::thread::scope;

const KIB: usize = 1 << 10;

fn short(name: &str, delivery: Delivery) -> (Publisher, u64) {
    let options = Publisher::options().capacity(CAPACITY);
    let options = options.max_message(SHORT as u64).delivery(delivery);
    let publisher = options.create(name).unwrap();
    let info = shmkit::inspect::segment_info(name).unwrap();
    (publisher, info.capacity / LINE as u64)
}

fn send(publisher: &mut Publisher, count: u64) {
    for _ in 0..count {
        let n = publisher.sent();
        publisher.send(&message(0, n, SHORT)).unwrap();
    }
}

/// Fills the topic, and returns how many messages went in.
fn fill(publisher: &mut Publisher) -> u64 {
    let before = publisher.sent();
    let end = flood(|| {
        let n = publisher.sent();
        publisher.try_send(&message(0, n, SHORT))
    });
    assert_eq!(end, "Full");
    publisher.sent() - before
}

// layout: L309
#[test]
fn held_message_stops_lossless_publisher() {
    let (_test, name) = start("held-back");
    let (mut publisher, room) = short(&name, Delivery::Lossless);
    let mut subscriber = subscriber(&name, Start::New);
    for first in 0..3 {
        send(&mut publisher, 3);
        let before = subscriber.next_number();
        let mut held = subscriber.recv_ref().unwrap();
        let full = fill(&mut publisher);
        assert!(full + 3 <= room, "{full} went in");
        let more = message(0, publisher.sent(), SHORT);
        assert_eq!(why(publisher.send_timeout(&more, MOMENT)), "Timeout");
        assert!(held.verify());
        assert_eq!(held.to_vec().unwrap(), message(0, before, SHORT));
        drop(held);
        assert_eq!(subscriber.next_number(), before + 1);
        for n in before + 1..publisher.sent() {
            match n % 3 == first {
                true => assert_eq!(subscriber.recv().unwrap(), message(0, n, SHORT)),
                false => {
                    let held = subscriber.try_recv_ref().unwrap().to_vec();
                    assert_eq!(held.unwrap(), message(0, n, SHORT));
                }
            }
        }
        assert_eq!(why(subscriber.try_recv_ref()), "Empty");
        assert_eq!(subscriber.missed(), 0);
    }
}

// layout: L309
#[test]
fn dropped_reference_wakes_blocked_publisher() {
    let (_test, name) = start("held-frames");
    let len = 64 * KIB;
    let options = Publisher::options().max_message(len as u64).keep(2);
    let options = options.timestamps(true).delivery(Delivery::Lossless);
    let mut publisher = options.create(&*name).unwrap();
    let mut subscriber = subscriber(&name, Start::New);
    let frame = |n: u64| message(0, n, len);
    let mut sent = 0..;
    flood(|| publisher.try_send(&frame(sent.next().unwrap())));
    let sent = publisher.sent();

    let me = std::process::id();
    scope(|scope| {
        let mut held = subscriber.recv_ref().unwrap();
        let sending = scope.spawn(|| publisher.send(&frame(sent)));
        until_asleep(&name, me);
        assert_eq!(held.to_vec().unwrap(), frame(0));
        assert!(held.sent_at().is_some());
        drop(held);
        // A short message frees little space.
        for n in 1..sent {
            assert_eq!(subscriber.recv_ref().unwrap().to_vec().unwrap(), frame(n));
        }
        let mut last = subscriber.recv_ref_timeout(LONG_ENOUGH).unwrap();
        assert_eq!(last.to_vec().unwrap(), frame(sent));
        sending.join().unwrap().unwrap();
    });
}

const LONG_ENOUGH: Duration = Duration::from_secs(600);

// layout: L130 L132 L310
#[test]
fn lossy_verify_tells_of_overwriting() {
    let (_test, name) = start("lossy-held");
    let (mut publisher, room) = short(&name, Delivery::Lossy);
    let mut subscriber = subscriber(&name, Start::New);
    send(&mut publisher, 2);
    let mut held = subscriber.recv_ref().unwrap();
    assert!(held.verify());
    // The publisher has announced an eighth of the ring.
    send(&mut publisher, room / 2);
    assert!(held.verify());
    assert_eq!(held.to_vec().unwrap(), message(0, 0, SHORT));
    drop(held);

    let mut held = subscriber.recv_ref().unwrap();
    send(&mut publisher, 2 * room);
    let mut buffer = vec![0; held.len()];
    held.copy_to(0, &mut buffer);
    assert!(!held.verify());
    assert_eq!(held.to_vec(), None);
    drop(held);

    // The message that was held is missed as well.
    let mut seen = Seen::default();
    seen.take(Ok(&message(0, 0, SHORT)), SHORT);
    assert!(seen.take(subscriber.try_recv(), SHORT).is_none());
    assert_eq!(seen.missed, subscriber.next_number() - 1);
    while subscriber.behind() > 0 {
        assert!(seen.take(subscriber.try_recv(), SHORT).is_none());
    }
    assert_eq!(
        (seen.end(), subscriber.missed()),
        (publisher.sent(), seen.missed)
    );
}

/// A message that was verified counts as received, also if it is overwritten later.
// layout: L310
#[test]
fn verified_message_is_not_missed() {
    let (_test, name) = start("verified");
    let (mut publisher, room) = short(&name, Delivery::Lossy);
    let mut subscriber = subscriber(&name, Start::New);
    send(&mut publisher, 2);
    let mut held = subscriber.recv_ref().unwrap();
    assert!(held.to_vec().is_some());
    send(&mut publisher, 2 * room);
    drop(held);
    assert_eq!(subscriber.next_number(), 1);
    let missed = match subscriber.try_recv() {
        Err(RecvError::Lagged(missed)) => missed,
        other => panic!("{other:?}"),
    };
    assert_eq!(subscriber.next_number(), 1 + missed);
}

// layout: L126 L310
#[test]
fn given_up_subscriber_fails_verification() {
    let (_test, name) = start("given-up-held");
    let (mut publisher, room) = short(&name, Delivery::LosslessFor(MOMENT));
    let mut subscriber = subscriber(&name, Start::New);
    let mut observer = Subscriber::options().observer(true).open(&*name).unwrap();
    send(&mut publisher, 1);
    let mut held = subscriber.recv_ref().unwrap();
    let mut observed = observer.recv_ref().unwrap();
    assert!(held.verify() && observed.verify());
    fill(&mut publisher);
    assert!(held.verify(), "the publisher waits");
    send(&mut publisher, 2 * room);
    assert!(!held.verify() && !observed.verify());
    drop((held, observed));
    for subscriber in [&mut subscriber, &mut observer] {
        // Each has verified the message before.
        assert_eq!(subscriber.next_number(), 1);
        assert!(matches!(
            subscriber.try_recv_ref(),
            Err(RecvError::Lagged(_))
        ));
    }
}

#[test]
fn message_reference_reads_in_pieces() {
    let (_test, name) = start("topic-pieces");
    let options = Publisher::options()
        .capacity(256 * KIB as u64)
        .max_message(60_000);
    let mut publisher = options.create(&*name).unwrap();
    let mut subscriber = subscriber(&name, Start::New);
    assert_eq!(why(subscriber.try_recv_ref()), "Empty");
    for len in [0, 1, 7, 8, 63, 64, 65, 1000, 4096, 60_000] {
        let text: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
        publisher.send(&text).unwrap();
        let mut held = subscriber.recv_ref().unwrap();
        assert_eq!((held.len(), held.is_empty()), (len, len == 0));
        assert_eq!(held.publisher(), Some(publisher.id()));
        assert_eq!(held.sent_at(), None);
        // SAFETY: the publisher sends nothing while the slice exists.
        assert_eq!(unsafe { held.as_slice() }, text);
        let mut part = vec![0; len / 3];
        held.copy_to(len - part.len(), &mut part);
        assert_eq!(part, text[len - part.len()..]);
        held.read_exact(&mut part).unwrap();
        held.read_to_end(&mut part).unwrap();
        assert_eq!(part, text);
        assert!(held.verify());
    }
    drop(publisher);
    assert_eq!(why(subscriber.recv_ref()), "Disconnected(Closed)");
}

#[test]
fn typed_message_reference_returns_its_value() {
    let (_test, name) = start("typed-topic-ref");
    let mut publisher = Publisher::options().typed::<Tick>().create(&*name).unwrap();
    let options = Subscriber::options().start(Start::New).typed::<Tick>();
    let mut subscriber = options.open(&*name).unwrap();
    publisher.send(&tick(6)).unwrap();
    assert_eq!(subscriber.recv_ref().unwrap().value(), Some(tick(6)));
    // A publisher of bytes can send a message of another length.
    let mut publisher = publisher.into_untyped();
    publisher.send(b"short").unwrap();
    assert_eq!(why(subscriber.recv_ref().map(drop)), "Corrupt");
    assert_eq!(why(subscriber.try_recv_ref().map(drop)), "Empty");
}

/// A reference that the user has forgotten takes no message.
#[test]
fn forgotten_reference_leaves_its_message() {
    let (_test, name) = start("forgotten-message");
    let (mut publisher, _) = short(&name, Delivery::Lossless);
    let mut subscriber = subscriber(&name, Start::New);
    send(&mut publisher, 2);
    std::mem::forget(subscriber.recv_ref().unwrap());
    std::mem::forget(subscriber.recv_ref().unwrap());
    for n in 0..2 {
        assert_eq!(subscriber.recv().unwrap(), message(0, n, SHORT));
    }
    assert_eq!(why(subscriber.try_recv()), "Empty");
}

/// Several publishers send, and a subscriber takes the messages by copies and by references. It gets
/// each publisher's messages in order.
fn mix(name: &str, options: &TopicOptions, is_lossless: bool, rounds: u64) {
    let mut first = options.create(name).unwrap();
    let max = first.max_message();
    let mut second = Publisher::open(name).unwrap();
    let mut subscriber = subscriber(name, Start::New);
    let mut seen: HashMap<PublisherId, Seen> = HashMap::new();
    let ids = [first.id(), second.id()];
    for round in 0..rounds {
        for (from, publisher) in (0..).zip([&mut first, &mut second]) {
            for _ in 0..(round % 7 + from) {
                let n = publisher.sent();
                let sent = publisher.try_send(&message(from, n, max));
                assert!(sent.is_ok() || is_lossless);
            }
        }
        for turn in 0..if round % 50 < 25 { 4 } else { 12 } {
            if turn % 2 == 0 {
                take(
                    &mut seen,
                    subscriber.try_recv().map(<[u8]>::to_vec),
                    subscriber.publisher(),
                    max,
                );
                continue;
            }
            let held = match subscriber.try_recv_ref() {
                Ok(mut held) => {
                    let publisher = held.publisher();
                    // The publishers may overwrite the message.
                    for (from, publisher) in (0..).zip([&mut first, &mut second]) {
                        let n = publisher.sent();
                        let _ = publisher.try_send(&message(from, n, max));
                    }
                    match held.to_vec() {
                        Some(all) => Ok((all, publisher)),
                        None if !is_lossless => continue,
                        None => panic!("a message was overwritten"),
                    }
                }
                Err(error) => Err(error),
            };
            match held {
                Ok((all, publisher)) => take(&mut seen, Ok(all), publisher, max),
                Err(error) => take(&mut seen, Err(error), subscriber.publisher(), max),
            }
        }
    }
    loop {
        let came = subscriber.try_recv().map(<[u8]>::to_vec);
        if let Err(RecvError::Empty) = came {
            break;
        }
        take(&mut seen, came, subscriber.publisher(), max);
    }
    let ends = ids.map(|id| seen[&id].end());
    assert_eq!(ends, [first.sent(), second.sent()]);
    let missed: u64 = seen.values().map(|one| one.missed).sum();
    assert_eq!(missed, subscriber.missed());
    assert_eq!(missed == 0, is_lossless, "{missed} were missed");
}

fn take(
    seen: &mut HashMap<PublisherId, Seen>,
    came: Result<Vec<u8>, RecvError>,
    publisher: Option<PublisherId>,
    max: usize,
) {
    if let Err(RecvError::Empty) = came {
        return;
    }
    let seen = seen.entry(publisher.unwrap()).or_default();
    let came = came.as_deref().map_err(Clone::clone);
    assert!(seen.take(came, max).is_none());
}

// layout: L309 L310
#[test]
fn references_keep_order_of_several_publishers() {
    let (_test, name) = start("several-held");
    let options = Publisher::options().publishers(2).capacity(CAPACITY);
    let options = options.max_message(SHORT as u64);
    mix(
        &name,
        &options.clone().delivery(Delivery::Lossless),
        true,
        300,
    );
    mix(&name, &options.timestamps(true), false, 300);
}

// layout: L281 L309 L310
#[test]
fn references_work_in_long_rings() {
    let (_test, name) = start("long-held");
    let options = Publisher::options().publishers(2).keep(3);
    let options = options.max_message(64 * KIB as u64).timestamps(true);
    mix(
        &name,
        &options.clone().delivery(Delivery::Lossless),
        true,
        25,
    );
    mix(&name, &options, false, 25);
}

/// The messages of a generation that has ended are received before those of the next one.
#[test]
fn references_follow_publishers_that_restart() {
    let (_test, name) = start("held-generations");
    for publishers in [1, 2] {
        let options = Publisher::options()
            .publishers(publishers)
            .capacity(CAPACITY);
        let options = options
            .max_message(SHORT as u64)
            .delivery(Delivery::Lossless);
        let mut owner = options.create(&*name).unwrap();
        let mut guest = (publishers > 1).then(|| Publisher::open(&*name).unwrap());
        let mut subscriber = subscriber(&name, Start::New);
        let mut last = HashMap::new();
        for round in 0..6u64 {
            let mut expected = 0;
            for from in [Some(&mut owner), guest.as_mut()].into_iter().flatten() {
                from.send(&round.to_le_bytes()).unwrap();
                expected += 1;
            }
            if round % 3 == 1 {
                owner.resize(&options).unwrap();
            }
            if round % 3 == 2 {
                drop(owner);
                owner = options.create(&*name).unwrap();
            }
            while expected > 0 {
                match subscriber.recv_ref_timeout(LONG_ENOUGH) {
                    Ok(mut held) => {
                        let bytes = held.to_vec().unwrap();
                        let number = u64::from_le_bytes(bytes.try_into().unwrap());
                        let before = last.insert(held.publisher(), number);
                        assert!(number == round && before.is_none_or(|one| one < round));
                        expected -= 1;
                    }
                    Err(RecvError::Disconnected(_) | RecvError::PublisherGone { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            // The subscriber joins the generation that is in use now.
            while why(subscriber.try_recv_ref()) != "Empty" {}
        }
        assert_eq!(subscriber.missed(), 0);
    }
}
