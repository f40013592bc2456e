//! The commands that change, wait for or keep single objects: `write`, `signal`, `wait`, `hold` and
//! `clean`.

pub mod clean;
pub mod hold;
pub mod signal;
pub mod wait;
pub mod write;
