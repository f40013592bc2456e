//! A service that publishes its status for desktop programs. The desktop programs can only read.
//!
//! ```sh
//! cargo run --example status_service -- --console     # until Ctrl-C; on Linux SIGTERM too
//! cargo run --example status_desktop -- --owner me    # in another terminal
//! ```
//!
//! To run it as a real service, type this in an elevated prompt. The desktop program then needs no
//! `--owner`:
//!
//! ```sh
//! sc create ShmkitExampleStatus binPath= "C:\full\path\status_service.exe"
//! sc start ShmkitExampleStatus
//! ```
//!
//! On Windows, `--console` needs an elevated prompt too: only services and administrators may
//! create sections in `Global\`. On Linux, the service is a plain daemon, with or without
//! `--console`.

#[cfg(windows)]
#[path = "status/manager.rs"]
mod manager;
#[path = "status/protocol.rs"]
mod protocol;

use protocol::{NAME, Status};
use shmkit::{Access, Publisher};
use std::error::Error;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    #[cfg(windows)]
    if !std::env::args().any(|argument| argument == "--console") {
        return Ok(manager::run()?);
    }
    let (stop, stopped) = mpsc::channel();
    ctrlc::set_handler(move || {
        let _ = stop.send(());
    })?;
    serve(&stopped)
}

/// Publishes the status until the service is asked to stop. Then the publisher closes in good
/// order.
fn serve(stopped: &Receiver<()>) -> Result<(), Box<dyn Error>> {
    let name = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let name = name.as_deref().unwrap_or(NAME);
    let options = Publisher::options().access(Access::InteractiveReadOnly);
    let mut status = options.typed::<Status>().create(name)?;
    println!("serving {name}");

    let pid = std::process::id();
    for beat in 1.. {
        status.send(&Status { pid, beat })?;
        let waited = stopped.recv_timeout(Duration::from_millis(200));
        if waited != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    Ok(())
}
