//! The publisher of a foreign protocol with a section, a mutex and an event, which
//! `sensors/sensors.h` defines. The publisher updates the values 50 times a second.
//!
//! ```sh
//! cargo run --example sensors_publisher -- 'Local\Sensors' 500
//! ```

#[path = "sensors/protocol.rs"]
mod protocol;

use protocol::{COUNT, MAGIC, Sensors, VERSION};
use shmkit::{Event, Mutex, Reset, Section};
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(20);

fn main() -> shmkit::Result<()> {
    let (name, updates) = protocol::arguments();
    run(&name, updates)
}

pub(crate) fn run(name: &str, updates: u32) -> shmkit::Result<()> {
    // A reader opens the section first. So the section is created last, after the mutex and the
    // event.
    let mutex = Mutex::create_new(protocol::mutex(name).as_str())?;
    let updated = Event::create_new(protocol::event(name).as_str(), Reset::Auto)?;
    let section = Section::create_new(name, size_of::<Sensors>() as u64)?;
    let view = section.map_rw(..)?;
    println!("publishing {name}");

    let start = Instant::now();
    for update in 1..=updates {
        let sensors = Sensors {
            magic: MAGIC,
            version: VERSION,
            count: COUNT as u32,
            update,
            values: std::array::from_fn(|n| f64::from(update) + n as f64 / 8.0),
        };
        // The mutex may be abandoned: a reader that died during its copy has written nothing.
        let guard = mutex.lock()?.into_guard();
        view.write_value(0, &sensors)?;
        drop(guard);
        updated.set()?;
        std::thread::sleep((start + PERIOD * update).saturating_duration_since(Instant::now()));
    }
    Ok(())
}
