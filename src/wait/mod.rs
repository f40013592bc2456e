//! Waiting, for threads and tasks: a wait first polls for a while, and then sleeps in the kernel.

pub(crate) mod iter;
#[cfg_attr(
    not(feature = "async"),
    allow(dead_code, reason = "only tasks use all of it")
)]
pub(crate) mod reactor;
pub(crate) mod set;
pub(crate) mod source;
pub(crate) mod spin;
