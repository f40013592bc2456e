//! The verbs of the classic recipe over bare memory.

use super::parse::{bytes, seconds};
use crate::text::Encoding;
use clap::Parser;
use shmkit::Access;
use std::path::PathBuf;
use std::time::Duration;

/// Serve a text or a file in bare memory, as the message server of the classic recipe does.
///
/// The recipe is CreateFileMapping and MapViewOfFile in the server, OpenFileMapping and
/// MapViewOfFile in the consumer. The server creates a section; the text stands at offset 0
/// and ends with a NUL. A program that follows the recipe reads it, and so does shmkit
/// consume. The section is gone with the server, and so are the event and the mutex that may
/// stand beside it.
///
/// The server stays until a key is pressed on the terminal, until Ctrl-C, SIGTERM or SIGHUP,
/// or for as long as --for says. For several messages, each to every subscriber, use shmkit
/// publish.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit serve 'Local\\MyFileMappingObject' 'Message from first process.'\n  shmkit serve Prices --size 64K --event PricesChanged --manual-reset"
)]
pub struct Serve {
    /// The section to create.
    pub name: String,
    /// The text; without a text or a file the section is all zero.
    #[arg(value_name = "TEXT")]
    pub text: Vec<String>,
    /// The size in bytes: 4096, 64K, 1M, 2G, 1T, 0x1000 [default: 256, or the size of the file].
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub size: Option<u64>,
    /// How the text is written.
    #[arg(long, value_enum, default_value = "utf16")]
    pub encoding: Encoding,
    /// Load this file instead of a text.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "encoding"])]
    pub file: Option<PathBuf>,
    /// Who may use what is created: same-user, users-read-only, interactive-read-only, or
    /// sddl:… (Windows).
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// Create an event beside the section, and set it once when the text or file is there.
    ///
    /// On Linux only its own user can wait for it, unless it is a --manual-reset one: to
    /// wait for an auto-reset event is to change it.
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// The event stays signaled until it is reset, and does not go to one waiter.
    #[arg(long, requires = "event")]
    pub manual_reset: bool,
    /// Create a mutex beside the section.
    #[arg(long, value_name = "NAME")]
    pub mutex: Option<String>,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when the section is there.
    #[arg(long)]
    pub json: bool,
}

/// Print the text in bare memory, as the message consumer of the classic recipe does.
///
/// It prints the text up to the first NUL, and ends. The server may be shmkit serve or a
/// program that follows the classic recipe. It never creates anything and never writes to
/// what it reads. For the messages of a topic, use shmkit subscribe.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit consume 'Local\\MyFileMappingObject'\n  shmkit consume 'Local\\MyFileMappingObject' --wait 10 --encoding utf16"
)]
pub struct Consume {
    /// The section to open.
    pub name: String,
    /// Wait up to this many seconds for the section to appear, and for its text.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// How the text is written [default: guessed, and said on standard error].
    #[arg(long, value_enum)]
    pub encoding: Option<Encoding>,
    /// Show the text in a message box (Windows).
    #[arg(long, conflicts_with = "json")]
    pub message_box: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
