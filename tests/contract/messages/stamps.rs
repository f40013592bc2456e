//! Time stamps of messages.

use super::*;
use crate::common::{start, unique};
use std::time::SystemTime;

/// Returns when a message was sent by `send`, which is checked against the clock.
fn between(before: SystemTime, sent_at: Option<SystemTime>) {
    let sent_at = sent_at.expect("a time stamp");
    let now = SystemTime::now();
    assert!(
        before <= sent_at && sent_at <= now,
        "{before:?} {sent_at:?} {now:?}"
    );
}

fn is_stamped(name: &str) -> bool {
    shmkit::inspect::segment_info(name).unwrap().timestamps
}

// layout: L286 L287
#[test]
fn queue_tells_when_messages_were_sent() {
    let (_test, name) = start("stamps-queue");
    let options = Receiver::options().max_message(300).timestamps(true);
    let mut receiver = options.create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    assert!(is_stamped(&name));
    assert_eq!(receiver.sent_at(), None);
    for n in 0..2000usize {
        let message = vec![n as u8; n % 301];
        let before = SystemTime::now();
        let (claimed, before) = match n % 3 {
            0 => (sender.send(&message).unwrap(), before),
            1 => (sender.batch().send(&message).unwrap(), before),
            _ => {
                let mut claim = sender.claim(message.len()).unwrap();
                claim.write_at(0, &message);
                let before = SystemTime::now();
                (claim.commit().unwrap(), before)
            }
        };
        let () = claimed;
        match n % 4 {
            0 => assert_eq!(receiver.recv().unwrap(), message),
            1 => assert_eq!(receiver.try_recv().unwrap(), message),
            2 => {
                let (number, ahead) = receiver.recv_ahead().unwrap();
                assert_eq!(ahead, message);
                receiver.release_to(number);
            }
            _ => {
                let found = receiver.recv_ref().unwrap();
                assert_eq!(found.to_vec(), message);
                between(before, found.sent_at());
                continue;
            }
        }
        between(before, receiver.sent_at());
    }
    // The stamp stays that of the last message.
    let last = receiver.sent_at();
    assert_eq!(why(receiver.try_recv()), "Empty");
    assert_eq!(receiver.sent_at(), last);
}

// layout: L286 L287 L288
#[test]
fn topic_tells_when_messages_were_sent() {
    let (_test, name) = start("stamps-topic");
    let long = Publisher::options().max_message(70_000).keep(3);
    for options in [Publisher::options().max_message(300), long] {
        let mut publisher = options.timestamps(true).create(&*name).unwrap();
        let mut subscriber = Subscriber::open(&*name).unwrap();
        assert_eq!(subscriber.sent_at(), None);
        for n in 0..1000usize {
            let message = vec![n as u8; n % 301];
            let before = SystemTime::now();
            match n % 3 {
                0 => publisher.send(&message).unwrap(),
                1 => publisher.send_all([&message]).unwrap(),
                _ => {
                    let mut claim = publisher.claim(message.len()).unwrap();
                    claim.write_at(0, &message);
                    claim.commit().unwrap();
                }
            }
            assert_eq!(subscriber.recv().unwrap(), message);
            between(before, subscriber.sent_at());
        }
        let mut late = Subscriber::open(&*name).unwrap();
        late.recv().unwrap();
        assert_eq!(late.sent_at(), subscriber.sent_at());
    }
}

// layout: L286
#[test]
fn resize_changes_whether_messages_have_times() {
    let (_test, name) = start("stamps-resize");
    let options = || Receiver::options().max_message(100);
    let mut receiver = options().timestamps(true).create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    sender.send(b"stamped").unwrap();
    receiver.resize(&options()).unwrap();
    assert!(!is_stamped(&name));
    for _ in 0..3 {
        sender.send(b"plain").unwrap();
    }
    assert_eq!(receiver.recv().unwrap(), b"stamped");
    assert!(receiver.sent_at().is_some());
    for _ in 0..3 {
        assert_eq!(receiver.recv().unwrap(), b"plain");
        assert_eq!(receiver.sent_at(), None);
    }
    let before = SystemTime::now();
    receiver.resize(&options().timestamps(true)).unwrap();
    sender.send(b"stamped").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"stamped");
    between(before, receiver.sent_at());

    let options = || Publisher::options().max_message(100);
    let name = unique("stamps-resize-topic");
    let mut publisher = options().create(&*name).unwrap();
    let mut subscriber = Subscriber::open(&*name).unwrap();
    publisher.send(b"plain").unwrap();
    publisher.resize(&options().timestamps(true)).unwrap();
    publisher.send(b"stamped").unwrap();
    assert_eq!(subscriber.recv().unwrap(), b"plain");
    assert_eq!(subscriber.sent_at(), None);
    assert_eq!(subscriber.recv().unwrap(), b"stamped");
    assert!(subscriber.sent_at().is_some());
}

#[test]
fn typed_messages_have_times_too() {
    let (_test, name) = start("stamps-typed");
    let options = Receiver::options().typed::<[u32; 2]>().timestamps(true);
    let mut receiver = options.create(&*name).unwrap();
    let mut sender = Sender::options().typed::<[u32; 2]>().open(&*name).unwrap();
    let before = SystemTime::now();
    sender.send(&[1, 2]).unwrap();
    assert_eq!(receiver.recv().unwrap(), [1, 2]);
    between(before, receiver.sent_at());
}
