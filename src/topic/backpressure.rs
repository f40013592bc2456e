//! Back-pressure of a lossless topic. If the publisher waits for a subscriber, the publisher
//! overwrites no message that the subscriber still has to read.
//!
//! ```text
//!   publisher, before it overwrites           subscriber, when it joins at a position
//!   wait until no subscriber is in the way    ROOM = position
//!   RESERVED = how far it will write          STATE = active
//!   full fence                                full fence
//!   is a subscriber in the way now?           may the position be overwritten, by RESERVED?
//!   if so: RESERVED = as before, and wait     if so: STATE = dropped, join elsewhere
//! ```
//!
//! At least one of the two sees the store of the other. If both do, the publisher has written
//! nothing yet and takes its announcement back, and the subscriber joins elsewhere.
//!
//! The publisher also looks once before it announces. Without that look, the publisher could
//! announce the position of a subscriber that has joined since the last look. The position would
//! stay announced for a long time if the publisher is delayed.

use crate::format::layout::roster::state;
use crate::lane::lossy::{LossyReader, LossyWriter};
use crate::segment::roster::Roster;
use crate::sync::{RingWords, RingWordsMut, Shared, Words, WordsMut};

/// Returns whether the publisher waits for the participant in this slot.
pub(crate) fn is_waited_for<W: Shared>(roster: &Roster<W>, slot: usize) -> bool {
    roster.state(slot) == state::ACTIVE && roster.process_word(slot) != 0
}

/// Returns whether the publisher may write up to `position` in a ring of `bytes` bytes. `lowest` is
/// the position of the slowest subscriber for which the publisher waits.
pub(crate) fn is_free(lowest: u64, bytes: u64, position: u64) -> bool {
    lowest + bytes >= position
}

/// Announces that the publisher will write up to `position`. Returns `false`, and changes nothing,
/// if a subscriber is in the way. `lowest` returns the position of the slowest subscriber for which
/// the publisher waits.
// layout: L126
pub(crate) fn announce<R: RingWordsMut, H: WordsMut>(
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
    // Pairs with the fence of `join`: at least one side sees the store of the other.
    lane.full_fence();
    if is_free() {
        return true;
    }
    lane.announce(before);
    false
}

/// Makes the publishers of these lanes wait for the subscriber in this slot, which has stored its
/// ROOM in each lane. Returns `false` if a publisher may be overwriting the subscriber's position
/// already; the publishers then do not wait. After `true`, each publisher takes back each
/// announcement that is in the way of the subscriber, until a publisher drops the subscriber.
// layout: L050 L133
pub(crate) fn join<'a, W: Shared, R: RingWords + 'a, H: Words + 'a>(
    roster: &Roster<W>,
    slot: usize,
    lanes: impl IntoIterator<Item = &'a mut LossyReader<R, H>>,
) -> bool {
    roster.set_state(slot, state::ACTIVE);
    // Pairs with the fence of `announce`: at least one side sees the store of the other.
    roster.words().full();
    let mut is_safe = true;
    for lane in lanes {
        lane.wait_for();
        is_safe &= !lane.may_be_overwritten(lane.position());
    }
    if !is_safe {
        roster.set_state(slot, state::DROPPED);
    }
    is_safe
}

/// Stops waiting for the subscriber in this slot.
// layout: L126
pub(crate) fn drop_late<W: Shared>(roster: &Roster<W>, slot: usize) {
    roster.change_state(slot, state::ACTIVE, state::DROPPED);
}
