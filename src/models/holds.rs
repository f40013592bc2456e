//! A reader holds a value by a guard while the writer sets later values. Readers take and release
//! guards, also those of dead readers.

use super::{Memory, WORDS, claim, explore};
use crate::format::layout::FIRST_COUNT;
use crate::segment::guards::{Guard, Holder, Target};
use crate::segment::roster::Roster;
use crate::slots::tests::loom::{LEN, Model, table_geometry, value, whole};
use crate::slots::{Held, Hold, TableGeometry, ValueReader, ValueWriter};
use crate::values::holding::hold;
use crate::values::writing::store;
use ::loom::cell::Cell;
use ::loom::thread;
use std::rc::Rc;

/// The memory of a table with one value, and of the roster with its guards.
#[derive(Clone)]
struct Table {
    table_geometry: TableGeometry,
    values: Model,
    memory: Memory,
}

impl Table {
    fn new(slots: u64, changes: u64) -> Table {
        let table_geometry = table_geometry(1, slots);
        Table {
            table_geometry,
            values: Model::new(table_geometry, changes),
            memory: Memory::roster(),
        }
    }

    fn roster(&self) -> Roster<Memory> {
        Roster::new(self.memory.clone(), 1)
    }

    fn reader(&self) -> ValueReader<Model> {
        ValueReader::new(self.values.clone(), self.table_geometry)
    }

    /// Returns a function that sets the value, and stores a number there.
    fn writer(&self) -> impl FnMut(u64) {
        let mut writer = ValueWriter::new(self.values.clone(), self.table_geometry);
        let roster = self.roster();
        move |number| store(&mut writer, &roster, 0, &value(number))
    }

    /// Holds the newest value by this guard, or by a free one.
    fn hold(&self, guard: &mut Option<Guard>) -> Hold {
        let alive = |_, _| false;
        hold(&self.reader(), 0, (&self.roster(), 0), alive, guard)
    }

    /// Returns the value that is held, which must be whole.
    fn read(&self, held: Held) -> u64 {
        let mut to = [0; LEN];
        self.reader().copy(held, 0, &mut to);
        whole(&to)
    }

    /// Holds the newest value, reads it twice, and releases the guard.
    fn hold_and_read(&self, mut guard: Option<Guard>) {
        if let Hold::Held(held) = self.hold(&mut guard) {
            let value = self.read(held);
            // The writer skips numbers while it sees a guard.
            assert!(FIRST_COUNT + value <= held.number);
            thread::yield_now();
            assert_eq!(self.read(held), value, "a held value changed");
        }
        let guard = guard.expect("a guard is free");
        self.roster().release_guard(guard);
    }
}

// layout: L136 L306 L307
#[test]
fn held_value_outlives_later_sets() {
    explore(2, || {
        // There are four slots. The writer looks for the numbers 1, 4 and 7. The number 8 goes into
        // the slot of the number 4 without a look of its own.
        let table = Table::new(4, 8);
        let mut set = table.writer();
        (1..5).for_each(&mut set);
        let holding = table.clone();
        let held = thread::spawn(move || holding.hold_and_read(None));
        (5..9).for_each(&mut set);
        held.join().unwrap();
        assert_eq!(table.roster().held(0, 2), 0);
    });
}

/// There are eight slots and six guards. Five readers hold the first five values all the time, and
/// another one the sixth value. When this one turns to the seventh value, the writer may be about to
/// skip six slots, and to overwrite the seventh value, although the reader finds only the number 8.
// layout: L136 L306 L307
#[test]
fn held_value_outlives_skipping_writer() {
    explore(3, || {
        let table = Table::new(8, 9);
        let mut set = table.writer();
        let mut guards = [None; 6];
        for (number, guard) in (1..).zip(&mut guards) {
            set(number);
            let found = table.hold(guard);
            assert!(matches!(found, Hold::Held(held) if table.read(held) == number));
        }
        set(7);

        let (holding, theirs) = (table.clone(), guards[5].take());
        let held = thread::spawn(move || holding.hold_and_read(theirs));
        set(8);
        set(9);
        held.join().unwrap();
        for guard in guards.into_iter().flatten() {
            table.roster().release_guard(guard);
        }
        assert_eq!(table.roster().held(0, 6), 0);
    });
}

/// A guard that only its reader may use; the model checker reports two uses at a time as a race.
struct Own(Rc<Cell<u64>>);

/// Two readers find the guard of a dead reader. One of them takes it and releases it again; the other
/// one may take it then, and its bit stays.
// layout: L304 L305 L308
#[test]
fn dead_guard_has_one_successor() {
    explore(3, || {
        let memory = Memory::roster();
        let roster = Roster::new(memory.clone(), 1);
        let holder = |slot| Holder {
            slot,
            slot_epoch: 1,
        };
        let target = Target { index: 0, slot: 2 };
        roster
            .take_guard(1, (holder(0), target), |_| false)
            .unwrap();

        let own = Rc::new(Cell::new(0));
        let all = [1, 2].map(|slot| {
            let (memory, own) = (memory.clone(), Own(Rc::clone(&own)));
            thread::spawn(move || {
                let roster = Roster::new(memory, 1);
                let target = Target {
                    index: 0,
                    slot: 2 + slot as u64,
                };
                let guard = roster.take_guard(1, (holder(slot), target), |one| one == holder(0));
                if guard.is_some() {
                    own.0.set(own.0.get() + 1);
                }
                match guard {
                    Some(guard) if slot == 1 => roster.release_guard(guard),
                    _ => {}
                }
                guard.is_some()
            })
        });
        let taken = all.map(|one| one.join().unwrap());
        assert_ne!(taken, [false; 2], "no reader took the guard");
        let held = roster.held(0, 1);
        assert_eq!(held, if taken[1] { 1 << 4 } else { 0 });
    });
}

/// A reader that takes the slot of a dead reader in the roster takes the guard of the dead one too.
// layout: L308
#[test]
fn guard_follows_the_slot_epoch() {
    explore(3, || {
        let memory = Memory::roster();
        let roster = Roster::new(memory.clone(), 1);
        claim(&roster, WORDS[0], 0).unwrap();
        let me = |roster: &Roster<Memory>| Holder {
            slot: 0,
            slot_epoch: roster.slot_epoch(0) as u16,
        };
        let target = Target { index: 0, slot: 1 };
        roster
            .take_guard(1, (me(&roster), target), |_| false)
            .unwrap();

        let next = thread::spawn(move || {
            let roster = Roster::new(memory, 1);
            claim(&roster, WORDS[1], WORDS[0]).unwrap();
            let is_gone = |holder| roster.has_left(holder, |_, word| word == WORDS[0]);
            let guard = roster.take_guard(1, (me(&roster), target), is_gone);
            roster.release_guard(guard.unwrap());
        });
        next.join().unwrap();
        assert_eq!(roster.held(0, 1), 0);
    });
}
