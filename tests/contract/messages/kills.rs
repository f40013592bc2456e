//! Endpoints of queues and topics that are killed at random moments while others continue.

use super::*;
use crate::common::start;
use std::sync::atomic::AtomicBool;
use std::thread::scope;

/// How many processes each test kills, in groups of `AT_A_TIME`.
pub const KILLS: u64 = if cfg!(windows) { 50 } else { 200 };
const AT_A_TIME: u64 = 25;

pub fn victim(args: &[&str]) {
    let [kind, name, who] = args else {
        panic!("no victim {args:?}");
    };
    let who = who.parse().unwrap();
    let words = Words::of(name);
    say("ready");
    hear();
    match *kind {
        "sender" => send(name, who, &words),
        "receiver" => receive(name, who, &words),
        "publisher" => publish(name, who, &words),
        "subscriber" => subscribe(name, who, &words),
        other => calls::be_victim(other, name, who, &words),
    }
}

/// Reports for every second victim that it has joined. The others may be killed while they join.
pub fn here(who: u64) {
    if who.is_multiple_of(2) {
        say("here");
    }
}

fn send(name: &str, who: u64, words: &Words) {
    let mut sender = Sender::open(name).unwrap();
    let max = sender.max_message();
    here(who);
    let mut n = 0;
    let begin = |n: &mut u64| {
        words.begun(who).store(*n + 1, SeqCst);
        *n += 1;
        message(who, *n - 1, max)
    };
    loop {
        if who.is_multiple_of(3) {
            let mut batch = sender.batch();
            for _ in 0..1 + n % 23 {
                batch.send(&begin(&mut n)).unwrap();
            }
            batch.flush().unwrap();
        } else if who % 3 == 1 {
            let some = [begin(&mut n), begin(&mut n), begin(&mut n)];
            sender.send_all(&some).unwrap();
        } else {
            sender.send(&begin(&mut n)).unwrap();
        }
        words.done(who).store(n, SeqCst);
    }
}

fn receive(name: &str, who: u64, words: &Words) {
    let mut receiver = queue(name);
    let mut inbox = Inbox::new(receiver.max_message());
    say("here");
    loop {
        match receiver.recv() {
            Ok(bytes) => inbox.take(bytes),
            // All senders have gone, or none has come yet.
            Err(error) => assert!(matches!(error, RecvError::Disconnected(_)), "{error}"),
        }
        words.done(who).store(inbox.all(), SeqCst);
    }
}

fn publish(name: &str, who: u64, words: &Words) {
    let how = if who.is_multiple_of(2) {
        "lossless"
    } else {
        "lossy"
    };
    let mut publisher = topic(name, delivery(how));
    let max = publisher.max_message();
    say("here");
    hear();
    for n in 0.. {
        words.begun(who).store(n + 1, SeqCst);
        publisher.send(&message(who, n, max)).unwrap();
        words.done(who).store(n + 1, SeqCst);
    }
}

fn subscribe(name: &str, who: u64, words: &Words) {
    let start = [Start::Latest, Start::Oldest, Start::New];
    let mut subscriber = subscriber(name, start[who as usize % 3]);
    let max = subscriber.max_message();
    here(who);
    let (_, mut next) = whole(subscriber.recv().unwrap(), max);
    loop {
        next += 1;
        assert_eq!(whole(subscriber.recv().unwrap(), max).1, next);
        words.done(who).store(next, SeqCst);
    }
}

/// A sender with much free space notices that its receiver was killed while asleep, before that
/// space is used up.
// layout: L098
#[test]
fn sender_notices_receiver_killed_while_asleep() {
    let (mut test, name) = start("asleep");
    let mut child = test.child("messages/victim", &["receiver", &name, "0"]);
    child.expect("ready");
    child.tell("go");
    child.expect("here");
    let mut sender = Sender::open(&*name).unwrap();
    let all = || shmkit::inspect::segment_info(&*name).unwrap();
    assert!(all().capacity >= 4096);
    let mut sent = 0;
    crate::common::eventually("the receiver sleeps", || all().owner.asleep);
    child.kill();
    crate::common::eventually("the sender notices the death", || {
        match sender.try_send(b"x") {
            Ok(()) => {
                sent += 1;
                false
            }
            Err(SendError::Disconnected(how)) => how == shmkit::DisconnectReason::Died,
            Err(error) => panic!("{error} after {sent}"),
        }
    });
    // A record takes at least 16 bytes.
    assert!(sent < 4096 / 16, "noticed only when the lane was full");
}

/// A publisher that waits for a slow subscriber also waits for each subscriber that joins
/// meanwhile, and notices the death of that subscriber wherever it is killed.
// layout: L236
#[test]
fn subscribers_killed_while_joining_block_no_publisher() {
    let (mut test, name) = start("joining");
    let mut publisher = topic(&name, Delivery::Lossless);
    let mut slow = subscriber(&name, Start::New);
    let stop = AtomicBool::new(false);
    let (stop, mut random) = (&stop, Random::new());
    scope(|scope| {
        scope.spawn(move || {
            let max = publisher.max_message();
            for n in 0.. {
                // The publisher waits most of the time, without a timeout.
                match stop.load(SeqCst) {
                    true => break,
                    false => publisher.send(&message(0, n, max)).unwrap(),
                }
            }
        });
        let max = slow.max_message();
        each_victim(&mut test, "subscriber", &name, |_, mut child| {
            child.tell("go");
            // The publisher waits for the slow subscriber, and then for the one that joined.
            for _ in 0..random.below(8) {
                std::thread::yield_now();
            }
            for _ in 0..20 {
                assert_eq!(whole(slow.recv().unwrap(), max).0, 0);
            }
            random.pause();
            child.kill();
            for _ in 0..200 {
                assert_eq!(whole(slow.recv().unwrap(), max).0, 0);
            }
        });
        stop.store(true, SeqCst);
        while slow.recv().is_ok() {}
    });
}

/// Starts victims in groups, and calls `kill` with each of them.
pub fn each_victim(test: &mut Test, kind: &str, name: &str, mut kill: impl FnMut(u64, TestChild)) {
    for first in (0..KILLS).step_by(AT_A_TIME as usize) {
        let spawn =
            |n: u64| TestChild::spawn("messages/victim", &[kind, name, &(first + n).to_string()]);
        let mut some = children(test, AT_A_TIME, spawn);
        some.iter_mut().for_each(|child| child.expect("ready"));
        for (who, child) in (first..).zip(some) {
            kill(who, child);
        }
    }
}

/// Starts a victim, waits until it has joined if it reports that, and then for a random time.
pub fn begin(who: u64, child: &mut TestChild, random: &mut Random) {
    child.tell("go");
    if who.is_multiple_of(2) {
        child.expect("here");
    }
    random.pause();
}

// layout: L106 L107
#[test]
fn killed_senders_lose_and_duplicate_no_messages() {
    let (mut test, name) = start("kill-senders");
    let mut random = Random::new();
    let words = Words::of(&name);
    // Two lanes are for the surviving senders, and one for the victims, which are killed one after
    // the other.
    let options = Receiver::options().capacity(CAPACITY).max_message(LONGEST);
    let mut receiver = options.senders(3).create(&*name).unwrap();
    let max = receiver.max_message();
    let (mine, theirs) = (KILLS, KILLS + 1);
    let mut process = child(&mut test, "sender", &[&name, &theirs.to_string()]);
    let mut sender = Sender::open(&*name).unwrap();
    let stop = AtomicBool::new(false);
    let stop = &stop;
    scope(|scope| {
        let receiving = scope.spawn(|| {
            let mut inbox = Inbox::new(max);
            loop {
                match receiver.recv() {
                    Ok(bytes) => inbox.take(bytes),
                    Err(end) => return (inbox, format!("{end:?}")),
                }
            }
        });
        let driving = scope.spawn(move || {
            let mut sent = 0;
            while !stop.load(SeqCst) {
                assert_eq!(ask(&mut process, "send 100"), "sent");
                sent += 100;
            }
            assert!(process.finish().success());
            sent
        });
        let sending = scope.spawn(move || {
            let mut n = 0;
            while !stop.load(SeqCst) {
                sender.send(&message(mine, n, max)).unwrap();
                n += 1;
            }
            n
        });
        each_victim(&mut test, "sender", &name, |who, mut child| {
            begin(who, &mut child, &mut random);
            child.kill();
        });
        stop.store(true, SeqCst);
        let sent = [sending.join().unwrap(), driving.join().unwrap()];
        let (inbox, end) = receiving.join().unwrap();
        // The death of the last victim may have been noticed after the other senders had gone.
        assert!(end.starts_with("Disconnected"), "{end}");
        assert_eq!([mine, theirs].map(|who| inbox.of(who)), sent);
        (0..KILLS).for_each(|who| words.agree(who, inbox.of(who)));
        assert!((0..KILLS).any(|who| inbox.of(who) > 0));
    });
    assert_eq!(why(receiver.try_recv()), "Empty");
}

#[test]
fn killed_sender_reports_died_after_last_message() {
    let (mut test, name) = start("kill-alone");
    let mut random = Random::new();
    let words = Words::of(&name);
    let mut receiver = queue(&name);
    each_victim(&mut test, "sender", &name, |who, mut child| {
        let mut inbox = Inbox::new(receiver.max_message());
        child.tell("go");
        if who.is_multiple_of(2) {
            child.expect("here");
        }
        scope(|scope| {
            let receiving = scope.spawn(|| {
                while words.begun(who).load(SeqCst) == 0 {
                    std::thread::yield_now();
                }
                loop {
                    match receiver.recv() {
                        Ok(bytes) => inbox.take(bytes),
                        Err(end) => return format!("{end:?}"),
                    }
                }
            });
            // Once the victim has begun to send, the receiver notices its end.
            eventually("the victim sends", || words.begun(who).load(SeqCst) > 0);
            random.pause();
            child.kill();
            assert_eq!(receiving.join().unwrap(), "Disconnected(Died)");
        });
        words.agree(who, inbox.of(who));
        assert_eq!(inbox.of(who), inbox.all());
        assert_eq!(why(receiver.try_recv()), "Empty");
    });
}

#[test]
fn receiver_killed_at_random_disconnects_senders() {
    let (mut test, name) = start("kill-receiver");
    let mut random = Random::new();
    let words = Words::of(&name);
    each_victim(&mut test, "receiver", &name, |who, mut child| {
        child.tell("go");
        child.expect("here");
        let senders = [(); 3].map(|()| Sender::open(&*name).unwrap());
        scope(|scope| {
            let all = (0..).zip(senders).map(|(from, mut sender)| {
                let max = sender.max_message();
                let mut numbers = 0..;
                scope.spawn(move || {
                    let mut next = || message(from, numbers.next().unwrap(), max);
                    let end = match from {
                        0 => flood(|| sender.send(&next())),
                        1 => flood(|| sender.send_all([next(), next(), next()])),
                        _ => {
                            let mut batch = sender.batch();
                            flood(|| batch.send(&next()))
                        }
                    };
                    (end, numbers.start)
                })
            });
            let all: Vec<_> = all.collect();
            random.pause();
            child.kill();
            let mut sent = 0;
            for one in all {
                let (end, begun) = one.join().unwrap();
                assert_eq!(end, "Disconnected(Died)");
                sent += begun;
            }
            words.begun(who).store(sent, SeqCst);
            words.agree(who, words.done(who).load(SeqCst));
        });
    });
}

#[test]
fn publisher_killed_at_random_leaves_sent_messages() {
    let (mut test, name) = start("kill-publisher");
    let mut random = Random::new();
    let words = Words::of(&name);
    each_victim(&mut test, "publisher", &name, |who, mut child| {
        child.tell("go");
        child.expect("here");
        let subscribers = [Start::Oldest, Start::New].map(|start| subscriber(&name, start));
        child.tell("go");
        scope(|scope| {
            let all = subscribers.map(|mut subscriber| {
                scope.spawn(move || {
                    let mut seen = Seen::default();
                    let end = seen.take_all(&mut subscriber);
                    assert_eq!(why(subscriber.try_recv()), "Disconnected(Died)");
                    (format!("{end:?}"), seen)
                })
            });
            random.pause();
            child.kill();
            let ends = all.map(|one| {
                let (end, seen) = one.join().unwrap();
                assert_eq!(end, "Disconnected(Died)");
                words.agree(who, seen.end());
                assert!(
                    seen.missed == 0 || who % 2 == 1,
                    "a lossless topic missed messages: {seen:?}"
                );
                seen.end()
            });
            assert_eq!(ends[0], ends[1]);
        });
    });
}

#[test]
fn subscribers_killed_at_random_block_no_publisher() {
    let (mut test, name) = start("kill-subscribers");
    let mut random = Random::new();
    let mut publisher = topic(&name, Delivery::Lossless);
    let max = publisher.max_message();
    let mut process = child(&mut test, "subscriber", &[&name, "oldest"]);
    assert_eq!(ask(&mut process, "all"), "taking");
    let mut stable = subscriber(&name, Start::Oldest);
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let publishing = scope.spawn(|| {
            while !stop.load(SeqCst) {
                let n = publisher.sent();
                publisher.send(&message(0, n, max)).unwrap();
            }
            let sent = publisher.sent();
            drop(publisher);
            sent
        });
        let reading = scope.spawn(|| {
            let mut seen = Seen::default();
            let end = seen.take_all(&mut stable);
            assert_eq!(format!("{end:?}"), "Disconnected(Closed)");
            seen
        });
        each_victim(&mut test, "subscriber", &name, |who, mut child| {
            begin(who, &mut child, &mut random);
            child.kill();
        });
        stop.store(true, SeqCst);
        let received = publishing.join().unwrap();
        assert!(received > KILLS);
        let missed = 0;
        assert_eq!(reading.join().unwrap(), Seen { received, missed });
        process.expect(&format!("{received} 0 Disconnected(Closed)"));
    });
    assert!(process.finish().success());
}
