//! How a reader of values holds a value in place.

use crate::segment::guards::{Guard, Holder, Target};
use crate::segment::roster::Roster;
use crate::slots::{Hold, ValueReader};
use crate::sync::{Shared, Words};

/// Holds the newest value at this place of a table for the participant in a slot of the roster.
/// `is_dead` says whether the participant with this process word in a slot is proved dead. Stores the
/// guard at `guard`, also if the value is not held; the caller releases it.
// layout: L138 L306
pub(crate) fn hold<V: Words, W: Shared>(
    values: &ValueReader<V>,
    place: usize,
    (roster, slot): (&Roster<W>, usize),
    is_dead: impl Fn(usize, u64) -> bool,
    guard: &mut Option<Guard>,
) -> Hold {
    let count = values.table_geometry().guards();
    let me = Holder {
        slot,
        slot_epoch: roster.slot_epoch(slot) as u16,
    };
    values.hold(place, |slot| {
        let target = Target { index: place, slot };
        *guard = match guard.take() {
            Some(guard) => Some(roster.aim_guard(guard, me, target)),
            None => roster.take_guard(count, (me, target), |holder| {
                roster.has_left(holder, &is_dead)
            }),
        };
        guard.is_some()
    })
}
