//! A queue: many senders, one receiver, and no message is lost.

pub(crate) mod batch;
pub(crate) mod message_ref;
pub(crate) mod receiver;
pub(crate) mod receiving;
pub(crate) mod sender;
pub(crate) mod sending;

#[cfg(test)]
mod tests;
