//! The contract of queues and topics on every system. The files in `messages` run unchanged on
//! Linux, on Windows and under Wine, and use only the public interface. This file tests what queues
//! and topics have in common: names, sizes, and what `segment_info` reports. The other files in
//! `messages` test the rest.

use crate::common::{is_one_namespace, may_create_global, prefixes, refused, start};
use crate::messages::{
    CAPACITY, LONGEST, ask, child, message, others, queue, subscriber, topic, until_asleep, whole,
    why,
};
use shmkit::ErrorKind::{InvalidArgument, InvalidName, NoSpace, NotFound, WrongKind};
use shmkit::inspect::{Pattern, segment_info};
use shmkit::{
    Delivery, DisconnectReason, Error, Owner, Publisher, Receiver, RecvError, Section, SendError,
    Sender, Start, Subscriber,
};

/// Sends once the thread that runs `wait` sleeps, and returns what that thread received.
fn wakes(wait: impl FnOnce() -> Vec<u8> + Send, name: &str, send: impl FnOnce()) -> Vec<u8> {
    std::thread::scope(|scope| {
        let waiter = scope.spawn(wait);
        until_asleep(name, std::process::id());
        send();
        waiter.join().unwrap()
    })
}

/// Sends a message to a waiting receiver of a queue of that name, and then one to a waiting
/// subscriber of a topic.
fn both_work(name: &str) {
    let mut receiver = Receiver::create(name).unwrap();
    let mut sender = Sender::open(name).unwrap();
    let names = [receiver.name(), sender.name()];
    assert_eq!(names.map(ToString::to_string), [name; 2]);
    let wait = || receiver.recv().unwrap().to_vec();
    let came = wakes(wait, name, || sender.send(b"17 pieces").unwrap());
    assert_eq!(came, b"17 pieces");
    drop((receiver, sender));
    let mut publisher = Publisher::create(name).unwrap();
    let mut subscriber = Subscriber::open(name).unwrap();
    let names = [publisher.name(), subscriber.name()];
    assert_eq!(names.map(ToString::to_string), [name; 2]);
    let wait = || subscriber.recv().unwrap().to_vec();
    let came = wakes(wait, name, || publisher.send(b"101.5").unwrap());
    assert_eq!(came, b"101.5");
}

/// Pads a name to `len` characters. A queue and a topic must both work with the name, or both must
/// refuse it with `InvalidName`.
fn works_or_is_refused(name: &str, len: usize) {
    let name = format!("{name}{}", "x".repeat(len - name.len()));
    match Receiver::create(&*name) {
        Ok(receiver) => {
            drop(receiver);
            both_work(&name);
        }
        Err(error) => {
            assert_eq!(error.kind(), InvalidName, "{error}");
            refused(InvalidName, Publisher::create(&*name));
        }
    }
}

// layout: L013 L014
#[test]
fn queue_and_topic_accept_only_valid_names() {
    let (_test, name) = start("names");
    for prefix in prefixes() {
        both_work(&format!("{prefix}{name}"));
        works_or_is_refused(&format!("{prefix}{name}"), 200);
    }
    both_work(&format!("Local\\{name} $a/b% c~"));
    both_work(&format!("{name}{}", "x".repeat(150 - name.len())));
    for len in (160..=259).step_by(3) {
        works_or_is_refused(&name, len);
    }
    refused(InvalidName, Receiver::create("a\\b"));
    refused(InvalidName, Publisher::create(""));
    refused(InvalidName, Sender::open("a\0b"));
    refused(InvalidName, Subscriber::open("global\\x"));
    refused(InvalidName, segment_info("a\\b"));
}

// layout: L015
#[test]
fn unprefixed_and_local_names_share_one_queue() {
    let (_test, name) = start("scope");
    let local = format!("Local\\{name}");
    let global = format!("Global\\{name}");
    let mut near = Receiver::create(&*name).unwrap();
    Sender::open(&*local).unwrap().send(b"near").unwrap();
    assert_eq!(near.recv().unwrap(), b"near");
    assert_eq!(why(near.recv()), "Disconnected(Closed)");
    if is_one_namespace() {
        drop(Sender::open(&*global).unwrap());
        return;
    }
    refused(NotFound, Sender::open(&*global));
    if may_create_global() {
        let mut far = Publisher::create(&*global).unwrap();
        far.send(b"far").unwrap();
        let mut subscriber = Subscriber::open(&*global).unwrap();
        assert_eq!(subscriber.recv().unwrap(), b"far");
    }
}

// layout: L100
#[test]
fn open_of_other_kind_is_refused() {
    let (_test, name) = start("kind");
    let receiver = queue(&name);
    refused(WrongKind, Subscriber::open(&*name));
    drop(receiver);
    let publisher = topic(&name, Delivery::Lossy);
    refused(WrongKind, Sender::open(&*name));
    drop(publisher);
    for len in [1, 63, 64, 256, 4096, 1 << 20] {
        let section = Section::create_new(&*name, len).unwrap();
        let view = section.map_rw(..).unwrap();
        view.write(
            0,
            &b"Message from first process.".repeat(3)[..len.min(81) as usize],
        )
        .unwrap();
        refused(WrongKind, Sender::open(&*name));
        refused(WrongKind, Subscriber::open(&*name));
        refused(WrongKind, segment_info(&*name));
        let taken = shmkit::ErrorKind::AlreadyExists;
        refused(taken, Receiver::create(&*name));
        refused(taken, Publisher::create(&*name));
    }
    // A section of zero bytes may still become a segment.
    let _section = Section::create_new(&*name, 4096).unwrap();
    let kinds = [
        Sender::open(&*name).err().unwrap().kind(),
        Subscriber::open(&*name).err().unwrap().kind(),
        segment_info(&*name).err().unwrap().kind(),
    ];
    let either = [WrongKind, shmkit::ErrorKind::Busy];
    assert!(kinds.iter().all(|kind| either.contains(kind)), "{kinds:?}");
}

#[track_caller]
fn impossible<T>(created: shmkit::Result<T>) {
    let error: Error = created.err().expect("impossible options must be refused");
    let kinds = [InvalidArgument, NoSpace];
    assert!(kinds.contains(&error.kind()), "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
}

#[test]
fn impossible_queue_and_topic_geometry_is_refused() {
    let (_test, name) = start("odd");
    let huge = [u64::MAX, u64::MAX - 63, 1 << 63, (1 << 63) - 1, 1 << 50];
    // A capacity of 0 is rounded up, and an empty message is valid.
    for none in [
        Receiver::options().capacity(0),
        Receiver::options().max_message(0),
    ] {
        let mut receiver = none.create(&*name).unwrap();
        Sender::open(&*name).unwrap().send(b"").unwrap();
        assert_eq!(receiver.recv().unwrap(), b"");
    }
    for none in [
        Publisher::options().capacity(0),
        Publisher::options().max_message(0),
    ] {
        none.create(&*name).unwrap().send(b"").unwrap();
    }
    for senders in [0, 1024, 1025, usize::MAX] {
        let error = Receiver::options().senders(senders).create(&*name);
        refused(InvalidArgument, error);
    }
    for huge in huge {
        impossible(Receiver::options().capacity(huge).create(&*name));
        impossible(Publisher::options().capacity(huge).create(&*name));
        impossible(Receiver::options().max_message(huge).create(&*name));
        impossible(Publisher::options().max_message(huge).create(&*name));
        let options = Receiver::options().senders(63).capacity(huge);
        impossible(options.max_message(huge).prefault(true).create(&*name));
    }
    // The refused attempts left nothing behind.
    refused(NotFound, segment_info(&*name));
    drop(queue(&name));
}

#[test]
fn capacity_rises_to_fit_max_message() {
    let (_test, name) = start("raise");
    let sizes = [
        (1, 1),
        (1, 57),
        (64, 56),
        (4096, 1016),
        (4096, 1017),
        (5000, 10),
        (4096, 10_000),
        (1, 1 << 20),
    ];
    for (capacity, max) in sizes {
        let options = Receiver::options().capacity(capacity).max_message(max);
        let mut receiver = options.senders(2).prefault(true).create(&*name).unwrap();
        let info = segment_info(&*name).unwrap();
        let needed = 4 * (max + 8).next_multiple_of(64);
        // At least one page.
        let least = capacity.max(needed).max(4096);
        assert_eq!(info.capacity, least.next_power_of_two());
        let max = max as usize;
        let mut sender = Sender::open(&*name).unwrap();
        let seen = [receiver.max_message(), sender.max_message()];
        assert_eq!((seen, info.max_message), ([max; 2], max));
        let long = vec![9; max + 1];
        assert!(matches!(
            sender.try_send(&long),
            Err(SendError::TooLong { .. })
        ));
        for _ in 0..3 {
            sender.try_send(&long[1..]).unwrap();
        }
        assert_eq!(receiver.recv().unwrap(), &long[1..]);
        drop((receiver, sender));
        let options = Publisher::options().capacity(capacity);
        let options = options.max_message(max as u64).prefault(true);
        let mut publisher = options.delivery(Delivery::Lossless).create(&*name).unwrap();
        let shown = segment_info(&*name).unwrap();
        assert_eq!((shown.capacity, shown.max_message), (info.capacity, max));
        let mut subscriber = Subscriber::open(&*name).unwrap();
        for _ in 0..50 {
            publisher.try_send(&long[1..]).unwrap();
            assert_eq!(subscriber.recv().unwrap(), &long[1..]);
        }
        assert!(matches!(
            publisher.send(&long),
            Err(SendError::TooLong { .. })
        ));
    }
}

#[test]
fn parallel_queues_and_topics_stay_separate() {
    let (_test, name) = start("beside");
    let names = ["a", "b", "c", "d"].map(|end| format!("{name}-{end}"));
    let mut receivers = [0, 1].map(|i| queue(&names[i]));
    let mut publishers = [2, 3].map(|i| topic(&names[i], Delivery::Lossy));
    let mut senders = [0, 1].map(|i| Sender::open(&*names[i]).unwrap());
    let mut subscribers = [2, 3].map(|i| Subscriber::open(&*names[i]).unwrap());
    for n in 0..1000 {
        for i in 0..2 {
            senders[i].send(&message(i as u64, n, 200)).unwrap();
            publishers[i].send(&message(2 + i as u64, n, 200)).unwrap();
        }
        for i in 0..2 {
            let received = receivers[i].recv().unwrap();
            assert_eq!(whole(received, 200), (i as u64, n));
            let received = subscribers[i].recv().unwrap();
            assert_eq!(whole(received, 200), (2 + i as u64, n));
        }
    }
}

#[test]
fn endpoints_work_after_moving_to_another_thread() {
    fn moves<T: Send + 'static>(end: T, work: impl FnOnce(&mut T) + Send + 'static) -> T {
        let mut end = end;
        let thread = std::thread::spawn(move || {
            work(&mut end);
            end
        });
        thread.join().unwrap()
    }
    let (_test, name) = start("moves");
    let receiver = queue(&name);
    let sender = Sender::open(&*name).unwrap();
    let sender = moves(sender, |sender| sender.send(b"word").unwrap());
    let receiver = moves(receiver, |end| assert_eq!(end.recv().unwrap(), b"word"));
    moves(sender, |sender| sender.send(b"again").unwrap());
    moves(receiver, |end| assert_eq!(end.recv().unwrap(), b"again"));
    let topic = topic(&name, Delivery::Lossless);
    let subscriber = Subscriber::open(&*name).unwrap();
    let topic = moves(topic, |topic| topic.send(b"word").unwrap());
    let subscriber = moves(subscriber, |end| assert_eq!(end.recv().unwrap(), b"word"));
    drop(moves(topic, |topic| topic.send(b"again").unwrap()));
    moves(subscriber, |end| assert_eq!(end.recv().unwrap(), b"again"));
}

// layout: L202
#[test]
fn sender_and_subscriber_check_expected_owner() {
    let (_test, name) = start("owner");
    let services = || Owner::Account("S-1-5-18".into());
    let options = Sender::options().expect_owner(Owner::Me);
    let _receiver = queue(&name);
    options.open(&*name).unwrap();
    let error = Sender::options().expect_owner(services()).open(&*name);
    assert_ne!(error.err().unwrap().kind(), NotFound);
    let name = name + "-topic";
    let _topic = topic(&name, Delivery::Lossy);
    let options = Subscriber::options().expect_owner(Owner::Me);
    options.open(&*name).unwrap();
    let options = Subscriber::options().expect_owner(services());
    assert_ne!(options.open(&*name).err().unwrap().kind(), NotFound);
}

#[test]
fn send_and_recv_errors_display_their_cause() {
    let line = |text: String| assert_eq!(text.lines().count(), 1, "{text}");
    for how in [DisconnectReason::Closed, DisconnectReason::Died] {
        let (sent, received) = (SendError::Disconnected(how), RecvError::Disconnected(how));
        assert!(sent.to_string().contains(&how.to_string()));
        assert!(received.to_string().contains(&how.to_string()));
    }
    assert!(RecvError::Lagged(7).to_string().contains('7'));
    let (len, max) = (300, 200);
    let long = SendError::TooLong { len, max }.to_string();
    assert!(long.contains("300") && long.contains("200"), "{long}");
    line(SendError::Full.to_string());
    line(SendError::Timeout.to_string());
    line(RecvError::Empty.to_string());
    line(RecvError::Timeout.to_string());
    line(RecvError::Corrupt.to_string());
}

#[test]
fn segment_info_reports_queue_state() {
    let (mut test, name) = start("queue-info");
    let options = Receiver::options().capacity(CAPACITY).senders(5);
    let mut receiver = options.max_message(LONGEST).create(&*name).unwrap();
    let info = segment_info(&*name).unwrap();
    assert_eq!((info.pattern, info.lossless), (Pattern::Queue, true));
    assert_eq!((info.max_message, info.lanes), (200, 5));
    assert_eq!((info.capacity, info.closed), (CAPACITY, false));
    let me = std::process::id();
    assert_eq!((info.owner.pid, info.owner.alive), (me, Some(true)));
    assert!(info.owner.identity.unwrap().is_alive().unwrap());
    assert!(!info.owner.asleep && info.others.unwrap().is_empty());
    let mut child = child(&mut test, "sender", &[&name, "1"]);
    assert_eq!(ask(&mut child, "send 7"), "sent");
    let mut sender = Sender::open(&*name).unwrap();
    (0..3).for_each(|n| sender.send(&message(0, n, 200)).unwrap());
    let mut from_me = 0;
    for _ in 0..5 {
        from_me += u64::from(whole(receiver.recv().unwrap(), 200).0 == 0);
    }
    let mut seen: Vec<_> = others(&name)
        .into_iter()
        .map(|one| (one.pid == me, one.alive, one.sent, one.received, one.asleep))
        .collect();
    seen.sort();
    let yes = Some(true);
    let theirs = (false, yes, 7, 5 - from_me, false);
    assert_eq!(seen, [theirs, (true, yes, 3, from_me, false)]);
    assert_eq!(segment_info(&*name).unwrap().owner.received, 5);
    let dead = child.id();
    child.kill();
    let all = others(&name);
    let dead_one = all.iter().find(|one| one.pid == dead).unwrap();
    assert_eq!((dead_one.alive, dead_one.sent), (Some(false), 7));
    let n = receiver.drain(|_| {}).unwrap();
    assert_eq!(n, 5);
    assert_eq!(segment_info(&*name).unwrap().owner.received, 10);
    drop(sender);
    assert!(matches!(receiver.recv(), Err(RecvError::Disconnected(_))));
    assert!(others(&name).is_empty());
    let waiter = std::thread::spawn(move || why(receiver.recv()));
    until_asleep(&name, me);
    drop(Sender::open(&*name).unwrap());
    assert!(waiter.join().unwrap().starts_with("Disconnected"));
}

#[test]
fn segment_info_reports_topic_state() {
    let (mut test, name) = start("topic-info");
    let me = std::process::id();
    for delivery in [Delivery::Lossy, Delivery::Lossless] {
        let mut publisher = topic(&name, delivery);
        let info = segment_info(&*name).unwrap();
        assert_eq!(info.pattern, Pattern::Topic);
        assert_eq!(info.lossless, delivery == Delivery::Lossless);
        assert_eq!((info.max_message, info.closed), (200, false));
        assert_eq!((info.capacity, info.owner.pid), (CAPACITY, me));
        assert!(info.others.unwrap().is_empty());
        let mut child = child(&mut test, "subscriber", &[&name, "new"]);
        let mut own = subscriber(&name, Start::New);
        (0..9).for_each(|n| publisher.send(&message(0, n, 200)).unwrap());
        assert_eq!(ask(&mut child, "take 4"), "taken");
        (0..2).for_each(|_| assert!(own.recv().is_ok()));
        let owner = segment_info(&*name).unwrap().owner;
        assert_eq!((owner.alive, owner.sent), (Some(true), 9));
        let received = |mine| {
            let all = others(&name);
            assert_eq!(all.len(), 2);
            let one = all.iter().find(|one| (one.pid == me) == mine).unwrap();
            (one.alive, one.received, one.missed, one.asleep)
        };
        assert_eq!(received(true), (Some(true), 2, 0, false));
        assert_eq!(received(false), (Some(true), 4, 0, false));
        assert_eq!(ask(&mut child, "all"), "taking");
        until_asleep(&name, child.id());
        child.kill();
        assert_eq!(received(false).0, Some(false));
        (9..200).for_each(|n| {
            publisher.send(&message(0, n, 200)).unwrap();
            while own.behind() > 0 && delivery == Delivery::Lossless {
                own.recv().unwrap();
            }
        });
        while own.behind() > 0 {
            assert!(own.try_recv().is_ok() || own.missed() > 0);
        }
        let all = others(&name);
        let mine = all.iter().find(|one| one.pid == me).unwrap();
        assert_eq!(mine.received + mine.missed, 200);
        assert_eq!(mine.missed, own.missed());
        drop(publisher);
    }
}

#[test]
fn participants_have_the_identity_of_their_process() {
    let (mut test, name) = start("roles");
    let receiver = Receiver::create(&*name).unwrap();
    let child = child(&mut test, "sender", &[&name, "0"]);
    let info = segment_info(&*name).unwrap();
    let me = shmkit::ProcessIdentity::current().unwrap();
    assert_eq!(info.owner.identity, Some(me));
    assert_eq!(info.generation, receiver.generation());
    let other = &others(&name)[0];
    let identity = shmkit::ProcessIdentity::of(child.id()).unwrap();
    assert_eq!(other.identity, Some(identity));
    assert!(identity.image().unwrap().contains("message_contract"));
    let age = identity.started().unwrap().elapsed().unwrap_or_default();
    assert!(age.as_secs() < 3600, "{age:?}");
    let pid = child.id();
    child.kill();
    // The dead sender is listed until the receiver checks.
    let dead = others(&name);
    assert_eq!(
        (dead[0].pid, dead[0].alive, dead[0].identity),
        (pid, Some(false), None)
    );
}
