//! The verbs of topics.

pub mod consume;
pub mod pace;
pub mod serve;
