//! The roles of children: victims, which act between two breakpoints, and owners, which die before
//! the victim acts.

use crate::common::{hear, say};
use crate::ptrace::perform;
use crate::walk::{message, number};
use crate::{calls, first, queue, sources, topic, values};
use shmkit::{Publisher, Reader, Receiver, Sender, Subscriber};

pub fn play(role: &str, args: &[&str]) {
    match (role, args) {
        ("victim", [what, name]) => die(what, name),
        ("owner", [what, name]) => own(what, name),
        other => panic!("no role {other:?}"),
    }
}

fn die(what: &str, name: &str) {
    let (subject, act) = what.split_once(": ").unwrap();
    match subject {
        "sender" => sender(act, name),
        "source" => source(act, name),
        "receiver" => receiver(act, name),
        "publisher" => publisher(act, name),
        "guest" => guest(act, name),
        "subscriber" => subscriber(act, name),
        "writer" => writer(act, name),
        "reader" => reader(act, name),
        "client" => calls::client(act, name),
        "server" => calls::server(act, name),
        other => panic!("no {other}"),
    }
}

/// Returns a sender that has sent `count` messages.
fn sent(name: &str, count: u64) -> Sender {
    let mut sender = Sender::open(name).unwrap();
    (0..count).for_each(|n| sender.send(&message(n, 48)).unwrap());
    sender
}

fn sender(act: &str, name: &str) {
    let some = queue::SENT;
    let send = |len: usize| {
        let mut sender = sent(name, some);
        let next = message(some, len);
        perform(|| (), || sender.send(&next).unwrap());
    };
    match act {
        "open" => perform(|| (), || Sender::open(name).unwrap()),
        "create first" | "create after a dead receiver" => {
            let act = || {
                let mut sender = first::sender(name);
                sender.send(&message(first::FIRST, 48)).unwrap();
                sender
            };
            perform(|| (), act);
        }
        "send" | "send to one that sleeps" => send(48),
        "send 5000 bytes" => send(5000),
        "send around the end" => {
            let mut sender = sent(name, queue::AROUND);
            let next = message(queue::AROUND, 100);
            perform(|| (), || sender.send(&next).unwrap());
        }
        // Behind the new message the ring has messages of the lap before.
        "send in the second lap" => {
            let mut sender = Sender::open(name).unwrap();
            (0..queue::LAP).for_each(|n| sender.send(&message(n, 20)).unwrap());
            let sender = std::cell::RefCell::new(sender);
            let [last, next] = [0, 1].map(|n| message(queue::LAP + n, 20));
            let prepare = || sender.borrow_mut().send(&last).unwrap();
            perform(prepare, || sender.borrow_mut().send(&next).unwrap());
        }
        "claim and commit" => {
            let mut sender = sent(name, some);
            let act = || {
                let mut claim = sender.claim(100).unwrap();
                claim.write_at(0, &message(some, 100));
                claim.commit().unwrap();
            };
            perform(|| (), act);
        }
        "send a batch" => {
            let mut sender = sent(name, some);
            let all = [0, 1, 2].map(|n| message(some + n, 48));
            perform(|| (), || sender.send_all(&all).unwrap());
        }
        "close" => {
            let sender = sent(name, some);
            perform(|| (), || drop(sender));
        }
        other => panic!("no {other}"),
    }
}

/// A sender with a source key, whose messages have their numbers as source numbers.
fn source(act: &str, name: &str) {
    let some = queue::SENT;
    let sent = || {
        let mut sender = sources::open(name);
        (0..some).for_each(|n| sources::give(&mut sender, n));
        sender
    };
    match act {
        "open" => perform(|| (), || sources::open(name)),
        "send" => {
            let mut sender = sent();
            let next = message(some, 48);
            perform(|| (), || sender.send_numbered(some, &next).unwrap());
        }
        "claim and commit" => {
            let mut sender = sent();
            let act = || {
                let mut claim = sender.claim(100).unwrap();
                claim.write_at(0, &message(some, 100));
                claim.commit_numbered(some).unwrap();
            };
            perform(|| (), act);
        }
        "send a batch" => {
            let mut sender = sent();
            let all = [0, 1, 2].map(|n| message(some + n, 48));
            let act = || {
                let mut batch = sender.batch();
                for (n, next) in (some..).zip(&all) {
                    batch.send_numbered(n, next).unwrap();
                }
            };
            perform(|| (), act);
        }
        // The receiver is resized before.
        "reattach" => {
            let mut sender = sent();
            perform(|| (), || sources::give(&mut sender, some));
        }
        "close" => {
            let sender = sent();
            perform(|| (), || drop(sender));
        }
        other => panic!("no {other}"),
    }
}

fn receive(receiver: &mut Receiver, count: u64) {
    (0..count).for_each(|_| {
        number(receiver.recv().unwrap());
    });
}

fn receiver(act: &str, name: &str) {
    let options = queue::options();
    let create = || options.create(name).unwrap();
    match act {
        "create" => perform(|| (), create),
        "take a waiting queue" => {
            let act = || {
                let mut receiver = options.open_or_create(name).unwrap();
                receive(&mut receiver, 1);
                receiver
            };
            perform(|| (), act);
        }
        "take over" => {
            let act = || {
                let mut receiver = create();
                receive(&mut receiver, 1);
                receiver
            };
            perform(|| (), act);
        }
        "recv" => {
            let receiver = std::cell::RefCell::new(create());
            let prepare = || receive(&mut receiver.borrow_mut(), 1);
            perform(prepare, || receiver.borrow_mut().recv().unwrap().len());
        }
        // The lane is full, and the receiver gives back an eighth of the lane at a time.
        "recv, and wake a sender" => {
            let receiver = std::cell::RefCell::new(create());
            let receive = |count| receive(&mut receiver.borrow_mut(), count);
            perform(|| receive(7), || receive(2));
        }
        "resize" => {
            let mut receiver = create();
            let larger = queue::options().capacity(8192);
            perform(|| (), || receiver.resize(&larger).unwrap());
        }
        "close" => {
            let receiver = create();
            perform(|| (), || drop(receiver));
        }
        other => panic!("no {other}"),
    }
}

fn publish(publisher: &mut Publisher, numbers: std::ops::Range<u64>) {
    numbers.for_each(|n| publisher.send(&message(n, 48)).unwrap());
}

fn publisher(act: &str, name: &str) {
    let create = || topic::options().create(name).unwrap();
    match act {
        "create" => perform(|| (), create),
        "take a waiting topic" => {
            let act = || {
                let mut publisher = topic::options().open_or_create(name).unwrap();
                publish(&mut publisher, first::FIRST..first::FIRST + 1);
                publisher
            };
            perform(|| (), act);
        }
        "take over" => {
            let act = || {
                let mut publisher = create();
                publish(&mut publisher, topic::LATER..topic::LATER + 1);
                publisher
            };
            perform(|| (), act);
        }
        // The ninth message takes the next eighth of the ring.
        "publish" | "publish into the next eighth" | "publish, lossy" | "publish, long ring" => {
            let (first, end) = match act {
                "publish into the next eighth" => (7, 9),
                _ => (3, 4),
            };
            let mut publisher = match act {
                "publish, lossy" => topic::lossy().create(name).unwrap(),
                "publish, long ring" => topic::frames().create(name).unwrap(),
                _ => create(),
            };
            publish(&mut publisher, 0..first);
            perform(|| (), || publish(&mut publisher, first..end));
        }
        "resize" => {
            let mut publisher = create();
            publish(&mut publisher, 0..3);
            let larger = topic::options().capacity(8192);
            perform(|| (), || publisher.resize(&larger).unwrap());
        }
        "close" => {
            let mut publisher = create();
            publish(&mut publisher, 0..3);
            perform(|| (), || drop(publisher));
        }
        other => panic!("no {other}"),
    }
}

/// A publisher that opens the topic of another one.
fn guest(act: &str, name: &str) {
    let open = || Publisher::open(name).unwrap();
    match act {
        "open and publish" | "take a lane over" => {
            let act = || {
                let mut guest = open();
                publish(&mut guest, 0..1);
                guest
            };
            perform(|| (), act);
        }
        // The ninth message takes the next eighth of the ring.
        "publish" | "publish into the next eighth" => {
            let (first, end) = match act {
                "publish" => (3, 4),
                _ => (7, 9),
            };
            let mut guest = open();
            publish(&mut guest, 0..first);
            perform(|| (), || publish(&mut guest, first..end));
        }
        "reattach" => {
            let mut guest = open();
            publish(&mut guest, 0..3);
            perform(|| (), || publish(&mut guest, 3..4));
        }
        "close" => {
            let mut guest = open();
            publish(&mut guest, 0..3);
            perform(|| (), || drop(guest));
        }
        other => panic!("no {other}"),
    }
}

fn take(subscriber: &mut Subscriber, count: u64) {
    (0..count).for_each(|_| {
        number(subscriber.recv().unwrap());
    });
}

fn subscriber(act: &str, name: &str) {
    let open = || topic::from_the_oldest(name);
    match act {
        "create first" => perform(|| (), || first::subscriber(name)),
        "subscribe" => {
            let act = || {
                let mut subscriber = open();
                take(&mut subscriber, 1);
                subscriber
            };
            perform(|| (), act);
        }
        // Gives back an eighth of the ring, for which the publisher waits.
        "recv in place" => {
            let subscriber = std::cell::RefCell::new(open());
            let act = || {
                let mut subscriber = subscriber.borrow_mut();
                (0..2).for_each(|_| {
                    number(&subscriber.recv_ref().unwrap().to_vec().unwrap());
                });
            };
            perform(|| take(&mut subscriber.borrow_mut(), 7), act);
        }
        "recv, and wake the publisher" => {
            let subscriber = std::cell::RefCell::new(open());
            let take = |count| take(&mut subscriber.borrow_mut(), count);
            perform(|| take(7), || take(2));
        }
        "close" => {
            let subscriber = open();
            perform(|| (), || drop(subscriber));
        }
        other => panic!("no {other}"),
    }
}

fn writer(act: &str, name: &str) {
    let create = || values::options().create(name).unwrap();
    match act {
        "create" => perform(|| (), create),
        "take over" => {
            let act = || {
                let mut writer = create();
                writer.set(&values::value(4)).unwrap();
                writer
            };
            perform(|| (), act);
        }
        "store" | "store, and wake a reader" => {
            let mut writer = create();
            (1..4).for_each(|n| writer.set(&values::value(n)).unwrap());
            let next = values::value(4);
            perform(|| (), || writer.set(&next).unwrap());
        }
        "resize" => {
            let mut writer = create();
            (1..4).for_each(|n| writer.set(&values::value(n)).unwrap());
            let larger = values::options().max_value(200);
            perform(|| (), || writer.resize(&larger).unwrap());
        }
        "close" => {
            let mut writer = create();
            (1..4).for_each(|n| writer.set(&values::value(n)).unwrap());
            perform(|| (), || drop(writer));
        }
        other => panic!("no {other}"),
    }
}

fn reader(act: &str, name: &str) {
    let open = || Reader::open(name).unwrap();
    match act {
        "open" => perform(|| (), open),
        "load" => {
            let mut reader = open();
            perform(|| (), || reader.get().unwrap().len());
        }
        "hold" | "take a dead guard" => {
            let mut reader = open();
            perform(|| (), || reader.get_ref().unwrap().len());
        }
        "close" => {
            let reader = open();
            perform(|| (), || drop(reader));
        }
        other => panic!("no {other}"),
    }
}

/// Plays an owner before its death: it creates the segment, and uses it when the parent tells it
/// to.
fn own(what: &str, name: &str) {
    let go = || {
        say("ready");
        hear();
    };
    let done = || {
        say("done");
        hear();
    };
    match what {
        "queue" => {
            let mut receiver = queue::options().create(name).unwrap();
            go();
            receive(&mut receiver, 2);
            done();
        }
        "topic" => {
            let mut publisher = topic::options().create(name).unwrap();
            go();
            publish(&mut publisher, 0..5);
            done();
        }
        "values" => {
            let mut writer = values::options().create(name).unwrap();
            (1..4).for_each(|n| writer.set(&values::value(n)).unwrap());
            go();
            done();
        }
        "holder" => {
            let mut reader = Reader::open(name).unwrap();
            let _held = reader.get_ref().unwrap();
            go();
            done();
        }
        "calls" => {
            let _server = calls::options().create(name).unwrap();
            go();
            done();
        }
        other => panic!("no {other}"),
    }
}
