//! Tests of values against a naive model of them, in memory of this process.

use super::super::{Hold, Look, TableGeometry, ValueReader, ValueWriter};
use crate::format::layout::values;
use crate::sync::{AtomicBool, AtomicU64, Ordering, fence};
use crate::sync::{Window, WindowMut, WordsMut as _, heap};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;

const NOBODY: Option<fn(Hold)> = None;

fn pair(table_geometry: TableGeometry) -> (ValueWriter<WindowMut>, ValueReader<Window>, WindowMut) {
    let memory = heap::window(table_geometry.len() as usize);
    let writer = ValueWriter::new(memory.clone(), table_geometry);
    let reader = ValueReader::new(heap::reading(&memory), table_geometry);
    (writer, reader, memory)
}

/// Returns the value of store `number`: one word that repeats.
fn value(number: u64, len: usize) -> Vec<u8> {
    let word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    word.into_iter().cycle().take(len).collect()
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Store(usize, usize),
    Load(usize),
    Change,
    Hold(usize),
    Release,
}

fn acts() -> impl Strategy<Value = (usize, usize, Vec<Act>)> {
    (1..5usize, 0..200usize).prop_flat_map(|(count, max)| {
        let act = prop_oneof![
            8 => (0..count, 0..=max).prop_map(|(index, len)| Act::Store(index, len)),
            4 => (0..count).prop_map(Act::Load),
            4 => Just(Act::Change),
            2 => (0..count).prop_map(Act::Hold),
            1 => Just(Act::Release),
        ];
        (Just(count), Just(max), prop::collection::vec(act, 0..200))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // layout: L076 L136 L139 L184
    #[test]
    #[cfg_attr(miri, ignore = "proptest is too slow there")]
    fn value_table_agrees_with_naive_model((count, max, acts) in acts()) {
        let table_geometry = TableGeometry::new(count, max, 8).unwrap();
        let (mut writer, mut reader, _memory) = pair(table_geometry);
        let mut table = vec![None; count];
        let mut changes = VecDeque::new();
        let (mut holds, mut stores) = (Vec::new(), 0);
        let mut to = vec![0; max];
        for act in acts {
            match act {
                Act::Store(index, len) => {
                    stores += 1;
                    let text = value(stores, len);
                    writer.store(index, &text, holds.iter().copied());
                    table[index] = Some(text);
                    changes.push_back(index);
                    // The writer leaves held slots alone as long as two slots are not held.
                    let held = holds.iter().fold(0, |held, hold: &Hold| held | hold.bit(index));
                    let slot = table_geometry.slot_of(reader.number(index));
                    prop_assert!(held >> slot & 1 == 0 || held.count_ones() > 6);
                }
                Act::Load(index) => match (reader.load(index, &mut to, NOBODY), &table[index]) {
                    (Look::Nothing, None) => {}
                    (Look::Value(len, number), Some(text)) => {
                        prop_assert_eq!(&to[..len], text);
                        prop_assert_eq!(number, reader.number(index));
                    }
                    other => panic!("{other:?}"),
                },
                Act::Change => {
                    prop_assert_eq!(reader.has_news(), !changes.is_empty());
                    prop_assert_eq!(reader.next_change(), changes.pop_front());
                }
                Act::Hold(index) => holds.push(Hold::new(index, table_geometry.slot_of(reader.number(index)))),
                Act::Release => holds.clear(),
            }
        }
        let rest: VecDeque<usize> = std::iter::from_fn(|| reader.next_change()).collect();
        prop_assert_eq!(rest, changes);
    }
}

/// Holds of slots that a value does not have change nothing, however many such holds there are. The
/// writer still leaves a held slot of the value alone.
// layout: L184
#[test]
fn writer_ignores_holds_of_nonexistent_slots() {
    let table_geometry = TableGeometry::new(2, 8, 8).unwrap();
    let (mut writer, reader, _memory) = pair(table_geometry);
    writer.store(1, b"first", [].into_iter());
    let first = table_geometry.slot_of(reader.number(1));
    let absent = (9..=255).map(|slot| Hold(1 << 8 | slot));
    let holds = || [Hold::new(1, first)].into_iter().chain(absent.clone());
    for _ in 0..2 * table_geometry.slots() {
        writer.store(1, b"next", holds());
        assert_ne!(table_geometry.slot_of(reader.number(1)), first);
    }
    // Without another hold, these holds make the writer skip no slot.
    let number = reader.number(1);
    writer.store(1, b"last", absent);
    assert_eq!(reader.number(1), number + 1);
}

// layout: L139
#[test]
fn change_overflow_reports_each_value_once() {
    let table_geometry = TableGeometry::new(3, 8, 8).unwrap();
    let (mut writer, mut reader, _memory) = pair(table_geometry);
    for more in [1, 500] {
        for n in 0..values::RECENT_COUNT + more {
            writer.store((n % 2) as usize, &value(n, 8), [].into_iter());
        }
        let all: Vec<usize> = std::iter::from_fn(|| reader.next_change()).collect();
        assert_eq!(all, [0, 1, 2]);
        writer.store(2, b"", [].into_iter());
        assert_eq!(reader.next_change(), Some(2));
        assert_eq!(reader.next_change(), None);
    }
}

// layout: L183
#[test]
fn value_name_round_trips_unless_corrupt() {
    let table_geometry = TableGeometry::new(3, 8, 8).unwrap();
    let (writer, reader, memory) = pair(table_geometry);
    writer.name(0, "EURUSD");
    writer.name(1, &"é".repeat(31));
    assert_eq!(reader.name(0), "EURUSD");
    assert_eq!(reader.name(1), "é".repeat(31));
    assert_eq!(reader.name(2), "");
    memory.copy_in(table_geometry.name(2), &[255; values::NAME_LEN]);
    assert_eq!(reader.name(2), "");
}

/// Each word of a table is replaced by harmful values. Each read ends, and copies no more than the
/// longest value.
// layout: L137 L183
#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn reader_of_corrupt_table_stays_in_bounds() {
    let table_geometry = TableGeometry::new(2, 24, 8).unwrap();
    for at in (0..table_geometry.len() as usize).step_by(4) {
        // Skips most words in front of the entries: names may have any bytes.
        if (values::NAMES + 256..table_geometry.entry(0)).contains(&at) {
            continue;
        }
        for word in [1, 2, 25, 1 << 31, u32::MAX] {
            let (mut writer, _, memory) = pair(table_geometry);
            for n in 1..12 {
                writer.store(n as usize % 2, &value(n, 24), [].into_iter());
            }
            memory.store32(at, word);
            let mut reader = ValueReader::new(heap::reading(&memory), table_geometry);
            writer.store(1, b"more", [].into_iter());
            let mut to = [0; 24];
            for index in 0..2 {
                if let Look::Value(len, _) = reader.load(index, &mut to, Some(|_| {})) {
                    assert!(len <= 24);
                }
                let _ = reader.name(index);
            }
            let changes = std::iter::from_fn(|| reader.next_change());
            assert!(changes.take(3000).all(|index| index < 2));
        }
    }
}

/// Runs a writer that stores without a pause, and two readers. The second reader asks for a hold at
/// once.
fn soak(table_geometry: TableGeometry, stores: u64) {
    let (mut writer, reader, memory) = pair(table_geometry);
    let second = ValueReader::new(heap::reading(&memory), table_geometry);
    let (done, held) = (AtomicBool::new(false), AtomicU64::new(0));
    let len = table_geometry.max();
    writer.store(0, &value(1, len), [].into_iter());
    let hold = |hold: Hold| {
        // As in a roster (L3). Pairs with the writer's load.
        held.store(hold.0, Ordering::Release);
        fence(Ordering::SeqCst);
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 2..=stores {
                // `held` pairs with the store in `hold`, `done` with the loads of the readers.
                let hold = Hold(held.load(Ordering::Acquire));
                writer.store(0, &value(n, len), [hold].into_iter());
            }
            done.store(true, Ordering::Release);
        });
        let (done, hold) = (&done, &hold);
        for (reader, asks) in [(reader, false), (second, true)] {
            scope.spawn(move || {
                let mut to = vec![0; len];
                let mut last = 0;
                // Pairs with the writer's store.
                while !done.load(Ordering::Acquire) {
                    let look = if asks {
                        reader.load_held(0, &mut to, hold)
                    } else {
                        reader.load(0, &mut to, NOBODY)
                    };
                    let Look::Value(found, number) = look else {
                        assert_eq!(look, Look::Busy);
                        continue;
                    };
                    assert!(number >= last, "{number} after {last}");
                    last = number;
                    let first: [u8; 8] = to[..8].try_into().unwrap();
                    let torn = to[..found].chunks(8).any(|word| word != first);
                    assert!(!torn, "number {number}: {to:?}");
                }
            });
        }
    });
}

// layout: L010
#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn busy_writer_shows_no_torn_values() {
    for (max, slots) in [(8, 8), (56, 16), (1024, 16), (4096, 8)] {
        let stores = 4_000_000 / (max as u64).max(200);
        soak(TableGeometry::new(1, max, slots).unwrap(), stores);
    }
}

/// Takes seconds with optimisation and minutes without.
#[test]
#[ignore = "one of the long runs"]
fn hundred_million_stores_show_no_torn_values() {
    soak(TableGeometry::new(1, 64, 8).unwrap(), 100_000_000);
}

// layout: L071
#[test]
fn value_table_size_matches_the_document() {
    let bytes =
        |count, max| TableGeometry::new(count, max, 8).map(|table_geometry| table_geometry.len());
    assert_eq!(bytes(3, 40), Some(8448 + 3 * 640));
    assert_eq!(bytes(1, 0), Some(8320 + 640));
    assert_eq!(bytes(1, 48), Some(8320 + 640));
    assert_eq!(bytes(1, 49), Some(8320 + 1152));
    assert_eq!(bytes(1 << 20, 8), Some((8192 + (64 << 20)) + (640 << 20)));
    assert_eq!(bytes(1 << 20, 64), None, "the table has more than 1 GiB");
}
