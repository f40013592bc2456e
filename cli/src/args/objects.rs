//! The verbs that change, wait for or keep single objects.

use super::parse::{self, Hex, bytes, seconds};
use crate::text::Encoding;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Write a number, bytes, a text or a file into a section that exists.
///
/// Numbers are written in little-endian order; those that are aligned to their own
/// size arrive whole, by one atomic store. Everything else is copied, and a reader may
/// see half of it.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit write Prices --offset 8 --f64 101.5\n  shmkit write 'Local\\MyFileMappingObject' --offset 0 --text 'Another message.'"
)]
pub struct Write {
    /// The section to open; never created.
    pub name: String,
    /// The first byte to write: 4096, 64K, 0x1000.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub offset: u64,
    #[command(flatten)]
    pub what: Written,
    /// How the text is written [default: utf16].
    #[arg(long, value_enum, conflicts_with_all = ["u32", "u64", "f32", "f64", "hex", "file"])]
    pub encoding: Option<Encoding>,
}

/// One of the things that can be written.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Written {
    /// A whole number of 4 bytes, decimal or 0x.
    #[arg(long, value_name = "NUMBER", value_parser = parse::u32, allow_negative_numbers = true)]
    pub u32: Option<u32>,
    /// A whole number of 8 bytes, decimal or 0x.
    #[arg(long, value_name = "NUMBER", value_parser = parse::u64, allow_negative_numbers = true)]
    pub u64: Option<u64>,
    /// A floating-point number of 4 bytes.
    #[arg(long, value_name = "NUMBER", value_parser = parse::f32, allow_negative_numbers = true)]
    pub f32: Option<f32>,
    /// A floating-point number of 8 bytes.
    #[arg(long, value_name = "NUMBER", value_parser = parse::f64, allow_negative_numbers = true)]
    pub f64: Option<f64>,
    /// Bytes, two hexadecimal digits each.
    #[arg(long, value_name = "DIGITS")]
    pub hex: Option<Hex>,
    /// A text, with a NUL behind it.
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
    /// Take the signal away instead.
    #[arg(long)]
    pub reset: bool,
}

/// Wait for an event, a mutex, or a section to appear.
///
/// An event is waited for until it is signaled; where it is an auto-reset event, this
/// takes the signal. A mutex is waited for until it can be taken, and given back at
/// once. Of a section it is enough that it exists. Where there is nothing of this name
/// yet, it is waited for too. An event or mutex is kept alive by the wait.
#[derive(Debug, Parser)]
#[command(
    after_help = "Example:\n  shmkit wait PricesChanged --timeout 5 && shmkit consume Prices"
)]
pub struct Wait {
    /// What to wait for.
    pub name: String,
    /// Give up after this many seconds, with exit code 1 [default: never].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// Keep a section, an event or a mutex alive.
///
/// It opens what exists, and holds it until a key is pressed on the terminal, until
/// Ctrl-C, SIGTERM or SIGHUP, or for as long as --for says. A mutex is not taken.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  shmkit hold 'Local\\MyFileMappingObject' --for 60")]
pub struct Hold {
    /// What to hold.
    pub name: String,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when it is held.
    #[arg(long)]
    pub json: bool,
}

/// Remove the files that killed programs of this user left, and print their names.
///
/// They are in nobody's way; creating removes them too. On Windows none are ever left.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  shmkit clean")]
pub struct Clean {
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
}
