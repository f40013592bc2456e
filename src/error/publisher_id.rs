//! The identity of a publisher of a topic. It stands here since an error contains it.

use std::fmt;

/// The identity of a publisher of a topic. A publisher keeps its identity when it reattaches to the
/// next generation, and no later publisher of the topic has it.
///
/// The identity is what the publisher has stored: it identifies a process, and authenticates nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublisherId {
    pub(crate) number: u64,
    /// The words of the process identity.
    pub(crate) process: [u64; 2],
}

impl PublisherId {
    /// Returns the number of the publisher, which no other publisher of the topic has.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Display for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.process[1] as u32;
        write!(f, "publisher {:x} of process {pid}", self.number)
    }
}
