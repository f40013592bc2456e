//! A subscriber of quotes, one of any number. The subscriber receives every quote, or the exact
//! number of quotes that it missed. A second argument makes the subscriber slow: it is the number
//! of milliseconds for each quote.
//!
//! ```sh
//! cargo run --example quotes_publisher -- 'Local\Quotes' 1000      # quotes a second
//! cargo run --example quotes_subscriber -- 'Local\Quotes' 100      # in another terminal
//! ```

#[path = "quotes/protocol.rs"]
mod protocol;

use protocol::Quote;
use shmkit::Subscriber;
use shmkit::{DisconnectReason, RecvError};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or("Local\\Quotes".into());
    let work = Duration::from_millis(arguments.next().as_deref().unwrap_or("0").parse()?);

    // `open` fails if the publisher's quotes have different fields.
    let mut quotes = Subscriber::options().typed::<Quote>().open(&name)?;
    loop {
        match quotes.recv() {
            Ok(quote) => {
                let symbol = String::from_utf8_lossy(&quote.symbol);
                println!("{} {} {:.3}", quote.number, symbol.trim_end(), quote.price);
                std::thread::sleep(work);
            }
            Err(RecvError::Lagged(missed)) => println!("missed {missed}"),
            Err(RecvError::Disconnected(DisconnectReason::Closed)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
