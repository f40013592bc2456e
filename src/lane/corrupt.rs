//! Lanes in which somebody wrote who should not: their ends come to an end, and copy no
//! more than the longest message.

use super::Step;
use super::gated::{GatedReader, GatedWriter};
use super::lossy::{Begin, LossyReader, LossyWriter};
use super::model::{Memory, message, publish};
use super::probe::Probe;
use crate::layout::{LINE, record};
use crate::sync::Words as _;
use crate::sync::WordsMut as _;

/// What a word may become.
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

/// What both halves of a word may become.
const WIDE: [u64; 5] = [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 62, (1 << 62) + 1];

/// What the end of a lane may look at in one call.
const PATIENCE: usize = 100_000;

/// The ends of a lane that is in use.
struct Ends {
    probe: Probe,
    reader: GatedReader<Probe, Probe>,
    writer: GatedWriter<Probe, Probe, Probe>,
    subscriber: LossyReader<Probe, Probe>,
}

/// Leaves four messages and a pad in a lane, behind others that were read. It is one of
/// a waiting writer and has the marks of one that does not wait, too: both lay their
/// records down alike.
fn history(memory: &Memory) -> Ends {
    let probe = Probe::new(&memory.ring, usize::MAX);
    let (head, cursor) = (probe.with(&memory.head), probe.with(&memory.cursor));
    let shape = memory.shape;
    let mut ends = Ends {
        reader: GatedReader::new(probe.clone(), cursor.clone(), shape),
        writer: GatedWriter::resume(probe.clone(), head.clone(), cursor, shape).unwrap(),
        subscriber: LossyReader::new(probe.clone(), head, shape),
        probe,
    };
    let scratch = Memory::new(shape.bytes(), shape.max());
    let mut publisher = LossyWriter::new(scratch.ring.round(), memory.head.clone(), shape);
    let mut to = vec![0; shape.max()];
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

/// Has each corruption of each word of a lane looked at.
fn corrupt(bytes: u64, max: usize, look: fn(&Memory, Ends)) {
    let sizes = Memory::new(bytes, max).parts().map(|(_, size)| size);
    for (part, size) in sizes.into_iter().enumerate() {
        for at in (0..size).step_by(4) {
            for which in 0..corruptions(0, max).len() {
                let memory = Memory::new(bytes, max);
                let ends = history(&memory);
                let (window, _) = memory.parts()[part];
                window.store32(at, corruptions(window.load32(at), max)[which]);
                look(&memory, ends);
            }
        }
        for at in (0..size).step_by(8) {
            for value in WIDE {
                let memory = Memory::new(bytes, max);
                let ends = history(&memory);
                memory.parts()[part].0.store64(at, value);
                look(&memory, ends);
            }
        }
    }
}

fn lines(memory: &Memory) -> u64 {
    memory.shape.bytes() / LINE as u64
}

fn goes_on(step: Step, to: &[u8]) -> bool {
    match step {
        Step::Message(len) => len <= to.len(),
        Step::Lagged(_) => true,
        Step::Nothing | Step::Overtaken | Step::Corrupt => false,
    }
}

/// Both ends of a lane of a waiting writer, on whatever stands there.
fn use_gated(memory: &Memory, ends: Ends) {
    let calm = || ends.probe.loads.set(PATIENCE);
    let mut to = vec![0; memory.shape.max()];
    let probe = ends.probe.clone();
    let (head, cursor) = (probe.with(&memory.head), probe.with(&memory.cursor));
    let newcomer = GatedReader::new(probe.clone(), cursor.clone(), memory.shape);
    calm();
    let resumed = GatedWriter::resume(probe.clone(), head, cursor, memory.shape);
    let mut readers = [ends.reader, newcomer];
    for mut writer in [Some(ends.writer), resumed].into_iter().flatten() {
        for n in 0..3 * lines(memory) {
            calm();
            let has_room = writer.has_room(to.len());
            let taken = match n % 4 < 3 {
                true => writer.try_add(&to),
                false => writer.try_send(&to),
            };
            assert_eq!(taken, has_room);
            let _ = readers[(n % 2) as usize].receive(&mut to);
        }
    }
    for reader in &mut readers {
        // A ring without an empty word is read round and round.
        for _ in 0..3 * lines(memory) {
            calm();
            if !goes_on(reader.receive(&mut to), &to) {
                break;
            }
            let _ = reader.is_empty();
        }
    }
}

/// A reader that is not waited for, on whatever stands there.
fn use_lossy(memory: &Memory, mut ends: Ends) {
    let mut to = vec![0; memory.shape.max()];
    for begin in [
        None,
        Some(Begin::Oldest),
        Some(Begin::Last),
        Some(Begin::Next),
    ] {
        ends.probe.loads.set(PATIENCE);
        if begin.is_some_and(|begin| !ends.subscriber.begin(begin)) {
            continue;
        }
        ends.probe.loads.set(PATIENCE);
        for _ in 0..4 * lines(memory) {
            if !goes_on(ends.subscriber.receive(&mut to), &to) {
                break;
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn whatever_stands_in_a_lane_its_ends_come_to_an_end() {
    corrupt(512, 120, use_gated);
    corrupt(1024, 184, use_gated);
}

#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn whatever_stands_in_a_lane_a_subscriber_comes_to_an_end() {
    corrupt(512, 120, use_lossy);
    corrupt(1024, 184, use_lossy);
}
