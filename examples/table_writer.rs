//! The newest values of some sensors, in one table. The writer never waits, and readers get whole
//! values only. (`sensors_publisher` instead follows a protocol that another program defines.)
//!
//! ```sh
//! cargo run --example table_writer -- 'Local\Temperatures'
//! cargo run --example table_reader -- 'Local\Temperatures'    # in another terminal
//! ```

use shmkit::Writer;
use std::error::Error;
use std::time::Duration;

const SENSORS: [&str; 3] = ["cellar", "kitchen", "roof"];

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1);
    let name = name.as_deref().unwrap_or("Local\\Temperatures");
    let options = Writer::options().names(SENSORS);
    let mut table = options.typed::<f64>().create(name)?;
    // Each sensor has a value before readers look for it.
    for (index, start) in [8.0, 20.0, 15.0].into_iter().enumerate() {
        table.set_at(index, &start)?;
    }
    println!("writing {name}");

    for step in 0.. {
        std::thread::sleep(Duration::from_millis(200));
        let index = step % SENSORS.len();
        table.set_at(index, &(15.0 + f64::from(step as u32 % 50) / 10.0))?;
    }
    Ok(())
}
