//! Endpoints of systems without fork and without removable names: they stay valid.

use super::{Section, ValidityBackend};
use crate::exchange::Fault;

/// That of every endpoint.
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
