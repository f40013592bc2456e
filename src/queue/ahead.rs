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

    /// Removes and returns the first message, if its number is not greater than this number.
    pub fn take_to(&mut self, number: u64) -> Option<Unreleased> {
        let first = self.received - self.unreleased.len() as u64 + 1;
        if first > number {
            return None;
        }
        self.unreleased.pop_front()
    }

    /// Returns whether a message of this generation was not released.
    pub fn has(&self, generation: u32) -> bool {
        let is_there = |message: &Unreleased| message.generation == generation;
        self.unreleased.iter().any(is_there)
    }
}
