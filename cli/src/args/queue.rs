//! The verbs of queues.

use super::Measures;
use super::parse::{layout, seconds};
use clap::Parser;
use shmkit::{Access, Layout};
use std::time::Duration;

/// Send messages to a receiver: those of the command line, or the lines of standard input.
///
/// They wait in a queue until they are received. Where it is full this waits for room. It
/// exits with 1 where the receiver is not there, or has gone.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit send Orders '17 pieces'\n  seq 1000 | shmkit send Orders --timeout 10"
)]
pub struct Send {
    /// The queue, which its receiver makes (shmkit recv).
    pub name: String,
    /// The messages; none, or -, for the lines of standard input.
    #[arg(value_name = "MESSAGE")]
    pub messages: Vec<String>,
    /// Wait up to this many seconds for the receiver to appear, and for room for each
    /// message [default: not for the receiver, and for room as long as it takes].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// Create a queue, and print each message that is sent to it.
///
/// Every message of every sender arrives once. The queue is there until Ctrl-C, SIGTERM or
/// SIGHUP, for as long as --for says, or until --count messages came; then its senders are
/// told that it closed.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit recv Orders\n  shmkit recv Orders --count 1 --json\n  shmkit recv Orders --type '12;8;price:0:f64[1];volume:8:u32[1];'"
)]
pub struct Recv {
    /// The queue to create.
    pub name: String,
    /// How many senders there can be at a time, 1 to 63.
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    pub senders: usize,
    #[command(flatten)]
    pub measures: Measures,
    /// What each message is made of, in the words of the layout that show --json tells; such
    /// a queue takes the senders of that type, and its messages are printed by the names of
    /// their fields.
    #[arg(long = "type", value_name = "LAYOUT", value_parser = layout, conflicts_with = "max_message")]
    pub layout: Option<Layout>,
    /// Who may send: same-user, or sddl:… (Windows). The other presets let others see the
    /// queue, and not send.
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// End after so many messages.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print a JSON object for each message: "values" with --type, else "text", or "hex" where
    /// it is no UTF-8.
    #[arg(long)]
    pub json: bool,
}
