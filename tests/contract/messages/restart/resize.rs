//! Another geometry while endpoints are in use.

use super::*;

// layout: L157 L161 L164
#[test]
fn resize_under_sending_loses_no_messages() {
    const EACH: u64 = 3000;
    let (_test, name) = start("resize");
    let mut receiver = queue(&name);
    let max = LONGEST as usize;
    let mut inbox = Inbox::new(max);
    let senders = [0, 1, 2].map(|from| (from, Sender::open(&*name).unwrap()));
    scope(|scope| {
        for (from, mut sender) in senders {
            scope.spawn(move || {
                (0..EACH).for_each(|n| sender.send(&message(from, n, max)).unwrap());
            });
        }
        while inbox.all() < 3 * EACH {
            inbox.take(receiver.recv().unwrap());
            if inbox.all().is_multiple_of(500) {
                let capacity = CAPACITY << (inbox.all() / 500 % 4);
                let options = Receiver::options().max_message(LONGEST).senders(5);
                receiver.resize(&options.capacity(capacity)).unwrap();
            }
        }
    });
    assert_eq!(receiver.generation(), 18 + 1);
    assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
    are_there(&name, 19..=19);
}

#[test]
fn shrinking_resize_fails_blocked_long_send() {
    let (_test, name) = start("shrink");
    for longer in [1000, 100_000] {
        let options = Receiver::options().capacity(CAPACITY);
        let mut receiver = options.clone().max_message(longer).create(&*name).unwrap();
        // A queue that had no sender yet reports no disconnect, before and after a resize.
        assert_eq!(why(receiver.recv_timeout(MOMENT)), "Timeout");
        receiver
            .resize(&options.clone().max_message(longer))
            .unwrap();
        assert_eq!(why(receiver.recv_timeout(MOMENT)), "Timeout");
        let mut sender = Sender::open(&*name).unwrap();
        let long = vec![1; longer as usize];
        let mut sent = 0;
        while sender.try_send(&long).is_ok() {
            sent += 1;
        }
        scope(|scope| {
            let waiter = scope.spawn(|| why(sender.send(&long)));
            until_asleep(&name, std::process::id());
            receiver
                .resize(&options.clone().max_message(LONGEST))
                .unwrap();
            assert!(waiter.join().unwrap().starts_with("TooLong"));
        });
        sender.send(b"short").unwrap();
        (0..sent).for_each(|_| assert_eq!(receiver.recv().unwrap(), long));
        assert_eq!(receiver.recv().unwrap(), b"short");
        drop(sender);
        assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
    }
}
