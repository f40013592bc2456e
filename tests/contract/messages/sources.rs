//! Senders with a source key: the next one reads the number of the last message.

use super::*;
use crate::common::start;
use shmkit::{Error, ErrorKind, QueueOptions};

const KEY: u64 = 0x5eed;

pub fn open(name: &str, key: u64) -> Result<Sender, Error> {
    Sender::options().source(key).open(name)
}

/// Returns the last number of a key, by a sender that leaves at once.
#[track_caller]
fn last(name: &str, key: u64) -> Option<u64> {
    open(name, key).unwrap().last_number()
}

/// Sends the messages with these numbers, and a message without a number behind each.
fn number(sender: &mut Sender, numbers: std::ops::Range<u64>) {
    for n in numbers {
        sender.send_numbered(n, format!("{n}").as_bytes()).unwrap();
        sender.send(b"plain").unwrap();
        assert_eq!(sender.last_number(), Some(n));
    }
}

fn options(senders: usize) -> QueueOptions {
    Receiver::options()
        .capacity(CAPACITY)
        .max_message(LONGEST)
        .senders(senders)
}

/// Receives everything, and returns the last number among the messages.
fn last_received(receiver: &mut Receiver) -> Option<u64> {
    let mut last = None;
    loop {
        match receiver.try_recv() {
            Ok(b"plain") => {}
            Ok(bytes) => last = Some(str::from_utf8(bytes).unwrap().parse().unwrap()),
            Err(RecvError::Empty | RecvError::Disconnected(_)) => return last,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Plays a sender with a source key.
pub fn serve_source(name: &str, key: u64) {
    let mut sender = open(name, key).unwrap();
    orders(|word, n| match word {
        "last" => say(&format!("{:?}", sender.last_number())),
        "number" => {
            number(&mut sender, n..n + 1);
            say("sent");
        }
        // The batch holds back all but the first messages until it is flushed.
        "batch" => {
            let mut batch = sender.batch();
            (n..n + 3).for_each(|n| batch.send_numbered(n, b"held").unwrap());
            say("held");
            hear();
        }
        other => panic!("no order {other}"),
    });
}

/// Plays a receiver, which receives everything when it is told so.
pub fn serve_sink(name: &str) {
    let mut receiver = options(4).create(name).unwrap();
    orders(|word, _| match word {
        "drain" => say(&format!("{:?}", last_received(&mut receiver))),
        other => panic!("no order {other}"),
    });
}

// layout: L315 L318 L319
#[test]
fn last_number_survives_close_and_kill() {
    let (mut test, name) = start("source-kill");
    let mut receiver = queue(&name);
    assert_eq!(last(&name, KEY), None);
    number(&mut open(&name, KEY).unwrap(), 5..8);
    assert_eq!(last(&name, KEY), Some(7));

    let mut child = child(&mut test, "source", &[&name, &KEY.to_string()]);
    assert_eq!(ask(&mut child, "last"), "Some(7)");
    assert_eq!(ask(&mut child, "number 8"), "sent");
    // Not flushed, so it was never sent.
    assert_eq!(ask(&mut child, "batch 20"), "held");
    child.kill();
    let mut sender = open(&name, KEY).unwrap();
    assert_eq!(sender.last_number(), Some(8));
    // A message without a number stands where the batch was.
    (0..4).for_each(|_| sender.send(b"plain").unwrap());
    drop(sender);
    assert_eq!(last(&name, KEY), Some(8));
    assert_eq!(last(&name, KEY + 1), None);
    assert_eq!(last_received(&mut receiver), Some(8));
    // The number stays after the message was received, and a smaller one may follow.
    let mut sender = open(&name, KEY).unwrap();
    assert_eq!(sender.last_number(), Some(8));
    number(&mut sender, 0..1);
    drop(sender);
    assert_eq!(last(&name, KEY), Some(0));
}

// layout: L317
#[test]
fn second_sender_with_key_is_refused() {
    let (mut test, name) = start("source-second");
    let _receiver = queue(&name);
    let first = open(&name, KEY).unwrap();
    let error = open(&name, KEY).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    let pid = std::process::id();
    assert!(error.to_string().contains(&format!("{pid}")), "{error}");
    let other = open(&name, KEY + 1).unwrap();
    let plain = Sender::open(&*name).unwrap();
    let keys: Vec<_> = others(&name).iter().map(|one| one.source).collect();
    assert_eq!(keys, [Some(KEY), Some(KEY + 1), None]);
    drop((first, plain));

    let child = child(&mut test, "source", &[&name, &KEY.to_string()]);
    assert_eq!(open(&name, KEY).unwrap_err().kind(), ErrorKind::Busy);
    child.kill();
    assert_eq!(open(&name, KEY).unwrap().last_number(), None);
    drop(other);
}

/// The threads of a process open one key again and again: there is never a second sender.
// layout: L317
#[test]
fn racing_senders_share_no_key() {
    let (_test, name) = start("source-race");
    let mut receiver = options(8).create(&*name).unwrap();
    let held = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..40 {
                    match open(&name, KEY) {
                        Ok(mut sender) => {
                            assert_eq!(held.fetch_add(1, SeqCst), 0, "two senders");
                            let next = sender.last_number().map_or(0, |last| last + 1);
                            sender.send_numbered(next, b"next").unwrap();
                            held.fetch_sub(1, SeqCst);
                        }
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
                    }
                }
            });
        }
    });
    let mut count = 0;
    while receiver.try_recv().is_ok() {
        count += 1;
    }
    assert!(count > 0);
    assert_eq!(last(&name, KEY), Some(count - 1));
}

// layout: L315 L316
#[test]
fn numbered_key_keeps_its_slot() {
    let (mut test, name) = start("source-slots");
    let _receiver = options(2).create(&*name).unwrap();
    // A key without a number keeps no slot, also if its sender was killed.
    drop(open(&name, 1).unwrap());
    child(&mut test, "source", &[&name, "2"]).kill();
    let both = [(); 2].map(|()| Sender::open(&*name).unwrap());
    drop(both);

    number(&mut open(&name, KEY).unwrap(), 3..4);
    let mut plain = Sender::open(&*name).unwrap();
    for result in [Sender::open(&*name), open(&name, 1)] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.to_string().contains("1 are reserved"), "{error}");
    }
    assert_eq!(last(&name, KEY), Some(3));
    // Other senders come and go.
    for n in 0..5 {
        plain.send(b"plain").unwrap();
        drop(plain);
        number(&mut open(&name, KEY).unwrap(), n..n + 1);
        plain = Sender::open(&*name).unwrap();
        assert_eq!(last(&name, KEY), Some(n));
    }
    child(&mut test, "source", &[&name, &KEY.to_string()]).kill();
    assert_eq!(last(&name, KEY), Some(4));
}

// layout: L320 L321
#[test]
fn last_number_survives_new_receivers() {
    let (mut test, name) = start("source-restart");
    let sink = child(&mut test, "sink", &[&name]);
    let mut other = Sender::open(&*name).unwrap();
    let mut sender = open(&name, KEY).unwrap();
    number(&mut sender, 0..1);
    number(&mut open(&name, KEY + 1).unwrap(), 100..101);
    sink.kill();

    // The sender goes on in the next generation, and the other key has no sender.
    let mut receiver = options(4).create(&*name).unwrap();
    number(&mut sender, 1..2);
    assert_eq!(open(&name, KEY).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(last(&name, KEY + 1), Some(100));
    drop(sender);
    assert_eq!(last(&name, KEY), Some(1));
    assert_eq!(last_received(&mut receiver), Some(1));
    other.send(b"plain").unwrap();

    receiver.resize(&options(2)).unwrap();
    assert_eq!(last(&name, KEY), Some(1));
    other.send(b"plain").unwrap_err();
    drop(other);
    for (n, count) in [(2, 3), (3, 4), (4, 2)] {
        number(&mut open(&name, KEY).unwrap(), n..n + 1);
        // Some messages are left for the next generation.
        if n == 3 {
            assert_eq!(last_received(&mut receiver), Some(3));
        }
        receiver.resize(&options(count)).unwrap();
        assert_eq!(last(&name, KEY), Some(n));
        assert_eq!(last(&name, KEY + 1), Some(100));
    }
    assert_eq!(last_received(&mut receiver), Some(4));
    assert_eq!(last(&name, KEY), Some(4));
}

/// Receivers are killed and closed in turn, with and without messages that are left.
// layout: L320 L321 L322
#[test]
fn last_number_survives_generations_in_a_row() {
    let (mut test, name) = start("source-row");
    let mut keeper = None::<Sender>;
    for n in 0..8 {
        let mut sink = child(&mut test, "sink", &[&name]);
        match &mut keeper {
            None => keeper = Some(Sender::open(&*name).unwrap()),
            // Reattaches.
            Some(keeper) => keeper.send(b"plain").unwrap(),
        }
        let before = (n > 0).then(|| 10 * n - 9);
        assert_eq!(last(&name, KEY), before, "{n}");
        let mut source = child(&mut test, "source", &[&name, &KEY.to_string()]);
        assert_eq!(ask(&mut source, &format!("number {}", 10 * n + 1)), "sent");
        if n % 3 == 0 {
            let came = ask(&mut sink, "drain");
            assert_eq!(came, format!("Some({})", 10 * n + 1));
        }
        match n % 2 {
            0 => source.kill(),
            _ => assert!(source.finish().success()),
        }
        match n % 4 {
            0 | 1 => sink.kill(),
            _ => assert!(sink.finish().success()),
        }
    }
    let mut receiver = options(4).create(&*name).unwrap();
    assert_eq!(last(&name, KEY), Some(71));
    assert_eq!(last_received(&mut receiver), Some(71));
    assert_eq!(last(&name, KEY), Some(71));
}

/// Receivers copy the number of a sender that has not sent its last message yet.
// layout: L321 L322
#[test]
fn number_in_lane_replaces_earlier_copies() {
    let (_test, name) = start("source-copies");
    let mut receiver = options(4).create(&*name).unwrap();
    let keeper = Sender::open(&*name).unwrap();
    let mut sender = open(&name, KEY).unwrap();
    number(&mut sender, 9..10);
    let mut batch = sender.batch();
    batch.send_numbered(3, b"3").unwrap();
    std::mem::forget(batch);
    for _ in 0..2 {
        drop(receiver);
        receiver = options(4).create(&*name).unwrap();
    }
    // Sends what the batch has held back, to the first receiver.
    drop(sender);
    assert_eq!(last(&name, KEY), Some(3));
    drop(receiver);
    let mut receiver = options(4).create(&*name).unwrap();
    assert_eq!(last(&name, KEY), Some(3));
    assert_eq!(last_received(&mut receiver), Some(3));
    receiver.resize(&options(4)).unwrap();
    assert_eq!(last_received(&mut receiver), None);
    assert_eq!(last(&name, KEY), Some(3));
    drop(keeper);
}

/// The second receiver has copied an earlier number than the one that the third receiver carries.
// layout: L321 L322
#[test]
fn carried_number_replaces_copy_of_predecessor() {
    let (_test, name) = start("source-carried");
    let mut receiver = options(4).create(&*name).unwrap();
    let keeper = Sender::open(&*name).unwrap();
    let mut sender = open(&name, KEY).unwrap();
    number(&mut sender, 9..10);
    let mut batch = sender.batch();
    batch.send_numbered(3, b"3").unwrap();
    std::mem::forget(batch);
    drop(receiver);
    receiver = options(4).create(&*name).unwrap();
    let second_keeper = Sender::open(&*name).unwrap();
    drop(receiver);
    let mut receiver = options(4).create(&*name).unwrap();
    drop((sender, keeper));
    // Closes the first generation, and not the second one.
    assert_eq!(last_received(&mut receiver), Some(3));
    assert_eq!(last(&name, KEY), Some(3));
    receiver.resize(&options(4)).unwrap();
    assert_eq!(last(&name, KEY), Some(3));
    drop(second_keeper);
    assert_eq!(last_received(&mut receiver), None);
    assert_eq!(last(&name, KEY), Some(3));
}

// layout: L321
#[test]
fn receiver_without_slots_for_keys_is_refused() {
    let (_test, name) = start("source-many");
    let mut receiver = options(2).create(&*name).unwrap();
    for key in 1..3 {
        number(&mut open(&name, key).unwrap(), key..key + 1);
    }
    let error = receiver.resize(&options(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!((last(&name, 1), last(&name, 2)), (Some(1), Some(2)));
    let holder = open(&name, 1).unwrap();
    drop(receiver);
    let error = options(1).create(&*name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let mut receiver = options(2).create(&*name).unwrap();
    drop(holder);
    assert_eq!((last(&name, 1), last(&name, 2)), (Some(1), Some(2)));
    assert_eq!(last_received(&mut receiver), Some(2));
}

// layout: L318 L319
#[test]
fn batches_and_claims_have_numbers() {
    let (_test, name) = start("source-batch");
    let mut receiver = Receiver::options().create(&*name).unwrap();
    let mut sender = open(&name, KEY).unwrap();
    let mut batch = sender.batch();
    batch.send_numbered(1, b"1").unwrap();
    batch.send(b"plain").unwrap();
    batch.send_numbered(2, b"2").unwrap();
    batch.flush().unwrap();
    batch.send(b"plain").unwrap();
    batch.send_numbered(3, b"3").unwrap();
    drop(batch);
    assert_eq!(sender.last_number(), Some(3));
    let mut claim = sender.claim(1).unwrap();
    claim.write_at(0, b"4");
    claim.commit_numbered(4).unwrap();
    drop(sender.claim(1).unwrap());
    drop(sender);
    assert_eq!(last(&name, KEY), Some(4));
    assert_eq!(last_received(&mut receiver), Some(4));

    let typed = Sender::options().source(KEY).typed::<u64>();
    assert_eq!(typed.open(&*name).unwrap_err().kind(), ErrorKind::WrongType);
    drop(receiver);
    let mut receiver = Receiver::options().typed::<u64>().create(&*name).unwrap();
    let mut sender = typed.open(&*name).unwrap();
    assert_eq!(sender.last_number(), None, "a queue of another type");
    sender.send_numbered_timeout(9, &17, MOMENT).unwrap();
    sender.try_send_numbered(10, &18).unwrap();
    assert_eq!(sender.last_number(), Some(10));
    assert_eq!(receiver.recv().unwrap(), 17);
}

#[test]
fn number_without_key_is_refused() {
    let (_test, name) = start("source-none");
    let mut receiver = queue(&name);
    assert_eq!(
        open(&name, 0).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    let mut sender = Sender::open(&*name).unwrap();
    assert_eq!(sender.last_number(), None);
    assert_eq!(why(sender.send_numbered(1, b"one")), "NoSource");
    assert_eq!(why(sender.batch().send_numbered(1, b"one")), "NoSource");
    let claim = sender.claim(3).unwrap();
    assert_eq!(why(claim.commit_numbered(1)), "NoSource");
    assert_eq!(why(receiver.try_recv()), "Empty");
    sender.send(b"two").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"two");
}
