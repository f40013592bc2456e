//! How a thread or a task waits: by polling for a while, and then in the kernel.

#[cfg_attr(not(feature = "async"), allow(dead_code, reason = "tasks need more"))]
pub(crate) mod reactor;
pub(crate) mod set;
pub(crate) mod source;
pub(crate) mod spin;
