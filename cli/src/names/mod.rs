//! From a name of the command line to the object behind it.

pub mod companions;
pub mod object;
pub mod open;
pub mod prefix;
