//! The options of the commands of calls: `answer` and `call`.

use super::parse::{self, Hex, seconds};
use clap::Parser;
use shmkit::Access;
use std::time::Duration;

/// Answer calls with a command, which reads the request and prints the response.
///
/// The command runs once for each request, by sh -c or, on Windows, by cmd /C. Its standard input
/// is the request, and its standard output is the response. If the command fails, or prints more
/// than --max-message bytes, shmkit prints the reason on standard error, and the call of the
/// client ends without a response.
///
/// The server runs until Ctrl-C, SIGTERM or SIGHUP, until the time of --for is over, or until it
/// has taken --count requests. Then the server closes, its clients are notified, and commands
/// that still run are ended.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit answer Upper --exec 'tr a-z A-Z'\n  shmkit answer Archive --exec './look-up' --workers 4 --max-message 1M"
)]
pub struct Answer {
    /// The name to create.
    pub name: String,
    /// The command that answers a request. On Windows, processes that the command leaves running
    /// are ended.
    #[arg(long, value_name = "COMMAND")]
    pub exec: Option<String>,
    /// The number of commands that can run at a time, 1 to 64.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub workers: u8,
    /// The number of clients that can be connected at a time, 1 to 1023.
    #[arg(long, value_name = "NUMBER", default_value_t = 63)]
    pub clients: usize,
    /// The number of calls that a client can have open at a time, 1 to 1024, rounded up to a power
    /// of two.
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    pub in_flight: usize,
    /// The longest request and the longest response in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse::message, default_value = "16K")]
    pub max_message: u64,
    /// Who may call: same-user, group:NAME, or app-container or sddl:… (Windows). With the other
    /// presets, other users can see the server, but cannot call it.
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// End after this number of requests.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when the server is ready.
    #[arg(long)]
    pub json: bool,
}

/// Call a server, and print its response.
///
/// The request is the text on the command line, or all of standard input. If requests have a type
/// (shmkit show prints it), give the request as its fields. A response that has a type is printed
/// as its fields. The exit code is 1 if there is no server, if the server dies, closes or does not
/// answer the request, or if no response comes within --timeout.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit call Upper 'some text'\n  shmkit call Archive --timeout 5 < question.txt\n  shmkit call Rates day=17 symbol=EUR --json"
)]
pub struct Call {
    /// The server to call (shmkit answer starts one).
    pub name: String,
    /// The request. Without a REQUEST, or with -, all of standard input is the request. If requests
    /// have a type, give a FIELD=VALUE for each field.
    #[arg(value_name = "REQUEST", allow_negative_numbers = true)]
    pub request: Vec<String>,
    /// The request as bytes, with two hexadecimal digits for each byte.
    #[arg(long, value_name = "DIGITS", conflicts_with = "request")]
    pub hex: Option<Hex>,
    /// Wait up to this many seconds until the server exists and has a place for this client.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// Wait up to this many seconds for the response [default: no limit].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Print the response as a JSON object: "values" if responses have a type, otherwise "text",
    /// or "hex" if the response is not UTF-8.
    #[arg(long)]
    pub json: bool,
}
