//! The program `shmkit`: queues, topics, values, calls and tools for named shared
//! memory.
//!
//! Exit codes: 0 done; 1 the name does not exist, the timeout passed, the other side died, or a
//! check of the self-test failed; 2 any other error.

mod args;
mod bench;
mod calls;
mod demo;
mod generate;
mod input;
mod inspect;
mod names;
mod objects;
mod output;
mod platform;
mod queue;
mod recipe;
mod self_test;
mod text;
mod topic;
mod values;

use args::{Args, Command};
use clap::Parser;
use std::fmt::Display;
use std::io::IsTerminal;
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    /// An object or message is absent, or did not come in time. The text says which. Exit code 1.
    Absent(String),
    /// A check of the self-test failed. Exit code 1.
    Unsound(String),
    /// Any other error. Exit code 2.
    Other(String),
    /// The process that reads the output has gone. This is not an error.
    ClosedPipe,
}

type Outcome = Result<(), Failure>;

impl Failure {
    fn other(what: impl Display) -> Failure {
        Failure::Other(what.to_string())
    }

    /// Returns the error with `advice` in place of its own advice. The advice is on a line of its
    /// own.
    fn with_advice(error: &shmkit::Error, advice: &str) -> Failure {
        let line = error.to_string();
        let own = format!("; {}", error.advice());
        let text = match line.strip_suffix(&own).unwrap_or(&line) {
            what if advice.is_empty() => what.to_string(),
            what => format!("{what}\n  {advice}"),
        };
        match error.kind() {
            shmkit::ErrorKind::NotFound => Failure::Absent(text),
            _ => Failure::Other(text),
        }
    }
}

impl From<shmkit::Error> for Failure {
    fn from(error: shmkit::Error) -> Failure {
        let advice = error.advice().to_string();
        Failure::with_advice(&error, &advice)
    }
}

/// Converts the errors of the calls that move data. An error of the system keeps its advice.
macro_rules! failure_of {
    ($($error:ident)*) => {$(
        impl From<shmkit::$error> for Failure {
            fn from(error: shmkit::$error) -> Failure {
                match error {
                    shmkit::$error::System(error) => error.into(),
                    error => Failure::other(error),
                }
            }
        }
    )*};
}

failure_of!(SendError RecvError GetError);

/// Only writes to standard output return an `io::Error` that becomes a `Failure`.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::Other(format!("cannot write to standard output: {error}")),
        }
    }
}

fn main() -> ExitCode {
    let command = match Args::try_parse() {
        Ok(args) => args.command,
        // `error.exit()` of clap needs several writes, and prints colors that only a terminal
        // shows.
        Err(error) if error.use_stderr() && !std::io::stderr().is_terminal() => {
            output::error(&error.render().to_string());
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };

    names::prefix::warn(&command);
    let outcome = match command {
        Command::Publish(args) => topic::publish::run(&args),
        Command::Subscribe(args) => topic::subscribe::run(&args),
        Command::Send(args) => queue::send::run(&args),
        Command::Recv(args) => queue::recv::run(&args),
        Command::Set(args) => values::set::run(&args),
        Command::Get(args) => values::get::run(&args),
        Command::Answer(args) => calls::answer::run(&args),
        Command::Call(args) => calls::call::run(&args),
        Command::Serve(args) => recipe::serve::run(&args),
        Command::Consume(args) => recipe::consume::run(&args),
        Command::List(args) => inspect::list::run(&args),
        Command::Show(args) => inspect::show::run(&args),
        Command::Dump(args) => inspect::dump::run(&args),
        Command::Write(args) => objects::write::run(&args),
        Command::Signal(args) => objects::signal::run(&args),
        Command::Wait(args) => objects::wait::run(&args),
        Command::Hold(args) => objects::hold::run(&args),
        Command::Clean(args) => objects::clean::run(&args),
        Command::Doctor(args) => inspect::doctor::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
        Command::Demo { seconds } => demo::run(seconds),
        Command::DemoSubscriber {
            topic,
            pause_micros,
        } => demo::subscriber::run(&topic, pause_micros),
        Command::BenchPeer(args) => bench::run_peer(&args),
        Command::SelfTestPeer(args) => self_test::run_peer(&args),
    };

    match outcome {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(Failure::Absent(why) | Failure::Unsound(why)) => {
            output::remark(&why);
            ExitCode::from(1)
        }
        Err(Failure::Other(why)) => {
            output::remark(&why);
            ExitCode::from(2)
        }
    }
}
