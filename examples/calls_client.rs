//! A client that asks for squares: each line of its input is a number, and the milliseconds
//! that the server is to take for it. It waits a second for an answer, and goes on when the
//! server is started again.
//!
//! ```sh
//! cargo run --example calls_server -- 'Local\Squares'
//! cargo run --example calls_client -- 'Local\Squares'    # in another terminal: type 12 500
//! ```

#[path = "calls/protocol.rs"]
mod protocol;

use protocol::{Answer, Task};
use shmkit::CallError;
use shmkit::Client;
use std::error::Error;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(1);
const RESTART: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or("Local\\Squares".into());
    let mut client = Client::options().typed::<Task, Answer>().open(&name)?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let (value, millis) = line.split_once(' ').unwrap_or((&line, "0"));
        let (value, millis) = (value.trim().parse()?, millis.trim().parse()?);
        ask(&mut client, &Task { value, millis })?;
    }
    Ok(())
}

fn ask(client: &mut Client<Task, Answer>, task: &Task) -> Result<(), Box<dyn Error>> {
    loop {
        match client.call_timeout(task, TIMEOUT) {
            Ok(Answer { square, worker }) => println!("{square}, by worker {worker}"),
            // The answer may come yet, and is thrown away then.
            Err(CallError::Timeout) => println!("no answer in time"),
            Err(CallError::Disconnected(how)) => {
                println!("the server has {how}");
                if !client.wait_for_server(RESTART)? {
                    return Err("no server came again".into());
                }
                // Whether the last one did it is not known. A square can be asked for twice;
                // what must not be done twice needs a number that the server remembers.
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        return Ok(());
    }
}
