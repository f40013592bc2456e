//! The longest message that a queue, a topic or a server can have.

use super::*;
use crate::common::{refused, start};
use shmkit::ErrorKind::InvalidArgument;
use shmkit::Server;

const LONGEST: u64 = (1 << 30) - 64;

// layout: L174
#[test]
fn message_has_at_most_1073741760_bytes() {
    let (_test, name) = start("longest");
    let queue = || Receiver::options().senders(1);
    let topic = Publisher::options().max_message(LONGEST + 1);
    refused(InvalidArgument, topic.create(&*name));
    let server = Server::options().max_message(LONGEST + 1).in_flight(1);
    refused(InvalidArgument, server.create(&*name));
    refused(
        InvalidArgument,
        queue().max_message(LONGEST + 1).create(&*name),
    );
    refused(
        InvalidArgument,
        queue().capacity((4 << 30) + 1).create(&*name),
    );

    // No lane has memory before a sender opens the queue.
    let receiver = queue().max_message(LONGEST).create(&*name).unwrap();
    assert_eq!(receiver.max_message() as u64, LONGEST);
}

/// The lane takes 4 GiB, and each of the two programs has a message of its own.
#[test]
#[ignore = "takes 6 GiB of memory: ci/full sizes"]
fn longest_messages_arrive_whole() {
    let (_test, name) = start("longest-whole");
    let options = Receiver::options().senders(1).max_message(LONGEST);
    let mut receiver = options.create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    for n in 0..6u8 {
        // The messages do not divide the ring evenly, so that some lie behind a pad.
        let message = vec![n; LONGEST as usize - usize::from(n) * 1000];
        sender.send(&message).unwrap();
        assert!(receiver.recv().unwrap() == message, "message {n}");
    }
    let long = vec![0; LONGEST as usize + 1];
    assert!(why(sender.try_send(&long)).starts_with("TooLong"));
}
