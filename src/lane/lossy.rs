//! A lane whose writer waits only for the readers that it knows. Other readers may be overtaken,
//! and learn how many messages they missed.
//!
//! Before the writer writes a line for the second time, it announces how far it will write: it
//! stores that position in the word `reserved`, which moves by an eighth of the ring at a time. A
//! reader that has copied a message then loads `reserved`. If the place of the message may have
//! been overwritten meanwhile, the reader discards the copy. There are eight marks, one for each
//! eighth of the ring. Each mark holds the position of a record and the number of messages before
//! the record. So the number of missed messages is exact.

use super::kept::{Kept, Mark};
use super::ring::{Found, Place, Record, RingGeometry, RingReader, RingWriter};
use super::{GREATEST, Step, is_possible};
use crate::format::layout::{lane, record};
use crate::sync::{RingWindow, RingWords, RingWordsMut, Words, WordsMut};

/// The position that a mark holds while the writer changes the mark.
const CHANGING: u64 = u64::MAX;

/// The number of attempts of a reader to find a mark while the writer changes the marks.
const TRIES: u32 = 100;

fn mark(k: u64) -> usize {
    lane::MARKS + (k % lane::MARK_COUNT as u64) as usize * lane::MARK_STRIDE
}

fn step(ring_geometry: RingGeometry) -> u64 {
    ring_geometry.bytes() / lane::MARK_COUNT as u64
}

/// The publisher's side.
#[derive(Debug)]
pub(crate) struct LossyWriter<R, H> {
    ring: RingWriter<R>,
    head: H,
    sent: u64,
    /// The position from which on the next mark is set.
    next_mark: u64,
    /// The records of a ring whose records are announced one by one, and the oldest of them, which
    /// is marked.
    kept: Option<(Kept, Mark)>,
}

impl<R: RingWordsMut, H: WordsMut> LossyWriter<R, H> {
    /// Creates the writer of a new lane.
    // layout: L059
    pub fn new(ring: R, head: H, ring_geometry: RingGeometry) -> LossyWriter<R, H> {
        let first = ring_geometry.first();
        let mut writer = LossyWriter {
            ring: RingWriter::new(ring, ring_geometry, first, first),
            head,
            sent: 0,
            next_mark: first + step(ring_geometry),
            kept: LossyWriter::<R, H>::kept(ring_geometry),
        };
        // The mark of position 0 is there already: all words are zero.
        if first != 0 {
            writer.announce(first);
            writer.set_mark(mark(first / step(ring_geometry)), writer.tail());
        }
        writer
    }

    /// Creates the writer that continues a lane which another writer used. Returns `None` if the lane
    /// holds words that no writer of this crate writes.
    // layout: L179 L181 L296
    pub fn resume(ring: R, head: H, ring_geometry: RingGeometry) -> Option<LossyWriter<R, H>>
    where
        R: Clone,
        H: Clone,
    {
        let marks = LossyReader::new(ring.clone(), head.clone(), ring_geometry).marks();
        let step = step(ring_geometry);
        // In a long ring the writer has to know all records that it keeps. In other rings the last
        // writer may have died while it set the marks behind its last message.
        let (from, next_mark) = match ring_geometry.is_exact() {
            true => {
                let oldest = marks.min_by_key(|mark| mark.position)?;
                (oldest, oldest.position / step + 1)
            }
            false => {
                let newest = marks.max_by_key(|mark| mark.position)?;
                let before = (newest.position / step).saturating_sub(lane::MARK_COUNT as u64 - 1);
                (newest, before.max(ring_geometry.first() / step + 1))
            }
        };
        let reserved = head.load64(lane::RESERVED);
        if !is_possible(reserved) {
            return None;
        }
        let writer = LossyWriter {
            ring: RingWriter::new(ring.clone(), ring_geometry, from.position, reserved),
            head,
            sent: from.number,
            next_mark: next_mark * step,
            kept: LossyWriter::<R, H>::kept(ring_geometry),
        };
        writer.go_to_the_end(RingReader::new(ring, ring_geometry, from.position))
    }

    /// Goes over the records that another writer left, and continues behind them.
    fn go_to_the_end(mut self, mut walk: RingReader<R>) -> Option<LossyWriter<R, H>> {
        let (from, reserved) = (walk.position(), self.reserved());
        let ring_geometry = self.ring.ring_geometry();
        let mut begin = from;
        self.set_missing_marks(from);
        while walk.position() <= from + ring_geometry.bytes() {
            match walk.look() {
                Record::Message(found) => {
                    let mark = Mark {
                        position: begin,
                        number: self.sent,
                    };
                    begin = walk.pass(found);
                    self.note(mark, begin);
                    self.sent += 1;
                    // A mark never stands behind a pad, where it would tell nothing new.
                    self.set_missing_marks(begin);
                }
                Record::Pad => walk.wrap(),
                Record::Nonsense => return None,
                Record::Empty => {
                    let ring = self.ring.into_words();
                    self.ring = RingWriter::new(ring, ring_geometry, walk.position(), reserved);
                    self.head.store64(lane::SENT, self.sent);
                    self.keep(reserved);
                    return Some(self);
                }
            }
        }
        None
    }

    /// Returns what a writer remembers of a ring whose records are announced one by one.
    fn kept(ring_geometry: RingGeometry) -> Option<(Kept, Mark)> {
        let none = Mark {
            position: 0,
            number: 0,
        };
        let is_exact = ring_geometry.is_exact();
        is_exact.then(|| (Kept::new(ring_geometry), none))
    }

    /// Sets the marks up to this position that the last writer has not set.
    fn set_missing_marks(&mut self, position: u64) {
        let step = step(self.ring.ring_geometry());
        let here = Mark {
            position,
            number: self.sent,
        };
        while self.next_mark <= position {
            let at = mark(self.next_mark / step);
            let is = self.head.load64(at + lane::MARK_POSITION);
            if !(self.next_mark..=position).contains(&is) {
                self.set_mark(at, here);
            }
            self.next_mark += step;
        }
    }

    pub fn ring_geometry(&self) -> RingGeometry {
        self.ring.ring_geometry()
    }

    /// Returns the words in front of the ring.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// Returns the position of the next message, provided that the message fits before the end of
    /// the ring.
    pub fn position(&self) -> u64 {
        self.ring.tail()
    }

    /// Returns the number of messages that were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the announced position.
    pub fn reserved(&self) -> u64 {
        self.ring.free()
    }

    /// Returns the place of the next record as a mark.
    fn tail(&self) -> Mark {
        Mark {
            position: self.ring.tail(),
            number: self.sent,
        }
    }

    /// Returns the position that must be announced before a message of this length can be written;
    /// `None` if enough is announced already.
    // layout: L122 L281
    #[inline]
    pub fn lacks(&self, len: usize) -> Option<u64> {
        let place = self.ring.place(len);
        let step = match self.kept {
            Some(_) => record::ALIGN as u64,
            None => step(self.ring.ring_geometry()),
        };
        (!self.ring.fits(place)).then(|| place.limit().next_multiple_of(step))
    }

    /// Announces that the writer will write below this position. The writer may withdraw the
    /// announcement as long as it has written nothing there.
    // layout: L122
    pub fn announce(&mut self, position: u64) {
        self.keep(position);
        self.ring.set_free(position);
        // Pairs with the reader's load before it looks at the marks (P2).
        self.head.publish64(lane::RESERVED, position);
        // Pairs with the reader's fence after its copy (P3).
        self.head.release();
    }

    /// Marks the oldest record that stays readable when the writer writes below this position.
    // layout: L282
    fn keep(&mut self, position: u64) {
        let tail = self.tail();
        let Some((kept, marked)) = &mut self.kept else {
            return;
        };
        let oldest = kept.oldest(position, tail);
        if oldest != *marked {
            *marked = oldest;
            self.set_mark(lane::OLDEST, oldest);
        }
    }

    /// Remembers a record, which ends at `end`, if the writer has to remember it.
    #[inline]
    fn note(&mut self, begin: Mark, end: u64) {
        if let Some((kept, _)) = &mut self.kept {
            kept.note(begin, end);
        }
    }

    /// Executes a full fence between an announcement and the load of the subscribers to wait for.
    /// Pairs with the full fence of a subscriber that joins.
    pub fn full_fence(&self) {
        self.head.full();
    }

    /// Sends a message if it is short, enough is announced, and the writer has no other work to do.
    /// Returns whether the message was sent.
    #[inline(always)]
    pub fn send_quickly(&mut self, message: &[u8]) -> bool {
        let sent = self.ring.write_quickly(message, None, false);
        if sent {
            self.count();
        }
        sent
    }

    /// Sends a message for which enough is announced.
    pub fn send(&mut self, message: &[u8]) {
        self.write(message, false);
    }

    /// Writes a message for which enough is announced. The message is sent with the next message or
    /// by `flush`, at the latest when an eighth of the ring is full: a mark must not point behind a
    /// batch that is held back.
    pub fn add(&mut self, message: &[u8]) {
        self.write(message, true);
    }

    /// Claims a place for a message of this length, for which enough is announced.
    pub fn claim(&mut self, len: usize) -> Place {
        self.ring.claim(self.ring.place(len))
    }

    /// Returns the ring in which a claim is filled.
    pub fn ring(&self) -> &RingWriter<R> {
        &self.ring
    }

    /// Sends the message of this length at its place.
    pub fn commit(&mut self, place: Place, len: usize) {
        let begin = self.tail();
        self.ring.commit(place, len, false);
        self.note(begin, self.ring.tail());
        self.count();
    }

    // layout: L125 L283
    fn write(&mut self, message: &[u8], hold: bool) {
        let begin = self.tail();
        let place = self.ring.place(message.len());
        let hold = hold && place.end() < self.next_mark && self.kept.is_none();
        self.ring.write(place, message, None, hold);
        self.note(begin, self.ring.tail());
        self.count();
    }

    #[inline(always)]
    fn count(&mut self) {
        self.sent += 1;
        // For tools that show the count, and for new subscribers.
        self.head.store64(lane::SENT, self.sent);
        if self.ring.tail() >= self.next_mark {
            self.set_marks();
        }
    }

    // layout: L123
    #[cold]
    fn set_marks(&mut self) {
        let (step, tail) = (step(self.ring.ring_geometry()), self.tail());
        while self.next_mark <= tail.position {
            self.set_mark(mark(self.next_mark / step), tail);
            self.next_mark += step;
        }
    }

    // layout: L124
    fn set_mark(&self, at: usize, Mark { position, number }: Mark) {
        let head = &self.head;
        head.store64(at + lane::MARK_POSITION, CHANGING);
        // Pairs with the reader's fence before its second look at the position.
        head.release();
        head.store64(at + lane::MARK_NUMBER, number);
        // Pairs with the reader's first load of the position.
        head.publish64(at + lane::MARK_POSITION, position);
    }

    /// Sends the messages that were added.
    pub fn flush(&mut self) {
        self.ring.flush();
    }
}

/// The message with which a subscriber begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Oldest,
    /// The last message that was sent, if there is one.
    Last,
    /// The next message that is sent.
    Next,
}

/// The result of a walk from a mark to the end.
enum Walk {
    Nothing,
    Last(Mark),
    Overtaken,
}

/// The subscriber's side.
#[derive(Debug)]
pub(crate) struct LossyReader<R, H> {
    ring: RingReader<R>,
    head: H,
    /// The number of messages before the position.
    number: u64,
    /// A short message that ends at this position or before is received without further checks.
    quick: u64,
    /// Whether the writer was asked to wait for this reader. The writer may withdraw an
    /// announcement that reaches this reader.
    waited_for: bool,
    /// Whether the reader reads several lanes in turn, so that each message takes the general path.
    is_merged: bool,
    /// Whether the reader was overtaken and has not received a message since then.
    has_lagged: bool,
    /// The time stamp of the message that was received or found last.
    stamp: Option<u64>,
    /// The message that was found last.
    found: Found,
}

impl<R: RingWords, H: Words> LossyReader<R, H> {
    pub fn new(ring: R, head: H, ring_geometry: RingGeometry) -> LossyReader<R, H> {
        LossyReader {
            ring: RingReader::new(ring, ring_geometry, ring_geometry.first()),
            head,
            number: 0,
            quick: 0,
            waited_for: false,
            is_merged: false,
            has_lagged: false,
            stamp: None,
            found: Found::default(),
        }
    }

    /// Sets whether the reader reads several lanes in turn. If it does, each message takes the general
    /// path, [`receive`](LossyReader::receive).
    pub fn set_merged(&mut self, is_merged: bool) {
        self.is_merged = is_merged;
        self.quick = 0;
    }

    /// Returns the words in front of the ring.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// Notes that the writer was asked to wait for this reader. If the reader seems to be overtaken
    /// nevertheless, the caller finds out whether it is: a writer withdraws an announcement that it
    /// made before it saw the reader, and has then written nothing.
    pub fn wait_for(&mut self) {
        self.waited_for = true;
    }

    /// Returns whether there is a message to receive, or a number of missed messages to report.
    pub fn has_news(&self) -> bool {
        self.ring.look() != Record::Empty || self.may_be_overwritten(self.ring.position())
    }

    #[inline]
    pub fn position(&self) -> u64 {
        self.ring.position()
    }

    /// Returns the time stamp of the message that was received or found last; `None` if the records of this
    /// lane have no time stamps.
    pub fn stamp(&self) -> Option<u64> {
        self.stamp
    }

    /// Returns the number of messages before the next one.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the number of messages that the writer has sent.
    pub fn sent(&self) -> u64 {
        self.head.load64(lane::SENT)
    }

    /// Moves to the first message for this reader. Returns `false` if the writer was faster in all
    /// attempts.
    // layout: L129
    pub fn begin(&mut self, begin: Begin) -> bool {
        self.has_lagged = false;
        for _ in 0..TRIES {
            self.number = 0;
            let mut marks: Vec<Mark> = self.marks().collect();
            marks.sort_by_key(|mark| mark.position);
            if begin == Begin::Oldest {
                if let Some(oldest) = marks.first() {
                    self.go(*oldest);
                    return true;
                }
                continue;
            }

            // The newest mark may point behind the last message.
            for mark in marks.into_iter().rev() {
                self.go(mark);
                match self.walk() {
                    Walk::Overtaken => break,
                    Walk::Nothing if begin == Begin::Last && mark.number > 0 => {}
                    Walk::Nothing => return true,
                    Walk::Last(last) => {
                        if begin == Begin::Last {
                            self.go(last);
                        }
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Walks from a mark to the end.
    // layout: L129 L181
    fn walk(&mut self) -> Walk {
        let from = self.ring.position();
        let bytes = self.ring.ring_geometry().bytes();
        let mut last = Walk::Nothing;

        while self.ring.position() <= from + bytes {
            match self.ring.look() {
                Record::Message(found) => {
                    last = Walk::Last(Mark {
                        position: self.ring.position(),
                        number: self.number,
                    });
                    self.ring.pass(found);
                    self.number += 1;
                }
                Record::Pad => self.ring.wrap(),
                Record::Nonsense => break,
                Record::Empty if self.may_be_overwritten(from) => break,
                Record::Empty => return last,
            }
        }
        Walk::Overtaken
    }

    fn go(&mut self, mark: Mark) {
        self.quick = 0;
        self.ring.jump(mark.position);
        self.number = mark.number;
    }

    /// Copies the next message as [`receive`](LossyReader::receive) does, if the message is short
    /// and the reader has no other work to do.
    #[inline(always)]
    pub fn receive_quickly(&mut self, to: &mut [u8]) -> Option<usize> {
        let found = self.ring.look_quickly(self.quick)?;
        self.ring.copy_quickly(found, &mut to[..found.len]);
        if self.may_be_overwritten(self.ring.position()) {
            return None;
        }
        self.ring.pass(found);
        self.number += 1;
        Some(found.len)
    }

    /// Copies the next message to the beginning of `to`, which must be long enough for the longest
    /// message.
    pub fn receive(&mut self, to: &mut [u8]) -> Step {
        let copy = |ring: &RingReader<R>, found: Found| ring.copy(found, 0, &mut to[..found.len]);
        match self.look(copy) {
            Ok(found) => self.pass(found),
            Err(step) => step,
        }
    }

    /// Finds the next message, and leaves it in the ring. The writer may overwrite it there.
    pub fn find(&mut self) -> Step {
        match self.look(|_, _| ()) {
            Ok(found) => {
                self.found = found;
                Step::Message(found.len)
            }
            Err(step) => step,
        }
    }

    /// Copies bytes of the message that was [found](LossyReader::find).
    pub fn copy_found(&self, offset: usize, to: &mut [u8]) {
        self.ring.copy(self.found, offset, to);
    }

    /// Returns whether the message that was [found](LossyReader::find) may have been overwritten while
    /// it was read.
    pub fn is_found_overtaken(&self) -> bool {
        self.may_be_overwritten(self.ring.position())
    }

    /// Moves behind the message that was [found](LossyReader::find), and returns its length.
    pub fn pass_found(&mut self) -> usize {
        let found = self.found;
        self.pass(found);
        found.len
    }

    fn pass(&mut self, found: Found) -> Step {
        self.ring.pass(found);
        self.number += 1;
        self.quick = match self.is_merged {
            true => 0,
            false => self.ring.quick_lap(),
        };
        self.has_lagged = false;
        Step::Message(found.len)
    }

    /// Looks at the next message, which `copy` copies. Returns the message if it was not overwritten
    /// meanwhile.
    // layout: L010 L131
    fn look(&mut self, mut copy: impl FnMut(&RingReader<R>, Found)) -> Result<Found, Step> {
        loop {
            let record = self.ring.look();
            let mut stamp = None;
            if let Record::Message(found) = record {
                copy(&self.ring, found);
                stamp = self.ring.stamp();
            }

            if self.may_be_overwritten(self.ring.position()) {
                return Err(self.overtaken());
            }

            match record {
                Record::Message(found) => {
                    self.stamp = stamp;
                    return Ok(found);
                }
                // Happens at most once: a pad is invalid at the beginning of the ring.
                Record::Pad => self.ring.wrap(),
                Record::Nonsense => return Err(Step::Corrupt),
                Record::Empty => return Err(Step::Nothing),
            }
        }
    }

    /// Returns whether the bytes from a position on may have been overwritten while they were read.
    // layout: L130
    #[inline]
    pub fn may_be_overwritten(&self, position: u64) -> bool {
        // Pairs with the writer's fence after `reserved` (P3).
        self.ring.acquire();
        self.head.load64(lane::RESERVED) > position + self.ring.ring_geometry().bytes()
    }

    fn overtaken(&mut self) -> Step {
        if self.waited_for {
            Step::Overtaken
        } else {
            self.lag()
        }
    }

    /// Moves to a message that can be read, and returns how many messages were missed.
    // layout: L132 L284
    pub fn lag(&mut self) -> Step {
        for _ in 0..TRIES {
            let ring_geometry = self.ring.ring_geometry();
            // The user of a writer that announces each record may have set how many messages are
            // kept. So the reader tries the oldest message once.
            let enough = match ring_geometry.is_exact() && !self.has_lagged {
                true => ring_geometry.bytes(),
                false => ring_geometry.bytes() / 2,
            };
            let reserved = self.head.load64(lane::RESERVED);
            let far = |mark: &Mark| mark.position + enough >= reserved;

            // The oldest mark that the writer does not reach within half a ring, or else the newest
            // mark.
            let found = self.marks().filter(far).min_by_key(|mark| mark.position);
            let found = found.or_else(|| self.marks().max_by_key(|mark| mark.position));
            if let Some(mark) = found {
                let missed = mark.number - self.number;
                self.go(mark);
                self.has_lagged = true;
                return Step::Lagged(missed);
            }
        }
        // The next call tries again.
        Step::Nothing
    }

    /// Returns the marks at which the reader can continue now. None of them is before the reader's
    /// next message.
    // layout: L128
    fn marks(&self) -> impl Iterator<Item = Mark> + use<R, H> {
        // Pairs with the writer's store (P2).
        let _ = self.head.load64(lane::RESERVED);
        let marks: [Option<Mark>; lane::MARK_COUNT] =
            std::array::from_fn(|k| self.mark(mark(k as u64)));
        let oldest = match self.ring.ring_geometry().is_exact() {
            true => self.mark(lane::OLDEST),
            false => None,
        };
        self.ring.acquire();
        let reserved = self.head.load64(lane::RESERVED);
        let (bytes, number) = (self.ring.ring_geometry().bytes(), self.number);
        let valid = move |mark: &Mark| mark.position + bytes >= reserved && mark.number >= number;
        let marks = marks.into_iter().chain([oldest]).flatten();
        marks.filter(valid)
    }

    /// Returns a mark, unless the writer is changing the mark or a value in the mark is impossible.
    // layout: L128 L179
    fn mark(&self, at: usize) -> Option<Mark> {
        // Pairs with the writer's last store of the position.
        let position = self.head.load64(at + lane::MARK_POSITION);
        let number = self.head.load64(at + lane::MARK_NUMBER);
        // Pairs with the writer's fence behind CHANGING.
        self.head.acquire();
        let again = self.head.load64(at + lane::MARK_POSITION);
        let whole = position == again && is_possible(position) && number <= GREATEST;
        whole.then_some(Mark { position, number })
    }
}

impl<H> LossyReader<RingWindow, H> {
    /// Returns the address of the message that was [found](LossyReader::find).
    pub fn bytes(&self) -> *const u8 {
        self.ring.bytes(self.found)
    }
}
