//! The contents of shared memory, as data: offsets, type descriptions and message payloads.

pub(crate) mod describe;
pub(crate) mod layout;
pub(crate) mod payload;
