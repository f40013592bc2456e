//! Tests of values against a naive model of them, in memory of this process.

use super::super::{Held, Hold, Look, TableGeometry, ValueReader, ValueWriter};
use crate::format::layout::values;
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Window, WindowMut, Words as _, WordsMut as _, heap};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;

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

/// A value that is held, as it was at first.
struct Holding {
    index: usize,
    slot: u64,
    held: Held,
    text: Vec<u8>,
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

    // layout: L076 L136 L139 L306
    #[test]
    #[cfg_attr(miri, ignore = "proptest is too slow there")]
    fn value_table_agrees_with_naive_model((count, max, acts) in acts()) {
        let table_geometry = TableGeometry::new(count, max, 8).unwrap();
        let (mut writer, mut reader, _memory) = pair(table_geometry);
        let mut table = vec![None; count];
        let mut changes = VecDeque::new();
        let (mut holds, mut stores) = (Vec::<Holding>::new(), 0);
        let mut to = vec![0; max];
        for act in acts {
            match act {
                Act::Store(index, len) => {
                    stores += 1;
                    let text = value(stores, len);
                    let of_value = |index| move |one: &&Holding| one.index == index;
                    let bits = |index| holds.iter().filter(of_value(index));
                    writer.store(index, &text, |index| bits(index).fold(0, |bits, one| bits | 1 << one.slot));
                    table[index] = Some(text);
                    changes.push_back(index);
                    for holding in &holds {
                        let mut found = vec![0; holding.held.len];
                        reader.copy(holding.held, 0, &mut found);
                        prop_assert_eq!(&found, &holding.text);
                    }
                }
                Act::Load(index) => match (reader.load(index, &mut to), &table[index]) {
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
                Act::Hold(index) => {
                    let mut slot = None;
                    let aim = |aimed| {
                        slot = Some(aimed);
                        holds.len() < table_geometry.guards()
                    };
                    match (reader.hold(index, aim), &table[index]) {
                        (Hold::Nothing, None) => {}
                        (Hold::Busy, Some(_)) => prop_assert_eq!(holds.len(), 6),
                        (Hold::Held(held), Some(text)) => holds.push(Holding {
                            index,
                            slot: slot.unwrap(),
                            held,
                            text: text.clone(),
                        }),
                        other => panic!("{other:?}"),
                    }
                }
                Act::Release => holds.clear(),
            }
        }
        let rest: VecDeque<usize> = std::iter::from_fn(|| reader.next_change()).collect();
        prop_assert_eq!(rest, changes);
    }
}

/// Guards of slots that a value does not have change nothing. The writer still leaves a held slot of
/// the value alone.
// layout: L184
#[test]
fn writer_ignores_guards_of_nonexistent_slots() {
    let table_geometry = TableGeometry::new(2, 8, 8).unwrap();
    let (mut writer, reader, _memory) = pair(table_geometry);
    writer.store(1, b"first", |_| 0);
    let first = table_geometry.slot_of(reader.number(1));
    let absent = u64::MAX << 8;
    for _ in 0..2 * table_geometry.slots() {
        writer.store(1, b"next", |_| absent | 1 << first);
        let slot = table_geometry.slot_of(reader.number(1));
        // The writer looks at the guards every four numbers.
        assert!(slot != first || reader.number(1) < 8 + writer.known[1].look_at);
    }
    // Without another guard, these guards make the writer skip no slot.
    for _ in 0..2 * table_geometry.slots() {
        let number = reader.number(1);
        writer.store(1, b"last", |_| absent);
        assert_eq!(reader.number(1), number + 1);
    }
}

/// All guards hold slots of one value. The writer uses the two slots that are left.
// layout: L136 L303
#[test]
fn writer_alternates_between_two_free_slots() {
    let table_geometry = TableGeometry::new(1, 8, 8).unwrap();
    let (mut writer, reader, _memory) = pair(table_geometry);
    let mut held = 0u64;
    for _ in 0..table_geometry.guards() {
        writer.store(0, b"held", |_| held);
        let aim = |slot| {
            held |= 1u64 << slot;
            true
        };
        assert!(matches!(reader.hold(0, aim), Hold::Held(_)));
    }
    assert_eq!(held.count_ones(), 6);
    let mut last = reader.number(0);
    for _ in 0..100 {
        writer.store(0, b"next", |_| held);
        let number = reader.number(0);
        assert!(number > last);
        assert_eq!(held >> table_geometry.slot_of(number) & 1, 0);
        assert_ne!(table_geometry.slot_of(number), table_geometry.slot_of(last));
        last = number;
    }
}

/// A reader begins to hold a slot while the writer looks. The writer gives the slot up, and the value
/// there stays valid.
// layout: L307
#[test]
fn writer_gives_up_slot_held_meanwhile() {
    let table_geometry = TableGeometry::new(1, 8, 8).unwrap();
    let (mut writer, reader, memory) = pair(table_geometry);
    for n in 1..9 {
        writer.store(0, &value(n, 8), |_| 0);
    }
    let newest = reader.number(0);
    let oldest = table_geometry.slot_of(newest + 1);
    let mark = table_geometry.slot(table_geometry.entry(0), newest + 1) + values::MARK;
    let before = memory.load64(mark);
    let looks = std::cell::Cell::new(0);
    // The writer has a guess first, and then looks.
    writer.known[0].look_at = 0;
    writer.store(0, b"", |_| {
        looks.set(looks.get() + 1);
        match looks.get() {
            1 => 0,
            2 => {
                assert_eq!(memory.load64(mark), 2 * (newest + 1) + 1);
                1 << oldest
            }
            _ => 1 << oldest,
        }
    });
    assert_eq!(reader.number(0), newest + 2);
    assert_eq!(memory.load64(mark), before);
    // A process that changes the guards all the time cannot make the writer wait.
    writer.store(0, b"", |_| u64::MAX);
}

// layout: L139
#[test]
fn change_overflow_reports_each_value_once() {
    let table_geometry = TableGeometry::new(3, 8, 8).unwrap();
    let (mut writer, mut reader, _memory) = pair(table_geometry);
    for more in [1, 500] {
        for n in 0..values::RECENT_COUNT + more {
            writer.store((n % 2) as usize, &value(n, 8), |_| 0);
        }
        let all: Vec<usize> = std::iter::from_fn(|| reader.next_change()).collect();
        assert_eq!(all, [0, 1, 2]);
        writer.store(2, b"", |_| 0);
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
                writer.store(n as usize % 2, &value(n, 24), |_| 0);
            }
            memory.store32(at, word);
            let mut reader = ValueReader::new(heap::reading(&memory), table_geometry);
            writer.store(1, b"more", |_| 0);
            let mut to = [0; 24];
            for index in 0..2 {
                if let Look::Value(len, _) = reader.load(index, &mut to) {
                    assert!(len <= 24);
                }
                if let Hold::Held(held) = reader.hold(index, |_| true) {
                    reader.copy(held, 0, &mut to[..held.len]);
                }
                let _ = reader.name(index);
            }
            let changes = std::iter::from_fn(|| reader.next_change());
            assert!(changes.take(3000).all(|index| index < 2));
        }
    }
}

/// Runs a writer that stores without a pause, and two readers. The second reader holds
/// each value.
fn soak(table_geometry: TableGeometry, stores: u64) {
    let (mut writer, reader, memory) = pair(table_geometry);
    let second = ValueReader::new(heap::reading(&memory), table_geometry);
    let (done, guard) = (AtomicBool::new(false), AtomicU64::new(0));
    let len = table_geometry.max();
    writer.store(0, &value(1, len), |_| 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 2..=stores {
                // `guard` pairs with the stores of the second reader, `done` with the loads of both.
                writer.store(0, &value(n, len), |_| guard.load(Ordering::Acquire));
            }
            done.store(true, Ordering::Release);
        });
        let (done, guard) = (&done, &guard);
        scope.spawn(move || {
            let (mut to, mut last) = (vec![0; len], 0);
            // Pairs with the writer's store.
            while !done.load(Ordering::Acquire) {
                match reader.load(0, &mut to) {
                    Look::Value(found, number) => {
                        assert!(number >= last, "{number} after {last}");
                        last = number;
                        assert_whole(&to[..found]);
                    }
                    other => assert_eq!(other, Look::Busy),
                }
            }
        });
        scope.spawn(move || {
            let mut to = vec![0; len];
            // Pairs with the writer's store.
            while !done.load(Ordering::Acquire) {
                let aim = |slot| {
                    // As in a roster (L3). Pairs with the writer's load.
                    guard.store(1u64 << slot, Ordering::Release);
                    true
                };
                if let Hold::Held(held) = second.hold(0, aim) {
                    second.copy(held, 0, &mut to);
                    let first = to.clone();
                    assert_whole(&first);
                    for _ in 0..4 {
                        second.copy(held, 0, &mut to);
                        assert_eq!(to, first, "a held value changed");
                    }
                }
                // Pairs with the writer's load: this reader has read (L5).
                guard.store(0, Ordering::Release);
            }
        });
    });
}

fn assert_whole(value: &[u8]) {
    let torn = value.chunks(8).any(|word| word != &value[..word.len()]);
    assert!(!torn, "{value:?}");
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
