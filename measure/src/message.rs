//! Messages that are numbered at both ends, so that a receiver notices what changed on the way.

use crate::Result;

/// How long the length is that streams of bytes need in front of a message.
const PREFIX: usize = 4;

/// How many bytes stand in front of a message, so that it begins where the allocation is aligned.
const FRONT: usize = 16;

/// From this length a message has a word at both ends, and a byte below.
const SHORT: usize = 16;
const WORD: usize = size_of::<u64>();

/// The number of the last message.
pub(crate) const LAST: u64 = u64::MAX;

/// A message, with its length in front for what carries bytes: one buffer, and so one call to send it.
#[derive(Clone, Debug)]
pub struct Message(Vec<u8>);

impl Message {
    /// Makes a message of this length, which is all zero.
    ///
    /// # Panics
    ///
    /// A length of 4 GiB or more, which no queue takes.
    pub fn new(len: usize) -> Message {
        let prefix = u32::try_from(len).expect("a message has less than 4 GiB");
        let mut bytes = vec![0; FRONT + len];
        bytes[FRONT - PREFIX..FRONT].copy_from_slice(&prefix.to_le_bytes());
        Message(bytes)
    }

    /// Writes a number at both ends: 8 bytes, or one where the message has less than 16 bytes.
    #[inline(always)]
    pub fn mark(&mut self, number: u64) {
        let body = &mut self.0[FRONT..];
        let len = body.len();
        let mark = mark(len, number);
        if len >= SHORT {
            body[len - WORD..].copy_from_slice(&mark.to_le_bytes());
            body[..WORD].copy_from_slice(&mark.to_le_bytes());
        } else if len > 0 {
            body[len - 1] = mark as u8;
            body[0] = mark as u8;
        }
    }

    /// Returns the message.
    #[inline(always)]
    pub fn body(&self) -> &[u8] {
        &self.0[FRONT..]
    }

    /// Returns the message with its length in front: 4 bytes, little-endian.
    #[inline(always)]
    pub fn frame(&self) -> &[u8] {
        &self.0[FRONT - PREFIX..]
    }
}

/// Returns what a number looks like at an end of a message of this length.
#[inline(always)]
fn mark(len: usize, number: u64) -> u64 {
    match number {
        _ if len >= SHORT => number,
        LAST => 0xFF,
        // Never that of the last one.
        number => number % 0xFF,
    }
}

/// Reads the marks at both ends of a message.
#[inline(always)]
fn marks(message: &[u8]) -> Option<[u64; 2]> {
    if message.len() < SHORT {
        let byte = |byte: &u8| u64::from(*byte);
        return Some([byte(message.first()?), byte(message.last()?)]);
    }
    let (first, last) = (message.first_chunk()?, message.last_chunk()?);
    Some([u64::from_le_bytes(*first), u64::from_le_bytes(*last)])
}

/// Adds the numbers at both ends of a message. Sums wrap.
#[inline(always)]
pub fn ends(message: &[u8]) -> u64 {
    marks(message).map_or(0, |[first, last]| first.wrapping_add(last))
}

/// Checks that a message is the one of this number, or the last one, for which it returns true. `sum` is
/// that of the receiver, who may have read more than the ends.
#[inline(always)]
pub(crate) fn is_last(message: &[u8], len: usize, number: u64, sum: u64) -> Result<bool> {
    let want = mark(len, number);
    if message.len() == len
        && let Some([first, last]) = marks(message)
    {
        if first == want && sum == want.wrapping_mul(2) {
            return Ok(false);
        }
        if first == mark(len, LAST) && last == first {
            return Ok(true);
        }
    }
    Err(changed(len, number))
}

#[cold]
fn changed(len: usize, number: u64) -> Box<dyn std::error::Error> {
    format!("message {number} of {len} bytes did not arrive as it was sent").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_begins_with_the_length() {
        let mut message = Message::new(3);
        message.mark(0x107);
        assert_eq!(message.body(), [8, 0, 8]);
        assert_eq!(message.frame(), [3, 0, 0, 0, 8, 0, 8]);
    }

    #[test]
    fn marks_of_all_lengths_are_read_back() {
        for len in (1..40).chain([4096]) {
            for number in [0, 1, 254, 255, 256, 1 << 40] {
                let mut message = Message::new(len);
                message.mark(number);
                let body = message.body();
                assert!(!is_last(body, len, number, ends(body)).unwrap());
                assert!(is_last(body, len, number + 1, ends(body)).is_err());
                message.mark(LAST);
                let body = message.body();
                assert!(is_last(body, len, number, ends(body)).unwrap());
            }
        }
    }

    #[test]
    fn changed_message_is_noticed() {
        let mut message = Message::new(16);
        message.mark(7);
        for at in [0, 7, 8, 15] {
            let mut changed = message.body().to_vec();
            changed[at] ^= 1;
            assert!(is_last(&changed, 16, 7, ends(&changed)).is_err(), "{at}");
        }
        for message in [&[7, 0, 6][..], &[6, 0, 7], &[7, 7], &[]] {
            assert!(
                is_last(message, 3, 7, ends(message)).is_err(),
                "{message:?}"
            );
        }
    }
}
