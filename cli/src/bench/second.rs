//! The second process, as the first process sees it.

use super::link::Stream;
use crate::{Failure, platform};
use shmkit::{Process, ProcessIdentity};
use shmkit_measure::Result;
use std::error::Error;
use std::io::{Read, pipe};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest time from the end of the last measurement to the end of the second process.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest time for which a process still seems to be alive after the connection to it failed.
const MOMENT: Duration = Duration::from_secs(1);

/// Ends the second process if a signal asks this process to end. Each wait for a message then fails
/// at once, and this process cleans up.
#[derive(Clone, Debug, Default)]
pub struct Guard(Arc<Mutex<Guarded>>);

#[derive(Debug, Default)]
struct Guarded {
    asked_to_end: bool,
    child: Option<Child>,
}

impl Guard {
    /// Watches for signals. From now on a signal ends the second process, and not this process.
    pub fn watch() -> Result<Guard, Failure> {
        let guard = Guard::default();
        let told = guard.clone();
        platform::on_end(move |_| {
            let mut guarded = told.lock();
            guarded.asked_to_end = true;
            if let Some(child) = &mut guarded.child {
                // The second process may have ended already.
                let _ = child.kill();
            }
        })
        .map_err(Failure::Other)?;
        Ok(guard)
    }

    fn kill(&self) {
        if let Some(mut child) = self.lock().child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The second process, which is killed when this value is dropped.
pub struct Second {
    guard: Guard,
    process: Process,
}

impl Second {
    /// Starts this program again, with a pipe in each direction.
    pub fn start(guard: &Guard, args: &[String]) -> Result<(Second, Stream)> {
        let ((stdin, writer), (reader, stdout)) = (pipe()?, pipe()?);
        let mut guarded = guard.lock();
        if guarded.asked_to_end {
            return Err("interrupted".into());
        }

        let child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start the second process: {e}"))?;
        let id = child.id();
        guarded.child = Some(child);
        drop(guarded);

        let process = ProcessIdentity::of(id).and_then(|second| second.watch());
        let second = Second {
            process: process.inspect_err(|_| guard.kill())?,
            guard: guard.clone(),
        };
        Ok((second, Stream::new(reader, writer)))
    }

    /// Returns the process, for the question whether it is alive.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until the second process has ended by itself.
    pub fn finish(&self) -> Result<()> {
        if !self.process.wait_timeout(PATIENCE)? {
            return Err("the second process does not end".into());
        }
        match self.status() {
            Some(status) if status.success() => Ok(()),
            _ => Err("the second process failed".into()),
        }
    }

    /// Returns the reason why a step of both processes failed: the end of the second process if it
    /// has ended, otherwise `error`.
    pub fn blame(&self, error: Box<dyn Error>) -> Failure {
        let ended = self.process.wait_timeout(MOMENT).unwrap_or(false);
        if self.guard.lock().asked_to_end {
            return Failure::Other("interrupted".to_string());
        }
        let Some(status) = ended.then(|| self.status()).flatten() else {
            return failure(error);
        };
        match self.last_words() {
            words if words.is_empty() => {
                Failure::Absent(format!("the second process died: {status}"))
            }
            words => Failure::Other(format!("the second process: {words}")),
        }
    }

    /// Returns the exit status of the second process.
    fn status(&self) -> Option<ExitStatus> {
        self.guard.lock().child.as_mut()?.wait().ok()
    }

    /// Returns what the second process printed on standard error before it ended.
    fn last_words(&self) -> String {
        let mut said = String::new();
        let stderr = self
            .guard
            .lock()
            .child
            .as_mut()
            .and_then(|child| child.stderr.take());
        if let Some(mut stderr) = stderr {
            // An output that is not text is ignored.
            let _ = stderr.read_to_string(&mut said);
        }
        let said = said.trim();
        said.strip_prefix("shmkit: ").unwrap_or(said).to_string()
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.guard.kill();
    }
}

/// Converts an error into a failure. An error of the library keeps its advice.
pub fn failure(error: Box<dyn Error>) -> Failure {
    match error.downcast::<shmkit::Error>() {
        Ok(error) => (*error).into(),
        Err(error) => Failure::other(error),
    }
}
