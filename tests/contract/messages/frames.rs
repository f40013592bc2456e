//! Long messages: rings that are no powers of two, and topics that keep a number of messages.

use super::*;
use crate::common::{refused, start, watchdog};
use shmkit::ErrorKind::InvalidArgument;
use shmkit::{Client, Server};
use std::thread::scope;

const FRAME: usize = 8 << 20;
const LONG: usize = 64 << 10;

/// Returns the content of the message with this number.
fn frame(number: u64, len: usize) -> Vec<u8> {
    let mut frame = vec![number as u8; len];
    let head = number.to_le_bytes();
    let len = len.min(head.len());
    frame[..len].copy_from_slice(&head[..len]);
    frame
}

/// Returns a length of up to `max` for the message with this number: many are long.
fn some_len(number: u64, max: usize) -> usize {
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    match number % 3 {
        0 => max,
        1 => random as usize % (max + 1),
        _ => random as usize % 100,
    }
}

fn lanes_len(name: &str) -> u64 {
    let section = Section::open(format!("{name}~lanes-00000001")).unwrap();
    section.len().unwrap()
}

/// Asserts that a subscriber that joins now receives all messages from `first` to `sent`.
fn assert_kept(name: &str, first: u64, sent: u64, len: impl Fn(u64) -> usize) {
    let options = Subscriber::options().start(Start::Oldest);
    let mut late = options.open(name).unwrap();
    assert!(
        late.next_number() <= first,
        "{} {first}",
        late.next_number()
    );
    while late.next_number() < sent {
        let number = late.next_number();
        let message = late.recv().unwrap();
        assert!(message == frame(number, len(number)), "message {number}");
    }
    assert_eq!(why(late.try_recv()), "Empty");
    assert_eq!(late.missed(), 0);
}

// layout: L280 L281 L282 L285
#[test]
fn topic_of_frames_keeps_last_four() {
    let (_test, name) = start("frames");
    let options = Publisher::options().max_message(FRAME as u64).keep(4);
    let mut publisher = options.create(&*name).unwrap();
    let takes = lanes_len(&name);
    assert!(takes <= 6 * FRAME as u64 + 4096, "{takes}");
    for sent in 0..11u64 {
        let first = sent.saturating_sub(4);
        let mut claim = publisher.claim(FRAME).unwrap();
        // While the next frame is being written, the last four can be read.
        claim.write_at(0, &frame(sent, FRAME));
        assert_kept(&name, first, sent, |_| FRAME);
        claim.commit().unwrap();
        assert_kept(&name, (sent + 1).saturating_sub(4), sent + 1, |_| FRAME);
    }
}

// layout: L281 L282 L283 L285
#[test]
fn mixed_lengths_are_kept_for_late_subscribers() {
    for keep in [1, 2, 7, 20] {
        let (_test, name) = start("frames-mixed");
        let len = |number| some_len(number + 1, LONG);
        let options = Publisher::options().max_message(LONG as u64).keep(keep);
        let mut publisher = options.create(&*name).unwrap();
        let takes = lanes_len(&name);
        assert!(takes <= (keep + 2) * LONG as u64 + 4096, "{takes}");
        for sent in 0..150u64 {
            if sent % 5 == 4 {
                // A claim that is given up changes nothing.
                drop(publisher.claim(LONG).unwrap());
            }
            assert_kept(&name, sent.saturating_sub(keep), sent, len);
            match sent % 7 {
                0 => publisher.send_all([frame(sent, len(sent))]).unwrap(),
                _ => publisher.send(&frame(sent, len(sent))).unwrap(),
            }
        }
    }
}

// layout: L285
#[test]
fn short_messages_are_kept_too() {
    let (_test, name) = start("frames-short");
    let options = Publisher::options().max_message(200).keep(50);
    let mut publisher = options.create(&*name).unwrap();
    let len = |number| some_len(number, 200);
    for sent in 0..400u64 {
        assert_kept(&name, sent.saturating_sub(50), sent, len);
        publisher.send(&frame(sent, len(sent))).unwrap();
    }
}

// layout: L284
#[test]
fn slow_subscriber_continues_at_oldest_kept_frame() {
    let (_test, name) = start("frames-slow");
    let options = Publisher::options().max_message(LONG as u64).keep(4);
    let mut publisher = options.create(&*name).unwrap();
    let mut slow = Subscriber::open(&*name).unwrap();
    let mut send = |number| publisher.send(&frame(number, LONG)).unwrap();
    (0..4).for_each(&mut send);
    // Nothing was missed yet.
    (0..2).for_each(|n| assert!(slow.recv().unwrap() == frame(n, LONG)));
    (4..12).for_each(&mut send);
    let Err(RecvError::Lagged(missed)) = slow.try_recv() else {
        panic!("the subscriber was overtaken");
    };
    assert!((5..=6).contains(&missed), "{missed}");
    (2 + missed..12).for_each(|n| assert!(slow.recv().unwrap() == frame(n, LONG)));
    assert_eq!(why(slow.try_recv()), "Empty");
}

// layout: L126 L280
#[test]
fn lossless_topic_of_three_frames_loses_nothing() {
    const ALL: u64 = 600;
    let (_test, name) = start("frames-lossless");
    let options = Publisher::options().max_message(LONG as u64).keep(1);
    let mut publisher = options.delivery(Delivery::Lossless).create(&*name).unwrap();
    assert!(lanes_len(&name) <= 3 * LONG as u64 + 4096);
    let subscribers = [(); 2].map(|()| Subscriber::open(&*name).unwrap());
    scope(|scope| {
        for mut subscriber in subscribers {
            scope.spawn(move || {
                for n in 0..ALL {
                    let message = subscriber.recv().unwrap();
                    assert!(message == frame(n, some_len(n, LONG)), "message {n}");
                }
            });
        }
        for n in 0..ALL {
            publisher.send(&frame(n, some_len(n, LONG))).unwrap();
        }
    });
}

// layout: L063 L107 L280
#[test]
fn queue_has_space_for_four_long_messages() {
    const ALL: u64 = 600;
    let (_test, name) = start("frames-queue");
    let options = Receiver::options().max_message(LONG as u64).senders(1);
    let mut receiver = options.capacity(4096).create(&*name).unwrap();
    assert!(lanes_len(&name) <= 4 * LONG as u64 + 4096);
    let name = &*name;
    scope(|scope| {
        scope.spawn(move || {
            // Each sender takes over the lane of the one before.
            for part in 0..6 {
                let mut sender = Sender::open(name).unwrap();
                for n in part * ALL / 6..(part + 1) * ALL / 6 {
                    let message = frame(n, some_len(n, LONG));
                    match n % 5 {
                        0 => {
                            let mut claim = sender.claim(message.len()).unwrap();
                            claim.write_at(0, &message);
                            claim.commit().unwrap();
                        }
                        1 => sender.batch().send(&message).unwrap(),
                        _ => sender.send(&message).unwrap(),
                    }
                }
            }
        });
        let mut n = 0;
        while n < ALL {
            match receiver.recv_ref() {
                Ok(message) => {
                    assert!(
                        message.to_vec() == frame(n, some_len(n, LONG)),
                        "message {n}"
                    );
                    n += 1;
                }
                Err(RecvError::Disconnected(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}

// layout: L143 L280
#[test]
fn calls_with_long_messages_are_answered() {
    let (_test, name) = start("frames-calls");
    let options = Server::options()
        .max_message(LONG as u64)
        .clients(1)
        .in_flight(2);
    let mut server = options.create(&*name).unwrap();
    assert!(
        !shmkit::inspect::segment_info(&*name)
            .unwrap()
            .capacity
            .is_power_of_two()
    );
    let mut client = Client::open(&*name).unwrap();
    for n in 0..200 {
        let request = frame(n, some_len(n, LONG));
        let call = client.send(&request).unwrap();
        let asked = server.recv().unwrap();
        let answer = asked.bytes().iter().rev().copied().collect::<Vec<u8>>();
        asked.respond(&answer).unwrap();
        let expected: Vec<u8> = request.into_iter().rev().collect();
        assert!(client.recv(&call).unwrap() == expected, "call {n}");
    }
}

#[test]
fn impossible_numbers_of_kept_messages_are_refused() {
    let _dog = watchdog();
    let (_test, name) = start("frames-refused");
    let create = |options: shmkit::TopicOptions| options.create(&*name);
    refused(InvalidArgument, create(Publisher::options().keep(3)));
    let sized = || Publisher::options().max_message(LONG as u64);
    refused(InvalidArgument, create(sized().keep(0)));
    refused(InvalidArgument, create(sized().keep(1 << 20)));
    refused(InvalidArgument, create(sized().keep(u64::MAX)));
    create(sized().keep(3)).unwrap();
}
