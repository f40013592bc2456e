//! A writer of values leaves a value slot alone while a reader holds the slot, once the writer has
//! seen the hold.

use super::{Memory, THEIRS, explore};
use crate::segment::roster::Roster;
use crate::slots::tests::loom::{LEN, Model, is_held, table_geometry, value, whole};
use crate::slots::{Hold, Look, ValueReader, ValueWriter};
use crate::sync::{Words, WordsMut};
use crate::values::reading::hold_in;
use crate::values::writing::store;
use ::loom::thread;

// layout: L136 L138
#[test]
fn writer_skips_slot_of_seen_hold() {
    explore(2, || {
        // There are four slots, so each value goes into the slot of the fourth value before it.
        let table_geometry = table_geometry(1, 4);
        let (table, memory) = (Model::new(table_geometry, 5), Memory::roster());
        let roster = Roster::new(memory.clone(), 1);
        let mut writer = ValueWriter::new(table.clone(), table_geometry);
        store(&mut writer, &roster, 0, &value(1));
        let (held, reader) = (
            memory.clone(),
            ValueReader::new(table.clone(), table_geometry),
        );

        let looking = thread::spawn(move || {
            let roster = Roster::new(held.clone(), 1);
            let ask = hold_in(&roster, 0);
            let hold = |hold: Hold| {
                ask(hold);
                // Pairs with the load in the loop of the writer below.
                held.publish32(THEIRS[0], hold.0 as u32);
            };
            let mut to = [0; LEN];
            match reader.load_held(0, &mut to, hold) {
                Look::Value(LEN, number) => assert_eq!(whole(&to), number),
                other => panic!("{other:?}"),
            }
        });

        let numbers = ValueReader::new(table, table_geometry);
        for number in 2..6 {
            let told = memory.load32(THEIRS[0]);
            store(&mut writer, &roster, 0, &value(number));
            // The reader may have ended its hold meanwhile.
            let is_still_held = told != 0 && roster.hold(0) == u64::from(told);
            let newest = numbers.number(0);
            assert!(!is_still_held || !is_held(table_geometry, Hold(told.into()), newest));
        }

        looking.join().unwrap();
        assert_eq!(roster.holds().count(), 0, "the hold was never released");
    });
}
