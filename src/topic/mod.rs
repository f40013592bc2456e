//! A topic: one publisher or several, and many subscribers. Each subscriber receives every message,
//! or the exact number of messages that it missed.
//!
//! `publisher` and `subscriber` are the public types. `publishing` and `subscribing` do the work,
//! for messages of any type. `backpressure` and `subscribers` are for lossless topics. `home`,
//! `guest`, `inlet` and `merging` are for topics of several publishers. `in_place` leaves a message in
//! its lane while it is used, and `topic_ref` is the reference to the message.

pub(crate) mod backpressure;
mod guest;
mod home;
pub(crate) mod in_order;
mod in_place;
mod inlet;
mod merging;
pub(crate) mod publisher;
pub(crate) mod publishing;
pub(crate) mod subscriber;
mod subscribers;
pub(crate) mod subscribing;
pub(crate) mod topic_ref;
