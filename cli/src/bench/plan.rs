//! The order of the measurements. Both processes follow the same plan.

use crate::args::Bench;
use std::time::Duration;

/// The transport of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    SharedMemory,
    Pipe,
    /// A Unix socket, or a named pipe on Windows.
    Local,
    Tcp,
}

impl Transport {
    /// All transports. Shared memory is the first: the others are compared with it.
    pub const ALL: [Transport; 4] = [
        Transport::SharedMemory,
        Transport::Pipe,
        Transport::Local,
        Transport::Tcp,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Transport::SharedMemory => "shared memory",
            Transport::Pipe => "anonymous pipe",
            Transport::Local if cfg!(windows) => "named pipe",
            Transport::Local => "Unix socket",
            Transport::Tcp => "TCP",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Plan {
    /// The beginning of all names.
    pub base: String,
    /// The sizes of the messages, in ascending order.
    pub sizes: Vec<u64>,
    /// The duration of one measurement.
    pub each: Duration,
}

impl Plan {
    pub fn new(args: &Bench) -> Plan {
        let mut sizes = args.sizes.clone();
        sizes.sort_unstable();
        sizes.dedup();
        // For each size and transport, the round trips and the stream take one part each, and their
        // warm-ups a tenth of a part each. The floor takes one part.
        let parts = 2.2 * (sizes.len() * Transport::ALL.len()) as f64 + 1.0;
        Plan {
            base: format!("shmkit-bench-{}", std::process::id()),
            sizes,
            each: args.seconds.div_f64(parts),
        }
    }

    /// Returns the length of the longest message.
    pub fn longest(&self) -> u64 {
        self.sizes.last().copied().unwrap_or_default()
    }

    /// Returns the name of the queue in which the first process receives.
    pub fn queue_here(&self) -> String {
        format!("Local\\{}-here", self.base)
    }

    /// Returns the name of the queue in which the second process receives.
    pub fn queue_there(&self) -> String {
        format!("Local\\{}-there", self.base)
    }

    /// Returns the name of the section with the cache line of the floor.
    pub fn floor(&self) -> String {
        format!("Local\\{}-floor", self.base)
    }
}
