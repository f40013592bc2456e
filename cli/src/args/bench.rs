//! The options of `bench`, and of its second process.

use super::parse::{seconds, size};
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Measure how fast messages go between two processes of this machine.
///
/// The benchmark compares shared memory (a queue in each direction) with an anonymous pipe, with
/// TCP over loopback, and with a Unix socket or, on Windows, a named pipe. For each size and
/// transport it measures round trips and a stream in one direction. In a round trip, the second
/// process answers each message with a message of the same size. A pipe or socket carries the
/// length in front of each message, and both are one write. The receiver of a stream reads the
/// first and the last bytes of every message. The floor is the round trip of one cache line.
///
/// If the system allows it, the benchmark pins the two processes to two of the processors that
/// this program may use (taskset and start /affinity choose them). Other work of the machine
/// changes the numbers.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit bench\n  shmkit bench --sizes 64,4K --seconds 60 --json\n  shmkit bench --svg bench.svg"
)]
pub struct Bench {
    /// The sizes of the messages in bytes.
    #[arg(long, value_name = "BYTES", value_parser = size, value_delimiter = ',', default_value = "64,1K,64K,1M")]
    pub sizes: Vec<u64>,
    /// The approximate duration of the whole benchmark.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "15")]
    pub seconds: Duration,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Draw a plot of the results to this file. The program must be built with plots.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// The second process of a benchmark; the first one starts it.
#[derive(Debug, Parser)]
#[command(hide = true)]
pub struct BenchPeer {
    /// The beginning of all names of this benchmark.
    pub base: String,
    /// The process id of the first process.
    pub first: u32,
    /// The TCP port on which the first process listens.
    pub port: u16,
    /// The duration of one measurement.
    #[arg(value_parser = seconds)]
    pub each: Duration,
    pub sizes: Vec<u64>,
    #[arg(long)]
    pub processor: Option<usize>,
}
