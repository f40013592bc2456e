//! Calls: each request gets a response, or at once an error if no response will come.

mod ends;
mod kinds;
mod many_clients;
mod successors;
mod workers;

pub use ends::{be_victim, serve_server};
pub use successors::serve_caller;

use super::*;
use crate::common::{TestChild, start};
use shmkit::{Call, CallError, Client, Responder, Server};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::scope;

/// The number of a client plus this constant is the sender number of its responses.
const ANSWERED: u64 = 1 << 20;
/// A timeout that is longer than anything in these tests takes.
const LONG: Duration = Duration::from_secs(600);

fn server(name: &str) -> Server {
    Server::options().max_message(LONGEST).create(name).unwrap()
}

/// Creates a server whose clients may have `in_flight` pending calls, and one client.
fn pair(name: &str, in_flight: usize) -> (Server, Client) {
    let options = Server::options().max_message(LONGEST).in_flight(in_flight);
    let server = options.create(name).unwrap();
    (server, Client::open(name).unwrap())
}

/// Returns the response to a request, which must be whole. Each request has a different response.
#[track_caller]
fn answer_to(request: &[u8], max: usize) -> Vec<u8> {
    let (from, number) = whole(request, max);
    message(from + ANSWERED, number, max)
}

/// Asserts that `came` is the response to request `number` of client `from`.
#[track_caller]
fn is_answer(came: Result<&[u8], CallError>, from: u64, number: u64, max: usize) {
    let came = came.unwrap();
    assert_eq!(whole(came, max), (from + ANSWERED, number));
}

/// Receives the next request, and defers its response.
#[track_caller]
fn kept(server: &mut Server) -> (Responder, Vec<u8>) {
    let request = server.recv().unwrap();
    let bytes = request.bytes().to_vec();
    (request.defer(), bytes)
}

/// Makes one call in one of five ways. In four ways the client waits, in one it polls.
fn one_call(client: &mut Client, how: u64, request: &[u8]) -> Result<Vec<u8>, CallError> {
    let open = |client: &mut Client| client.send(request);
    match how % 5 {
        0 => client.call(request).map(<[u8]>::to_vec),
        1 => client.call_timeout(request, LONG).map(<[u8]>::to_vec),
        2 => {
            let call = open(client)?;
            client.recv(&call).map(<[u8]>::to_vec)
        }
        3 => {
            let call = open(client)?;
            client.recv_timeout(&call, LONG).map(<[u8]>::to_vec)
        }
        _ => {
            let call = open(client)?;
            loop {
                match client.try_recv(&call).map(<[u8]>::to_vec) {
                    Err(CallError::Empty) => std::hint::spin_loop(),
                    came => return came,
                }
            }
        }
    }
}

#[test]
fn requests_of_every_length_get_responses() {
    let (_test, name) = start("calls");
    let mut server = server(&name);
    let mut client = Client::open(&*name).unwrap();
    assert_eq!(
        [server.max_message(), client.max_message()],
        [LONGEST as usize; 2]
    );
    let names = [server.name(), client.name()];
    assert_eq!(names.map(ToString::to_string), [&*name; 2]);
    scope(|scope| {
        scope.spawn(move || {
            for _ in 0..=2 * LONGEST {
                let request = server.recv().unwrap();
                let answer: Vec<u8> = request.bytes().iter().rev().map(|b| b ^ 0xff).collect();
                request.respond(&answer).unwrap();
            }
        });
        for len in (0..=LONGEST as usize).chain(0..LONGEST as usize) {
            let request: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let wanted: Vec<u8> = request.iter().rev().map(|b| b ^ 0xff).collect();
            assert_eq!(client.call(&request).unwrap(), wanted);
        }
    });
    assert!(matches!(client.call(b"?"), Err(CallError::Disconnected(_))));
}

// layout: L144
#[test]
fn ordered_requests_accept_responses_in_any_order() {
    let (_test, name) = start("calls-order");
    let (mut server, mut client) = pair(&name, 8);
    let max = client.max_message();
    let mut random = Random::new();
    let mut next = 0;
    for _ in 0..500 {
        let count = 1 + random.below(8);
        let calls = (next..next + count).map(|n| (n, client.send(&message(1, n, max)).unwrap()));
        let mut calls: Vec<_> = calls.collect();
        let mut taken = Vec::new();
        for n in next..next + count {
            let one = kept(&mut server);
            assert_eq!(whole(&one.1, max), (1, n));
            taken.push(one);
        }
        assert_eq!(why(server.try_recv()), "Empty");
        while !taken.is_empty() {
            let (responder, request) = taken.swap_remove(random.below(taken.len() as u64) as usize);
            // Any thread of the process may respond.
            let answer = answer_to(&request, max);
            match random.below(20) {
                0 => scope(|s| {
                    s.spawn(move || responder.respond(&answer).unwrap())
                        .join()
                        .unwrap()
                }),
                _ => responder.respond(&answer).unwrap(),
            }
        }
        while !calls.is_empty() {
            let (n, call) = calls.swap_remove(random.below(calls.len() as u64) as usize);
            is_answer(client.recv(&call), 1, n, max);
            // The response stays available.
            is_answer(client.try_recv(&call), 1, n, max);
            is_answer(client.recv_timeout(&call, MOMENT), 1, n, max);
        }
        next += count;
    }
}

// layout: L141 L142
#[test]
fn call_beyond_in_flight_limit_is_full() {
    let (_test, name) = start("calls-full");
    for (asked, in_flight) in [(1, 1), (2, 2), (3, 4), (8, 8), (9, 16), (1000, 1024)] {
        let (mut server, mut client) = pair(&name, asked);
        assert_eq!(client.in_flight(), in_flight);
        assert_eq!(
            shmkit::inspect::segment_info(&*name).unwrap().in_flight,
            in_flight
        );
        let max = client.max_message();
        let send = |client: &mut Client, n| client.send(&message(1, n, max));
        let all = 0..in_flight as u64;
        let mut calls: Vec<Call> = all.map(|n| send(&mut client, n).unwrap()).collect();
        assert_eq!(why(client.try_send(b"more")), "Full");
        assert_eq!(why(client.send(b"more")), "Full");
        assert_eq!(why(client.call(b"more")), "Full");
        assert_eq!(why(client.call_timeout(b"more", LONG)), "Full");
        for n in 0..in_flight as u64 {
            assert_eq!(why(client.try_recv(&calls[n as usize])), "Empty");
            let (responder, request) = kept(&mut server);
            assert_eq!(whole(&request, max), (1, n));
            responder.respond(&answer_to(&request, max)).unwrap();
        }
        // All calls have a response, and the client still holds all calls.
        assert_eq!(why(client.send(b"more")), "Full");
        is_answer(client.recv(&calls[0]), 1, 0, max);
        assert_eq!(why(client.try_send(b"more")), "Full");
        assert_eq!(
            why(server.try_recv()),
            "Empty",
            "no refused request was sent"
        );
        drop(calls.remove(0));
        calls.push(client.try_send(&message(1, 7000, max)).unwrap());
        assert_eq!(why(client.try_send(b"more")), "Full");
        let (responder, request) = kept(&mut server);
        responder.respond(&answer_to(&request, max)).unwrap();
        let numbers = (1..in_flight as u64).chain([7000]);
        for (n, call) in numbers.zip(&calls) {
            is_answer(client.recv(call), 1, n, max);
        }
    }
}

/// Makes all calls that a client may have pending, and drops those in `dropped`. Asserts that the
/// next call waits until call `answered` gets its response.
fn send_waits(name: &str, dropped: &[u64], answered: u64, from_end: bool) {
    let (mut server, mut client) = pair(name, 4);
    let max = client.max_message();
    let calls = (0..4).map(|n| (n, client.send(&message(1, n, max)).unwrap()));
    let mut calls: Vec<_> = calls.collect();
    calls.retain(|(n, _)| !dropped.contains(n));
    assert_eq!(why(client.try_send(b"more")), "Full");
    assert_eq!(why(client.call_timeout(b"more", MOMENT)), "Timeout");
    let mut taken: Vec<_> = (0..4).map(|_| kept(&mut server)).collect();
    scope(|scope| {
        let waiting = scope.spawn(|| match from_end {
            true => client.call(&message(1, 9, max)).map(<[u8]>::to_vec),
            false => {
                let call = client.send(&message(1, 9, max))?;
                client.recv(&call).map(<[u8]>::to_vec)
            }
        });
        until_asleep(name, std::process::id());
        let (responder, request) = taken.remove(answered as usize);
        responder.respond(&answer_to(&request, max)).unwrap();
        let mut answer_next = |time| {
            let request = server.recv_timeout(time).ok()?;
            let answer = answer_to(request.bytes(), max);
            request.respond(&answer).ok()
        };
        let came_soon = answer_next(PROMPT).is_some();
        for (responder, request) in taken {
            responder.respond(&answer_to(&request, max)).unwrap();
        }
        if !came_soon {
            answer_next(LONG);
        }
        let came = waiting.join().unwrap().unwrap();
        is_answer(Ok(&came), 1, 9, max);
        assert!(
            came_soon,
            "no request followed the response to {answered} of {dropped:?}"
        );
    });
    for (n, call) in calls {
        is_answer(client.recv(&call), 1, n, max);
    }
}

/// A request that nothing blocks arrives within this time.
const PROMPT: Duration = Duration::from_secs(20);

#[test]
fn blocked_client_resumes_when_dropped_call_ends() {
    let (_test, name) = start("calls-dropped");
    for from_end in [false, true] {
        send_waits(&name, &[2], 2, from_end);
        send_waits(&name, &[0, 1, 2, 3], 0, from_end);
        send_waits(&name, &[0, 1, 2, 3], 3, from_end);
        send_waits(&name, &[1, 3], 3, from_end);
    }
}

#[test]
fn timed_out_recv_leaves_call_pending() {
    let (_test, name) = start("calls-timeout");
    let (mut server, mut client) = pair(&name, 4);
    let max = client.max_message();
    for time in [Duration::ZERO, Duration::from_nanos(1), MOMENT] {
        let call = client.send(&message(1, 1, max)).unwrap();
        for _ in 0..3 {
            assert_eq!(why(client.recv_timeout(&call, time)), "Timeout");
        }
        let (responder, request) = kept(&mut server);
        assert_eq!(why(client.recv_timeout(&call, time)), "Timeout");
        assert_eq!(why(client.try_recv(&call)), "Empty");
        responder.respond(&answer_to(&request, max)).unwrap();
        is_answer(client.recv_timeout(&call, time), 1, 1, max);
        // A call that has its response returns at once.
        is_answer(client.recv_timeout(&call, Duration::ZERO), 1, 1, max);
    }
    assert_eq!(why(server.recv_timeout(Duration::ZERO)), "Timeout");
    assert_eq!(why(server.recv_timeout(MOMENT)), "Timeout");
    let call = client.send(&message(1, 2, max)).unwrap();
    let (responder, request) = kept(&mut server);
    scope(|scope| {
        scope.spawn(|| is_answer(client.recv_timeout(&call, Duration::MAX), 1, 2, max));
        until_asleep(&name, std::process::id());
        responder.respond(&answer_to(&request, max)).unwrap();
    });
    scope(|scope| {
        let serving = scope.spawn(|| {
            let request = server.recv_timeout(Duration::MAX).unwrap();
            let answer = answer_to(request.bytes(), max);
            request.respond(&answer).unwrap();
        });
        until_asleep(&name, std::process::id());
        let request = message(1, 3, max);
        is_answer(client.call_timeout(&request, Duration::MAX), 1, 3, max);
        serving.join().unwrap();
    });
}

// layout: L141 L142 L148
#[test]
fn late_response_never_reaches_later_call() {
    let (_test, name) = start("calls-late");
    for in_flight in [2, 4] {
        let (mut server, mut client) = pair(&name, in_flight);
        let max = client.max_message();
        for round in 0..2000 {
            // One earlier call, or two: every second one times out, and the others are dropped.
            let mut old = Vec::new();
            for n in 0..in_flight as u64 / 2 {
                let request = message(2, 2 * round + n, max);
                if (round + n).is_multiple_of(2) {
                    let came = client.call_timeout(&request, Duration::ZERO);
                    assert_eq!(why(came), "Timeout");
                } else {
                    drop(client.send(&request).unwrap());
                }
                old.push(kept(&mut server));
            }
            let call = client.try_send(&message(1, round, max)).unwrap();
            let new = kept(&mut server);
            assert_eq!(whole(&new.1, max), (1, round));
            let mut all: Vec<_> = old.into_iter().chain([new]).collect();
            let len = all.len();
            all.rotate_left(round as usize % len);
            for (responder, request) in all {
                let late = whole(&request, max).0 == 2;
                if late && round % 3 == 2 {
                    // The call fails at the client, which does not wait for it.
                    drop(responder);
                    continue;
                }
                responder.respond(&answer_to(&request, max)).unwrap();
                if late && round % 3 == 1 {
                    let came = client.try_recv(&call).map(<[u8]>::to_vec);
                    match came {
                        Err(CallError::Empty) => {}
                        came => is_answer(Ok(&came.unwrap()), 1, round, max),
                    }
                }
            }
            is_answer(client.recv(&call), 1, round, max);
        }
    }
}

// layout: L144
#[test]
fn dropped_request_reports_unanswered_to_client() {
    let (_test, name) = start("calls-unanswered");
    let (mut server, mut client) = pair(&name, 4);
    let max = client.max_message();
    let long = vec![1; max + 1];
    for how in 0..5 {
        let calls = [0, 1].map(|n| client.send(&message(1, n, max)).unwrap());
        let refused = match how {
            0 => {
                drop(server.recv().unwrap());
                None
            }
            1 => {
                drop(server.recv().unwrap().defer());
                None
            }
            2 => server.recv().unwrap().respond(&long).err(),
            3 => server.recv().unwrap().defer().respond(&long).err(),
            _ => {
                let server = &mut server;
                let handler = AssertUnwindSafe(|| {
                    let _request = server.recv().unwrap();
                    std::panic::resume_unwind(Box::new("the handler failed"));
                });
                assert!(catch_unwind(handler).is_err());
                None
            }
        };
        if let Some(error) = refused {
            let is = format!("{error:?}");
            assert_eq!(is, format!("TooLong {{ len: {}, max: {max} }}", max + 1));
        }
        assert_eq!(why(client.recv(&calls[0])), "Unanswered", "{how}");
        assert_eq!(why(client.try_recv(&calls[0])), "Unanswered");
        let time_out = client.recv_timeout(&calls[0], Duration::ZERO);
        assert_eq!(why(time_out), "Unanswered");
        // The other call is not affected.
        assert_eq!(why(client.try_recv(&calls[1])), "Empty");
        let (responder, request) = kept(&mut server);
        responder.respond(&answer_to(&request, max)).unwrap();
        is_answer(client.recv(&calls[1]), 1, 1, max);
    }
    scope(|scope| {
        let calling = scope.spawn(|| {
            let whys = [0; 3].map(|_| why(client.call(b"a client that waits hears of it")));
            assert_eq!(whys, ["Unanswered"; 3]);
        });
        for _ in 0..3 {
            until_asleep(&name, std::process::id());
            drop(server.recv().unwrap());
        }
        calling.join().unwrap();
    });
}

// layout: L146
#[test]
fn too_long_request_is_refused_without_effect() {
    let (_test, name) = start("calls-long");
    let (mut server, mut client) = pair(&name, 1);
    let max = client.max_message();
    let long = vec![1; max + 1];
    let is = format!("TooLong {{ len: {}, max: {max} }}", max + 1);
    // More attempts than the client may have pending calls.
    for _ in 0..3 {
        assert_eq!(why(client.call(&long)), is);
        assert_eq!(why(client.call_timeout(&long, MOMENT)), is);
        assert_eq!(why(client.send(&long)), is);
        assert_eq!(why(client.try_send(&long)), is);
    }
    assert_eq!(why(server.try_recv()), "Empty");
    let call = client.try_send(&long[1..]).unwrap();
    let request = server.recv().unwrap();
    assert_eq!(request.bytes(), &long[1..]);
    request.respond(&long[1..]).unwrap();
    assert_eq!(client.recv(&call).unwrap(), &long[1..]);
    drop(call);
    // Empty requests and responses are valid.
    let call = client.try_send(b"").unwrap();
    let request = server.recv().unwrap();
    assert_eq!(request.bytes(), b"");
    request.respond(b"").unwrap();
    assert_eq!(client.recv(&call).unwrap(), b"");
}

#[test]
fn receiving_call_of_another_client_panics() {
    let (_test, name) = start("calls-foreign");
    let (_server, mut client) = pair(&name, 4);
    let mut other = Client::open(&*name).unwrap();
    let calls = [client.send(b"1").unwrap(), other.send(b"1").unwrap()];
    let panics = |client: &mut Client, call: &Call| {
        let mut all: [&mut dyn FnMut(&mut Client) -> bool; 3] = [
            &mut |client| client.recv(call).is_ok(),
            &mut |client| client.try_recv(call).is_ok(),
            &mut |client| client.recv_timeout(call, MOMENT).is_ok(),
        ];
        for work in &mut all {
            assert!(catch_unwind(AssertUnwindSafe(|| work(client))).is_err());
        }
    };
    panics(&mut client, &calls[1]);
    panics(&mut other, &calls[0]);
    assert_eq!(why(client.try_recv(&calls[0])), "Empty");
    drop(client);
    // A new client in the same slot has no access to the calls of the old one.
    let mut heir = Client::open(&*name).unwrap();
    let own = heir.send(b"1").unwrap();
    panics(&mut heir, &calls[0]);
    assert_eq!(why(heir.try_recv(&own)), "Empty");
}

#[test]
fn calls_and_responders_move_between_threads() {
    fn moves<T: Send>(_: &T) {}
    let (_test, name) = start("calls-moves");
    let (mut server, mut client) = pair(&name, 1);
    moves(&server);
    moves(&client);
    let max = client.max_message();
    for n in 0..100 {
        let call = client.send(&message(1, n, max)).unwrap();
        let (responder, request) = kept(&mut server);
        moves(&responder);
        scope(|s| {
            s.spawn(move || responder.respond(&answer_to(&request, max)).unwrap());
        });
        is_answer(client.recv(&call), 1, n, max);
        scope(|s| s.spawn(move || drop(call)).join().unwrap());
    }
}
