//! What stands in shared memory, as data.

pub(crate) mod describe;
pub(crate) mod layout;
pub(crate) mod payload;
