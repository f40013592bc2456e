//! The command line.

use crate::text::Encoding;
use clap::{Parser, Subcommand, ValueEnum};
use shmkit::Kind;
use std::path::PathBuf;
use std::time::Duration;

const ABOUT_NAMES: &str = "\
A NAME is written as on Windows: Local\\X or X for this session, Global\\X for the
whole machine. On Linux, /X is the POSIX shared memory object of that name.
Quote it: 'Global\\X'.

Exit codes: 0 done, 1 not there or not in time, 2 anything else.";

/// Named shared memory: message servers, consumers, and tools to look inside.
#[derive(Debug, Parser)]
#[command(name = "shmkit", version, after_help = ABOUT_NAMES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(Serve),
    Consume(Consume),
    List(List),
    Show(Show),
    Dump(Dump),
    /// Watch a server and two consumers exchange messages (a few seconds).
    #[command(after_help = "Example:\n  shmkit demo")]
    Demo,
    /// One consumer of the demo; the demo starts it.
    #[command(hide = true)]
    DemoConsumer {
        board: String,
        replies: String,
    },
}

/// Create a section, write a text or a file into it, and hold it.
///
/// This is the classic message server: the text stands at offset 0 and ends with
/// a NUL. It holds the section until a key is pressed on the terminal, until
/// Ctrl-C, SIGTERM or SIGHUP, or for as long as --for says. Then it is gone.
#[derive(Debug, Parser)]
#[command(
    after_help = "Example:\n  shmkit serve --raw 'Global\\MyFileMappingObject' 'Message from first process.'"
)]
pub struct Serve {
    /// Serve bare memory, as the classic recipe does (the only kind so far).
    #[arg(long, required = true)]
    pub raw: bool,
    /// The section to create.
    pub name: String,
    /// The text to put there.
    pub text: Option<String>,
    /// The size in bytes: 4096, 64K, 1M, 2G, 1T, 0x1000 [default: 256, or the size of the file].
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub size: Option<u64>,
    /// How the text is written.
    #[arg(long, value_enum, default_value = "utf16")]
    pub encoding: Encoding,
    /// Load this file instead of a text.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "encoding"])]
    pub file: Option<PathBuf>,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when the section is up.
    #[arg(long)]
    pub json: bool,
}

/// Open a section for reading and print the text in it.
///
/// This is the classic message consumer. It never creates the section and never
/// asks to write. The text goes up to the first NUL.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  shmkit consume 'Global\\MyFileMappingObject' --wait 10")]
pub struct Consume {
    /// The section to open.
    pub name: String,
    /// How the text is written [default: guessed, and said on standard error].
    #[arg(long, value_enum)]
    pub encoding: Option<Encoding>,
    /// Wait up to this many seconds for the server, and its text, to appear.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// Show the text in a message box (Windows).
    #[arg(long, conflicts_with = "json")]
    pub message_box: bool,
    /// Print a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// List the named sections, events or mutexes in reach: of this session and of the
/// whole machine.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit list\n  shmkit list 'Global\\*' --json\n  shmkit list --kind all"
)]
pub struct List {
    /// Only names that contain this, or match it (with or without prefix) where it has a * or ?.
    pub pattern: Option<String>,
    /// What to list.
    #[arg(long, value_enum, default_value = "section")]
    pub kind: Wanted,
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
}

/// What to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// Memory.
    Section,
    /// What can be waited for.
    Event,
    /// What one thread has at a time.
    Mutex,
    /// Everything that shares the names.
    All,
}

impl Wanted {
    /// The kind it stands for; `None` for all of them.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Wanted::Section => Some(Kind::Section),
            Wanted::Event => Some(Kind::Event),
            Wanted::Mutex => Some(Kind::Mutex),
            Wanted::All => None,
        }
    }
}

/// Show all that is known about a section, an event or a mutex.
///
/// Companions are other objects whose names look related, whatever stands before the
/// backslash: one begins with the other (Foo, FooMutex), one is the other with a word
/// and a . _ - or ~ in front (Access_Foo), or they differ in the word behind the last
/// of these only (Foo.event, Foo.mutex). A word begins with a letter.
///
/// Holders are the processes that keep the object alive, this one left out.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  shmkit show 'Global\\MyFileMappingObject'")]
pub struct Show {
    /// The object to look at.
    pub name: String,
    /// Print a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Print the bytes of a section, or copy them to a file.
///
/// Reserved memory that nobody committed reads as zero, and stays uncommitted.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit dump 'Global\\MyFileMappingObject' --length 64\n  shmkit dump Telemetry --out telemetry.bin"
)]
pub struct Dump {
    /// The section to open.
    pub name: String,
    /// The first byte: 4096, 64K, 0x1000.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "0")]
    pub offset: u64,
    /// How many bytes [default: up to the end].
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub length: Option<u64>,
    /// Copy the bytes to this file, exactly; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print a JSON object with the bytes in hexadecimal.
    #[arg(long, conflicts_with = "out")]
    pub json: bool,
}

/// Decimal or 0x, with K, M, G or T for powers of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.to_ascii_uppercase().strip_suffix(['K', 'M', 'G', 'T']) {
        Some(_) if text.starts_with("0x") => (text, 0),
        Some(digits) => {
            let unit = "KMGT".find(text.to_ascii_uppercase().chars().last().unwrap_or('K'));
            (&text[..digits.len()], 10 * (unit.unwrap_or(0) as u32 + 1))
        }
        None => (text, 0),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    number
        .ok()
        .and_then(|n| n.checked_mul(1 << shift))
        .ok_or_else(|| {
            "write a number of bytes below 2^64, such as 4096, 64K, 1M or 0x1000".to_string()
        })
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "write a number of seconds, such as 20 or 0.5".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Args::command()
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
        {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }

    #[test]
    fn sizes_are_read_with_units() {
        for (text, want) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("64K", Some(64 << 10)),
            ("1m", Some(1 << 20)),
            ("2G", Some(2 << 30)),
            ("5T", Some(5 << 40)),
            ("0x1000", Some(0x1000)),
            ("0xK", None),
            ("K", None),
            ("-1", None),
            ("", None),
            ("99999999999T", None),
            ("é", None),
        ] {
            assert_eq!(bytes(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn seconds_are_read_with_fractions() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["-1", "x", "inf", "NaN", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
