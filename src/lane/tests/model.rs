//! Tests of lanes against naive models of them, in memory of this process.

mod audience;

use self::audience::{Audience, Topic};
use super::super::Step;
use super::super::lossless::{LosslessReader, LosslessWriter};
use super::super::lossy::{Begin, LossyReader, LossyWriter};
use super::super::ring::RingGeometry;
use super::probe::Probe;
use crate::format::layout::{cursor, lane, record};
use crate::sync::{
    RingWindow, RingWindowMut, RingWordsMut, Window, WindowMut, Words, WordsMut, heap,
};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;

const CURSOR: usize = 256;

type Sender = LosslessWriter<RingWindowMut, WindowMut, Window>;
type Receiver = LosslessReader<RingWindow, WindowMut>;
type Publisher = LossyWriter<RingWindowMut, WindowMut>;
type Subscriber = LossyReader<RingWindow, Window>;

/// The memory of a lane. A test can write to each part of it.
pub(super) struct Memory {
    pub ring: WindowMut,
    pub head: WindowMut,
    pub cursor: WindowMut,
    pub ring_geometry: RingGeometry,
}

impl Memory {
    pub fn new(bytes: u64, max: usize) -> Memory {
        Memory::of(RingGeometry::new(bytes, max).unwrap())
    }

    pub fn of(ring_geometry: RingGeometry) -> Memory {
        Memory {
            ring: heap::window(ring_geometry.bytes() as usize),
            head: heap::window(lane::HEAD),
            cursor: heap::window(CURSOR),
            ring_geometry,
        }
    }

    /// Returns each part with its size.
    pub fn parts(&self) -> [(&WindowMut, usize); 3] {
        let ring = self.ring_geometry.bytes() as usize;
        [
            (&self.ring, ring),
            (&self.head, lane::HEAD),
            (&self.cursor, CURSOR),
        ]
    }

    pub fn ring_mut(&self) -> RingWindowMut {
        self.ring.clone().ring()
    }

    pub fn ring(&self) -> RingWindow {
        heap::reading(&self.ring).ring()
    }

    pub fn sender(&self) -> Sender {
        let cursor = heap::reading(&self.cursor);
        LosslessWriter::resume(
            self.ring_mut(),
            self.head.clone(),
            cursor,
            self.ring_geometry,
        )
        .unwrap()
    }

    pub fn receiver(&self) -> Receiver {
        let ring = self.ring();
        LosslessReader::new(ring, self.cursor.clone(), self.ring_geometry)
    }

    pub fn publisher(&self) -> Publisher {
        LossyWriter::new(self.ring_mut(), self.head.clone(), self.ring_geometry)
    }

    pub fn next_publisher(&self) -> Publisher {
        LossyWriter::resume(self.ring_mut(), self.head.clone(), self.ring_geometry).unwrap()
    }

    pub fn subscriber(&self) -> Subscriber {
        let ring = self.ring();
        LossyReader::new(ring, heap::reading(&self.head), self.ring_geometry)
    }
}

/// Returns the content of message `number`. The contents of two numbers have no word in common.
pub(super) fn message(number: u64, len: usize) -> Vec<u8> {
    let seed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = |n: u64| (seed ^ n.wrapping_mul(0xd1b5_4a32_d192_ed03)).to_le_bytes();
    (0..).flat_map(word).take(len).collect()
}

/// Returns a length of at most `max` for the message with this number.
fn some_len(number: u64, max: usize) -> usize {
    let len = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % (max + 1);
    // Records at arbitrary positions need atomics of different sizes in one place, which Miri does
    // not support. So under Miri each record takes one line.
    if cfg!(miri) { 32 + len % 4 * 8 } else { len }
}

// Lossless lanes.

#[derive(Clone, Copy, Debug)]
enum Act {
    Send(usize),
    /// Claims a place and fills it in two halves. Then the claim is committed, or left.
    Claim(usize, bool),
    Receive,
    Begin,
    Flush,
    End,
    /// The writer dies, and another writer resumes the lane.
    Die,
}

/// A lane, and a naive model of its content.
struct Beside {
    memory: Memory,
    writer: Sender,
    reader: Receiver,
    /// The messages that were sent and not received, each with the bytes of its record and pad.
    there: VecDeque<(Vec<u8>, u64)>,
    /// The messages that were added to the batch and not sent, in the same form.
    held: Vec<(Vec<u8>, u64)>,
    batch: bool,
    number: u64,
    received: u64,
    /// The position behind the last message that was sent or added.
    tail: u64,
    /// The position of the next message to receive.
    position: u64,
    /// The value of `position` that the reader last stored for the writer.
    room: u64,
    last_stamp: u64,
}

impl Beside {
    fn new(ring_geometry: RingGeometry) -> Beside {
        let memory = Memory::of(ring_geometry);
        Beside {
            writer: memory.sender(),
            reader: memory.receiver(),
            memory,
            there: VecDeque::new(),
            held: Vec::new(),
            batch: false,
            number: 0,
            received: 0,
            tail: 0,
            position: 0,
            room: 0,
            last_stamp: 0,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Send(len) => self.send(len),
            Act::Claim(len, committed) => self.claim(len, committed),
            Act::Receive => self.receive(),
            Act::Begin => self.batch = true,
            Act::Flush => {
                self.writer.flush();
                self.there.extend(self.held.drain(..));
            }
            Act::End => {
                self.writer.flush();
                self.there.extend(self.held.drain(..));
                self.batch = false;
            }
            Act::Die => {
                self.writer = self.memory.sender();
                self.tail -= self.held.drain(..).map(|(_, bytes)| bytes).sum::<u64>();
                self.batch = false;
            }
        }
        assert_eq!(self.reader.is_empty(), self.there.is_empty());
        let counter = |at| self.memory.cursor.load64(at);
        assert_eq!(counter(cursor::RECEIVED), self.received);
        assert_eq!(counter(cursor::EXACT), self.position);
        assert_eq!(counter(cursor::ROOM), self.room);
        // The messages that were lost in the batch of a dead writer are counted too.
        assert_eq!(self.writer.sent(), self.number);
        assert_eq!(self.memory.head.load64(lane::SENT), self.number);
    }

    fn send(&mut self, len: usize) {
        let bytes = self.memory.ring_geometry.bytes();
        let need = self.takes(len);
        let left = bytes - self.tail % bytes;
        let takes = if need > left { left + need } else { need };
        // Eight more bytes take the first word of the next record.
        let fits = self.tail + takes + 8 <= self.room + bytes;
        // A message that fits into seven eighths of the ring with its pad is always taken.
        assert!(fits || self.tail - self.position + takes > bytes / 8 * 7);
        // The longest message fits into an empty lane.
        assert!(fits || self.tail != self.room);
        if self.number.is_multiple_of(3) {
            assert_eq!(self.writer.has_room(len), fits);
        }
        let text = message(self.number, len);
        let taken = put(&mut self.writer, &text, self.batch);
        assert_eq!(taken, fits);
        if fits {
            self.number += 1;
            self.tail += takes;
            if self.batch {
                self.held.push((text, takes));
            } else {
                // The message is sent together with the batch that was held back.
                self.there.extend(self.held.drain(..));
                self.there.push_back((text, takes));
            }
        } else {
            assert!(!self.writer.has_room(len));
        }
    }

    fn takes(&self, len: usize) -> u64 {
        takes(len, self.memory.ring_geometry)
    }

    fn claim(&mut self, len: usize, committed: bool) {
        let has_room = self.writer.has_room(len);
        let place = self.writer.claim(len);
        assert_eq!(place.is_some(), has_room);
        let Some(place) = place else {
            return;
        };
        let text = message(self.number, len);
        let (first, rest) = text.split_at(len / 2);
        self.writer.ring().fill(place, first.len(), rest);
        self.writer.ring().fill(place, 0, first);
        if committed {
            self.writer.commit(place, len);
            let end = place.end();
            self.number += 1;
            self.there.extend(self.held.drain(..));
            self.there.push_back((text, end - self.tail));
            self.tail = end;
        }
    }

    fn receive(&mut self) {
        let bytes = self.memory.ring_geometry.bytes();
        let mut to = vec![0; self.memory.ring_geometry.max()];
        let stamp = match self.reader.find() {
            Step::Message(_) => self.reader.stamp(),
            _ => None,
        };
        let is_stamped = self.memory.ring_geometry.is_stamped() && !self.there.is_empty();
        assert_eq!(stamp.is_some(), is_stamped);
        assert!(stamp.is_none_or(|stamp| stamp >= self.last_stamp));
        self.last_stamp = stamp.unwrap_or(self.last_stamp);
        let step = self.reader.receive(&mut to);
        let mut frees = false;
        if let Some((text, takes)) = self.there.pop_front() {
            assert_eq!(step, Step::Message(text.len()));
            assert_eq!(to[..text.len()], text);
            self.received += 1;
            self.position += takes;
            frees |= self.position - self.room >= bytes / 8;
        } else {
            assert_eq!(step, Step::Nothing);
            frees |= self.position != self.room;
        }
        assert_eq!(self.reader.has_freed(), frees);
        if frees {
            self.room = self.position;
        }
    }

    fn drain(&mut self) {
        self.act(Act::End);
        while !self.there.is_empty() {
            self.act(Act::Receive);
        }
        self.act(Act::Receive);
        self.act(Act::Receive);
        // All bytes of an empty lane can be used, except for a pad and eight bytes.
        let bytes = self.memory.ring_geometry.bytes();
        let before = self.number;
        self.act(Act::Send(self.memory.ring_geometry.max()));
        assert_eq!(self.number, before + 1);
        let mut last = before;
        while self.number > last && self.tail - self.position + self.takes(0) + 8 <= bytes {
            last = self.number;
            // A record with a time stamp may need a pad, for which there is no space.
            self.act(Act::Send(0));
        }
        let few = (bytes - 8 - self.there[0].1) / self.takes(0);
        // A record with a time stamp may need a pad.
        let pads = u64::from(self.memory.ring_geometry.is_stamped());
        assert!((1 + few - pads..=1 + few).contains(&(self.number - before)));
        while !self.there.is_empty() {
            self.act(Act::Receive);
        }
        self.act(Act::Receive);
    }
}

/// Sends a message as a sender does, or adds a message as a batch does.
fn put(writer: &mut Sender, text: &[u8], batch: bool) -> bool {
    if batch {
        writer.add_quickly(text) || writer.try_add(text)
    } else {
        writer.send_quickly(text) || writer.try_send(text)
    }
}

/// Returns the bytes of a record with a message of this length.
fn takes(len: usize, ring_geometry: RingGeometry) -> u64 {
    let head = if ring_geometry.is_stamped() { 16 } else { 8 };
    let size = (len + head) as u64;
    let short = [8, 16, 32, 64].into_iter().find(|taken| size <= *taken);
    short.unwrap_or(size.div_ceil(8) * 8)
}

/// Generates geometries of rings, each with a longest message that the ring can take. Some of the
/// rings are no powers of two, and some have time stamps.
fn ring_geometries() -> impl Strategy<Value = RingGeometry> {
    let bytes = prop::sample::select(vec![512, 1024, 4096, 576, 640, 1088, 1536, 4160, 4032]);
    (bytes, prop::bool::weighted(0.3)).prop_flat_map(|(bytes, is_stamped)| {
        let extra = u32::from(is_stamped) * record::extra::TIME;
        let all = move |max| RingGeometry::of(bytes, max, extra);
        let longest = (0..bytes as usize).rev().find_map(all).unwrap();
        let few = [8, 56, 57, 112, 120, 121, 184, 248].into_iter();
        let mut some: Vec<RingGeometry> = few.filter_map(all).collect();
        some.push(longest);
        prop::sample::select(some)
    })
}

fn lens(max: usize) -> impl Strategy<Value = usize> {
    prop_oneof![
        2 => 0..=max.min(56),
        2 => 0..=max,
        1 => Just(max),
    ]
}

fn lossless_acts() -> impl Strategy<Value = (RingGeometry, Vec<Act>)> {
    ring_geometries().prop_flat_map(|ring_geometry| {
        let max = ring_geometry.max();
        let act = prop_oneof![
            16 => lens(max).prop_map(Act::Send),
            3 => (lens(max), any::<bool>()).prop_map(|(len, done)| Act::Claim(len, done)),
            12 => Just(Act::Receive),
            2 => Just(Act::Begin),
            1 => Just(Act::Flush),
            2 => Just(Act::End),
            1 => Just(Act::Die),
        ];
        (Just(ring_geometry), prop::collection::vec(act, 0..200))
    })
}

const READERS: usize = 3;

fn lossy_acts() -> impl Strategy<Value = (RingGeometry, Vec<Topic>)> {
    ring_geometries().prop_flat_map(|ring_geometry| {
        let max = ring_geometry.max();
        let begin = prop_oneof![Just(Begin::Oldest), Just(Begin::Last), Just(Begin::Next)];
        let act = prop_oneof![
            2 => lens(max).prop_map(Topic::Announce),
            20 => lens(max).prop_map(Topic::Send),
            4 => (0..READERS, begin).prop_map(|(index, begin)| Topic::Start(index, begin)),
            12 => (0..READERS).prop_map(Topic::Receive),
            1 => Just(Topic::Succeed),
        ];
        (Just(ring_geometry), prop::collection::vec(act, 0..300))
    })
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        // Without this limit a failure is reported only after minutes.
        max_shrink_iters: 200,
        max_flat_map_regens: 100,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    // layout: L045 L058 L061 L062 L063 L065 L112 L113 L234 L280 L286
    #[test]
    #[cfg_attr(miri, ignore = "proptest is too slow there")]
    fn lossless_lane_agrees_with_naive_model((ring, acts) in lossless_acts()) {
        let mut beside = Beside::new(ring);
        for act in acts {
            beside.act(act);
        }
        beside.drain();
    }

    // layout: L059 L123 L129 L132 L281 L282 L283 L284 L285
    #[test]
    #[cfg_attr(miri, ignore = "proptest is too slow there")]
    fn overtaken_subscribers_count_missed_messages_exactly((ring, acts) in lossy_acts()) {
        let mut audience = Audience::new(ring);
        for act in acts {
            audience.act(act);
        }
        for index in 0..READERS {
            audience.drain(index);
        }
    }
}

/// Runs each sequence of eight acts in a small lane, from several positions in the ring.
#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn every_short_operation_sequence_matches_model() {
    const ACTS: [Act; 3] = [Act::Send(3), Act::Send(120), Act::Receive];
    let depth = 8;
    let [short, long] = [512, 576].map(|bytes| RingGeometry::new(bytes, 120).unwrap());
    let from = [0, 1, 7, 8, 40, 53, 60, 63].map(|from| [(short, from), (long, from)]);
    for (ring_geometry, from) in from.into_iter().flatten() {
        for history in 0..ACTS.len().pow(depth) {
            let mut beside = Beside::new(ring_geometry);
            for _ in 0..from {
                beside.act(Act::Send(0));
                beside.act(Act::Receive);
            }
            let mut rest = history;
            for _ in 0..depth {
                beside.act(ACTS[rest % ACTS.len()]);
                rest /= ACTS.len();
            }
            while !beside.there.is_empty() {
                beside.act(Act::Receive);
            }
            beside.act(Act::Receive);
        }
    }
}

/// Sends two messages and a batch of three with a writer that dies after this number of stores.
/// Returns the number of stores that the writer made.
fn last_words(memory: &Memory, stores: usize) -> usize {
    let probe = Probe::new(&memory.ring, stores);
    let (ring, head) = (probe.ring(&memory.ring), probe.with(&memory.head));
    let cursor = heap::reading(&memory.cursor);
    let mut writer = LosslessWriter::resume(ring, head, cursor, memory.ring_geometry).unwrap();
    let lens = [10, 100, 0, 57, 56];
    for (n, len) in lens.into_iter().enumerate() {
        let text = message(n as u64, len);
        assert!(if n < 2 {
            writer.try_send(&text)
        } else {
            writer.try_add(&text)
        });
    }
    writer.flush();
    stores - probe.stores.get()
}

/// Makes a lane whose whole ring holds received messages of an earlier lap.
fn worn(from: u64) -> (Memory, Receiver) {
    let memory = Memory::new(1024, 120);
    let (mut writer, mut reader) = (memory.sender(), memory.receiver());
    let mut to = [0; 120];
    for n in 0..64 + from {
        assert!(writer.try_send(&message(n, 8)));
        assert_eq!(reader.receive(&mut to), Step::Message(8));
    }
    assert_eq!(reader.receive(&mut to), Step::Nothing);
    (memory, reader)
}

// layout: L066 L068 L107
#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn next_writer_resumes_after_any_partial_write() {
    for from in 0..64 {
        let all = last_words(&worn(from).0, usize::MAX);
        for life in 0..=all {
            let (memory, mut reader) = worn(from);
            last_words(&memory, life);
            let mut next = memory.sender();
            assert!(next.try_send(&message(99, 30)));
            let mut to = [0; 120];
            let mut arrived = 0;
            loop {
                let Step::Message(len) = reader.receive(&mut to) else {
                    panic!("the message of the next writer is missing");
                };
                if to[..len] == message(99, 30) {
                    break;
                }
                assert_eq!(to[..len], message(arrived, len));
                arrived += 1;
            }
            assert!(arrived <= 2 || arrived == 5, "a batch arrived in part");
            assert!(life > 0 || arrived == 0);
            assert!(life < all || arrived == 5);
            assert_eq!(reader.receive(&mut to), Step::Nothing);
        }
    }
}

// Lossy lanes.

pub(super) fn publish(writer: &mut LossyWriter<impl RingWordsMut, impl WordsMut>, text: &[u8]) {
    if !writer.send_quickly(text) {
        make_room(writer, text);
        writer.send(text);
    }
}

fn add(writer: &mut LossyWriter<impl RingWordsMut, impl WordsMut>, text: &[u8]) {
    make_room(writer, text);
    writer.add(text);
}

fn make_room(writer: &mut LossyWriter<impl RingWordsMut, impl WordsMut>, text: &[u8]) {
    if let Some(position) = writer.lacks(text.len()) {
        writer.announce(position);
    }
}

#[test]
fn subscriber_receives_batch_only_after_flush() {
    let memory = Memory::new(4096, 56);
    let mut writer = memory.publisher();
    let mut reader = memory.subscriber();
    let mut to = [0; 56];
    for round in 0..50 {
        for n in 2 * round..2 * round + 2 {
            assert_eq!(reader.receive(&mut to), Step::Nothing);
            add(&mut writer, &message(n, 20));
        }
        writer.flush();
        for n in 2 * round..2 * round + 2 {
            assert_eq!(reader.receive(&mut to), Step::Message(20));
            assert_eq!(to[..20], message(n, 20));
        }
    }
}

// layout: L125
#[test]
fn joining_subscriber_counts_committed_messages_only() {
    let memory = Memory::new(4096, 56);
    let mut writer = memory.publisher();
    let (mut to, mut sent) = ([0; 56], 0);
    let all = if cfg!(miri) { 20 } else { 150 };
    for n in 0..all {
        add(&mut writer, &message(n, 56));
        if n % 5 == 4 {
            writer.flush();
        }
        // Each message takes a line, so every eighth message fills an eighth of the ring.
        if n % 5 == 4 || n % 8 == 7 {
            sent = n + 1;
        }
        for begin in [Begin::Oldest, Begin::Last, Begin::Next] {
            let mut reader = memory.subscriber();
            assert!(reader.begin(begin));
            while reader.receive(&mut to) != Step::Nothing {}
            assert_eq!(reader.number(), sent, "{begin:?} after {n}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn oversized_batch_is_received_or_counted_missed() {
    for count in 0..40 {
        let memory = Memory::new(512, 120);
        let (mut writer, mut reader) = (memory.publisher(), memory.subscriber());
        let len = |n| if n == 0 { 100 } else { 20 };
        for n in 0..=count {
            add(&mut writer, &message(n, len(n)));
        }
        writer.flush();
        let (mut to, mut next) = ([0; 120], 0);
        while next <= count {
            match reader.receive(&mut to) {
                Step::Message(found) => {
                    assert_eq!(to[..found], message(next, len(next)));
                    next += 1;
                }
                Step::Lagged(missed) => next += missed,
                step => panic!("{step:?} at {next} of {count}"),
            }
        }
        assert_eq!(reader.receive(&mut to), Step::Nothing);
    }
}

// Two threads.

const MANY: u64 = if cfg!(miri) { 200 } else { 40_000 };

// layout: L006
#[test]
fn lossless_lane_keeps_order_between_threads() {
    for bytes in [1024, 1088] {
        keep_order(&Memory::new(bytes, 180));
    }
}

fn keep_order(memory: &Memory) {
    let (mut writer, mut reader) = (memory.sender(), memory.receiver());
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..MANY {
                let text = message(n, some_len(n, 180));
                while !put(&mut writer, &text, n % 5 < 3) {
                    // Messages that are not sent are not received, and free no space.
                    writer.flush();
                    thread::yield_now();
                }
            }
            writer.flush();
        });
        let mut to = [0; 180];
        let mut n = 0;
        while n < MANY {
            match reader.receive(&mut to) {
                Step::Nothing => thread::yield_now(),
                Step::Message(len) => {
                    assert_eq!(to[..len], message(n, some_len(n, 180)));
                    n += 1;
                }
                step => panic!("{step:?} at {n}"),
            }
        }
        assert_eq!(reader.receive(&mut to), Step::Nothing);
    });
}

/// Receives a message, as a subscriber does.
fn look(reader: &mut Subscriber, to: &mut [u8]) -> Step {
    match reader.receive_quickly(to) {
        Some(len) => Step::Message(len),
        None => reader.receive(to),
    }
}

/// Receives until message `MANY`. Returns the numbers of received and of missed messages.
fn keep_up(mut reader: Subscriber, begin: Begin, max: usize) -> (u64, u64) {
    while !reader.begin(begin) {}
    let mut to = vec![0; max];
    let (mut next, mut received, mut missed) = (reader.number(), 0, 0);
    let first = next;
    while next < MANY {
        match look(&mut reader, &mut to) {
            Step::Nothing => thread::yield_now(),
            Step::Message(len) => {
                assert_eq!(to[..len], message(next, some_len(next, max)));
                (next, received) = (next + 1, received + 1);
            }
            Step::Lagged(n) => (next, missed) = (next + n, missed + n),
            step => panic!("{step:?} at {next}"),
        }
        assert_eq!(reader.number(), next);
    }
    assert_eq!(first + received + missed, MANY);
    (received, missed)
}

// layout: L010
#[test]
fn busy_publisher_shows_no_torn_messages() {
    for (bytes, max) in [
        (512, 120),
        (4096, 248),
        (4096, 1016),
        (576, 120),
        (3136, 1016),
    ] {
        let memory = Memory::new(bytes, max);
        let mut writer = memory.publisher();
        thread::scope(|scope| {
            for begin in [Begin::Oldest, Begin::Last] {
                let reader = memory.subscriber();
                scope.spawn(move || keep_up(reader, begin, max));
            }
            for n in 0..MANY {
                publish(&mut writer, &message(n, some_len(n, max)));
            }
        });
    }
}
