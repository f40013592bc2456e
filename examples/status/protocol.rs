//! What the service tells; the desktop program has this file too.

use shmkit::zerocopy::{FromBytes, Immutable, IntoBytes};

pub const NAME: &str = "Global\\ShmkitExampleStatus";

#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
pub struct Status {
    /// The service's process.
    pub pid: u32,
    /// How often it has told something.
    pub beat: u32,
}

shmkit::describe! { Status { pid: u32, beat: u32 } }
