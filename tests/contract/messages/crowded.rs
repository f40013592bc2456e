//! Many publishers and subscribers on one topic, while some of them are killed at random moments.

use super::*;
use crate::common::start;
use std::sync::atomic::AtomicBool;
use std::thread::scope;

/// With the owner there are eight publishers.
const GUESTS: u64 = 7;
const PATIENT: usize = 2;
/// The number of messages that each patient subscriber receives at least.
fn messages() -> u64 {
    let given = std::env::var("SHMKIT_TEST_MESSAGES").ok();
    let default = if cfg!(windows) { 20_000 } else { 300_000 };
    given.map_or(default, |count| count.parse().unwrap())
}

/// How many processes are killed, at least.
const KILLS: u64 = if cfg!(windows) { 10 } else { 60 };

/// Publishes until it is killed.
pub fn publish(name: &str, who: u64) {
    let words = Words::of(name);
    say("ready");
    hear();
    let mut guest = Publisher::open(name).unwrap();
    for n in 0.. {
        words.begun(who).store(n + 1, SeqCst);
        guest.send(&message(who, n, SHORT)).unwrap();
        words.done(who).store(n + 1, SeqCst);
    }
}

/// Subscribes until it is killed.
pub fn subscribe(name: &str) {
    say("ready");
    hear();
    let mut subscriber = subscriber(name, Start::New);
    loop {
        match subscriber.recv() {
            Ok(bytes) => drop(whole(bytes, SHORT)),
            Err(RecvError::PublisherGone { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Receives until the owner has closed and all others are dead. Returns what came, and how many
/// publishers are gone.
fn receive(mut subscriber: Subscriber, count: &AtomicU64) -> (Inbox, u64) {
    let (mut inbox, mut gone) = (Inbox::new(SHORT), 0);
    loop {
        match subscriber.recv() {
            Ok(bytes) => {
                inbox.take(bytes);
                count.fetch_add(1, SeqCst);
            }
            Err(RecvError::PublisherGone { .. }) => gone += 1,
            Err(end) => {
                assert!(matches!(end, RecvError::Disconnected(_)), "{end}");
                assert_eq!(subscriber.missed(), 0);
                return (inbox, gone);
            }
        }
    }
}

fn child_of(test: &mut Test, args: &[&str]) -> TestChild {
    let mut child = test.child("messages/crowd-member", args);
    child.expect("ready");
    child.tell("go");
    child
}

/// Each message of each publisher comes once and in its order, also if the publisher was killed, and
/// nobody waits for a killed process.
// layout: L106 L126 L236 L296 L298
#[test]
fn topic_survives_random_kills() {
    let (mut test, name) = start("crowded");
    let mut random = Random::new();
    let words = Words::of(&name);
    let options = Publisher::options()
        .capacity(1 << 14)
        .max_message(SHORT as u64);
    // A subscriber joins before the one that it follows is killed.
    let options = options
        .publishers(1 + GUESTS as usize)
        .subscribers(PATIENT + 3);
    let owner = options.delivery(Delivery::Lossless).create(&*name).unwrap();
    let counts = [const { AtomicU64::new(0) }; PATIENT];
    let least = || counts.iter().map(|count| count.load(SeqCst)).min().unwrap();
    let stop = AtomicBool::new(false);
    let mut last = GUESTS;
    scope(|scope| {
        let patient = counts.each_ref().map(|count| {
            let subscriber = subscriber(&name, Start::Oldest);
            scope.spawn(move || receive(subscriber, count))
        });
        let stop = &stop;
        let owning = scope.spawn(move || {
            let mut owner = owner;
            let mut n = 0;
            while !stop.load(SeqCst) {
                owner.send(&message(0, n, SHORT)).unwrap();
                n += 1;
            }
            n
        });

        let publish =
            |test: &mut Test, who: u64| child_of(test, &["publish", &name, &who.to_string()]);
        let subscribe = |test: &mut Test| child_of(test, &["subscribe", &name, "0"]);
        let mut guests: Vec<_> = (1..=GUESTS).map(|who| publish(&mut test, who)).collect();
        let mut others: Vec<_> = (0..2).map(|_| subscribe(&mut test)).collect();
        // Between two kills, everybody gets somewhere.
        for kill in 1.. {
            let enough = kill * (messages() / KILLS);
            eventually("messages come", || least() >= enough);
            random.pause();
            test.once_more();
            if least() >= messages() && kill >= KILLS {
                break;
            }
            if kill % 5 == 0 {
                let which = random.below(2) as usize;
                let next = subscribe(&mut test);
                std::mem::replace(&mut others[which], next).kill();
            } else if last < 1000 {
                let which = random.below(GUESTS) as usize;
                guests.swap_remove(which).kill();
                last += 1;
                guests.push(publish(&mut test, last));
            }
        }
        others.into_iter().for_each(TestChild::kill);
        guests.into_iter().for_each(TestChild::kill);
        stop.store(true, SeqCst);
        let sent = owning.join().unwrap();
        for one in patient {
            let (inbox, gone) = one.join().unwrap();
            assert_eq!(inbox.of(0), sent);
            (1..=last).for_each(|who| words.agree(who, inbox.of(who)));
            let came = (1..=last).filter(|who| inbox.of(*who) > 0).count() as u64;
            assert!(came > GUESTS && gone > came, "{came} came, {gone} are gone");
        }
    });
}
