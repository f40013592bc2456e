//! Records in a ring.
//!
//! Its first word says what a record is, and *is* the commit: a reader polls that word and
//! nothing else. Before it is stored, the word where the next record will begin reads
//! "empty", so what an earlier lap left there is never taken for a message.
//!
//! Positions count bytes and never wrap; their place in the ring is the position modulo
//! its length.

use crate::layout::{LINE, record};
use crate::sync::{Words, WordsMut};

/// How many lines are touched at a time before they are needed. Stores are done in order,
/// and each of these has to fetch its line from afar: several at once wait together.
/// Measured between near processors, streams of 56 bytes and round trips against the floor:
/// with 1 40 M/s and 1.29, with 4 103 M/s and 1.40, with 8 106 M/s and 1.41.
const AHEAD: u64 = 4 * LINE as u64;

/// The measures of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    bytes: u64,
    max: usize,
}

impl Shape {
    /// `None` where the bytes are no power of two, or messages of `max` bytes too long for
    /// them: a record and the pad before it must fit, and a reader that lags must find its
    /// way, so a record takes at most a quarter.
    pub fn new(bytes: u64, max: usize) -> Option<Shape> {
        let sound = bytes.is_power_of_two() && bytes >= 512 && max <= Shape::longest(bytes);
        sound.then_some(Shape { bytes, max })
    }

    /// The longest message that a ring of this size can take.
    pub fn longest(bytes: u64) -> usize {
        usize::try_from(bytes / 4).map_or(0, |bytes| bytes.saturating_sub(record::PAYLOAD))
    }

    /// What a record takes. Up to a line it is a power of two, so that among its like it
    /// does not stand in two lines, each of which would have to be fetched.
    #[inline]
    pub fn need(len: usize) -> u64 {
        let size = len + record::PAYLOAD;
        let taken = match size <= LINE {
            true => size.next_power_of_two(),
            false => size.next_multiple_of(record::ALIGN),
        };
        taken as u64
    }

    #[inline]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn max(&self) -> usize {
        self.max
    }

    #[inline]
    fn inside(&self, position: u64) -> u64 {
        position & (self.bytes - 1)
    }

    #[inline]
    fn offset(&self, position: u64) -> usize {
        self.inside(position) as usize
    }

    fn next_lap(&self, position: u64) -> u64 {
        (position | (self.bytes - 1)) + 1
    }
}

/// Where a record is to stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    start: u64,
    end: u64,
}

impl Place {
    /// What lies below this is written: the record, and the next one's first word.
    #[inline]
    pub fn limit(&self) -> u64 {
        self.end + record::ALIGN as u64
    }

    /// The position behind the record.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end
    }
}

/// The end of the ring at which records are laid down.
#[derive(Debug)]
pub(crate) struct RingWriter<M> {
    ring: M,
    shape: Shape,
    tail: u64,
    /// The lines below this were touched.
    touched: u64,
    /// Position and first word of the first record of a batch, which keeps readers from
    /// the others.
    held: Option<(u64, u32)>,
    /// The reader's processor is far away.
    far: bool,
}

impl<M: WordsMut> RingWriter<M> {
    /// Goes on at `tail`, where the word reads "empty".
    pub fn new(ring: M, shape: Shape, tail: u64) -> RingWriter<M> {
        RingWriter {
            ring,
            shape,
            tail,
            touched: tail.next_multiple_of(LINE as u64),
            held: None,
            far: false,
        }
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    #[inline]
    pub fn tail(&self) -> u64 {
        self.tail
    }

    /// Says how the long messages that follow are best written.
    pub fn set_far(&mut self, far: bool) {
        self.far = far;
    }

    /// Where a message of this length would stand.
    #[inline]
    pub fn place(&self, len: usize) -> Place {
        let need = Shape::need(len);
        let left = self.shape.bytes - self.shape.inside(self.tail);
        let pad = if need > left { left } else { 0 };
        let start = self.tail + pad;
        Place {
            start,
            end: start + need,
        }
    }

    /// Writes a message at its place, of which the caller knows that all below its limit may
    /// be written, and also what lies below `free`. It is sent at once, with what was held
    /// back before; or, with `hold`, is written and sent later.
    ///
    /// What does not stand in the line of the first word is written before it: between
    /// that line's payload and its first word no other line may wait to be written, or a
    /// polling reader gets the line twice.
    #[inline(always)]
    pub fn write(&mut self, place: Place, message: &[u8], free: u64, hold: bool) {
        // The first word of a touched line reads "empty" already.
        if place.end >= self.touched || !place.end.is_multiple_of(LINE as u64) {
            self.ring
                .store32(self.shape.offset(place.end), record::EMPTY);
        }
        let at = self.shape.offset(place.start) + record::PAYLOAD;
        let first = LINE - at % LINE;
        self.ring.copy_in_tail_first(at, message, first, self.far);
        let word = (message.len() as u32) << record::KIND_BITS | record::MESSAGE;
        if place.start == self.tail {
            self.publish(self.tail, word, hold);
        } else {
            self.ring.store32(at - record::PAYLOAD, word);
            self.publish(self.tail, record::PAD, hold);
        }
        self.tail = place.end;
        self.touch_ahead(free);
    }

    /// Fetches the next lines while the reader is busy with this message, and not in the
    /// way of the next one.
    #[inline(always)]
    fn touch_ahead(&mut self, free: u64) {
        // The line of `tail` is ours already.
        let next = (self.tail | (LINE as u64 - 1)) + 1;
        if self.touched > next {
            return;
        }
        self.touched = next;
        while self.touched < (next + AHEAD).min(free) {
            self.ring
                .store32(self.shape.offset(self.touched), record::EMPTY);
            self.touched += LINE as u64;
        }
    }

    /// Stores the word that lets readers pass. Pairs with their load of it (P4).
    #[inline]
    fn publish(&mut self, position: u64, word: u32, hold: bool) {
        if hold && self.held.is_none() {
            self.held = Some((position, word));
            return;
        }
        self.ring.publish32(self.shape.offset(position), word);
        if !hold && self.held.is_some() {
            self.flush();
        }
    }

    /// Sends what was held back.
    #[cold]
    pub fn flush(&mut self) {
        if let Some((position, word)) = self.held.take() {
            // Pairs with the reader's load (P4).
            self.ring.publish32(self.shape.offset(position), word);
        }
    }
}

/// What stands at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Empty,
    Message(usize),
    Pad,
    /// No writer of ours wrote that.
    Nonsense,
}

/// The end of the ring at which records are found. Nothing in it is believed: a length
/// is bounded by the ring and the longest message before it is used.
#[derive(Debug)]
pub(crate) struct RingReader<M> {
    ring: M,
    shape: Shape,
    position: u64,
}

impl<M: Words> RingReader<M> {
    pub fn new(ring: M, shape: Shape, position: u64) -> RingReader<M> {
        RingReader {
            ring,
            shape,
            position,
        }
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    #[inline]
    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn jump(&mut self, position: u64) {
        self.position = position;
    }

    /// What stands where the reader is. Pairs with the writer's `publish` (P4).
    #[inline]
    pub fn look(&self) -> Record {
        let inside = self.shape.inside(self.position);
        let word = self.ring.load32(inside as usize);
        if word == record::EMPTY {
            return Record::Empty;
        }
        let len = (word >> record::KIND_BITS) as usize;
        match word & ((1 << record::KIND_BITS) - 1) {
            record::MESSAGE
                if len <= self.shape.max && Shape::need(len) <= self.shape.bytes - inside =>
            {
                Record::Message(len)
            }
            record::PAD if len == 0 && inside != 0 => Record::Pad,
            _ => Record::Nonsense,
        }
    }

    /// Copies out the message of this length that [`look`](RingReader::look) found.
    #[inline]
    pub fn copy(&self, to: &mut [u8]) {
        let at = self.shape.offset(self.position) + record::PAYLOAD;
        self.ring.copy_out(at, to);
    }

    /// Goes on behind a message of this length.
    #[inline]
    pub fn pass(&mut self, len: usize) {
        self.position += Shape::need(len);
    }

    /// Goes on behind a pad.
    pub fn wrap(&mut self) {
        self.position = self.shape.next_lap(self.position);
    }

    pub fn acquire(&self) {
        self.ring.acquire();
    }
}
