//! The records of a long ring at which a late subscriber can begin.
//!
//! The marks of a lane are an eighth of the ring apart. In a ring of a few long messages, the oldest
//! message that is kept may lie before all marks that are still valid. So the writer remembers where
//! records begin, and marks the first of these beginnings that it does not overwrite.

use super::ring::RingGeometry;
use std::collections::VecDeque;

/// The place of a record, and the number of messages before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub position: u64,
    pub number: u64,
}

/// The beginnings of records that the writer remembers, the oldest first.
///
/// The writer remembers the beginning of each record that is longer than half of the longest record,
/// and of any record if the last beginning that it remembers is at least that far before. So there
/// are few of them. For any N messages of up to the greatest length in a ring of N + 2 of the longest
/// records, one of them is remembered at the first of these messages, or before it and still readable:
///
/// - If the first of the messages is remembered, it is readable: the N messages, one that is being
///   written, and the pad take at most N + 2 of the longest records.
/// - Otherwise it takes at most half of the longest record, and a beginning less than half of the
///   longest record before it is remembered. Both halves together are the one record that the first
///   message does not take.
#[derive(Debug)]
pub(super) struct Kept {
    all: VecDeque<Mark>,
    half: u64,
    bytes: u64,
}

impl Kept {
    pub fn new(ring_geometry: RingGeometry) -> Kept {
        Kept {
            all: VecDeque::new(),
            half: ring_geometry.need(ring_geometry.max()) / 2,
            bytes: ring_geometry.bytes(),
        }
    }

    /// Notes a record, which begins here and ends at `end`.
    pub fn note(&mut self, begin: Mark, end: u64) {
        let is_due = |last: &Mark| {
            let is_long = end - begin.position > self.half && last.position < begin.position;
            is_long || begin.position - last.position >= self.half
        };
        if self.all.back().is_none_or(is_due) {
            self.all.push_back(begin);
        }
    }

    /// Returns the first beginning that is readable when the writer may write up to `reserved`. If
    /// all are overwritten, returns `tail`, where the next record begins.
    pub fn oldest(&mut self, reserved: u64, tail: Mark) -> Mark {
        let is_overwritten = |mark: &Mark| mark.position + self.bytes < reserved;
        while self.all.front().is_some_and(is_overwritten) {
            self.all.pop_front();
        }
        if self.all.is_empty() {
            self.all.push_back(tail);
        }
        self.all[0]
    }
}
