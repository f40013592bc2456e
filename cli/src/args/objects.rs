//! The options of the commands for single objects: `write`, `signal`, `wait`, `hold` and `clean`.

use super::parse::{self, Hex, bytes, seconds};
use crate::text::Encoding;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Write a number, bytes, a text or a file into a section that exists.
///
/// Numbers are written in little-endian order. A number that is aligned to its own size is written
/// by one atomic store. Everything else is copied, and a reader may see only a part of the new
/// bytes.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit write Prices --offset 8 --f64 101.5\n  shmkit write 'Local\\MyFileMappingObject' --offset 0 --text 'Another message.'"
)]
pub struct Write {
    /// The section to open. The command never creates a section.
    pub name: String,
    /// The offset of the first byte to write, such as 4096, 64K or 0x1000.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub offset: u64,
    #[command(flatten)]
    pub what: Written,
    /// The encoding of the text [default: utf16].
    #[arg(long, value_enum, conflicts_with_all = ["u32", "u64", "f32", "f64", "hex", "file"])]
    pub encoding: Option<Encoding>,
}

/// The value to write: exactly one of these options is given.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Written {
    /// A whole number of 4 bytes, decimal or hexadecimal with 0x.
    #[arg(long, value_name = "NUMBER", value_parser = parse::u32, allow_negative_numbers = true)]
    pub u32: Option<u32>,
    /// A whole number of 8 bytes, decimal or hexadecimal with 0x.
    #[arg(long, value_name = "NUMBER", value_parser = parse::u64, allow_negative_numbers = true)]
    pub u64: Option<u64>,
    /// A floating-point number of 4 bytes.
    #[arg(long, value_name = "NUMBER", value_parser = parse::f32, allow_negative_numbers = true)]
    pub f32: Option<f32>,
    /// A floating-point number of 8 bytes.
    #[arg(long, value_name = "NUMBER", value_parser = parse::f64, allow_negative_numbers = true)]
    pub f64: Option<f64>,
    /// Bytes, with two hexadecimal digits for each byte.
    #[arg(long, value_name = "DIGITS")]
    pub hex: Option<Hex>,
    /// A text. The command adds a NUL at the end.
    #[arg(long)]
    pub text: Option<String>,
    /// The content of a file.
    #[arg(long)]
    pub file: Option<PathBuf>,
}

/// Set an event, or reset it.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:\n  shmkit signal PricesChanged\n  shmkit signal Pause --reset")]
pub struct Signal {
    /// The event to open.
    pub name: String,
    /// Reset the event instead of setting it.
    #[arg(long)]
    pub reset: bool,
}

/// Wait until an event is signaled, a mutex is free, or a section exists.
///
/// The command takes the signal of an auto-reset event. The command locks a mutex, and unlocks it
/// at once. For a section, it is enough that the section exists. If no object has this name yet,
/// the command waits for the object too. The wait keeps an event or a mutex alive.
#[derive(Debug, Parser)]
#[command(
    after_help = "Example:\n  shmkit wait PricesChanged --timeout 5 && shmkit consume Prices"
)]
pub struct Wait {
    /// The event, mutex or section to wait for.
    pub name: String,
    /// Give up after this many seconds, with exit code 1 [default: never].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// Keep a section, an event or a mutex alive.
///
/// The command opens an object that exists, and holds it until a key is pressed on the terminal,
/// until Ctrl-C, SIGTERM or SIGHUP, or until the time of --for is over. The command does not lock a
/// mutex.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  shmkit hold 'Local\\MyFileMappingObject' --for 60")]
pub struct Hold {
    /// The object to hold.
    pub name: String,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when the object is held.
    #[arg(long)]
    pub json: bool,
}

/// Remove the files that killed programs of this user left, and print their names.
///
/// These files do no harm: shmkit also removes them when it creates an object. On Windows, a killed
/// program leaves no files.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  shmkit clean")]
pub struct Clean {
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
}
