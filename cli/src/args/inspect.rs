//! The options of the commands that inspect objects: `list`, `show`, `dump` and `doctor`.

use super::parse::bytes;
use clap::{Parser, ValueEnum};
use shmkit::inspect::Kind;
use std::path::PathBuf;

/// List the named sections, events or mutexes of this session and of the whole machine.
///
/// A queue, a topic, a table of values or a server of calls is listed as one section. The objects
/// that belong to it (X~lanes-… and the like) are left out unless --all is given.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit list\n  shmkit list 'Global\\*' --json\n  shmkit list --kind all"
)]
pub struct List {
    /// List only names that contain this text. If the text has a * or ?, list only names that match
    /// it, with or without their prefix.
    pub pattern: Option<String>,
    /// The kind of objects to list.
    #[arg(long, value_enum, default_value = "section")]
    pub kind: Wanted,
    /// Also list the objects that belong to a queue, a topic, a table of values or a server.
    #[arg(long)]
    pub all: bool,
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
}

/// The kind of objects to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// Named memory.
    Section,
    /// Signals that a program can wait for.
    Event,
    /// Locks that one thread has at a time.
    Mutex,
    /// All objects that share the namespace.
    All,
}

impl Wanted {
    /// Returns the kind of object that this stands for; `None` for all kinds.
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
/// Companions are other objects whose names look related. The part in front of the backslash does
/// not count. Two names are related if one name begins with the other (Foo, FooMutex), if one name
/// is the other name with a word and one of . _ - ~ in front (Access_Foo), or if the names differ
/// only in the word behind the last of these characters (Foo.event, Foo.mutex). A word begins with
/// a letter.
///
/// Holders are the processes that keep the object alive, without this process.
///
/// For a queue, a topic, a table of values or a server of calls, the command shows the
/// participants, whether each participant is alive, and how many messages it sent, received and
/// missed. With --watch, the command also shows the number of messages per second.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit show 'Local\\MyFileMappingObject'\n  shmkit show PricesChanged --watch"
)]
pub struct Show {
    /// The object to show.
    pub name: String,
    /// Look once a second, and redraw the screen. Without a terminal, print everything again after
    /// each change.
    ///
    /// The command does not keep the object alive. If the object is gone, the command waits until
    /// it exists again.
    #[arg(long)]
    pub watch: bool,
    /// Print a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Print the bytes of a section, or copy them to a file.
///
/// Reserved memory that no program has committed reads as zero, and stays uncommitted.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  shmkit dump 'Local\\MyFileMappingObject' --length 64\n  shmkit dump Telemetry --out telemetry.bin\n  shmkit dump Telemetry --watch"
)]
pub struct Dump {
    /// The section to open.
    pub name: String,
    /// The offset of the first byte, such as 4096, 64K or 0x1000.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "0")]
    pub offset: u64,
    /// The number of bytes [default: up to the end].
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub length: Option<u64>,
    /// Copy the bytes unchanged to this file; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Look four times a second, and redraw the screen; the arrow and page keys scroll. Without a
    /// terminal, print the rows that changed.
    ///
    /// The command does not keep the section alive. If the section is gone, the command waits until
    /// it exists again.
    #[arg(long, conflicts_with_all = ["out", "json"])]
    pub watch: bool,
    /// Print a JSON object with the bytes in hexadecimal.
    #[arg(long, conflicts_with = "out")]
    pub json: bool,
}

/// Report what this account can and cannot do on this machine, and what to do about it.
///
/// The command tries the operations of shmkit with objects of its own, which it removes, and asks
/// the system about the rest. The exit code is 2 if something does not work.
///
/// With --self-test, the command also checks the promises of shmkit one by one. The checks use
/// sections, events, mutexes, queues, topics, values and calls, and processes of their own, some of
/// which they kill. The checks take some seconds. Then the command measures speeds; no speed makes
/// the self-test fail. The exit code is 0 if each check passed or was skipped, 1 if a check failed,
/// and 2 if the self-test could not run.
///
/// The report of the self-test can be attached to a bug report. Names of users, machines and
/// domains, and the folders of users, are masked in the report. The SID of a person is masked too
/// (S-1-5-21-*-1001, S-1-12-1-*). Well-known SIDs (S-1-5-18) and user ids stay.
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
    /// Print a JSON array; with --self-test, print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A process of the self-test; the self-test starts it.
#[derive(Debug, Parser)]
#[command(hide = true)]
pub struct SelfTestPeer {
    /// The role that this process plays.
    pub role: String,
    /// The name of the object that the role uses.
    pub name: String,
    /// The argument of the role; empty for most roles.
    pub argument: String,
}
