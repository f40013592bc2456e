//! `signal`: sets or resets an event.

use crate::Outcome;
use crate::args::Signal;
use crate::names::open;
use crate::names::open::Sought;
use shmkit::Event;

pub fn run(args: &Signal) -> Outcome {
    let event = Event::open_rw(&args.name)
        .map_err(|error| open::explain(&args.name, Sought::Event, error))?;
    match args.reset {
        true => event.reset()?,
        false => event.set()?,
    }
    Ok(())
}
