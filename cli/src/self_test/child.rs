//! The other processes: this program, run again in a role.
//!
//! Parent and child talk in lines: an order, and one answer to each. A child ends when its
//! standard input ends, so that none outlives a parent that was killed.

use super::check::{Checked, PATIENCE, Wrong};
use super::roles;
use crate::args::SelfTestPeer;
use crate::input::ends::Ends;
use crate::{Failure, Outcome, output};
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

/// What a child says before what is wrong: what was expected, what came, and where, with tabs
/// between.
const WRONG: &str = "wrong\t";

/// A process in a role, killed when it is dropped.
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    said: Receiver<String>,
}

impl Child {
    /// Starts one, and waits until it is ready.
    #[track_caller]
    pub fn start(role: &str, name: &str) -> Result<Child, Wrong> {
        Child::start_with(role, name, "")
    }

    /// The same for a role that takes an argument.
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
                // Nobody listens any more where the check has ended.
                let _ = tell.send(line);
            }
        })?;
        child.expect("ready")?;
        Ok(child)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Gives an order.
    #[track_caller]
    pub fn tell(&mut self, order: &str) -> Checked {
        let Some(input) = &mut self.input else {
            return Err(Wrong::new("a child that listens", "it was told to end"));
        };
        writeln!(input, "{order}")?;
        Ok(input.flush()?)
    }

    /// The answer to an order.
    #[track_caller]
    pub fn hear(&mut self) -> Result<String, Wrong> {
        let line = match self.said.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                let came = format!("nothing in {} s", PATIENCE.as_secs());
                return Err(Wrong::new("an answer of the other process", came));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Wrong::new("an answer of the other process", "it ended"));
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

    /// Gives an order that is done by saying this.
    #[track_caller]
    pub fn order(&mut self, order: &str, answer: &str) -> Checked {
        self.tell(order)?;
        self.expect(answer)
    }

    /// SIGKILL, TerminateProcess.
    #[track_caller]
    pub fn kill(mut self) -> Checked {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Ends its standard input, and waits until it has ended by itself.
    #[track_caller]
    pub fn leave(mut self) -> Checked {
        drop(self.input.take());
        let status = self.process.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(Wrong::new("the other process ends well", status)),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This program again, with pipes to and from it.
fn spawned(args: &[&str]) -> std::io::Result<std::process::Child> {
    /// Wine 8 sometimes starts no process while others start and end; it does the next time.
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

/// What a child is told.
pub struct Orders(Receiver<String>);

impl Orders {
    /// Says that it is ready, and answers each order, a word and the rest of its line.
    pub fn obey(&self, mut each: impl FnMut(&str, &str) -> Result<String, Wrong>) -> Checked {
        say("ready");
        while let Ok(order) = self.0.recv() {
            let (word, rest) = order.split_once(' ').unwrap_or((&order, ""));
            say(&each(word, rest)?);
        }
        Ok(())
    }
}

/// In the child: plays a role until standard input ends.
pub fn run(args: &SelfTestPeer) -> Outcome {
    // Ctrl-C is for the parent, whose end is that of this process.
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

/// Takes orders until the input ends, and this process with it, whatever it waits for.
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
        Wrong::Skipped(why) => say(&format!("{WRONG}that it can be tried\t{}", tame(why))),
    }
}

fn say(line: &str) {
    // Where nobody listens, the input ends too.
    let _ = output::line(line);
}
