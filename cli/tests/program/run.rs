//! Runs programs, above all the program under test.

#![allow(dead_code, reason = "each test file uses its own part")]

use crate::common::{started, step};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub fn parsed(out: &str) -> serde_json::Value {
    serde_json::from_str(out).unwrap_or_else(|e| panic!("{e}: {out}"))
}

#[track_caller]
pub fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

/// The exit code and the output of a program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; -1 if a signal ended the program.
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Returns a command that runs the program under test. If the test executables were copied
/// elsewhere, `SHMKIT_TEST_PROGRAM` is the path of the program there.
pub fn command(args: &[&str]) -> Command {
    let program = std::env::var_os("SHMKIT_TEST_PROGRAM")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_shmkit").into());
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Runs the program under test to its end, without input.
pub fn shmkit(args: &[&str]) -> Ended {
    output(&mut command(args))
}

pub fn output(command: &mut Command) -> Ended {
    let output = started(|| command.stdin(Stdio::null()).output());
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Returns the bytes as a text, with `\n` in place of the line ends of Windows.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}

/// Runs a test of a program that ends by itself after the number of seconds that the test gets. The
/// test returns `None` if the program ended too early, and is repeated with more seconds: a busy
/// machine needs them.
pub fn in_time<T>(test: impl FnMut(&str) -> Option<T>) -> T {
    let mut tries = ["2", "10", "30"].into_iter().inspect(|_| step());
    tries.find_map(test).expect("half a minute is not enough")
}

/// A running program. Dropping this value kills the program.
pub struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = started(|| command.spawn());
        Running {
            input: child.stdin.take(),
            output: child.stdout.take().map(BufReader::new),
            child,
        }
    }

    /// Starts a server of the classic recipe, and returns when its section exists and is filled.
    pub fn serve(args: &[&str]) -> Running {
        Running::announced("serve", "serving ", args)
    }

    /// Starts a publisher, and returns when its topic exists.
    pub fn publish(args: &[&str]) -> Running {
        Running::announced("publish", "publishing ", args)
    }

    fn announced(verb: &str, announcement: &str, args: &[&str]) -> Running {
        let mut running = Running::start(command(&[verb]).args(args));
        let line = running.line();
        assert!(
            line.starts_with(announcement) || line.starts_with('{'),
            "{line}"
        );
        running
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads the next line of the program's output; returns an empty text if the output has ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let output = self.output.as_mut().unwrap();
        output.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_ref()).unwrap();
        input.flush().unwrap();
    }

    pub fn close_input(&mut self) {
        drop(self.input.take());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills the program with SIGKILL or `TerminateProcess`, and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Closes the pipe from the program's output, and waits until the program has ended.
    pub fn leave(mut self) -> Ended {
        self.output = None;
        self.finish()
    }

    /// Waits until the program has ended by itself.
    pub fn finish(mut self) -> Ended {
        let mut out = Vec::new();
        if let Some(output) = &mut self.output {
            output.read_to_end(&mut out).unwrap();
        }
        let mut err = Vec::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_end(&mut err)
            .unwrap();
        Ended {
            code: self.child.wait().unwrap().code().unwrap_or(-1),
            out: text(out),
            err: text(err),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
