//! Tests of values under the model checker loom: the writer overwrites slots while a reader reads.

use super::super::{Look, TableGeometry, ValueReader, ValueWriter};
use crate::format::layout::values;
use crate::sync::explore::explore;
use crate::sync::{Words, WordsMut};
use ::loom::sync as loomed;
use ::loom::thread;
use loomed::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The length of each value: two words, of which a torn copy has one old and one new.
pub(crate) const LEN: usize = 16;

/// The words of a table that a model uses.
#[derive(Clone)]
pub(crate) struct Model {
    words: Rc<BTreeMap<usize, AtomicU64>>,
    halves: Rc<BTreeMap<usize, AtomicU32>>,
}

impl Model {
    pub fn new(table_geometry: TableGeometry, changes: u64) -> Model {
        let (mut words, mut halves) = (vec![values::CHANGES], Vec::new());
        halves.extend((0..changes).map(super::super::recent));
        for entry in (0..table_geometry.count).map(|index| table_geometry.entry(index)) {
            words.push(entry + values::NEWEST);
            for slot in (0..table_geometry.slots).map(|number| table_geometry.slot(entry, number)) {
                let value = slot + values::VALUE;
                words.extend([slot + values::MARK, value, value + 8]);
                halves.push(slot + values::LEN);
            }
        }
        let words = words.into_iter().map(|at| (at, AtomicU64::new(0)));
        let halves = halves.into_iter().map(|at| (at, AtomicU32::new(0)));
        Model {
            words: Rc::new(words.collect()),
            halves: Rc::new(halves.collect()),
        }
    }
}

impl Words for Model {
    fn full(&self) {
        // Pairs with the same fence of the peer.
        fence(Ordering::SeqCst);
    }

    fn load32(&self, at: usize) -> u32 {
        let value = self.halves[&at].load(Ordering::Relaxed);
        self.acquire();
        value
    }

    fn load64(&self, at: usize) -> u64 {
        let value = self.words[&at].load(Ordering::Relaxed);
        self.acquire();
        value
    }

    fn copy_out(&self, at: usize, to: &mut [u8]) {
        for (n, word) in to.chunks_exact_mut(8).enumerate() {
            let value = self.words[&(at + 8 * n)].load(Ordering::Relaxed);
            word.copy_from_slice(&value.to_le_bytes());
        }
    }

    fn acquire(&self) {
        // Pairs with the release stores and fences of the writer.
        fence(Ordering::Acquire);
    }

    fn relax(&self) {
        thread::yield_now();
    }
}

impl WordsMut for Model {
    fn store32(&self, at: usize, value: u32) {
        self.halves[&at].store(value, Ordering::Relaxed);
    }

    fn publish32(&self, at: usize, value: u32) {
        // Pairs with `load32`.
        self.halves[&at].store(value, Ordering::Release);
    }

    fn store64(&self, at: usize, value: u64) {
        self.words[&at].store(value, Ordering::Relaxed);
    }

    fn publish64(&self, at: usize, value: u64) {
        // Pairs with `load64`.
        self.words[&at].store(value, Ordering::Release);
    }

    fn copy_in(&self, at: usize, from: &[u8]) {
        for (n, word) in from.chunks_exact(8).enumerate() {
            let value = u64::from_le_bytes(word.try_into().unwrap());
            self.words[&(at + 8 * n)].store(value, Ordering::Relaxed);
        }
    }

    fn release(&self) {
        // Pairs with `acquire`.
        fence(Ordering::Release);
    }
}

/// Makes a geometry with fewer slots than a table may really have.
pub(crate) fn table_geometry(count: usize, slots: u64) -> TableGeometry {
    TableGeometry {
        count,
        max: LEN,
        slots,
    }
}

pub(crate) fn value(number: u64) -> Vec<u8> {
    [number.to_le_bytes(); 2].concat()
}

/// Returns the number of a value, which must not be torn.
pub(crate) fn whole(bytes: &[u8]) -> u64 {
    let [first, last] = [&bytes[..8], &bytes[8..]].map(|half| half.try_into().unwrap());
    assert_eq!(first, last, "torn");
    u64::from_le_bytes(first)
}

// layout: L076 L136 L137
#[test]
fn loaded_values_are_whole_and_never_older() {
    explore(2, move || {
        let table_geometry = table_geometry(1, 2);
        let memory = Model::new(table_geometry, 4);
        let mut writer = ValueWriter::new(memory.clone(), table_geometry);
        // The fences and marks of looks at the guards would hide those of the stores.
        writer.known[0].look_at = u64::MAX;
        writer.store(0, &value(1), |_| 0);
        let reader = ValueReader::new(memory, table_geometry);
        let looking = thread::spawn(move || {
            let (mut to, mut last) = ([0; LEN], 1);
            for _ in 0..2 {
                match reader.try_load(table_geometry.entry(0), &mut to) {
                    Look::Value(LEN, number) => {
                        assert!(number >= last, "an older value");
                        assert_eq!(whole(&to), number);
                        last = number;
                    }
                    Look::Busy => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        for number in 2..5 {
            writer.store(0, &value(number), |_| 0);
        }
        looking.join().unwrap();
    });
}

// layout: L139
#[test]
fn reader_sees_every_change_in_order() {
    explore(3, || {
        let table_geometry = table_geometry(2, 2);
        let memory = Model::new(table_geometry, 3);
        let mut writer = ValueWriter::new(memory.clone(), table_geometry);
        let mut reader = ValueReader::new(memory, table_geometry);
        let looking = thread::spawn(move || {
            let mut seen = Vec::new();
            while seen.len() < 3 {
                match reader.next_change() {
                    Some(index) => {
                        seen.push(index);
                        assert!(reader.number(index) > 0, "the change precedes its value");
                    }
                    None => thread::yield_now(),
                }
            }
            assert_eq!(seen, [0, 1, 1]);
            assert!(!reader.has_news());
        });
        for index in [0, 1, 1] {
            writer.store(index, &value(7), |_| 0);
        }
        looking.join().unwrap();
    });
}
