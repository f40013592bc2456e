//! The parts of a backend for systems without fork, and without names that can be
//! removed. Endpoints stay valid on these systems.

use super::{Holder, Section, ValidityBackend};
use crate::error::channel::Fault;
use std::path::PathBuf;

/// Returns nothing: names are not removed on these systems while a process holds the object.
pub(crate) fn nameless() -> Vec<(Holder, usize)> {
    Vec::new()
}

/// Returns `None`: no folder holds the objects of these systems.
pub(crate) fn objects_folder() -> Option<(PathBuf, bool)> {
    None
}

/// The mark of every endpoint: valid.
#[derive(Debug)]
pub(crate) struct Validity;

impl ValidityBackend for Validity {
    fn new() -> Validity {
        Validity
    }

    fn of_owner(_: &Section) -> Validity {
        Validity
    }

    #[inline(always)]
    fn is_valid(&self) -> bool {
        true
    }

    fn is_forked(&self) -> bool {
        false
    }

    fn has_fault(&self) -> bool {
        false
    }

    fn fault(&self) -> Option<Fault> {
        None
    }
}
