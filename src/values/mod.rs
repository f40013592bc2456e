//! Values: one writer and many readers. Each reader gets the newest whole value of one name, or of
//! a table of names.
//!
//! `writer` and `reader` are the public types. `writing` and `reading` do the work, for values of
//! any type. `holding` keeps a value in place, and `value_ref` is the reference to it.

pub(crate) mod holding;
pub(crate) mod reader;
pub(crate) mod reading;
pub(crate) mod value_ref;
pub(crate) mod writer;
pub(crate) mod writing;
