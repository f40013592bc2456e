//! Clones of a server, which share its load.

use super::*;
use crate::common::refused;
use shmkit::ErrorKind::{AlreadyExists, NotFound};

#[test]
fn server_closes_with_its_last_worker() {
    let (_test, name) = start("workers-last");
    for first in [true, false] {
        let (server, mut client) = pair(&name, 8);
        let max = client.max_message();
        let clone = server.clone();
        let (gone, mut left) = match first {
            true => (server, clone),
            false => (clone, server),
        };
        drop(gone);
        assert_eq!(left.name().to_string(), name);
        for n in 0..100 {
            let call = client.send(&message(1, n, max)).unwrap();
            let request = left.recv().unwrap();
            let answer = answer_to(request.bytes(), max);
            request.respond(&answer).unwrap();
            is_answer(client.recv(&call), 1, n, max);
        }
        // A clone of the last worker works as well.
        let mut clone = left.clone();
        let call = client.send(&message(1, 200, max)).unwrap();
        let (responder, request) = kept(&mut clone);
        drop((left, clone));
        refused(AlreadyExists, Server::create(&*name));
        assert_eq!(why(client.try_recv(&call)), "Empty");
        let late = client.try_send(&message(1, 201, max)).map(drop);
        assert_eq!(why(late), "Disconnected(Closed)");
        responder.respond(&answer_to(&request, max)).unwrap();
        is_answer(client.recv(&call), 1, 200, max);
        refused(NotFound, Client::open(&*name));
    }
}

#[test]
fn follower_recv_timeout_expires_while_leader_waits() {
    let (_test, name) = start("workers-turn");
    let (server, mut client) = pair(&name, 8);
    let max = client.max_message();
    let mut others = [server.clone(), server.clone()];
    let mut waits = server;
    scope(|scope| {
        let waiting = scope.spawn(move || {
            let request = waits.recv().unwrap();
            let answer = answer_to(request.bytes(), max);
            request.respond(&answer).unwrap();
        });
        until_asleep(&name, std::process::id());
        for other in &mut others {
            assert_eq!(why(other.try_recv()), "Empty");
            assert_eq!(why(other.recv_timeout(Duration::ZERO)), "Timeout");
            assert_eq!(why(other.recv_timeout(MOMENT)), "Timeout");
            assert_eq!(why(other.recv_timeout(20 * MOMENT)), "Timeout");
        }
        is_answer(client.call(&message(1, 1, max)), 1, 1, max);
        waiting.join().unwrap();
    });
    // The leader has gone, and another worker becomes the leader.
    let call = client.send(&message(1, 2, max)).unwrap();
    let request = others[1].recv_timeout(LONG).unwrap();
    let answer = answer_to(request.bytes(), max);
    request.respond(&answer).unwrap();
    is_answer(client.recv(&call), 1, 2, max);
}

/// Runs `count` workers that handle one request each at the same time.
fn all_handle(name: &str, count: u64) {
    let (server, mut client) = pair(name, 8);
    let max = client.max_message();
    let mut workers: Vec<_> = (0..count).map(|_| server.clone()).collect();
    drop(server);
    for round in 0..50 {
        let numbers = count * round..count * (round + 1);
        let calls = numbers
            .clone()
            .map(|n| client.send(&message(1, n, max)).unwrap());
        let calls: Vec<_> = calls.collect();
        let mut open = Vec::new();
        // Each worker keeps its request and the bytes of that request while the next worker
        // receives.
        for (n, worker) in numbers.clone().zip(&mut workers) {
            let request = worker.recv().unwrap();
            assert_eq!(whole(request.bytes(), max), (1, n));
            open.push(request);
        }
        for request in open.into_iter().rev() {
            let answer = answer_to(request.bytes(), max);
            request.respond(&answer).unwrap();
        }
        for (n, call) in numbers.zip(&calls) {
            is_answer(client.recv(call), 1, n, max);
        }
    }
}

#[test]
fn busy_worker_does_not_block_other_workers() {
    let (_test, name) = start("workers-handle");
    for count in [2, 3, 8] {
        all_handle(&name, count);
    }
}

#[test]
fn sleeping_workers_wake_for_concurrent_requests() {
    let (_test, name) = start("workers-sleep");
    let (server, mut client) = pair(&name, 4);
    let max = client.max_message();
    let (tell, told) = std::sync::mpsc::channel();
    // Each worker handles its request until all four are in the middle of one.
    let all_busy = std::sync::Barrier::new(4);
    scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| server.clone()).collect();
        drop(server);
        let all_busy = &all_busy;
        for mut worker in workers {
            let tell = tell.clone();
            scope.spawn(move || {
                for _ in 0..50 {
                    let request = worker.recv().unwrap();
                    all_busy.wait();
                    let answer = answer_to(request.bytes(), max);
                    request.respond(&answer).unwrap();
                }
                tell.send(()).unwrap();
            });
        }
        for round in 0..50 {
            if round % 10 == 0 {
                until_asleep(&name, std::process::id());
            }
            let numbers = 4 * round..4 * round + 4;
            let calls = numbers
                .clone()
                .map(|n| client.send(&message(1, n, max)).unwrap());
            let calls: Vec<_> = calls.collect();
            for (n, call) in numbers.zip(&calls) {
                is_answer(client.recv(call), 1, n, max);
            }
        }
        (0..4).for_each(|_| told.recv().unwrap());
    });
    assert_eq!(why(client.call(b"more")), "Disconnected(Closed)");
}

#[test]
fn panicking_worker_leaves_others_serving() {
    let (_test, name) = start("workers-panic");
    let (mut server, mut client) = pair(&name, 4);
    let max = client.max_message();
    for n in 0..20 {
        let call = client.send(&message(1, 2 * n, max)).unwrap();
        let mut worker = server.clone();
        let ended = std::thread::spawn(move || {
            let _request = worker.recv().unwrap();
            std::panic::resume_unwind(Box::new("the handler failed"));
        });
        assert!(ended.join().is_err());
        assert_eq!(why(client.recv(&call)), "Unanswered");
        drop(call);
        let call = client.send(&message(1, 2 * n + 1, max)).unwrap();
        let (responder, request) = kept(&mut server);
        responder.respond(&answer_to(&request, max)).unwrap();
        is_answer(client.recv(&call), 1, 2 * n + 1, max);
    }
}
