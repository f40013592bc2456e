//! Tests of clients that follow one another in a slot.

use super::client::Client;
use super::server::Server;

/// A response to a call of the last client can arrive when the next client has the slot.
// layout: L145
#[test]
fn next_client_in_slot_continues_call_numbers() {
    let name = format!("shmkit-test-connection-{}", std::process::id());
    let _server = Server::options().clients(1).create(&*name).unwrap();
    let mut first = Client::open(&*name).unwrap();
    let begun = first.core.connection.begun;
    for _ in 0..3 {
        drop(first.send(b"a call").unwrap());
    }
    drop(first);

    let second = Client::open(&*name).unwrap();
    assert_eq!(second.core.connection.begun, begun + 3);
}
