//! A client that asks for squares. Each line of its input is a number, and the number of
//! milliseconds that the server takes for the answer. The client waits one second for an answer.
//! When the server is started again, the client continues.
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
            // If the answer still comes, it is thrown away.
            Err(CallError::Timeout) => println!("no answer in time"),
            Err(CallError::Disconnected(how)) => {
                println!("the server has {how}");
                if !client.wait_for_server(RESTART)? {
                    return Err("no server came again".into());
                }
                // The client does not know whether the last server did the task. A square can be
                // computed twice. A task that must not be done twice needs a number, by which the
                // server recognizes the repeated task.
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        return Ok(());
    }
}
