//! A server that answers calls with two workers: a task that takes long does not hold up
//! the others.
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
        // A client that waits no longer is no error.
        request.respond(&Answer { square, worker })?;
    }
}
