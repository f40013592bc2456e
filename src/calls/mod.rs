//! Calls: one server and many clients. Each request gets one response.
//!
//! `server`, `request`, `client` and `pending` have the public types. `serving`, `calling` and
//! `connection` do the work, for messages of any type.

pub(crate) mod calling;
pub(crate) mod client;
mod connection;
pub(crate) mod pending;
pub(crate) mod request;
pub(crate) mod server;
pub(crate) mod serving;

#[cfg(test)]
mod tests;
