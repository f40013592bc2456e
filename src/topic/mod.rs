//! A topic: one publishes, many subscribe.

pub(crate) mod backpressure;
pub(crate) mod publisher;
pub(crate) mod publishing;
pub(crate) mod subscriber;
mod subscribers;
pub(crate) mod subscribing;
