//! The verbs of calls.

use super::parse::{self, Hex, seconds};
use clap::Parser;
use shmkit::Access;
use std::time::Duration;

/// Answer calls by a command: the request is its standard input, the response its output.
///
/// The command runs once for each request, by sh -c or, on Windows, cmd /C. Where it fails,
/// or has more to say than --max-message, that is said on standard error and the client is
/// told that there is no answer. Calls are answered until Ctrl-C, SIGTERM or SIGHUP, for as
/// long as --for says, or until there were --count requests; then the clients are told that
/// the server closed, and commands that still run are ended.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit answer Upper --exec 'tr a-z A-Z'\n  shmkit answer Archive --exec './look-up' --workers 4 --max-message 1M"
)]
pub struct Answer {
    /// The name to create.
    pub name: String,
    /// What answers a request. On Windows, processes that the command leaves running are ended.
    #[arg(long, value_name = "COMMAND")]
    pub exec: Option<String>,
    /// How many commands run at a time, 1 to 64.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub workers: u8,
    /// How many clients there can be at a time, 1 to 63.
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    pub clients: usize,
    /// How many calls a client can have open at a time, 1 to 1024, rounded up to a power of
    /// two.
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    pub in_flight: usize,
    /// The longest request and the longest response in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse::message, default_value = "16K")]
    pub max_message: u64,
    /// Who may call: same-user, or sddl:… (Windows). The other presets let others see the
    /// server, and not call.
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// End after so many requests.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when it is up.
    #[arg(long)]
    pub json: bool,
}

/// Call a server, and print its response.
///
/// The request is the text of the command line, or all of standard input. Where requests have
/// a type (show tells it) it is given by its fields, and a response of a type is printed by
/// those. It exits with 1 where there is no server, or it dies, closes, or leaves the request
/// unanswered.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit call Upper 'some text'\n  shmkit call Archive --timeout 5 < question.txt\n  shmkit call Rates day=17 symbol=EUR --json"
)]
pub struct Call {
    /// The server to call (shmkit answer makes one).
    pub name: String,
    /// The request; none, or -, for standard input to its end. Of a type, a FIELD=VALUE for
    /// each field.
    #[arg(value_name = "REQUEST", allow_negative_numbers = true)]
    pub request: Vec<String>,
    /// The request in bytes, two hexadecimal digits each.
    #[arg(long, value_name = "DIGITS", conflicts_with = "request")]
    pub hex: Option<Hex>,
    /// Wait up to this many seconds for the server to appear, and for a place among its
    /// clients.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// Wait up to this many seconds for the response [default: as long as it takes].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Print a JSON object: "values" where responses have a type, else "text", or "hex" where
    /// it is no UTF-8.
    #[arg(long)]
    pub json: bool,
}
