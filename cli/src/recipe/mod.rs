//! The commands of the classic recipe over bare memory: `serve` and `consume`.

pub mod consume;
pub mod serve;
