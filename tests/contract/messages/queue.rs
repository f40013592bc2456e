//! Queues: many senders, one receiver, and nothing lost.

use super::*;
use crate::common::start;
use common::refused;
use shmkit::ErrorKind::{Busy, NotFound};
use std::thread::scope;

/// Creates a queue of short messages, and returns with it how many messages one lane holds.
fn short(name: &str) -> (Receiver, u64) {
    let options = Receiver::options()
        .capacity(CAPACITY)
        .max_message(SHORT as u64);
    let receiver = options.create(name).unwrap();
    let info = shmkit::inspect::segment_info(name).unwrap();
    // One line stays free: it separates the last message from older ones.
    (receiver, info.capacity / LINE as u64 - 1)
}

fn line(n: u64) -> [u8; SHORT] {
    let mut bytes = [n as u8; SHORT];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    bytes
}

/// Asserts that the queue holds exactly the messages with these numbers.
#[track_caller]
fn has_exactly(receiver: &mut Receiver, wanted: std::ops::Range<u64>) {
    for n in wanted {
        assert_eq!(receiver.try_recv().unwrap(), line(n), "number {n}");
    }
    assert_eq!(why(receiver.try_recv()), "Empty");
}

#[test]
fn messages_of_every_length_arrive_in_order() {
    let (_test, name) = start("lengths");
    let options = Receiver::options().capacity(8192).max_message(1000);
    let mut receiver = options.create(&*name).unwrap();
    assert_eq!(receiver.max_message(), 1000);
    let mut sender = Sender::open(&*name).unwrap();
    assert_eq!(sender.max_message(), 1000);
    scope(|scope| {
        scope.spawn(move || {
            for len in (0..=1000).chain((0..=1000).rev()) {
                sender.send(&vec![len as u8; len]).unwrap();
            }
        });
        for len in (0..=1000).chain((0..=1000).rev()) {
            assert_eq!(receiver.recv().unwrap(), vec![len as u8; len]);
        }
        assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
    });
}

#[test]
fn default_max_message_is_quarter_of_capacity() {
    let (_test, name) = start("default");
    let mut receiver = Receiver::create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    let max = (256 << 10) / 4 - 8;
    assert_eq!([receiver.max_message(), sender.max_message()], [max; 2]);
    for n in 0..20 {
        // Three of the longest messages fit, and the fourth does not.
        (0..3).for_each(|i| sender.try_send(&vec![n ^ i; max]).unwrap());
        assert_eq!(why(sender.try_send(&vec![n; max])), "Full");
        (0..3).for_each(|i| assert_eq!(receiver.try_recv().unwrap(), vec![n ^ i; max]));
        assert_eq!(why(receiver.try_recv()), "Empty");
    }
}

/// Sends all messages in one of five ways.
fn send_somehow(sender: &mut Sender, way: u64, all: &[Vec<u8>]) {
    match way {
        0 => all.iter().for_each(|one| sender.send(one).unwrap()),
        1 => sender.send_all(all).unwrap(),
        2 => {
            let mut batch = sender.batch();
            all.iter().for_each(|one| batch.send(one).unwrap());
        }
        3 => all.iter().for_each(|one| {
            while let Err(error) = sender.try_send(one) {
                assert!(matches!(error, SendError::Full), "{error}");
                std::thread::yield_now();
            }
        }),
        _ => all.iter().for_each(|one| {
            while let Err(error) = sender.send_timeout(one, MOMENT) {
                assert!(matches!(error, SendError::Timeout), "{error}");
            }
        }),
    }
}

// layout: L115
#[test]
fn concurrent_senders_lose_no_messages() {
    const EACH: u64 = 3000;
    let (mut test, name) = start("many");
    let mut receiver = queue(&name);
    let max = receiver.max_message();
    let spawn = |n: u64| TestChild::spawn("messages/sender", &[&name, &n.to_string()]);
    let mut processes = children(&mut test, 4, spawn);
    let mut inbox = Inbox::new(max);
    processes.iter_mut().for_each(|one| one.expect("ready"));
    let senders = [(); 5].map(|()| Sender::open(&*name).unwrap());
    scope(|scope| {
        for (way, mut sender) in (0..).zip(senders) {
            scope.spawn(move || {
                let all: Vec<_> = (0..EACH).map(|n| message(100 + way, n, max)).collect();
                all.chunks(100)
                    .for_each(|some| send_somehow(&mut sender, way, some));
            });
        }
        for process in &mut processes {
            process.tell(&format!("send {EACH}"));
        }
        while inbox.all() < 9 * EACH {
            match inbox.all() % 3 {
                0 => inbox.take(receiver.recv().unwrap()),
                1 => match receiver.recv_timeout(MOMENT) {
                    Ok(bytes) => inbox.take(bytes),
                    Err(error) => assert!(matches!(error, RecvError::Timeout), "{error}"),
                },
                _ => {
                    let before = inbox.all();
                    let n = receiver.drain(|bytes| inbox.take(bytes)).unwrap();
                    assert_eq!(n as u64, inbox.all() - before);
                    if n == 0 {
                        inbox.take(receiver.recv().unwrap());
                    }
                }
            }
        }
    });
    processes.iter_mut().for_each(|one| one.expect("sent"));
    assert_eq!(why(receiver.try_recv()), "Empty");
    assert!(processes.into_iter().all(|one| one.finish().success()));
    assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
    let all = (0..4).chain(100..105);
    all.for_each(|from| assert_eq!(inbox.of(from), EACH));
}

#[test]
fn full_queue_refuses_messages_without_effect() {
    let (_test, name) = start("full");
    let (mut receiver, room) = short(&name);
    assert_eq!(room, CAPACITY / LINE as u64 - 1);
    let mut sender = Sender::open(&*name).unwrap();
    for _ in 0..5 {
        (0..room).for_each(|n| sender.try_send(&line(n)).unwrap());
        assert_eq!(why(sender.try_send(&line(99))), "Full");
        assert_eq!(why(sender.send_timeout(&line(99), MOMENT)), "Timeout");
        let none = Duration::ZERO;
        assert_eq!(why(sender.send_timeout(&line(99), none)), "Timeout");
        assert_eq!(why(sender.batch().try_send(&line(99))), "Full");
        // Another sender has a lane of its own.
        let mut second = Sender::open(&*name).unwrap();
        second.try_send(b"second").unwrap();
        drop(second);
        let (mut numbers, mut others) = (0..room, 0);
        let got = receiver.drain(|bytes| match bytes {
            b"second" => others += 1,
            _ => assert_eq!(bytes, line(numbers.next().unwrap())),
        });
        assert_eq!((got.unwrap() as u64, others), (room + 1, 1));
        assert!(numbers.is_empty());
    }
    // A refused message can be sent later.
    sender.try_send(&line(99)).unwrap();
    has_exactly(&mut receiver, 99..100);
}

/// Received messages free space in steps of an eighth of the lane.
const STEP: u64 = CAPACITY / LINE as u64 / 8;

#[test]
fn received_messages_free_space_for_sender() {
    let (_test, name) = start("room");
    let (mut receiver, room) = short(&name);
    let mut sender = Sender::open(&*name).unwrap();
    let mut sent = 0..;
    let mut received = 0..;
    (0..room).for_each(|_| sender.try_send(&line(sent.next().unwrap())).unwrap());
    for _ in 0..100 {
        for _ in 0..STEP {
            assert_eq!(receiver.recv().unwrap(), line(received.next().unwrap()));
        }
        for _ in 0..STEP {
            sender.try_send(&line(sent.next().unwrap())).unwrap();
        }
        assert_eq!(why(sender.try_send(&line(99))), "Full");
    }
}

// layout: L097 L109
#[test]
fn blocked_sender_resumes_when_space_frees() {
    let (_test, name) = start("wait-room");
    let (mut receiver, room) = short(&name);
    let me = std::process::id();
    let mut sender = Sender::open(&*name).unwrap();
    (0..room).for_each(|n| sender.try_send(&line(n)).unwrap());
    let (mut sent, mut received) = (room, 0);
    for round in 0..12 {
        let message = line(sent);
        scope(|scope| {
            let waiter = scope.spawn(|| match round % 4 {
                0 => sender.send(&message),
                1 => sender.send_all([&message]),
                2 => sender.send_timeout(&message, Duration::MAX),
                _ => sender.batch().send(&message),
            });
            until_asleep(&name, me);
            for n in received..received + STEP {
                assert_eq!(receiver.recv().unwrap(), line(n));
            }
            // The sender must resume before anything more is received.
            waiter.join().unwrap().unwrap();
        });
        (1..STEP).for_each(|n| sender.try_send(&line(sent + n)).unwrap());
        (sent, received) = (sent + STEP, received + STEP);
    }
}

// layout: L108
#[test]
fn too_long_message_reports_both_lengths() {
    let (_test, name) = start("long");
    let mut receiver = queue(&name);
    let mut sender = Sender::open(&*name).unwrap();
    let (fits, long) = (vec![1; 200], vec![2; 201]);
    let refused = "TooLong { len: 201, max: 200 }";
    assert_eq!(why(sender.try_send(&long)), refused);
    assert_eq!(why(sender.send(&long)), refused);
    assert_eq!(why(sender.send_timeout(&long, MOMENT)), refused);
    assert_eq!(why(sender.send_timeout(&long, Duration::ZERO)), refused);
    let mut batch = sender.batch();
    batch.send(&fits).unwrap();
    assert_eq!(why(batch.send(&long)), refused);
    assert_eq!(why(batch.try_send(&long)), refused);
    batch.try_send(&fits).unwrap();
    drop(batch);
    let all = [&fits, &fits, &long, &fits];
    assert_eq!(why(sender.send_all(all)), refused);
    assert_eq!(
        why(sender.send(&vec![0; 1 << 20])),
        "TooLong { len: 1048576, max: 200 }"
    );
    let mut n = 0;
    let got = receiver.drain(|bytes| n += usize::from(bytes == fits));
    assert_eq!(
        (got.unwrap(), n),
        (4, 4),
        "two from the batch, two from `send_all`"
    );
}

// layout: L068
#[test]
fn batch_is_sent_on_flush_or_drop() {
    let (_test, name) = start("batch");
    let (mut receiver, room) = short(&name);
    let mut sender = Sender::open(&*name).unwrap();
    let mut batch = sender.batch();
    (0..5).for_each(|n| batch.send(&line(n)).unwrap());
    has_exactly(&mut receiver, 0..0);
    batch.flush().unwrap();
    has_exactly(&mut receiver, 0..5);
    batch.flush().unwrap();
    has_exactly(&mut receiver, 0..0);
    (5..8).for_each(|n| batch.try_send(&line(n)).unwrap());
    has_exactly(&mut receiver, 0..0);
    drop(batch);
    has_exactly(&mut receiver, 5..8);
    drop(sender.batch());
    has_exactly(&mut receiver, 0..0);
    // A batch sends every 16 messages.
    let mut batch = sender.batch();
    (0..15).for_each(|n| batch.send(&line(n)).unwrap());
    has_exactly(&mut receiver, 0..0);
    batch.send(&line(15)).unwrap();
    has_exactly(&mut receiver, 0..16);
    batch.send(&line(16)).unwrap();
    has_exactly(&mut receiver, 0..0);
    drop(batch);
    has_exactly(&mut receiver, 16..17);
    // A batch also sends what it holds when the next message finds no space.
    (0..room - 3).for_each(|n| sender.try_send(&line(n)).unwrap());
    let mut batch = sender.batch();
    (room - 3..room).for_each(|n| batch.try_send(&line(n)).unwrap());
    assert_eq!(why(batch.try_send(&line(99))), "Full");
    has_exactly(&mut receiver, 0..room);
    drop(batch);
    has_exactly(&mut receiver, 0..0);
    sender.send(&line(7)).unwrap();
    has_exactly(&mut receiver, 7..8);
}

// layout: L069
#[test]
fn batch_is_sent_before_sender_blocks() {
    let (_test, name) = start("batch-wait");
    let (mut receiver, room) = short(&name);
    let mut sender = Sender::open(&*name).unwrap();
    scope(|scope| {
        scope.spawn(move || {
            let mut batch = sender.batch();
            (0..3 * room + 5).for_each(|n| batch.send(&line(n)).unwrap());
        });
        (0..3 * room + 5).for_each(|n| assert_eq!(receiver.recv().unwrap(), line(n)));
        assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
    });
}

#[test]
fn unsent_batch_of_killed_sender_is_discarded() {
    let (mut test, name) = start("batch-killed");
    let mut receiver = queue(&name);
    for before in [0, 1, 7] {
        let mut inbox = Inbox::new(receiver.max_message());
        let mut child = child(&mut test, "sender", &[&name, "1"]);
        assert_eq!(ask(&mut child, &format!("send {before}")), "sent");
        assert_eq!(ask(&mut child, "batch 8"), "batched");
        if before == 1 {
            inbox.take(receiver.recv().unwrap());
            assert_eq!(why(receiver.try_recv()), "Empty");
        }
        child.kill();
        while inbox.all() < before {
            inbox.take(receiver.recv().unwrap());
        }
        assert_eq!(why(receiver.recv()), "Disconnected(Died)");
        // The next sender in the lane does not send the batch either.
        let mut next = Sender::open(&*name).unwrap();
        next.send(b"next").unwrap();
        assert_eq!(receiver.recv().unwrap(), b"next");
        drop(next);
        assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
    }
}

// layout: L118 L119
#[test]
fn disconnect_of_last_sender_is_reported_once() {
    let (mut test, name) = start("once");
    let mut receiver = queue(&name);
    let none_is_told = |receiver: &mut Receiver| {
        assert_eq!(why(receiver.try_recv()), "Empty");
        assert_eq!(receiver.drain(|_| panic!("unexpected message")).unwrap(), 0);
        for time in [Duration::ZERO, MOMENT] {
            assert_eq!(why(receiver.recv_timeout(time)), "Timeout");
        }
    };
    none_is_told(&mut receiver);
    for n in 0..3 {
        let mut sender = Sender::open(&*name).unwrap();
        none_is_told(&mut receiver);
        (0..n).for_each(|i| sender.send(&message(0, i, 200)).unwrap());
        drop(sender);
        for i in 0..n {
            assert_eq!(whole(receiver.try_recv().unwrap(), 200), (0, i));
        }
        let told = match n {
            0 => why(receiver.try_recv()),
            1 => why(receiver.recv_timeout(Duration::ZERO)),
            _ => why(receiver.drain(|_| panic!("unexpected message"))),
        };
        assert_eq!(told, "Disconnected(Closed)");
        none_is_told(&mut receiver);
        let mut child = child(&mut test, "sender", &[&name, "1"]);
        assert_eq!(ask(&mut child, "send 1"), "sent");
        child.kill();
        assert_eq!(whole(receiver.recv().unwrap(), 200), (1, 0));
        assert_eq!(why(receiver.recv()), "Disconnected(Died)");
        none_is_told(&mut receiver);
    }
}

// layout: L117 L119 L237
#[test]
fn sender_dropped_before_recv_is_still_reported() {
    let (mut test, name) = start("unseen");
    for before in ["nobody", "Closed", "Died"] {
        let mut receiver = queue(&name);
        if before != "nobody" {
            let child = child(&mut test, "sender", &[&name, "1"]);
            assert_eq!(why(receiver.try_recv()), "Empty");
            match before {
                "Died" => child.kill(),
                _ => assert!(child.finish().success()),
            }
            assert_eq!(why(receiver.recv()), format!("Disconnected({before})"));
        }
        for count in [0, 1, 5, 0] {
            let mut sender = Sender::open(&*name).unwrap();
            (0..count).for_each(|n| sender.send(&message(0, n, 200)).unwrap());
            drop(sender);
            for n in 0..count {
                assert_eq!(whole(receiver.recv().unwrap(), 200), (0, n));
            }
            assert_eq!(why(receiver.recv()), "Disconnected(Closed)", "{before}");
            assert_eq!(why(receiver.try_recv()), "Empty");
        }
    }
}

// layout: L238
#[test]
fn sender_exiting_after_drop_reports_closed() {
    let (mut test, name) = start("brief");
    let mut receiver = queue(&name);
    let spawn = |n: u64| TestChild::spawn("messages/brief", &[&name, &(n % 5).to_string()]);
    let mut all = children(&mut test, 60, spawn);
    all.iter_mut().for_each(|child| child.expect("ready"));
    for (n, mut child) in (0..).zip(all) {
        let mut received = 0;
        child.tell("go");
        let end = loop {
            // In every second round the receiver polls, and must see the end as well.
            let came = match n % 2 {
                0 => receiver.recv(),
                _ => receiver.try_recv(),
            };
            match came {
                Ok(bytes) => {
                    assert_eq!(whole(bytes, 200), (0, received));
                    received += 1;
                }
                Err(RecvError::Empty) => {}
                Err(end) => break format!("{end:?}"),
            }
        };
        assert_eq!((received, &*end), (n % 5, "Disconnected(Closed)"));
        assert!(child.finish().success());
    }
}

#[test]
fn every_sender_disconnect_is_reported_once() {
    const ROUNDS: u64 = if cfg!(windows) { 500 } else { 3000 };
    let (_test, name) = start("told");
    let mut receiver = queue(&name);
    let mut random = Random::new();
    let (go, come) = std::sync::mpsc::channel();
    scope(|scope| {
        scope.spawn(|| {
            for n in come {
                // After the pause the receiver sleeps, is about to sleep, or still polls.
                let pause = Duration::from_micros(random.below(400));
                std::thread::sleep(pause);
                Sender::open(&*name).unwrap().send(&line(n)).unwrap();
            }
        });
        for n in 0..ROUNDS {
            go.send(n).unwrap();
            let came = receiver.recv().expect("a disconnect is reported only once");
            assert_eq!(came, line(n));
            assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
        }
        drop(go);
    });
}

// layout: L238
#[test]
fn last_sender_determines_disconnect_reason() {
    let (mut test, name) = start("last");
    let mut receiver = queue(&name);
    for closes_last in [false, true] {
        let mine = Sender::open(&*name).unwrap();
        let child = child(&mut test, "sender", &[&name, "1"]);
        let (mut mine, mut child) = (Some(mine), Some(child));
        for last in [false, true] {
            if closes_last == last {
                mine.take();
            } else {
                child.take().unwrap().kill();
            }
            if !last {
                assert_eq!(why(receiver.try_recv()), "Empty");
                assert_eq!(why(receiver.recv_timeout(MOMENT)), "Timeout");
            }
        }
        let how = ["Disconnected(Died)", "Disconnected(Closed)"];
        assert_eq!(why(receiver.recv()), how[usize::from(closes_last)]);
    }
}

/// Runs `act` once the receiver sleeps, and returns what the receiver then gets.
fn awaited(receiver: &mut Receiver, act: impl FnOnce()) -> Result<Vec<u8>, String> {
    let name = receiver.name().clone();
    scope(|scope| {
        let waiter = scope.spawn(|| match receiver.recv_timeout(Duration::MAX) {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) => Err(format!("{error:?}")),
        });
        until_asleep(&name.to_string(), std::process::id());
        act();
        waiter.join().unwrap()
    })
}

// layout: L090 L091 L097 L116 L120
#[test]
fn waiting_receiver_wakes_on_message_or_disconnect() {
    let (mut test, name) = start("woken");
    let mut receiver = queue(&name);
    let mut child = child(&mut test, "sender", &[&name, "1"]);
    let mut sender = Sender::open(&*name).unwrap();
    for n in 0..20 {
        let came = awaited(&mut receiver, || match n % 4 {
            0 => sender.send(b"word").unwrap(),
            1 => sender.try_send(b"word").unwrap(),
            2 => sender.send_all([b"word"]).unwrap(),
            _ => sender.batch().send(b"word").unwrap(),
        });
        assert_eq!(came.unwrap(), b"word");
        let came = awaited(&mut receiver, || {
            assert_eq!(ask(&mut child, "send 1"), "sent")
        });
        assert_eq!(whole(&came.unwrap(), 200), (1, n));
    }
    // The process of the last sender lives on.
    let second = Sender::open(&*name).unwrap();
    assert!(child.finish().success());
    drop(sender);
    let came = awaited(&mut receiver, || drop(second));
    assert_eq!(came.unwrap_err(), "Disconnected(Closed)");
    let child = self::child(&mut test, "sender", &[&name, "1"]);
    let came = awaited(&mut receiver, || child.kill());
    assert_eq!(came.unwrap_err(), "Disconnected(Died)");
    let child = self::child(&mut test, "sender", &[&name, "1"]);
    let came = awaited(&mut receiver, || assert!(child.finish().success()));
    assert_eq!(came.unwrap_err(), "Disconnected(Closed)");
    // The next call waits for the next sender.
    let came = awaited(&mut receiver, || {
        let mut sender = Sender::open(&*name).unwrap();
        sender.send(b"next").unwrap();
    });
    assert_eq!(came.unwrap(), b"next");
}

// layout: L103 L104
#[test]
fn sender_beyond_lane_count_is_busy() {
    let (mut test, name) = start("lanes");
    for lanes in [1, 3, 63, 64] {
        let name = format!("{name}-{lanes}");
        let options = Receiver::options().capacity(1).max_message(SHORT as u64);
        let options = if lanes == 63 {
            options
        } else {
            options.senders(lanes)
        };
        let mut receiver = options.create(&*name).unwrap();
        let mut all: Vec<_> = (0..lanes).map(|_| Sender::open(&*name).unwrap()).collect();
        refused(Busy, Sender::open(&*name));
        for i in [0, lanes / 2, lanes - 1] {
            all.remove(i);
            all.insert(i, Sender::open(&*name).unwrap());
            refused(Busy, Sender::open(&*name));
        }
        for (n, sender) in (0..).zip(&mut all) {
            sender.send(&line(n)).unwrap();
        }
        let mut sum = 0;
        let count = |bytes: &[u8]| sum += u64::from(bytes[0]);
        assert_eq!(receiver.drain(count).unwrap(), lanes);
        assert_eq!(sum, (0..lanes as u64).sum());
        all.pop();
        let child = child(&mut test, "sender", &[&name, "1"]);
        refused(Busy, Sender::open(&*name));
        child.kill();
        // The receiver has not checked since the kill.
        drop(Sender::open(&*name).unwrap());
    }
}

// layout: L107
#[test]
fn reused_lane_delivers_earlier_messages_first() {
    let (mut test, name) = start("heirs");
    let options = Receiver::options().capacity(CAPACITY).senders(1);
    let mut receiver = options.max_message(LONGEST).create(&*name).unwrap();
    let mut wanted = Vec::new();
    for from in 0..4 {
        if from % 2 == 0 {
            let mut sender = Sender::open(&*name).unwrap();
            (0..3).for_each(|n| sender.send(&message(from, n, 200)).unwrap());
        } else {
            let mut child = child(&mut test, "sender", &[&name, &from.to_string()]);
            assert_eq!(ask(&mut child, "send 3"), "sent");
            child.kill();
        }
        wanted.extend((0..3).map(|n| (from, n)));
    }
    for one in wanted {
        assert_eq!(whole(receiver.recv().unwrap(), 200), one);
    }
    assert_eq!(why(receiver.recv()), "Disconnected(Died)");
}

// layout: L029 L108 L165
#[test]
fn closed_receiver_disconnects_all_senders() {
    let (mut test, name) = start("closes");
    let closed = "Disconnected(Closed)";
    let (receiver, room) = short(&name);
    let mut senders = [(); 4].map(|()| Sender::open(&*name).unwrap());
    let mut child = child(&mut test, "sender", &[&name, "1"]);
    assert_eq!(ask(&mut child, "flood"), "flooding");
    let [batched, waiting, ..] = &mut senders;
    (0..room).for_each(|n| waiting.try_send(&line(n)).unwrap());
    let mut batch = batched.batch();
    batch.send(b"batched").unwrap();
    scope(|scope| {
        let waiter = scope.spawn(|| why(waiting.send(&line(room))));
        until_asleep(&name, std::process::id());
        until_asleep(&name, child.id());
        drop(receiver);
        assert_eq!(waiter.join().unwrap(), closed);
    });
    child.expect(closed);
    assert_eq!(why(batch.send(b"")), closed);
    drop(batch);
    for sender in &mut senders {
        assert_eq!(why(sender.try_send(b"")), closed);
        assert_eq!(why(sender.send(b"")), closed);
        assert_eq!(why(sender.send_timeout(b"", MOMENT)), closed);
        assert_eq!(why(sender.send_all([b"x"])), closed);
        assert_eq!(why(sender.batch().try_send(b"")), closed);
    }
    drop(senders);
    assert!(child.finish().success());
    common::gone(|| Sender::open(&*name));
    drop(queue(&name));
}

// layout: L091 L109 L110
#[test]
fn killed_receiver_disconnects_all_senders() {
    let (mut test, name) = start("killed");
    let died = "Disconnected(Died)";
    let mut owner = child(&mut test, "receiver", &[&name]);
    let mut other = child(&mut test, "sender", &[&name, "1"]);
    assert_eq!(ask(&mut other, "send 5"), "sent");
    assert_eq!(ask(&mut owner, "take 5"), "taken");
    assert_eq!(ask(&mut other, "flood"), "flooding");
    let mut waiting = Sender::open(&*name).unwrap();
    let mut idle = Sender::open(&*name).unwrap();
    scope(|scope| {
        let waiter = scope.spawn(|| flood(|| waiting.send(&[7; 200])));
        until_asleep(&name, std::process::id());
        until_asleep(&name, other.id());
        owner.kill();
        assert_eq!(waiter.join().unwrap(), died);
    });
    other.expect(died);
    assert_eq!(why(waiting.send(&[7; 200])), died);
    // An idle sender notices the death at the latest when its lane is full.
    let mut room = 0..CAPACITY / 16 + 1;
    assert_eq!(
        flood(|| {
            room.next().expect("more messages than the lane holds");
            idle.send(b"word")
        }),
        died
    );
    assert_eq!(why(idle.send_timeout(b"word", Duration::MAX)), died);
    assert_eq!(why(idle.send_all([b"word"])), died);
    assert_eq!(why(idle.batch().send(b"word")), died);
    drop((waiting, idle));
    assert!(other.finish().success());
    drop(queue(&name));
}

#[test]
fn queue_exists_once_while_its_receiver_lives() {
    let (mut test, name) = start("created");
    refused(NotFound, Sender::open(&*name));
    refused(NotFound, shmkit::inspect::segment_info(&*name));
    let receiver = queue(&name);
    assert_eq!(receiver.name().base(), name);
    let owned_by = |pid: u32| {
        let error = refused(shmkit::ErrorKind::AlreadyExists, Receiver::create(&*name));
        assert!(error.to_string().contains(&pid.to_string()), "{error}");
        refused(shmkit::ErrorKind::AlreadyExists, Publisher::create(&*name));
    };
    owned_by(std::process::id());
    drop(receiver);
    refused(NotFound, Sender::open(&*name));
    let child = child(&mut test, "receiver", &[&name]);
    owned_by(child.id());
    child.kill();
    common::gone(|| Sender::open(&*name));
    drop(queue(&name));
}
