//! Topics: each subscriber receives every message, or learns exactly how many it missed.

use super::*;
use crate::common::start;
use common::refused;
use shmkit::ErrorKind::{AlreadyExists, Busy, NotFound};
use std::thread::scope;

/// Creates a topic of short messages, and returns with it how many messages its capacity holds.
fn short(name: &str, delivery: Delivery) -> (Publisher, u64) {
    let options = Publisher::options()
        .capacity(CAPACITY)
        .max_message(SHORT as u64);
    let publisher = options.delivery(delivery).create(name).unwrap();
    let info = shmkit::inspect::segment_info(name).unwrap();
    (publisher, info.capacity / LINE as u64)
}

/// Sends the next short message.
fn next(publisher: &mut Publisher) -> Result<(), SendError> {
    let n = publisher.sent();
    publisher.try_send(&message(0, n, SHORT))
}

/// Fills the topic, and returns how many messages went in.
fn fill(publisher: &mut Publisher) -> u64 {
    let before = publisher.sent();
    let end = flood(|| next(publisher));
    assert_eq!(end, "Full");
    publisher.sent() - before
}

/// Receives the next message, and returns its number.
#[track_caller]
fn number(subscriber: &mut Subscriber) -> u64 {
    let max = subscriber.max_message();
    whole(subscriber.try_recv().unwrap(), max).1
}

const STARTS: [Start; 3] = [Start::Latest, Start::Oldest, Start::New];

// layout: L129
#[test]
fn start_option_selects_first_message() {
    let (_test, name) = start("starts");
    for delivery in [Delivery::Lossy, Delivery::Lossless] {
        let (mut publisher, _) = short(&name, delivery);
        let mut early = STARTS.map(|start| subscriber(&name, start));
        for subscriber in &mut early {
            assert_eq!(why(subscriber.try_recv()), "Empty");
            assert_eq!(why(subscriber.recv_timeout(MOMENT)), "Timeout");
        }
        (0..10).for_each(|_| next(&mut publisher).unwrap());
        for subscriber in &mut early {
            (0..10).for_each(|n| assert_eq!(number(subscriber), n));
            assert_eq!(why(subscriber.try_recv()), "Empty");
        }
        let default = Subscriber::open(&*name).unwrap();
        let chosen = Subscriber::options().open(&*name).unwrap();
        let late = STARTS.map(|start| subscriber(&name, start));
        let firsts = [9, 9, 9, 0, 10];
        let mut all: Vec<_> = [default, chosen].into_iter().chain(late).collect();
        for (subscriber, first) in all.iter_mut().zip(firsts) {
            assert_eq!(subscriber.behind(), 10 - first);
            (first..10).for_each(|n| assert_eq!(number(subscriber), n));
            assert_eq!(why(subscriber.try_recv()), "Empty");
        }
        next(&mut publisher).unwrap();
        for subscriber in all.iter_mut().chain(&mut early) {
            assert_eq!((number(subscriber), subscriber.missed()), (10, 0));
        }
    }
}

#[test]
fn lossy_topic_keeps_seven_eighths_of_capacity() {
    let (_test, name) = start("kept");
    let (mut publisher, room) = short(&name, Delivery::Lossy);
    assert_eq!(room, CAPACITY / LINE as u64);
    let mut from_the_start = subscriber(&name, Start::Oldest);
    for sent in 1..4 * room {
        next(&mut publisher).unwrap();
        assert_eq!(publisher.sent(), sent);
        let mut subscriber = subscriber(&name, Start::Oldest);
        let mut seen = 0;
        let first = sent - subscriber.behind();
        let all = subscriber.drain(|bytes| {
            assert_eq!(whole(bytes, SHORT).1, first + seen);
            seen += 1;
        });
        assert_eq!(all.unwrap() as u64, seen);
        assert_eq!((subscriber.behind(), subscriber.missed()), (0, 0));
        let kept = (room * 7 / 8).min(sent)..=room.min(sent);
        assert!(kept.contains(&seen), "{seen} of {sent} are kept");
    }
    let mut seen = Seen::default();
    while seen.take(from_the_start.try_recv(), SHORT).is_none() {}
    assert_eq!(seen.end(), publisher.sent());
    // After a loss the subscriber continues far enough from what is overwritten next.
    assert!((room * 3 / 8..=room).contains(&seen.received), "{seen:?}");
}

#[test]
fn all_subscribers_see_every_message() {
    const ALL: u64 = 3000;
    let (mut test, name) = start("all");
    let mut publisher = topic(&name, Delivery::Lossless);
    let max = publisher.max_message();
    let mut processes = children(&mut test, 4, |_| {
        TestChild::spawn("messages/subscriber", &[&name, "oldest"])
    });
    processes.iter_mut().for_each(|one| one.expect("ready"));
    processes.iter_mut().for_each(|one| one.tell("all"));
    let threads = [(); 3].map(|()| Subscriber::open(&*name).unwrap());
    scope(|scope| {
        let threads = threads.map(|mut subscriber| {
            scope.spawn(move || {
                let mut seen = Seen::default();
                (seen.take_all(&mut subscriber), seen)
            })
        });
        let all: Vec<_> = (0..ALL).map(|n| message(0, n, max)).collect();
        for (n, some) in all.chunks(50).enumerate() {
            match n % 4 {
                0 => publisher.send_all(some).unwrap(),
                1 => some.iter().for_each(|one| publisher.send(one).unwrap()),
                2 => some.iter().for_each(|one| {
                    while let Err(error) = publisher.try_send(one) {
                        assert!(matches!(error, SendError::Full), "{error}");
                        std::thread::yield_now();
                    }
                }),
                _ => some.iter().for_each(|one| {
                    while let Err(error) = publisher.send_timeout(one, MOMENT) {
                        assert!(matches!(error, SendError::Timeout), "{error}");
                    }
                }),
            }
        }
        assert_eq!(publisher.sent(), ALL);
        drop(publisher);
        for thread in threads {
            let (end, seen) = thread.join().unwrap();
            assert_eq!(seen.received, ALL);
            assert_eq!(format!("{end:?}"), "Disconnected(Closed)");
        }
    });
    for mut process in processes {
        process.expect("taking");
        process.expect(&format!("{ALL} 0 Disconnected(Closed)"));
        assert!(process.finish().success());
    }
}

// layout: L099 L123 L132
#[test]
fn missed_messages_are_counted_exactly() {
    const ALL: u64 = 30_000;
    let (mut test, name) = start("missed");
    let mut publisher = topic(&name, Delivery::Lossy);
    let max = publisher.max_message();
    let mut processes = children(&mut test, 2, |_| {
        TestChild::spawn("messages/subscriber", &[&name, "new"])
    });
    processes.iter_mut().for_each(|one| one.expect("ready"));
    processes.iter_mut().for_each(|one| one.tell("all"));
    let threads = STARTS.map(|start| subscriber(&name, start));
    let check = |seen: Seen| {
        assert_eq!(seen.end(), ALL, "{seen:?}");
        seen.missed
    };
    let missed: u64 = scope(|scope| {
        let threads = threads.map(|mut subscriber| {
            scope.spawn(move || {
                let mut seen = Seen::default();
                for n in 0..20_000 {
                    seen.take(subscriber.try_recv(), max);
                    assert_eq!(subscriber.missed(), seen.missed);
                    if n % 256 == 0 {
                        std::thread::sleep(MOMENT);
                    }
                }
                let end = seen.take_all(&mut subscriber);
                assert_eq!(format!("{end:?}"), "Disconnected(Closed)");
                assert_eq!(subscriber.behind(), 0);
                seen
            })
        });
        for n in 0..ALL {
            publisher.send(&message(0, n, max)).unwrap();
        }
        drop(publisher);
        threads.map(|one| check(one.join().unwrap())).iter().sum()
    });
    assert_ne!(missed, 0, "no subscriber was too slow");
    for mut process in processes {
        process.expect("taking");
        let told = process.hear();
        let (numbers, end) = told.rsplit_once(' ').unwrap();
        let (received, missed) = numbers.split_once(' ').unwrap();
        let [received, missed] = [received, missed].map(|n| n.parse().unwrap());
        check(Seen { received, missed });
        assert_eq!(end, "Disconnected(Closed)");
        assert!(process.finish().success());
    }
}

#[test]
fn overrun_subscriber_reports_misses_once() {
    let (_test, name) = start("overtaken");
    let (mut publisher, room) = short(&name, Delivery::Lossy);
    let mut ends = STARTS.map(|start| (subscriber(&name, start), Seen::default()));
    for round in 1..=200 {
        let behind = (round * 13) % (5 * room);
        (0..behind).for_each(|_| next(&mut publisher).unwrap());
        for (subscriber, seen) in &mut ends {
            assert_eq!(subscriber.behind(), behind);
            let before = seen.missed;
            let mut end = seen.take(subscriber.try_recv(), SHORT);
            let told = seen.missed;
            assert!(told > before || behind <= room, "{behind} behind");
            assert!(told == before || behind > room * 7 / 8, "{behind} behind");
            while end.is_none() {
                end = seen.take(subscriber.try_recv(), SHORT);
            }
            assert_eq!((seen.missed, seen.end()), (told, publisher.sent()));
            assert_eq!((subscriber.missed(), subscriber.behind()), (told, 0));
        }
    }
}

// layout: L126
#[test]
fn lossless_publisher_waits_for_slowest_subscriber() {
    let (_test, name) = start("lossless");
    let (mut publisher, room) = short(&name, Delivery::Lossless);
    // Without subscribers the publisher does not wait.
    (0..5 * room).for_each(|_| next(&mut publisher).unwrap());
    let mut slow = subscriber(&name, Start::New);
    let mut fast = subscriber(&name, Start::New);
    let mut from = publisher.sent();
    for round in 0..5 {
        let full = fill(&mut publisher);
        assert!((room * 7 / 8..=room).contains(&full), "{full} went in");
        let more = message(0, publisher.sent(), SHORT);
        assert_eq!(why(publisher.send_timeout(&more, MOMENT)), "Timeout");
        let none = Duration::ZERO;
        assert_eq!(why(publisher.send_timeout(&more, none)), "Timeout");
        (from..from + full).for_each(|n| assert_eq!(number(&mut fast), n));
        assert_eq!(why(fast.try_recv()), "Empty");
        assert_eq!(why(publisher.try_send(&more)), "Full");
        (from..from + full).for_each(|n| assert_eq!(number(&mut slow), n));
        assert_eq!([fast.missed(), slow.missed()], [0; 2]);
        from += full;
        // The publisher waits for a subscriber that joins now as well.
        let mut late = subscriber(&name, STARTS[round % 3]);
        let mut all = fill(&mut publisher);
        let first = publisher.sent() - late.behind();
        (first..publisher.sent()).for_each(|n| assert_eq!(number(&mut late), n));
        drop(late);
        let last = publisher.sent();
        (from..last).for_each(|n| assert_eq!((number(&mut fast), number(&mut slow)), (n, n)));
        all += from;
        assert_eq!(all, last);
        from = last;
    }
}

#[test]
fn blocked_publisher_resumes_when_space_frees() {
    let (_test, name) = start("wait-room");
    for delivery in [
        Delivery::Lossless,
        Delivery::LosslessFor(Duration::from_secs(1 << 40)),
    ] {
        let (mut publisher, _) = short(&name, delivery);
        let me = std::process::id();
        for way in 0..4 {
            let mut subscriber = subscriber(&name, Start::New);
            let from = publisher.sent();
            fill(&mut publisher);
            let more = message(0, publisher.sent(), SHORT);
            scope(|scope| {
                let waiter = scope.spawn(|| match way {
                    0 => publisher.send(&more),
                    1 => publisher.send_all([&more]),
                    _ => publisher.send_timeout(&more, Duration::MAX),
                });
                until_asleep(&name, me);
                // Dropping the subscriber frees space just as reading does.
                if way < 3 {
                    let n = subscriber.behind();
                    (from..from + n).for_each(|n| assert_eq!(number(&mut subscriber), n));
                    assert_eq!(subscriber.missed(), 0);
                }
                let staying = (way < 3).then_some(subscriber);
                waiter.join().unwrap().unwrap();
                drop(staying);
            });
        }
        drop(publisher);
    }
}

// layout: L133
#[test]
fn subscriber_frees_space_in_eighths() {
    let (_test, name) = start("one");
    let (mut publisher, _) = short(&name, Delivery::Lossless);
    let mut subscriber = subscriber(&name, Start::New);
    fill(&mut publisher);
    for n in 0..200 {
        assert_eq!(number(&mut subscriber), n);
        fill(&mut publisher);
        assert!(subscriber.behind() >= 7 * 64 / 8, "{}", subscriber.behind());
    }
}

// layout: L126 L133 L134
#[test]
fn joining_a_busy_lossless_topic_misses_nothing() {
    let (_test, name) = start("joining");
    let mut publisher = topic(&name, Delivery::Lossless);
    let max = publisher.max_message();
    let stop = std::sync::atomic::AtomicBool::new(false);
    scope(|scope| {
        let sending = scope.spawn(|| {
            while !stop.load(SeqCst) {
                let n = publisher.sent();
                publisher.send(&message(0, n, max)).unwrap();
            }
            publisher
        });
        let joining = || {
            for n in 0..150 {
                let mut subscriber = subscriber(&name, STARTS[n % 3]);
                let (_, first) = whole(subscriber.recv().unwrap(), max);
                for n in first + 1..first + 100 {
                    let received = subscriber.recv().expect("nothing is missed");
                    assert_eq!(whole(received, max).1, n);
                }
            }
        };
        let threads = [scope.spawn(joining), scope.spawn(joining)];
        let all = threads.map(std::thread::ScopedJoinHandle::join);
        stop.store(true, SeqCst);
        sending.join().unwrap();
        assert!(all.iter().all(Result::is_ok));
    });
}

// layout: L106 L126
#[test]
fn killed_slow_subscriber_unblocks_publisher() {
    let (mut test, name) = start("slow-killed");
    let (mut publisher, _) = short(&name, Delivery::Lossless);
    for round in 0..5 {
        let from = publisher.sent();
        let slow = child(&mut test, "subscriber", &[&name, "new"]);
        let mut other = subscriber(&name, Start::New);
        fill(&mut publisher);
        while other.behind() > 0 {
            number(&mut other);
        }
        let more = message(0, publisher.sent(), SHORT);
        scope(|scope| {
            let waiter = scope.spawn(|| match round % 2 {
                0 => publisher.send(&more),
                _ => publisher.send_all([&more]),
            });
            until_asleep(&name, std::process::id());
            slow.kill();
            waiter.join().unwrap().unwrap();
        });
        assert_eq!(number(&mut other) + 1, publisher.sent());
        assert!(publisher.sent() > from);
        // The killed subscriber does not block the publisher any more.
        drop(other);
        (0..500).for_each(|_| next(&mut publisher).unwrap());
    }
}

// layout: L051 L133
#[test]
fn timed_out_subscriber_lags_then_regains_backpressure() {
    let (_test, name) = start("given-up");
    let (mut publisher, room) = short(&name, Delivery::LosslessFor(5 * MOMENT));
    let mut slow = subscriber(&name, Start::New);
    let mut seen = Seen::default();
    for round in 0..4 {
        let full = fill(&mut publisher);
        assert!((room * 7 / 8..=room).contains(&full), "{full} went in");
        let none = Duration::ZERO;
        let more = message(0, publisher.sent(), SHORT);
        assert_eq!(why(publisher.send_timeout(&more, none)), "Timeout");
        for _ in 0..room * (1 + round) {
            let more = message(0, publisher.sent(), SHORT);
            match round {
                0 => publisher.send(&more).unwrap(),
                _ => publisher.send_all([&more]).unwrap(),
            }
        }
        let missed = seen.missed;
        assert!(seen.take(slow.try_recv(), SHORT).is_none());
        assert_ne!(
            seen.missed, missed,
            "the publisher did not give up the slow subscriber"
        );
        while slow.behind() > 0 {
            assert!(seen.take(slow.try_recv(), SHORT).is_none());
        }
        assert_eq!((slow.missed(), seen.end()), (seen.missed, publisher.sent()));
    }
    // The publisher waits again as soon as the subscriber has read how many it missed.
    (0..3 * room).for_each(|_| {
        let more = message(0, publisher.sent(), SHORT);
        publisher.send(&more).unwrap();
    });
    let missed = seen.missed;
    assert!(seen.take(slow.try_recv(), SHORT).is_none());
    assert_ne!(seen.missed, missed);
    fill(&mut publisher);
    let missed = seen.missed;
    while slow.behind() > 0 {
        assert!(seen.take(slow.try_recv(), SHORT).is_none());
    }
    assert_eq!((seen.missed, seen.end()), (missed, publisher.sent()));
}

// layout: L090 L097
#[test]
fn waiting_subscriber_wakes_on_message_or_disconnect() {
    let (_test, name) = start("woken");
    for delivery in [Delivery::Lossy, Delivery::Lossless] {
        let mut publisher = topic(&name, delivery);
        let mut subscribers = [(); 2].map(|()| Subscriber::open(&*name).unwrap());
        for n in 0..20_u32 {
            scope(|scope| {
                let waiters = subscribers.each_mut().map(|subscriber| {
                    scope.spawn(|| subscriber.recv().map(<[u8]>::to_vec).unwrap())
                });
                eventually("both subscribers sleep", || {
                    others(&name).iter().all(|one| one.asleep)
                });
                let bytes = n.to_le_bytes();
                match n % 4 {
                    0 => publisher.send(&bytes).unwrap(),
                    1 => publisher.try_send(&bytes).unwrap(),
                    2 => publisher.send_all([bytes]).unwrap(),
                    _ => publisher.send_timeout(&bytes, MOMENT).unwrap(),
                }
                let woken = waiters.map(|waiter| waiter.join().unwrap());
                assert_eq!(woken, [bytes; 2]);
            });
        }
        let [first, _second] = &mut subscribers;
        scope(|scope| {
            let waiter = scope.spawn(|| why(first.recv_timeout(Duration::MAX)));
            until_asleep(&name, std::process::id());
            drop(publisher);
            assert_eq!(waiter.join().unwrap(), "Disconnected(Closed)");
        });
    }
}

// layout: L029 L110 L111 L135
#[test]
fn disconnect_follows_all_messages_and_persists() {
    let (mut test, name) = start("end");
    for how in ["lossy", "lossless"] {
        for end in ["Disconnected(Closed)", "Disconnected(Died)"] {
            let mut owner = child(&mut test, "publisher", &[&name, how]);
            assert_eq!(ask(&mut owner, "send 10"), "sent");
            let mut all = STARTS.map(|start| subscriber(&name, start));
            let mut waiting = Subscriber::open(&*name).unwrap();
            assert_eq!(number(&mut waiting), 9);
            scope(|scope| {
                let waiter = scope.spawn(|| why(waiting.recv()));
                until_asleep(&name, std::process::id());
                match end {
                    "Disconnected(Died)" => owner.kill(),
                    _ => assert!(owner.finish().success()),
                }
                assert_eq!(waiter.join().unwrap(), end);
            });
            for (subscriber, first) in all.iter_mut().zip([9, 0, 10]) {
                (first..10).for_each(|n| assert_eq!(number(subscriber), n));
                // `try_recv` need not notice a death at once.
                let mut told = why(subscriber.try_recv());
                while told == "Empty" && end.contains("Died") {
                    told = why(subscriber.try_recv());
                }
                assert_eq!(told, end);
                for _ in 0..2 {
                    assert_eq!(why(subscriber.try_recv()), end);
                    assert_eq!(why(subscriber.recv()), end);
                    assert_eq!(why(subscriber.recv_timeout(MOMENT)), end);
                    assert_eq!(why(subscriber.drain(|_| panic!("unexpected message"))), end);
                }
            }
            drop((all, waiting));
            common::gone(|| Subscriber::open(&*name));
        }
    }
}

#[test]
fn topic_refuses_too_long_messages() {
    let (_test, name) = start("long");
    for delivery in [Delivery::Lossy, Delivery::Lossless] {
        let mut publisher = topic(&name, delivery);
        let mut subscriber = Subscriber::open(&*name).unwrap();
        assert_eq!(
            [publisher.max_message(), subscriber.max_message()],
            [200; 2]
        );
        let (fits, long) = (vec![1; 200], vec![2; 201]);
        let refused = "TooLong { len: 201, max: 200 }";
        assert_eq!(why(publisher.try_send(&long)), refused);
        assert_eq!(why(publisher.send(&long)), refused);
        assert_eq!(why(publisher.send_timeout(&long, MOMENT)), refused);
        let all = [&fits, &fits, &long, &fits];
        assert_eq!(why(publisher.send_all(all)), refused);
        publisher.send(b"").unwrap();
        assert_eq!(publisher.sent(), 3);
        assert_eq!(subscriber.recv().unwrap(), fits);
        assert_eq!(subscriber.recv().unwrap(), fits);
        assert_eq!(subscriber.recv().unwrap(), b"");
        assert_eq!(why(subscriber.try_recv()), "Empty");
    }
}

// layout: L103
#[test]
fn topic_accepts_many_subscribers() {
    let (_test, name) = start("many");
    for delivery in [Delivery::Lossy, Delivery::Lossless] {
        let mut publisher = topic(&name, delivery);
        let mut all = Vec::new();
        while all.len() < 100 {
            match Subscriber::open(&*name) {
                Ok(one) => all.push(one),
                Err(error) => {
                    assert_eq!(error.kind(), Busy, "{error}");
                    assert_eq!(
                        delivery,
                        Delivery::Lossless,
                        "only lossless subscribers are limited"
                    );
                    break;
                }
            }
        }
        assert!(all.len() > 16, "only {} subscribers joined", all.len());
        if all.len() < 100 {
            // A subscriber that leaves frees its slot for another one.
            all.pop();
            all.push(Subscriber::open(&*name).unwrap());
            refused(Busy, Subscriber::open(&*name));
        }
        let max = publisher.max_message();
        for n in 0..200 {
            publisher.try_send(&message(0, n, max)).unwrap();
            all.iter_mut().for_each(|one| assert_eq!(number(one), n));
        }
    }
}

#[test]
fn topic_exists_once_while_its_publisher_lives() {
    let (mut test, name) = start("created");
    refused(NotFound, Subscriber::open(&*name));
    let publisher = topic(&name, Delivery::Lossy);
    assert_eq!(publisher.name().base(), name);
    let owned_by = |pid: u32| {
        let error = refused(AlreadyExists, Publisher::create(&*name));
        assert!(error.to_string().contains(&pid.to_string()), "{error}");
        refused(AlreadyExists, Receiver::create(&*name));
    };
    owned_by(std::process::id());
    drop(publisher);
    refused(NotFound, Subscriber::open(&*name));
    let child = child(&mut test, "publisher", &[&name, "lossy"]);
    owned_by(child.id());
    child.kill();
    common::gone(|| Subscriber::open(&*name));
    drop(topic(&name, Delivery::Lossless));
}
