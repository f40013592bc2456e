//! Runs a command of the shell with bytes as its input, and returns its output.

use crate::input::ends::{Waits, Woken};
use crate::platform::{self, Shell};
use shmkit::{ProcessIdentity, WaitHandle, Waitable};
use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// Why a command has no output that can be used.
#[derive(Debug)]
pub enum Lack {
    /// The command failed, for this reason.
    Failed(String),
    /// The output is longer than allowed.
    TooLong,
    /// There is a reason to end this program, and the command was asked to end.
    Over,
}

/// Runs a command by the shell, and returns its output.
///
/// # Errors
///
/// `TooLong` if the output is longer than `max` bytes, `Over` if there is a reason to end before
/// the command has ended, and `Failed` if the command fails or cannot be run.
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
        .map_err(|_| Lack::Failed("the output of the command cannot be read".to_string()))?;

    let is_long = output.len() > max;
    if is_long {
        // The rest of the output is not read, so the command could block for ever.
        shell.end();
    }
    let status = ended(&mut shell, waits)?;
    match status.code() {
        _ if is_long => Err(Lack::TooLong),
        Some(0) => Ok(output),
        Some(code) => Err(Lack::Failed(format!(
            "the command ended with exit code {code}"
        ))),
        None => Err(Lack::Failed(format!("the command ended by {status}"))),
    }
}

/// Waits for a source that belongs to the command. Ends the command if there is a reason to end
/// before the source is ready.
fn wait(shell: &mut Shell, source: &mut dyn Waitable, waits: &mut Waits) -> Result<(), Lack> {
    match waits.wait(source, None) {
        Ok(Woken::Source) if !waits.is_late() => Ok(()),
        Ok(_) => {
            shell.end();
            Err(Lack::Over)
        }
        Err(error) => Err(Lack::Failed(format!(
            "cannot wait for the command: {error}"
        ))),
    }
}

/// Writes the input on a thread of its own: the command may print its whole output before it reads
/// its input.
fn feed(mut stdin: ChildStdin, input: Vec<u8>) {
    // A command need not read all of its input, so an error of the write is ignored.
    std::thread::spawn(move || stdin.write_all(&input).is_ok());
}

/// Reads the output on a thread of its own, since reading can block for ever. The returned handle
/// becomes ready when the output has ended, or has more than `max` bytes.
fn drain(stdout: ChildStdout, max: usize) -> Result<(Receiver<Vec<u8>>, WaitHandle), Lack> {
    let (latch, object) = platform::latch()
        .map_err(|error| Lack::Failed(format!("cannot wait for the output: {error}")))?;
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        // One byte more than `max` shows that the output is too long.
        let read = stdout.take(max as u64 + 1).read_to_end(&mut output);
        // The other side may have stopped receiving.
        let _ = read.map(|_| tell.send(output));
        drop(latch);
    });
    Ok((told, WaitHandle::new(object)))
}

/// Waits until the command has ended. Its output has ended already, so most commands end at once.
fn ended(shell: &mut Shell, waits: &mut Waits) -> Result<ExitStatus, Lack> {
    let lost = |error| Lack::Failed(format!("cannot wait for the command: {error}"));
    while shell.child.try_wait().map_err(lost)?.is_none() {
        // A process that cannot be watched has ended.
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
    fn command_line_quotes_reach_the_shell_unchanged() {
        let (line, want) = match cfg!(windows) {
            true => ("echo \"a  b\" c", "\"a  b\" c\n"),
            false => ("echo \"a  b\" c", "a  b c\n"),
        };
        assert_eq!(run(line, b"", 100), want);
    }

    #[test]
    fn oversized_or_failed_command_output_is_rejected() {
        assert_eq!(run("echo 123", b"", 2), "TooLong");
        assert_eq!(run("exit 3", b"", 2), "the command ended with exit code 3");
        // The command does not read its input, which is longer than a pipe holds.
        assert_eq!(run("echo x", &[b'x'; 1 << 20], 9), "x\n");
    }

    #[test]
    fn input_beyond_pipe_capacity_passes_through_command() {
        let line = if cfg!(windows) { "find \"x\"" } else { "cat" };
        let input = format!("{}x\n", "0123456789".repeat(8)).repeat(10_000);
        let max = 2 * input.len();
        // This is no `assert_eq!`, which would print the whole input.
        assert!(run(line, input.as_bytes(), max) == input);
    }

    #[test]
    fn ended_shell_ends_its_child_processes() {
        let line = match cfg!(windows) {
            true => "set /p x= & cmd /C \"echo x & ping -n 600 127.0.0.1\"",
            false => "read x; sh -c 'echo x; sleep 600'; echo x",
        };
        let pipes = |command: &mut Command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        };
        let mut shell = Shell::start(line, pipes).unwrap();
        let mut stdout = shell.child.stdout.take().unwrap();
        // The command waits for this line, so that its children start when it is in its job object.
        let stdin = shell.child.stdin.take().unwrap();
        feed(stdin, b"go on\n".to_vec());
        // A process that has the pipe open runs now.
        stdout.read_exact(&mut [0; 2]).unwrap();

        shell.end();
        // The pipe ends when the last process that has it has ended.
        stdout.read_to_end(&mut Vec::new()).unwrap();
        shell.child.wait().unwrap();
    }

    #[test]
    fn command_wait_stops_when_server_ends() {
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
