//! Slots under a model checker, and beside a plain model of them.

#[cfg(all(test, not(miri), not(windows)))]
pub(crate) mod loom;
mod model;
