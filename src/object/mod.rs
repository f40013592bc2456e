//! The named objects of the kernel, as types that programs use.

pub(crate) mod event;
pub(crate) mod mapping;
pub(crate) mod mutex;
pub(crate) mod options;
pub(crate) mod process;
pub(crate) mod section;
pub(crate) mod wait_handle;
