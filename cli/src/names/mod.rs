//! Finds the object that a name of the command line stands for.

pub mod companions;
pub mod object;
pub mod open;
pub mod prefix;
