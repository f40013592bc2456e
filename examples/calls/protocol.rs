//! The types of requests and answers. The server and the client both use this file.

use shmkit::zerocopy::{FromBytes, Immutable, IntoBytes};

#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
pub struct Task {
    pub value: u32,
    /// The time that the server takes for the task.
    pub millis: u32,
}

#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
pub struct Answer {
    pub square: u64,
    pub worker: u64,
}

shmkit::describe! {
    Task { value: u32, millis: u32 }
    Answer { square: u64, worker: u64 }
}
