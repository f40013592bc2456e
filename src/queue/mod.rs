//! A queue: many senders and one receiver. Each message is received once, and none is lost.
//!
//! `sender` and `receiver` are the public types. `sending` and `receiving` do the work, for
//! messages of any type.

mod ahead;
pub(crate) mod batch;
pub(crate) mod in_order;
pub(crate) mod message_ref;
mod numbered;
pub(crate) mod receiver;
pub(crate) mod receiving;
pub(crate) mod sender;
pub(crate) mod sending;
mod source;

#[cfg(test)]
mod tests;
