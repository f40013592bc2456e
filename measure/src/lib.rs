//! How messages between two processes are measured.
//!
//! - [`clock`] reads a counter of the processor, and [`Times`] collects what it read.
//! - [`Line`] is the floor: a cache line that goes to and fro, which no message can outrun.
//! - [`Outbox`] and [`Inbox`] are anything that carries messages; the endpoints of shmkit are. One
//!   process calls [`ask`] while the other one calls [`answer`], which measures round trips, or
//!   [`produce`] while the other one calls [`consume`], which measures a stream.
//! - [`pin`] gives a thread one of [`two_processors`].

mod carrier;
pub mod clock;
mod line;
mod message;
mod processors;
mod times;
mod traffic;

pub use carrier::{Inbox, Outbox};
pub use line::{Line, Polling};
pub use message::{Burst, Message, ends};
pub use processors::{pin, two_processors};
pub use times::Times;
pub use traffic::{Flow, answer, ask, consume, produce};

/// The result of what both processes do together. An error is reported as it is: callers do not tell
/// the causes apart.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
