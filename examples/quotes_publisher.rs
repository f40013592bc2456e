//! A publisher of quotes, for any number of `quotes_subscriber`. The publisher never waits for the
//! subscribers, and keeps the last quotes for slow subscribers.
//!
//! ```sh
//! cargo run --example quotes_publisher -- 'Local\Quotes' 10        # quotes a second
//! cargo run --example quotes_subscriber -- 'Local\Quotes'          # in another terminal
//! ```

#[path = "quotes/protocol.rs"]
mod protocol;

use protocol::Quote;
use shmkit::Publisher;
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or("Local\\Quotes".into());
    let rate: f64 = arguments.next().as_deref().unwrap_or("10").parse()?;

    // Space for about a thousand quotes. Each quote has 24 bytes, and takes 32 bytes.
    let options = Publisher::options().capacity(32 << 10);
    let mut quotes = options.typed::<Quote>().create(&name)?;
    println!("publishing {name}");

    let pause = Duration::from_secs_f64(1.0 / rate);
    for number in 1.. {
        quotes.send(&Quote {
            number,
            price: 100.0 + (number % 64) as f64 / 8.0,
            symbol: *b"SHMK    ",
        })?;
        std::thread::sleep(pause);
    }
    Ok(())
}
