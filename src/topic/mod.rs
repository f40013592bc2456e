//! A topic: one publishes, many subscribe.

pub(crate) mod backpressure;
mod crowd;
pub(crate) mod publisher;
pub(crate) mod subscriber;
