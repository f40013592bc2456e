//! The classic recipe over bare memory.

pub mod consume;
pub mod serve;
