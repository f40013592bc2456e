//! A desktop program that shows the status of `status_service`. It refuses another program that has
//! taken the name of the service. When the service is started again, the desktop program continues.
//!
//! ```sh
//! cargo run --example status_service -- --console     # on Windows as administrator
//! cargo run --example status_desktop -- --owner me    # in another terminal
//! ```

#[path = "status/protocol.rs"]
mod protocol;

use protocol::{NAME, Status};
use shmkit::{Owner, RecvError, Subscriber};
use std::error::Error;
use std::time::Duration;

/// The account of services: SYSTEM, or root.
const SERVICES: &str = if cfg!(windows) { "S-1-5-18" } else { "0" };
const RESTART: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut name, mut owner) = (NAME.to_string(), Owner::Account(SERVICES.into()));
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--owner" => owner = account(&arguments.next().ok_or("--owner whose?")?),
            _ => name = argument,
        }
    }

    let options = Subscriber::options().expect_owner(owner);
    let mut status = options.typed::<Status>().open(&name)?;
    loop {
        match status.recv() {
            Ok(Status { pid, beat }) => println!("{pid} is at {beat}"),
            Err(RecvError::Lagged(missed)) => println!("missed {missed}"),
            Err(RecvError::Disconnected(how)) => {
                println!("the service has {how}");
                // The next publisher must belong to the same account.
                if !status.wait_for_publisher(RESTART)? {
                    return Err("the service did not come again".into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn account(text: &str) -> Owner {
    match text {
        "me" => Owner::Me,
        account => Owner::Account(account.into()),
    }
}
