//! What is measured, in which order: both processes go by the same plan.

use crate::args::Bench;
use std::time::Duration;

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    SharedMemory,
    Pipe,
    /// The system's own way between the programs of one machine.
    Local,
    Tcp,
}

impl Transport {
    /// Shared memory first: the others are compared with it.
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
    /// What all names begin with.
    pub base: String,
    /// From short to long.
    pub sizes: Vec<u64>,
    /// The time for one measurement.
    pub each: Duration,
}

impl Plan {
    pub fn new(args: &Bench) -> Plan {
        let mut sizes = args.sizes.clone();
        sizes.sort_unstable();
        sizes.dedup();
        // Of each size and transport a round trip and a stream, which warm up for a tenth
        // of their time, and the floor.
        let parts = 2.2 * (sizes.len() * Transport::ALL.len()) as f64 + 1.0;
        Plan {
            base: format!("shmkit-bench-{}", std::process::id()),
            sizes,
            each: args.seconds.div_f64(parts),
        }
    }

    /// The longest message.
    pub fn longest(&self) -> u64 {
        self.sizes.last().copied().unwrap_or_default()
    }

    /// The queue in which the first process receives.
    pub fn queue_here(&self) -> String {
        format!("Local\\{}-here", self.base)
    }

    /// The queue in which the second process receives.
    pub fn queue_there(&self) -> String {
        format!("Local\\{}-there", self.base)
    }

    /// The cache line of the floor.
    pub fn floor(&self) -> String {
        format!("Local\\{}-floor", self.base)
    }
}
