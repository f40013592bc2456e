//! The type of the messages of the topic. The publisher and the subscriber both use this file.

use shmkit::zerocopy::{FromBytes, Immutable, IntoBytes};

#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
pub struct Quote {
    pub number: u64,
    pub price: f64,
    pub symbol: [u8; 8],
}

shmkit::describe! { Quote { number: u64, price: f64, symbol: [u8; 8] } }
