//! The options of the commands of values: `set` and `get`.

use super::parse::{self, seconds};
use clap::Parser;
use shmkit::Access;
use std::time::Duration;

/// Set a value, or a table of values, of which readers get the newest.
///
/// The values come from the command line, one after the other, or from the lines of standard input.
/// With --table, each value is written as KEY=VALUE. The keys of the table are the keys on the
/// command line; a KEY without a value has no value until a line sets it.
///
/// After the last value, the writer stays until a key is pressed on the terminal, until Ctrl-C,
/// SIGTERM or SIGHUP, or until the time of --for is over. Then the writer closes, and its readers
/// are notified.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit set Temperature 21.5\n  sensor | shmkit set Temperature\n  sensors | shmkit set Sensors --table indoors outdoors=-3.5 -"
)]
pub struct Set {
    /// The name to create.
    pub name: String,
    /// The values. Without a VALUE, or with - as the last one, each line of standard input is a
    /// value.
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    pub values: Vec<String>,
    /// Write each value as KEY=VALUE.
    #[arg(long)]
    pub table: bool,
    /// The longest value in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse::value, default_value = "1024")]
    pub max_value: u64,
    /// Who may read: same-user, users-read-only, interactive-read-only, group:NAME, or
    /// app-container or sddl:… (Windows).
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
}

/// Print the newest value, or the newest values of a table as KEY=VALUE.
///
/// The structs of a table are printed as KEY: FIELD=VALUE…. With --follow, the command prints each
/// change until it is ended. If a value changes several times before the command can print it, the
/// command prints the newest value only. The exit code is 0 if the writer closes, and 1 if the
/// writer dies or if no value was set yet.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit get Temperature\n  shmkit get Sensors outdoors --follow\n  shmkit get Sensors 'in*'\n  shmkit get Sensors --json"
)]
pub struct Get {
    /// The name to open.
    pub name: String,
    /// The values of a table to print: a key, or a pattern with * or ? [default: all values that
    /// were set].
    pub key: Option<String>,
    /// Print each change too.
    #[arg(long)]
    pub follow: bool,
    /// End after this number of values.
    #[arg(long, value_name = "NUMBER", requires = "follow", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Wait up to this many seconds until the writer exists and has set a value.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// Print a JSON object for each value, with its "key": "values" if the value has a type,
    /// otherwise "text", or "hex" if it is not UTF-8.
    #[arg(long)]
    pub json: bool,
}
