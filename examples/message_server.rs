//! A message server. Start the server first, and then any number of `message_consumer`.

use shmkit::Publisher;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Publisher::create("Local\\MyFileMappingObject")?;
    for line in std::io::stdin().lines() {
        server.send(line?.as_bytes())?;
    }
    Ok(())
}
