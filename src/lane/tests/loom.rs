//! Lanes under a model checker: all the ways in which two threads can take turns, and
//! all the old values that weakly ordered memory may show them.
//!
//! Of a line it knows the first word, the tag and the eight bytes behind it; what
//! else is copied in is forgotten. In the lane of a waiting writer those bytes are no
//! atomics, so that reading them while they are written is found out as a race.

use super::super::Step;
use super::super::lossless::{LosslessReader, LosslessWriter};
use super::super::lossy::{Begin, LossyReader, LossyWriter};
use super::super::ring::RingGeometry;
use crate::format::layout::{LINE, cursor, lane, record};
use crate::sync::{Words, WordsMut};
use ::loom::cell::Cell as Racy;
use ::loom::model::Builder;
use ::loom::{sync as loomed, thread};
use loomed::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A message in one line, and one in two. All records begin with a line.
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
    /// How many more stores arrive before the writer is dead.
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

    fn ring(body: fn() -> Body) -> Model {
        let line = || Line {
            word: AtomicU32::new(record::EMPTY),
            tag: Racy::new(0),
            body: body(),
        };
        Model::new((0..8).map(|_| line()).collect(), 0..0)
    }

    /// A ring whose reader copies what may be overwritten.
    pub fn overwritten_ring() -> Model {
        Model::ring(|| Body::Atomic(AtomicU64::new(0)))
    }

    /// A ring whose reader copies what is not overwritten meanwhile.
    pub fn kept_ring() -> Model {
        Model::ring(|| Body::Racy(Racy::new(0)))
    }

    pub fn head() -> Model {
        let marks = (lane::MARKS..lane::HEAD).step_by(8).take(16);
        Model::new(
            Vec::new(),
            [lane::RESERVED, lane::SENT].into_iter().chain(marks),
        )
    }

    pub fn cursor() -> Model {
        let at = [cursor::ROOM, cursor::EXACT, cursor::RECEIVED];
        Model::new(Vec::new(), at.into_iter())
    }

    /// The same memory, for a writer that lives for so many stores.
    fn mortal(&self, life: &Rc<Cell<usize>>) -> Model {
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

    /// The lines in a range of bytes, and where in the range they begin.
    fn lines(&self, at: usize, len: usize) -> impl Iterator<Item = (&Line, isize)> {
        let at = at % (self.ring.len() * LINE);
        assert!(at + len <= self.ring.len() * LINE);
        let lines = at / LINE..(at + len).div_ceil(LINE);
        lines.map(move |n| (&self.ring[n], (n * LINE) as isize - at as isize))
    }
}

/// The part of a range at an offset, if all of it is inside.
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
            // The first word of a line behind the first is payload like the rest.
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

/// Eight bytes that could be the first word of a message, again and again.
pub(crate) fn message(number: u64, len: usize) -> Vec<u8> {
    (number << 8 | 0x21)
        .to_le_bytes()
        .into_iter()
        .cycle()
        .take(len)
        .collect()
}

/// Compares what the model keeps.
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

fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}

// A lane whose writer waits.

struct Lossless {
    ring: Model,
    head: Model,
    cursor: Model,
    reader: LosslessReader<Model, Model>,
}

impl Lossless {
    /// A lane whose next record will stand at `from`.
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
fn a_full_lane_is_not_overwritten_while_it_is_read() {
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
fn messages_come_whole_and_in_order_over_the_end_of_the_ring() {
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
fn a_tag_comes_with_its_message() {
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
fn a_long_message_behind_a_pad_comes_whole() {
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
fn a_batch_is_seen_as_a_whole_or_not_at_all() {
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

/// What the first writer of a succession stores in a full life.
const STORES: usize = 10;

/// A writer sends a message, writes another to a batch and dies on the way; the next one
/// sends two. Says how many stores the first would have done.
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
                    // The one in the batch is gone.
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
fn the_successor_of_a_dead_writer_goes_on_while_the_reader_reads() {
    for life in 0..=STORES {
        explore(2, move || assert_eq!(succession(life), life));
    }
}

// A lane whose writer does not wait.

/// A publisher that has sent messages of these lengths, and a subscriber.
fn lossy(lens: &[usize]) -> (LossyWriter<Model, Model>, LossyReader<Model, Model>) {
    let ring = Model::overwritten_ring();
    let head = Model::head();
    let mut writer = LossyWriter::new(ring.clone(), head.clone(), ring_geometry());
    for len in lens {
        publish(&mut writer, *len);
    }
    (writer, LossyReader::new(ring, head, ring_geometry()))
}

fn publish(writer: &mut LossyWriter<Model, Model>, len: usize) {
    let text = message(writer.sent(), len);
    if writer.send_quickly(&text) {
        return;
    }
    if let Some(position) = writer.lacks(len) {
        writer.announce(position);
    }
    writer.send(&text);
}

/// Looks once; whatever is found is right, and `sent` messages at least are there.
fn look(reader: &mut LossyReader<Model, Model>, sent: u64) -> Step {
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
fn an_overtaken_reader_counts_and_shows_nothing_torn() {
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
fn a_long_message_is_not_torn_either() {
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

/// The second line of the long message is written over a short one right after it was
/// announced, with no other message in between.
#[test]
fn a_short_message_under_a_long_one_is_not_torn() {
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

#[test]
fn who_begins_with_the_last_message_gets_one_that_is_right() {
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
fn who_begins_behind_the_last_message_knows_its_number() {
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

/// The mark that is overwritten here still holds for a reader that finds its old
/// position: a long message stands before it.
// layout: L124 L128
#[test]
fn a_mark_that_is_changed_is_not_believed() {
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
