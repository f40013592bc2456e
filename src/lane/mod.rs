//! The one ring under queue and topic: messages of one writer, in lines of memory that
//! it shares with its readers.
//!
//! - [`ring`]: records, as their writer lays them down and a reader finds them.
//! - [`lossless`]: a reader whom the writer waits for; nothing is lost.
//! - [`lossy`]: readers whom the writer does not know; they learn what they missed.
//!
//! The code knows words and offsets and nothing of sections, so it runs over mapped
//! memory, over the heap, and over a model checker's atomics.
//!
//! # Who pairs with whom
//!
//! | | store | load | what it guarantees |
//! |---|---|---|---|
//! | P1 | reader: `room` published | writer: before it writes there | what was read is not overwritten while it is read |
//! | P2 | writer: `reserved` published | reader: before it looks at the marks | older marks are found at the first try |
//! | P3 | writer: release fence after `reserved` | reader: acquire fence after the copy | a torn copy is recognised |
//! | P4 | writer: first word of a record published | reader: its load | the payload, and the empty word behind the record, are seen |
//!
//! P2 spares tries, and messages that a reader which lags could still have. No count depends on it: a
//! reader refuses a mark that is too old by its look at `reserved` behind the marks, and any other mark
//! says exactly how many messages stand before it.

pub(crate) mod claim;
pub(crate) mod lossless;
pub(crate) mod lossy;
pub(crate) mod ring;

#[cfg(test)]
pub(crate) mod tests;

use crate::format::layout::record;

/// What a look at a lane found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// No message that was not read.
    Nothing,
    /// A message of this length, copied out.
    Message(usize),
    /// So many messages are gone.
    Lagged(u64),
    /// The writer announced that it may write what stands here, and was asked not to.
    Overtaken,
    /// What stands there was written by no writer of this lane.
    Corrupt,
}

/// Beyond this no position and no number is believed.
const IMPLAUSIBLE: u64 = 1 << 62;

/// Whether a record may begin at a position that a peer wrote.
// layout: L179
fn is_possible(position: u64) -> bool {
    position <= IMPLAUSIBLE && position.is_multiple_of(record::ALIGN as u64)
}
