//! Tests of tables of values: under a model checker, and against a naive model.

#[cfg(all(test, not(miri), not(windows)))]
pub(crate) mod loom;
mod model;
