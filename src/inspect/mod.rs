//! What is there, and what this account may do: for tools.

pub(crate) mod doctor;
pub(crate) mod segment;
