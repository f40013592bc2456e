//! A reader holds a value by a guard while the writer sets later values. Readers take and release
//! guards, also those of dead readers.

use super::{Memory, WORDS, claim, explore};
use crate::segment::guards::{Holder, Target};
use crate::segment::roster::Roster;
use crate::slots::tests::loom::{LEN, Model, table_geometry, value, whole};
use crate::slots::{Hold, ValueReader, ValueWriter};
use crate::values::holding::hold;
use crate::values::writing::store;
use ::loom::cell::Cell;
use ::loom::thread;
use std::rc::Rc;

/// Runs a writer that sets a value several times, and a reader that holds the value meanwhile. There
/// are four slots, so each value goes into the slot of the fourth number before it, and two guards.
/// `before` is how many values are set before the reader comes, and `is_held` says whether another
/// reader holds the first value all the time.
fn hold_beside_writer(before: u64, last: u64, is_held: bool) {
    let table_geometry = table_geometry(1, 4);
    let (table, memory) = (Model::new(table_geometry, last), Memory::roster());
    let roster = Roster::new(memory.clone(), 1);
    let mut writer = ValueWriter::new(table.clone(), table_geometry);
    store(&mut writer, &roster, 0, &value(1));
    let first = ValueReader::new(table.clone(), table_geometry);
    let (mut found, mut guard) = (Hold::Nothing, None);
    if is_held {
        found = hold(&first, 0, (&roster, 0), |_, _| false, &mut guard);
        assert!(matches!(found, Hold::Held(held) if held.number == 1));
    }
    for number in 2..=before {
        store(&mut writer, &roster, 0, &value(number));
    }

    let (holding, reader) = (
        memory.clone(),
        ValueReader::new(table.clone(), table_geometry),
    );
    let held = thread::spawn(move || {
        let roster = Roster::new(holding, 1);
        let mut guard = None;
        let found = hold(&reader, 0, (&roster, 0), |_, _| false, &mut guard);
        if let Hold::Held(held) = found {
            let mut to = [0; LEN];
            reader.copy(held, 0, &mut to);
            let number = whole(&to);
            // The writer skips numbers, so a number is not that of the value.
            thread::yield_now();
            reader.copy(held, 0, &mut to);
            assert_eq!(whole(&to), number, "a held value changed");
        }
        guard
            .into_iter()
            .for_each(|guard| roster.release_guard(guard));
    });

    for number in before + 1..=last {
        store(&mut writer, &roster, 0, &value(number));
    }
    held.join().unwrap();

    let mut to = [0; LEN];
    if let Hold::Held(held) = found {
        first.copy(held, 0, &mut to);
        assert_eq!(whole(&to), 1, "a held value changed");
    }
    guard
        .into_iter()
        .for_each(|guard| roster.release_guard(guard));
    assert_eq!(roster.held(0, 2), 0, "a guard was never released");
}

// layout: L136 L306 L307
#[test]
fn held_value_outlives_later_sets() {
    explore(2, || hold_beside_writer(1, 6, false));
}

/// The writer looks at the guards in each store, and skips the slot of another reader.
// layout: L136 L306 L307
#[test]
fn held_value_outlives_skipping_writer() {
    explore(2, || hold_beside_writer(2, 6, true));
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
