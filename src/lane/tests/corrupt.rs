//! Tests of lanes in corrupt memory: each call of an endpoint returns, and copies no more than the
//! longest message.

use super::super::Step;
use super::super::lossless::{LosslessReader, LosslessWriter};
use super::super::lossy::{Begin, LossyReader, LossyWriter};
use super::super::ring::{Record, RingGeometry, RingReader};
use super::model::{Memory, message, publish};
use super::probe::Probe;
use crate::format::layout::{LINE, cursor, lane, record};
use crate::sync::{Ring, Words as _, WordsMut as _, heap};

/// Returns the values that replace a word of 32 bits.
fn corruptions(word: u32, max: usize) -> Vec<u32> {
    let length = 1 << record::KIND_BITS;
    let too_long = ((max as u32 + 1) * length) | record::MESSAGE;
    let mut values = vec![0, 1, 2, 3, 1 << 31, u32::MAX, too_long];
    for near in [1, length] {
        values.extend([word.wrapping_sub(near), word.wrapping_add(near)]);
    }
    values.extend((0..32).map(|bit| word ^ 1 << bit));
    values
}

/// The values that replace a word of 64 bits.
const WIDE: [u64; 5] = [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 62, (1 << 62) + 1];

/// The number of loads that an endpoint may make in one call.
const MAX_LOADS: usize = 100_000;

type ProbedRing = Ring<Probe, Probe>;

/// The endpoints of a lane that is in use.
struct Ends {
    probe: Probe,
    reader: LosslessReader<ProbedRing, Probe>,
    writer: LosslessWriter<ProbedRing, Probe, Probe>,
    subscriber: LossyReader<ProbedRing, Probe>,
}

/// Leaves four messages and a pad in a lane, behind messages that were received. A lossless writer
/// fills the ring. A lossy writer with another ring sets the marks, since both writers write the
/// same records.
fn history(memory: &Memory) -> Ends {
    let probe = Probe::new(&memory.ring, usize::MAX);
    let (head, cursor) = (probe.with(&memory.head), probe.with(&memory.cursor));
    let (ring, ring_geometry) = (probe.ring(&memory.ring), memory.ring_geometry);
    let mut ends = Ends {
        reader: LosslessReader::new(ring.clone(), cursor.clone(), ring_geometry),
        writer: LosslessWriter::resume(ring.clone(), head.clone(), cursor, ring_geometry).unwrap(),
        subscriber: LossyReader::new(ring, head, ring_geometry),
        probe,
    };
    let scratch = Memory::of(ring_geometry);
    let mut publisher = LossyWriter::new(scratch.ring.ring(), memory.head.clone(), ring_geometry);
    let mut to = vec![0; ring_geometry.max()];
    for n in 0..14 {
        let text = message(n, [40, 100][n as usize % 2]);
        assert!(ends.writer.try_send(&text));
        publish(&mut publisher, &text);
        if n < 10 {
            assert_eq!(ends.reader.receive(&mut to), Step::Message(text.len()));
            assert_eq!(ends.subscriber.receive(&mut to), Step::Message(text.len()));
        }
    }
    ends
}

/// Returns rings of each sort: powers of two, and a long ring; without and with time stamps.
fn rings() -> [RingGeometry; 4] {
    let time = record::extra::TIME;
    let rings = [
        (512, 120, 0),
        (1024, 184, 0),
        (576, 120, 0),
        (640, 120, time),
    ];
    rings.map(|(bytes, max, extra)| RingGeometry::of(bytes, max, extra).unwrap())
}

/// Calls `look` for each corruption of each word of a lane.
fn corrupt(ring_geometry: RingGeometry, look: fn(&Memory, Ends)) {
    let max = ring_geometry.max();
    let sizes = Memory::of(ring_geometry).parts().map(|(_, size)| size);
    for (part, size) in sizes.into_iter().enumerate() {
        for at in (0..size).step_by(4) {
            for which in 0..corruptions(0, max).len() {
                let memory = Memory::of(ring_geometry);
                let ends = history(&memory);
                let (window, _) = memory.parts()[part];
                window.store32(at, corruptions(window.load32(at), max)[which]);
                look(&memory, ends);
            }
        }
        for at in (0..size).step_by(8) {
            for value in WIDE {
                let memory = Memory::of(ring_geometry);
                let ends = history(&memory);
                memory.parts()[part].0.store64(at, value);
                look(&memory, ends);
            }
        }
    }
}

fn lines(memory: &Memory) -> u64 {
    memory.ring_geometry.bytes() / LINE as u64
}

fn goes_on(step: Step, to: &[u8]) -> bool {
    match step {
        Step::Message(len) => len <= to.len(),
        Step::Lagged(_) => true,
        Step::Nothing | Step::Overtaken | Step::Corrupt => false,
    }
}

/// Uses writers and readers of a lossless lane whose memory is corrupt.
fn use_lossless(memory: &Memory, ends: Ends) {
    let calm = || ends.probe.loads.set(MAX_LOADS);
    let mut to = vec![0; memory.ring_geometry.max()];
    let probe = ends.probe.clone();
    let (head, cursor) = (probe.with(&memory.head), probe.with(&memory.cursor));
    let ring = probe.ring(&memory.ring);
    let newcomer = LosslessReader::new(ring.clone(), cursor.clone(), memory.ring_geometry);
    calm();
    let resumed = LosslessWriter::resume(ring, head, cursor, memory.ring_geometry);
    let mut readers = [ends.reader, newcomer];
    for mut writer in [Some(ends.writer), resumed].into_iter().flatten() {
        for n in 0..3 * lines(memory) {
            calm();
            let has_room = writer.has_room(to.len());
            let taken = if n % 4 < 3 {
                writer.try_add(&to)
            } else {
                writer.try_send(&to)
            };
            assert_eq!(taken, has_room);
            let _ = readers[(n % 2) as usize].receive(&mut to);
        }
    }
    for reader in &mut readers {
        // A reader goes round and round in a ring without an empty word.
        for _ in 0..3 * lines(memory) {
            calm();
            if !goes_on(reader.receive(&mut to), &to) {
                break;
            }
            let _ = reader.is_empty();
        }
    }
}

/// Uses a subscriber of a lossy lane whose memory is corrupt.
fn use_lossy(memory: &Memory, mut ends: Ends) {
    let mut to = vec![0; memory.ring_geometry.max()];
    for begin in [
        None,
        Some(Begin::Oldest),
        Some(Begin::Last),
        Some(Begin::Next),
    ] {
        ends.probe.loads.set(MAX_LOADS);
        if begin.is_some_and(|begin| !ends.subscriber.begin(begin)) {
            continue;
        }
        ends.probe.loads.set(MAX_LOADS);
        for _ in 0..4 * lines(memory) {
            if !goes_on(ends.subscriber.receive(&mut to), &to) {
                break;
            }
        }
    }
}

// layout: L107 L180 L181 L280 L288
#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn lossless_endpoints_terminate_on_corrupt_lane() {
    for ring in rings() {
        corrupt(ring, use_lossless);
    }
}

// layout: L128 L181 L284 L288
#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn subscriber_terminates_on_corrupt_lane() {
    for ring in rings() {
        corrupt(ring, use_lossy);
    }
}

// layout: L064 L070 L180
#[test]
fn commit_word_is_decoded_as_documented() {
    let ring_geometry = RingGeometry::new(512, 120).unwrap();
    let look = |position: u64, word: u32| {
        let memory = Memory::new(512, 120);
        memory.ring.store32(position as usize % 512, word);
        RingReader::new(memory.ring(), ring_geometry, position).look()
    };
    let message = |len: u32| len << record::KIND_BITS | record::MESSAGE;
    let is_message = |position, len| {
        let found = look(position, message(len));
        matches!(found, Record::Message(found) if found.len == len as usize)
    };
    for position in [0, 64, 448, 512, 512 + 448] {
        assert_eq!(look(position, 0), Record::Empty);
        assert!(is_message(position, 0) && is_message(position, 56));
        // Kind 3, a pad with a length, a length without a kind, and a message that is too long.
        for wrong in [3, 7, 6, 4, 1 << 31, u32::MAX, message(121)] {
            assert_eq!(look(position, wrong), Record::Nonsense, "{wrong}");
        }
        let pad = match position % 512 {
            0 => Record::Nonsense,
            _ => Record::Pad,
        };
        assert_eq!(look(position, 2), pad);
    }
    // A message may end at the end of the ring, and not beyond it.
    assert!(is_message(384, 120) && is_message(512 + 376, 120));
    assert_eq!(look(392, message(120)), Record::Nonsense);
    assert_eq!(look(512 + 448, message(57)), Record::Nonsense);
}

/// Returns whether these endpoints take over a lane with these words: a writer, a reader, and a
/// reader that begins behind all records.
fn resumed([room, sent]: [u64; 2], [exact, received]: [u64; 2]) -> [bool; 3] {
    let memory = Memory::new(512, 120);
    let (ring, ring_geometry) = (memory.ring_mut(), memory.ring_geometry);
    memory.head.store64(lane::SENT, sent);
    for (at, word) in [
        (cursor::ROOM, room),
        (cursor::EXACT, exact),
        (cursor::RECEIVED, received),
    ] {
        memory.cursor.store64(at, word);
    }
    let (reading, cursor) = (memory.ring(), heap::reading(&memory.cursor));
    let writer = LosslessWriter::resume(ring, memory.head.clone(), cursor, ring_geometry);
    let behind = LosslessReader::behind_all(reading.clone(), memory.cursor.clone(), ring_geometry);
    let reader = LosslessReader::resume(reading, memory.cursor.clone(), ring_geometry);
    [writer.is_some(), reader.is_some(), behind.is_some()]
}

// layout: L107 L145 L160 L179
#[test]
fn resume_refuses_impossible_positions_and_counts() {
    const MOST: u64 = 1 << 62;
    for possible in [[0, 0], [8, 1], [512, MOST], [MOST, 0]] {
        assert_eq!(resumed(possible, possible), [true; 3], "{possible:?}");
    }
    for wrong in [4, 7, 9, MOST + 8, 1 << 63, u64::MAX - 7, u64::MAX] {
        assert_eq!(resumed([wrong, 0], [wrong, 0]), [false; 3], "{wrong}");
    }
    for wrong in [MOST + 1, u64::MAX] {
        assert_eq!(resumed([0, wrong], [0, wrong]), [false; 3], "{wrong}");
    }
}

// layout: L108 L182
#[test]
fn sender_ignores_impossible_room_positions() {
    let memory = Memory::new(512, 120);
    let mut writer = memory.sender();
    while writer.try_send(&[7; 40]) {}
    let tail = writer.position();
    assert_eq!(tail, 448);
    for wrong in [tail + 8, 512, 1 << 62, u64::MAX, u64::MAX - 511] {
        memory.cursor.store64(cursor::ROOM, wrong);
        assert!(!writer.has_room(40), "{wrong}");
    }
    memory.cursor.store64(cursor::ROOM, 128);
    assert!(writer.try_send(&[7; 40]));
    // The space that the writer knows of does not shrink.
    for wrong in [0, 64, tail + 72, u64::MAX] {
        memory.cursor.store64(cursor::ROOM, wrong);
        assert!(writer.has_room(40), "{wrong}");
    }
    assert!(writer.try_send(&[7; 40]) && !writer.try_send(&[7; 40]));
}
