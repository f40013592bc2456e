//! Servers that close, servers that are killed, and servers that do not exist yet.

use super::super::kills::{KILLS, each_victim};
use super::*;
use crate::common::{gone, refused};
use shmkit::ErrorKind::{AlreadyExists, NotFound};
use std::sync::Barrier;

pub fn be_victim(kind: &str, name: &str, who: u64, words: &Words) {
    match kind {
        "caller" => super::successors::call_until_killed(name, who, words),
        "server" => {
            let (mut server, max) = (server(name), LONGEST as usize);
            say("here");
            loop {
                let request = server.recv().unwrap();
                let answer = answer_to(request.bytes(), max);
                request.respond(&answer).unwrap();
            }
        }
        other => panic!("no victim {other}"),
    }
}

/// Runs a server that follows the orders of the parent.
pub fn serve_server(name: &str) {
    let mut server = Some(server(name));
    let mut taken = Vec::new();
    orders(|word, n| match word {
        "take" => {
            let server = server.as_mut().unwrap();
            taken.extend((0..n).map(|_| kept(server)));
            say("taken");
        }
        "answer" => {
            for (responder, request) in taken.drain(..n as usize) {
                let answer = answer_to(&request, LONGEST as usize);
                responder.respond(&answer).unwrap();
            }
            say("answered");
        }
        "drop" => {
            server = None;
            say("dropped");
        }
        other => panic!("no order {other}"),
    });
}

/// The number of ways to wait for a server that will not answer, and how many of the ways sleep.
const WAYS: usize = 8;
const SLEEP: usize = 6;

fn wait_in_vain(name: &str, way: usize, sent: &Barrier) -> String {
    let mut client = Client::open(name).unwrap();
    let max = client.max_message();
    let request = message(way as u64, 0, max);
    let several = |client: &mut Client, n: usize| {
        let calls: Vec<_> = (0..n).map(|_| client.send(&request).unwrap()).collect();
        sent.wait();
        calls
    };
    match way {
        0 => {
            sent.wait();
            why(client.call(&request))
        }
        1 => {
            sent.wait();
            why(client.call_timeout(&request, LONG))
        }
        2 => {
            let calls = several(&mut client, 8);
            let all = calls.iter().rev().map(|call| why(client.recv(call)));
            let mut all: Vec<_> = all.collect();
            all.dedup();
            all.join(" and ")
        }
        3 => {
            let calls = several(&mut client, 3);
            why(client.recv_timeout(&calls[1], LONG))
        }
        4 | 5 => {
            // All calls of the client are pending.
            drop(several(&mut client, 8));
            match way {
                4 => why(client.send(&request)),
                _ => why(client.call_timeout(&request, LONG)),
            }
        }
        _ => {
            let calls = several(&mut client, way - 5);
            loop {
                let came = client.try_recv(calls.last().unwrap());
                match why(came).as_str() {
                    "Empty" => std::hint::spin_loop(),
                    other => return other.to_string(),
                }
            }
        }
    }
}

/// The number of requests of all ways together, with one request from before.
const ASKED: u64 = 1 + 1 + 8 + 3 + 8 + 8 + 1 + 2 + 1;

/// Ends a server with `go` while it has unanswered requests, which it has `received` or not.
/// Asserts that each wait then ends with `how`.
fn a_server_goes(how: &str, received: bool, go: impl FnOnce(TestChild) -> Option<TestChild>) {
    let (mut test, name) = start("ends");
    let mut process = child(&mut test, "server", &[&name]);
    let mut early = Client::open(&*name).unwrap();
    let max = early.max_message();
    let calls = [0, 1, 2].map(|n| early.send(&message(1, n, max)).unwrap());
    assert_eq!(ask(&mut process, "take 2"), "taken");
    assert_eq!(ask(&mut process, "answer 2"), "answered");
    let sent = Barrier::new(WAYS + 1);
    scope(|scope| {
        let (name, sent) = (&name, &sent);
        let wait = |way| scope.spawn(move || wait_in_vain(name, way, sent));
        let waiting: Vec<_> = (0..WAYS).map(wait).collect();
        sent.wait();
        if received {
            assert_eq!(ask(&mut process, &format!("take {ASKED}")), "taken");
        }
        eventually("all ways that sleep are asleep", || {
            let me = std::process::id();
            let sleeps = |one: &Participant| one.pid == me && one.asleep;
            others(name).into_iter().filter(sleeps).count() == SLEEP
        });
        let rest = go(process);
        for (way, one) in waiting.into_iter().enumerate() {
            assert_eq!(one.join().unwrap(), how, "way {way}");
        }
        // The responses from before the end are received.
        is_answer(early.recv(&calls[1]), 1, 1, max);
        is_answer(early.try_recv(&calls[0]), 1, 0, max);
        assert_eq!(why(early.recv(&calls[2])), how);
        assert_eq!(why(early.recv_timeout(&calls[2], LONG)), how);
        assert_eq!(why(early.send(b"more")), how);
        assert_eq!(why(early.try_send(b"more")), how);
        assert_eq!(why(early.call(b"more")), how);
        is_answer(early.recv(&calls[1]), 1, 1, max);
        // The name is gone although `early` still has its objects open.
        gone(|| Client::open(&**name));
        drop(rest);
    });
}

#[test]
fn killed_server_ends_every_client_wait() {
    for received in [false, true] {
        a_server_goes("Disconnected(Died)", received, |process| {
            process.kill();
            None
        });
    }
}

// layout: L150
#[test]
fn closed_server_ends_every_client_wait() {
    a_server_goes("Disconnected(Closed)", false, |mut process| {
        assert_eq!(ask(&mut process, "drop"), "dropped");
        Some(process)
    });
}

// layout: L150
#[test]
fn responses_sent_before_close_are_received() {
    let (_test, name) = start("ends-answered");
    for left in 0..3 {
        let (mut server, mut client) = pair(&name, 8);
        let max = client.max_message();
        let calls = (0..8).map(|n| client.send(&message(1, n, max)).unwrap());
        let calls: Vec<_> = calls.collect();
        let mut taken: Vec<_> = (0..8 - left).map(|_| kept(&mut server)).collect();
        let unanswered = taken.pop().unwrap();
        for (responder, request) in taken.into_iter().rev() {
            responder.respond(&answer_to(&request, max)).unwrap();
        }
        drop(server);
        refused(AlreadyExists, Server::create(&*name));
        // The request that is not answered yet keeps the server draining.
        assert_eq!(why(client.try_recv(&calls[7 - left])), "Empty");
        drop(unanswered);
        assert_eq!(why(client.try_recv(&calls[7 - left])), "Unanswered");
        for (n, call) in (0..).zip(&calls[..7 - left]) {
            is_answer(client.recv(call), 1, n, max);
        }
        for call in &calls[8 - left..] {
            assert_eq!(why(client.recv(call)), "Disconnected(Closed)");
            assert_eq!(why(client.try_recv(call)), "Disconnected(Closed)");
        }
        refused(NotFound, Client::open(&*name));
    }
}

#[test]
fn server_killed_at_random_disconnects_clients() {
    let (mut test, name) = start("kill-server");
    let mut random = Random::new();
    each_victim(&mut test, "server", &name, |who, mut child| {
        child.tell("go");
        child.expect("here");
        let clients = [(); 3].map(|()| Client::open(&*name).unwrap());
        scope(|scope| {
            let all = (0..).zip(clients).map(|(from, mut client)| {
                let max = client.max_message();
                scope.spawn(move || {
                    for n in 0.. {
                        match one_call(&mut client, n + who + from, &message(from, n, max)) {
                            Ok(came) => is_answer(Ok(&came), from, n, max),
                            Err(end) => return format!("{end:?}"),
                        }
                    }
                    unreachable!()
                })
            });
            let all: Vec<_> = all.collect();
            random.pause();
            child.kill();
            for one in all {
                assert_eq!(one.join().unwrap(), "Disconnected(Died)");
            }
        });
        gone(|| Client::open(&*name));
    });
    assert_ne!(KILLS, 0);
}

/// After the last worker has gone, a received request may still be answered. All other calls end.
// layout: L028 L090 L102 L146 L149 L154
#[test]
fn draining_server_refuses_calls_but_answers_received() {
    let (mut test, name) = start("draining");
    let mut process = child(&mut test, "server", &[&name]);
    let mut client = Client::open(&*name).unwrap();
    let mut other = Client::open(&*name).unwrap();
    let mut set = shmkit::WaitSet::new();
    let max = client.max_message();
    let request = message(1, 1, max);
    let received = client.send(&request).unwrap();
    assert_eq!(ask(&mut process, "take 1"), "taken");
    let left = client.send(&message(1, 2, max)).unwrap();
    scope(|scope| {
        let waiting = scope.spawn(|| why(other.call(&message(2, 1, max))));
        until_asleep(&name, std::process::id());
        assert_eq!(ask(&mut process, "drop 0"), "dropped");
        // The call has no timeout, and ends at once.
        assert_eq!(waiting.join().unwrap(), "Disconnected(Closed)");
    });
    assert_eq!(why(client.recv(&left)), "Disconnected(Closed)");
    assert_eq!(why(client.call(b"late")), "Disconnected(Closed)");
    assert_eq!(
        why(client.try_send(b"late").map(drop)),
        "Disconnected(Closed)"
    );
    assert_eq!(why(client.try_recv(&received)), "Empty");
    assert_eq!(
        why(Client::open(&*name).unwrap().call(b"late")),
        "Disconnected(Closed)"
    );
    assert_eq!(set.wait_timeout(&mut [&mut client], MOMENT).unwrap(), None);
    assert_eq!(ask(&mut process, "answer 1"), "answered");
    assert_eq!(set.wait(&mut [&mut client]).unwrap(), 0);
    assert_eq!(client.recv(&received).unwrap(), answer_to(&request, max));
    assert_eq!(why(client.call(b"late")), "Disconnected(Closed)");
}

/// A client that waits because all its calls are pending stops waiting when the last worker goes,
/// although these calls were received and may still be answered.
// layout: L147
#[test]
fn draining_server_disconnects_client_at_call_limit() {
    let (_test, name) = start("draining-place");
    let (mut server, mut client) = pair(&name, 8);
    let max = client.max_message();
    for n in 0..8 {
        // The call is dropped, so that its response makes space for another call at once.
        drop(client.send(&message(1, n, max)).unwrap());
    }
    let received: Vec<_> = (0..8).map(|_| kept(&mut server)).collect();
    let ended = scope(|scope| {
        let client = &mut client;
        let waiting = scope.spawn(move || why(client.call_timeout(b"more", LONG)));
        until_asleep(&name, std::process::id());
        drop(server);
        waiting.join().unwrap()
    });
    assert_eq!(ended, "Disconnected(Closed)");
    assert_eq!(why(client.send(b"more").map(drop)), "Disconnected(Closed)");
    drop(received);
}

#[test]
fn client_open_waits_for_server() {
    let (mut test, name) = start("ends-wait");
    refused(NotFound, Client::open(&*name));
    for time in [Duration::ZERO, MOMENT, 20 * MOMENT] {
        refused(NotFound, Client::options().wait(time).open(&*name));
    }
    for time in [LONG, Duration::MAX] {
        let begun = Barrier::new(2);
        let process = scope(|scope| {
            let calling = scope.spawn(|| {
                let options = Client::options().wait(time);
                begun.wait();
                let mut client = options.open(&*name).unwrap();
                let max = client.max_message();
                // The client stays until its request is received.
                let call = client.send(&message(1, 1, max)).unwrap();
                (client, call)
            });
            begun.wait();
            let mut process = child(&mut test, "server", &[&name]);
            assert_eq!(ask(&mut process, "take 1"), "taken");
            drop(calling.join().unwrap());
            process
        });
        // A client does not wait for a server that exists.
        Client::options().wait(LONG).open(&*name).unwrap();
        process.kill();
        gone(|| Client::options().wait(MOMENT).open(&*name));
    }
    // A client does not wait at a segment of another kind either.
    let _queue = queue(&name);
    let options = Client::options().wait(LONG);
    refused(shmkit::ErrorKind::WrongKind, options.open(&*name));
}
