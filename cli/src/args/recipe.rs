//! The options of the commands of the classic recipe over bare memory: `serve` and `consume`.

use super::parse::{bytes, seconds};
use crate::text::Encoding;
use clap::Parser;
use shmkit::Access;
use std::path::PathBuf;
use std::time::Duration;

/// Serve a text or a file in bare memory, as the message server of the classic recipe does.
///
/// The recipe is CreateFileMapping and MapViewOfFile in the server, OpenFileMapping and
/// MapViewOfFile in the consumer. The server creates a section. The text begins at offset 0 and
/// ends with a NUL. shmkit consume reads the text, and so does each program that follows the
/// recipe. The section ends with the server. An event and a mutex of the options --event and
/// --mutex end with the server too.
///
/// The server runs until a key is pressed on the terminal, until Ctrl-C, SIGTERM or SIGHUP, or
/// until the time of --for is over. To send several messages to every subscriber, use shmkit
/// publish.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit serve 'Local\\MyFileMappingObject' 'Message from first process.'\n  shmkit serve Prices --size 64K --event PricesChanged --manual-reset"
)]
pub struct Serve {
    /// The section to create.
    pub name: String,
    /// The text. Without a text or a file, all bytes of the section are zero.
    #[arg(value_name = "TEXT")]
    pub text: Vec<String>,
    /// The size in bytes, such as 4096, 64K, 1M, 2G, 1T or 0x1000 [default: 256, or the size of the
    /// file].
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub size: Option<u64>,
    /// The encoding of the text.
    #[arg(long, value_enum, default_value = "utf16")]
    pub encoding: Encoding,
    /// Load this file instead of a text.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "encoding"])]
    pub file: Option<PathBuf>,
    /// Who may use the created objects: same-user, users-read-only, interactive-read-only,
    /// group:NAME, or app-container or sddl:… (Windows).
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// Also create an event with this name, and set it once when the text or file is written.
    ///
    /// On Linux, other users can wait for the event only with --manual-reset: a wait for an
    /// auto-reset event changes the event.
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// The event stays signaled until it is reset. Without this option, each signal ends one wait.
    #[arg(long, requires = "event")]
    pub manual_reset: bool,
    /// Also create a mutex with this name.
    #[arg(long, value_name = "NAME")]
    pub mutex: Option<String>,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when the section exists.
    #[arg(long)]
    pub json: bool,
}

/// Print the text in bare memory, as the message consumer of the classic recipe does.
///
/// The consumer prints the text up to the first NUL, and ends. The server can be shmkit serve or a
/// program that follows the classic recipe. The consumer never creates an object, and never writes
/// to the section. For the messages of a topic, use shmkit subscribe.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit consume 'Local\\MyFileMappingObject'\n  shmkit consume 'Local\\MyFileMappingObject' --wait 10 --encoding utf16"
)]
pub struct Consume {
    /// The section to open.
    pub name: String,
    /// Wait up to this many seconds until the section exists and has a text.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// The encoding of the text [default: guessed, and printed on standard error].
    #[arg(long, value_enum)]
    pub encoding: Option<Encoding>,
    /// Show the text in a message box (Windows).
    #[arg(long, conflicts_with = "json")]
    pub message_box: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
