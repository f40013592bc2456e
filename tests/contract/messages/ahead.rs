//! Messages that are received ahead, and what becomes of them when they are not released.

use super::*;
use crate::common::start;

/// Returns the numbers of the messages that are there, in their order.
fn ahead(receiver: &mut Receiver) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        match receiver.try_recv_ahead() {
            Ok((number, bytes)) => all.push((number, bytes.to_vec())),
            Err(error) => {
                assert_eq!(format!("{error:?}"), "Empty");
                return all;
            }
        }
    }
}

fn bytes(all: Vec<(u64, Vec<u8>)>) -> Vec<Vec<u8>> {
    all.into_iter().map(|(_, bytes)| bytes).collect()
}

/// Receives everything, and sorts it: there is no order among senders.
fn sorted(receiver: &mut Receiver) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    receiver.drain(|bytes| all.push(bytes.to_vec())).unwrap();
    all.sort();
    all
}

// layout: L250
#[test]
fn next_receiver_gets_messages_not_released() {
    let (_test, name) = start("ahead-next");
    let mut receiver = queue(&name);
    let mut senders = [0, 1].map(|_| Sender::open(&*name).unwrap());
    for n in 0..5u8 {
        for (sender, who) in senders.iter_mut().zip(b"ab") {
            sender.send(&[*who, n]).unwrap();
        }
    }

    let all = ahead(&mut receiver);
    let numbers: Vec<u64> = all.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<u64>>());
    receiver.release_to(7);
    // What was released stays so, and a number that nothing has yet releases nothing more.
    receiver.release_to(3);
    let mut left: Vec<Vec<u8>> = all[7..].iter().map(|(_, bytes)| bytes.clone()).collect();
    left.sort();
    drop(receiver);

    let mut next = queue(&name);
    assert_eq!(sorted(&mut next), left);
    // Nothing is received a third time.
    drop(next);
    assert!(sorted(&mut queue(&name)).is_empty());
}

// layout: L113 L250
#[test]
fn release_frees_space_for_the_sender() {
    let (_test, name) = start("ahead-space");
    let mut receiver = queue(&name);
    let mut sender = Sender::open(&*name).unwrap();
    let mut round = |receiver: &mut Receiver| {
        let mut sent = 0;
        while sender.try_send(&[7; SHORT]).is_ok() {
            sent += 1;
        }
        let all = ahead(receiver);
        let full = sender.try_send(&[7; SHORT]);
        assert!(matches!(full, Err(SendError::Full)), "{full:?}");
        assert_eq!(all.len(), sent);
        all.last().unwrap().0
    };
    for _ in 0..5 {
        let last = round(&mut receiver);
        receiver.release_to(last);
    }
}

#[test]
fn other_receiving_calls_release_everything() {
    let (_test, name) = start("ahead-mixed");
    let mut receiver = queue(&name);
    let mut sender = Sender::open(&*name).unwrap();
    let mut send = |texts: &[&str]| {
        texts
            .iter()
            .for_each(|text| sender.send(text.as_bytes()).unwrap());
    };
    send(&["one", "two", "three"]);
    assert_eq!(receiver.recv_ahead().unwrap(), (1, &b"one"[..]));
    assert_eq!(receiver.recv().unwrap(), b"two");
    assert_eq!(receiver.recv_ahead().unwrap(), (2, &b"three"[..]));
    send(&["four", "five"]);
    assert_eq!(&*receiver.recv_ref().unwrap().to_vec(), b"four");
    assert_eq!(
        receiver.recv_ahead_timeout(MOMENT).unwrap(),
        (3, &b"five"[..])
    );
    assert_eq!(why(receiver.recv_ahead_timeout(MOMENT)), "Timeout");
    drop(receiver);
    assert_eq!(sorted(&mut queue(&name)), [b"five"]);
}

/// What was received ahead in an earlier generation can be released, and is received again if it
/// was not.
// layout: L161 L250
#[test]
fn unreleased_messages_survive_a_resize() {
    let (_test, name) = start("ahead-resize");
    let mut receiver = queue(&name);
    let mut sender = Sender::open(&*name).unwrap();
    for text in ["one", "two", "three"] {
        sender.send(text.as_bytes()).unwrap();
    }
    assert_eq!(receiver.recv_ahead().unwrap(), (1, &b"one"[..]));
    assert_eq!(receiver.recv_ahead().unwrap(), (2, &b"two"[..]));
    receiver
        .resize(&Receiver::options().capacity(2 * CAPACITY))
        .unwrap();
    sender.send(b"four").unwrap();
    assert_eq!(bytes(ahead(&mut receiver)), [&b"three"[..], b"four"]);
    receiver.release_to(1);
    drop(receiver);

    let mut next = queue(&name);
    assert_eq!(bytes(ahead(&mut next)), [&b"two"[..], b"three", b"four"]);
    next.release_to(2);
    drop(next);
    assert_eq!(sorted(&mut queue(&name)), [b"four"]);
}

/// A receiver that always keeps some messages releases space while it waits for the next one.
// layout: L113 L250
#[test]
fn partial_release_frees_space_while_waiting() {
    const WINDOW: u64 = 5;
    const SENT: u64 = 200;
    let (_test, name) = start("ahead-window");
    let options = Receiver::options().capacity(CAPACITY).max_message(400);
    let mut receiver = options.create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || {
            for _ in 0..SENT {
                sender.send(&[7; 400]).unwrap();
            }
            sender
        });
        for expected in 1..=SENT {
            let (number, _) = receiver.recv_ahead().unwrap();
            assert_eq!(number, expected);
            receiver.release_to(number.saturating_sub(WINDOW));
        }
        sending.join().unwrap();
    });
}

/// Messages of an earlier generation that are not released do not hide that all senders have gone.
#[test]
fn end_is_reported_beside_unreleased_messages() {
    let (_test, name) = start("ahead-end");
    let mut receiver = queue(&name);
    let mut sender = Sender::open(&*name).unwrap();
    sender.send(b"one").unwrap();
    let (number, _) = receiver.recv_ahead().unwrap();
    receiver
        .resize(&Receiver::options().capacity(2 * CAPACITY))
        .unwrap();
    drop(sender);
    assert_eq!(why(receiver.recv_ahead()), "Disconnected(Closed)");
    assert_eq!(why(receiver.try_recv_ahead()), "Empty");
    receiver.release_to(number);
    drop(receiver);
    assert!(sorted(&mut queue(&name)).is_empty());
}

/// A message of the wrong length has no number, and is released with the message before it.
#[test]
fn invalid_message_is_released_with_its_predecessor() {
    let (_test, name) = start("ahead-invalid");
    let mut receiver = Receiver::options().typed::<u64>().create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    sender.send(b"short").unwrap();
    sender.send(&7u64.to_le_bytes()).unwrap();
    sender.send(b"short").unwrap();
    assert_eq!(why(receiver.try_recv_ahead()), "Corrupt");
    assert_eq!(receiver.try_recv_ahead().unwrap(), (2, 7));
    assert_eq!(why(receiver.try_recv_ahead()), "Corrupt");
    receiver.release_to(2);
    drop(receiver);
    let mut next = Receiver::options().typed::<u64>().create(&*name).unwrap();
    assert_eq!(why(next.try_recv()), "Empty");
}

/// Says the numbers of the messages that it receives, and releases some of them, until it is killed.
pub fn receive_and_release(name: &str) {
    let mut receiver = queue(name);
    let mut released = 0;
    say("ready");
    loop {
        let (number, message) = receiver.recv_ahead().unwrap();
        let message = u64::from_le_bytes(message.try_into().unwrap());
        if number % 7 == 0 {
            receiver.release_to(number - 3);
            released = message.saturating_sub(3);
        }
        if message % 50 == 49 {
            say(&format!("{message} {released}"));
        }
    }
}

/// A receiver that is killed at any moment loses no message: the next receiver begins at the first
/// message that was not released, or at most a few behind the last one that it told of.
#[test]
fn killed_receiver_loses_no_unreleased_message() {
    let (mut test, name) = start("ahead-killed");
    // The senders hold the messages while there is no receiver.
    let mut senders = Vec::new();
    let mut sent = 0u64;
    let mut least = 0;
    for _ in 0..5 {
        let mut child = child(&mut test, "ahead", &[&name]);
        let mut sender = Sender::open(&*name).unwrap();
        for _ in 0..100 {
            sender.send(&sent.to_le_bytes()).unwrap();
            sent += 1;
        }
        let said = child.hear();
        let (message, released) = said.split_once(' ').unwrap();
        assert!(message.parse::<u64>().unwrap() >= least);
        least = released.parse::<u64>().unwrap();
        child.kill();
        senders.push(sender);
    }

    let mut receiver = queue(&name);
    let first = u64::from_le_bytes(receiver.recv().unwrap().try_into().unwrap());
    let mut expected = first;
    receiver
        .drain(|bytes| {
            expected += 1;
            assert_eq!(bytes, expected.to_le_bytes());
        })
        .unwrap();
    assert_eq!(expected, sent - 1, "the last message is still there");
    assert!(first > least.saturating_sub(4), "{first} {least}");
}
