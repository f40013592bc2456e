//! A message consumer. It prints the last message that `message_server` sent, and all following
//! messages.

use shmkit::{DisconnectReason, RecvError, Subscriber};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut messages = Subscriber::open("Local\\MyFileMappingObject")?;
    loop {
        match messages.recv() {
            Ok(message) => println!("{}", String::from_utf8_lossy(message)),
            Err(RecvError::Lagged(missed)) => eprintln!("missed {missed} messages"),
            Err(RecvError::Disconnected(DisconnectReason::Closed)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
