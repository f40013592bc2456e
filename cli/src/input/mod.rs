//! The inputs of the program: messages, files, and reasons to end.

pub mod content;
pub mod ends;
pub mod source;
