//! Calls: a request of a client, and its response.

pub(crate) mod client;
pub(crate) mod server;
