//! The child processes of the self-test: this program, which runs again in a role.
//!
//! The parent sends an order as a line, and the child answers each order with one line. A child
//! ends when its standard input ends, so no child outlives a parent that was killed.

use super::check::{Checked, PATIENCE, Wrong};
use super::roles;
use crate::args::SelfTestPeer;
use crate::input::ends::Ends;
use crate::{Failure, Outcome, output};
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

/// The beginning of the line of a child that reports a failure. What was expected, what came, and
/// the place follow, separated by tabs.
const WRONG: &str = "wrong\t";

/// A child process in a role, which is killed when this value is dropped.
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    said: Receiver<String>,
}

impl Child {
    /// Starts a child, and waits until it is ready.
    #[track_caller]
    pub fn start(role: &str, name: &str) -> Result<Child, Wrong> {
        Child::start_with(role, name, "")
    }

    /// Starts a child in a role that takes an argument, and waits until the child is ready.
    #[track_caller]
    pub fn start_with(role: &str, name: &str, argument: &str) -> Result<Child, Wrong> {
        let mut process = spawned(&["self-test-peer", role, name, argument])?;
        let (tell, said) = channel();
        let output = process.stdout.take();
        let mut child = Child {
            input: process.stdin.take(),
            process,
            said,
        };

        std::thread::Builder::new().spawn(move || {
            let lines = output.map(|output| BufReader::new(output).lines());
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                // The receiver is gone if the check has ended.
                let _ = tell.send(line);
            }
        })?;

        child.expect("ready")?;
        Ok(child)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends an order to the child.
    #[track_caller]
    pub fn tell(&mut self, order: &str) -> Checked {
        let Some(input) = &mut self.input else {
            return Err(Wrong::new(
                "a child process that takes orders",
                "its input was closed",
            ));
        };
        writeln!(input, "{order}")?;
        Ok(input.flush()?)
    }

    /// Waits for the answer to an order, and returns it.
    #[track_caller]
    pub fn hear(&mut self) -> Result<String, Wrong> {
        let line = match self.said.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                let came = format!("nothing in {} s", PATIENCE.as_secs());
                return Err(Wrong::new("an answer of the other process", came));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Wrong::new(
                    "an answer of the other process",
                    "the process ended",
                ));
            }
        };

        let Some(wrong) = line.strip_prefix(WRONG) else {
            return Ok(line);
        };
        let mut fields = wrong.split('\t').map(str::to_string);
        let mut field = || fields.next().unwrap_or_default();
        Err(Wrong::Failed {
            expected: field(),
            came: format!("in the other process: {}", field()),
            at: field(),
        })
    }

    #[track_caller]
    pub fn ask(&mut self, order: &str) -> Result<String, Wrong> {
        self.tell(order)?;
        self.hear()
    }

    #[track_caller]
    pub fn expect(&mut self, answer: &str) -> Checked {
        let came = self.hear()?;
        match came == answer {
            true => Ok(()),
            false => Err(Wrong::new(
                format_args!("the other process says {answer:?}"),
                format_args!("{came:?}"),
            )),
        }
    }

    /// Sends an order, and waits for this answer.
    #[track_caller]
    pub fn order(&mut self, order: &str, answer: &str) -> Checked {
        self.tell(order)?;
        self.expect(answer)
    }

    /// Kills the child (SIGKILL, TerminateProcess).
    #[track_caller]
    pub fn kill(mut self) -> Checked {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Closes the standard input of the child, and waits until the child has ended by itself.
    #[track_caller]
    pub fn leave(mut self) -> Checked {
        drop(self.input.take());
        let status = self.process.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(Wrong::new("the other process succeeds", status)),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts this program again, with pipes for its input and output.
fn spawned(args: &[&str]) -> std::io::Result<std::process::Child> {
    /// Wine 8 sometimes fails to start a process while other processes start and end. The next
    /// attempt succeeds.
    const INTERNAL_ERROR: i32 = 1359;

    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());

    for _ in 0..5 {
        match command.spawn() {
            Err(e) if cfg!(windows) && e.raw_os_error() == Some(INTERNAL_ERROR) => {}
            started => return started,
        }
    }
    command.spawn()
}

/// The orders that a child receives.
pub struct Orders(Receiver<String>);

impl Orders {
    /// Reports that the child is ready, and answers each order. `each` gets the first word of the
    /// order and the rest of its line.
    pub fn obey(&self, mut each: impl FnMut(&str, &str) -> Result<String, Wrong>) -> Checked {
        say("ready");
        while let Ok(order) = self.0.recv() {
            let (word, rest) = order.split_once(' ').unwrap_or((&order, ""));
            say(&each(word, rest)?);
        }
        Ok(())
    }
}

/// Runs in the child: plays a role until standard input ends.
pub fn run(args: &SelfTestPeer) -> Outcome {
    // Ctrl-C is for the parent, and this process ends with the parent.
    let _ends = Ends::watch(None).map_err(Failure::Other)?;
    std::panic::set_hook(Box::new(|info| {
        say_wrong(&Wrong::new("no panic", info));
    }));
    let (tell, orders) = channel();
    std::thread::spawn(move || listen(&tell));
    if let Err(wrong) = roles::play(&args.role, &args.name, &args.argument, &Orders(orders)) {
        say_wrong(&wrong);
    }
    loop {
        std::thread::park();
    }
}

/// Reads orders until the input ends, and then ends this process, also if its role still waits.
fn listen(tell: &Sender<String>) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        // A role that has failed takes no orders.
        let _ = tell.send(line);
    }
    std::process::exit(0);
}

fn say_wrong(wrong: &Wrong) {
    let tame = |text: &str| text.replace(char::is_control, " ");
    match wrong {
        Wrong::Failed { expected, came, at } => {
            let [expected, came, at] = [expected, came, at].map(|text| tame(text));
            say(&format!("{WRONG}{expected}\t{came}\t{at}"));
        }
        Wrong::Skipped(why) => say(&format!("{WRONG}a check that can run\t{}", tame(why))),
    }
}

fn say(line: &str) {
    // If the parent is gone, the input ends too, and this process with it.
    let _ = output::line(line);
}
