//! Back-pressure of a lossless topic: the publisher overwrites no message that a subscriber for which
//! it waits has still to read.
//!
//! ```text
//!   publisher, before it overwrites         subscriber, when it joins at a position
//!   wait until no subscriber is in the way  ROOM = position
//!   RESERVED = how far it will write        STATE = active
//!   full fence                              full fence
//!   is a subscriber in the way now?         may its position be overwritten, by RESERVED?
//!   if so: RESERVED = as before, wait       if so: STATE = dropped, join elsewhere
//! ```
//!
//! One of the two sees the other. Where both do, the publisher has written nothing yet and takes
//! back what it announced, and the subscriber joins elsewhere.
//!
//! The publisher looks once before it announces, too: a subscriber that joined since the last look
//! would see its position announced, and that lasts long where the publisher is held up.

use crate::format::layout::roster::state;
use crate::lane::lossy::{LossyReader, LossyWriter};
use crate::segment::roster::Roster;
use crate::sync::{Shared, Words, WordsMut};

/// Whether the publisher waits for the participant of this slot.
pub(crate) fn is_waited_for<W: Shared>(roster: &Roster<W>, slot: usize) -> bool {
    roster.state(slot) == state::ACTIVE && roster.process_word(slot) != 0
}

/// Whether what lies before the position may be overwritten in a ring of so many bytes, where `lowest`
/// is the position of the slowest subscriber that is waited for.
pub(crate) fn is_free(lowest: u64, bytes: u64, position: u64) -> bool {
    lowest + bytes >= position
}

/// Announces that what lies before the position will be overwritten; `false` where a subscriber is
/// in the way, and then nothing has changed. `lowest` is the position of the slowest subscriber that
/// is waited for.
// layout: L126
pub(crate) fn announce<R: WordsMut, H: WordsMut>(
    lane: &mut LossyWriter<R, H>,
    position: u64,
    lowest: impl Fn() -> u64,
) -> bool {
    let bytes = lane.ring_geometry().bytes();
    let is_free = || is_free(lowest(), bytes, position);
    if !is_free() {
        return false;
    }
    let before = lane.reserved();
    lane.announce(position);
    // Pairs with the fence of `join`: one of us sees the other.
    lane.full_fence();
    if is_free() {
        return true;
    }
    lane.announce(before);
    false
}

/// Has the publisher wait for the subscriber of this slot, which has stored its ROOM; `false` where
/// the publisher may be overwriting its position already, and does not wait. Where this is `true`,
/// the publisher takes back what it announces in the way of the subscriber, until it drops it.
// layout: L050 L133
pub(crate) fn join<W: Shared, R: Words, H: Words>(
    roster: &Roster<W>,
    slot: usize,
    lane: &mut LossyReader<R, H>,
) -> bool {
    roster.set_state(slot, state::ACTIVE);
    // Pairs with the fence of `announce`: one of us sees the other.
    roster.words().full();
    lane.wait_for();
    let is_safe = !lane.may_be_overwritten(lane.position());
    if !is_safe {
        roster.set_state(slot, state::DROPPED);
    }
    is_safe
}

/// Waits for the subscriber of this slot no longer.
// layout: L126
pub(crate) fn drop_late<W: Shared>(roster: &Roster<W>, slot: usize) {
    roster.change_state(slot, state::ACTIVE, state::DROPPED);
}
