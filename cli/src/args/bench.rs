//! The benchmark.

use super::parse::{seconds, size};
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Measure how fast messages go between two processes of this machine.
///
/// Shared memory (a queue in each direction) against an anonymous pipe, TCP over loopback,
/// and a Unix socket or, on Windows, a named pipe. Of each size and transport it measures
/// round trips, where a message is answered by another of its size, and a stream one way.
/// Streams carry the length in front of each message, which is one write; the receiver
/// looks at both ends of every message. The floor is a cache line that goes to and fro.
///
/// Where the system allows it, the two processes are pinned to two of the processors that
/// this program may use (taskset and start /affinity choose them). Whatever else the
/// machine does meanwhile is in the numbers.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit bench\n  shmkit bench --sizes 64,4K --seconds 60 --json\n  shmkit bench --svg bench.svg"
)]
pub struct Bench {
    /// The sizes of the messages in bytes.
    #[arg(long, value_name = "BYTES", value_parser = size, value_delimiter = ',', default_value = "64,1K,64K,1M")]
    pub sizes: Vec<u64>,
    /// About how long it takes, all in all.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "15")]
    pub seconds: Duration,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Draw a plot of it to this file; not every program is built with plots.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// The second process of a benchmark; the first one starts it.
#[derive(Debug, Parser)]
#[command(hide = true)]
pub struct BenchPeer {
    /// What all names begin with.
    pub base: String,
    /// The first process.
    pub first: u32,
    /// Where it listens.
    pub port: u16,
    /// The time for one measurement.
    #[arg(value_parser = seconds)]
    pub each: Duration,
    pub sizes: Vec<u64>,
    #[arg(long)]
    pub processor: Option<usize>,
}
