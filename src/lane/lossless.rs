//! A lane whose writer waits for its one reader: nothing is lost.

use super::ring::{Found, Place, Record, RingGeometry, RingReader, RingWriter};
use super::{IMPLAUSIBLE, Step, is_possible};
use crate::format::layout::{cursor, lane, record};
use crate::sync::{Round, Window, Words, WordsMut, ticks};

/// The sender's end: the words of the ring, those before it, and the reader's cursor.
#[derive(Debug)]
pub(crate) struct LosslessWriter<R, H, C> {
    ring: RingWriter<R>,
    head: H,
    cursor: C,
    sent: u64,
    distance: Distance,
}

/// Messages from this length on are worth a thought about where the reader runs.
const LONG: usize = 4096;

/// Where the reader's processor is: whether it shares a cache with ours, as told by the
/// time that a word takes from there. Processors of one machine can be moved about under
/// their programs, so it is asked again and again.
#[derive(Debug, Default)]
struct Distance {
    /// How many more of the last transfers were slow than quick, within bounds.
    slow: u32,
}

impl Distance {
    /// In ticks of the processor's clock, 2 to 4 for a nanosecond. Measured, at 2.6: 80 to 130
    /// where the two share a cache, 310 to 390 where they do not.
    const QUICK: u64 = 220;
    const BOUND: u32 = 8;

    /// A word that the reader had changed took so long.
    fn took(&mut self, ticks: u64) {
        self.slow = match ticks < Distance::QUICK {
            true => self.slow.saturating_sub(1),
            false => (self.slow + 1).min(Distance::BOUND),
        };
    }

    fn is_far(&self) -> bool {
        self.slow > Distance::BOUND / 2
    }
}

/// Stores where the first record of a new lane will be read.
pub(crate) fn begin_cursor(cursor: &impl WordsMut, ring_geometry: RingGeometry) {
    for at in [cursor::ROOM, cursor::EXACT] {
        cursor.store64(at, ring_geometry.first());
    }
}

impl<R: WordsMut, H: WordsMut, C: Words> LosslessWriter<R, H, C> {
    /// Goes on in a lane that others may have written before: behind their last record.
    /// `None` where what stands there was written by no writer of ours.
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
        if !is_possible(gate) {
            return None;
        }
        let mut walk = RingReader::new(ring.clone(), ring_geometry, gate);
        while walk.position() <= gate + ring_geometry.bytes() {
            match walk.look() {
                Record::Message(found) => {
                    walk.pass(found);
                }
                Record::Pad => walk.wrap(),
                Record::Nonsense => return None,
                Record::Empty => {
                    let sent = head.load64(lane::SENT);
                    if sent > IMPLAUSIBLE {
                        return None;
                    }
                    return Some(LosslessWriter {
                        ring: RingWriter::new(
                            ring,
                            ring_geometry,
                            walk.position(),
                            gate + ring_geometry.bytes(),
                        ),
                        head,
                        cursor,
                        sent,
                        distance: Distance::default(),
                    });
                }
            }
        }
        None
    }

    /// The writer of a new lane, in which nothing was written. What stands there is not read: other
    /// processes may have written it.
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

    /// Where the next message stands, if there is room for it in front of the ring's end.
    pub fn position(&self) -> u64 {
        self.ring.tail()
    }

    /// How many messages were sent in this lane.
    #[cfg(test)]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Where the message would stand, if there is room for it.
    #[inline]
    fn admit(&mut self, len: usize) -> Option<Place> {
        let place = self.ring.place(len);
        if len >= LONG {
            self.refresh_and_time();
        } else if !self.ring.fits(place) {
            self.refresh();
        }
        self.ring.fits(place).then_some(place)
    }

    /// A place for a message of this length, which is sent when it has been filled and
    /// [committed](LosslessWriter::commit).
    #[inline]
    pub fn claim(&mut self, len: usize) -> Option<Place> {
        let place = self.ring.place(len);
        if !self.ring.fits(place) {
            self.refresh();
        }
        let fits = self.ring.fits(place);
        fits.then(|| self.ring.claim(place))
    }

    /// What is claimed is written there.
    pub fn ring(&self) -> &RingWriter<R> {
        &self.ring
    }

    /// Sends the message of this length at its place.
    #[inline]
    pub fn commit(&mut self, place: Place, len: usize) {
        self.ring.commit(place, len, false);
        self.count();
    }

    /// Whether the message that was sent at this position was received.
    // layout: L149
    pub fn has_received(&self, position: u64) -> bool {
        self.cursor.load64(cursor::EXACT) > position
    }

    /// Whether everything that was sent was received.
    // layout: L170
    pub fn is_received(&self) -> bool {
        self.cursor.load64(cursor::EXACT) >= self.ring.tail()
    }

    /// Has the next message sent by [`try_send`](LosslessWriter::try_send).
    pub fn pause(&mut self) {
        self.ring.pause();
    }

    /// Asks what the reader has freed.
    #[cold]
    fn refresh(&mut self) {
        self.ring.set_free(self.freed());
    }

    /// And where it is.
    #[cold]
    fn refresh_and_time(&mut self) {
        let start = ticks();
        let free = self.freed();
        // Another processor may be behind.
        let took = ticks().wrapping_sub(start);
        if self.ring.free() != free {
            self.ring.set_free(free);
            self.distance.took(took);
            self.ring.set_far(self.distance.is_far());
        }
    }

    /// Pairs with the reader's store (P1). What a peer wrote is believed only where it can
    /// be true.
    // layout: L108 L182
    fn freed(&self) -> u64 {
        let room = self.cursor.load64(cursor::ROOM);
        let free = room.wrapping_add(self.ring.ring_geometry().bytes());
        match room <= self.ring.tail() && free >= self.ring.free() {
            true => free,
            false => self.ring.free(),
        }
    }

    /// Whether there is room for a message of this length.
    pub fn has_room(&mut self, len: usize) -> bool {
        self.admit(len).is_some()
    }

    /// Sends a message as most are; `false` where there is more to be done, which
    /// [`try_send`](LosslessWriter::try_send) does.
    #[inline(always)]
    pub fn send_quickly(&mut self, message: &[u8]) -> bool {
        let sent = self.ring.send_quickly(message);
        if sent {
            self.count();
        }
        sent
    }

    /// The same for [`try_add`](LosslessWriter::try_add).
    #[inline(always)]
    pub fn add_quickly(&mut self, message: &[u8]) -> bool {
        let added = self.ring.add_quickly(message);
        if added {
            self.count();
        }
        added
    }

    /// Sends a message no longer than the longest; `false` where the lane is full.
    pub fn try_send(&mut self, message: &[u8]) -> bool {
        self.write(message, None, false)
    }

    /// As `try_send`, but it is sent with the next message or `flush`.
    pub fn try_add(&mut self, message: &[u8]) -> bool {
        self.write(message, None, true)
    }

    /// Sends a message no longer than the longest, and a tag with it; `false` where the lane
    /// is full.
    #[inline]
    pub fn try_send_tagged(&mut self, message: &[u8], tag: u32) -> bool {
        if self.ring.send_tagged_quickly(message, tag) {
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

    // layout: L058
    #[inline(always)]
    fn count(&mut self) {
        self.sent += 1;
        // For those who look on.
        self.head.store64(lane::SENT, self.sent);
    }

    /// Sends what was added.
    pub fn flush(&mut self) {
        self.ring.flush();
    }
}

/// The receiver's end. `M` are the words of the ring, `C` its own cursor.
#[derive(Debug)]
pub(crate) struct LosslessReader<M, C> {
    ring: RingReader<M>,
    cursor: C,
    /// As last stored at `room`.
    freed: u64,
    /// Where it is next to be stored.
    frees: u64,
    /// A short message that ends here or before is received with no more questions.
    quick: u64,
    /// From here on it is another lane's turn.
    turn_ends: u64,
    received: u64,
    /// The message that was found last.
    found: Found,
    has_freed: bool,
}

impl<M: Words, C: WordsMut> LosslessReader<M, C> {
    /// The first reader of a new lane.
    pub fn new(ring: M, cursor: C, ring_geometry: RingGeometry) -> LosslessReader<M, C> {
        begin_cursor(&cursor, ring_geometry);
        LosslessReader::at(ring, cursor, ring_geometry, [ring_geometry.first(), 0])
    }

    /// Goes on where another reader has stopped. `None` where what that one stored cannot be.
    // layout: L160 L179
    pub fn resume(ring: M, cursor: C, ring_geometry: RingGeometry) -> Option<LosslessReader<M, C>> {
        let [exact, received] = [cursor::EXACT, cursor::RECEIVED].map(|at| cursor.load64(at));
        let possible = is_possible(exact) && received <= IMPLAUSIBLE;
        let mut reader =
            possible.then(|| LosslessReader::at(ring, cursor, ring_geometry, [exact, received]))?;
        // So that what it has read and not given back is given back soon.
        reader.frees = exact;
        Some(reader)
    }

    /// Goes on in a lane that another has read, behind everything that stands there now.
    /// `None` where what stands there was written by no end of ours.
    // layout: L145 L179 L181
    pub fn behind_all(
        ring: M,
        cursor: C,
        ring_geometry: RingGeometry,
    ) -> Option<LosslessReader<M, C>> {
        let [exact, received] = [cursor::EXACT, cursor::RECEIVED].map(|at| cursor.load64(at));
        if !is_possible(exact) || received > IMPLAUSIBLE {
            return None;
        }
        let mut reader = LosslessReader::at(ring, cursor, ring_geometry, [exact, received]);
        while reader.ring.position() <= exact + ring_geometry.bytes() {
            match reader.find() {
                Step::Message(_) => reader.pass(),
                Step::Nothing => {
                    reader.free();
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
            has_freed: false,
        }
    }

    /// Copies the next message to the beginning of `to`, which takes the longest, where it is
    /// one as most are and there is nothing else to be done.
    #[inline(always)]
    pub fn receive_quickly(&mut self, to: &mut [u8]) -> Option<usize> {
        let found = self.ring.look_quickly(self.quick)?;
        self.ring.copy(found, 0, &mut to[..found.len]);
        self.count(found);
        Some(found.len)
    }

    /// Copies the next message to the beginning of `to`, which takes the longest, as a receiver
    /// does.
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

    /// Finds the next message, where it begins in front of the place at which there is more to
    /// be done, and leaves it where it is.
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

    /// Finds the next message, and leaves it where it is.
    // layout: L113
    pub fn find(&mut self) -> Step {
        loop {
            match self.ring.look() {
                Record::Message(found) => {
                    self.found = found;
                    return Step::Message(found.len);
                }
                Record::Empty => {
                    if self.freed != self.ring.position() {
                        self.free();
                    }
                    return Step::Nothing;
                }
                // Once: the record behind a pad stands at the ring's beginning, where no
                // pad can stand.
                Record::Pad => self.ring.wrap(),
                Record::Nonsense => return Step::Corrupt,
            }
        }
    }

    /// Whether there is nothing to receive.
    pub fn is_empty(&self) -> bool {
        self.ring.look() == Record::Empty
    }

    /// Copies a part of the message that was [found](LosslessReader::find).
    pub fn copy(&self, at: usize, to: &mut [u8]) {
        self.ring.copy(self.found, at, to);
    }

    /// Where it stands.
    #[inline]
    pub fn position(&self) -> u64 {
        self.ring.position()
    }

    /// Its tag, where its writer gave it one.
    #[inline]
    pub fn tag(&self) -> u32 {
        self.ring.tag()
    }

    /// From the message that was found on, so many bytes are received with no look at other
    /// lanes.
    pub fn begin_turn(&mut self, bytes: u64) {
        self.turn_ends = self.ring.position() + bytes;
    }

    /// Goes on behind it.
    // layout: L113
    #[inline]
    pub fn pass(&mut self) {
        self.count(self.found);
        if self.ring.position() >= self.frees {
            self.free();
        }
        // With one that reaches `frees` there is more to be done.
        let before = self.frees - record::ALIGN as u64;
        self.quick = self.ring.lap().min(before).min(self.turn_ends);
    }

    // layout: L112 L234
    #[inline(always)]
    fn count(&mut self, found: Found) {
        self.received += 1;
        self.cursor.store64(cursor::RECEIVED, self.received);
        let position = self.ring.pass(found);
        // For those who look on.
        self.cursor.publish64(cursor::EXACT, position);
    }

    /// Lets the writer have what was read. Pairs with its load of `room` (P1).
    // layout: L045 L113
    fn free(&mut self) {
        self.freed = self.ring.position();
        self.frees = self.freed + self.ring.ring_geometry().bytes() / 8;
        self.cursor.publish64(cursor::ROOM, self.freed);
        self.has_freed = true;
    }

    /// Whether room was given to the writer since this was last asked.
    #[inline]
    pub fn has_freed(&mut self) -> bool {
        std::mem::take(&mut self.has_freed)
    }
}

impl<C: WordsMut> LosslessReader<Window<Round>, C> {
    /// The bytes of the message that was [found](LosslessReader::find).
    pub fn bytes(&self) -> *const u8 {
        self.ring.bytes(self.found)
    }
}
