//! The verbs of values.

use super::parse::{self, seconds};
use clap::Parser;
use shmkit::Access;
use std::time::Duration;

/// Set a value of which readers get the newest, or a table of them.
///
/// The values are those of the command line, one after the other, or the lines of standard
/// input. With --table each is KEY=VALUE, and the keys of the command line are those that
/// there are; KEY alone is set later. After the last one the value is there until a key is
/// pressed on the terminal, until Ctrl-C, SIGTERM or SIGHUP, or for as long as --for says.
/// Then its readers are told that it closed.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit set Temperature 21.5\n  sensor | shmkit set Temperature\n  sensors | shmkit set Sensors --table indoors outdoors=-3.5 -"
)]
pub struct Set {
    /// The name to create.
    pub name: String,
    /// The values; none, or - behind them, for the lines of standard input.
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    pub values: Vec<String>,
    /// The values are KEY=VALUE.
    #[arg(long)]
    pub table: bool,
    /// The longest value in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse::value, default_value = "1024")]
    pub max_value: u64,
    /// Who may read: same-user, users-read-only, interactive-read-only, or sddl:…
    /// (Windows).
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
}

/// Print the newest value, or those of a table as KEY=VALUE.
///
/// The structs of a table are printed as KEY: FIELD=VALUE…. With --follow it prints each change
/// until it is ended; changes that follow each other faster than they can be printed are printed
/// as one. It ends with 0 when the writer closes, with 1 when the writer died, or where nothing
/// was set yet.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit get Temperature\n  shmkit get Sensors outdoors --follow\n  shmkit get Sensors 'in*'\n  shmkit get Sensors --json"
)]
pub struct Get {
    /// What to open.
    pub name: String,
    /// The values of a table to print: a key, or a pattern with * or ? [default: all that were set].
    pub key: Option<String>,
    /// Print what it changes to, too.
    #[arg(long)]
    pub follow: bool,
    /// End after so many values.
    #[arg(long, value_name = "NUMBER", requires = "follow", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Wait up to this many seconds for the writer to appear, and for a value.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// Print a JSON object for each value ("text", or "hex" where it is no UTF-8), with
    /// its "key".
    #[arg(long)]
    pub json: bool,
}
