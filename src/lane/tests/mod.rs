//! Lanes under a model checker, beside plain models of them, and in memory that others damage.

mod corrupt;
mod delayed;
mod example;
mod late;
// The model is of the memory and not of a system; its coroutines cannot unwind on Windows.
#[cfg(all(test, not(miri), not(windows)))]
pub(crate) mod loom;
mod model;
mod probe;
