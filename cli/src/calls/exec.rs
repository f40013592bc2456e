//! Running commands that take bytes in and give bytes out.

use crate::input::ends::{Waits, Woken};
use crate::platform::{self, Shell};
use shmkit::{ProcessIdentity, WaitHandle, Waitable};
use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// Why a command has no output that counts.
#[derive(Debug)]
pub enum Lack {
    /// In words.
    Failed(String),
    TooLong,
    /// We are to end, and it was asked to.
    Over,
}

/// Runs a command by the shell, and gives what it prints: at most so many bytes, and unless there
/// is a reason to end before.
pub fn output(line: &str, input: &[u8], max: usize, waits: &mut Waits) -> Result<Vec<u8>, Lack> {
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
    let (drained, mut is_drained) = drain(stdout, max)?;
    wait(&mut shell, &mut is_drained, waits)?;
    let output = drained
        .recv()
        .map_err(|_| Lack::Failed("its output cannot be read".to_string()))?;

    let is_long = output.len() > max;
    if is_long {
        // Nobody reads the rest.
        shell.end();
    }
    let status = ended(&mut shell, waits)?;
    match status.code() {
        _ if is_long => Err(Lack::TooLong),
        Some(0) => Ok(output),
        Some(code) => Err(Lack::Failed(format!("the command ended with {code}"))),
        None => Err(Lack::Failed(format!("the command ended by {status}"))),
    }
}

/// Waits for something of the command; ends the command where there is a reason to end before.
fn wait(shell: &mut Shell, source: &mut dyn Waitable, waits: &mut Waits) -> Result<(), Lack> {
    match waits.wait(source, None) {
        Ok(Woken::Source) if !waits.is_late() => Ok(()),
        Ok(_) => {
            shell.end();
            Err(Lack::Over)
        }
        Err(error) => Err(Lack::Failed(format!("it cannot be waited for: {error}"))),
    }
}

/// By a thread of its own: the command may print all it has before it reads.
fn feed(mut stdin: ChildStdin, input: Vec<u8>) {
    // It need not read what it does not want.
    std::thread::spawn(move || stdin.write_all(&input).is_ok());
}

/// By a thread of its own: reading can block for ever. The handle becomes ready when the output has
/// ended.
fn drain(stdout: ChildStdout, max: usize) -> Result<(Receiver<Vec<u8>>, WaitHandle), Lack> {
    let (latch, object) = platform::latch()
        .map_err(|error| Lack::Failed(format!("its output cannot be waited for: {error}")))?;
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        // A byte more tells that there is more.
        let read = stdout.take(max as u64 + 1).read_to_end(&mut output);
        // The other side may have stopped receiving.
        let _ = read.map(|_| tell.send(output));
        drop(latch);
    });
    Ok((told, WaitHandle::new(object)))
}

/// Its output has ended, and so will the command, most often at once.
fn ended(shell: &mut Shell, waits: &mut Waits) -> Result<ExitStatus, Lack> {
    let lost = |error| Lack::Failed(format!("it cannot be waited for: {error}"));
    while shell.child.try_wait().map_err(lost)?.is_none() {
        // A process that can not be watched has ended.
        let process = ProcessIdentity::of(shell.child.id()).and_then(|process| process.watch());
        let Ok(mut process) = process else { break };
        wait(shell, &mut process, waits)?;
    }
    shell.child.wait().map_err(lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::ends::Ends;

    fn run(line: &str, input: &[u8], max: usize) -> String {
        let ends = Ends::new(None).unwrap();
        match output(line, input, max, &mut ends.waits().unwrap()) {
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
    fn ended_server_waits_for_no_command() {
        let line = match cfg!(windows) {
            true => "ping -n 600 127.0.0.1 >nul",
            false => "sleep 600 | sleep 600",
        };
        let ends = Ends::new(None).unwrap();
        let mut waits = ends.waits().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| ends.end("a test"));
            assert!(matches!(output(line, b"", 9, &mut waits), Err(Lack::Over)));
        });
    }
}
