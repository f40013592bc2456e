//! The verbs of topics.

use super::Measures;
use super::parse::{rate, seconds};
use clap::{Parser, ValueEnum};
use shmkit::{Access, Start};
use std::time::Duration;

/// Publish messages on a topic: every subscriber receives each of them.
///
/// The messages are those of the command line, or the lines of standard input, or a
/// stream for tests (--rate). The topic keeps the last messages for subscribers that come
/// late or are slow; a subscriber that is overtaken is told how many messages it missed.
/// After the last message the publisher stays until a key is pressed on the terminal, until
/// Ctrl-C, SIGTERM or SIGHUP, or for as long as --for says. Then its subscribers are told
/// that it closed.
///
/// A line that is longer than --max-message is left out, which is said on standard error.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit publish Prices 'EUR 1.08' 'EUR 1.09'\n  tail -f prices.log | shmkit publish Prices --access users-read-only\n  shmkit publish Test --rate 1000"
)]
pub struct Publish {
    /// The topic to create.
    pub name: String,
    /// The messages; none, or -, for the lines of standard input.
    #[arg(value_name = "MESSAGE")]
    pub messages: Vec<String>,
    /// Publish "message 1", "message 2" and so on, so many a second.
    #[arg(long, value_name = "NUMBER", value_parser = rate, conflicts_with = "messages")]
    pub rate: Option<f64>,
    #[command(flatten)]
    pub measures: Measures,
    /// Wait for slow subscribers, so that they miss nothing.
    #[arg(long)]
    pub lossless: bool,
    /// Who may subscribe: same-user, users-read-only, interactive-read-only, or sddl:…
    /// (Windows).
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when the topic is there.
    #[arg(long)]
    pub json: bool,
}

/// Print the messages of a topic as they come.
///
/// It begins with the newest message, unless --from says otherwise. Messages of a type are
/// printed by the names of its fields. The number of missed messages is printed on standard
/// error. It ends with 0 when the publisher closes, with 1 when the publisher died, and with
/// 0 on Ctrl-C or SIGTERM. It never creates anything.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit subscribe Prices\n  shmkit subscribe Prices --from start --count 10 --json\n  shmkit subscribe Prices --wait 10"
)]
pub struct Subscribe {
    /// The topic to open.
    pub name: String,
    /// Where to begin.
    #[arg(long, value_enum, default_value = "latest")]
    pub from: Begin,
    /// End after so many messages.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Wait up to this many seconds for the publisher to appear.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// Print a JSON object for each message ("values" where it has a type, else "text", or
    /// "hex" where it is no UTF-8), and for missed messages ("missed").
    #[arg(long)]
    pub json: bool,
}

/// Where a subscriber begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Begin {
    /// With the oldest message that is still kept.
    Start,
    /// With the newest message that is there.
    Latest,
    /// With the next message that is sent.
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
