//! Messages that are written and read in place, in shared memory.

use super::*;
use crate::common::start;
use std::io::{Read, Write};
use std::thread::scope;

const KIB: usize = 1 << 10;

fn large(name: &str) -> (Receiver, Sender) {
    let options = Receiver::options().capacity(256 * KIB as u64);
    let receiver = options.create(name).unwrap();
    (receiver, Sender::open(name).unwrap())
}

#[test]
fn claim_contents_match_received_message_reference() {
    let (_test, name) = start("in-place");
    let (mut receiver, mut sender) = large(&name);
    for (n, len) in (0..).zip([0, 1, 7, 8, 63, 64, 65, 1000, 4096, 60_000]) {
        let text: Vec<u8> = (0..len).map(|at| (at * 7 + n) as u8).collect();
        let (first, rest) = text.split_at(len / 3);
        let mut claim = sender.claim(len).unwrap();
        assert_eq!((claim.len(), claim.is_empty()), (len, len == 0));
        match n % 3 {
            0 => {
                claim.write_at(first.len(), rest);
                claim.write_at(0, first);
            }
            1 => {
                claim.write_all(first).unwrap();
                claim.write_all(rest).unwrap();
                // The claim has no more space.
                assert_eq!(claim.write(b"more").unwrap(), 0);
            }
            // SAFETY: this test has no other process or thread that uses the bytes.
            _ => unsafe { claim.as_mut_slice() }.copy_from_slice(&text),
        }
        assert_eq!(why(receiver.try_recv_ref()), "Empty");
        claim.commit().unwrap();

        let mut message = receiver.recv_ref().unwrap();
        assert_eq!((message.len(), message.is_empty()), (len, len == 0));
        assert_eq!(message.to_vec(), text);
        // SAFETY: this test does not write to the message while the slice exists.
        assert_eq!(unsafe { message.as_slice() }, text);
        let mut part = vec![0; rest.len()];
        message.copy_to(first.len(), &mut part);
        assert_eq!(part, rest);
        part.truncate(len / 5);
        message.read_exact(&mut part).unwrap();
        message.read_to_end(&mut part).unwrap();
        assert_eq!(part, text);
        drop(message);
        assert_eq!(why(receiver.try_recv_ref()), "Empty");
    }
}

#[test]
fn mixed_claims_and_sends_keep_order() {
    let (_test, name) = start("both-ways");
    let mut receiver = queue(&name);
    let mut sender = Sender::open(&*name).unwrap();
    let mut numbers = (0..3000).map(|n| message(0, n, LONGEST as usize));
    scope(|scope| {
        scope.spawn(|| {
            for (n, text) in (0..).zip(&mut numbers) {
                if n % 3 == 0 {
                    let mut claim = sender.claim(text.len()).unwrap();
                    claim.write_all(&text).unwrap();
                    claim.commit().unwrap();
                } else {
                    sender.send(&text).unwrap();
                }
            }
        });
        for n in 0..3000 {
            let text = match n % 2 {
                0 => receiver.recv_ref().unwrap().to_vec(),
                _ => receiver.recv().unwrap().to_vec(),
            };
            assert_eq!(whole(&text, LONGEST as usize), (0, n));
        }
    });
}

#[test]
fn dropped_claim_sends_nothing() {
    let (_test, name) = start("dropped");
    let mut receiver = queue(&name);
    let mut sender = Sender::open(&*name).unwrap();
    // So many rounds cover every position in the ring.
    for n in 0..500 {
        {
            let mut claim = sender.claim(LONGEST as usize).unwrap();
            // These bytes look like the commit words of messages.
            claim.write_all(&[0x21; LONGEST as usize]).unwrap();
        }
        assert_eq!(why(receiver.try_recv()), "Empty");
        let text = message(0, n, LONGEST as usize);
        sender.send(&text).unwrap();
        assert_eq!(receiver.try_recv().unwrap(), text);
        assert_eq!(why(receiver.try_recv()), "Empty");
    }
    assert!(sender.claim(LONGEST as usize + 1).is_err());
}

/// A sender that always has messages does not starve another sender.
// layout: L115
#[test]
fn recv_ref_does_not_starve_other_senders() {
    let (_test, name) = start("turns");
    let (mut receiver, mut busy) = large(&name);
    let keep_busy = |busy: &mut Sender| while busy.try_send(&[1; 1016]).is_ok() {};
    keep_busy(&mut busy);
    assert_eq!(receiver.recv_ref().unwrap().len(), 1016);
    let mut other = Sender::open(&*name).unwrap();
    for _ in 0..100 {
        other.send(&[2; 8]).unwrap();
        let mut before = 0;
        while receiver.recv_ref().unwrap().len() != 8 {
            keep_busy(&mut busy);
            before += 1;
            assert!(before <= 10, "the other sender waits too long");
        }
    }
}

#[test]
fn forgotten_batch_leaves_lane_usable() {
    let (_test, name) = start("forgotten");
    let mut receiver = queue(&name);
    let mut sender = Sender::open(&*name).unwrap();
    let mut batch = sender.batch();
    (0..10).for_each(|_| batch.send(&[1; 200]).unwrap());
    std::mem::forget(batch);
    assert_eq!(flood(|| sender.try_claim(200)?.commit()), "Full");
    assert!(
        receiver
            .drain(|bytes| assert_eq!(bytes.len(), 200))
            .unwrap()
            >= 10
    );
    sender.try_send(b"next").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"next");
}

// layout: L114
#[test]
fn referenced_message_is_not_overwritten() {
    let (_test, name) = start("looked-at");
    let mut receiver = queue(&name);
    let mut sender = Sender::open(&*name).unwrap();
    for n in 0..200 {
        let text = message(0, n, LONGEST as usize);
        sender.send(&text).unwrap();
        let looked_at = receiver.recv_ref().unwrap();
        assert_eq!(flood(|| sender.try_send(&[7; 90])), "Full");
        assert_eq!(why(sender.try_claim(LONGEST as usize)), "Full");
        assert_eq!(looked_at.to_vec(), text);
        drop(looked_at);
        receiver.drain(|bytes| assert_eq!(bytes, [7; 90])).unwrap();
        assert!(sender.try_claim(LONGEST as usize).is_ok());
    }
}

#[test]
fn blocked_claim_and_recv_ref_resume() {
    let (_test, name) = start("wakes");
    let me = std::process::id();
    let (mut receiver, mut sender) = large(&name);
    scope(|scope| {
        let waiter = scope.spawn(|| receiver.recv_ref().unwrap().to_vec());
        until_asleep(&name, me);
        sender.claim(3).unwrap().commit().unwrap();
        assert_eq!(waiter.join().unwrap().len(), 3);
    });
    while sender.try_send(&[1; 50 * KIB]).is_ok() {}
    scope(|scope| {
        let waiter = scope.spawn(|| sender.claim(60 * KIB).unwrap().commit().unwrap());
        until_asleep(&name, me);
        while receiver.recv_ref().unwrap().len() != 60 * KIB {}
        waiter.join().unwrap();
    });
    drop(sender);
    assert_eq!(why(receiver.recv_ref()), "Disconnected(Closed)");
}

#[test]
fn killed_sender_leaves_no_uncommitted_claim() {
    let (mut test, name) = start("claims");
    let mut receiver = queue(&name);
    for n in 0..20 {
        let mut dying = child(&mut test, "sender", &[&name, "1"]);
        assert_eq!(ask(&mut dying, "send 5"), "sent");
        assert_eq!(ask(&mut dying, "claim 100"), "claimed");
        dying.kill();
        for number in 0..5 {
            let whose = whole(receiver.recv().unwrap(), LONGEST as usize);
            assert_eq!(whose, (1, number));
        }
        assert_eq!(why(receiver.recv()), "Disconnected(Died)");
        let mut next = Sender::open(&*name).unwrap();
        let text = message(2, n, LONGEST as usize);
        next.send(&text).unwrap();
        assert_eq!(receiver.recv().unwrap(), text);
        drop(next);
        assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
    }
}

#[test]
fn subscriber_receives_only_committed_claims() {
    let (_test, name) = start("topic");
    for how in [Delivery::Lossy, Delivery::Lossless] {
        let mut publisher = topic(&name, how);
        let mut reader = subscriber(&name, Start::New);
        for n in 0..300 {
            let text = message(0, n, LONGEST as usize);
            {
                let mut left = publisher.try_claim(LONGEST as usize).unwrap();
                left.write_all(&[0x21; LONGEST as usize]).unwrap();
            }
            assert_eq!(why(reader.try_recv()), "Empty");
            let mut claim = publisher.claim(text.len()).unwrap();
            claim.write_at(0, &text);
            claim.commit().unwrap();
            assert_eq!(publisher.sent(), n + 1);
            assert_eq!(reader.try_recv().unwrap(), text);
        }
        assert_eq!(reader.missed(), 0);
        if how == Delivery::Lossless {
            let end = flood(|| publisher.try_claim(90)?.commit());
            assert_eq!(end, "Full");
        }
        assert!(publisher.claim(LONGEST as usize + 1).is_err());
    }
}

#[test]
#[should_panic(expected = "beyond the message")]
fn write_beyond_claim_panics() {
    let (_test, name) = start("beyond-claim");
    let (_receiver, mut sender) = large(&name);
    sender.claim(8).unwrap().write_at(1, &[0; 8]);
}

#[test]
#[should_panic(expected = "beyond the message")]
fn copy_beyond_message_panics() {
    let (_test, name) = start("beyond-message");
    let (mut receiver, mut sender) = large(&name);
    sender.send(b"eight...").unwrap();
    let message = receiver.recv_ref().unwrap();
    message.copy_to(usize::MAX, &mut [0; 2]);
}
