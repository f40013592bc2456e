//! A lane whose writer waits for its one reader: no message is lost.

use super::ring::{Found, Place, Record, RingGeometry, RingReader, RingWriter};
use super::{GREATEST, Step, is_possible};
use crate::format::layout::{cursor, lane, record};
use crate::sync::{RingWindow, RingWords, RingWordsMut, Words, WordsMut, ticks};

/// The sender's side: the words of the ring, the words before it, and the reader's cursor.
#[derive(Debug)]
pub(crate) struct LosslessWriter<R, H, C> {
    ring: RingWriter<R>,
    head: H,
    cursor: C,
    sent: u64,
    distance: Distance,
}

/// For messages of this length and longer the writer measures the [`Distance`] to the reader.
const LONG: usize = 4096;

/// Whether the reader's processor shares a cache with this processor. The writer measures the time
/// that it takes to load a word that the reader changed. The system moves programs between
/// processors, so the writer repeats the measurement.
#[derive(Debug, Default)]
struct Distance {
    /// The number of slow transfers minus the number of quick ones, kept between 0 and `BOUND`.
    slow: u32,
}

impl Distance {
    /// A transfer is quick if it takes fewer ticks of the processor's clock than this. A nanosecond
    /// has 2 to 4 ticks. Measured at 2.6 ticks per nanosecond: 80 to 130 ticks if the two
    /// processors share a cache, and 310 to 390 ticks if they do not.
    const QUICK: u64 = 220;
    const BOUND: u32 = 8;

    /// Counts the time of a transfer of a word that the reader had changed.
    fn took(&mut self, ticks: u64) {
        self.slow = if ticks < Distance::QUICK {
            self.slow.saturating_sub(1)
        } else {
            (self.slow + 1).min(Distance::BOUND)
        };
    }

    fn is_far(&self) -> bool {
        self.slow > Distance::BOUND / 2
    }
}

/// Stores the position at which the reader of a new lane begins.
pub(crate) fn begin_cursor(cursor: &impl WordsMut, ring_geometry: RingGeometry) {
    for at in [cursor::ROOM, cursor::EXACT] {
        cursor.store64(at, ring_geometry.first());
    }
}

/// Returns the position behind the last record of a lane, whose reader has freed the ring up to `gate`;
/// `None` if the lane holds words that no writer of this crate writes.
// layout: L107 L179 L181
pub(crate) fn tail_of<R: RingWords>(ring: R, geometry: RingGeometry, gate: u64) -> Option<u64> {
    if !is_possible(gate) {
        return None;
    }
    let mut walk = RingReader::new(ring, geometry, gate);
    while walk.position() <= gate + geometry.bytes() {
        match walk.look() {
            Record::Message(found) => {
                walk.pass(found);
            }
            Record::Pad => walk.wrap(),
            Record::Nonsense => return None,
            Record::Empty => return Some(walk.position()),
        }
    }
    None
}

impl<R: RingWordsMut, H: WordsMut, C: Words> LosslessWriter<R, H, C> {
    /// Creates a writer that continues behind the last record of a lane that other writers used.
    /// Returns `None` if the lane holds words that no writer of this crate writes.
    // layout: L107 L179 L181
    pub fn resume(
        ring: R,
        head: H,
        cursor: C,
        ring_geometry: RingGeometry,
    ) -> Option<LosslessWriter<R, H, C>>
    where
        R: Clone,
    {
        // Pairs with the reader's store (P1).
        let gate = cursor.load64(cursor::ROOM);
        let tail = tail_of(ring.clone(), ring_geometry, gate)?;
        let sent = head.load64(lane::SENT);
        if sent > GREATEST {
            return None;
        }
        let free = gate + ring_geometry.bytes();
        Some(LosslessWriter {
            ring: RingWriter::new(ring, ring_geometry, tail, free),
            head,
            cursor,
            sent,
            distance: Distance::default(),
        })
    }

    /// Creates the writer of a new lane without messages. The writer does not read the lane:
    /// other processes may have written to it.
    pub fn new(
        ring: R,
        head: H,
        cursor: C,
        ring_geometry: RingGeometry,
    ) -> LosslessWriter<R, H, C> {
        LosslessWriter {
            ring: RingWriter::new(
                ring,
                ring_geometry,
                ring_geometry.first(),
                ring_geometry.first() + ring_geometry.bytes(),
            ),
            head,
            cursor,
            sent: 0,
            distance: Distance::default(),
        }
    }

    pub fn ring_geometry(&self) -> RingGeometry {
        self.ring.ring_geometry()
    }

    /// Returns the position of the next message, provided that the message fits before the end of
    /// the ring.
    pub fn position(&self) -> u64 {
        self.ring.tail()
    }

    /// Returns the number of messages that were sent in this lane.
    #[cfg(test)]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the place of a message, if there is room for it.
    #[inline]
    pub fn admit(&mut self, len: usize) -> Option<Place> {
        let place = self.ring.place(len);
        if len >= LONG {
            self.refresh_and_time();
        } else if !self.ring.fits(place) {
            self.refresh();
        }
        self.ring.fits(place).then_some(place)
    }

    /// Claims a place for a message of this length. The message is sent when it has been filled
    /// and [committed](LosslessWriter::commit).
    #[inline]
    pub fn claim(&mut self, len: usize) -> Option<Place> {
        let place = self.ring.place(len);
        if !self.ring.fits(place) {
            self.refresh();
        }
        let fits = self.ring.fits(place);
        fits.then(|| self.ring.claim(place))
    }

    /// Returns the ring in which a claim is filled.
    pub fn ring(&self) -> &RingWriter<R> {
        &self.ring
    }

    /// Sends the message of this length at its place.
    #[inline]
    pub fn commit(&mut self, place: Place, len: usize) {
        self.ring.commit(place, len, false);
        self.count();
    }

    /// Returns whether the message that was sent at this position was received.
    // layout: L149
    pub fn has_received(&self, position: u64) -> bool {
        self.cursor.load64(cursor::EXACT) > position
    }

    /// Returns whether the reader has received all messages that were sent.
    // layout: L170
    pub fn is_received(&self) -> bool {
        self.cursor.load64(cursor::EXACT) >= self.ring.tail()
    }

    /// Makes the next message take the general path, [`try_send`](LosslessWriter::try_send).
    pub fn pause(&mut self) {
        self.ring.pause();
    }

    /// Loads how far the reader has freed the ring.
    #[cold]
    fn refresh(&mut self) {
        self.ring.set_free(self.freed());
    }

    /// Loads how far the reader has freed the ring, and measures the distance to the reader.
    #[cold]
    fn refresh_and_time(&mut self) {
        let start = ticks();
        let free = self.freed();
        // The thread may have moved to a processor whose clock is behind.
        let took = ticks().wrapping_sub(start);
        if self.ring.free() != free {
            self.ring.set_free(free);
            self.distance.took(took);
            self.ring.set_far(self.distance.is_far());
        }
    }

    /// Returns the position up to which the ring is free. Pairs with the reader's store (P1). A
    /// position that a peer wrote is trusted only if it is possible.
    // layout: L108 L182
    fn freed(&self) -> u64 {
        let room = self.cursor.load64(cursor::ROOM);
        let free = room.wrapping_add(self.ring.ring_geometry().bytes());
        if room <= self.ring.tail() && free >= self.ring.free() {
            free
        } else {
            self.ring.free()
        }
    }

    /// Returns whether there is room for a message of this length.
    pub fn has_room(&mut self, len: usize) -> bool {
        self.admit(len).is_some()
    }

    /// Sends a message if it is short and the writer has no other work to do. Returns whether the
    /// message was sent. Otherwise [`try_send`](LosslessWriter::try_send) sends it.
    #[inline(always)]
    pub fn send_quickly(&mut self, message: &[u8]) -> bool {
        let sent = self.ring.write_quickly(message, None, false);
        if sent {
            self.count();
        }
        sent
    }

    /// Adds a message to a batch if the message is short and the writer has no other work to do.
    /// Returns whether the message was added. Otherwise [`try_add`](LosslessWriter::try_add) adds
    /// it.
    #[inline(always)]
    pub fn add_quickly(&mut self, message: &[u8]) -> bool {
        let added = self.ring.write_quickly(message, None, true);
        if added {
            self.count();
        }
        added
    }

    /// Sends a message that is not longer than the longest allowed message. Returns `false` if the
    /// lane is full.
    pub fn try_send(&mut self, message: &[u8]) -> bool {
        self.write(message, None, false)
    }

    /// Writes a message that is sent with the next message or by `flush`. Returns `false` if the
    /// lane is full.
    pub fn try_add(&mut self, message: &[u8]) -> bool {
        self.write(message, None, true)
    }

    /// Sends a message with a tag. The message is not longer than the longest allowed message.
    /// Returns `false` if the lane is full.
    #[inline]
    pub fn try_send_tagged(&mut self, message: &[u8], tag: u32) -> bool {
        if self.ring.write_quickly(message, Some(tag), false) {
            self.count();
            return true;
        }
        self.write(message, Some(tag), false)
    }

    fn write(&mut self, message: &[u8], tag: Option<u32>, hold: bool) -> bool {
        let Some(place) = self.admit(message.len()) else {
            return false;
        };
        self.ring.write(place, message, tag, hold);
        self.count();
        true
    }

    /// Writes a message at the place that [`admit`](LosslessWriter::admit) has returned. With `hold` the
    /// message is sent with the next message or by `flush`.
    pub fn write_at(&mut self, place: Place, message: &[u8], hold: bool) {
        self.ring.write(place, message, None, hold);
        self.count();
    }

    /// Returns the position behind the last message that was sent. What a batch holds back does not
    /// count.
    pub fn committed(&self) -> u64 {
        self.ring.held_from().unwrap_or(self.ring.tail())
    }

    // layout: L058
    #[inline(always)]
    fn count(&mut self) {
        self.sent += 1;
        // For tools that show the count.
        self.head.store64(lane::SENT, self.sent);
    }

    /// Sends the messages that were added.
    pub fn flush(&mut self) {
        self.ring.flush();
    }
}

/// The receiver's side. `M` are the words of the ring, `C` is the receiver's cursor.
#[derive(Debug)]
pub(crate) struct LosslessReader<M, C> {
    ring: RingReader<M>,
    cursor: C,
    /// The position that was stored at `room` by the last store.
    freed: u64,
    /// The position at which the reader stores `room` again.
    frees: u64,
    /// A short message that ends at this position or before is received without further checks.
    quick: u64,
    /// The position at which the turn of another lane begins.
    turn_ends: u64,
    received: u64,
    /// The message that was found last.
    found: Found,
    /// The number of messages that were passed and not released.
    ahead: usize,
    has_freed: bool,
}

/// A message that was passed and not released: where it ends, and how many messages the lane has had
/// up to there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    position: u64,
    received: u64,
}

impl<M: RingWords, C: WordsMut> LosslessReader<M, C> {
    /// Creates the first reader of a new lane.
    pub fn new(ring: M, cursor: C, ring_geometry: RingGeometry) -> LosslessReader<M, C> {
        begin_cursor(&cursor, ring_geometry);
        LosslessReader::at(ring, cursor, ring_geometry, [ring_geometry.first(), 0])
    }

    /// Creates a reader that continues where another reader stopped. Returns `None` if the cursor
    /// of that reader holds impossible values.
    // layout: L160 L179
    pub fn resume(ring: M, cursor: C, ring_geometry: RingGeometry) -> Option<LosslessReader<M, C>> {
        let [exact, received] = [cursor::EXACT, cursor::RECEIVED].map(|at| cursor.load64(at));
        let possible = is_possible(exact) && received <= GREATEST;
        let mut reader =
            possible.then(|| LosslessReader::at(ring, cursor, ring_geometry, [exact, received]))?;
        // This reader stores `room` after its first message. The store also frees the messages that
        // the other reader read and did not free.
        reader.frees = exact;
        Some(reader)
    }

    /// Creates a reader that continues behind all messages of a lane that another reader used.
    /// Returns `None` if the lane holds words that no writer of this crate writes.
    // layout: L145 L179 L181
    pub fn behind_all(
        ring: M,
        cursor: C,
        ring_geometry: RingGeometry,
    ) -> Option<LosslessReader<M, C>> {
        let [exact, received] = [cursor::EXACT, cursor::RECEIVED].map(|at| cursor.load64(at));
        if !is_possible(exact) || received > GREATEST {
            return None;
        }

        let mut reader = LosslessReader::at(ring, cursor, ring_geometry, [exact, received]);
        while reader.ring.position() <= exact + ring_geometry.bytes() {
            match reader.find() {
                Step::Message(_) => reader.pass(),
                Step::Nothing => {
                    reader.free(reader.ring.position());
                    return Some(reader);
                }
                _ => return None,
            }
        }
        None
    }

    fn at(
        ring: M,
        cursor: C,
        ring_geometry: RingGeometry,
        [position, received]: [u64; 2],
    ) -> LosslessReader<M, C> {
        LosslessReader {
            ring: RingReader::new(ring, ring_geometry, position),
            cursor,
            freed: position,
            frees: position + ring_geometry.bytes() / 8,
            quick: 0,
            turn_ends: 0,
            received,
            found: Found::default(),
            ahead: 0,
            has_freed: false,
        }
    }

    /// Copies the next message to the beginning of `to`, if the message is short and the reader has
    /// no other work to do. `to` must be long enough for the longest message.
    #[inline(always)]
    pub fn receive_quickly(&mut self, to: &mut [u8]) -> Option<usize> {
        let found = self.ring.look_quickly(self.quick)?;
        self.ring.copy_quickly(found, &mut to[..found.len]);
        self.count(found);
        Some(found.len)
    }

    /// Copies the next message to the beginning of `to`, as a receiver does. `to` must be long
    /// enough for the longest message.
    #[cfg(test)]
    pub fn receive(&mut self, to: &mut [u8]) -> Step {
        if let Some(len) = self.receive_quickly(to) {
            return Step::Message(len);
        }
        let step = self.find();
        if let Step::Message(len) = step {
            self.begin_turn(8192);
            self.copy(0, &mut to[..len]);
            self.pass();
        }
        step
    }

    /// Finds the next message and leaves it in the ring, if the message begins before the position
    /// at which the reader has other work to do.
    #[inline]
    pub fn find_quickly(&mut self) -> Option<usize> {
        match self.ring.look() {
            Record::Message(found) if self.ring.position() < self.quick => {
                self.found = found;
                Some(found.len)
            }
            _ => None,
        }
    }

    /// Finds the next message, and leaves it in the ring.
    // layout: L113
    pub fn find(&mut self) -> Step {
        loop {
            match self.ring.look() {
                Record::Message(found) => {
                    self.found = found;
                    return Step::Message(found.len);
                }
                Record::Empty => {
                    if self.freed != self.ring.position() && self.ahead == 0 {
                        self.free(self.ring.position());
                    }
                    return Step::Nothing;
                }
                // Happens at most once: the record behind a pad is at the beginning of the ring,
                // where a pad is invalid.
                Record::Pad => self.ring.wrap(),
                Record::Nonsense => return Step::Corrupt,
            }
        }
    }

    /// Returns whether there is nothing to receive.
    pub fn is_empty(&self) -> bool {
        self.ring.look() == Record::Empty
    }

    /// Copies a part of the message that was [found](LosslessReader::find).
    pub fn copy(&self, at: usize, to: &mut [u8]) {
        self.ring.copy(self.found, at, to);
    }

    /// Returns the position of the message that was [found](LosslessReader::find).
    #[inline]
    pub fn position(&self) -> u64 {
        self.ring.position()
    }

    /// Returns the tag of the message that was found. The tag is defined only if the writer stored
    /// one.
    #[inline]
    pub fn tag(&self) -> u32 {
        self.ring.tag()
    }

    /// Returns the time stamp of the message that was [found](LosslessReader::find); `None` if the
    /// records of this lane have no time stamps.
    #[inline]
    pub fn stamp(&self) -> Option<u64> {
        self.ring.stamp()
    }

    /// Returns the number of messages that were received in this lane.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Begins a turn of this lane: the reader receives `bytes` bytes, beginning with the message
    /// that was found, and then looks at the other lanes.
    pub fn begin_turn(&mut self, bytes: u64) {
        self.turn_ends = self.ring.position() + bytes;
    }

    /// Moves behind the message that was [found](LosslessReader::find).
    // layout: L113
    #[inline]
    pub fn pass(&mut self) {
        self.count(self.found);
        if self.ring.position() >= self.frees {
            self.free(self.ring.position());
        }
        // A message that reaches `frees` takes the general path.
        let before = self.frees - record::ALIGN as u64;
        self.quick = self.ring.quick_lap().min(before).min(self.turn_ends);
    }

    /// Moves behind the message that was [found](LosslessReader::find), and leaves the message in
    /// the ring until it is [released](LosslessReader::release).
    // layout: L250
    pub fn pass_ahead(&mut self) -> Kept {
        self.ahead += 1;
        self.received += 1;
        // Every message takes the general path until all are released.
        self.quick = 0;
        Kept {
            position: self.ring.pass(self.found),
            received: self.received,
        }
    }

    /// Gives up a message that was passed ahead. Messages are released in the order in which they
    /// were passed.
    // layout: L112 L113 L250
    pub fn release(&mut self, kept: Kept) {
        self.ahead -= 1;
        self.cursor.store64(cursor::RECEIVED, kept.received);
        self.cursor.publish64(cursor::EXACT, kept.position);
        // The writer may wait for this space, and the reader for a message of the writer.
        self.free(kept.position);
    }

    // layout: L112 L234
    #[inline(always)]
    fn count(&mut self, found: Found) {
        self.received += 1;
        self.cursor.store64(cursor::RECEIVED, self.received);
        let position = self.ring.pass(found);
        // For tools and for a writer that waits until its message was received.
        self.cursor.publish64(cursor::EXACT, position);
    }

    /// Frees the part of the ring that was read. Pairs with the writer's load of `room` (P1).
    // layout: L045 L113
    fn free(&mut self, position: u64) {
        self.freed = position;
        self.frees = self.freed + self.ring.ring_geometry().bytes() / 8;
        self.cursor.publish64(cursor::ROOM, self.freed);
        self.has_freed = true;
    }

    /// Returns whether the reader has freed a part of the ring for the writer since the last call.
    #[inline]
    pub fn has_freed(&mut self) -> bool {
        std::mem::take(&mut self.has_freed)
    }
}

impl<C: WordsMut> LosslessReader<RingWindow, C> {
    /// Returns the address of the message that was [found](LosslessReader::find).
    pub fn bytes(&self) -> *const u8 {
        self.ring.bytes(self.found)
    }
}
