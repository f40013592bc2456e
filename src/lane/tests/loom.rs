//! Tests of lanes under the model checker loom. The checker tries all orders in which two threads
//! can run with a few preemptions (`explore`), and all old values that weakly ordered memory may
//! return.
//!
//! The model of a line keeps the first word, the tag, and the eight bytes behind the tag. All other
//! bytes that are copied in are dropped. In a lossless lane the eight bytes are not atomic, so the
//! checker reports a read during a write as a race.

use super::super::Step;
use super::super::lossless::{LosslessReader, LosslessWriter};
use super::super::lossy::{Begin, LossyReader, LossyWriter};
use super::super::ring::RingGeometry;
use crate::format::layout::{LINE, cursor, lane, record};
use crate::sync::explore::explore;
use crate::sync::{RingWords, Words, WordsMut};
use ::loom::cell::Cell as Racy;
use ::loom::{sync as loomed, thread};
use loomed::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The lengths of a message in one line and of a message in two lines. Each record begins at the
/// beginning of a line.
pub(crate) const SHORT: usize = 56;
pub(crate) const LONG: usize = 120;

enum Body {
    Racy(Racy<u64>),
    Atomic(AtomicU64),
}

struct Line {
    word: AtomicU32,
    tag: Racy<u32>,
    body: Body,
}

/// The ring of a lane, or its counters.
#[derive(Clone)]
pub(crate) struct Model {
    ring: Rc<Vec<Line>>,
    counters: Rc<BTreeMap<usize, AtomicU64>>,
    /// The number of stores that still arrive before the writer dies.
    life: Rc<Cell<usize>>,
}

impl Model {
    fn new(ring: Vec<Line>, counters: impl Iterator<Item = usize>) -> Model {
        Model {
            ring: Rc::new(ring),
            counters: Rc::new(counters.map(|at| (at, AtomicU64::new(0))).collect()),
            life: Rc::new(Cell::new(usize::MAX)),
        }
    }

    fn ring(body: fn() -> Body, lines: u64) -> Model {
        let line = || Line {
            word: AtomicU32::new(record::EMPTY),
            tag: Racy::new(0),
            body: body(),
        };
        Model::new((0..lines).map(|_| line()).collect(), 0..0)
    }

    /// Makes a ring whose reader copies bytes that may be overwritten meanwhile.
    pub fn overwritten_ring(ring_geometry: RingGeometry) -> Model {
        let lines = ring_geometry.bytes() / LINE as u64;
        Model::ring(|| Body::Atomic(AtomicU64::new(0)), lines)
    }

    /// Makes a ring whose reader copies only bytes that are not overwritten meanwhile.
    pub fn kept_ring() -> Model {
        Model::ring(|| Body::Racy(Racy::new(0)), 8)
    }

    pub fn head() -> Model {
        let marks = (lane::MARKS..lane::HEAD).step_by(8);
        Model::new(
            Vec::new(),
            [lane::RESERVED, lane::SENT].into_iter().chain(marks),
        )
    }

    pub fn cursor() -> Model {
        let at = [cursor::ROOM, cursor::EXACT, cursor::RECEIVED];
        Model::new(Vec::new(), at.into_iter())
    }

    /// Returns the same memory for a writer that dies after `life` stores.
    pub(super) fn mortal(&self, life: &Rc<Cell<usize>>) -> Model {
        Model {
            life: Rc::clone(life),
            ..self.clone()
        }
    }

    fn lives(&self) -> bool {
        let left = self.life.get();
        self.life.set(left.saturating_sub(1));
        left > 0
    }

    fn line(&self, at: usize) -> &Line {
        assert!(at.is_multiple_of(LINE));
        &self.ring[at / LINE % self.ring.len()]
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        &self.line(at).word
    }

    /// Returns the lines in a range of bytes, each with the offset in the range where it begins.
    fn lines(&self, at: usize, len: usize) -> impl Iterator<Item = (&Line, isize)> {
        let at = at % (self.ring.len() * LINE);
        assert!(at + len <= self.ring.len() * LINE);
        let lines = at / LINE..(at + len).div_ceil(LINE);
        lines.map(move |n| (&self.ring[n], (n * LINE) as isize - at as isize))
    }
}

/// Returns the part of a range at an offset, if the whole part is inside the range.
fn part(range: &[u8], at: isize, len: usize) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    range.get(at..at + len)
}

impl Words for Model {
    fn full(&self) {
        // Pairs with the same fence of the peer.
        fence(Ordering::SeqCst);
    }

    fn load_upper32(&self, at: usize) -> u32 {
        self.line(at).tag.get()
    }

    fn load32(&self, at: usize) -> u32 {
        let value = self.word(at).load(Ordering::Relaxed);
        self.acquire();
        value
    }

    fn load64(&self, at: usize) -> u64 {
        let value = self.counters[&at].load(Ordering::Relaxed);
        self.acquire();
        value
    }

    fn copy_out(&self, at: usize, to: &mut [u8]) {
        to.fill(0);
        for (line, begins) in self.lines(at, to.len()) {
            let body = begins + record::PAYLOAD as isize;
            if part(to, body, 8).is_some() {
                let value = match &line.body {
                    Body::Racy(cell) => cell.get(),
                    Body::Atomic(word) => word.load(Ordering::Relaxed),
                };
                to[body as usize..][..8].copy_from_slice(&value.to_le_bytes());
            }
        }
    }

    fn acquire(&self) {
        // Pairs with the release stores and fences of the thread that wrote the loaded value.
        fence(Ordering::Acquire);
    }

    fn relax(&self) {
        thread::yield_now();
    }
}

impl RingWords for Model {
    type Whole = Model;
    type Round = Model;

    fn whole(&self) -> &Model {
        self
    }

    fn round(&self) -> &Model {
        self
    }
}

impl WordsMut for Model {
    fn store_upper32(&self, at: usize, value: u32) {
        if self.lives() {
            self.line(at).tag.set(value);
        }
    }

    fn store32(&self, at: usize, value: u32) {
        if self.lives() {
            self.word(at).store(value, Ordering::Relaxed);
        }
    }

    fn publish32(&self, at: usize, value: u32) {
        if self.lives() {
            // Pairs with `load32`.
            self.word(at).store(value, Ordering::Release);
        }
    }

    fn store64(&self, at: usize, value: u64) {
        if self.lives() {
            self.counters[&at].store(value, Ordering::Relaxed);
        }
    }

    fn publish64(&self, at: usize, value: u64) {
        if self.lives() {
            // Pairs with `load64`.
            self.counters[&at].store(value, Ordering::Release);
        }
    }

    fn copy_in(&self, at: usize, from: &[u8]) {
        if !self.lives() {
            return;
        }
        for (line, begins) in self.lines(at, from.len()) {
            // The first word of each further line of a record is payload.
            if let Some(word) = part(from, begins, 4) {
                let word = u32::from_le_bytes(word.try_into().unwrap());
                line.word.store(word, Ordering::Relaxed);
            }
            if let Some(body) = part(from, begins + record::PAYLOAD as isize, 8) {
                let body = u64::from_le_bytes(body.try_into().unwrap());
                match &line.body {
                    Body::Racy(cell) => cell.set(body),
                    Body::Atomic(word) => word.store(body, Ordering::Relaxed),
                }
            }
        }
    }

    fn release(&self) {
        // Pairs with `acquire`.
        fence(Ordering::Release);
    }
}

pub(crate) fn ring_geometry() -> RingGeometry {
    RingGeometry::new(512, LONG).unwrap()
}

/// Returns a message that repeats eight bytes, which could be the first word of a message.
pub(crate) fn message(number: u64, len: usize) -> Vec<u8> {
    (number << 8 | 0x21)
        .to_le_bytes()
        .into_iter()
        .cycle()
        .take(len)
        .collect()
}

/// Compares the bytes that the model keeps.
pub(crate) fn check(text: &[u8], number: u64) {
    let expected = message(number, text.len());
    assert_eq!(text[..8], expected[..8], "the first line of {number}");
    if text.len() == LONG {
        assert_eq!(
            text[LINE..LINE + 8],
            expected[LINE..LINE + 8],
            "the last line of {number}"
        );
    }
}

// Lossless lanes.

struct Lossless {
    ring: Model,
    head: Model,
    cursor: Model,
    reader: LosslessReader<Model, Model>,
}

impl Lossless {
    /// Makes a lane whose next record begins with line `from`.
    fn new(from: u64) -> (Lossless, LosslessWriter<Model, Model, Model>) {
        let ring = Model::kept_ring();
        let (head, cursor) = (Model::head(), Model::cursor());
        let mut reader = LosslessReader::new(ring.clone(), cursor.clone(), ring_geometry());
        let mut writer = resume(&ring, &head, &cursor).unwrap();
        let mut to = [0; LONG];
        for n in 0..from {
            assert!(writer.try_send(&message(100 + n, SHORT)));
            assert_eq!(reader.receive(&mut to), Step::Message(SHORT));
        }
        let lossless = Lossless {
            ring,
            head,
            cursor,
            reader,
        };
        (lossless, writer)
    }
}

fn resume(
    ring: &Model,
    head: &Model,
    cursor: &Model,
) -> Option<LosslessWriter<Model, Model, Model>> {
    LosslessWriter::resume(ring.clone(), head.clone(), cursor.clone(), ring_geometry())
}

fn send(writer: &mut LosslessWriter<Model, Model, Model>, number: u64, len: usize) {
    let text = message(number, len);
    while !writer.send_quickly(&text) && !writer.try_send(&text) {
        thread::yield_now();
    }
}

fn receive(reader: &mut LosslessReader<Model, Model>, number: u64, len: usize) {
    let mut to = [0; LONG];
    loop {
        match reader.receive(&mut to) {
            Step::Nothing => thread::yield_now(),
            step => {
                assert_eq!(step, Step::Message(len));
                return check(&to[..len], number);
            }
        }
    }
}

// layout: L065 L067
#[test]
fn full_lane_is_not_overwritten_while_read() {
    explore(2, || {
        let (mut lossless, mut writer) = Lossless::new(5);
        for n in 0..7 {
            send(&mut writer, n, SHORT);
        }
        assert!(!writer.has_room(SHORT));
        let reader = thread::spawn(move || {
            for n in 0..9 {
                receive(&mut lossless.reader, n, SHORT);
            }
            assert_eq!(lossless.reader.receive(&mut [0; LONG]), Step::Nothing);
        });
        for n in 7..9 {
            send(&mut writer, n, SHORT);
        }
        reader.join().unwrap();
    });
}

// layout: L066 L112
#[test]
fn messages_arrive_in_order_across_ring_end() {
    explore(3, || {
        let (mut lossless, mut writer) = Lossless::new(6);
        let reader = thread::spawn(move || {
            for n in 0..4 {
                receive(&mut lossless.reader, n, SHORT);
            }
            assert_eq!(lossless.reader.receive(&mut [0; LONG]), Step::Nothing);
        });
        for n in 0..4 {
            send(&mut writer, n, SHORT);
        }
        reader.join().unwrap();
    });
}

// layout: L066
#[test]
fn tag_arrives_with_its_message() {
    explore(3, || {
        let (lossless, mut writer) = Lossless::new(7);
        let mut reader = lossless.reader;
        let thread = thread::spawn(move || {
            for (tag, len) in [(7, SHORT), (8, LONG), (9, SHORT)] {
                while reader.find() == Step::Nothing {
                    thread::yield_now();
                }
                assert_eq!((reader.tag(), reader.find()), (tag, Step::Message(len)));
                reader.pass();
            }
            assert_eq!(reader.find(), Step::Nothing);
        });
        for (tag, len) in [(7, SHORT), (8, LONG), (9, SHORT)] {
            while !writer.try_send_tagged(&message(0, len), tag) {
                thread::yield_now();
            }
        }
        thread.join().unwrap();
    });
}

// layout: L063 L066
#[test]
fn long_message_behind_pad_arrives_whole() {
    explore(3, || {
        let (mut lossless, mut writer) = Lossless::new(7);
        let reader = thread::spawn(move || {
            receive(&mut lossless.reader, 0, LONG);
            receive(&mut lossless.reader, 1, LONG);
            receive(&mut lossless.reader, 2, SHORT);
            assert_eq!(lossless.reader.receive(&mut [0; LONG]), Step::Nothing);
        });
        send(&mut writer, 0, LONG);
        send(&mut writer, 1, LONG);
        send(&mut writer, 2, SHORT);
        reader.join().unwrap();
    });
}

// layout: L068
#[test]
fn batch_becomes_visible_all_at_once() {
    explore(3, || {
        let (mut lossless, mut writer) = Lossless::new(6);
        let reader = thread::spawn(move || {
            receive(&mut lossless.reader, 0, SHORT);
            let mut to = [0; LONG];
            for (n, len) in [(1, LONG), (2, SHORT)] {
                assert_eq!(lossless.reader.receive(&mut to), Step::Message(len));
                check(&to[..len], n);
            }
        });
        for (n, len) in [(0, SHORT), (1, LONG), (2, SHORT)] {
            assert!(writer.try_add(&message(n, len)));
        }
        writer.flush();
        reader.join().unwrap();
    });
}

/// The number of stores of the first writer of a succession, if the writer does not die early.
const STORES: usize = 10;

/// A writer sends a message, adds another message to a batch, and dies after `life` stores. The
/// next writer sends two messages. Returns the number of stores that the first writer made.
fn succession(life: usize) -> usize {
    let (mut lossless, _) = Lossless::new(6);
    let (head, cursor) = (lossless.head.clone(), lossless.cursor.clone());
    let left = Rc::new(Cell::new(life));
    let (ring, mortal) = (lossless.ring.clone(), lossless.ring.mortal(&left));
    let reader = thread::spawn(move || {
        let mut to = [0; LONG];
        let mut next = 0;
        while next < 4 {
            match lossless.reader.receive(&mut to) {
                Step::Nothing => thread::yield_now(),
                Step::Message(len) => {
                    let number = u64::from(to[1]);
                    check(&to[..len], number);
                    assert!(number == next || number == 2 && next == 0);
                    // The message in the batch is lost.
                    next = if number == 0 { 2 } else { number + 1 };
                }
                step => panic!("{step:?}"),
            }
        }
        assert_eq!(lossless.reader.receive(&mut to), Step::Nothing);
    });
    let mut first = resume(&mortal, &head.mortal(&left), &cursor).unwrap();
    send(&mut first, 0, SHORT);
    assert!(first.try_add(&message(1, LONG)));
    let mut second = resume(&ring, &head, &cursor).unwrap();
    send(&mut second, 2, SHORT);
    send(&mut second, 3, LONG);
    reader.join().unwrap();
    life - left.get()
}

#[test]
fn successor_of_dead_writer_resumes_beside_reader() {
    for life in 0..=STORES {
        explore(2, move || assert_eq!(succession(life), life));
    }
}

// Lossy lanes.

/// Makes a publisher that has sent messages of these lengths, and a subscriber.
fn lossy(lens: &[usize]) -> (LossyWriter<Model, Model>, LossyReader<Model, Model>) {
    lossy_in(ring_geometry(), lens)
}

fn lossy_in(
    ring_geometry: RingGeometry,
    lens: &[usize],
) -> (LossyWriter<Model, Model>, LossyReader<Model, Model>) {
    let ring = Model::overwritten_ring(ring_geometry);
    let head = Model::head();
    let mut writer = LossyWriter::new(ring.clone(), head.clone(), ring_geometry);
    for len in lens {
        publish(&mut writer, *len);
    }
    (writer, LossyReader::new(ring, head, ring_geometry))
}

/// Returns the geometry of a ring that is no power of two, and keeps two long messages.
fn long_ring() -> RingGeometry {
    RingGeometry::new(9 * LINE as u64, LONG).unwrap()
}

pub(super) fn publish(writer: &mut LossyWriter<Model, Model>, len: usize) {
    let text = message(writer.sent(), len);
    if writer.send_quickly(&text) {
        return;
    }
    if let Some(position) = writer.lacks(len) {
        writer.announce(position);
    }
    writer.send(&text);
}

/// Receives once, and checks the result. At least `sent` messages must have been sent.
pub(super) fn look(reader: &mut LossyReader<Model, Model>, sent: u64) -> Step {
    let before = reader.number();
    let mut to = [0; LONG];
    let step = match reader.receive_quickly(&mut to) {
        Some(len) => Step::Message(len),
        None => reader.receive(&mut to),
    };
    match step {
        Step::Message(len) => {
            check(&to[..len], before);
            assert_eq!(reader.number(), before + 1);
        }
        Step::Lagged(missed) => assert_eq!(reader.number(), before + missed),
        Step::Nothing => assert!(reader.number() == before && before >= sent),
        step => panic!("{step:?}"),
    }
    step
}

// layout: L122 L130 L131 L132
#[test]
fn overtaken_reader_counts_without_torn_messages() {
    explore(2, || {
        let (mut writer, mut reader) = lossy(&[SHORT; 7]);
        let writing = thread::spawn(move || {
            for _ in 0..2 {
                publish(&mut writer, SHORT);
            }
        });
        for _ in 0..2 {
            look(&mut reader, 7);
        }
        writing.join().unwrap();
        while look(&mut reader, 9) != Step::Nothing {}
        assert_eq!(reader.number(), 9);
    });
}

#[test]
fn overwriting_never_tears_a_long_message() {
    explore(2, || {
        let (mut writer, mut reader) = lossy(&[LONG; 3]);
        let writing = thread::spawn(move || {
            publish(&mut writer, LONG);
            publish(&mut writer, SHORT);
        });
        for _ in 0..2 {
            look(&mut reader, 3);
        }
        writing.join().unwrap();
        while look(&mut reader, 5) != Step::Nothing {}
        assert_eq!(reader.number(), 5);
    });
}

/// The publisher announces the long message and writes its second line over a short message, with
/// no other message in between.
#[test]
fn long_write_never_tears_a_short_message() {
    explore(2, || {
        let (mut writer, mut reader) = lossy(&[SHORT; 8]);
        assert!(reader.begin(Begin::Oldest));
        assert_eq!(reader.number(), 1);
        let writing = thread::spawn(move || publish(&mut writer, LONG));
        look(&mut reader, 8);
        writing.join().unwrap();
        while look(&mut reader, 9) != Step::Nothing {}
        assert_eq!(reader.number(), 9);
    });
}

// layout: L281 L282 L284
#[test]
fn overtaken_reader_of_long_ring_counts_exactly() {
    explore(1, || {
        let (mut writer, mut reader) = lossy_in(long_ring(), &[LONG; 4]);
        let writing = thread::spawn(move || publish(&mut writer, LONG));
        look(&mut reader, 4);
        writing.join().unwrap();
        while look(&mut reader, 5) != Step::Nothing {}
        assert_eq!(reader.number(), 5);
    });
}

/// Two messages are kept in any case, while the third is written.
// layout: L282 L285
#[test]
fn late_reader_of_long_ring_finds_messages() {
    explore(1, || {
        let (mut writer, mut reader) = lossy_in(long_ring(), &[LONG; 5]);
        let writing = thread::spawn(move || publish(&mut writer, LONG));
        if reader.begin(Begin::Oldest) {
            assert!(reader.number() <= 4);
            look(&mut reader, 5);
        }
        writing.join().unwrap();
        assert!(reader.begin(Begin::Oldest));
        assert!(reader.number() <= 4);
        while look(&mut reader, 6) != Step::Nothing {}
        assert_eq!(reader.number(), 6);
    });
}

#[test]
fn begin_last_during_write_reads_correct_message() {
    explore(2, || {
        let (mut writer, mut reader) = lossy(&[SHORT; 9]);
        let writing = thread::spawn(move || {
            publish(&mut writer, SHORT);
        });
        if reader.begin(Begin::Last) {
            assert!(reader.number() >= 8);
            assert_ne!(look(&mut reader, 9), Step::Nothing);
        }
        writing.join().unwrap();
        assert!(reader.begin(Begin::Last));
        assert_eq!(look(&mut reader, 10), Step::Message(SHORT));
        assert_eq!(reader.number(), 10);
    });
}

#[test]
fn begin_next_during_write_knows_its_number() {
    explore(2, || {
        let (mut writer, mut reader) = lossy(&[SHORT; 9]);
        let writing = thread::spawn(move || publish(&mut writer, SHORT));
        if reader.begin(Begin::Next) {
            assert!(reader.number() == 9 || reader.number() == 10);
            look(&mut reader, 9);
        }
        writing.join().unwrap();
        while look(&mut reader, 10) != Step::Nothing {}
        assert_eq!(reader.number(), 10);
    });
}

/// The publisher overwrites a mark whose old position is still valid for a subscriber: a long
/// message stands in front of that position.
// layout: L124 L128
#[test]
fn reader_ignores_mark_that_is_changing() {
    explore(3, || {
        let mut lens = vec![SHORT; 7];
        lens.push(LONG);
        lens.extend([SHORT; 5]);
        let (mut writer, mut reader) = lossy(&lens);
        let writing = thread::spawn(move || publish(&mut writer, SHORT));
        assert!(reader.begin(Begin::Oldest));
        look(&mut reader, 14);
        writing.join().unwrap();
    });
}
