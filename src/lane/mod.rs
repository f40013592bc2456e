//! The ring of queues and topics: one writer writes messages, and readers in other processes read
//! them.
//!
//! - `geometry`: the sizes of a ring, and the offset of a position.
//! - [`ring`]: writes and reads the records of a ring.
//! - [`lossless`]: a lane with back-pressure. The writer waits for its one reader.
//! - [`lossy`]: a lane that the writer overwrites. A slow reader learns how many messages it
//!   missed.
//! - [`tenure`]: says which publisher has a lane of a topic.
//! - [`in_place`]: reads a message where it is in shared memory.
//! - `kept`: the records of a long ring at which a late subscriber can begin.
//! - [`stamp`]: time stamps of records.
//!
//! This module uses words and offsets, and does not know sections. So it runs over mapped memory,
//! over the heap, and over the atomics of a model checker.
//!
//! # Which accesses pair
//!
//! | | store | load | what it guarantees |
//! |---|---|---|---|
//! | P1 | reader: `room` published | writer: before it writes there | a record is not overwritten while the reader reads it |
//! | P2 | writer: `reserved` published | reader: before it looks at the marks | older marks are found at the first try |
//! | P3 | writer: release fence after `reserved` | reader: acquire fence after the copy | a torn copy is recognised |
//! | P4 | writer: first word of a record published | reader: its load | the reader sees the payload, and the empty word behind the record |
//!
//! Without P2 a slow reader would need more attempts, and would miss messages that it could still
//! read. No count depends on P2: a reader loads `reserved` again after the marks and refuses a mark
//! that is too old, and any other mark holds the exact number of messages before it.

pub(crate) mod claim;
mod geometry;
pub(crate) mod in_place;
mod kept;
pub(crate) mod lossless;
pub(crate) mod lossy;
pub(crate) mod ring;
pub(crate) mod stamp;
pub(crate) mod tenure;

#[cfg(test)]
pub(crate) mod tests;

use crate::format::layout::record;

/// The result of looking for a message in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is no unread message.
    Nothing,
    /// A message of this length was copied out.
    Message(usize),
    /// The reader missed this number of messages.
    Lagged(u64),
    /// The writer announced that it may overwrite the next message, although it was asked to
    /// wait.
    Overtaken,
    /// The ring holds a word that no writer of this crate writes.
    Corrupt,
}

/// The greatest plausible position or number. Greater ones are refused.
const GREATEST: u64 = 1 << 62;

/// Returns whether a record may begin at a position that a peer wrote.
// layout: L179
fn is_possible(position: u64) -> bool {
    position <= GREATEST && position.is_multiple_of(record::ALIGN as u64)
}
