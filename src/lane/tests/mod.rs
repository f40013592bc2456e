//! Tests of lanes: under a model checker, against naive models, and in corrupt memory.

mod corrupt;
mod delayed;
mod example;
mod late;
// The models check the memory order and no system. The coroutines of loom cannot unwind on Windows.
#[cfg(all(test, not(miri), not(windows)))]
pub(crate) mod loom;
mod model;
mod probe;
#[cfg(all(test, not(miri), not(windows)))]
mod succession;
