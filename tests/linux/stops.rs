//! Participants that are stopped (SIGSTOP) and continued (SIGCONT). A stopped participant is alive:
//! it keeps what it has, processes that wait for it get their timeouts, and nothing is lost.

use crate::common::{self, Test, TestChild, eventually, refused, say, start};
use shmkit::ErrorKind::{AlreadyExists, Busy};
use shmkit::{
    CallError, Client, Delivery, Publisher, Reader, Receiver, RecvError, SendError, Sender, Server,
    Start, Subscriber, Writer,
};
use std::time::Duration;

/// The number of messages, values or calls; a participant is stopped while they are on their way.
const MANY: u64 = 3000;
/// How often a participant is stopped meanwhile.
const STOPS: u64 = 10;
const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(600);

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    {
        let [name, how] = args else {
            panic!("{args:?}");
        };
        match role {
            "sender" => send(name),
            "receiver" => receive(name),
            "publisher" => publish(name, how),
            "subscriber" => subscribe(name),
            "writer" => write(name),
            "reader" => read(name),
            "client" => call(name),
            "server" => answer(name),
            other => panic!("no role {other}"),
        }
    }
}

fn message(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(6)
}

#[track_caller]
fn number(bytes: &[u8]) -> u64 {
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(bytes, message(n));
    n
}

fn sometimes_rest(n: u64) {
    if n.is_multiple_of(50) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts a child with this role; `how` is the variant of the role.
fn child(test: &mut Test, role: &str, name: &str, how: &str) -> TestChild {
    let mut child = test.child(&format!("stops/{role}"), &[name, how]);
    child.expect("ready");
    child
}

fn signal(child: &TestChild, signal: i32) {
    let pid = child.id().try_into().unwrap();
    // SAFETY: a child of ours that was not waited for, so that it still has its pid.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Runs `meanwhile` while a child is stopped.
fn stopped<T>(child: &TestChild, meanwhile: impl FnOnce() -> T) -> T {
    signal(child, libc::SIGSTOP);
    let tasks = || std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    eventually("the child has stopped", || {
        tasks().flatten().all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap();
            stat.rsplit(')')
                .next()
                .unwrap()
                .trim_start()
                .starts_with('T')
        })
    });
    let done = meanwhile();
    signal(child, libc::SIGCONT);
    done
}

/// Checks that everything arrives in order from a child that is stopped again and again. `recv`
/// returns the next number, or `None` if none arrived in time.
fn all_come(child: &TestChild, mut recv: impl FnMut(Duration) -> Option<u64>) {
    let mut next = 0;
    let mut take = |limit| {
        let came = recv(limit)?;
        assert_eq!(came, next);
        next += 1;
        Some(next)
    };
    for stop in 0..STOPS {
        while take(LONG).unwrap() < (stop + 1) * MANY / STOPS / 2 {}
        stopped(child, || while take(SHORT).is_some() {});
    }
    while take(LONG).unwrap() < MANY {}
}

#[track_caller]
fn in_time(came: Result<&[u8], RecvError>) -> Option<u64> {
    match came {
        Ok(bytes) => Some(number(bytes)),
        Err(RecvError::Timeout) => None,
        Err(error) => panic!("{error}"),
    }
}

fn send(name: &str) {
    let mut sender = Sender::open(name).unwrap();
    say("ready");
    for n in 0..MANY {
        sender.send(&message(n)).unwrap();
        sometimes_rest(n);
    }
}

#[test]
fn stopped_sender_keeps_slot_and_messages() {
    let (mut test, name) = start("stop-sender");
    let options = Receiver::options().capacity(4096).max_message(200);
    let mut receiver = options.senders(1).create(&*name).unwrap();
    let child = child(&mut test, "sender", &name, "");
    all_come(&child, |limit| {
        let came = in_time(receiver.recv_timeout(limit));
        if came.is_none() {
            refused(Busy, Sender::open(&*name));
        }
        came
    });
    assert!(child.finish().success());
    let end = receiver.recv_timeout(LONG);
    assert_eq!(format!("{end:?}"), "Err(Disconnected(Closed))");
}

fn receive(name: &str) {
    let options = Receiver::options().capacity(4096).max_message(200);
    let mut receiver = options.create(name).unwrap();
    say("ready");
    for n in 0..MANY {
        assert_eq!(number(receiver.recv().unwrap()), n);
        sometimes_rest(n);
    }
    say("all came");
    assert!(receiver.recv().is_err());
}

#[test]
fn stopped_receiver_keeps_name_and_messages() {
    let (mut test, name) = start("stop-receiver");
    let mut child = child(&mut test, "receiver", &name, "");
    let mut sender = Sender::open(&*name).unwrap();
    let mut sent = 0;
    for stop in 1..=STOPS {
        while sent < stop * MANY / STOPS / 2 {
            sender.send_timeout(&message(sent), LONG).unwrap();
            sent += 1;
        }
        stopped(&child, || {
            let full = loop {
                match sender.send_timeout(&message(sent), SHORT) {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
            };
            assert!(matches!(full, SendError::Timeout), "{full}");
            refused(AlreadyExists, Receiver::create(&*name));
        });
    }
    for n in sent..MANY {
        sender.send_timeout(&message(n), LONG).unwrap();
    }
    child.expect("all came");
    drop(sender);
    assert!(child.finish().success());
}

fn topic(how: &str) -> shmkit::TopicOptions {
    let (capacity, delivery) = match how {
        "lossless" => (4096, Delivery::Lossless),
        // The ring holds all messages, so the subscriber must not miss any.
        "lossy" => (1 << 20, Delivery::Lossy),
        _ => (4096, Delivery::Lossy),
    };
    let options = Publisher::options().capacity(capacity).max_message(200);
    options.delivery(delivery)
}

fn publish(name: &str, how: &str) {
    let mut publisher = topic(how).create(name).unwrap();
    say("ready");
    common::hear();
    for n in 0..MANY {
        publisher.send(&message(n)).unwrap();
        sometimes_rest(n);
    }
    common::hear();
}

#[test]
fn stopped_publisher_keeps_name_and_messages() {
    let (mut test, name) = start("stop-publisher");
    for how in ["lossy", "lossless"] {
        let mut child = child(&mut test, "publisher", &name, how);
        let options = Subscriber::options().start(Start::Oldest);
        let mut subscriber = options.open(&*name).unwrap();
        child.tell("go");
        all_come(&child, |limit| {
            let came = in_time(subscriber.recv_timeout(limit));
            if came.is_none() {
                refused(AlreadyExists, Publisher::create(&*name));
            }
            came
        });
        assert_eq!(subscriber.missed(), 0);
        assert!(child.finish().success());
        let end = subscriber.recv_timeout(LONG);
        assert_eq!(format!("{end:?}"), "Err(Disconnected(Closed))");
    }
}

fn subscribe(name: &str) {
    let options = Subscriber::options().start(Start::Oldest);
    let mut subscriber = options.open(name).unwrap();
    say("ready");
    let mut next = 0;
    while next < MANY {
        match subscriber.recv() {
            Ok(bytes) => {
                assert_eq!(number(bytes), next);
                next += 1;
            }
            Err(RecvError::Lagged(missed)) => next += missed,
            Err(error) => panic!("{error}"),
        }
        sometimes_rest(next);
    }
    say(&format!("missed some: {}", subscriber.missed() > 0));
    assert!(subscriber.recv().is_err());
}

#[test]
fn stopped_subscriber_lags_only_when_lossy() {
    let (mut test, name) = start("stop-subscriber");
    for how in ["short", "lossless"] {
        let mut publisher = topic(how).create(&*name).unwrap();
        let mut child = child(&mut test, "subscriber", &name, "");
        for stop in 1..=STOPS {
            while publisher.sent() < stop * MANY / STOPS / 2 {
                let next = message(publisher.sent());
                publisher.send_timeout(&next, LONG).unwrap();
            }
            stopped(&child, || {
                let end = publisher.sent() + MANY / STOPS / 2;
                while publisher.sent() < end {
                    let next = message(publisher.sent());
                    match publisher.send_timeout(&next, SHORT) {
                        Ok(()) => {}
                        // The publisher waits for the subscriber, and does not give it up.
                        Err(SendError::Timeout) if how == "lossless" => return,
                        Err(error) => panic!("{error}"),
                    }
                }
                assert_eq!(how, "short");
            });
        }
        while publisher.sent() < MANY {
            let next = message(publisher.sent());
            publisher.send_timeout(&next, LONG).unwrap();
        }
        child.expect(&format!("missed some: {}", how == "short"));
        drop(publisher);
        assert!(child.finish().success());
    }
}

fn write(name: &str) {
    let mut writer = Writer::create(name).unwrap();
    say("ready");
    common::hear();
    for n in 0..MANY {
        writer.set(&message(n)).unwrap();
        sometimes_rest(n);
    }
    common::hear();
}

#[test]
fn stopped_writer_keeps_name_and_value() {
    let (mut test, name) = start("stop-writer");
    let mut child = child(&mut test, "writer", &name, "");
    let mut reader = Reader::open(&*name).unwrap();
    child.tell("go");
    let mut newest = 0;
    while newest < MANY - 1 {
        assert_eq!(reader.wait_change_timeout(LONG).unwrap(), 0);
        stopped(&child, || {
            let now = number(reader.get().unwrap());
            assert!(now >= newest, "{now} after {newest}");
            newest = now;
            // A change may be reported once more.
            let end = loop {
                if let Err(end) = reader.wait_change_timeout(SHORT) {
                    break end;
                }
            };
            assert!(matches!(end, RecvError::Timeout), "{end}");
            assert_eq!(number(reader.get().unwrap()), newest);
            refused(AlreadyExists, Writer::create(&*name));
        });
    }
    assert!(child.finish().success());
}

fn read(name: &str) {
    let mut reader = Reader::open(name).unwrap();
    say("ready");
    let mut newest = 0;
    while newest < MANY - 1 {
        reader.wait_change().unwrap();
        let now = number(reader.get().unwrap());
        assert!(now >= newest, "{now} after {newest}");
        newest = now;
    }
    say("has the last");
}

#[test]
fn stopped_reader_does_not_block_writer() {
    let (mut test, name) = start("stop-reader");
    let mut writer = Writer::create(&*name).unwrap();
    let mut child = child(&mut test, "reader", &name, "");
    let mut other = Reader::open(&*name).unwrap();
    for n in 0..MANY {
        let mut set = || {
            writer.set(&message(n)).unwrap();
            assert_eq!(number(other.get().unwrap()), n);
        };
        match n.is_multiple_of(MANY / STOPS) {
            true => stopped(&child, set),
            false => set(),
        }
    }
    child.expect("has the last");
    assert!(child.finish().success());
}

fn call(name: &str) {
    let mut client = Client::open(name).unwrap();
    say("ready");
    common::hear();
    for n in 0..MANY {
        assert_eq!(number(client.call(&message(n)).unwrap()), n);
        sometimes_rest(n);
    }
}

/// Answers the next request, if one arrives in time.
fn answer_one(server: &mut Server, limit: Duration) -> Option<u64> {
    let request = match server.recv_timeout(limit) {
        Ok(request) => request,
        Err(RecvError::Timeout) => return None,
        Err(error) => panic!("{error}"),
    };
    let n = number(request.bytes());
    request.respond(&message(n)).unwrap();
    Some(n)
}

#[test]
fn stopped_client_keeps_slot_and_calls() {
    let (mut test, name) = start("stop-client");
    let mut server = Server::options().clients(1).create(&*name).unwrap();
    let mut child = child(&mut test, "client", &name, "");
    child.tell("go");
    all_come(&child, |limit| {
        let came = answer_one(&mut server, limit);
        if came.is_none() {
            refused(Busy, Client::open(&*name));
        }
        came
    });
    assert!(child.finish().success());
}

fn answer(name: &str) {
    let mut server = Server::create(name).unwrap();
    say("ready");
    let mut next = 0;
    while next < MANY {
        assert_eq!(answer_one(&mut server, LONG), Some(next));
        next += 1;
    }
    common::hear();
}

#[test]
fn stopped_server_keeps_name_and_calls() {
    let (mut test, name) = start("stop-server");
    let child = child(&mut test, "server", &name, "");
    let mut client = Client::open(&*name).unwrap();
    for n in 0..MANY {
        let call = client.send(&message(n)).unwrap();
        if n.is_multiple_of(MANY / STOPS) {
            stopped(&child, || match client.recv_timeout(&call, SHORT) {
                // The server answered before it stopped.
                Ok(response) => assert_eq!(number(response), n),
                Err(CallError::Timeout) => drop(refused(AlreadyExists, Server::create(&*name))),
                Err(error) => panic!("{error}"),
            });
        }
        assert_eq!(number(client.recv_timeout(&call, LONG).unwrap()), n);
    }
    assert!(child.finish().success());
}
