//! The owner's reading of many lanes. The owner reads each lane in its turn, and notices the
//! participants that join, leave or die.
//!
//! ```text
//!   find()
//!     1  PARTICIPANT_CHANGES has changed?   free the slots of the dead, read all slots, and
//!                                           look at every lane
//!     2  find the lanes to poll             (lanes.rs)
//!     3  each polled lane, beginning behind the lane of the last turn:
//!          a message                        the turn is this lane's; return the message
//!          nothing, and no sender           the lane is not active any more
//!          an invalid record                the lane is not active any more; return Corrupt
//!     4  from time to time                  free the slots of the dead
//! ```
//!
//! A turn ends after some kilobytes. Until then, the next message is taken from the same lane,
//! without the search.

use super::lanes::{Lanes, Told};
use crate::error::channel::{DisconnectReason, Fault};
use crate::error::{Error, Result};
use crate::format::layout::{FIRST_CHANGES, roster};
use crate::lane::Step;
use crate::lane::lossless::{Kept, LosslessReader, begin_cursor};
use crate::lane::ring::RingGeometry;
use crate::object::process::Process;
use crate::os::{LOOK_BACK, ProcessIdentity, ValidityBackend, deadline_within};
use crate::segment::Owned;
use crate::segment::owned::LaneSource;
use crate::segment::participant::Participant;
use crate::segment::peer_watch::{AskedEach, MAX_PEERS, PeerWatch};
use crate::segment::roster::{Eviction, LEFT, Roster, WakeTarget, first_epoch, has_joined};
use crate::segment::seen_slot::{Slot, SlotLane, peers, peers_by_slot};
use crate::wait::source::Signals;
use std::time::{Duration, Instant};

/// How often an owner that never sleeps looks for deaths that the system has reported, at most.
const LOOK_FOR_DEATHS: Duration = Duration::from_millis(10);
/// How many times an owner is asked for news before it looks at every lane.
const LOOKS: u32 = 1024;

/// The owner's end of all lanes that other participants write.
#[derive(Debug)]
pub(crate) struct FanIn {
    lanes: Lanes,
    /// The slots of the roster.
    slots: Vec<Slot>,
    source: LaneSource,
    ring_geometry: RingGeometry,
    /// Whether another owner has read the lanes before.
    is_inherited: bool,
    participant_changes: u32,
    idle: u32,
    /// Whether a thread or task is registered to sleep until there is news.
    is_registered: bool,
    /// When this owner last looked for deaths.
    looked_for_deaths: Instant,
    asked_each: AskedEach,
    /// Whether there were senders since the last report that all senders have gone.
    had_senders: bool,
    /// The disconnect reason of the last sender that has gone.
    last: DisconnectReason,
    /// The error of a lane that this process could not map, until it is reported.
    failed: Option<Error>,
    /// Whether there is a lane that this process could not map, and that may have messages.
    has_failed: bool,
    /// The watch of the processes beyond those that one sleep can watch.
    peer_watch: PeerWatch,
    participant: Participant,
}

impl FanIn {
    /// Creates the fan-in of a segment that no participant has joined yet.
    pub fn new(
        segment: &Owned,
        ring_geometry: RingGeometry,
        participant: Participant,
        prefault: bool,
    ) -> Result<FanIn> {
        begin_cursors(segment, ring_geometry);
        let mut fan_in = FanIn::with(segment, ring_geometry, participant, false);
        if prefault {
            for slot in 0..fan_in.slots.len() {
                fan_in.source.commit(slot)?;
                fan_in.open_lane(slot, true)?;
            }
        }
        Ok(fan_in)
    }

    /// Creates the fan-in of a generation that another owner has read, and that may still have
    /// participants.
    // layout: L160
    pub fn inherit(
        segment: &Owned,
        ring_geometry: RingGeometry,
        participant: Participant,
    ) -> FanIn {
        let mut fan_in = FanIn::with(segment, ring_geometry, participant, true);
        // Participants may have joined meanwhile, so the next look reads all slots.
        fan_in.participant_changes = fan_in
            .participant
            .roster()
            .participant_changes()
            .wrapping_sub(LEFT);
        fan_in
    }

    fn with(
        segment: &Owned,
        ring_geometry: RingGeometry,
        participant: Participant,
        is_earlier: bool,
    ) -> FanIn {
        let slot = || Slot {
            process_word: 0,
            dead: None,
            // A lane whose slot has another epoch may have messages.
            slot_epoch: first_epoch(segment.generation),
            beginning: 0,
            process: None,
            lane: SlotLane::Unopened,
        };
        FanIn {
            lanes: Lanes::new(
                (!is_earlier).then(|| Told::new(segment.control(), segment.roster())),
            ),
            slots: (0..segment.geometry.lanes()).map(|_| slot()).collect(),
            source: segment.lane_source(),
            ring_geometry,
            is_inherited: is_earlier,
            participant_changes: FIRST_CHANGES,
            idle: 0,
            is_registered: false,
            looked_for_deaths: Instant::now(),
            asked_each: AskedEach::default(),
            had_senders: false,
            last: DisconnectReason::Closed,
            failed: None,
            has_failed: false,
            peer_watch: PeerWatch::default(),
            participant,
        }
    }

    /// Makes this the fan-in of an earlier generation.
    // layout: L263
    pub fn become_earlier(&mut self) {
        self.lanes.become_earlier();
    }

    /// Maps the lane of a slot, which has memory, unless that was done before. Returns the index of the
    /// lane.
    // layout: L160
    fn open_lane(&mut self, slot: usize, prefault: bool) -> Result<Option<usize>> {
        let known = self.slots[slot].lane;
        if let SlotLane::Open(_) | SlotLane::LeftOut = known {
            return Ok(known.index());
        }
        let (lane, cursor) = self.source.map(slot, prefault)?;
        let geometry = self.ring_geometry;
        let reader = match self.is_inherited {
            true => LosslessReader::resume(lane.ring, cursor, geometry),
            false => Some(LosslessReader::new(lane.ring, cursor, geometry)),
        };
        let index = reader.map(|reader| self.lanes.add(slot, reader));
        self.slots[slot].lane = index.map_or(SlotLane::LeftOut, SlotLane::Open);
        Ok(index)
    }

    /// Returns whether no message and no sender is left here. It is called after a look that found
    /// nothing.
    pub fn is_done(&self) -> bool {
        self.lanes.are_done()
            && !self.has_failed
            && self.participant.roster().participant_changes() == self.participant_changes
    }

    /// Copies from an earlier generation whether there were senders, and the disconnect reason of
    /// the last one. These senders have not reattached. A second call copies nothing.
    pub fn learn_of_senders_in(&mut self, earlier: &mut FanIn) {
        if std::mem::take(&mut earlier.had_senders) && !self.had_senders {
            self.had_senders = true;
            self.last = earlier.last;
        }
    }

    /// Returns the error of a lane that could not be mapped, once.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failed.take()
    }

    /// Finds the next message, of any length, if it is directly behind the last message, as most
    /// are. The message stays in shared memory.
    #[inline]
    pub fn find_quickly(&mut self) -> Option<usize> {
        if !self.participant.validity.is_valid()
            || self.participant.roster().participant_changes() != self.participant_changes
        {
            return None;
        }
        self.lanes.current_mut()?.reader.find_quickly()
    }

    /// Finds the next message, which stays in shared memory. Looks at each polled lane once, beginning
    /// behind the lane of the last turn.
    // layout: L116
    pub fn find(&mut self) -> Step {
        if self.participant.validity.is_faulty() {
            return Step::Nothing;
        }
        if self.participant.roster().participant_changes() != self.participant_changes {
            self.look_for_participants();
        }
        self.search()
    }

    /// Finds the next message of the participants that are known.
    // layout: L115 L255
    #[inline]
    pub fn search(&mut self) -> Step {
        if self.participant.roster().has_news() {
            self.take_news();
        }
        let is_quiet = self.lanes.begin_look();

        let FanIn {
            lanes, participant, ..
        } = self;
        let step = lanes.find(|slot| participant.wake(WakeTarget::Slot(slot)));
        // A receiver that is busy makes no system call.
        if is_quiet {
            self.check_deaths();
        }
        step
    }

    /// Polls the lanes whose senders have told of a message.
    // layout: L255 L260
    #[cold]
    fn take_news(&mut self) {
        let index_of = |slot: usize| self.slots.get(slot)?.lane.index();
        let news = self.participant.roster().take_news();
        self.lanes.take_news(news.filter_map(index_of));
    }

    /// Looks for dead participants if the last look was long ago.
    #[cold]
    fn check_deaths(&mut self) {
        if self.looked_for_deaths.elapsed() > LOOK_FOR_DEATHS {
            self.look_for_deaths();
            if self.has_failed {
                self.look_at_the_table();
            }
        }
    }

    /// Reads the roster again after a participant has joined or left.
    // layout: L116 L117
    #[cold]
    fn look_for_participants(&mut self) {
        let participant_changes = self.participant.roster().participant_changes();
        // A sender may have joined, sent and left since the last look. A leave alone does not show
        // that: the owner may have seen and reported that a sender left before the leave was
        // counted.
        self.had_senders |= has_joined(self.participant_changes, participant_changes);
        self.participant_changes = participant_changes;
        self.last = DisconnectReason::Closed;
        // Deaths come first, since no participant reports them.
        self.look_for_deaths();
        self.look_at_the_table();
        // A sender may have joined, sent and left with the slot epoch that the last look has seen.
        self.lanes.activate_all();
    }

    /// Notes the participants that have joined and left. It is also called before each sleep:
    /// PARTICIPANT_CHANGES may have come back to the same value, after 65536 joins and 65535
    /// leaves.
    // layout: L053 L116 L236 L237
    fn look_at_the_table(&mut self) {
        self.has_failed = false;
        for slot in 0..self.slots.len() {
            let roster = self.participant.roster();
            let process_word = match roster.state(slot) {
                roster::state::ACTIVE => roster.process_word(slot),
                _ => 0,
            };
            let slot_epoch = roster.slot_epoch(slot);
            let beginning = roster.beginning(slot);
            let known = &mut self.slots[slot];
            if let Some(dead) = known
                .dead
                .take_if(|dead| *dead == (process_word, slot_epoch))
            {
                match self.participant.kernel().evict(slot, dead.0) {
                    Eviction::Failed => known.dead = Some(dead),
                    Eviction::Freed => {
                        self.participant_changes = self.participant_changes.wrapping_add(LEFT);
                    }
                    Eviction::Gone => {}
                }
                continue;
            }
            known.dead = None;
            // Loaded at each look: an earlier look may have happened while the client was joining.
            known.beginning = beginning;
            if (process_word, slot_epoch) != (known.process_word, known.slot_epoch) {
                self.note_change(slot, process_word, slot_epoch);
            }
        }
    }

    /// Notes that a slot has another participant, or that its participant has left. The lane may have
    /// messages of participants that have come and gone.
    // layout: L253 L257
    fn note_change(&mut self, slot: usize, process_word: u64, slot_epoch: u32) {
        // A participant gets memory for its lane before it has the slot epoch, so a lane without memory
        // is empty. The next look tries again.
        if self.slots[slot].lane.index().is_none() && self.source.commit(slot).is_err() {
            return;
        }
        let index = match self.open_lane(slot, false) {
            Ok(index) => index,
            Err(error) => {
                // The next look tries again. The error is reported once for each participant.
                self.has_failed = true;
                let failed = SlotLane::Failed(slot_epoch);
                if std::mem::replace(&mut self.slots[slot].lane, failed) != failed {
                    self.failed = Some(error);
                }
                return;
            }
        };

        let known = &mut self.slots[slot];
        if known.process_word != 0 {
            self.last = DisconnectReason::Closed;
        }
        known.process_word = process_word;
        known.slot_epoch = slot_epoch;
        known.process = None;
        self.had_senders |= process_word != 0;
        if let Some(index) = index {
            self.lanes.set_sender(index, process_word != 0);
            self.lanes.activate(index);
        }
    }

    /// Opens the parkers of the participants. That may take time, so a call that does not wait does
    /// not open them.
    fn meet_all(&mut self) {
        for slot in 0..self.slots.len() {
            if self.slots[slot].process_word != 0 {
                self.participant.open_parker(slot);
            }
        }
    }

    /// Frees the slots of dead participants. The messages that they have sent stay in the lanes,
    /// and are received.
    // layout: L106 L120 L238
    #[cold]
    pub fn look_for_deaths(&mut self) {
        let now = Instant::now();
        self.looked_for_deaths = now;
        let asks = self.asked_each.is_due(now);

        let mut has_left = false;
        for (slot, known) in self.slots.iter_mut().enumerate() {
            if known.process_word == 0 {
                continue;
            }
            if known.process.is_none() {
                match self.participant.kernel().watch(slot) {
                    Ok(Some(process)) => known.process = Some(process),
                    Ok(None) => {}
                    // The system cannot tell, so the process counts as alive.
                    Err(_) => continue,
                }
            }

            let is_alive = |one: &Process| !one.is_known_to_have_ended(asks);
            if known.process.as_ref().is_some_and(is_alive) {
                continue;
            }
            let kernel = self.participant.kernel();
            if !kernel.has_died(known.process.take(), slot, known.process_word) {
                continue;
            }

            match kernel.evict(slot, known.process_word) {
                // The participant has left in good order, which the table tells.
                Eviction::Gone => {
                    has_left = true;
                    continue;
                }
                Eviction::Freed => {
                    self.participant_changes = self.participant_changes.wrapping_add(LEFT);
                }
                Eviction::Failed => known.dead = Some((known.process_word, known.slot_epoch)),
            }
            self.last = DisconnectReason::Died;
            known.process_word = 0;
            if let Some(index) = known.lane.index() {
                self.lanes.set_sender(index, false);
            }
            // The participant may have died before it told of its last message.
            self.lanes.look_everywhere_next();
        }
        if has_left {
            self.look_at_the_table();
        }
    }

    /// Returns whether there is a participant whose death would not end a sleep.
    fn has_unwatched(&self) -> bool {
        let unwatched = |slot: &Slot| slot.process_word != 0 && slot.process.is_none();
        self.slots.iter().any(unwatched)
    }

    /// Returns the disconnect reason of the last sender if all senders have gone and every message
    /// was received. Returns the reason only once.
    // layout: L119
    #[inline]
    pub fn deserted(&mut self) -> Option<DisconnectReason> {
        if !self.is_deserted() {
            return None;
        }
        self.had_senders = false;
        Some(self.last)
    }

    /// Copies the next message to the beginning of `to`, if it is a short message directly behind
    /// the last message.
    #[inline(always)]
    pub fn receive_quickly(&mut self, to: &mut [u8]) -> Option<usize> {
        if !self.participant.validity.is_valid()
            || self.participant.roster().participant_changes() != self.participant_changes
        {
            return None;
        }
        self.lanes.current_mut()?.reader.receive_quickly(to)
    }

    /// Copies a part of the message that was found last. The message is in the lane whose turn it
    /// is.
    pub fn copy(&self, at: usize, to: &mut [u8]) {
        self.lanes.found().reader.copy(at, to);
    }

    /// Returns the bytes of the message that was found last, in shared memory.
    pub fn bytes(&self) -> *const u8 {
        self.lanes.found().reader.bytes()
    }

    /// Returns the time stamp of the message that was found last, if it has one.
    #[inline]
    pub fn stamp(&self) -> Option<u64> {
        self.lanes.found().reader.stamp()
    }

    /// Returns the slot of the sender of the message that was found last.
    pub fn turn(&self) -> usize {
        self.lanes.found().slot
    }

    /// Returns the tag of the message that was found last.
    pub fn tag(&self) -> u32 {
        self.lanes.found().reader.tag()
    }

    /// Returns the slot epoch of the participant that has sent the message that was found last;
    /// `None` if that participant has gone.
    // layout: L151
    #[inline]
    pub fn sender(&mut self) -> Option<u32> {
        // A participant is counted before it sends. So a changed count shows that the lane may have
        // another participant than at the last look.
        if self.participant.roster().participant_changes() != self.participant_changes {
            self.look_for_participants();
        }
        let lane = self.lanes.found();
        let slot = &self.slots[lane.slot];
        let is_there = slot.process_word != 0 && lane.reader.position() >= slot.beginning;
        is_there.then_some(slot.slot_epoch)
    }

    /// Returns the process that has sent the message that was found last, as its slot says; `None` if
    /// that participant has gone.
    // layout: L251
    pub fn sender_process(&self) -> Option<ProcessIdentity> {
        let lane = self.lanes.found();
        let sender = self.participant.roster().sender(lane.slot)?;
        let is_its = lane.reader.position() >= sender.beginning;
        is_its.then_some(sender.identity)
    }

    /// Makes this fan-in belong to the same endpoint as the fan-in of the generation before.
    pub fn stay(&mut self, before: &mut FanIn) {
        self.participant.stay(&mut before.participant);
    }

    /// Returns the fault that the next call has to return instead of a message.
    #[inline(always)]
    pub fn check(&self) -> Result<(), Fault> {
        self.participant.validity.check()
    }

    /// Returns whether this process was forked from the process that receives here.
    pub fn is_forked(&self) -> bool {
        self.participant.validity.is_forked()
    }

    /// Returns the fault of the endpoint, as the error of a call that sends and receives no
    /// message.
    pub fn check_call(&self) -> Result<()> {
        self.participant.check()
    }

    /// Continues behind the message that was found last.
    #[inline]
    pub fn pass(&mut self) {
        let lane = self.lanes.found_mut();
        lane.reader.pass();
        if lane.reader.has_freed() {
            self.participant.wake(WakeTarget::Slot(lane.slot));
        }
    }

    /// Continues behind the message that was found last, which stays in its lane until it is
    /// [released](FanIn::release).
    pub fn pass_ahead(&mut self) -> Kept {
        self.lanes.found_mut().reader.pass_ahead()
    }

    /// Gives up a message of the lane of a slot that was passed ahead.
    pub fn release(&mut self, slot: usize, kept: Kept) {
        let Some(index) = self.slots.get(slot).and_then(|slot| slot.lane.index()) else {
            return;
        };
        let reader = &mut self.lanes.get_mut(index).reader;
        reader.release(kept);
        if reader.has_freed() {
            self.participant.wake(WakeTarget::Slot(slot));
        }
    }

    /// Stops reading the lane whose turn it is, since its records are invalid.
    // layout: L181
    #[cold]
    pub fn give_up(&mut self) -> Step {
        self.lanes.give_up()
    }

    /// Returns whether there is a reason to look for messages.
    pub fn has_news(&mut self) -> bool {
        self.idle = self.idle.wrapping_add(1);
        let is_time = self.idle.is_multiple_of(LOOKS);
        if is_time {
            self.check_deaths();
        }
        if self.participant.roster().has_news() {
            self.take_news();
        }
        // The look that follows has to find what this function has found.
        let everywhere = is_time || self.is_registered || self.lanes.looks_everywhere_next();
        let has_news = self.has_news_in_memory(everywhere);
        if everywhere && has_news {
            self.lanes.look_everywhere_next();
        }
        has_news || self.participant.validity.is_faulty()
    }

    /// Returns whether there is a reason to look for messages, as far as memory shows. Looks at every
    /// lane, or only at those that are polled.
    // layout: L090 L256
    fn has_news_in_memory(&self, everywhere: bool) -> bool {
        has_news(
            &self.lanes,
            self.participant_changes,
            self.participant.roster(),
            everywhere,
        )
    }

    /// Returns whether it has to be reported that all senders have gone.
    pub fn is_deserted(&self) -> bool {
        self.lanes.are_done() && self.had_senders && !self.has_failed
    }

    /// Registers the owner's event and the processes of the senders; see
    /// [`Wait`](crate::wait::source::Wait).
    pub fn register(&mut self, signals: &mut Signals) -> Result<()> {
        self.participant.register(signals)?;
        self.is_registered = true;
        self.watch_peers(signals);
        Ok(())
    }

    /// Adds the processes of the senders to the signals.
    pub fn watch_peers(&mut self, signals: &mut Signals) {
        self.look_for_deaths();
        self.look_at_the_table();
        self.meet_all();
        peers(&self.slots).for_each(|peer| peer.add_to(signals));
        if self.has_unwatched() {
            signals.look_again_in(LOOK_BACK);
        }
    }

    pub fn deregister(&mut self) {
        self.is_registered = false;
        self.lanes.look_everywhere_next();
        self.participant.deregister();
    }

    /// Sleeps until there is a reason to look again, here or in an earlier generation, or until the
    /// deadline.
    // layout: L091 L120 L162
    #[cold]
    pub fn sleep(&mut self, earlier: &mut [&mut FanIn], until: Option<Instant>) -> Result<()> {
        self.look_for_deaths();
        self.look_at_the_table();
        self.meet_all();
        earlier.iter_mut().for_each(|one| one.look_for_deaths());

        let rest = peers_by_slot(&self.slots).skip(MAX_PEERS);
        let is_complete = self.peer_watch.watch(rest, &self.participant);
        let until = match earlier.is_empty() && !self.has_unwatched() && is_complete {
            true => until,
            // A participant that leaves an earlier generation wakes only the owner of that
            // generation.
            false => deadline_within(LOOK_BACK, until),
        };

        let FanIn {
            lanes,
            slots,
            participant_changes,
            participant,
            ..
        } = self;
        let others = earlier.iter().flat_map(|one| peers(&one.slots));
        // The processes of this generation come first, since there may be more processes than one
        // sleep can watch.
        let peers: Vec<&Process> = peers(slots).chain(others).take(MAX_PEERS).collect();
        let roster = participant.roster().clone();

        let ready = || {
            has_news(lanes, *participant_changes, &roster, true)
                || earlier.iter().any(|one| one.has_news_in_memory(true))
        };

        let has_peer_died = participant.park(ready, &peers, until);
        self.lanes.look_everywhere_next();
        if has_peer_died? || self.peer_watch.has_told() {
            self.look_for_deaths();
            earlier.iter_mut().for_each(|one| one.look_for_deaths());
        }
        Ok(())
    }
}

/// Stores the owner's cursor at the beginning of each lane of a new generation.
pub(crate) fn begin_cursors(segment: &Owned, ring_geometry: RingGeometry) {
    for lane in 0..segment.geometry.lanes() {
        begin_cursor(&segment.cursor(lane), ring_geometry);
    }
}

/// Returns whether there is a reason to look for messages. Looks at every lane, or only at those that
/// are polled.
// layout: L090 L256
fn has_news(lanes: &Lanes, participant_changes: u32, roster: &Roster, everywhere: bool) -> bool {
    roster.participant_changes() != participant_changes || lanes.has_news(everywhere)
}
