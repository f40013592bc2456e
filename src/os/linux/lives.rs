//! The lives of the participants of a section, by their locks (see [`life_locks`](super::life_locks)).

use super::life_locks::{Life, LifeLocks};
use super::process::Process;
use super::section::Section;
use crate::error::Result;
use crate::os::{LivesBackend, Occupant};
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
