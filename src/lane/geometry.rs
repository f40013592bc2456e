//! The sizes of a ring, and of its records.

use crate::format::layout::{LINE, LONGEST_MESSAGE, RING_UNIT, first_position, record};

/// Messages up to this length are copied from their end to their beginning.
pub(super) const SHORT: usize = LINE;

/// The sizes of a ring.
///
/// The offset of a position is the position modulo the length of the ring. Most rings have a power
/// of two as their length, and their offsets are computed by a mask. A ring of long messages may have
/// another length, which saves memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingGeometry {
    bytes: u64,
    max: usize,
    /// The longest message that counts as short.
    short: usize,
    /// The length of the head of a record.
    head: usize,
    extra: u32,
    is_power_of_two: bool,
}

impl RingGeometry {
    /// Returns the geometry of a ring of `bytes` bytes for messages of up to `max` bytes, whose
    /// records have the words `extra` ([`record::extra`]); `None` if there is no such ring.
    ///
    /// In a ring whose length is a power of two, a record takes at most a quarter of the ring, so that
    /// a record and the pad before it fit, and a slow reader can find the next record. In every other
    /// ring, a record takes at most a third: the writer announces no more than the next record there.
    // layout: L174 L280 L285
    pub fn of(bytes: u64, max: usize, extra: u32) -> Option<RingGeometry> {
        let head = record::head(extra);
        let is_power_of_two = bytes.is_power_of_two();
        let is_sound = max as u64 <= LONGEST_MESSAGE
            && bytes >= 512
            && match is_power_of_two {
                true => max <= RingGeometry::longest(bytes, extra),
                false => bytes.is_multiple_of(RING_UNIT) && 3 * record_len(max + head) <= bytes,
            };
        is_sound.then_some(RingGeometry {
            bytes,
            max,
            short: max.min(SHORT),
            head,
            extra,
            is_power_of_two,
        })
    }

    /// Returns the geometry of a ring whose records have no extra words.
    #[cfg(test)]
    pub fn new(bytes: u64, max: usize) -> Option<RingGeometry> {
        RingGeometry::of(bytes, max, 0)
    }

    /// Returns the longest message that a ring can take whose length is this power of two.
    pub fn longest(bytes: u64, extra: u32) -> usize {
        let longest = (bytes / 4).saturating_sub(record::head(extra) as u64);
        usize::try_from(longest.min(LONGEST_MESSAGE)).unwrap_or(0)
    }

    /// Returns the number of bytes that a record without extra words takes.
    #[inline]
    pub fn quick_need(len: usize) -> u64 {
        record_len(len + record::PAYLOAD)
    }

    /// Returns the number of bytes that a record takes.
    // layout: L062 L286
    #[inline]
    pub fn need(&self, len: usize) -> u64 {
        record_len(len + self.head)
    }

    #[inline]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the position of the first record of a new lane.
    pub fn first(&self) -> u64 {
        first_position(self.bytes)
    }

    pub fn max(&self) -> usize {
        self.max
    }

    #[inline]
    pub(super) fn short(&self) -> usize {
        self.short
    }

    /// Returns the offset of the payload in a record.
    #[inline]
    pub(super) fn head(&self) -> usize {
        self.head
    }

    /// Returns which words stand between the commit word of a record and its payload.
    pub fn extra(&self) -> u32 {
        self.extra
    }

    /// Returns whether each record has the time at which it was sent.
    #[inline]
    pub fn is_stamped(&self) -> bool {
        self.extra & record::extra::TIME != 0
    }

    /// Returns whether the writer announces each record by itself, and marks where the oldest record
    /// is that it keeps. Otherwise it announces an eighth of the ring at a time.
    #[inline]
    pub fn is_exact(&self) -> bool {
        !self.is_power_of_two
    }

    /// Returns whether short messages can be sent and received without further checks: the offset of
    /// a position follows by a mask, and the payload of each record has the same offset in every
    /// such ring.
    #[inline]
    pub(super) fn is_quick(&self) -> bool {
        self.is_power_of_two && self.extra == 0
    }

    /// Returns the offset of a position. `lap` is a position at which a lap begins: for a position in
    /// this lap or in the next one, the computation is quick.
    // layout: L007
    #[inline]
    pub(super) fn offset(&self, position: u64, lap: u64) -> u64 {
        if self.is_power_of_two {
            return position & (self.bytes - 1);
        }
        let behind = position.wrapping_sub(lap);
        if behind < self.bytes {
            behind
        } else if behind - self.bytes < self.bytes {
            behind - self.bytes
        } else {
            position % self.bytes
        }
    }

    /// Returns the position at which the next lap begins.
    pub(super) fn next_lap(&self, position: u64) -> u64 {
        match self.is_power_of_two {
            true => (position | (self.bytes - 1)) + 1,
            false => position - position % self.bytes + self.bytes,
        }
    }
}

/// Returns the number of bytes that a record of this size takes. Up to the size of a line the number
/// is a power of two, so that records of one size do not lie across two lines. Both lines would have
/// to be fetched.
// layout: L061 L062
#[inline]
pub(crate) fn record_len(size: usize) -> u64 {
    let taken = if size <= LINE {
        size.next_power_of_two()
    } else {
        (size + record::ALIGN - 1) & !(record::ALIGN - 1)
    };
    taken as u64
}
