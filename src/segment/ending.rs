//! How a generation ends, and how one that joins it at that moment learns of it.
//!
//! ```text
//!   the next owner                         one that joins the old generation
//!   GENERATION = the next                  take a slot, add to PARTICIPANT_CHANGES
//!   in the old one:
//!     END |= 2                             full fence
//!     the owner's bit in ASLEEP, for good  look at GENERATION: still the old one?
//!     full fence
//!     wake all who sleep
//! ```
//!
//! One of the two sees the other: either the joining one finds another generation in use and joins
//! that, or its bit is seen when it sleeps, and its look for END when it does not.

use crate::format::layout::{OWNER, control};
use crate::segment::notifier::{Notifier, System};
use crate::sync::{Shared, WordsMut};

/// All bits but the owner's.
pub(crate) const ALL_SLOTS: u64 = (1 << OWNER) - 1;

/// Says in its control section that a generation has ended, and wakes everybody in it.
// layout: L030 L159
pub(crate) fn end<S: System, W: Shared + Clone>(
    control: &impl WordsMut,
    notifier: &mut Notifier<S, W>,
    bits: u32,
) {
    let word = control.load32(control::END);
    // How it ended first is how it ended.
    let how = if word & control::end::ENDED == 0 {
        bits
    } else {
        bits & control::end::FOLLOWED
    };
    // Pairs with the load of whoever waits for messages or room, who sees what was
    // sent before.
    control.publish32(control::END, word | how);
    if bits & control::end::FOLLOWED != 0 {
        // For good: whoever sends something here still is to look, and come.
        notifier.roster().set_asleep(OWNER, true);
    }
    // Pairs with that of whoever has joined and then looks whether it has ended, or sleeps: one of
    // us sees the other.
    notifier.roster().words().full();
    notifier.wake(ALL_SLOTS);
}

/// Says that nothing more is received, and wakes everybody. What was received may still be answered.
// layout: L027 L154
pub(crate) fn drain<S: System, W: Shared + Clone>(
    control: &impl WordsMut,
    notifier: &mut Notifier<S, W>,
) {
    let word = control.load32(control::END);
    // Pairs with the load of a client, who then sees what was received.
    control.publish32(control::END, word | control::end::DRAINING);
    // Pairs with that of a client between its bit and its look at END: one of us sees the other.
    notifier.roster().words().full();
    notifier.wake(ALL_SLOTS);
}
