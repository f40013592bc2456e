//! Values: one writes, and many read the newest.

pub(crate) mod reader;
pub(crate) mod reading;
pub(crate) mod writer;
pub(crate) mod writing;
