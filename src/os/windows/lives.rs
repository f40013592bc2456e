//! The lives of the participants of a section: the system knows each process by its number and its
//! start time.

use super::process::Process;
use super::section::Section;
use crate::error::{ErrorKind, Result};
use crate::os::{LivesBackend, Occupant, ProcessBackend, ProcessIdentity, pid_of, word_of};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Lives;

/// The life of a participant, which is that of this process.
#[derive(Debug)]
pub(crate) struct Life;

/// Watches the process with this word; `None` if the process has ended. An error does not prove
/// that it has ended.
// layout: L080
fn watch(word: u64) -> Result<Option<Process>> {
    let identity: ProcessIdentity = match Process::identify(pid_of(word)) {
        Ok(identity) => identity,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if word_of(&identity) != word {
        return Ok(None);
    }
    let process = Process::watch(identity)?;
    let has_ended = process.wait(Some(Duration::ZERO))?;
    Ok((!has_ended).then_some(process))
}

impl LivesBackend for Lives {
    type Life = Life;

    fn of(_section: &Arc<Section>) -> Result<Lives> {
        Ok(Lives)
    }

    fn take(&self, number: usize, word: u64) -> Result<Option<Life>> {
        // A process that may not be watched counts as alive.
        let is_free = word == 0 || matches!(self.has_ended(number, word), Ok(true));
        Ok(is_free.then_some(Life))
    }

    fn has_ended(&self, _number: usize, word: u64) -> Result<bool> {
        watch(word).map(|process| process.is_none())
    }

    /// Returns `false`: the end of a process is the proof of death.
    fn is_ending(&self, _occupant: Occupant) -> bool {
        false
    }

    /// Returns `true`: a name belongs to one object as long as a process has a handle of the object.
    fn is_of_same_section(&self, _other: &Lives) -> bool {
        true
    }

    fn watch(&self, _number: usize, occupant: Occupant) -> Result<Option<Process>> {
        watch(occupant.word)
    }
}
