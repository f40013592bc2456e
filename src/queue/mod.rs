//! A queue: many send, one receives, and nothing is lost.

pub(crate) mod receiver;
pub(crate) mod sender;

#[cfg(test)]
mod tests;
