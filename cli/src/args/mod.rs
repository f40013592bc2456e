//! The command line.

mod bench;
mod calls;
mod generate;
mod inspect;
mod objects;
pub mod parse;
mod queue;
mod recipe;
mod topic;
mod values;

pub use bench::{Bench, BenchPeer};
pub use calls::{Answer, Call};
pub use generate::{Completions, Man};
pub use inspect::{Doctor, Dump, List, SelfTestPeer, Show, Wanted};
pub use objects::{Clean, Hold, Signal, Wait, Write, Written};
pub use queue::{Recv, Send};
pub use recipe::{Consume, Serve};
pub use topic::{Publish, Subscribe};
pub use values::{Get, Set};

use clap::{Parser, Subcommand};
use parse::seconds;
use std::time::Duration;

const ABOUT_NAMES: &str = "\
A NAME is written as on Windows: Local\\X or X for this session, Global\\X for the
whole machine. On Linux, /X is the POSIX shared memory object of that name.
Quote a NAME as 'Local\\X' in sh and PowerShell; cmd needs no quotes.

Exit codes: 0 done; 1 the name does not exist, the timeout passed, the other side died,
or a check of the self-test failed; 2 any other error.";

/// Named shared memory: queues, topics, values and calls, the classic recipe, and inspection tools.
#[derive(Debug, Parser)]
#[command(name = "shmkit", version, after_help = ABOUT_NAMES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Publish(Publish),
    Subscribe(Subscribe),
    Send(Send),
    Recv(Recv),
    Set(Set),
    Get(Get),
    Answer(Answer),
    Call(Call),
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
    /// Watch a publisher and three subscribers: a fast one, a slow one, and one that is killed.
    #[command(after_help = "Example:\n  shmkit demo")]
    Demo {
        /// How long the publisher sends.
        #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "6.5")]
        seconds: Duration,
    },
    Bench(Bench),
    Completions(Completions),
    Man(Man),
    /// One subscriber of the demo; the demo starts it.
    #[command(hide = true)]
    DemoSubscriber {
        topic: String,
        /// The pause after each message, in microseconds.
        pause_micros: u64,
    },
    BenchPeer(BenchPeer),
    SelfTestPeer(SelfTestPeer),
}

/// The sizes of a queue or a topic.
#[derive(Debug, clap::Args)]
pub struct Measures {
    /// The space for messages in bytes, such as 64K or 1M [default: 1M for a topic, 256K for each
    /// sender of a queue]. Each message takes its length and 8 bytes more, rounded up.
    #[arg(long, value_name = "BYTES", value_parser = parse::capacity)]
    pub capacity: Option<u64>,
    /// The longest message in bytes [default: about a quarter of the capacity].
    #[arg(long, value_name = "BYTES", value_parser = parse::message)]
    pub max_message: Option<u64>,
    /// Give each message the time at which it is sent. It takes 8 bytes more then, and the programs
    /// that receive it can read the time.
    #[arg(long)]
    pub timestamps: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_definition_passes_clap_checks() {
        Args::command().debug_assert();
    }

    #[test]
    fn help_of_every_command_has_example() {
        for command in Args::command()
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
        {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }
}
