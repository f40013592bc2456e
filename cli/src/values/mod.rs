//! The commands of values: `set` and `get`.

pub mod get;
mod keys;
pub mod set;
