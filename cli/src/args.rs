//! The command line.

use crate::text::Encoding;
use crate::values::{self, Hex, bytes, layout, rate, seconds, size};
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use shmkit::inspect::Kind;
use shmkit::{Access, Layout, Start};
use std::path::PathBuf;
use std::time::Duration;

const ABOUT_NAMES: &str = "\
A NAME is written as on Windows: Local\\X or X for this session, Global\\X for the
whole machine. On Linux, /X is the POSIX shared memory object of that name.
Quote it, as 'Local\\X' in sh and PowerShell; cmd needs no quotes.

Exit codes: 0 done, 1 not there, not in time, or its other side died, 2 anything else.";

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
    Send(Send),
    Recv(Recv),
    Set(Set),
    Get(Get),
    Answer(Answer),
    Call(Call),
    List(List),
    Show(Show),
    Dump(Dump),
    Write(Write),
    Signal(Signal),
    Wait(Wait),
    Hold(Hold),
    Clean(Clean),
    Doctor(Doctor),
    /// Watch a server and three consumers: a fast one, a slow one, and one that is killed.
    #[command(after_help = "Example:\n  shmkit demo")]
    Demo {
        /// How long the server sends.
        #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "6.5")]
        seconds: Duration,
    },
    Bench(Bench),
    Completions(Completions),
    Man(Man),
    /// One consumer of the demo; the demo starts it.
    #[command(hide = true)]
    DemoConsumer {
        topic: String,
        /// What it does after each message.
        nap_micros: u64,
    },
    BenchPeer(BenchPeer),
    SelfTestPeer(SelfTestPeer),
}

/// Serve messages, each to every consumer; or with --raw, one text in bare memory.
///
/// The messages are those of the command line, or the lines of standard input, or a
/// stream for tests (--rate). The last ones are kept for consumers that come late or are
/// slow; one that is overtaken is told how many it missed. After the last message the
/// server stays until a key is pressed on the terminal, until Ctrl-C, SIGTERM or SIGHUP,
/// or for as long as --for says. Then its consumers are told that it closed.
///
/// A line that is longer than --max-message is left out, which is said on standard error.
///
/// With --raw this is the classic message server: it creates a section, and the text
/// stands at offset 0 and ends with a NUL. The section is gone with the server, and so
/// are the event and the mutex that may stand beside it.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit serve Prices 'EUR 1.08' 'EUR 1.09'\n  tail -f prices.log | shmkit serve Prices --access users-read-only\n  shmkit serve Test --rate 1000\n  shmkit serve --raw 'Local\\MyFileMappingObject' 'Message from first process.'\n  shmkit serve --raw Prices --size 64K --event PricesChanged --manual-reset"
)]
pub struct Serve {
    /// Serve bare memory, as the classic recipe does.
    #[arg(long, conflicts_with_all = ["Measures", "lossless", "rate"])]
    pub raw: bool,
    /// The name to serve by.
    pub name: String,
    /// The messages; none, or -, for the lines of standard input. With --raw the one text.
    #[arg(value_name = "MESSAGE")]
    pub messages: Vec<String>,
    /// Serve "message 1", "message 2" and so on, so many a second.
    #[arg(long, value_name = "NUMBER", value_parser = rate, conflicts_with = "messages")]
    pub rate: Option<f64>,
    #[command(flatten)]
    pub measures: Measures,
    /// Wait for slow consumers, so that they miss nothing.
    #[arg(long)]
    pub lossless: bool,
    /// The size in bytes: 4096, 64K, 1M, 2G, 1T, 0x1000 [default: 256, or the size of the file].
    #[arg(long, value_name = "BYTES", value_parser = bytes, requires = "raw", help_heading = RAW)]
    pub size: Option<u64>,
    /// How the text is written.
    #[arg(long, value_enum, default_value = "utf16", requires = "raw", help_heading = RAW)]
    pub encoding: Encoding,
    /// Load this file instead of a text.
    #[arg(long, value_name = "FILE", requires = "raw", conflicts_with_all = ["messages", "encoding"], help_heading = RAW)]
    pub file: Option<PathBuf>,
    /// Who may use what is created: same-user, users-read-only, interactive-read-only, or
    /// sddl:… (Windows).
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// Create an event beside the section, and set it once when the text or file is there.
    ///
    /// On Linux only its own user can wait for it, unless it is a --manual-reset one: to
    /// wait for an auto-reset event is to change it.
    #[arg(long, value_name = "NAME", requires = "raw", help_heading = RAW)]
    pub event: Option<String>,
    /// The event stays signaled until it is reset, and does not go to one waiter.
    #[arg(long, requires = "event", help_heading = RAW)]
    pub manual_reset: bool,
    /// Create a mutex beside the section.
    #[arg(long, value_name = "NAME", requires = "raw", help_heading = RAW)]
    pub mutex: Option<String>,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print one JSON object when it is up.
    #[arg(long)]
    pub json: bool,
}

/// The heading of the options that only bare memory has.
const RAW: &str = "Options of --raw";

/// How much room a queue or topic has.
#[derive(Debug, clap::Args)]
pub struct Measures {
    /// How many bytes of messages are kept: 64K, 1M [default: 1M, for a queue 256K for each
    /// sender]. Each message takes 8 bytes more than its own, rounded up.
    #[arg(long, value_name = "BYTES", value_parser = values::capacity)]
    pub capacity: Option<u64>,
    /// The longest message in bytes [default: what fits, about a quarter of the capacity].
    #[arg(long, value_name = "BYTES", value_parser = values::message)]
    pub max_message: Option<u64>,
}

/// Print the messages of a server as they come, or the text in bare memory.
///
/// It begins with the newest message, unless --from says otherwise. Messages of a type are
/// printed by the names of its fields. What it missed is said on standard error. It ends with
/// 0 when the server closes, with 1 when the server died, and with 0 on Ctrl-C or SIGTERM.
///
/// Of bare memory (serve --raw, and programs that follow the classic recipe) it prints
/// the text, up to the first NUL, and ends. It never creates anything and never writes to
/// what it reads.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit consume Prices\n  shmkit consume Prices --from start --count 10 --json\n  shmkit consume 'Local\\MyFileMappingObject' --wait 10"
)]
pub struct Consume {
    /// What to open.
    pub name: String,
    /// Where to begin.
    #[arg(long, value_enum, default_value = "latest")]
    pub from: Begin,
    /// End after so many messages.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Wait up to this many seconds for the server to appear, and its text in bare memory.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// Print a JSON object for each message ("values" where it has a type, else "text", or
    /// "hex" where it is no UTF-8), and for what was missed ("missed").
    #[arg(long)]
    pub json: bool,
    /// How the text is written [default: guessed, and said on standard error].
    #[arg(long, value_enum, help_heading = BARE)]
    pub encoding: Option<Encoding>,
    /// Show the text in a message box (Windows).
    #[arg(long, conflicts_with = "json", help_heading = BARE)]
    pub message_box: bool,
}

/// The heading of the options that are for texts in bare memory.
const BARE: &str = "Options for bare memory";

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Begin {
    /// With the oldest message that is still kept.
    Start,
    /// With the newest message that is there.
    Latest,
    /// With the next message that is sent.
    New,
}

impl Begin {
    pub fn start(self) -> Start {
        match self {
            Begin::Start => Start::Oldest,
            Begin::Latest => Start::Latest,
            Begin::New => Start::New,
        }
    }
}

/// Send messages to a receiver: those of the command line, or the lines of standard input.
///
/// They wait in a queue until they are received. Where it is full this waits for room. It
/// exits with 1 where the receiver is not there, or has gone.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit send Orders '17 pieces'\n  seq 1000 | shmkit send Orders --timeout 10"
)]
pub struct Send {
    /// The queue, which its receiver makes (shmkit recv).
    pub name: String,
    /// The messages; none, or -, for the lines of standard input.
    #[arg(value_name = "MESSAGE")]
    pub messages: Vec<String>,
    /// Wait up to this many seconds for the receiver to appear, and for room for each
    /// message [default: not for the receiver, and for room as long as it takes].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// Create a queue, and print each message that is sent to it.
///
/// Every message of every sender arrives once. The queue is there until Ctrl-C, SIGTERM or
/// SIGHUP, for as long as --for says, or until --count messages came; then its senders are
/// told that it closed.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit recv Orders\n  shmkit recv Orders --count 1 --json\n  shmkit recv Orders --type '12;8;price:0:f64[1];volume:8:u32[1];'"
)]
pub struct Recv {
    /// The queue to create.
    pub name: String,
    /// How many senders there can be at a time, 1 to 63.
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    pub senders: usize,
    #[command(flatten)]
    pub measures: Measures,
    /// What each message is made of, in the words of the layout that show --json tells; such
    /// a queue takes the senders of that type, and its messages are printed by the names of
    /// their fields.
    #[arg(long = "type", value_name = "LAYOUT", value_parser = layout, conflicts_with = "max_message")]
    pub layout: Option<Layout>,
    /// Who may send: same-user, or sddl:… (Windows). The other presets let others see the
    /// queue, and not send.
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub access: Access,
    /// End after so many messages.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Print a JSON object for each message: "values" with --type, else "text", or "hex" where
    /// it is no UTF-8.
    #[arg(long)]
    pub json: bool,
}

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
    #[arg(long, value_name = "BYTES", value_parser = values::value, default_value = "1024")]
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
    #[arg(long, value_name = "BYTES", value_parser = values::message, default_value = "16K")]
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

/// List the named sections, events or mutexes in reach: of this session and of the
/// whole machine.
///
/// A queue, a topic, values or a server of calls are one section here; what stands beside it
/// for its own use (X~lanes-… and the like) is left out unless --all is given.
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
    /// List those parts too.
    #[arg(long)]
    pub all: bool,
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
///
/// Of a queue, a topic, values or a server of calls it tells who takes part, alive or dead,
/// and what they sent, received and missed; with --watch how many messages a second, too.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit show 'Local\\MyFileMappingObject'\n  shmkit show PricesChanged --watch"
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
    after_help = "Examples:\n  shmkit dump 'Local\\MyFileMappingObject' --length 64\n  shmkit dump Telemetry --out telemetry.bin\n  shmkit dump Telemetry --watch"
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

/// Tell what this account can and cannot do here, and what to do about it.
///
/// It tries what shmkit does, with objects of its own that are gone afterwards, and
/// asks about the rest. Exits with 2 where something does not work.
///
/// With --self-test it also checks, one by one, what shmkit promises: with sections, events,
/// mutexes, queues, topics, values and calls, and with processes of its own, some of which it
/// kills. That takes some seconds. Then it measures how fast the same is here, which fails
/// nothing. It exits with 0 where all passed or was skipped, with 1 where a check failed, and
/// with 2 where it could not run.
///
/// The report of the self-test is made to be attached to a bug report. Names of users, machines
/// and domains and the folders of users are masked in it, and of each SID of a person all but the
/// last number (S-1-5-21-*-1001, S-1-12-1-*). Well-known SIDs (S-1-5-18) and user ids stay.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit doctor\n  shmkit doctor --self-test\n  shmkit doctor --self-test --json > report.json"
)]
pub struct Doctor {
    /// Check that shmkit keeps its promises on this machine.
    #[arg(long)]
    pub self_test: bool,
    /// Mask nothing in the report of the self-test.
    #[arg(long, requires = "self_test")]
    pub full: bool,
    /// Print a JSON array; of the self-test, one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A process of the self-test; the self-test starts it.
#[derive(Debug, Parser)]
#[command(hide = true)]
pub struct SelfTestPeer {
    /// What it does.
    pub role: String,
    /// With what.
    pub name: String,
    /// How.
    pub argument: String,
}

/// Measure how fast messages go between two processes of this machine.
///
/// Shared memory (a queue in each direction) against an anonymous pipe, TCP over loopback,
/// and a Unix socket or, on Windows, a named pipe. Of each size and transport it measures
/// round trips, where a message is answered by another of its size, and a stream one way.
/// Streams carry the length in front of each message, which is one write; the receiver
/// looks at both ends of every message. The floor is a cache line that goes to and fro.
///
/// Where the system allows it, the two processes are pinned to two of the processors that
/// this program may use (taskset and start /affinity choose them). Whatever else the
/// machine does meanwhile is in the numbers.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit bench\n  shmkit bench --sizes 64,4K --seconds 60 --json\n  shmkit bench --svg bench.svg"
)]
pub struct Bench {
    /// The sizes of the messages in bytes.
    #[arg(long, value_name = "BYTES", value_parser = size, value_delimiter = ',', default_value = "64,1K,64K,1M")]
    pub sizes: Vec<u64>,
    /// About how long it takes, all in all.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "15")]
    pub seconds: Duration,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Draw a plot of it to this file; not every program is built with plots.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// The second process of a benchmark; the first one starts it.
#[derive(Debug, Parser)]
#[command(hide = true)]
pub struct BenchPeer {
    /// What all names begin with.
    pub base: String,
    /// The first process.
    pub first: u32,
    /// Where it listens.
    pub port: u16,
    /// The time for one measurement.
    #[arg(value_parser = seconds)]
    pub each: Duration,
    pub sizes: Vec<u64>,
    #[arg(long)]
    pub processor: Option<usize>,
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
