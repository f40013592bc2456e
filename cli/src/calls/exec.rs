//! Running commands that take bytes in and give bytes out.

use crate::input::source::LOOK_EVERY;
use crate::platform::Shell;
use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Why a command has no output that counts.
#[derive(Debug)]
pub enum Lack {
    /// In words.
    Failed(String),
    TooLong,
    /// We are to end, and it was asked to.
    Over,
}

/// Runs a command by the shell, and gives what it prints: at most so many bytes, and unless we
/// are to end before.
pub fn output(
    line: &str,
    input: &[u8],
    max: usize,
    is_over: impl Fn() -> bool,
) -> Result<Vec<u8>, Lack> {
    let pipes = |command: &mut Command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
    };
    let mut shell = Shell::start(line, pipes)
        .map_err(|error| Lack::Failed(format!("the shell cannot be started: {error}")))?;
    let (stdin, stdout) = (shell.child.stdin.take(), shell.child.stdout.take());
    let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
        return Err(Lack::Failed("the command has no pipes".to_string()));
    };
    feed(stdin, input.to_vec());
    let drained = drain(stdout, max);
    let output = loop {
        match drained.recv_timeout(LOOK_EVERY) {
            Ok(output) => break output,
            Err(RecvTimeoutError::Timeout) if is_over() => {
                shell.end();
                return Err(Lack::Over);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Lack::Failed("its output cannot be read".to_string()));
            }
        }
    };
    let is_long = output.len() > max;
    if is_long {
        // Nobody reads the rest.
        shell.end();
    }
    let status = ended(&mut shell, is_over)?;
    match status.code() {
        _ if is_long => Err(Lack::TooLong),
        Some(0) => Ok(output),
        Some(code) => Err(Lack::Failed(format!("the command ended with {code}"))),
        None => Err(Lack::Failed(format!("the command ended by {status}"))),
    }
}

/// By a thread of its own: the command may print all it has before it reads.
fn feed(mut stdin: ChildStdin, input: Vec<u8>) {
    // It need not read what it does not want.
    std::thread::spawn(move || stdin.write_all(&input).is_ok());
}

/// By a thread of its own: reading can wait for ever.
fn drain(stdout: ChildStdout, max: usize) -> Receiver<Vec<u8>> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        // A byte more tells that there is more.
        let read = stdout.take(max as u64 + 1).read_to_end(&mut output);
        // Nobody listens any more when the end has come.
        read.is_ok() && tell.send(output).is_ok()
    });
    told
}

/// Its output has ended, and so it will, most often at once.
fn ended(shell: &mut Shell, is_over: impl Fn() -> bool) -> Result<ExitStatus, Lack> {
    let mut nap = Duration::from_micros(50);
    loop {
        match shell.child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if is_over() => {
                shell.end();
                return Err(Lack::Over);
            }
            Ok(None) => {}
            Err(error) => return Err(Lack::Failed(format!("it cannot be waited for: {error}"))),
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str, input: &[u8], max: usize) -> String {
        match output(line, input, max, || false) {
            Ok(output) => String::from_utf8(output).unwrap().replace("\r\n", "\n"),
            Err(Lack::Failed(why)) => why,
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn quotes_arrive_as_they_were_typed() {
        let (line, want) = match cfg!(windows) {
            true => ("echo \"a  b\" c", "\"a  b\" c\n"),
            false => ("echo \"a  b\" c", "a  b c\n"),
        };
        assert_eq!(run(line, b"", 100), want);
    }

    #[test]
    fn what_is_too_long_or_fails_counts_for_nothing() {
        assert_eq!(run("echo 123", b"", 2), "TooLong");
        assert_eq!(run("exit 3", b"", 2), "the command ended with 3");
        // More than a pipe holds, for one who does not read it.
        assert_eq!(run("echo x", &[b'x'; 1 << 20], 9), "x\n");
    }

    #[test]
    fn more_than_pipes_hold_goes_both_ways() {
        let line = if cfg!(windows) { "find \"x\"" } else { "cat" };
        let input = format!("{}x\n", "0123456789".repeat(8)).repeat(10_000);
        let max = 2 * input.len();
        // No assert_eq: nobody wants to read all that.
        assert!(run(line, input.as_bytes(), max) == input);
    }

    #[test]
    fn ended_shell_takes_its_commands_along() {
        let line = match cfg!(windows) {
            true => "set /p x= & cmd /C \"echo x & ping -n 600 127.0.0.1\"",
            false => "read x; sh -c 'echo x; sleep 600'; echo x",
        };
        let pipes = |command: &mut Command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        };
        let mut shell = Shell::start(line, pipes).unwrap();
        let mut stdout = shell.child.stdout.take().unwrap();
        // It waits until it is in its job object.
        let stdin = shell.child.stdin.take().unwrap();
        feed(stdin, b"go on\n".to_vec());
        // Something runs that has the pipe.
        stdout.read_exact(&mut [0; 2]).unwrap();

        shell.end();
        // The pipe ends when the last process that has it has ended.
        stdout.read_to_end(&mut Vec::new()).unwrap();
        shell.child.wait().unwrap();
    }

    #[test]
    fn whoever_is_to_end_waits_for_no_command() {
        let line = match cfg!(windows) {
            true => "ping -n 600 127.0.0.1 >nul",
            false => "sleep 600 | sleep 600",
        };
        assert!(matches!(output(line, b"", 9, || true), Err(Lack::Over)));
    }
}
