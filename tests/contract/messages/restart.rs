//! Owners that are replaced: after a death, after a close, with another geometry, and by `resize`.
//! The other participants stay attached, and continue.

mod resize;
pub mod rolling;

use super::*;
use crate::common::{refused, start};
use shmkit::ErrorKind::{AlreadyExists, NotFound, WrongType};
use shmkit::{CallError, Client, Publisher, Reader, Receiver, Sender, Server, Subscriber, Writer};
use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::thread::scope;

const LONG: Duration = Duration::from_secs(600);

/// Ends the owner, and returns the error that its peers must report.
fn end(owner: TestChild, killed: bool) -> &'static str {
    match killed {
        true => owner.kill(),
        false => assert!(owner.finish().success()),
    }
    ["Disconnected(Closed)", "Disconnected(Died)"][usize::from(killed)]
}

/// Asserts that these generations exist, and no others.
#[track_caller]
fn are_there(name: &str, wanted: std::ops::RangeInclusive<u32>) {
    for generation in 1..wanted.end() + 3 {
        for part in ["control", "roster", "lanes"] {
            let part = format!("{name}~{part}-{generation:08x}");
            let there = Section::open(&*part).is_ok();
            assert_eq!(there, wanted.contains(&generation), "{part}");
        }
    }
}

// layout: L012 L018 L155 L160 L161 L167 L169 L170
#[test]
fn next_receiver_gets_messages_of_previous_generation() {
    let (mut test, name) = start("receiver-again");
    for killed in [true, false] {
        let mut owner = child(&mut test, "receiver", &[&name]);
        let mut sender = Sender::open(&*name).unwrap();
        let mut other = child(&mut test, "sender", &[&name, "1"]);
        let max = sender.max_message();
        assert_eq!(ask(&mut other, "send 10"), "sent");
        (0..10).for_each(|n| sender.send(&message(0, n, max)).unwrap());
        assert_eq!(ask(&mut owner, "take 7"), "taken");
        let before = sender.generation();
        let how = end(owner, killed);
        // No receiver exists now; the next one receives what was sent.
        refused(NotFound, Sender::open(&*name));
        let mut receiver = queue(&name);
        assert_eq!(receiver.generation(), before + 1);
        // Each sender reattaches when it sends.
        (10..20).for_each(|n| sender.send(&message(0, n, max)).unwrap());
        assert_eq!(sender.generation(), before + 1, "{how}");
        assert_eq!(ask(&mut other, "send 10"), "sent");
        let mut came: HashMap<u64, Vec<u64>> = HashMap::new();
        for _ in 0..33 {
            let (from, number) = whole(receiver.recv().unwrap(), max);
            came.entry(from).or_default().push(number);
        }
        assert_eq!(why(receiver.try_recv()), "Empty");
        for from in [0, 1] {
            let numbers = &came[&from];
            let first = 20 - numbers.len() as u64;
            assert_eq!(*numbers, (first..20).collect::<Vec<u64>>());
        }
        assert!(other.finish().success());
        drop(sender);
        assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
        are_there(&name, before + 1..=before + 1);
        drop(receiver);
    }
}

#[test]
fn blocked_sender_disconnects_then_awaits_next_receiver() {
    let (mut test, name) = start("sender-waits");
    for killed in [true, false] {
        let owner = child(&mut test, "receiver", &[&name]);
        let mut sender = Sender::open(&*name).unwrap();
        let mut sent = 0;
        let mut next = || {
            sent += 1;
            message(0, sent - 1, LONGEST as usize)
        };
        while sender.try_send(&next()).is_ok() {}
        let full = message(0, sent - 1, LONGEST as usize);
        let told = Barrier::new(2);
        scope(|scope| {
            let waiter = scope.spawn(|| {
                let why = why(sender.send(&full));
                assert!(!sender.wait_for_receiver(MOMENT).unwrap());
                told.wait();
                assert!(sender.wait_for_receiver(LONG).unwrap());
                sender.send(&full).unwrap();
                why
            });
            until_asleep(&name, std::process::id());
            let how = end(owner, killed);
            told.wait();
            let mut receiver = queue(&name);
            let mut inbox = Inbox::new(receiver.max_message());
            (0..sent).for_each(|_| inbox.take(receiver.recv().unwrap()));
            assert_eq!(waiter.join().unwrap(), how);
            assert_eq!(why(receiver.try_recv()), "Empty");
        });
    }
}

// layout: L158 L160 L170
#[test]
fn receiver_collects_messages_of_three_generations() {
    let (mut test, name) = start("third");
    let owner = child(&mut test, "receiver", &[&name]);
    // Each sender stays in its generation, since it sends nothing more.
    let mut idle: Vec<TestChild> = Vec::new();
    let mut owner = Some(owner);
    for n in 0..3 {
        let mut sender = child(&mut test, "sender", &[&name, &n.to_string()]);
        assert_eq!(ask(&mut sender, "send 5"), "sent");
        idle.push(sender);
        owner.take().unwrap().kill();
        if n < 2 {
            owner = Some(child(&mut test, "receiver", &[&name]));
        }
    }
    let mut receiver = queue(&name);
    assert_eq!(receiver.generation(), 4);
    let mut inbox = Inbox::new(receiver.max_message());
    (0..15).for_each(|_| inbox.take(receiver.recv().unwrap()));
    assert_eq!(why(receiver.try_recv()), "Empty");
    are_there(&name, 1..=4);
    // Two senders reattach when they send; the third one dies instead.
    idle.pop().unwrap().kill();
    for sender in &mut idle {
        assert_eq!(ask(sender, "send 5"), "sent");
    }
    (0..10).for_each(|_| inbox.take(receiver.recv().unwrap()));
    (0..2).for_each(|from| assert_eq!(inbox.of(from), 10));
    assert!(idle.into_iter().all(|sender| sender.finish().success()));
    assert!(why(receiver.recv()).starts_with("Disconnected"));
    are_there(&name, 4..=4);
}

// layout: L155
#[test]
fn only_one_candidate_replaces_dead_owner() {
    let (mut test, name) = start("candidates");
    let mut owner = child(&mut test, "receiver", &[&name]);
    let sender = Sender::open(&*name).unwrap();
    for _ in 0..5 {
        let error = refused(AlreadyExists, Receiver::create(&*name));
        let text = error.to_string();
        assert!(
            text.contains(&format!("process {} (", owner.id())),
            "{text}"
        );
        assert!(text.contains("contract"), "{text}");
        let age = text.split("started ").nth(1).unwrap().split(' ').next();
        assert!(age.unwrap().parse::<u64>().unwrap() < 3600, "{text}");
        refused(AlreadyExists, Publisher::create(&*name));
        owner.kill();
        let won = scope(|scope| {
            let candidates = [(); 4].map(|()| scope.spawn(|| Receiver::create(&*name).ok()));
            candidates.map(|one| one.join().unwrap())
        });
        let mut won: Vec<Receiver> = won.into_iter().flatten().collect();
        assert_eq!(won.len(), 1);
        drop(won.pop());
        owner = child(&mut test, "receiver", &[&name]);
    }
    owner.kill();
    drop(sender);
}

// layout: L029 L111 L166 L171
#[test]
fn subscriber_reads_both_generations_across_publisher_restart() {
    let (mut test, name) = start("publisher-again");
    for (killed, how) in [(true, "lossy"), (false, "lossy"), (true, "lossless")] {
        let mut owner = child(&mut test, "publisher", &[&name, how]);
        let mut subscriber = subscriber(&name, Start::Oldest);
        assert_eq!(ask(&mut owner, "send 10"), "sent");
        let max = subscriber.max_message();
        assert_eq!(subscriber.recv().unwrap(), message(0, 0, max));
        let ended = end(owner, killed);
        let mut publisher = topic(&name, delivery(how));
        (0..5).for_each(|n| publisher.send(&message(0, n, max)).unwrap());
        for n in 1..10 {
            assert_eq!(subscriber.recv().unwrap(), message(0, n, max));
        }
        assert_eq!(why(subscriber.recv()), ended);
        for n in 0..5 {
            assert_eq!(subscriber.recv().unwrap(), message(0, n, max));
        }
        assert_eq!(subscriber.generation(), publisher.generation());
        assert_eq!((subscriber.missed(), subscriber.behind()), (0, 0));
        drop(publisher);
    }
}

// layout: L090 L173
#[test]
fn waiting_subscriber_wakes_for_next_publisher() {
    let (mut test, name) = start("publisher-awaited");
    for killed in [true, false] {
        let owner = child(&mut test, "publisher", &[&name, "lossy"]);
        let mut subscriber = subscriber(&name, Start::New);
        let told = Barrier::new(2);
        scope(|scope| {
            let waiter = scope.spawn(|| {
                let how = why(subscriber.recv());
                // The error stays until there is another publisher.
                assert_eq!(why(subscriber.recv()), how);
                assert!(!subscriber.wait_for_publisher(MOMENT).unwrap());
                told.wait();
                assert!(subscriber.wait_for_publisher(LONG).unwrap());
                assert_eq!(subscriber.recv().unwrap(), b"again");
                how
            });
            until_asleep(&name, std::process::id());
            let how = end(owner, killed);
            told.wait();
            let mut publisher = eventually_created(|| Publisher::create(&*name));
            publisher.send(b"again").unwrap();
            assert_eq!(waiter.join().unwrap(), how);
        });
    }
}

pub fn eventually_created<T>(create: impl Fn() -> shmkit::Result<T>) -> T {
    let mut created = None;
    eventually("the endpoint is created", || {
        created = create().ok();
        created.is_some()
    });
    created.unwrap()
}

// layout: L127 L163 L171
#[test]
fn restarted_topic_counts_or_keeps_all_messages() {
    let (mut test, name) = start("publisher-counts");
    let owner = child(&mut test, "publisher", &[&name, "lossy"]);
    let mut lagging = subscriber(&name, Start::New);
    owner.kill();
    let mut publisher = topic(&name, Delivery::Lossy);
    let max = publisher.max_message();
    (0..1000).for_each(|n| publisher.send(&message(0, n, max)).unwrap());
    assert_eq!(why(lagging.recv()), "Disconnected(Died)");
    let mut seen = Seen::default();
    while seen.end() < 1000 {
        assert!(seen.take(lagging.recv(), max).is_none());
    }
    assert!(seen.missed > 0 && seen.end() == 1000);
    drop(publisher);
    assert_eq!(why(lagging.recv()), "Disconnected(Closed)");
    drop(lagging);

    let owner = child(&mut test, "publisher", &[&name, "lossless"]);
    let mut slow = subscriber(&name, Start::New);
    let dead = child(&mut test, "subscriber", &[&name, "new"]);
    owner.kill();
    let mut publisher = topic(&name, Delivery::Lossless);
    let mut sent = 0;
    while publisher.try_send(&message(0, sent, max)).is_ok() {
        sent += 1;
    }
    // The publisher waits for subscribers that have not reattached yet, but not for dead ones.
    assert_eq!(why(publisher.try_send(&message(0, sent, max))), "Full");
    dead.kill();
    assert_eq!(why(slow.recv()), "Disconnected(Died)");
    scope(|scope| {
        scope.spawn(|| {
            (sent..sent + 500).for_each(|n| publisher.send(&message(0, n, max)).unwrap());
        });
        (0..sent + 500).for_each(|n| assert_eq!(slow.recv().unwrap(), message(0, n, max)));
    });
    assert_eq!(slow.missed(), 0);
}

// layout: L172
#[test]
fn values_persist_across_writer_restarts() {
    let (mut test, name) = start("writer-again");
    let owner = child(&mut test, "writer", &[&name]);
    let mut reader = Reader::open(&*name).unwrap();
    let names: Vec<String> = reader.names().to_vec();
    owner.kill();
    // Each writer takes over the values of the previous writer that fit.
    for (n, size) in [(1u8, 64), (2, 200), (3, 32)] {
        let options = Writer::options().names(names.clone()).max_value(size);
        let mut writer = options.create(&*name).unwrap();
        if n > 1 {
            assert_eq!(reader.get_at(0).unwrap(), [n - 1; 20]);
        }
        writer.set_at(0, &[n; 20]).unwrap();
        assert_eq!(reader.get_at(0).unwrap(), [n; 20]);
        assert_eq!(reader.max_value() as u64, size);
        assert_eq!(reader.generation(), writer.generation());
        assert_eq!(reader.try_change().unwrap(), 0);
    }
    // A value that was taken over is a change like any other.
    assert_eq!(reader.wait_change().unwrap(), 0);
    assert_eq!(why(reader.wait_change()), "Disconnected(Closed)");
    assert!(!reader.wait_for_writer(MOMENT).unwrap());
    let mut writer = Writer::options().names(["other"]).create(&*name).unwrap();
    writer.set(b"x").unwrap();
    // No call returns a stale value, and each call reports the reason.
    for _ in 0..2 {
        assert!(why(reader.wait_change()).contains("WrongType"));
        assert!(why(reader.get_at(0)).contains("WrongType"));
        assert!(why(reader.wait_for_writer(MOMENT)).contains("WrongType"));
    }
    drop(writer);
    let mut writer = Writer::options().names(names).create(&*name).unwrap();
    writer.set_at(0, b"again").unwrap();
    assert_eq!(reader.get_at(0).unwrap(), b"again");
}

/// A new writer may have more values, in another order.
// layout: L140 L172
#[test]
fn reader_follows_its_values_by_name() {
    let (_test, name) = start("names");
    let create = |names: &[&str]| {
        let options = Writer::options().names(names.iter().copied());
        options.create(&*name).unwrap()
    };
    let mut writer = create(&["a", "b"]);
    writer.set_at(0, b"old a").unwrap();
    let mut reader = Reader::open(&*name).unwrap();
    let mut waiting = Reader::open(&*name).unwrap();
    assert_eq!(reader.get_at(0).unwrap(), b"old a");
    drop(writer);
    let mut writer = create(&["new", "b", "a"]);
    assert!(waiting.wait_for_writer(LONG_AGO).unwrap());
    writer.set_at(2, b"new a").unwrap();
    writer.set_at(0, b"unknown").unwrap();
    writer.set_at(1, b"new b").unwrap();
    for reader in [&mut reader, &mut waiting] {
        assert_eq!(reader.get_at(0).unwrap(), b"new a");
        assert_eq!(reader.get_at(1).unwrap(), b"new b");
        assert_eq!((reader.index("b"), reader.index("new")), (Some(1), None));
        // Values that were set before the reader reattached are reported as changed. The unknown
        // value never is.
        let mut changed: Vec<usize> = std::iter::from_fn(|| reader.try_change().ok()).collect();
        changed.sort_unstable();
        changed.dedup();
        assert_eq!(changed, [0, 1]);
    }
    drop(writer);
    let _writer = create(&["a"]);
    assert!(why(reader.get_at(0)).contains("no value \"b\""));
}

/// Longer than the next owner takes to appear.
const LONG_AGO: std::time::Duration = std::time::Duration::from_secs(30);

// layout: L100 L101
#[test]
fn open_of_incomplete_header_respects_timeout() {
    let (_test, name) = start("half-made");
    let _half = shmkit::Section::create_new(&*name, 16448).unwrap();
    // With a wait of one second in each round the test would take minutes, which the watchdog does
    // not allow.
    for _ in 0..150 {
        let opened = Sender::options().wait(MOMENT).open(&*name);
        assert_eq!(opened.unwrap_err().kind(), shmkit::ErrorKind::Busy);
    }
}

// layout: L150 L163
#[test]
fn pending_calls_end_and_next_server_answers() {
    let (mut test, name) = start("server-again");
    let mut client: Option<Client> = None;
    for killed in [true, false, true] {
        let owner = child(&mut test, "mute", &[&name]);
        let mut client = client
            .take()
            .unwrap_or_else(|| Client::open(&*name).unwrap());
        let open = client.send(b"who?").unwrap();
        let told = Barrier::new(2);
        scope(|scope| {
            let waiter = scope.spawn(|| {
                let how = why(client.recv(&open));
                assert_eq!(why(client.call(b"again")), how);
                told.wait();
                assert!(client.wait_for_server(LONG).unwrap());
                assert_eq!(client.call(b"again").unwrap(), b"again");
                assert_eq!(why(client.recv(&open)), how);
                how
            });
            until_asleep(&name, std::process::id());
            let how = end(owner, killed);
            told.wait();
            let options = Server::options().in_flight(2).max_message(100);
            let mut server = eventually_created(|| options.create(&*name));
            // The next server does not receive requests from before the restart.
            let request = server.recv().unwrap();
            assert_eq!(request.bytes(), b"again");
            request.respond(b"again").unwrap();
            assert_eq!(waiter.join().unwrap(), how);
        });
        assert_eq!(client.in_flight(), 2);
    }
}

// layout: L127 L162
#[test]
fn publisher_resumes_when_old_generation_subscriber_leaves() {
    let (mut test, name) = start("leaves");
    let owner = child(&mut test, "publisher", &[&name, "lossless"]);
    let subscriber = subscriber(&name, Start::New);
    owner.kill();
    let mut publisher = topic(&name, Delivery::Lossless);
    let max = publisher.max_message();
    scope(|scope| {
        let sending = scope.spawn(|| {
            (0..1000).for_each(|n| publisher.send(&message(0, n, max)).unwrap());
        });
        eventually("the publisher sleeps", || {
            shmkit::inspect::segment_info(&*name).unwrap().owner.asleep
        });
        drop(subscriber);
        sending.join().unwrap();
    });
    are_there(&name, 2..=2);
}

// layout: L160
#[test]
fn new_type_discards_old_messages_and_values() {
    let (_test, name) = start("left-behind");
    let receiver = Receiver::options().typed::<u32>().create(&*name).unwrap();
    let mut sender = Sender::options().typed::<u32>().open(&*name).unwrap();
    sender.send(&7).unwrap();
    drop(receiver);
    let mut receiver = Receiver::options().typed::<f32>().create(&*name).unwrap();
    assert_eq!(why(receiver.try_recv()), "Empty");
    drop((receiver, sender));
    let mut writer = Writer::options().typed::<u32>().create(&*name).unwrap();
    writer.set(&7).unwrap();
    let _reader = Reader::options().typed::<u32>().open(&*name).unwrap();
    drop(writer);
    let _writer = Writer::options().typed::<f32>().create(&*name).unwrap();
    let mut reader = Reader::options().typed::<f32>().open(&*name).unwrap();
    assert_eq!(why(reader.get()), "NotSet");
}

// layout: L029 L127 L164 L171
#[test]
fn topic_resize_loses_no_messages() {
    let (_test, name) = start("topic-grows");
    let mut publisher = topic(&name, Delivery::Lossless);
    let mut subscriber = subscriber(&name, Start::New);
    let mut sent = 0u64;
    let mut came = 0u64;
    for round in 1..10u64 {
        for _ in 0..10 {
            publisher.send(&sent.to_le_bytes()).unwrap();
            sent += 1;
        }
        let longer = LONGEST << round;
        let options = Publisher::options().delivery(Delivery::Lossless);
        publisher.resize(&options.max_message(longer)).unwrap();
        publisher.send(&vec![0; longer as usize]).unwrap();
        for _ in 0..10 {
            assert_eq!(subscriber.recv().unwrap(), came.to_le_bytes());
            came += 1;
        }
        assert_eq!(subscriber.recv().unwrap().len() as u64, longer);
        assert_eq!(subscriber.max_message() as u64, longer);
    }
    assert_eq!((subscriber.missed(), subscriber.generation()), (0, 10));
    // A generation with no subscriber to wait for is removed.
    publisher.resize(&Publisher::options()).unwrap();
    are_there(&name, 10..=11);
    drop(publisher);
    assert_eq!(why(subscriber.recv()), "Disconnected(Closed)");
}

// layout: L024 L155
#[test]
fn takeover_with_other_access_is_refused() {
    let (mut test, name) = start("rights");
    let owner = child(&mut test, "receiver", &[&name]);
    let sender = Sender::open(&*name).unwrap();
    owner.kill();
    let options = Receiver::options().access(shmkit::Access::UsersReadOnly);
    let error = refused(AlreadyExists, options.create(&*name));
    assert!(error.to_string().contains("rights"), "{error}");
    drop(sender);
    drop(options.create(&*name).unwrap());
}

// layout: L168
#[test]
fn subscriber_refuses_other_type_after_restart() {
    let (_test, name) = start("types-again");
    let publisher = Publisher::options().typed::<u32>().create(&*name).unwrap();
    let mut subscriber = Subscriber::options().typed::<u32>().open(&*name).unwrap();
    drop(publisher);
    let mut publisher = Publisher::options().typed::<u32>().create(&*name).unwrap();
    publisher.send(&7).unwrap();
    assert_eq!(why(subscriber.recv()), "Disconnected(Closed)");
    assert_eq!(subscriber.recv().unwrap(), 7);
    publisher
        .resize(&Publisher::options().capacity(1 << 16).typed())
        .unwrap();
    publisher.send(&8).unwrap();
    assert_eq!(subscriber.recv().unwrap(), 8);
    drop(publisher);
    let _publisher = Publisher::options().typed::<f32>().create(&*name).unwrap();
    assert_eq!(why(subscriber.recv()), "Disconnected(Closed)");
    // The error stays.
    for _ in 0..2 {
        let told = why(subscriber.recv());
        assert!(told.contains("WrongType") && told.contains("f32"), "{told}");
        refused(WrongType, subscriber.wait_for_publisher(LONG));
    }
}

/// Every call ends, also if its server is killed and restarted. No call gets the response of
/// another call.
#[test]
fn client_calls_work_across_server_restarts() {
    let (mut test, name) = start("restarts");
    let mut owner = child(&mut test, "echo", &[&name]);
    let mut client = Client::open(&*name).unwrap();
    for round in 0..10u64 {
        for n in 0..100u64 {
            let request = (round * 1000 + n).to_le_bytes();
            assert_eq!(client.call(&request).unwrap(), request);
        }
        owner.kill();
        owner = child(&mut test, "echo", &[&name]);
        // The client may notice only now that its server has ended.
        match client.call(b"first") {
            Ok(response) => assert_eq!(response, b"first"),
            Err(error) => assert!(matches!(error, CallError::Disconnected(_)), "{error}"),
        }
    }
    assert_eq!(client.generation(), 11);
    owner.kill();
}

/// Kills receivers one after the other at random moments, also while they take the name over. The
/// senders continue all the time. Each killed receiver loses at most the message that it was
/// handling, and no message comes twice.
// layout: L112 L156 L157 L160
#[test]
fn receivers_killed_at_random_leave_unread_messages() {
    let (mut test, name) = start("heirs");
    let mut random = Random::new();
    let words = Words::of(&name);
    let first = child(&mut test, "receiver", &[&name]);
    let max = LONGEST as usize;
    let senders = [0, 1, 2].map(|from| (from, Sender::open(&*name).unwrap()));
    first.kill();
    let stop = AtomicBool::new(false);
    let kills = if cfg!(windows) { 20 } else { 100 };
    scope(|scope| {
        let stop = &stop;
        let senders = senders.map(|(from, mut sender)| {
            scope.spawn(move || {
                let mut sent = 0;
                while !stop.load(SeqCst) {
                    match sender.send_timeout(&message(from, sent, max), 10 * MOMENT) {
                        Ok(()) => sent += 1,
                        Err(SendError::Disconnected(_) | SendError::Timeout) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                (from, sender, sent)
            })
        });
        let mut heirs = children(&mut test, kills, |n| {
            TestChild::spawn("messages/heir", &[&name, &n.to_string()])
        });
        for mut heir in heirs.drain(..) {
            heir.expect("ready");
            heir.tell("go");
            // A receiver that is not waited for may be killed before it is the owner.
            if random.below(2) == 0 {
                heir.expect("here");
            }
            random.pause();
            heir.kill();
        }
        stop.store(true, SeqCst);
        let senders = senders.map(|one| one.join().unwrap());
        let mut receiver = eventually_created(|| Receiver::create(&*name));
        loop {
            match receiver.recv_timeout(50 * MOMENT) {
                Ok(bytes) => comes(bytes, max, &words),
                Err(RecvError::Timeout) => break,
                Err(error) => panic!("{error}"),
            }
        }
        for (from, sender, sent) in senders {
            let came = words.begun(from).load(SeqCst);
            let in_hand = words.done(from).load(SeqCst);
            assert!(came == sent && in_hand <= kills, "{sent} {came} {in_hand}");
            drop(sender);
        }
        println!("generation {}", receiver.generation());
    });
}

/// Asserts that a message is the next one of its sender, or a later one: each killed receiver may
/// have taken one message that it never recorded. `done` counts these messages.
pub fn comes(bytes: &[u8], max: usize, words: &Words) {
    let (from, number) = whole(bytes, max);
    let next = words.begun(from).load(SeqCst);
    assert!(number >= next, "{number} of {from} came twice");
    words.begun(from).store(number + 1, SeqCst);
    words.done(from).fetch_add(number - next, SeqCst);
}

pub fn be_heir(name: &str, who: u64) {
    let words = Words::of(name);
    say("ready");
    hear();
    let capacity = CAPACITY << (who % 3);
    let options = Receiver::options().max_message(LONGEST).capacity(capacity);
    let mut receiver = eventually_created(|| options.create(name));
    say("here");
    loop {
        match receiver.recv() {
            Ok(bytes) => comes(bytes, LONGEST as usize, &words),
            Err(error) => assert!(matches!(error, RecvError::Disconnected(_)), "{error}"),
        }
    }
}

/// Runs a server that answers no request.
pub fn be_mute(name: &str) {
    let _server = Server::create(name).unwrap();
    say("ready");
    hear();
}

pub fn serve_echo(name: &str) {
    let mut server = Server::create(name).unwrap();
    say("ready");
    loop {
        let request = server.recv().unwrap();
        let bytes = request.bytes().to_vec();
        request.respond(&bytes).unwrap();
    }
}
