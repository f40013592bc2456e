//! The options of the commands of queues: `send` and `recv`.

use super::Measures;
use super::parse::{layout, seconds};
use clap::Parser;
use shmkit::{Access, Layout};
use std::time::Duration;

/// Send messages to a receiver, from the command line or from the lines of standard input.
///
/// The messages stay in a queue until the receiver takes them. If the queue is full, the command
/// waits for space. The exit code is 1 if the receiver does not exist, closes or dies, or if there
/// is no space for a message within --timeout.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit send Orders '17 pieces'\n  seq 1000 | shmkit send Orders --timeout 10"
)]
pub struct Send {
    /// The queue. Its receiver creates the queue (shmkit recv).
    pub name: String,
    /// The messages. Without a MESSAGE, or with -, each line of standard input is a message.
    #[arg(value_name = "MESSAGE")]
    pub messages: Vec<String>,
    /// Wait up to this many seconds for the receiver, and for space for each message [default: do
    /// not wait for the receiver, and wait for space without a limit].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// Create a queue, and print each message that is sent to it.
///
/// Every message of every sender arrives once. The queue exists until Ctrl-C, SIGTERM or SIGHUP,
/// until the time of --for is over, or until --count messages were received. Then the queue closes,
/// and its senders are notified.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit recv Orders\n  shmkit recv Orders --count 1 --json\n  shmkit recv Orders --type '12;8;price:0:f64[1];volume:8:u32[1];'"
)]
pub struct Recv {
    /// The queue to create.
    pub name: String,
    /// The number of senders that can be connected at a time, 1 to 1023.
    #[arg(long, value_name = "NUMBER", default_value_t = 63)]
    pub senders: usize,
    #[command(flatten)]
    pub measures: Measures,
    /// The type of the messages, as the text of the layout that show --json prints. The queue then
    /// accepts only senders of this type, and each message is printed as its fields.
    #[arg(long = "type", value_name = "LAYOUT", value_parser = layout, conflicts_with = "max_message")]
    pub layout: Option<Layout>,
    /// Who may send: same-user, group:NAME, or app-container or sddl:… (Windows). With the other
    /// presets, other users can see the queue, but cannot send to it.
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// End after this number of messages.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print a JSON object for each message: "values" with --type, otherwise "text", or "hex" if
    /// the message is not UTF-8; and "sent_at_ns", the nanoseconds since 1970, with --timestamps.
    #[arg(long)]
    pub json: bool,
}
