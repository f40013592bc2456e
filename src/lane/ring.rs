//! Records in a ring.
//!
//! Its first word says what a record is, and *is* the commit: a reader polls that word and
//! nothing else. Before it is stored, the word where the next record will begin reads
//! "empty", so what an earlier lap left there is never taken for a message.
//!
//! Positions count bytes and never wrap; their place in the ring is the position modulo
//! its length, as the ring's words see to themselves.

use crate::format::layout::{LINE, first_position, record};
use crate::sync::{Round, Window, WindowMut, Words, WordsMut};

/// How many lines are touched at a time before they are needed. Stores are done in order,
/// and each of these has to fetch its line from afar: several at once wait together.
/// Measured between near processors, streams of 56 bytes and round trips against the floor:
/// with 1 40 M/s and 1.29, with 4 103 M/s and 1.40, with 8 106 M/s and 1.41.
const AHEAD: u64 = 4 * LINE as u64;

/// From this length on nothing is fetched for the message that follows, which is most likely
/// as long.
const LONG: usize = 4096;

/// Messages up to this length are copied from their end to their beginning.
const SHORT: usize = LINE;

/// A position as an offset; what is lost of it does not matter modulo the ring.
#[inline]
fn at(position: u64) -> usize {
    position as usize
}

/// Where the payload of a record stands that begins at this position. Both wrap where addresses
/// have 32 bits and positions pass 2^32; the ring takes them modulo its length.
fn payload(position: u64) -> usize {
    at(position).wrapping_add(record::PAYLOAD)
}

/// The measures of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingGeometry {
    bytes: u64,
    max: usize,
    /// The longest message that counts as short.
    short: usize,
}

impl RingGeometry {
    /// `None` where the bytes are no power of two, or messages of `max` bytes too long for
    /// them: a record and the pad before it must fit, and a reader that lags must find its
    /// way, so a record takes at most a quarter.
    pub fn new(bytes: u64, max: usize) -> Option<RingGeometry> {
        let sound = bytes.is_power_of_two() && bytes >= 512 && max <= RingGeometry::longest(bytes);
        let short = max.min(SHORT);
        sound.then_some(RingGeometry { bytes, max, short })
    }

    /// The longest message that a ring of this size can take.
    pub fn longest(bytes: u64) -> usize {
        usize::try_from(bytes / 4).map_or(0, |bytes| bytes.saturating_sub(record::PAYLOAD))
    }

    /// What a record takes. Up to a line it is a power of two, so that among its like it
    /// does not stand in two lines, each of which would have to be fetched.
    // layout: L061 L062
    #[inline]
    pub fn need(len: usize) -> u64 {
        let size = len + record::PAYLOAD;
        let taken = match size <= LINE {
            true => size.next_power_of_two(),
            false => (size + record::ALIGN - 1) & !(record::ALIGN - 1),
        };
        taken as u64
    }

    #[inline]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The position of the first record of a new lane.
    pub fn first(&self) -> u64 {
        first_position(self.bytes)
    }

    pub fn max(&self) -> usize {
        self.max
    }

    // layout: L007
    #[inline]
    fn inside(&self, position: u64) -> u64 {
        position & (self.bytes - 1)
    }

    fn next_lap(&self, position: u64) -> u64 {
        (position | (self.bytes - 1)) + 1
    }
}

/// Where a record is to stand.
#[derive(Clone, Copy, Debug)]
pub struct Place {
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
    ring_geometry: RingGeometry,
    tail: u64,
    /// Where the lap ends in which `tail` is.
    lap: u64,
    /// What lies below this may be written.
    free: u64,
    /// A short record that ends here or before is written with no more questions, and sent
    /// so: nowhere, while a batch is held back.
    quick: u64,
    quick_to_send: u64,
    /// The lines below this were touched.
    touched: u64,
    /// Position and first word of the first record of a batch, which keeps readers from
    /// the others.
    held: Option<(u64, u32)>,
    /// A place was claimed, and anything may have been written there.
    claimed: bool,
    /// The reader's processor is far away.
    far: bool,
}

impl<M: WordsMut> RingWriter<M> {
    /// Goes on at `tail`, where the word reads "empty".
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

    pub fn set_free(&mut self, free: u64) {
        self.free = free;
        self.settle();
    }

    #[inline]
    fn settle(&mut self) {
        let room = self.free.saturating_sub(record::ALIGN as u64);
        self.quick = match self.claimed {
            false => room.min(self.lap),
            true => 0,
        };
        self.quick_to_send = match self.held {
            None => self.quick,
            Some(_) => 0,
        };
    }

    /// The next message is not sent with no more questions.
    pub fn pause(&mut self) {
        (self.quick, self.quick_to_send) = (0, 0);
    }

    /// Says how the long messages that follow are best written.
    pub fn set_far(&mut self, far: bool) {
        self.far = far;
    }

    /// Where a message of this length would stand.
    // layout: L063
    #[inline]
    pub fn place(&self, len: usize) -> Place {
        let need = RingGeometry::need(len);
        let start = match self.tail + need <= self.lap {
            true => self.tail,
            false => self.lap,
        };
        Place {
            start,
            end: start + need,
        }
    }

    /// Whether all of it may be written.
    // layout: L065
    #[inline]
    pub fn fits(&self, place: Place) -> bool {
        place.limit() <= self.free
    }

    /// Writes and sends a short message as most are: no longer than the longest, in front of
    /// the end of the ring, where there is room, and no batch is held back. Else `false`.
    ///
    /// Its copy begins at its end, so that the line of the first word is written last and
    /// at once: with another line to wait for in between, a polling reader would get it
    /// twice.
    #[inline(always)]
    pub fn send_quickly(&mut self, message: &[u8]) -> bool {
        self.write_quickly(message, self.quick_to_send, None)
    }

    /// As above, a message with a tag.
    #[inline(always)]
    pub fn send_tagged_quickly(&mut self, message: &[u8], tag: u32) -> bool {
        self.write_quickly(message, self.quick_to_send, Some(tag))
    }

    /// As above, to a batch that is held back already.
    #[inline(always)]
    pub fn add_quickly(&mut self, message: &[u8]) -> bool {
        self.held.is_some() && self.write_quickly(message, self.quick, None)
    }

    // layout: L066
    #[inline(always)]
    fn write_quickly(&mut self, message: &[u8], quick: u64, tag: Option<u32>) -> bool {
        if message.len() > self.ring_geometry.short {
            return false;
        }
        let end = self.tail + RingGeometry::need(message.len());
        if end > quick {
            return false;
        }
        self.empty(end);
        let at = at(self.tail);
        self.ring.copy_in(payload(self.tail), message);
        if let Some(tag) = tag {
            self.ring.store_upper32(at, tag);
        }
        // Pairs with the reader's load (P4).
        self.ring.publish32(at, message_word(message.len()));
        self.advance(end, AHEAD);
        true
    }

    /// Writes a message at a place that [`fits`](RingWriter::fits). It is sent at once, with
    /// what was held back before; or, with `hold`, is written and sent later.
    ///
    /// What does not stand in the line of the first word is written before it, as above.
    // layout: L066
    pub fn write(&mut self, place: Place, message: &[u8], tag: Option<u32>, hold: bool) {
        self.forget_claim();
        self.empty(place.end);
        if let Some(tag) = tag {
            self.ring.store_upper32(at(place.start), tag);
        }
        let at = payload(place.start);
        match message.len() <= SHORT {
            true => self.ring.copy_in(at, message),
            false => {
                let first = LINE - at % LINE;
                self.ring.copy_in_tail_first(at, message, first, self.far);
            }
        }
        self.commit(place, message.len(), hold);
    }

    /// Prepares a place that fits, which is then filled and committed, or left.
    #[inline]
    pub fn claim(&mut self, place: Place) -> Place {
        self.forget_claim();
        self.claimed = true;
        (self.quick, self.quick_to_send) = (0, 0);
        self.empty(place.end);
        place
    }

    /// After a claim that was left its bytes may stand in lines that were touched.
    fn forget_claim(&mut self) {
        if std::mem::take(&mut self.claimed) {
            self.touched = self.tail.next_multiple_of(LINE as u64);
        }
    }

    /// Writes a part of a message at its place.
    pub fn fill(&self, place: Place, at: usize, bytes: &[u8]) {
        self.ring
            .copy_in(payload(place.start).wrapping_add(at), bytes);
    }

    /// Sends, or with `hold` sends later, what was written at its place.
    // layout: L064 L066
    #[inline]
    pub fn commit(&mut self, place: Place, len: usize, hold: bool) {
        let word = message_word(len);
        if place.start == self.tail {
            self.publish(self.tail, word, hold);
        } else {
            self.ring.store32(at(place.start), word);
            self.publish(self.tail, record::PAD, hold);
        }
        self.advance(place.end, if len < LONG { AHEAD } else { 0 });
        if self.tail >= self.lap {
            self.lap = self.ring_geometry.next_lap(self.tail);
        }
        self.claimed = false;
        self.settle();
    }

    /// Lets the word behind a record read "empty", as the first words of touched lines do.
    #[inline(always)]
    fn empty(&self, end: u64) {
        if end >= self.touched || !end.is_multiple_of(LINE as u64) {
            self.ring.store32(at(end), record::EMPTY);
        }
    }

    /// Goes on behind a record, and fetches the next lines while the reader is busy with it
    /// and not in the way of the next one.
    // layout: L067
    #[inline(always)]
    fn advance(&mut self, end: u64, ahead: u64) {
        self.tail = end;
        // The line of `tail` is ours already.
        let next = (end | (LINE as u64 - 1)) + 1;
        if self.touched <= next {
            let end = (next + ahead).min(self.free);
            let mut line = next;
            while line < end {
                self.ring.store32(at(line), record::EMPTY);
                line += LINE as u64;
            }
            self.touched = line;
        }
    }

    /// Stores the word that lets readers pass. Pairs with their load of it (P4).
    // layout: L068
    #[inline]
    fn publish(&mut self, position: u64, word: u32, hold: bool) {
        if hold && self.held.is_none() {
            self.held = Some((position, word));
            return;
        }
        self.ring.publish32(at(position), word);
        if !hold && self.held.is_some() {
            self.flush();
        }
    }

    /// Sends what was held back.
    pub fn flush(&mut self) {
        if let Some((position, word)) = self.held.take() {
            // Pairs with the reader's load (P4).
            self.ring.publish32(at(position), word);
            self.settle();
        }
    }
}

const KIND: u32 = (1 << record::KIND_BITS) - 1;

fn message_word(len: usize) -> u32 {
    (len as u32) << record::KIND_BITS | record::MESSAGE
}

/// What stands at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Empty,
    Message(Found),
    Pad,
    /// No writer of ours wrote that.
    Nonsense,
}

/// A message in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub len: usize,
    need: u64,
}

/// The end of the ring at which records are found. Nothing in it is believed: a length
/// is bounded by the ring and the longest message before it is used.
#[derive(Debug)]
pub(crate) struct RingReader<M> {
    ring: M,
    ring_geometry: RingGeometry,
    position: u64,
}

impl<M: Words> RingReader<M> {
    pub fn new(ring: M, ring_geometry: RingGeometry, position: u64) -> RingReader<M> {
        RingReader {
            ring,
            ring_geometry,
            position,
        }
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
    }

    /// What stands where the reader is. Pairs with the writer's `publish` (P4).
    // layout: L064 L070 L180
    #[inline]
    pub fn look(&self) -> Record {
        let inside = self.ring_geometry.inside(self.position);
        let word = self.ring.load32(at(self.position));
        if word == record::EMPTY {
            return Record::Empty;
        }
        let len = (word >> record::KIND_BITS) as usize;
        if word & KIND == record::MESSAGE && len <= self.ring_geometry.max {
            let need = RingGeometry::need(len);
            if need <= self.ring_geometry.bytes - inside {
                return Record::Message(Found { len, need });
            }
        }
        match word == record::PAD && inside != 0 {
            true => Record::Pad,
            false => Record::Nonsense,
        }
    }

    /// What stands here, if it is a short message that ends at this position or before.
    /// Pairs with the writer's `publish` (P4).
    #[inline(always)]
    pub fn look_quickly(&self, quick: u64) -> Option<Found> {
        let word = self.ring.load32(at(self.position));
        // The length, with any kind but that of a message above it.
        let kind = record::MESSAGE.rotate_right(record::KIND_BITS);
        let len = word.rotate_right(record::KIND_BITS).wrapping_sub(kind) as usize;
        if len > self.ring_geometry.short {
            return None;
        }
        let need = RingGeometry::need(len);
        (self.position + need <= quick).then_some(Found { len, need })
    }

    /// Where the lap ends in which the reader is.
    pub fn lap(&self) -> u64 {
        self.ring_geometry.next_lap(self.position)
    }

    /// Copies out a part of the message that [`look`](RingReader::look) found.
    #[inline]
    pub fn copy(&self, found: Found, at: usize, to: &mut [u8]) {
        debug_assert!(at + to.len() <= found.len);
        self.ring
            .copy_out(payload(self.position).wrapping_add(at), to);
    }

    /// The tag of the message that was found, where its writer gave it one.
    #[inline]
    pub fn tag(&self) -> u32 {
        self.ring.load_upper32(at(self.position))
    }

    /// Goes on behind the message that was found, and says where that is.
    #[inline]
    pub fn pass(&mut self, found: Found) -> u64 {
        self.position += found.need;
        self.position
    }

    /// Goes on behind a pad.
    pub fn wrap(&mut self) {
        self.position = self.ring_geometry.next_lap(self.position);
    }

    pub fn acquire(&self) {
        self.ring.acquire();
    }
}

impl RingWriter<WindowMut<Round>> {
    /// The bytes of a message at its place.
    pub fn bytes(&self, place: Place, len: usize) -> *mut u8 {
        self.ring.bytes(payload(place.start), len)
    }
}

impl RingReader<Window<Round>> {
    /// The bytes of the message that was found.
    pub fn bytes(&self, found: Found) -> *const u8 {
        self.ring.bytes(payload(self.position), found.len)
    }
}
