//! The options of the commands of topics: `publish` and `subscribe`.

use super::Measures;
use super::parse::{rate, seconds};
use clap::{Parser, ValueEnum};
use shmkit::{Access, Start};
use std::time::Duration;

/// Publish messages on a topic: every subscriber receives each of them.
///
/// The messages come from the command line, from the lines of standard input, or from a stream for
/// tests (--rate). The topic keeps the last messages for subscribers that come late or are slow. A
/// subscriber that the publisher overtakes learns how many messages it missed.
///
/// After the last message, the publisher stays until a key is pressed on the terminal, until
/// Ctrl-C, SIGTERM or SIGHUP, or until the time of --for is over. Then the topic closes, and its
/// subscribers are notified.
///
/// A line that is longer than --max-message is left out, with a remark on standard error.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit publish Prices 'EUR 1.08' 'EUR 1.09'\n  tail -f prices.log | shmkit publish Prices --access users-read-only\n  shmkit publish Test --rate 1000"
)]
pub struct Publish {
    /// The topic to create, or to join.
    pub name: String,
    /// The messages. Without a MESSAGE, or with -, each line of standard input is a message.
    #[arg(value_name = "MESSAGE")]
    pub messages: Vec<String>,
    /// Publish "message 1", "message 2" and so on: this number of messages per second.
    #[arg(long, value_name = "NUMBER", value_parser = rate, conflicts_with = "messages")]
    pub rate: Option<f64>,
    #[command(flatten)]
    pub measures: Measures,
    /// Keep at least this number of messages, of up to --max-message bytes each.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..), requires = "max_message")]
    pub keep: Option<u64>,
    /// Wait for slow subscribers, so that they miss nothing.
    #[arg(long)]
    pub lossless: bool,
    /// How many publishers the topic can have at a time. The others join by --join.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub publishers: usize,
    /// Publish on a topic that another program has created with --publishers.
    #[arg(long, conflicts_with_all = ["capacity", "max_message", "lossless", "publishers", "access"])]
    pub join: bool,
    /// Who may subscribe: same-user, users-read-only, interactive-read-only, group:NAME, or
    /// app-container or sddl:… (Windows).
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when the topic exists.
    #[arg(long)]
    pub json: bool,
}

/// Print the messages of a topic as they come.
///
/// The subscriber begins with the newest message, unless --from says otherwise. Messages that have
/// a type are printed as their fields. The number of missed messages is printed on standard error.
/// The exit code is 0 if the publisher closes or after Ctrl-C or SIGTERM, and 1 if the publisher
/// dies. The subscriber never creates an object.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit subscribe Prices\n  shmkit subscribe Prices --from start --count 10 --json\n  shmkit subscribe Prices --wait 10"
)]
pub struct Subscribe {
    /// The topic to open.
    pub name: String,
    /// The first message to print.
    #[arg(long, value_enum, default_value = "latest")]
    pub from: Begin,
    /// End after this number of messages.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Wait up to this many seconds until the publisher exists.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// Print a JSON object for each message ("values" if it has a type, otherwise "text", or "hex"
    /// if it is not UTF-8; and "sent_at_ns", the nanoseconds since 1970, if it has a time stamp), and
    /// for missed messages ("missed").
    #[arg(long)]
    pub json: bool,
}

/// The message with which a subscriber begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Begin {
    /// The oldest message that the topic still keeps.
    Start,
    /// The newest message of the topic.
    Latest,
    /// The next message that is sent.
    New,
}

impl Begin {
    pub fn start(self) -> Start {
        match self {
            Begin::Start => Start::Oldest,
            Begin::Latest => Start::Latest,
            Begin::New => Start::New,
        }
    }
}
