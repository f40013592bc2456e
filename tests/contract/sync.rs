//! Tests of events and mutexes on every system. This file runs unchanged on Linux, on Windows and
//! under Wine, and uses only the public interface. `peers.rs` tests their owners, and the processes
//! that use them.

mod mutexes;

use crate::common::{
    Test, TestChild, eventually, gone, hear, is_one_namespace, listed, refused, say, start,
};
use shmkit::ErrorKind::{AlreadyExists, NotFound, ReadOnly};
use shmkit::{
    Event, Locked, Mapping, Mutex, Origin, ProcessIdentity, ReadWrite, Reset, Section, Wake,
};
use std::ops::Deref;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::scope;
use std::time::{Duration, Instant};

/// How often two processes wake each other in one leg. With `SHMKIT_TEST_LONG` there are twenty
/// legs, and so a million rounds. Each leg has its own watchdog.
const ROUNDS: u64 = 50_000;
const TURNS: u64 = 5_000;
const MOMENT: Duration = Duration::from_millis(1);

fn legs() -> usize {
    match std::env::var_os("SHMKIT_TEST_LONG") {
        Some(_) => 20,
        None => 1,
    }
}

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    match (role, args) {
        ("event", [name]) => serve_event(name),
        ("mutex", [name]) => serve_mutex(name),
        ("pong", [name]) => pong(name),
        ("take", [name]) => take(name),
        ("count", [name]) => mutexes::count(name),
        ("heir", [name, number]) => mutexes::inherit(name, number.parse().unwrap()),
        other => panic!("no role {other:?}"),
    }
}

fn children(test: &mut Test, n: u64, spawn: impl Fn(u64) -> TestChild) -> Vec<TestChild> {
    test.spawning(|| (0..n).map(spawn).collect())
}

fn serve_event(name: &str) {
    let made = Event::options().open_or_create(name, Reset::Manual);
    let (event, origin) = made.unwrap();
    say(&format!("{origin:?}"));
    while let Some(order) = hear() {
        let answer = match &*order {
            "set" => event.set().map(|()| true),
            "try" => event.try_wait(),
            "wait" => {
                say("waiting");
                event.wait().map(|()| true)
            }
            other => panic!("no order {other}"),
        };
        say(&answer.unwrap().to_string());
    }
}

fn serve_mutex(name: &str) {
    let (mutex, origin) = Mutex::options().open_or_create(name).unwrap();
    let mut guards = Vec::new();
    say(&format!("{origin:?}"));
    while let Some(order) = hear() {
        let taken = match &*order {
            "lock" | "turn" => {
                say("locking");
                Some(mutex.lock().unwrap())
            }
            "try" => mutex.try_lock().unwrap(),
            "unlock" => {
                guards.pop();
                None
            }
            other => panic!("no order {other}"),
        };
        let answer = how(taken.as_ref());
        guards.extend(taken.map(Locked::into_guard));
        if order == "turn" {
            guards.pop();
        }
        say(answer);
    }
}

fn how(locked: Option<&Locked<'_>>) -> &'static str {
    match locked {
        Some(Locked::Clean(_)) => "Clean",
        Some(Locked::Abandoned(_)) => "Abandoned",
        None => "None",
    }
}

fn ask(child: &mut TestChild, order: &str) -> String {
    child.tell(order);
    child.hear()
}

/// Returns the result of `try_lock` in another thread, which then unlocks the mutex again.
fn elsewhere(mutex: &Mutex) -> &'static str {
    scope(|scope| {
        let thread = scope.spawn(|| how(mutex.try_lock().unwrap().as_ref()));
        thread.join().unwrap()
    })
}

#[track_caller]
fn assert_gone(name: &str) {
    gone(|| Event::open(name));
    gone(|| Mutex::open(name));
}

#[track_caller]
fn event(name: &str, reset: Reset) -> Event {
    let event = Event::create_new(name, reset).unwrap();
    assert!(event.is_writable() && !event.try_wait().unwrap());
    event
}

/// A cell of a section, shared by all that have the section open.
struct Cell(Mapping<ReadWrite>);

impl Deref for Cell {
    type Target = AtomicU64;

    fn deref(&self) -> &AtomicU64 {
        self.0.atomic_u64(0).unwrap()
    }
}

fn cell(name: &str) -> Cell {
    let (section, _) = Section::open_or_create(&*format!("{name}-cell"), 64).unwrap();
    Cell(section.map_rw(..).unwrap())
}

// layout: L207
#[test]
fn auto_reset_signal_wakes_one_waiter() {
    let (_test, name) = start("auto");
    let signal = event(&name, Reset::Auto);
    let woken = AtomicUsize::new(0);
    scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                Event::open(&*name).unwrap().wait().unwrap();
                woken.fetch_add(1, SeqCst);
            });
        }
        for n in 1..=8 {
            signal.set().unwrap();
            eventually("a waiter wakes", || woken.load(SeqCst) >= n);
            assert_eq!(woken.load(SeqCst), n);
        }
    });
    // If one signal had woken two waiters, another signal would be left over.
    assert!(!signal.try_wait().unwrap());
}

#[test]
fn event_set_twice_holds_one_signal() {
    let (_test, name) = start("twice");
    let signal = event(&name, Reset::Auto);
    assert!(signal.reset_mode().is_none_or(|mode| mode == Reset::Auto));
    for _ in 0..3 {
        signal.set().unwrap();
        signal.set().unwrap();
        signal.wait().unwrap();
        assert!(!signal.try_wait().unwrap());
        signal.set().unwrap();
        signal.reset().unwrap();
        signal.reset().unwrap();
        assert!(!signal.wait_timeout(MOMENT).unwrap());
    }
}

#[test]
fn manual_reset_event_wakes_all_until_reset() {
    let (_test, name) = start("manual");
    let signal = event(&name, Reset::Manual);
    assert!(signal.reset_mode().is_none_or(|mode| mode == Reset::Manual));
    let other = Event::open(&*name).unwrap();
    for _ in 0..20 {
        scope(|scope| {
            let wait = |_| drop(scope.spawn(|| signal.wait().unwrap()));
            (0..8).for_each(wait);
            signal.set().unwrap();
            // Threads that begin to wait after the signal wake too.
            (0..8).for_each(wait);
        });
        assert!(other.try_wait().unwrap() && other.try_wait().unwrap());
        signal.reset().unwrap();
        assert!(!other.try_wait().unwrap() && !signal.try_wait().unwrap());
    }
}

#[test]
fn immediate_reset_still_wakes_all_waiters() {
    let (_test, name) = start("pulse");
    let signal = event(&name, Reset::Manual);
    for _ in 0..20 {
        let (about, woken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let awake = scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    about.fetch_add(1, SeqCst);
                    signal.wait().unwrap();
                    woken.fetch_add(1, SeqCst);
                });
            }
            eventually("all are about to wait", || about.load(SeqCst) == 3);
            // One signal is enough, but the test cannot know when the threads wait.
            for _ in 0..20 {
                std::thread::sleep(5 * MOMENT);
                if woken.load(SeqCst) == 3 {
                    break;
                }
                signal.set().unwrap();
                signal.reset().unwrap();
            }
            let awake = woken.load(SeqCst);
            signal.set().unwrap();
            awake
        });
        signal.reset().unwrap();
        assert_eq!(awake, 3, "the others slept through 20 signals");
    }
}

#[test]
fn is_set_does_not_consume_signal() {
    let (_test, name) = start("look");
    for reset in [Reset::Auto, Reset::Manual] {
        let signal = event(&name, reset);
        let other = Event::open(&*name).unwrap();
        let shows = |want| {
            let seen = [&signal, &other].map(Event::is_set);
            assert!(seen.iter().all(|set| set.is_none_or(|set| set == want)));
        };
        shows(false);
        signal.set().unwrap();
        shows(true);
        shows(true);
        assert!(other.try_wait().unwrap());
        shows(reset == Reset::Manual);
        signal.reset().unwrap();
        shows(false);
    }
}

#[test]
fn zero_and_maximum_wait_timeouts_work() {
    let (_test, name) = start("time");
    let signal = event(&name, Reset::Auto);
    let mutex = Mutex::create_new(&*(name + "-mutex")).unwrap();
    let me = ProcessIdentity::current().unwrap().watch().unwrap();
    for time in [Duration::ZERO, Duration::from_nanos(1), MOMENT] {
        assert!(!signal.wait_timeout(time).unwrap());
        let wake = signal.wait_or_death(&me, Some(time)).unwrap();
        assert_eq!(wake, Wake::TimedOut);
        assert!(!me.wait_timeout(time).unwrap());
    }
    for time in [
        Duration::MAX,
        Duration::MAX / 2,
        Duration::from_secs(1 << 40),
    ] {
        signal.set().unwrap();
        assert!(signal.wait_timeout(time).unwrap());
        scope(|scope| {
            let waiter = scope.spawn(|| signal.wait_timeout(time).unwrap());
            signal.set().unwrap();
            assert!(waiter.join().unwrap());
            let waiter = scope.spawn(|| signal.wait_or_death(&me, Some(time)).unwrap());
            signal.set().unwrap();
            assert_eq!(waiter.join().unwrap(), Wake::Signaled);
            let held = mutex.lock().unwrap();
            let taker = scope.spawn(|| how(mutex.lock_timeout(time).unwrap().as_ref()));
            drop(held);
            assert_eq!(taker.join().unwrap(), "Clean");
        });
    }
}

#[test]
fn open_or_create_keeps_event_and_mutex() {
    let (mut test, name) = start("which");
    assert_gone(&name);
    refused(NotFound, Event::open_rw(&*name));
    assert!(listed(&mut test, &name).is_none(), "opening never creates");
    let made = |reset| Event::options().open_or_create(&*name, reset).unwrap();
    let (first, origin) = made(Reset::Auto);
    assert_eq!(origin, Origin::Created);
    first.set().unwrap();
    let error = refused(AlreadyExists, Event::create_new(&*name, Reset::Manual));
    assert!(error.to_string().contains(&name), "{error}");
    let (second, origin) = made(Reset::Manual);
    assert_eq!(origin, Origin::Opened);
    assert!(second.reset_mode().is_none_or(|mode| mode == Reset::Auto));
    assert!(second.try_wait().unwrap() && !second.try_wait().unwrap());
    second.set().unwrap();
    drop((first, second));
    let made = || Mutex::options().open_or_create(&*name).unwrap();
    let (first, origin) = made();
    assert_eq!(origin, Origin::Created);
    let guard = first.lock().unwrap();
    refused(AlreadyExists, Mutex::create_new(&*name));
    let (second, origin) = made();
    assert_eq!((origin, elsewhere(&second)), (Origin::Opened, "None"));
    drop(guard);
}

#[test]
fn read_only_event_refuses_set_and_reset() {
    let (_test, name) = start("readonly");
    let signal = event(&name, Reset::Auto);
    let waiter = Event::open(&*name).unwrap();
    assert!(!waiter.is_writable());
    refused(ReadOnly, waiter.set());
    assert!(!signal.try_wait().unwrap());
    signal.set().unwrap();
    refused(ReadOnly, waiter.reset());
    assert!(waiter.try_wait().unwrap() && !signal.try_wait().unwrap());
    let setter = Event::open_rw(&*name).unwrap();
    assert!(setter.is_writable());
    setter.set().unwrap();
    assert!(waiter.try_wait().unwrap());
}

/// The waits of Windows may end up to one tick of its clock early. The waits of this library may
/// not.
#[test]
fn event_wait_never_ends_before_timeout() {
    let (_test, name) = start("early");
    let event = event(&name, Reset::Auto);
    let me = ProcessIdentity::current().unwrap().watch().unwrap();
    for millis in [1, 5, 15, 20, 40] {
        for _ in 0..4 {
            let (time, began) = (Duration::from_millis(millis), Instant::now());
            assert!(!event.wait_timeout(time).unwrap());
            assert!(began.elapsed() >= time);
            let began = Instant::now();
            assert_eq!(
                event.wait_or_death(&me, Some(time)).unwrap(),
                Wake::TimedOut
            );
            assert!(began.elapsed() >= time);
        }
    }
}

#[test]
fn bare_event_name_is_same_as_local() {
    let (_test, name) = start("scope");
    let near = event(&name, Reset::Auto);
    near.set().unwrap();
    if !is_one_namespace() {
        let far = event(&format!("Global\\{name}"), Reset::Auto);
        assert!(!far.try_wait().unwrap());
    }
    let same = Event::open(&*format!("Local\\{name}")).unwrap();
    assert!(same.try_wait().unwrap());
}

#[test]
fn event_keeps_state_until_last_holder_ends() {
    let (mut test, name) = start("lives");
    let mut child = test.child("sync/event", &[&name]);
    child.expect("Created");
    assert_eq!(ask(&mut child, "set"), "true");
    let mine = Event::open_rw(&*name).unwrap();
    child.kill();
    assert!(mine.try_wait().unwrap(), "the signal remains");
    refused(AlreadyExists, Event::create_new(&*name, Reset::Auto));
    let mut child = test.child("sync/event", &[&name]);
    child.expect("Opened");
    assert_eq!(ask(&mut child, "try"), "true");
    mine.reset().unwrap();
    assert_eq!(ask(&mut child, "try"), "false");
    assert_eq!(ask(&mut child, "wait"), "waiting");
    mine.set().unwrap();
    child.expect("true");
    drop(mine);
    assert!(Event::open(&*name).unwrap().try_wait().unwrap());
    child.kill();
    assert_gone(&name);
    drop(event(&name, Reset::Auto));
}

// layout: L206
#[test]
fn killed_waiter_consumes_no_later_signal() {
    let (mut test, name) = start("victim");
    let (signal, ack) = (event(&name, Reset::Auto), name.clone() + "-ack");
    let (_ack, taken) = (event(&ack, Reset::Auto), cell(&name));
    let mut all = children(&mut test, 11, |_| TestChild::spawn("sync/take", &[&name]));
    all.iter_mut().for_each(|child| child.expect("ready"));
    let survivor = all.pop().unwrap();
    for (n, victim) in all.into_iter().enumerate() {
        // The victim may die with the signal that it has just received.
        if n % 2 == 0 {
            signal.set().unwrap();
        }
        victim.kill();
    }
    for _ in 0..3 {
        let before = taken.load(SeqCst);
        signal.set().unwrap();
        eventually("the survivor wakes", || taken.load(SeqCst) > before);
    }
    drop(survivor);
}

fn take(name: &str) {
    let signal = Event::open(name).unwrap();
    let ack = Event::open_rw(&*format!("{name}-ack")).unwrap();
    let taken = cell(name);
    say("ready");
    loop {
        signal.wait().unwrap();
        taken.fetch_add(1, SeqCst);
        ack.set().unwrap();
    }
}

// layout: L207
#[test]
fn one_of_two_processes_takes_each_signal() {
    for _ in 0..legs() {
        let (mut test, name) = start("takers");
        let signal = event(&name, Reset::Auto);
        let ack = event(&format!("{name}-ack"), Reset::Auto);
        let taken = cell(&name);
        let mut takers = children(&mut test, 2, |_| TestChild::spawn("sync/take", &[&name]));
        takers.iter_mut().for_each(|taker| taker.expect("ready"));
        for n in 1..=ROUNDS {
            signal.set().unwrap();
            ack.wait().unwrap();
            assert_eq!(taken.load(SeqCst), n);
        }
        assert!(!signal.try_wait().unwrap() && !ack.try_wait().unwrap());
    }
}

// layout: L208
#[test]
fn event_ping_pong_delivers_each_signal_once() {
    for _ in 0..legs() {
        let (mut test, name) = start("pingpong");
        let ping = event(&name, Reset::Auto);
        let pong = event(&format!("{name}-pong"), Reset::Auto);
        let count = cell(&name);
        let mut child = test.child("sync/pong", &[&name]);
        child.expect("ready");
        let peer = ProcessIdentity::of(child.id()).unwrap().watch().unwrap();
        for n in 1..=ROUNDS {
            count.store(2 * n - 1, SeqCst);
            ping.set().unwrap();
            // A signal that comes when the timeout ends must not be lost.
            let (brief, mut wake) = (Some(Duration::from_micros(20)), Wake::TimedOut);
            while wake == Wake::TimedOut {
                let time = brief.filter(|_| n % 2 == 0);
                wake = pong.wait_or_death(&peer, time).unwrap();
            }
            assert_eq!(wake, Wake::Signaled);
            assert_eq!(count.load(SeqCst), 2 * n);
        }
        assert!(child.finish().success());
        assert!(!ping.try_wait().unwrap() && !pong.try_wait().unwrap());
    }
}

fn pong(name: &str) {
    let ping = Event::open(name).unwrap();
    let pong = Event::open_rw(&*format!("{name}-pong")).unwrap();
    let count = cell(name);
    say("ready");
    for n in 1..=ROUNDS {
        match n % 4 {
            0 => while !ping.wait_timeout(Duration::from_micros(20)).unwrap() {},
            _ => ping.wait().unwrap(),
        }
        assert_eq!(count.load(SeqCst), 2 * n - 1);
        count.store(2 * n, SeqCst);
        pong.set().unwrap();
    }
}
