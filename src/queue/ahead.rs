//! Messages that a receiver has received ahead: they stay in their lanes until the receiver releases
//! them. The next receiver receives again what was not released.

use crate::lane::lossless::Kept;
use std::collections::VecDeque;

/// A message that was received and not released.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreleased {
    pub generation: u32,
    pub lane: usize,
    pub kept: Kept,
    /// Whether the message is not valid, and is released with the message before it.
    pub is_skipped: bool,
}

/// The messages that were received ahead, in their order.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    unreleased: VecDeque<Unreleased>,
    /// The number of messages that were received ahead, released or not.
    received: u64,
}

impl Ahead {
    /// Notes a message, and returns its number. The first message has the number 1.
    pub fn add(&mut self, message: Unreleased) -> u64 {
        self.unreleased.push_back(message);
        self.received += 1;
        self.received
    }

    pub fn is_empty(&self) -> bool {
        self.unreleased.is_empty()
    }

    /// Removes and returns the first message, if its number is not greater than this number, or if it
    /// is not valid.
    pub fn take_to(&mut self, number: u64) -> Option<Unreleased> {
        let number_of_first = self.received - self.unreleased.len() as u64 + 1;
        let first = self.unreleased.front()?;
        let is_due = number_of_first <= number || first.is_skipped;
        is_due.then(|| self.unreleased.pop_front())?
    }

    /// Lets the last message be released with the message before it.
    pub fn skip_last(&mut self) {
        if let Some(last) = self.unreleased.back_mut() {
            last.is_skipped = true;
        }
    }

    /// Returns whether a message of this generation was not released.
    pub fn has(&self, generation: u32) -> bool {
        let is_there = |message: &Unreleased| message.generation == generation;
        self.unreleased.iter().any(is_there)
    }
}
