//! The commands of queues: `send` and `recv`.

pub mod recv;
pub mod send;
