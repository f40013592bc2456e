//! Clients that leave in the middle of a call, and the next clients in their slots.

use super::super::kills::{self, KILLS, each_victim};
use super::many_clients::call_all;
use super::*;
use shmkit::ErrorKind::Busy;
use std::sync::atomic::AtomicBool;

/// Runs a client that follows the orders of the parent.
pub fn serve_caller(name: &str, who: u64) {
    let mut client = Client::open(name).unwrap();
    let max = client.max_message();
    let mut open = Vec::new();
    let mut next = 0;
    let mut random = Random(who);
    orders(|word, n| match word {
        "send" => {
            for _ in 0..n {
                open.push((next, client.send(&message(who, next, max)).unwrap()));
                next += 1;
            }
            say("sent");
        }
        "take" => {
            for (n, call) in open.drain(..) {
                is_answer(client.recv(&call), who, n, max);
            }
            say("taken");
        }
        "all" => {
            call_all(&mut client, who, next..next + n, &mut random);
            next += n;
            say("done");
        }
        "wait" => {
            say("waiting");
            let came = client.recv(&open[0].1);
            say(&format!("{:?}", came.map(<[u8]>::len)));
        }
        other => panic!("no order {other}"),
    });
}

/// Makes calls until it is killed. Reports a response that is not its own as `u64::MAX` in `done`.
pub fn call_until_killed(name: &str, who: u64, words: &Words) {
    let mut client = Client::open(name).unwrap();
    let max = client.max_message();
    kills::here(who);
    let mut open = Vec::new();
    let mut taken = 0;
    for n in 0.. {
        if open.len() == client.in_flight() {
            let (number, call): (u64, Call) = open.remove(n as usize % open.len());
            let came = client.recv(&call).unwrap();
            if whole(came, max) != (who + ANSWERED, number) {
                words.done(who).store(u64::MAX, SeqCst);
                return;
            }
            taken += 1;
            words.done(who).store(taken, SeqCst);
        }
        words.begun(who).store(n + 1, SeqCst);
        open.push((n, client.send(&message(who, n, max)).unwrap()));
    }
}

/// Answers most requests at once, and every third request of a victim later. Returns how many
/// requests came from each client.
fn serve(mut server: Server, stop: &AtomicBool) -> Vec<u64> {
    let max = server.max_message();
    let mut pool = Vec::new();
    let mut came = vec![0; KILLS as usize + 2];
    while !stop.load(SeqCst) {
        match server.recv_timeout(MOMENT) {
            Ok(request) => {
                let (from, number) = whole(request.bytes(), max);
                came[from as usize] += 1;
                let answer = answer_to(request.bytes(), max);
                match from < KILLS && number % 3 == 0 {
                    true => pool.push((request.defer(), answer)),
                    false => request.respond(&answer).unwrap(),
                }
            }
            Err(error) => {
                assert!(matches!(error, RecvError::Timeout), "{error}");
                for (responder, answer) in pool.drain(..).rev() {
                    responder.respond(&answer).unwrap();
                }
            }
        }
        if pool.len() > 20 {
            let (responder, answer) = pool.remove(0);
            responder.respond(&answer).unwrap();
        }
    }
    came
}

#[test]
fn clients_killed_at_random_leave_others_working() {
    let (mut test, name) = start("kill-callers");
    let mut random = Random::new();
    let words = Words::of(&name);
    // Two slots are for the surviving clients, and one for the victims, which are killed one after
    // the other.
    let options = Server::options().max_message(LONGEST).in_flight(4);
    let server = options.clients(3).create(&*name).unwrap();
    let (mine, theirs) = (KILLS, KILLS + 1);
    let mut process = child(&mut test, "caller", &[&name, &theirs.to_string()]);
    let mut client = Client::open(&*name).unwrap();
    let (stop, end) = (AtomicBool::new(false), AtomicBool::new(false));
    let (stop, end) = (&stop, &end);
    scope(|scope| {
        let serving = scope.spawn(move || serve(server, end));
        let driving = scope.spawn(move || {
            let mut called = 0;
            while !stop.load(SeqCst) {
                assert_eq!(ask(&mut process, "all 100"), "done");
                called += 100;
            }
            assert!(process.finish().success());
            called
        });
        let calling = scope.spawn(move || {
            let mut random = Random(mine);
            let mut n = 0;
            while !stop.load(SeqCst) {
                call_all(&mut client, mine, n..n + 100, &mut random);
                n += 100;
            }
            n
        });
        each_victim(&mut test, "caller", &name, |who, mut child| {
            kills::begin(who, &mut child, &mut random);
            child.kill();
        });
        stop.store(true, SeqCst);
        let called = [calling.join().unwrap(), driving.join().unwrap()];
        end.store(true, SeqCst);
        let came = serving.join().unwrap();
        assert_eq!([mine, theirs].map(|who| came[who as usize]), called);
        (0..KILLS).for_each(|who| words.agree(who, came[who as usize]));
        assert!((0..KILLS).any(|who| came[who as usize] > 0));
    });
}

/// Kills a client of another process that has sent as many requests as it may. Returns the first
/// `taken` requests, which the server has received before.
fn dead_client(test: &mut Test, name: &str, server: &mut Server, taken: usize) -> Vec<Kept> {
    let mut child = child(test, "caller", &[name, "1"]);
    let all = shmkit::inspect::segment_info(name).unwrap().in_flight;
    assert_eq!(ask(&mut child, &format!("send {all}")), "sent");
    let taken = (0..taken).map(|_| kept(server)).collect();
    child.kill();
    taken
}

type Kept = (Responder, Vec<u8>);

/// Makes as many calls of the longest messages as a client may, in the slot of an earlier client.
/// The `old` requests of that client are answered after the new ones are received (`late`), or
/// before. Asserts that each call gets its own response, and that all messages have space.
fn calls_of_the_next(name: &str, server: &mut Server, old: Vec<Kept>, late: bool, who: u64) {
    let mut client = Client::open(name).unwrap();
    let max = client.max_message();
    let request = |n: u64| vec![(who + n) as u8; max];
    let all = 0..client.in_flight() as u64;
    let calls: Vec<Call> = all
        .clone()
        .map(|n| client.try_send(&request(n)).unwrap())
        .collect();
    let old = match late {
        true => old,
        false => {
            answer_all(old);
            Vec::new()
        }
    };
    let mut new = Vec::new();
    for n in all.clone() {
        let (responder, bytes) = kept(server);
        assert_eq!(
            bytes,
            request(n),
            "the server must skip the requests of a closed client"
        );
        new.push((responder, bytes));
    }
    assert_eq!(why(server.try_recv()), "Empty");
    answer_all(old);
    // In half of the rounds the client polls now. In the others all responses are in the ring
    // together.
    if (who / 4).is_multiple_of(2) {
        let whys = calls.iter().map(|call| why(client.try_recv(call)));
        assert!(whys.into_iter().all(|why| why == "Empty"));
    }
    for (responder, bytes) in new {
        let answer: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        responder.respond(&answer).unwrap();
    }
    for n in all {
        let wanted: Vec<u8> = request(n).iter().map(|byte| !byte).collect();
        assert_eq!(client.recv(&calls[n as usize]).unwrap(), wanted);
    }
}

fn answer_all(old: Vec<Kept>) {
    for (responder, request) in old {
        // A response to a client that has gone does nothing, and is no error.
        responder.respond(&request).unwrap();
    }
}

/// Creates a server for one client, whose rings have hardly more space than is needed: 4096 bytes,
/// for 10 messages and a seventh.
fn tight(name: &str) -> Server {
    let options = Server::options().max_message(340).in_flight(8);
    options.clients(1).create(name).unwrap()
}

// layout: L145 L151 L152
#[test]
fn client_never_gets_killed_predecessors_responses() {
    let (mut test, name) = start("successors-killed");
    let mut server = tight(&name);
    for round in 0..12u64 {
        let taken = [0, 1, 4, 8][round as usize % 4];
        let mut old = dead_client(&mut test, &name, &mut server, taken);
        // The server receives requests until it notices that the client is dead.
        while let Ok(request) = server.recv_timeout(MOMENT) {
            let bytes = request.bytes().to_vec();
            old.push((request.defer(), bytes));
        }
        calls_of_the_next(&name, &mut server, old, round % 2 == 0, round);
    }
}

// layout: L151 L152
#[test]
fn server_skips_requests_of_closed_client() {
    let (_test, name) = start("successors-left");
    let mut server = tight(&name);
    let max = server.max_message();
    for round in 0..200u64 {
        let mut client = Client::open(&*name).unwrap();
        let calls: Vec<_> = (0..8)
            .map(|n| client.send(&message(9, n, max)).unwrap())
            .collect();
        let old: Vec<_> = (0..round % 9).map(|_| kept(&mut server)).collect();
        if round % 2 == 0 {
            drop(calls);
        }
        drop(client);
        assert_eq!(why(server.try_recv()), "Empty");
        if round % 3 == 0 {
            answer_all(old);
            continue;
        }
        calls_of_the_next(&name, &mut server, old, round % 3 == 1, round);
    }
}

// layout: L104 L237
#[test]
fn slot_of_killed_client_is_reused() {
    const CLIENTS: usize = 5;
    let (mut test, name) = start("successors-slots");
    let options = Server::options().max_message(LONGEST).in_flight(2);
    let mut server = options.clients(CLIENTS).create(&*name).unwrap();
    let spawn = |n: u64| TestChild::spawn("messages/caller", &[&name, &n.to_string()]);
    let mut all = children(&mut test, CLIENTS as u64, spawn);
    all.iter_mut().for_each(|child| child.expect("ready"));
    for round in 0..2 * CLIENTS {
        crate::common::refused(Busy, Client::open(&*name));
        for child in &mut all {
            assert_eq!(ask(child, "send 2"), "sent");
        }
        // The client dies before the server has received anything, or after the server has received
        // all requests.
        let mut taken: Vec<_> = match round % 2 {
            0 => Vec::new(),
            _ => (0..2 * CLIENTS).map(|_| kept(&mut server)).collect(),
        };
        let dead = all.remove(round % CLIENTS);
        let id = dead.id();
        dead.kill();
        if round % 2 == 0 {
            // The dead client is listed until the server has checked.
            assert!(others(&name).iter().any(|one| one.pid == id));
            eventually("the server notices the death", || {
                let came = server.recv_timeout(MOMENT);
                if let Ok(request) = came {
                    let bytes = request.bytes().to_vec();
                    taken.push((request.defer(), bytes));
                }
                others(&name).iter().all(|one| one.pid != id)
            });
        }
        let mut heir = Client::open(&*name).unwrap();
        let max = heir.max_message();
        crate::common::refused(Busy, Client::open(&*name));
        while let Ok(request) = server.try_recv() {
            let bytes = request.bytes().to_vec();
            taken.push((request.defer(), bytes));
        }
        let call = heir.send(&message(100, 0, max)).unwrap();
        let new = kept(&mut server);
        assert_eq!(whole(&new.1, max), (100, 0));
        taken.push(new);
        for (responder, request) in taken {
            responder.respond(&answer_to(&request, max)).unwrap();
        }
        is_answer(heir.recv(&call), 100, 0, max);
        drop(heir);
        for child in &mut all {
            assert_eq!(ask(child, "take"), "taken");
        }
        let who = (10 + round).to_string();
        all.insert(round % CLIENTS, child(&mut test, "caller", &[&name, &who]));
    }
}

#[test]
fn killed_waiting_client_leaves_server_working() {
    let (mut test, name) = start("successors-waiting");
    let mut server = tight(&name);
    for waits in [false, true] {
        let mut one = child(&mut test, "caller", &[&name, "1"]);
        assert_eq!(ask(&mut one, "send 1"), "sent");
        if waits {
            assert_eq!(ask(&mut one, "wait"), "waiting");
            until_asleep(&name, one.id());
        }
        let request = server.recv().unwrap();
        one.kill();
        // The response is sent at once, or when the next client exists.
        let bytes = request.bytes().to_vec();
        let responder = request.defer();
        if waits {
            responder.respond(&bytes).unwrap();
            calls_of_the_next(&name, &mut server, Vec::new(), false, 3);
        } else {
            calls_of_the_next(&name, &mut server, vec![(responder, bytes)], true, 3);
        }
    }
}

// layout: L145 L151
#[test]
fn requests_before_slot_reuse_are_skipped() {
    let (_test, name) = start("successors-heir");
    let mut server = tight(&name);
    let max = server.max_message();
    let mut client = Client::open(&*name).unwrap();
    let _calls = [0, 1].map(|n| client.send(&message(9, n, max)).unwrap());
    drop(client);
    calls_of_the_next(&name, &mut server, Vec::new(), false, 1);
}

// layout: L147
#[test]
fn space_of_skipped_requests_is_reused() {
    let (_test, name) = start("successors-room");
    let mut server = tight(&name);
    let ask_all = |client: &mut Client| {
        let request = vec![1; client.max_message()];
        drop([0; 8].map(|_| client.try_send(&request).unwrap()));
    };
    ask_all(&mut Client::open(&*name).unwrap());
    for _ in 0..3 {
        let mut client = Client::open(&*name).unwrap();
        // The server skips the requests of the predecessor, which frees their space.
        assert_eq!(why(server.try_recv()), "Empty");
        ask_all(&mut client);
    }
    let mut client = Client::open(&*name).unwrap();
    let request = vec![2; client.max_message()];
    let mut calls = Vec::new();
    let full = loop {
        match client.try_send(&request) {
            Ok(call) => calls.push(call),
            Err(full) => break full,
        }
    };
    assert!(matches!(full, CallError::Full) && calls.len() < 8);
    scope(|scope| {
        let asked = scope.spawn(|| client.send(&request).map(drop));
        until_asleep(&name, std::process::id());
        assert_eq!(server.recv().unwrap().bytes(), request);
        asked.join().unwrap().unwrap();
    });
}

// layout: L145
#[test]
fn new_client_has_space_for_all_responses() {
    let (_test, name) = start("successors-answers");
    let mut server = tight(&name);
    let long = vec![1; server.max_message()];
    let mut first = Client::open(&*name).unwrap();
    let _calls = [0; 8].map(|_| first.send(&long).unwrap());
    drop(first);
    let mut client = Client::open(&*name).unwrap();
    let answer_all = |server: &mut Server| {
        while let Ok(request) = server.try_recv() {
            request.respond(&long).unwrap();
        }
    };
    answer_all(&mut server);
    let calls = [0; 8].map(|_| client.send(&long).unwrap());
    answer_all(&mut server);
    for call in &calls {
        assert_eq!(client.recv(call).unwrap(), long);
    }
}
