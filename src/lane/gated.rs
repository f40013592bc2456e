//! A lane whose writer waits for its one reader: nothing is lost.

use super::ring::{Place, Record, RingReader, RingWriter, Shape};
use super::{ABSURD, Step, is_possible};
use crate::layout::{cursor, lane};
use crate::sync::{Words, WordsMut, ticks};

/// The sender's end. `M` are the words it writes, `C` the reader's cursor.
#[derive(Debug)]
pub(crate) struct GatedWriter<M, C> {
    ring: RingWriter<M>,
    head: M,
    cursor: C,
    /// What the reader has freed, as last heard.
    gate: u64,
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

impl<M: WordsMut, C: Words> GatedWriter<M, C> {
    /// Goes on in a lane that others may have written before: behind their last record.
    /// `None` where what stands there was written by no writer of ours.
    pub fn resume(ring: M, head: M, cursor: C, shape: Shape) -> Option<GatedWriter<M, C>>
    where
        M: Clone,
    {
        // Pairs with the reader's store (P1).
        let gate = cursor.load64(cursor::ROOM);
        if !is_possible(gate) {
            return None;
        }
        let mut walk = RingReader::new(ring.clone(), shape, gate);
        while walk.position() <= gate + shape.bytes() {
            match walk.look() {
                Record::Message(len) => walk.pass(len),
                Record::Pad => walk.wrap(),
                Record::Nonsense => return None,
                Record::Empty => {
                    let sent = head.load64(lane::SENT);
                    if sent > ABSURD {
                        return None;
                    }
                    return Some(GatedWriter {
                        ring: RingWriter::new(ring, shape, walk.position()),
                        head,
                        cursor,
                        gate,
                        sent,
                        distance: Distance::default(),
                    });
                }
            }
        }
        None
    }

    pub fn shape(&self) -> Shape {
        self.ring.shape()
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
        let bytes = self.ring.shape().bytes();
        if len >= LONG {
            self.look_how_far();
        } else if place.limit() > self.gate + bytes {
            self.refresh();
        }
        (place.limit() <= self.gate + bytes).then_some(place)
    }

    /// Pairs with the reader's store (P1). What a peer wrote is believed only where it can
    /// be true.
    fn refresh(&mut self) {
        let room = self.cursor.load64(cursor::ROOM);
        if room >= self.gate && room <= self.ring.tail() {
            self.gate = room;
        }
    }

    #[cold]
    fn look_how_far(&mut self) {
        let (before, start) = (self.gate, ticks());
        self.refresh();
        let took = ticks() - start;
        if self.gate != before {
            self.distance.took(took);
            self.ring.set_far(self.distance.is_far());
        }
    }

    /// Whether there is room for a message of this length.
    pub fn has_room(&mut self, len: usize) -> bool {
        self.admit(len).is_some()
    }

    /// Sends a message no longer than the longest; `false` where the lane is full.
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> bool {
        self.write(message, false)
    }

    /// As `try_send`, but it is sent with the next message or `flush`.
    #[inline]
    pub fn try_add(&mut self, message: &[u8]) -> bool {
        self.write(message, true)
    }

    #[inline(always)]
    fn write(&mut self, message: &[u8], hold: bool) -> bool {
        let Some(place) = self.admit(message.len()) else {
            return false;
        };
        let free = self.gate + self.ring.shape().bytes();
        self.ring.write(place, message, free, hold);
        self.sent += 1;
        // For those who look on.
        self.head.store64(lane::SENT, self.sent);
        true
    }

    /// Sends what was added.
    pub fn flush(&mut self) {
        self.ring.flush();
    }
}

/// The receiver's end. `M` are the words of the ring, `C` its own cursor.
#[derive(Debug)]
pub(crate) struct GatedReader<M, C> {
    ring: RingReader<M>,
    cursor: C,
    /// As last stored at `room`.
    freed: u64,
    received: u64,
    has_freed: bool,
}

impl<M: Words, C: WordsMut> GatedReader<M, C> {
    /// The first reader of a new lane.
    pub fn new(ring: M, cursor: C, shape: Shape) -> GatedReader<M, C> {
        GatedReader {
            ring: RingReader::new(ring, shape, 0),
            cursor,
            freed: 0,
            received: 0,
            has_freed: false,
        }
    }

    /// Copies the next message to the beginning of `to`, which takes the longest.
    #[inline]
    pub fn receive(&mut self, to: &mut [u8]) -> Step {
        loop {
            match self.ring.look() {
                Record::Message(len) => {
                    self.ring.copy(&mut to[..len]);
                    self.ring.pass(len);
                    self.received += 1;
                    self.passed();
                    return Step::Message(len);
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

    #[inline]
    fn passed(&mut self) {
        let position = self.ring.position();
        self.cursor.store64(cursor::RECEIVED, self.received);
        // Pairs with the load of whoever goes on here after our death.
        self.cursor.publish64(cursor::EXACT, position);
        if position - self.freed >= self.ring.shape().bytes() / 8 {
            self.free();
        }
    }

    /// Lets the writer have what was read. Pairs with its load of `room` (P1).
    fn free(&mut self) {
        self.freed = self.ring.position();
        self.cursor.publish64(cursor::ROOM, self.freed);
        self.has_freed = true;
    }

    /// Whether room was given to the writer since this was last asked.
    #[inline]
    pub fn has_freed(&mut self) -> bool {
        std::mem::take(&mut self.has_freed)
    }
}
