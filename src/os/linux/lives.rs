//! The lives of the participants of a section, by their locks (see [`life_locks`](super::life_locks)).

use super::life_locks::{Life, LifeLocks};
use super::proc::space;
use super::process::Process;
use super::section::Section;
use crate::error::{ErrorKind, Result};
use crate::os::{LivesBackend, Occupant, ProcessBackend, pid_of, word_of};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct Lives(LifeLocks);

impl LivesBackend for Lives {
    type Life = Life;

    fn of(section: &Arc<Section>) -> Result<Lives> {
        LifeLocks::of(section).map(Lives)
    }

    fn take(&self, number: usize, _word: u64) -> Result<Option<Life>> {
        self.0.take(number)
    }

    fn has_ended(&self, number: usize, _word: u64) -> Result<bool> {
        self.0.is_free(number)
    }

    /// The memory of a process, and with it the life, may stay for a moment after its end: while
    /// another process reads its `/proc/PID/maps`, or until a child that it was starting runs its
    /// program.
    fn is_ending(&self, occupant: Occupant) -> bool {
        let is_here = space().is_ok_and(|here| here == occupant.space);
        is_here
            && match Process::identify(pid_of(occupant.word)) {
                Ok(identity) => word_of(&identity) != occupant.word,
                Err(error) => error.kind() == ErrorKind::NotFound,
            }
    }

    fn is_of_same_section(&self, other: &Lives) -> bool {
        self.0.is_of_same_file(&other.0)
    }

    fn watch(&self, number: usize, occupant: Occupant) -> Result<Option<Process>> {
        if self.0.is_free(number)? {
            return Ok(None);
        }
        Ok(Some(Process::of_life(self.0.clone(), number, occupant)))
    }
}
