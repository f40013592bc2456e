//! The verbs of topics and of bare memory.

use super::Measures;
use super::parse::{bytes, rate, seconds};
use crate::text::Encoding;
use clap::{Parser, ValueEnum};
use shmkit::{Access, Start};
use std::path::PathBuf;
use std::time::Duration;

/// Serve messages, each to every consumer; or with --raw, one text in bare memory.
///
/// The messages are those of the command line, or the lines of standard input, or a
/// stream for tests (--rate). The last ones are kept for consumers that come late or are
/// slow; one that is overtaken is told how many it missed. After the last message the
/// server stays until a key is pressed on the terminal, until Ctrl-C, SIGTERM or SIGHUP,
/// or for as long as --for says. Then its consumers are told that it closed.
///
/// A line that is longer than --max-message is left out, which is said on standard error.
///
/// With --raw this is the classic message server: it creates a section, and the text
/// stands at offset 0 and ends with a NUL. The section is gone with the server, and so
/// are the event and the mutex that may stand beside it.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit serve Prices 'EUR 1.08' 'EUR 1.09'\n  tail -f prices.log | shmkit serve Prices --access users-read-only\n  shmkit serve Test --rate 1000\n  shmkit serve --raw 'Local\\MyFileMappingObject' 'Message from first process.'\n  shmkit serve --raw Prices --size 64K --event PricesChanged --manual-reset"
)]
pub struct Serve {
    /// Serve bare memory, as the classic recipe does.
    #[arg(long, conflicts_with_all = ["Measures", "lossless", "rate"])]
    pub raw: bool,
    /// The name to serve by.
    pub name: String,
    /// The messages; none, or -, for the lines of standard input. With --raw the one text.
    #[arg(value_name = "MESSAGE")]
    pub messages: Vec<String>,
    /// Serve "message 1", "message 2" and so on, so many a second.
    #[arg(long, value_name = "NUMBER", value_parser = rate, conflicts_with = "messages")]
    pub rate: Option<f64>,
    #[command(flatten)]
    pub measures: Measures,
    /// Wait for slow consumers, so that they miss nothing.
    #[arg(long)]
    pub lossless: bool,
    /// The size in bytes: 4096, 64K, 1M, 2G, 1T, 0x1000 [default: 256, or the size of the file].
    #[arg(long, value_name = "BYTES", value_parser = bytes, requires = "raw", help_heading = RAW)]
    pub size: Option<u64>,
    /// How the text is written.
    #[arg(long, value_enum, default_value = "utf16", requires = "raw", help_heading = RAW)]
    pub encoding: Encoding,
    /// Load this file instead of a text.
    #[arg(long, value_name = "FILE", requires = "raw", conflicts_with_all = ["messages", "encoding"], help_heading = RAW)]
    pub file: Option<PathBuf>,
    /// Who may use what is created: same-user, users-read-only, interactive-read-only, or
    /// sddl:… (Windows).
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// Create an event beside the section, and set it once when the text or file is there.
    ///
    /// On Linux only its own user can wait for it, unless it is a --manual-reset one: to
    /// wait for an auto-reset event is to change it.
    #[arg(long, value_name = "NAME", requires = "raw", help_heading = RAW)]
    pub event: Option<String>,
    /// The event stays signaled until it is reset, and does not go to one waiter.
    #[arg(long, requires = "event", help_heading = RAW)]
    pub manual_reset: bool,
    /// Create a mutex beside the section.
    #[arg(long, value_name = "NAME", requires = "raw", help_heading = RAW)]
    pub mutex: Option<String>,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when it is up.
    #[arg(long)]
    pub json: bool,
}

/// The heading of the options that only bare memory has.
const RAW: &str = "Options of --raw";

/// Print the messages of a server as they come, or the text in bare memory.
///
/// It begins with the newest message, unless --from says otherwise. Messages of a type are
/// printed by the names of its fields. What it missed is said on standard error. It ends with
/// 0 when the server closes, with 1 when the server died, and with 0 on Ctrl-C or SIGTERM.
///
/// Of bare memory (serve --raw, and programs that follow the classic recipe) it prints
/// the text, up to the first NUL, and ends. It never creates anything and never writes to
/// what it reads.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit consume Prices\n  shmkit consume Prices --from start --count 10 --json\n  shmkit consume 'Local\\MyFileMappingObject' --wait 10"
)]
pub struct Consume {
    /// What to open.
    pub name: String,
    /// Where to begin.
    #[arg(long, value_enum, default_value = "latest")]
    pub from: Begin,
    /// End after so many messages.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Wait up to this many seconds for the server to appear, and its text in bare memory.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// Print a JSON object for each message ("values" where it has a type, else "text", or
    /// "hex" where it is no UTF-8), and for what was missed ("missed").
    #[arg(long)]
    pub json: bool,
    /// How the text is written [default: guessed, and said on standard error].
    #[arg(long, value_enum, help_heading = BARE)]
    pub encoding: Option<Encoding>,
    /// Show the text in a message box (Windows).
    #[arg(long, conflicts_with = "json", help_heading = BARE)]
    pub message_box: bool,
}

/// The heading of the options that are for texts in bare memory.
const BARE: &str = "Options for bare memory";

/// Where a consumer begins.
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
