//! The status that the service publishes. The service and the desktop program both use this file.

use shmkit::zerocopy::{FromBytes, Immutable, IntoBytes};

pub const NAME: &str = "Global\\ShmkitExampleStatus";

#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
pub struct Status {
    /// The process id of the service.
    pub pid: u32,
    /// The number of this status, counted from 1.
    pub beat: u32,
}

shmkit::describe! { Status { pid: u32, beat: u32 } }
