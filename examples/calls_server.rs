//! A server that answers calls with two workers, so that a long task does not delay the other
//! tasks.
//!
//! ```sh
//! cargo run --example calls_server -- 'Local\Squares'
//! cargo run --example calls_client -- 'Local\Squares'    # in another terminal: type 12 500
//! ```

#[path = "calls/protocol.rs"]
mod protocol;

use protocol::{Answer, Task};
use shmkit::Server;
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or("Local\\Squares".into());
    let first = Server::options().typed::<Task, Answer>().create(&name)?;
    let second = first.clone();
    println!("serving {name}");

    let second = std::thread::spawn(move || work(2, second).map_err(|error| error.to_string()));
    work(1, first)?;
    Ok(second.join().expect("a worker does not panic")?)
}

fn work(worker: u64, mut server: Server<Task, Answer>) -> Result<(), Box<dyn Error>> {
    loop {
        let request = server.recv()?;
        let task = *request.value();
        std::thread::sleep(Duration::from_millis(task.millis.into()));
        let square = u64::from(task.value).pow(2);
        // If the client no longer waits, this is not an error.
        request.respond(&Answer { square, worker })?;
    }
}
