//! Calls: a request, and its response or at once the news that nobody will answer.

use super::*;
use crate::common::start;
use shmkit::{CallError, Client, Server};
use std::thread::scope;

fn server(name: &str) -> Server {
    Server::options().max_message(LONGEST).create(name).unwrap()
}

#[test]
fn a_call_is_answered_by_every_length() {
    let (_test, name) = start("calls");
    let mut server = server(&name);
    let mut client = Client::open(&*name).unwrap();
    assert_eq!(
        [server.max_message(), client.max_message()],
        [LONGEST as usize; 2]
    );
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
