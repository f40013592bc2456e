//! The records of a ring.
//!
//! The first word of a record is its commit word. The commit word holds the kind and the length of
//! the record, and a reader polls this word only. Before the writer stores the commit word, it
//! stores "empty" at the place of the next record. So a reader never mistakes the bytes of an
//! earlier lap for a message.
//!
//! Positions count bytes and never wrap. The offset of a position is the position modulo the length
//! of the ring (`geometry`). Short messages take a quick path in most rings: there the window of the
//! ring computes the offset (`RingWords::round`).

use super::geometry::SHORT;
pub(crate) use super::geometry::{RingGeometry, record_len};
use super::stamp::now;
use crate::format::layout::{LINE, record};
use crate::sync::{RingWindow, RingWindowMut, RingWords, RingWordsMut, Words, WordsMut};

/// The number of bytes ahead of the tail whose lines are touched before the writer needs them.
/// Stores are done in order, and a store to a line has to fetch the line from the other processor.
/// The fetches of several lines that are touched at once overlap. Measured between near processors,
/// as the rate of a stream of 56-byte messages and the time of a round trip relative to the floor:
/// 40 M/s and 1.29 with 1 line, 103 M/s and 1.40 with 4 lines, 106 M/s and 1.41 with 8 lines.
const AHEAD: u64 = 4 * LINE as u64;

/// After a message of this length or longer the writer touches no line ahead, since the next
/// message is most likely as long.
const LONG: usize = 4096;

/// The place of a record.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    start: u64,
    end: u64,
}

impl Place {
    /// Returns the position below which all stores for this record stay: the end of the first word
    /// of the next record.
    #[inline]
    pub fn limit(&self) -> u64 {
        self.end + record::ALIGN as u64
    }

    /// Returns the position behind the record.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end
    }
}

/// The writing side of a ring.
#[derive(Debug)]
pub(crate) struct RingWriter<M> {
    ring: M,
    ring_geometry: RingGeometry,
    tail: u64,
    /// The end of the lap of `tail`.
    lap: u64,
    /// The position below which the writer may write.
    free: u64,
    /// A short record that ends at this position or before is written without further checks.
    quick: u64,
    quick_to_send: u64,
    /// The position below which lines were touched.
    touched: u64,
    /// The position and the first word of the first record of a batch. The word is stored last,
    /// so readers see no record of the batch before.
    held: Option<(u64, u32)>,
    /// Whether a place is claimed. The caller may have written any bytes there.
    claimed: bool,
    /// Whether the reader's processor shares no cache with this processor.
    far: bool,
}

/// The two ways in which a writer computes offsets; see [`RingWords`].
const QUICKLY: bool = true;
const BY_LAP: bool = false;

/// Returns a position as an offset on the quick path. On 32-bit targets the upper bits of the
/// position are lost; they do not matter modulo the length of the ring, which is a power of two.
#[inline]
fn at(position: u64) -> usize {
    position as usize
}

impl<M: RingWordsMut> RingWriter<M> {
    /// Creates a writer that continues at `tail`. The word at `tail` must be "empty".
    pub fn new(ring: M, ring_geometry: RingGeometry, tail: u64, free: u64) -> RingWriter<M> {
        let mut writer = RingWriter {
            ring,
            ring_geometry,
            tail,
            lap: ring_geometry.next_lap(tail),
            free,
            quick: 0,
            quick_to_send: 0,
            touched: tail.next_multiple_of(LINE as u64),
            held: None,
            claimed: false,
            far: false,
        };
        writer.settle();
        writer
    }

    /// Returns the words of the ring.
    pub fn into_words(self) -> M {
        self.ring
    }

    pub fn ring_geometry(&self) -> RingGeometry {
        self.ring_geometry
    }

    #[inline]
    pub fn tail(&self) -> u64 {
        self.tail
    }

    #[inline]
    pub fn free(&self) -> u64 {
        self.free
    }

    /// Returns the position of the first record that is held back.
    pub fn held_from(&self) -> Option<u64> {
        self.held.map(|(position, _)| position)
    }

    pub fn set_free(&mut self, free: u64) {
        self.free = free;
        self.settle();
    }

    #[inline]
    fn settle(&mut self) {
        let room = self.free.saturating_sub(record::ALIGN as u64);
        self.quick = match self.claimed || !self.ring_geometry.is_quick() {
            true => 0,
            false => room.min(self.lap),
        };
        self.quick_to_send = match self.held {
            None => self.quick,
            Some(_) => 0,
        };
    }

    /// Makes the next message take the general path.
    pub fn pause(&mut self) {
        (self.quick, self.quick_to_send) = (0, 0);
    }

    /// Sets whether the reader's processor is far away. If it is, long messages are written past
    /// the caches.
    pub fn set_far(&mut self, far: bool) {
        self.far = far;
    }

    /// Returns the place for a message of this length.
    // layout: L063
    #[inline]
    pub fn place(&self, len: usize) -> Place {
        let need = self.ring_geometry.need(len);
        let start = if self.tail + need <= self.lap {
            self.tail
        } else {
            self.lap
        };
        Place {
            start,
            end: start + need,
        }
    }

    /// Returns whether the writer may write the whole place.
    // layout: L065
    #[inline]
    pub fn fits(&self, place: Place) -> bool {
        place.limit() <= self.free
    }

    /// Returns the offset of a position.
    #[inline]
    fn offset(&self, position: u64) -> usize {
        let lap = self.lap.wrapping_sub(self.ring_geometry.bytes());
        self.ring_geometry.offset(position, lap) as usize
    }

    /// Returns the offset of the payload of a record that begins at this position.
    #[inline]
    fn payload(&self, position: u64) -> usize {
        self.offset(position) + self.ring_geometry.head()
    }

    /// Writes a message, if the message is short, has room, and does not reach beyond the end of
    /// the ring. Returns whether the message was written. Without `hold` the message is sent; if a
    /// batch is held back, nothing is written. With `hold` the message is added to the batch that
    /// is held back; without such a batch nothing is written.
    ///
    /// The copy begins at the end of the message, so the line of the first word is written last and
    /// without a pause. If the writer had to wait for another line in between, a polling reader
    /// would fetch the line of the first word twice.
    // layout: L066
    #[inline(always)]
    pub fn write_quickly(&mut self, message: &[u8], tag: Option<u32>, hold: bool) -> bool {
        let quick = match hold {
            false => self.quick_to_send,
            true if self.held.is_some() => self.quick,
            true => return false,
        };
        if message.len() > self.ring_geometry.short() {
            return false;
        }
        let end = self.tail + RingGeometry::quick_need(message.len());
        if end > quick {
            return false;
        }

        self.empty::<QUICKLY>(end);
        let (ring, at) = (self.ring.round(), at(self.tail));
        ring.copy_in(at.wrapping_add(record::PAYLOAD), message);
        if let Some(tag) = tag {
            ring.store_upper32(at, tag);
        }

        // Pairs with the reader's load (P4).
        ring.publish32(at, message_word(message.len()));
        self.advance::<QUICKLY>(end, AHEAD);
        true
    }

    /// Writes a message at a place that [`fits`](RingWriter::fits). Without `hold` the message is
    /// sent at once, together with the batch that was held back. With `hold` the message is written
    /// now and sent later.
    ///
    /// The bytes outside the line of the first word are written first; see
    /// [`write_quickly`](RingWriter::write_quickly).
    // layout: L066
    pub fn write(&mut self, place: Place, message: &[u8], tag: Option<u32>, hold: bool) {
        self.forget_claim();
        self.empty::<BY_LAP>(place.end);
        let ring = self.ring.whole();
        if let Some(tag) = tag {
            ring.store_upper32(self.offset(place.start), tag);
        }
        let at = self.payload(place.start);
        if message.len() <= SHORT {
            ring.copy_in(at, message)
        } else {
            let first = LINE - at % LINE;
            ring.copy_in_tail_first(at, message, first, self.far);
        }
        self.commit(place, message.len(), hold);
    }

    /// Claims a place that fits. The caller then fills and commits the place, or abandons the
    /// claim.
    #[inline]
    pub fn claim(&mut self, place: Place) -> Place {
        self.forget_claim();
        self.claimed = true;
        (self.quick, self.quick_to_send) = (0, 0);
        self.empty::<BY_LAP>(place.end);
        place
    }

    /// Forgets a claim that was not committed. The caller may have filled lines that were touched,
    /// so all lines count as untouched again.
    fn forget_claim(&mut self) {
        if std::mem::take(&mut self.claimed) {
            self.touched = self.tail.next_multiple_of(LINE as u64);
        }
    }

    /// Writes a part of a message at its place.
    pub fn fill(&self, place: Place, at: usize, bytes: &[u8]) {
        self.ring
            .whole()
            .copy_in(self.payload(place.start) + at, bytes);
    }

    /// Sends a message that was written at its place. With `hold` the message is sent later.
    // layout: L064 L066 L287
    #[inline]
    pub fn commit(&mut self, place: Place, len: usize, hold: bool) {
        let word = message_word(len);
        if self.ring_geometry.is_stamped() {
            let at = self.offset(place.start) + record::EXTRA;
            self.ring.whole().store64(at, now());
        }
        if place.start == self.tail {
            self.publish(self.tail, word, hold);
        } else {
            self.ring.whole().store32(self.offset(place.start), word);
            self.publish(self.tail, record::PAD, hold);
        }
        self.advance::<BY_LAP>(place.end, if len < LONG { AHEAD } else { 0 });
        if self.tail >= self.lap {
            self.lap = self.ring_geometry.next_lap(self.tail);
        }
        self.claimed = false;
        self.settle();
    }

    /// Stores "empty" behind a record. No store is needed if the record ends at the beginning of a
    /// touched line: the first word of a touched line is "empty".
    #[inline(always)]
    fn empty<const HOW: bool>(&self, end: u64) {
        if end >= self.touched || !end.is_multiple_of(LINE as u64) {
            self.store_empty::<HOW>(end);
        }
    }

    #[inline(always)]
    fn store_empty<const HOW: bool>(&self, position: u64) {
        match HOW {
            QUICKLY => self.ring.round().store32(at(position), record::EMPTY),
            BY_LAP => {
                let at = self.offset(position);
                self.ring.whole().store32(at, record::EMPTY);
            }
        }
    }

    /// Moves the tail to the end of a record, and touches the next lines. So these lines are
    /// fetched while the reader is busy with this record, and the writer need not wait for them at
    /// the next record.
    // layout: L067
    #[inline(always)]
    fn advance<const HOW: bool>(&mut self, end: u64, ahead: u64) {
        self.tail = end;
        // This processor has the line of `tail` already.
        let next = (end | (LINE as u64 - 1)) + 1;
        if self.touched <= next {
            let end = (next + ahead).min(self.free);
            let mut line = next;
            while line < end {
                self.store_empty::<HOW>(line);
                line += LINE as u64;
            }
            self.touched = line;
        }
    }

    /// Stores the commit word that lets readers pass, or holds the word back. Pairs with the
    /// reader's load (P4).
    // layout: L068
    #[inline]
    fn publish(&mut self, position: u64, word: u32, hold: bool) {
        if hold && self.held.is_none() {
            self.held = Some((position, word));
            return;
        }
        let at = self.offset(position);
        self.ring.whole().publish32(at, word);
        if !hold && self.held.is_some() {
            self.flush();
        }
    }

    /// Sends the batch that is held back.
    pub fn flush(&mut self) {
        if let Some((position, word)) = self.held.take() {
            let at = self.offset(position);
            // Pairs with the reader's load (P4).
            self.ring.whole().publish32(at, word);
            self.settle();
        }
    }
}

const KIND: u32 = (1 << record::KIND_BITS) - 1;

fn message_word(len: usize) -> u32 {
    (len as u32) << record::KIND_BITS | record::MESSAGE
}

/// The record that a reader finds at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Empty,
    Message(Found),
    Pad,
    /// A word that no writer of this crate writes.
    Nonsense,
}

/// A message in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub len: usize,
    need: u64,
}

/// The reading side of a ring. The reader trusts nothing that a peer wrote: it compares each length
/// with the ring and with the longest message before it uses the length.
#[derive(Debug)]
pub(crate) struct RingReader<M> {
    ring: M,
    ring_geometry: RingGeometry,
    position: u64,
    /// The position at which a lap begins: the lap of `position`, or a lap not long before.
    lap: u64,
}

impl<M: RingWords> RingReader<M> {
    pub fn new(ring: M, ring_geometry: RingGeometry, position: u64) -> RingReader<M> {
        let mut reader = RingReader {
            ring,
            ring_geometry,
            position: 0,
            lap: 0,
        };
        reader.jump(position);
        reader
    }

    pub fn ring_geometry(&self) -> RingGeometry {
        self.ring_geometry
    }

    #[inline]
    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn jump(&mut self, position: u64) {
        self.position = position;
        let next = self.ring_geometry.next_lap(position);
        self.lap = next - self.ring_geometry.bytes();
    }

    /// Returns the offset of the reader's position.
    #[inline]
    fn offset(&self) -> u64 {
        self.ring_geometry.offset(self.position, self.lap)
    }

    /// Returns the offset of the payload of the record at the reader's position.
    #[inline]
    fn payload(&self) -> usize {
        self.offset() as usize + self.ring_geometry.head()
    }

    /// Returns the record at the reader's position. Pairs with the writer's `publish` (P4).
    // layout: L064 L070 L180
    #[inline]
    pub fn look(&self) -> Record {
        let inside = self.offset();
        let word = self.ring.whole().load32(inside as usize);
        if word == record::EMPTY {
            return Record::Empty;
        }

        let len = (word >> record::KIND_BITS) as usize;
        if word & KIND == record::MESSAGE && len <= self.ring_geometry.max() {
            let need = self.ring_geometry.need(len);
            if need <= self.ring_geometry.bytes() - inside {
                return Record::Message(Found { len, need });
            }
        }

        if word == record::PAD && inside != 0 {
            Record::Pad
        } else {
            Record::Nonsense
        }
    }

    /// Returns the message at the reader's position, if it is a short message that ends at
    /// `quick` or before. Pairs with the writer's `publish` (P4).
    #[inline(always)]
    pub fn look_quickly(&self, quick: u64) -> Option<Found> {
        let word = self.ring.round().load32(at(self.position));
        // The length of a message. Any other kind sets upper bits, so the number is above `short`.
        let kind = record::MESSAGE.rotate_right(record::KIND_BITS);
        let len = word.rotate_right(record::KIND_BITS).wrapping_sub(kind) as usize;
        if len > self.ring_geometry.short() {
            return None;
        }
        let need = RingGeometry::quick_need(len);
        (self.position + need <= quick).then_some(Found { len, need })
    }

    /// Returns the position at which the quick path ends: the end of the lap of the reader's position,
    /// or 0 in a ring without a quick path.
    pub fn quick_lap(&self) -> u64 {
        match self.ring_geometry.is_quick() {
            true => self.ring_geometry.next_lap(self.position),
            false => 0,
        }
    }

    /// Copies out the message that [`look_quickly`](RingReader::look_quickly) found.
    #[inline(always)]
    pub fn copy_quickly(&self, found: Found, to: &mut [u8]) {
        debug_assert!(to.len() == found.len);
        let at = at(self.position).wrapping_add(record::PAYLOAD);
        self.ring.round().copy_out(at, to);
    }

    /// Copies out a part of the message that [`look`](RingReader::look) found.
    #[inline]
    pub fn copy(&self, found: Found, at: usize, to: &mut [u8]) {
        debug_assert!(at + to.len() <= found.len);
        self.ring.whole().copy_out(self.payload() + at, to);
    }

    /// Returns the tag of the message that was found. The tag is defined only if the writer stored
    /// one.
    #[inline]
    pub fn tag(&self) -> u32 {
        self.ring.whole().load_upper32(self.offset() as usize)
    }

    /// Returns the time stamp of the message that was found; `None` if the records of this ring have
    /// no time stamps.
    // layout: L288
    #[inline]
    pub fn stamp(&self) -> Option<u64> {
        let load = || {
            let at = self.offset() as usize + record::EXTRA;
            self.ring.whole().load64(at)
        };
        self.ring_geometry.is_stamped().then(load)
    }

    /// Moves behind the message that was found, and returns the new position.
    #[inline]
    pub fn pass(&mut self, found: Found) -> u64 {
        self.position += found.need;
        self.position
    }

    /// Moves behind a pad.
    pub fn wrap(&mut self) {
        self.position = self.ring_geometry.next_lap(self.position);
        self.lap = self.position;
    }

    pub fn acquire(&self) {
        self.ring.whole().acquire();
    }
}

impl RingWriter<RingWindowMut> {
    /// Returns the address of a message at its place.
    pub fn bytes(&self, place: Place, len: usize) -> *mut u8 {
        self.ring.whole().bytes(self.payload(place.start), len)
    }
}

impl RingReader<RingWindow> {
    /// Returns the address of the message that was found.
    pub fn bytes(&self, found: Found) -> *const u8 {
        self.ring.whole().bytes(self.payload(), found.len)
    }
}
