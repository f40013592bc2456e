//! How large a ring has to be for what its creator wants.
//!
//! A ring of short messages has a power of two as its length. A ring whose longest message has 64 KiB
//! or more has the length that it needs, unless it has to be a power of two for another reason.

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{LONG_MESSAGE, LONGEST_MESSAGE, MAX_RING, MIN_RING, RING_UNIT, record};
use crate::lane::ring::{RingGeometry, record_len};

/// What the creator of a queue, a topic or calls wants of each ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RingSize {
    /// The least length in bytes.
    pub capacity: u64,
    /// The length of the longest message, if it is known.
    pub longest: Option<u64>,
    /// How many messages are kept at least (topic).
    pub keep: Option<u64>,
    /// Whether each record has the time at which it was sent.
    pub is_stamped: bool,
}

impl RingSize {
    /// Returns the geometry of the ring.
    // layout: L280 L285
    pub fn ring(self, subject: &str) -> Result<RingGeometry> {
        let refuse = |meaning: String, advice: String| Err(refused(subject, meaning, advice));
        if self.capacity > MAX_RING {
            return refuse(
                format!("a capacity of {} bytes is too large", self.capacity),
                format!("a capacity can have at most 4 GiB ({MAX_RING} bytes)"),
            );
        }
        let max = self.longest.unwrap_or_default();
        if max > LONGEST_MESSAGE {
            return refuse(
                format!("a message of {max} bytes is too long"),
                format!("a message can have at most 1 GiB less 64 bytes ({LONGEST_MESSAGE} bytes)"),
            );
        }

        let bytes = self.bytes(max);
        let longest = match self.longest {
            Some(max) => max as usize,
            None => RingGeometry::longest(bytes, self.extra()),
        };
        let ring_geometry = RingGeometry::of(bytes, longest, self.extra());
        match ring_geometry.filter(|_| bytes <= MAX_RING) {
            Some(ring_geometry) => Ok(ring_geometry),
            None => refuse(
                format!(
                    "{} messages of up to {max} bytes take more than 4 GiB",
                    self.keep.unwrap_or(1)
                ),
                "keep fewer messages, or shorter ones".to_string(),
            ),
        }
    }

    /// Returns the length of the ring, for messages of up to `max` bytes.
    fn bytes(self, max: u64) -> u64 {
        let record = record_len(max as usize + record::head(self.extra()));
        if max < LONG_MESSAGE {
            let kept = self.keep.map_or(0, |keep| with_eighths(keep, record));
            let bytes = self.capacity.max(MIN_RING).max(4 * record).max(kept);
            return bytes.checked_next_power_of_two().unwrap_or(u64::MAX);
        }

        // The kept messages, a message that is being written, and a pad.
        let kept = |keep: u64| keep.saturating_add(2).saturating_mul(record);
        let least = self.keep.map_or(4 * record, kept).max(self.capacity);
        let bytes = least
            .checked_next_multiple_of(RING_UNIT)
            .unwrap_or(u64::MAX);
        match self.keep {
            // In a ring with this length the writer would announce an eighth of the ring at a time.
            Some(keep) if bytes.is_power_of_two() && bytes < with_eighths(keep, record) => {
                bytes + RING_UNIT
            }
            _ => bytes,
        }
    }

    fn extra(self) -> u32 {
        match self.is_stamped {
            true => record::extra::TIME,
            false => 0,
        }
    }
}

/// Returns the least length of a ring that is a power of two and keeps this number of records.
///
/// The kept records, one that is being written and the pad take `keep + 2` records. The writer
/// announces up to an eighth of the ring more. A mark may stand up to one record behind the place
/// where the writer would overwrite it. A slow reader continues at a mark that the writer does not
/// reach within half a ring. So `keep + 3` records and an eighth of the ring fit into half of it.
// layout: L285
fn with_eighths(keep: u64, record: u64) -> u64 {
    let records = keep.saturating_add(3).saturating_mul(record);
    records.saturating_mul(8).div_ceil(3)
}

/// Returns the error for a geometry that is impossible.
pub(crate) fn refused(subject: &str, meaning: String, advice: String) -> Error {
    let (kind, create) = (ErrorKind::InvalidArgument, Operation::Create);
    Error::new(kind, create, &subject, meaning).with_advice(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(
        capacity: u64,
        longest: impl Into<Option<u64>>,
        keep: impl Into<Option<u64>>,
    ) -> RingSize {
        RingSize {
            capacity,
            longest: longest.into(),
            keep: keep.into(),
            is_stamped: false,
        }
    }

    fn bytes(size: RingSize) -> u64 {
        size.ring("x").unwrap().bytes()
    }

    // layout: L280 L285
    #[test]
    fn long_rings_take_what_they_need() {
        const FRAME: u64 = 8 << 20;
        for keep in [1, 2, 4, 6, 7, 30, 100, 500] {
            let record = FRAME + 8;
            let is = bytes(size(0, FRAME, keep));
            let needed = (keep + 2) * record;
            assert!((needed..needed + 64).contains(&is), "{keep}: {is}");
        }
        // Two kept records of this length, one being written and a pad take a power of two.
        let record = (1 << 20) - 8;
        assert_eq!(bytes(size(0, record, 2)), (4 << 20) + 64);
        assert_eq!(bytes(size(0, record, None)), 4 << 20);
        assert_eq!(bytes(size(0, FRAME, None)), 4 * (FRAME + 8) + 32);
        // The larger of the two counts.
        assert_eq!(bytes(size(100 << 20, FRAME, 4)), 100 << 20);
        assert_eq!(bytes(size(64 << 20, FRAME, 4)), (64 << 20) + 64);
        assert_eq!(bytes(size(256 << 20, FRAME, 4)), 256 << 20);
    }

    // layout: L285
    #[test]
    fn short_rings_are_powers_of_two() {
        assert_eq!(bytes(size(0, 100, None)), 4096);
        assert_eq!(bytes(size(5000, 100, None)), 8192);
        assert_eq!(bytes(size(5000, None, None)), 8192);
        assert_eq!(bytes(size(3 << 20, None, None)), 4 << 20);
        assert_eq!(bytes(size(0, (64 << 10) - 1, None)), 512 << 10);
        assert_eq!(bytes(size(0, 56, 10)), 4096);
        assert_eq!(bytes(size(0, 1016, 10)), 64 << 10);
        assert_eq!(bytes(size(1 << 20, 1016, 10)), 1 << 20);
    }

    #[test]
    fn too_many_kept_messages_are_refused() {
        for (longest, keep) in [(8 << 20, 600), (100, u64::MAX), (1 << 20, u64::MAX)] {
            let told = size(0, longest, keep).ring("x").unwrap_err().to_string();
            let says = format!("{keep} messages of up to {longest} bytes take more than 4 GiB");
            assert!(
                told.contains(&says) && told.contains("keep fewer"),
                "{told}"
            );
        }
    }

    // layout: L286
    #[test]
    fn stamps_shorten_the_longest_message() {
        let stamped = RingSize {
            is_stamped: true,
            ..size(4096, None, None)
        };
        let ring = stamped.ring("x").unwrap();
        assert_eq!((ring.max(), ring.is_stamped()), (1024 - 16, true));
        let plain = size(4096, None, None).ring("x").unwrap();
        assert_eq!((plain.max(), plain.is_stamped()), (1024 - 8, false));
    }
}
