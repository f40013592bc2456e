//! The verbs that look at what is there.

use super::parse::bytes;
use clap::{Parser, ValueEnum};
use shmkit::inspect::Kind;
use std::path::PathBuf;

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
