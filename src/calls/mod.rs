//! Calls: a request of a client, and its response.

pub(crate) mod calling;
pub(crate) mod client;
mod connection;
pub(crate) mod pending;
pub(crate) mod request;
pub(crate) mod server;
pub(crate) mod serving;

#[cfg(test)]
mod tests;
