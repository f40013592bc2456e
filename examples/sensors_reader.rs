//! A reader of a foreign protocol. It waits for the event, and has the mutex during the copy only.
//! `sensors/sensors.h` defines the protocol.
//!
//! ```sh
//! cargo run --example sensors_reader -- 'Local\Sensors' 10
//! ```

#[path = "sensors/protocol.rs"]
mod protocol;

use protocol::{COUNT, MAGIC, Sensors, VERSION};
use shmkit::{Event, Locked, Mutex, Section};
use std::time::Duration;

/// A publisher that sends no update for this time has ended.
const TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> shmkit::Result<()> {
    let (name, updates) = protocol::arguments();
    run(&name, updates)
}

pub(crate) fn run(name: &str, updates: u32) -> shmkit::Result<()> {
    let section = Section::options()
        .expect_len(size_of::<Sensors>() as u64)
        .open(name)?;
    let mutex = Mutex::open(protocol::mutex(name).as_str())?;
    let updated = Event::open(protocol::event(name).as_str())?;
    let view = section.map(..size_of::<Sensors>() as u64)?;

    for _ in 0..updates {
        if !updated.wait_timeout(TIMEOUT)? {
            eprintln!("the publisher is silent");
            std::process::exit(1);
        }
        let locked = mutex.lock()?;
        if let Locked::Abandoned(_) = &locked {
            eprintln!("somebody died with the mutex; the values may be of two updates");
        }
        let sensors: Sensors = view.read_value(0)?;
        drop(locked);
        // From here on the reader uses its own copy, and the publisher can write again.
        if (sensors.magic, sensors.version) != (MAGIC, VERSION) {
            eprintln!("this is not the protocol that we know");
            std::process::exit(1);
        }
        let values = &sensors.values[..COUNT.min(sensors.count as usize)];
        println!("{} {values:.3?}", sensors.update);
    }
    Ok(())
}
