//! The command line.

use crate::text::Encoding;
use crate::values::{self, Hex, bytes, seconds};
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use shmkit::{Access, Kind};
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
    Write(Write),
    Signal(Signal),
    Wait(Wait),
    Hold(Hold),
    Clean(Clean),
    Doctor(Doctor),
    /// Watch a server and two consumers exchange messages (a few seconds).
    #[command(after_help = "Example:\n  shmkit demo")]
    Demo,
    Completions(Completions),
    Man(Man),
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
/// Ctrl-C, SIGTERM or SIGHUP, or for as long as --for says. Then it is gone, and
/// so are the event and the mutex that may stand beside it.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit serve --raw 'Global\\MyFileMappingObject' 'Message from first process.'\n  shmkit serve --raw Prices --size 64K --event PricesChanged --manual-reset --access users-read-only"
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
#[command(
    after_help = "Examples:\n  shmkit show 'Global\\MyFileMappingObject'\n  shmkit show PricesChanged --watch"
)]
pub struct Show {
    /// The object to look at.
    pub name: String,
    /// Look once a second: redraw the screen, or print what changed where there is none.
    ///
    /// The object is not kept alive meanwhile; where it is gone, its return is waited for.
    #[arg(long)]
    pub watch: bool,
    /// Print a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Print the bytes of a section, or copy them to a file.
///
/// Reserved memory that nobody committed reads as zero, and stays uncommitted.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit dump 'Global\\MyFileMappingObject' --length 64\n  shmkit dump Telemetry --out telemetry.bin\n  shmkit dump Telemetry --watch"
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
    /// Look four times a second: redraw the screen, where the arrow and page keys scroll, or
    /// print the rows that changed where there is none.
    ///
    /// The section is not kept alive meanwhile; where it is gone, its return is waited for.
    #[arg(long, conflicts_with_all = ["out", "json"])]
    pub watch: bool,
    /// Print a JSON object with the bytes in hexadecimal.
    #[arg(long, conflicts_with = "out")]
    pub json: bool,
}

/// Write a number, bytes, a text or a file into a section that exists.
///
/// Numbers are written in little-endian order; those that are aligned to their own
/// size arrive whole, by one atomic store. Everything else is copied, and a reader may
/// see half of it.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit write Prices --offset 8 --f64 101.5\n  shmkit write 'Global\\MyFileMappingObject' --offset 0 --text 'Another message.'"
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
    #[arg(long, value_name = "NUMBER", value_parser = values::u32, allow_negative_numbers = true)]
    pub u32: Option<u32>,
    /// A whole number of 8 bytes, decimal or 0x.
    #[arg(long, value_name = "NUMBER", value_parser = values::u64, allow_negative_numbers = true)]
    pub u64: Option<u64>,
    /// A floating-point number of 4 bytes.
    #[arg(long, value_name = "NUMBER", value_parser = values::f32, allow_negative_numbers = true)]
    pub f32: Option<f32>,
    /// A floating-point number of 8 bytes.
    #[arg(long, value_name = "NUMBER", value_parser = values::f64, allow_negative_numbers = true)]
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
#[command(after_help = "Example:\n  shmkit hold 'Global\\MyFileMappingObject' --for 60")]
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

/// Tell what this account can and cannot do here, and what to do about it.
///
/// It tries what shmkit does, with objects of its own that are gone afterwards, and
/// asks about the rest. Exits with 2 where something does not work.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  shmkit doctor")]
pub struct Doctor {
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
}

/// Print a completion script for a shell.
#[derive(Debug, Parser)]
#[command(
    after_help = "Example:\n  shmkit completions bash > ~/.local/share/bash-completion/completions/shmkit"
)]
pub struct Completions {
    /// The shell.
    pub shell: Shell,
}

/// Print the manual page, or write those of all commands to files.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  shmkit man --out ~/.local/share/man/man1")]
pub struct Man {
    /// Write one page for each command into this folder, which is made where it is missing.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
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
}
