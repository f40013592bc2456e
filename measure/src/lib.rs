//! Measures messages between two processes.
//!
//! - [`clock`] reads a counter of the processor, and [`Times`] collects the measured times.
//! - [`Line`] is the floor: a cache line that two processes send to and fro. No message can be
//!   faster.
//! - [`Outbox`] and [`Inbox`] are traits of everything that carries messages, such as the endpoints
//!   of shmkit. To measure round trips, one process calls [`ask`] and the other process calls
//!   [`answer`]. To measure a stream, one process calls [`produce`] and the other process calls
//!   [`consume`].
//! - [`pin`] lets a thread run only on one of the [`two_processors`].

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

/// The result of a measurement. The caller reports an error as it is, and does not distinguish the
/// causes.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
