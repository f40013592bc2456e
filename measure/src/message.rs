//! Messages with a number at both ends, so that a receiver notices a message that changed on the
//! way.

use crate::Result;

/// The size of the length field in front of a message, which streams of bytes need.
const PREFIX: usize = 4;

/// The number of bytes in front of a message, so that the message begins at an aligned address.
const FRONT: usize = 16;

/// A message of at least this length has a word at both ends. A shorter message has a byte at both
/// ends.
const SHORT: usize = 16;
const WORD: usize = size_of::<u64>();

/// The number of the last message.
pub(crate) const LAST: u64 = u64::MAX;

/// A message with its length in front. Both are one slice, so that a stream of bytes sends them by
/// one call.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    /// Returns the message.
    #[inline(always)]
    pub fn body(self) -> &'a [u8] {
        &self.0[PREFIX..]
    }

    /// Returns the message with its length in front: 4 bytes, little-endian.
    #[inline(always)]
    pub fn frame(self) -> &'a [u8] {
        self.0
    }
}

/// Messages of one length. If the compiler knows this length, it also knows the length of each
/// message. This makes the copy of a short message three times as fast.
#[derive(Clone, Debug)]
pub struct Burst {
    bytes: Vec<u8>,
    len: usize,
}

impl Burst {
    /// Creates `count` messages of this length, at least one. All bytes are zero.
    ///
    /// # Panics
    ///
    /// Panics if the length is 4 GiB or more. No queue takes such a message.
    #[inline(always)]
    pub fn new(len: usize, count: usize) -> Burst {
        let prefix = u32::try_from(len).expect("a message has less than 4 GiB");
        let mut bytes = vec![0; stride(len) * count.max(1)];
        for one in bytes.chunks_exact_mut(stride(len)) {
            one[FRONT - PREFIX..FRONT].copy_from_slice(&prefix.to_le_bytes());
        }
        Burst { bytes, len }
    }

    /// Numbers the messages, beginning with `first`, and returns the next number. The number is
    /// written at both ends of a message, in 8 bytes, or in one byte if the message has less than
    /// 16 bytes.
    #[inline(always)]
    pub fn number(&mut self, first: u64) -> u64 {
        let (len, mut number) = (self.len, first);
        for one in self.bytes.chunks_exact_mut(stride(len)) {
            write(&mut one[FRONT..FRONT + len], number);
            number = number.wrapping_add(1);
        }
        number
    }

    /// Returns the messages in the order of their numbers.
    #[inline(always)]
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        let frame = FRONT - PREFIX..FRONT + self.len;
        let all = self.bytes.chunks_exact(stride(self.len));
        all.map(move |one| Message(&one[frame.clone()]))
    }

    /// Returns the first message.
    #[inline(always)]
    pub fn first(&self) -> Message<'_> {
        Message(&self.bytes[FRONT - PREFIX..FRONT + self.len])
    }
}

/// Returns how many bytes a message of this length takes.
#[inline(always)]
fn stride(len: usize) -> usize {
    (FRONT + len).next_multiple_of(FRONT)
}

/// Writes a number at both ends of a message.
#[inline(always)]
fn write(body: &mut [u8], number: u64) {
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

/// Returns the value that stands for this number at both ends of a message of this length.
#[inline(always)]
fn mark(len: usize, number: u64) -> u64 {
    match number {
        _ if len >= SHORT => number,
        LAST => 0xFF,
        // Less than 0xFF, which stands for the last message.
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

/// Checks that a message has this number or is the last message. Returns whether it is the last
/// message. `sum` is the sum that the receiver computed; the receiver may have read more than the
/// ends.
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

    /// Returns the body of the message with this number.
    fn numbered(len: usize, number: u64) -> Vec<u8> {
        let mut burst = Burst::new(len, 1);
        burst.number(number);
        burst.first().body().to_vec()
    }

    #[test]
    fn frame_begins_with_the_length() {
        let mut burst = Burst::new(3, 2);
        assert_eq!(burst.number(0x107), 0x109);
        let frames: Vec<_> = burst.messages().map(Message::frame).collect();
        assert_eq!(frames, [[3, 0, 0, 0, 8, 0, 8], [3, 0, 0, 0, 9, 0, 9]]);
        assert_eq!(burst.first().frame(), frames[0]);
        assert!(burst.messages().all(|message| message.body().len() == 3));
    }

    #[test]
    fn message_numbers_are_recognized_at_all_lengths() {
        for len in (1..40).chain([4096]) {
            for number in [0, 1, 254, 255, 256, 1 << 40] {
                let body = numbered(len, number);
                assert!(!is_last(&body, len, number, ends(&body)).unwrap());
                assert!(is_last(&body, len, number + 1, ends(&body)).is_err());
                let last = numbered(len, LAST);
                assert!(is_last(&last, len, number, ends(&last)).unwrap());
            }
        }
    }

    #[test]
    fn corrupted_message_is_detected() {
        for at in [0, 7, 8, 15] {
            let mut changed = numbered(16, 7);
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
