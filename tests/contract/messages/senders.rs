//! Which process has sent a message or a request.

use super::*;
use crate::common::start;
use shmkit::{ProcessIdentity, Server};

/// Takes the next message, and returns the process that has sent it.
fn next_sender(receiver: &mut Receiver) -> Option<ProcessIdentity> {
    receiver.recv_ref().unwrap().sender()
}

// layout: L251
#[test]
fn message_tells_the_process_that_sent_it() {
    let (mut test, name) = start("who-sent");
    let options = Receiver::options().senders(1);
    let mut receiver = options.create(&*name).unwrap();
    let mut sender = child(&mut test, "sender", &[&name, "1"]);
    assert_eq!(ask(&mut sender, "send 3"), "sent");
    let theirs = next_sender(&mut receiver).unwrap();
    assert_eq!(theirs.pid(), sender.id());
    assert!(theirs.is_alive().unwrap());
    let me = ProcessIdentity::current().unwrap();
    assert_eq!(theirs.user(), me.user());
    assert!(me.user().is_some());
    // The child may be the program of another width.
    if std::env::var_os("SHMKIT_TEST_CHILD").is_none() {
        assert_eq!(theirs.image(), me.image());
    }

    // A sender that has gone, also if another one has its lane now.
    sender.kill();
    eventually("the death is noticed", || Sender::open(&*name).is_ok());
    assert_eq!(next_sender(&mut receiver), None);
    let mut next = Sender::open(&*name).unwrap();
    next.send(b"next").unwrap();
    assert_eq!(next_sender(&mut receiver), None);
    assert_eq!(next_sender(&mut receiver), Some(me));
    assert_eq!((theirs.user(), theirs.image()), (None, None));
}

/// A typed receiver gets the value and its sender by one reference.
// layout: L042 L251
#[test]
fn typed_message_tells_value_and_sender() {
    let (_test, name) = start("who-sent-value");
    let mut receiver = Receiver::options().typed::<u64>().create(&*name).unwrap();
    let mut sender = Sender::options().typed::<u64>().open(&*name).unwrap();
    sender.send(&7).unwrap();
    let message = receiver.recv_ref().unwrap();
    let me = ProcessIdentity::current().unwrap();
    assert_eq!((message.value(), message.sender()), (7, Some(me)));
    drop(message);

    // A message of another length is passed over.
    let mut untyped = Sender::open(&*name).unwrap();
    untyped.send(b"short").unwrap();
    untyped.send(&8_u64.to_ne_bytes()).unwrap();
    assert!(matches!(receiver.recv_ref(), Err(RecvError::Corrupt)));
    assert_eq!(receiver.try_recv_ref().unwrap().value(), 8);
    assert!(matches!(receiver.try_recv_ref(), Err(RecvError::Empty)));
}

// layout: L251
#[test]
fn request_tells_the_process_of_its_client() {
    let (mut test, name) = start("who-called");
    let options = Server::options().max_message(LONGEST).clients(1);
    let mut server = options.create(&*name).unwrap();
    let mut client = child(&mut test, "caller", &[&name, "1"]);
    assert_eq!(ask(&mut client, "send 2"), "sent");
    let request = server.recv().unwrap();
    assert_eq!(request.peer().unwrap().pid(), client.id());
    client.kill();
    let mut next = None;
    eventually("the slot is free", || {
        next = shmkit::Client::open(&*name).ok();
        next.is_some()
    });
    assert_eq!(request.peer(), None);
    drop(request);
    let mut next = next.unwrap();
    let call = next.send(b"?").unwrap();
    let request = server.recv().unwrap();
    assert_eq!(request.peer(), Some(ProcessIdentity::current().unwrap()));
    request.respond(b"!").unwrap();
    assert_eq!(next.recv(&call).unwrap(), b"!");
}
