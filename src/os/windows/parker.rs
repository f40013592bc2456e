//! Where a participant sleeps: on its wake event.

use super::event::Event;
use super::signal::Signal;
use crate::access::Access;
use crate::error::{ErrorKind, Result};
use crate::name::Name;
use crate::os::{
    EventBackend, HowToCreate, MAX_PEERS, ParkPlace, ParkerBackend, Process, Reset, Wake,
};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Parker(Event);

impl ParkerBackend for Parker {
    const MAX_PEERS: usize = MAX_PEERS;

    // layout: L086
    fn create(_place: ParkPlace, event: &Name, access: &Access) -> Result<Parker> {
        let how = HowToCreate {
            access: access.clone(),
            ..HowToCreate::default()
        };
        Event::create(event, Reset::Auto, &how).map(Parker)
    }

    fn open(_place: ParkPlace, event: &Name) -> Result<Option<Parker>> {
        match Event::open_to_set(event) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(|event| Some(Parker(event))),
        }
    }

    fn unpark(&self) {
        // A failure makes the wake-up late: no sleep is longer than a second.
        let _ = self.0.set();
    }

    fn signal(&self) -> Result<Signal> {
        self.0.signal()
    }

    fn park(&self, peers: &[&Process], timeout: Duration) -> Result<Wake> {
        self.0.wait(peers, Some(timeout))
    }
}
