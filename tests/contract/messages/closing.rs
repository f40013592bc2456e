//! What an endpoint does when it goes: what it holds back is sent.

use crate::common::start;
use shmkit::{Receiver, RecvError, Sender};

// layout: L069 L105
#[test]
fn forgotten_batch_is_sent_when_its_sender_goes() {
    let (_test, name) = start("closing-batch");
    let mut receiver = Receiver::create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    let mut batch = sender.batch();
    batch.send(b"first").unwrap();
    batch.send(b"second").unwrap();
    std::mem::forget(batch);
    drop(sender);
    assert_eq!(receiver.try_recv().unwrap(), b"first");
    assert_eq!(receiver.recv().unwrap(), b"second");
    assert!(matches!(receiver.recv(), Err(RecvError::Disconnected(_))));
}

// layout: L069
#[test]
fn forgotten_batch_is_sent_before_its_sender_reattaches() {
    let (_test, name) = start("closing-reattach");
    let mut receiver = Receiver::create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    let mut batch = sender.batch();
    batch.send(b"first").unwrap();
    std::mem::forget(batch);
    receiver.resize(&Receiver::options()).unwrap();
    sender.send(b"second").unwrap();
    assert_eq!(sender.generation(), 2);
    assert_eq!(receiver.recv().unwrap(), b"first");
    assert_eq!(receiver.recv().unwrap(), b"second");
}
