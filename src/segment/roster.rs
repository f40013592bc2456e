//! The roster of a segment: a table of slots that participants take and leave.
//!
//! A slot belongs to the participant whose process word is in it. The word is the process id and a
//! fold of the process's start time. The word changes by compare and swap only, so each claim of a
//! slot has one winner. Before a process takes a slot, or frees the slot of another participant, it
//! begins the life of that slot: then the participant that had the slot has ended. All participants of a segment can
//! write all slots. So a process trusts the table only to say which slots are taken.

use crate::error::Result;
use crate::format::layout::{FIRST_CHANGES, FIRST_COUNT, OWNER, cursor, roster};
use crate::os::{Occupant, ProcessIdentity, pid_of};
use crate::segment::slot_set::{NEWS, SLEEPERS, SlotSet};
use crate::sync::{AtLeast, Fixed, Ordering, Shared, WindowMut, Words};
use std::ops::Range;

/// How often a slot is tried while other processes change it.
const TRIES: u32 = 16;

/// The number that a participant adds to PARTICIPANT_CHANGES when it joins, in the lower half of
/// the word.
pub(crate) const JOINED: u32 = 1;
/// The number that a participant adds to PARTICIPANT_CHANGES when it leaves, in the upper half of
/// the word.
pub(crate) const LEFT: u32 = 1 << 16;

/// Returns whether a participant has joined between two looks at PARTICIPANT_CHANGES.
// layout: L008 L119
pub(crate) fn has_joined(before: u32, now: u32) -> bool {
    (before ^ now) & (LEFT - 1) != 0
}

/// Returns the living process of an occupant, as far as the system tells.
pub(crate) fn identity_of(occupant: Occupant) -> Option<ProcessIdentity> {
    let identity = ProcessIdentity::of(pid_of(occupant.word)).ok();
    let words = |one: &Occupant| (one.word, one.space);
    identity.filter(|identity| words(&Occupant::of(identity)) == words(&occupant))
}

/// Returns the process of the participant in this slot of a roster, as the slot says.
pub(crate) fn occupant_in(words: &impl Words, slot: usize) -> Occupant {
    Occupant {
        word: words.load64(slot_at(slot) + roster::PROCESS),
        space: words.load32(slot_at(slot) + roster::SPACE),
        start: words.load64(slot_at(slot) + roster::START),
    }
}

/// The result of [`Roster::evict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// The slot is free now.
    Freed,
    /// The participant did not have the slot any more.
    Gone,
    /// The slot could not be freed, and still has the process word of the participant.
    Failed,
}

/// A sender or a client, as its slot says.
pub(crate) struct SlotSender {
    pub identity: ProcessIdentity,
    pub slot_epoch: u32,
    /// The position of its first message.
    pub beginning: u64,
}

/// The words of a roster. The words before the slots are accessed without a check of the length.
pub(crate) type Table = WindowMut<AtLeast<{ roster::SLOTS_AT }>>;

/// The participants that a waker has to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakeTarget {
    Owner,
    Slot(usize),
    /// The participants in all slots.
    AllSlots,
}

/// The roster of a segment: the table of participants.
// layout: L186
#[derive(Clone, Debug)]
pub(crate) struct Roster<W = Table> {
    pub(super) words: W,
    slots: usize,
    /// The number of lanes in which each slot has a room.
    lanes: usize,
}

impl Roster {
    /// Returns the word on which the participant in this slot, or the owner, sleeps (Linux).
    pub fn park_word(&self, slot: usize) -> WindowMut<Fixed<8>> {
        self.words.part(match slot {
            OWNER => roster::OWNER_PARK_WORD,
            slot => slot_at(slot) + roster::PARK_WORD,
        })
    }

    /// Returns the cursor of the participant in this slot.
    pub fn cursor(&self, slot: usize) -> WindowMut<Fixed<{ cursor::LEN }>> {
        self.words.part(slot_at(slot) + roster::CURSOR)
    }
}

impl<W: Shared> Roster<W> {
    /// Makes the roster of these words, which has this number of slots.
    pub fn new(words: W, slots: usize) -> Roster<W> {
        Roster {
            words,
            slots,
            lanes: 1,
        }
    }

    /// Makes this the roster of a topic with this number of lanes.
    pub fn with_lanes(mut self, lanes: usize) -> Roster<W> {
        self.lanes = lanes;
        self
    }

    /// Fills the roster of a new generation. Its slot epochs differ from those of earlier
    /// generations, so that no process mistakes an object of an earlier participant for the object
    /// of a new one.
    // layout: L048
    pub fn begin(words: W, slots: usize, generation: u32) -> Roster<W> {
        words.store32(roster::OWNER_EPOCH, generation);
        words.store32(roster::OWNER_PARK_EPOCH, FIRST_COUNT as u32);
        words.store32(roster::PARTICIPANT_CHANGES, FIRST_CHANGES);
        for slot in 0..slots {
            words.store32(slot_at(slot) + roster::SLOT_EPOCH, first_epoch(generation));
            words.store32(slot_at(slot) + roster::PARK_EPOCH, FIRST_COUNT as u32);
            let number = slot_at(slot) + roster::CURSOR + cursor::NUMBER;
            words.store64(number, FIRST_COUNT);
        }
        Roster::new(words, slots)
    }

    pub fn words(&self) -> &W {
        &self.words
    }

    /// Returns the number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Takes a free one of these slots, or the slot of a participant that has ended, for the process
    /// `me`; `None` if all of them have living participants or are reserved for a source key. `begin(slot, word)` begins the life of a
    /// slot whose last participant has the process word `word` (0 if the slot is free), and returns
    /// `None` if that participant is alive. `prepare(slot)` makes ready what belongs to the slot, before
    /// the slot epoch shows that the slot was taken; if it fails, the slot is given back.
    // layout: L052 L104 L259
    pub fn claim<L>(
        &self,
        me: Occupant,
        slots: Range<usize>,
        begin: impl Fn(usize, u64) -> Result<Option<L>>,
        prepare: impl Fn(usize) -> Result<()>,
    ) -> Result<Option<(usize, L)>> {
        let Some((slot, life)) = self.take_unreserved(me.word, slots, &begin)? else {
            return Ok(None);
        };
        prepare(slot).inspect_err(|_| self.leave(slot, me.word))?;
        self.begin_occupancy(slot, &me);
        Ok(Some((slot, life)))
    }

    /// Takes one of these slots that is not reserved for a source key, for the process with the word
    /// `me`. For `begin` see [`claim`](Roster::claim).
    // layout: L104 L316
    pub(super) fn take_unreserved<L>(
        &self,
        me: u64,
        slots: Range<usize>,
        begin: impl Fn(usize, u64) -> Result<Option<L>>,
    ) -> Result<Option<(usize, L)>> {
        let all = slots;
        let free = all.clone().filter(|slot| self.process_word(*slot) == 0);
        for slot in free.chain(all) {
            if self.is_reserved(slot) {
                continue;
            }
            let Some(life) = self.inherit(slot, me, &begin)? else {
                continue;
            };
            // A sender with a source key may have had the slot since the first look.
            if self.forget_source(slot) {
                return Ok(Some((slot, life)));
            }
            self.leave(slot, me);
        }
        Ok(None)
    }

    /// Returns whether one of these slots is free, and not reserved for a source key.
    pub fn has_free(&self, mut slots: Range<usize>) -> bool {
        slots.any(|slot| self.process_word(slot) == 0 && !self.is_reserved(slot))
    }

    /// Stores what a new occupant stores in its slot.
    // layout: L104
    pub(super) fn begin_occupancy(&self, slot: usize, me: &Occupant) {
        // The last occupant may have died in any state.
        self.set_state(slot, roster::state::PASSIVE);
        // The new slot epoch keeps processes from mistaking the event of the last occupant for the
        // event of this occupant. The old event exists as long as any process has it open.
        let slot_epoch = self.slot_epoch(slot).wrapping_add(1);
        // Pairs with the load of `sender`, which then sees the state.
        self.words
            .publish32(slot_at(slot) + roster::SLOT_EPOCH, slot_epoch);
        self.words.store32(slot_at(slot) + roster::SPACE, me.space);
        // Pairs with the load of `sender`, which then sees the slot epoch.
        self.words
            .publish64(slot_at(slot) + roster::START, me.start);
        self.set_asleep(slot, false);
    }

    /// Takes a slot that is free, or whose participant has ended.
    // layout: L053 L104
    pub(super) fn inherit<L>(
        &self,
        slot: usize,
        me: u64,
        begin: impl Fn(usize, u64) -> Result<Option<L>>,
    ) -> Result<Option<L>> {
        // Other processes may free the slot, or take it, at the same time.
        for _ in 0..TRIES {
            let word = self.process_word(slot);
            let Some(life) = begin(slot, word)? else {
                return Ok(None);
            };
            if self.take(slot, word, me) {
                return Ok(Some(life));
            }
        }
        Ok(None)
    }

    fn take(&self, slot: usize, from: u64, to: u64) -> bool {
        // Acquire and release: pairs with the compare and swap of the last occupant, whose stores
        // are then visible, and with that of the next occupant.
        let at = slot_at(slot) + roster::PROCESS;
        self.words.replace64(at, from, to, Ordering::AcqRel)
    }

    /// Gives this participant's own slot back.
    // layout: L105
    pub fn leave(&self, slot: usize, me: u64) {
        self.set_state(slot, roster::state::PASSIVE);
        self.set_asleep(slot, false);
        self.take(slot, me, 0);
        self.tell(LEFT);
    }

    /// Frees the slot of a participant that was proved dead. The bit in SLEEPERS stays set. The next
    /// occupant clears it, and may have taken the slot already. For `begin` see [`claim`](Roster::claim).
    // layout: L106
    pub fn evict<L>(
        &self,
        slot: usize,
        word: u64,
        begin: impl Fn(usize, u64) -> Result<Option<L>>,
    ) -> Eviction {
        // Until this function returns, no other process takes the slot.
        let Ok(Some(_life)) = begin(slot, word) else {
            // The system has no descriptor left, or another process is just taking the slot.
            return match self.process_word(slot) == word {
                true => Eviction::Failed,
                false => Eviction::Gone,
            };
        };
        let evicted = self.take(slot, word, 0);
        if !evicted {
            return Eviction::Gone;
        }
        self.tell(LEFT);
        Eviction::Freed
    }

    /// Returns the process word of the participant in this slot, or 0.
    pub fn process_word(&self, slot: usize) -> u64 {
        self.words.load64(slot_at(slot) + roster::PROCESS)
    }

    /// Returns the process of the participant in this slot, as the slot says.
    pub fn occupant(&self, slot: usize) -> Occupant {
        occupant_in(&self.words, slot)
    }

    /// Returns the sender or client in this slot, as the slot says; `None` if the slot has no sender
    /// or client, or changes at this moment.
    // layout: L251
    pub fn sender(&self, slot: usize) -> Option<SlotSender> {
        let look = || {
            // The state comes last: it is that of the slot epoch, or of a later one.
            let occupancy = (self.slot_epoch(slot), self.process_word(slot));
            (occupancy, self.state(slot) == roster::state::ACTIVE)
        };
        let before = look();
        let sender = SlotSender {
            // Loads the start time: pairs with the store of `begin_occupancy`.
            identity: self.occupant(slot).identity()?,
            slot_epoch: before.0.0,
            beginning: self.beginning(slot),
        };
        // Between the loads of the sender and the second look.
        self.words.acquire();
        (before.1 && look() == before).then_some(sender)
    }

    /// Returns the slot epoch of this slot, or of the owner.
    pub fn slot_epoch(&self, slot: usize) -> u32 {
        self.words.load32(match slot {
            OWNER => roster::OWNER_EPOCH,
            slot => slot_at(slot) + roster::SLOT_EPOCH,
        })
    }

    pub fn state(&self, slot: usize) -> u32 {
        self.words.load32(slot_at(slot) + roster::STATE)
    }

    // layout: L051
    pub fn set_state(&self, slot: usize, state: u32) {
        // Pairs with the load of the owner, which then sees the cursor too.
        self.words.publish32(slot_at(slot) + roster::STATE, state);
    }

    /// Changes the state of a slot to `to`, if it is `from`.
    // layout: L051
    pub fn change_state(&self, slot: usize, from: u32, to: u32) {
        // Acquire and release: pairs with the load of the slot's occupant, and with its stores.
        let at = slot_at(slot) + roster::STATE;
        self.words.replace32(at, from, to, Ordering::AcqRel);
    }

    /// Returns the count of participants that have joined ([`JOINED`]) and left ([`LEFT`]).
    #[inline]
    pub fn participant_changes(&self) -> u32 {
        self.words.load32(roster::PARTICIPANT_CHANGES)
    }

    /// Makes the owner look at the roster again, after a participant has [`JOINED`] or [`LEFT`].
    pub fn tell(&self, what: u32) {
        // Acquire and release: pairs with the load of the owner, which then sees the slot's word.
        self.words
            .add32(roster::PARTICIPANT_CHANGES, what, Ordering::AcqRel);
    }

    /// Returns whether one of these participants may be asleep, or about to sleep.
    #[inline]
    pub fn may_sleep(&self, target: WakeTarget) -> bool {
        match target {
            WakeTarget::Owner => self.words.peek64(roster::ASLEEP) & roster::OWNER_BIT != 0,
            WakeTarget::Slot(slot) => SLEEPERS.has(&self.words, slot),
            WakeTarget::AllSlots => SLEEPERS.summary(&self.words) != 0,
        }
    }

    /// Returns the slots of a set that exist.
    // layout: L260
    fn slots_in(&self, set: SlotSet) -> impl Iterator<Item = usize> {
        set.slots(&self.words).filter(|slot| *slot < self.slots)
    }

    /// Returns the slots of the participants that sleep, or are about to sleep.
    pub fn sleepers(&self) -> impl Iterator<Item = usize> {
        self.slots_in(SLEEPERS)
    }

    /// Notes that the participant in this slot, or the owner, is about to sleep, or sleeps no longer.
    // layout: L049
    pub fn set_asleep(&self, slot: usize, asleep: bool) {
        let (at, bit) = (roster::ASLEEP, roster::OWNER_BIT);
        // Acquire and release: pairs with the relaxed look of `may_sleep`, by way of the full fence
        // that a sleeper puts behind this store.
        match (slot, asleep) {
            (OWNER, true) => self.words.set_bits64(at, bit, Ordering::AcqRel),
            (OWNER, false) => self.words.clear_bits64(at, bit, Ordering::AcqRel),
            (slot, true) => SLEEPERS.insert(&self.words, slot),
            (slot, false) => SLEEPERS.remove(&self.words, slot),
        }
    }

    /// Returns whether the owner sleeps, or does not poll every lane. It is called after the commit of
    /// a message.
    // layout: L254
    #[inline(always)]
    pub fn has_to_tell_owner(&self) -> bool {
        // This keeps the order in the compiler. In the processor the look may come before the commit;
        // the heads of lanes.rs and notifier.rs explain why that is no harm.
        self.words.keep_order();
        let bits = roster::OWNER_BIT | roster::UNWATCHED_BIT;
        self.words.peek64(roster::ASLEEP) & bits != 0
    }

    /// Notes whether the owner polls every lane.
    // layout: L255
    pub fn set_unwatched(&self, has_unwatched: bool) {
        let (at, bit) = (roster::ASLEEP, roster::UNWATCHED_BIT);
        // Acquire and release: pairs with the operations of sleepers on the other bits of the word. The
        // look of a sender is relaxed: nothing depends on its order.
        let order = Ordering::AcqRel;
        match has_unwatched {
            true => self.words.set_bits64(at, bit, order),
            false => self.words.clear_bits64(at, bit, order),
        }
    }

    /// Tells the owner that the lane of this slot has a message.
    // layout: L254
    pub fn tell_news(&self, slot: usize) {
        NEWS.insert_once(&self.words, slot);
    }

    /// Returns whether a lane may have a message that its sender has told of.
    #[inline(always)]
    pub fn has_news(&self) -> bool {
        NEWS.summary(&self.words) != 0
    }

    /// Returns the slots whose senders have told of a message since the last call.
    pub fn take_news(&self) -> impl Iterator<Item = usize> {
        NEWS.take(&self.words)
    }

    /// Returns the position up to which a subscriber has freed the ring of a lane.
    pub fn room(&self, slot: usize, lane: usize) -> u64 {
        self.words.load64(self.room_at(slot, lane))
    }

    pub fn set_room(&self, slot: usize, lane: usize, position: u64) {
        // Pairs with the load of `room`: the subscriber has read the messages that it frees (P1).
        self.words.publish64(self.room_at(slot, lane), position);
    }

    /// Returns the offset of the room of a slot in a lane.
    // layout: L291
    fn room_at(&self, slot: usize, lane: usize) -> usize {
        match lane {
            0 => slot_at(slot) + roster::CURSOR + cursor::ROOM,
            lane => slot_at(self.slots) + row_len(self.lanes) * slot + 8 * (lane - 1),
        }
    }

    /// Returns the position of a sender's first message, or of a client's first request.
    pub fn beginning(&self, slot: usize) -> u64 {
        self.words.load64(slot_at(slot) + roster::BEGINNING)
    }

    pub fn set_beginning(&self, slot: usize, position: u64) {
        // Pairs with the load of `sender`, which then sees whose position this is.
        self.words
            .publish64(slot_at(slot) + roster::BEGINNING, position);
    }

    /// Returns how often the participant in this slot has gone to sleep.
    pub fn park_epoch(&self, slot: usize) -> u32 {
        self.words.load32(park_epoch_at(slot))
    }

    pub fn set_park_epoch(&self, slot: usize, park_epoch: u32) {
        self.words.store32(park_epoch_at(slot), park_epoch);
    }
}

/// Returns the slot epoch of a slot that no process has taken yet.
pub(crate) fn first_epoch(generation: u32) -> u32 {
    (generation << 16).wrapping_add(FIRST_COUNT as u32)
}

/// Returns the length of the roster of a generation with this number of slots, in bytes. `lanes` is
/// the number of lanes in which each slot has a room.
// layout: L047
pub(crate) fn roster_len(slots: usize, lanes: usize) -> usize {
    slot_at(slots) + row_len(lanes) * slots
}

/// Returns the length of the ROOM words of a slot in all lanes but the first.
// layout: L291
fn row_len(lanes: usize) -> usize {
    (8 * (lanes - 1)).next_multiple_of(roster::ROOM_ALIGN)
}

/// Returns the offset of a slot in the roster.
// layout: L002
pub(crate) fn slot_at(slot: usize) -> usize {
    roster::SLOTS_AT + slot * roster::SLOT_STRIDE
}

fn park_epoch_at(slot: usize) -> usize {
    match slot {
        OWNER => roster::OWNER_PARK_EPOCH,
        slot => slot_at(slot) + roster::PARK_EPOCH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{WordsMut as _, heap};

    const DEAD: u64 = 1 << 32 | 7;
    const MINE: u64 = 2 << 32 | 7;

    fn occupant(word: u64) -> Occupant {
        Occupant {
            word,
            space: 7,
            start: 0,
        }
    }

    /// Begins the life of a free slot only.
    fn of_nobody(_slot: usize, word: u64) -> Result<Option<()>> {
        Ok((word == 0).then_some(()))
    }

    /// Begins the life of a free slot, and of the slot of the dead process.
    fn of_the_dead(_slot: usize, word: u64) -> Result<Option<()>> {
        Ok((word == 0 || word == DEAD).then_some(()))
    }

    fn claim(
        roster: &Roster<WindowMut>,
        word: u64,
        slots: usize,
        begin: impl Fn(usize, u64) -> Result<Option<()>>,
    ) -> Option<usize> {
        let claimed = roster.claim(occupant(word), 0..slots, begin, |_| Ok(()));
        let claimed = claimed.unwrap();
        claimed.map(|(slot, ())| slot)
    }

    fn slots_of(roster: &Roster<WindowMut>, set: SlotSet) -> Vec<usize> {
        set.slots(&roster.words).collect()
    }

    fn new() -> Roster<WindowMut> {
        Roster::begin(heap::window(roster_len(6, 1)), 6, 3)
    }

    // layout: L048 L052 L053 L104
    #[test]
    fn successor_clears_slot_of_dead_process() {
        let roster = new();
        let first = roster.slot_epoch(1);
        assert_eq!(first.wrapping_sub(FIRST_COUNT as u32), 3 << 16);
        assert_eq!(claim(&roster, MINE, 2, of_nobody), Some(0));
        assert_eq!(claim(&roster, DEAD, 2, of_nobody), Some(1));
        for slot in [1, 5] {
            roster.set_state(slot, roster::state::ACTIVE);
            roster.set_asleep(slot, true);
        }
        let participant_changes = roster.participant_changes();
        assert_eq!(claim(&roster, MINE, 2, of_nobody), None);
        assert_eq!(claim(&roster, MINE, 2, of_the_dead), Some(1));
        assert_eq!([0, 1].map(|slot| roster.process_word(slot)), [MINE; 2]);
        assert_eq!(roster.state(1), roster::state::PASSIVE);
        assert_eq!(roster.slot_epoch(1), first.wrapping_add(2));
        assert_eq!(slots_of(&roster, SLEEPERS), [5]);
        assert_eq!(
            roster.participant_changes(),
            participant_changes,
            "no participant has left"
        );
    }

    // layout: L049 L105
    #[test]
    fn leaving_participant_clears_only_its_slot() {
        let roster = new();
        let participant_changes = roster.participant_changes();
        assert_eq!(claim(&roster, MINE, 1, of_nobody), Some(0));
        roster.set_state(0, roster::state::ACTIVE);
        for slot in [0, 5, OWNER] {
            roster.set_asleep(slot, true);
        }
        roster.leave(0, MINE);
        assert_eq!((roster.process_word(0), roster.state(0)), (0, 0));
        assert_eq!(slots_of(&roster, SLEEPERS), [5]);
        assert!(roster.may_sleep(WakeTarget::Owner));
        assert_eq!(
            roster.participant_changes(),
            participant_changes.wrapping_add(LEFT)
        );
        // A participant that has lost its slot still counts its leave.
        roster.leave(0, MINE);
        assert_eq!(
            roster.participant_changes(),
            participant_changes.wrapping_add(2 * LEFT)
        );
    }

    // layout: L106
    #[test]
    fn dead_participant_is_evicted_exactly_once() {
        let roster = new();
        assert_eq!(claim(&roster, DEAD, 1, of_nobody), Some(0));
        roster.set_state(0, roster::state::ACTIVE);
        let participant_changes = roster.participant_changes();
        let failing = |_, _| -> Result<Option<()>> { Ok(None) };
        assert_eq!(roster.evict(0, MINE, of_the_dead), Eviction::Gone);
        assert_eq!(roster.evict(0, MINE, failing), Eviction::Gone);
        assert_eq!(roster.evict(0, DEAD, failing), Eviction::Failed);
        assert_eq!(
            (roster.process_word(0), roster.participant_changes()),
            (DEAD, participant_changes)
        );
        assert_eq!(roster.evict(0, DEAD, of_the_dead), Eviction::Freed);
        assert_eq!(roster.evict(0, DEAD, of_the_dead), Eviction::Gone);
        assert_eq!((roster.process_word(0), roster.state(0)), (0, 1));
        assert_eq!(
            roster.participant_changes(),
            participant_changes.wrapping_add(LEFT)
        );
    }

    /// Words that a damaged process has written name no slot beyond the roster.
    // layout: L260
    #[test]
    fn bits_of_missing_slots_are_ignored() {
        let roster = new();
        for at in [roster::ASLEEP, roster::NEWS] {
            roster.words.store64(at, u64::MAX);
        }
        for set in [roster::SLEEPERS, roster::NEWS_OF] {
            for n in 0..roster::SET_LEN / 8 {
                roster.words.store64(set + n * 8, u64::MAX);
            }
        }
        assert!(roster.sleepers().eq(0..6));
        assert_eq!(roster.take_news().last(), Some(roster::SET_LEN * 8 - 1));
        assert!(!roster.has_news());
    }

    // layout: L008
    #[test]
    fn roster_counters_wrap_at_their_maximum() {
        let roster = new();
        let slot_epoch = slot_at(0) + roster::SLOT_EPOCH;
        roster.words.store32(slot_epoch, u32::MAX);
        assert_eq!(claim(&roster, MINE, 1, of_nobody), Some(0));
        assert_eq!(roster.slot_epoch(0), 0);
        roster.words.store32(roster::PARTICIPANT_CHANGES, u32::MAX);
        let before = roster.participant_changes();
        roster.tell(JOINED);
        assert!(
            has_joined(before, roster.participant_changes()) && roster.participant_changes() == 0
        );
        // A carry into the upper half still shows a join, and a leave shows none.
        assert!(has_joined(LEFT - 1, LEFT));
        assert!(!has_joined(u32::MAX, u32::MAX.wrapping_add(LEFT)));
    }
}
