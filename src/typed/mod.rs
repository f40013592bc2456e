//! Queues and topics whose messages are all of one type, calls whose requests and responses
//! are, and latest values that are.
//!
//! The ends have the names of those without a type, and what goes through them is the same:
//! bytes, as they stand in memory. The creator tells the type's layout by name, and who opens
//! it with another one learns which field differs. Who knows no type still gets the bytes from
//! an end without one, and their layout by [`segment_info`](crate::inspect::segment_info).
//!
//! ```
//! # let name = format!("Local\\shmkit-doc-typed-{}", std::process::id());
//! # let name = name.as_str();
//! use shmkit::typed::{Publisher, Subscriber};
//! use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
//!
//! #[repr(C)]
//! #[derive(Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
//! struct Tick {
//!     price: f64,
//!     volume: u32,
//!     symbol: [u8; 4],
//! }
//!
//! shmkit::describe! { Tick { price: f64, volume: u32, symbol: [u8; 4] } }
//!
//! // The server.
//! let mut ticks = Publisher::<Tick>::create(name)?;
//! ticks.send(&Tick { price: 101.5, volume: 3, symbol: *b"ABCD" })?;
//!
//! // A consumer.
//! let mut subscriber = Subscriber::<Tick>::open(name)?;
//! assert_eq!(subscriber.recv()?.price, 101.5);
//!
//! // One that was built with another struct.
//! #[repr(C)]
//! #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
//! struct Rate {
//!     price: f32,
//!     volume: u32,
//! }
//!
//! shmkit::describe! { Rate { price: f32, volume: u32 } }
//!
//! let error = Subscriber::<Rate>::open(name).unwrap_err();
//! assert_eq!(error.kind(), shmkit::ErrorKind::WrongType);
//! let why = "price is f64[1] at 0 there and f32[1] at 0 here";
//! assert!(error.to_string().contains(why));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod latest;
mod queue;
mod rpc;
mod topic;

pub use latest::{Reader, Writer};
pub use queue::{Receiver, Sender};
#[cfg(feature = "async")]
pub(crate) use rpc::response;
pub use rpc::{Client, Request, Responder, Server};
pub use topic::{Publisher, Subscriber};

use crate::error::channel::RecvError;
use crate::format::describe::Described;
use std::borrow::Borrow;
use std::marker::PhantomData;

/// The value that a message is.
// layout: L042
#[inline(always)]
pub(crate) fn value<T: Described>(message: Result<&[u8], RecvError>) -> Result<T, RecvError> {
    T::read_from_bytes(message?).map_err(|_| RecvError::Corrupt)
}

/// Hands out the values among messages, and notes where one is none.
fn each_value<T: Described>(mut each: impl FnMut(T), corrupt: &mut bool) -> impl FnMut(&[u8]) {
    move |message| match value(Ok(message)) {
        Ok(value) => each(value),
        Err(_) => *corrupt = true,
    }
}

/// A value, or a reference to one, as a message.
struct Message<B, T>(B, PhantomData<T>);

impl<B: Borrow<T>, T: Described> AsRef<[u8]> for Message<B, T> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.0.borrow().as_bytes()
    }
}

fn messages<B: Borrow<T>, T: Described>(
    values: impl IntoIterator<Item = B>,
) -> impl Iterator<Item = Message<B, T>> {
    values.into_iter().map(|value| Message(value, PhantomData))
}
