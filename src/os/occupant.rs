//! The words in shared memory that name the process in a slot, or the owner of a name.

use super::ProcessIdentity;

/// The process in a slot, as the words of the slot say. They say which process to look at, and
/// prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupant {
    /// The process word; 0 if the slot is free.
    pub word: u64,
    /// The namespaces in which the word has a meaning (Linux).
    pub space: u32,
    /// The start time of the process; 0 if it is not known.
    pub start: u64,
}

impl Occupant {
    pub fn of(identity: &ProcessIdentity) -> Occupant {
        Occupant {
            word: word_of(identity),
            space: identity.space,
            start: identity.start,
        }
    }

    /// Returns the identity of the process; `None` if the words do not belong together.
    pub fn identity(&self) -> Option<ProcessIdentity> {
        let identity = ProcessIdentity {
            pid: pid_of(self.word),
            space: self.space,
            start: self.start,
        };
        (word_of(&identity) == self.word).then_some(identity)
    }
}

/// Returns the process word of a process: the process id, and a fold of the start time.
// layout: L077
pub(crate) fn word_of(identity: &ProcessIdentity) -> u64 {
    u64::from(identity.pid) << 32 | u64::from(fold(identity.start))
}

/// Folds a start time to 32 bits, never to 0.
// layout: L078
fn fold(start: u64) -> u32 {
    ((start >> 32) as u32 ^ start as u32).max(1)
}

/// Returns the process id in a process word.
pub(crate) fn pid_of(word: u64) -> u32 {
    (word >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    // layout: L077 L078
    #[test]
    fn process_word_joins_pid_and_start_fold() {
        let word = |pid, start| {
            word_of(&ProcessIdentity {
                pid,
                space: 7,
                start,
            })
        };
        assert_eq!(word(0x1234, 5 << 32 | 3), 0x1234 << 32 | 6);
        assert_eq!(word(1, 9 << 32 | 9), 1 << 32 | 1, "a fold is never 0");
    }
}
