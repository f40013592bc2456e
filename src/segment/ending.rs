//! How a generation ends, and how a participant that joins at that moment learns of the end.
//!
//! ```text
//!   the next owner                           a participant that joins the old generation
//!   GENERATION = the next                    take a slot, add to PARTICIPANT_CHANGES
//!   in the old generation:
//!     END |= 2                               full fence
//!     the owner's bit in ASLEEP, for good    look at GENERATION: is it still the old one?
//!     full fence
//!     wake all participants that sleep
//! ```
//!
//! At least one of the two sees the store of the other. Either the participant finds another
//! generation in use, and joins that generation. Or, if the participant sleeps, the next owner sees
//! its bit; if it does not sleep, the participant sees END when it looks.

use crate::format::layout::{OWNER, control};
use crate::segment::notifier::{Notifier, System};
use crate::segment::roster::WakeTarget;
use crate::sync::{Shared, WordsMut};

/// Stores in the control section that a generation has ended, and wakes all its participants.
// layout: L030 L159
pub(crate) fn end<S: System, W: Shared + Clone>(
    control: &impl WordsMut,
    notifier: &mut Notifier<S, W>,
    bits: u32,
) {
    let word = control.load32(control::END);
    // The reason that was stored first is kept.
    let how = if word & control::end::ENDED == 0 {
        bits
    } else {
        bits & control::end::FOLLOWED
    };

    // Pairs with the load of a participant that waits for messages or space. The participant then
    // sees all messages that were sent before.
    control.publish32(control::END, word | how);
    if bits & control::end::FOLLOWED != 0 {
        // The bit is never cleared, so a participant that still sends here looks again, and
        // reattaches.
        notifier.roster().set_asleep(OWNER, true);
    }

    // Pairs with the fence of a participant that joined, and then looks at END or sleeps: one of
    // us sees the other.
    notifier.roster().words().full();
    notifier.wake(WakeTarget::AllSlots);
}

/// Says that nothing more is received, and wakes all participants. Requests that were received may
/// still be answered.
// layout: L027 L154
pub(crate) fn drain<S: System, W: Shared + Clone>(
    control: &impl WordsMut,
    notifier: &mut Notifier<S, W>,
) {
    let word = control.load32(control::END);
    // Pairs with the load of a client, which then sees which requests were received.
    control.publish32(control::END, word | control::end::DRAINING);
    // Pairs with the fence of a client between its bit and its look at END: at least one of the two
    // sees the store of the other.
    notifier.roster().words().full();
    notifier.wake(WakeTarget::AllSlots);
}
