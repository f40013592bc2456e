//! Tests of queues with ideas from the test suites of other channels: Rust's `std::sync::mpsc`,
//! Go's channels, and Agrona's ring buffers.

use crate::common::{unique, watchdog};
use shmkit::{DisconnectReason, Receiver, RecvError, SendError, Sender};
use std::thread;
use std::time::Duration;

fn queue(stem: &str, senders: usize) -> (Receiver, String) {
    let name = unique(stem);
    let receiver = Receiver::options()
        .senders(senders)
        .create(name.as_str())
        .unwrap();
    (receiver, name)
}

fn pair(stem: &str) -> (Sender, Receiver) {
    let (receiver, name) = queue(stem, 2);
    (Sender::open(name.as_str()).unwrap(), receiver)
}

/// Creates a small queue: 4 KiB, and messages of at most 1000 bytes.
fn small(stem: &str) -> (Sender, Receiver) {
    let name = unique(stem);
    let options = Receiver::options().capacity(4096).max_message(1000);
    let receiver = options.create(name.as_str()).unwrap();
    (Sender::open(name.as_str()).unwrap(), receiver)
}

fn number(message: &[u8]) -> u64 {
    u64::from_le_bytes(message.try_into().unwrap())
}

// std::sync::mpsc

#[test]
fn messages_of_closed_sender_are_received() {
    let _dog = watchdog();
    let (mut sender, mut receiver) = pair("mpsc-before");
    sender.send(b"1").unwrap();
    sender.send(b"2").unwrap();
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), b"1");
    assert_eq!(receiver.recv().unwrap(), b"2");
    let gone = receiver.recv().unwrap_err();
    assert!(matches!(
        gone,
        RecvError::Disconnected(DisconnectReason::Closed)
    ));
}

#[test]
fn send_to_closed_receiver_is_disconnected() {
    let _dog = watchdog();
    let (mut sender, receiver) = pair("mpsc-gone");
    drop(receiver);
    for _ in 0..2 {
        let refused = sender.send(b"1").unwrap_err();
        assert!(matches!(
            refused,
            SendError::Disconnected(DisconnectReason::Closed)
        ));
    }
}

#[test]
fn full_queue_can_be_dropped_unread() {
    let (mut sender, receiver) = pair("mpsc-full");
    while sender.try_send(&[1; 1000]).is_ok() {}
    drop(receiver);
    drop(sender);
}

#[test]
fn try_receive_reports_message_empty_or_closed() {
    let _dog = watchdog();
    let (mut sender, mut receiver) = pair("mpsc-states");
    assert!(matches!(receiver.try_recv(), Err(RecvError::Empty)));
    sender.send(b"1").unwrap();
    assert_eq!(receiver.try_recv().unwrap(), b"1");
    assert!(matches!(receiver.try_recv(), Err(RecvError::Empty)));
    drop(sender);
    let gone = receiver.try_recv().unwrap_err();
    assert!(matches!(
        gone,
        RecvError::Disconnected(DisconnectReason::Closed)
    ));
}

#[test]
fn blocked_receiver_wakes_on_message_and_disconnect() {
    let _dog = watchdog();
    let (mut sender, mut receiver) = pair("mpsc-woken");
    let (tell, told) = std::sync::mpsc::channel();
    let waiter = thread::spawn(move || {
        assert_eq!(receiver.recv().unwrap(), b"now");
        tell.send(()).unwrap();
        receiver.recv().unwrap_err()
    });
    sender.send(b"now").unwrap();
    told.recv().unwrap();
    drop(sender);
    let gone = waiter.join().unwrap();
    assert!(matches!(
        gone,
        RecvError::Disconnected(DisconnectReason::Closed)
    ));
}

#[test]
fn timeouts_from_zero_to_maximum_work() {
    let _dog = watchdog();
    let (mut sender, mut receiver) = pair("mpsc-timeouts");
    for timeout in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(1),
    ] {
        let late = receiver.recv_timeout(timeout).unwrap_err();
        assert!(matches!(late, RecvError::Timeout));
    }
    sender.send(b"1").unwrap();
    assert_eq!(receiver.recv_timeout(Duration::MAX).unwrap(), b"1");
    let waiter = thread::spawn(move || receiver.recv_timeout(Duration::MAX).map(<[u8]>::to_vec));
    sender.send_timeout(b"2", Duration::MAX).unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), b"2");
}

#[test]
fn short_receive_timeouts_lose_no_message() {
    let _dog = watchdog();
    const EACH: u64 = 2000;
    let (mut receiver, name) = queue("mpsc-stress", 4);
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let name = name.clone();
            thread::spawn(move || {
                let mut sender = Sender::open(name.as_str()).unwrap();
                (0..EACH).for_each(|n| sender.send(&n.to_le_bytes()).unwrap());
            })
        })
        .collect();
    let (mut count, mut sum) = (0, 0);
    while count < 4 * EACH {
        match receiver.recv_timeout(Duration::from_micros(50)) {
            Ok(message) => {
                sum += number(message);
                count += 1;
            }
            Err(RecvError::Timeout | RecvError::Disconnected(DisconnectReason::Closed)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(sum, 4 * EACH * (EACH - 1) / 2);
    senders
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

#[test]
fn one_thread_sends_and_receives_in_order() {
    let (mut sender, mut receiver) = pair("mpsc-alone");
    for n in 0..10_000u64 {
        sender.send(&n.to_le_bytes()).unwrap();
        assert_eq!(number(receiver.recv().unwrap()), n);
    }
}

#[test]
fn unused_endpoints_close_in_either_order() {
    let (sender, receiver) = pair("mpsc-order");
    drop(sender);
    drop(receiver);
    let (sender, receiver) = pair("mpsc-order");
    drop(receiver);
    drop(sender);
}

// Go

#[test]
fn send_to_full_queue_completes_after_receive() {
    let _dog = watchdog();
    let (mut sender, mut receiver) = small("go-full");
    let mut sent = 0u8;
    while sender.try_send(&[sent; 1000]).is_ok() {
        sent += 1;
    }
    assert!(sent >= 2, "several of the longest messages fit");
    let blocked = thread::spawn(move || {
        sender.send(&[sent; 1000]).unwrap();
        sender
    });
    for n in 0..=sent {
        assert_eq!(receiver.recv().unwrap(), [n; 1000]);
    }
    drop(blocked.join().unwrap());
}

#[test]
fn chain_of_relays_keeps_message_order() {
    let _dog = watchdog();
    const COUNT: u64 = 500;
    let (mut first, mut last) = pair("go-chain");
    let mut relays = Vec::new();
    for _ in 0..5 {
        let (mut next, receiver) = pair("go-chain");
        let mut from = std::mem::replace(&mut last, receiver);
        relays.push(thread::spawn(move || {
            while let Ok(message) = from.recv() {
                next.send(message).unwrap();
            }
        }));
    }
    let feeder = thread::spawn(move || {
        (0..COUNT).for_each(|n| first.send(&n.to_le_bytes()).unwrap());
    });
    for n in 0..COUNT {
        assert_eq!(number(last.recv().unwrap()), n);
    }
    feeder.join().unwrap();
    relays.into_iter().for_each(|relay| relay.join().unwrap());
}

#[test]
fn ping_pong_between_two_threads_completes() {
    let _dog = watchdog();
    let (mut to, mut from_there) = pair("go-ping");
    let (mut back, mut from_here) = pair("go-pong");
    let other = thread::spawn(move || {
        while let Ok(message) = from_there.recv() {
            back.send(message).unwrap();
        }
    });
    for n in 0..2000u64 {
        to.send(&n.to_le_bytes()).unwrap();
        assert_eq!(number(from_here.recv().unwrap()), n);
    }
    drop(to);
    other.join().unwrap();
}

// Agrona

#[test]
fn messages_of_every_length_arrive_intact() {
    let _dog = watchdog();
    let (mut sender, mut receiver) = small("agrona-lengths");
    for round in 0..3 {
        for len in 0..=1000usize {
            let byte = (len + round) as u8;
            sender.send(&vec![byte; len]).unwrap();
            let message = receiver.recv().unwrap();
            assert_eq!(message.len(), len);
            assert!(message.iter().all(|b| *b == byte), "{len}");
        }
    }
}

#[test]
fn too_long_message_is_refused_without_effect() {
    let (mut sender, mut receiver) = small("agrona-long");
    assert_eq!((sender.max_message(), receiver.max_message()), (1000, 1000));
    let refused = sender.send(&[0; 1001]).unwrap_err();
    assert!(matches!(
        refused,
        SendError::TooLong {
            len: 1001,
            max: 1000
        }
    ));
    assert!(matches!(receiver.try_recv(), Err(RecvError::Empty)));
    sender.send(&[7; 1000]).unwrap();
    assert_eq!(receiver.recv().unwrap(), [7; 1000]);
}

#[test]
fn leaked_batch_is_sent_with_next_message() {
    let _dog = watchdog();
    let (mut sender, mut receiver) = pair("agrona-forgotten");
    let mut batch = sender.batch();
    batch.send(b"1").unwrap();
    std::mem::forget(batch);
    assert!(matches!(receiver.try_recv(), Err(RecvError::Empty)));
    sender.send(b"2").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"1");
    assert_eq!(receiver.recv().unwrap(), b"2");
}
