//! A reader of `table_writer`. It prints all values, and then each value that changes. When the
//! writer dies, the last values stay as long as a process has the table open.
//!
//! ```sh
//! cargo run --example table_writer -- 'Local\Temperatures'
//! cargo run --example table_reader -- 'Local\Temperatures'    # in another terminal
//! ```

use shmkit::Reader;
use shmkit::RecvError;
use std::error::Error;
use std::time::Duration;

const RESTART: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1);
    let name = name.as_deref().unwrap_or("Local\\Temperatures");
    let mut table = Reader::options().typed::<f64>().open(name)?;

    let sensors = table.names().to_vec();
    for (index, sensor) in sensors.iter().enumerate() {
        println!("{sensor} is {:.1}", table.get_at(index)?);
    }

    loop {
        match table.wait_change() {
            // Prints the newest value, which may be newer than the change.
            Ok(index) => println!("{}: {:.1}", sensors[index], table.get_at(index)?),
            Err(RecvError::Disconnected(how)) => {
                let last = table.get_at(0)?;
                println!("the writer has {how}; {} is {last:.1} still", sensors[0]);
                if !table.wait_for_writer(RESTART)? {
                    return Err("no writer came again".into());
                }
                println!("there is a writer again");
            }
            Err(error) => return Err(error.into()),
        }
    }
}
