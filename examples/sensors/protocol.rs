//! The protocol in Rust. `sensors.h` defines the protocol.

use shmkit::zerocopy::{FromBytes, Immutable, IntoBytes};

pub const MAGIC: u32 = 0x534e_4553;
pub const VERSION: u32 = 1;
pub const COUNT: usize = 8;

/// The struct at the beginning of the section.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
pub struct Sensors {
    pub magic: u32,
    pub version: u32,
    pub count: u32,
    pub update: u32,
    pub values: [f64; COUNT],
}

/// Returns the name of the mutex that belongs to the section.
pub fn mutex(name: &str) -> String {
    format!("{name}.mutex")
}

/// Returns the name of the event that belongs to the section.
pub fn event(name: &str) -> String {
    format!("{name}.event")
}

/// Returns `NAME UPDATES` from the command line.
pub fn arguments() -> (String, u32) {
    let mut arguments = std::env::args().skip(1);
    let parsed = arguments
        .next()
        .zip(arguments.next().and_then(|n| n.parse().ok()));
    parsed.unwrap_or_else(|| {
        eprintln!("usage: NAME UPDATES");
        std::process::exit(2);
    })
}
