//! The owner's reading of many lanes. The owner reads each lane in its turn, and notices the
//! participants that join, leave or die.
//!
//! ```text
//!   find()
//!     1  PARTICIPANT_CHANGES has changed?   free the slots of the dead, read all slots, and
//!                                           look at all lanes again
//!     2  each active lane, beginning behind the lane of the last turn:
//!          a message                        the turn is this lane's; return the message
//!          nothing, and no sender           the lane is not active any more
//!          an invalid record                the lane is not active any more; return Corrupt
//!     3  nothing in any lane                each 4096th time: free the slots of the dead
//! ```
//!
//! A turn ends after [`TURN`] bytes. Until then, the next message is taken from the same lane,
//! without the search.

use crate::error::Result;
use crate::error::channel::{DisconnectReason, Fault};
use crate::format::layout::{FIRST_CHANGES, roster};
use crate::lane::Step;
use crate::lane::lossless::{Kept, LosslessReader};
use crate::lane::ring::RingGeometry;
use crate::object::process::Process;
use crate::os::{LOOK_BACK, MAX_PEERS, ProcessIdentity, ValidityBackend, deadline_within};
use crate::segment::participant::Participant;
use crate::segment::roster::{Eviction, LEFT, Roster, has_joined};
use crate::segment::{Cursor, Owned};
use crate::sync::{Round, Window, WindowMut};
use crate::wait::source::Signals;
use std::time::Instant;

/// The number of bytes that the owner receives from one sender in a row before it looks at the
/// other lanes. [`ALONE`] is that number if only one lane is active.
// layout: L115
const TURN: u64 = 8192;
const ALONE: u64 = 1 << 60;
/// How many times an owner finds nothing before it checks whether the senders are alive. An owner
/// that never sleeps needs this check.
const LOOKS: u32 = 4096;

/// The owner's end of all lanes that other participants write.
#[derive(Debug)]
pub(crate) struct FanIn {
    lanes: Vec<Lane>,
    /// Bit i: the owner looks at lane i.
    active: u64,
    /// The lane whose turn it is.
    turn: usize,
    participant_changes: u32,
    /// Bit i: the owner never looks at lane i.
    left_out: u64,
    idle: u32,
    /// Whether there were senders since the last report that all senders have gone.
    had_senders: bool,
    /// The disconnect reason of the last sender that has gone.
    last: DisconnectReason,
    participant: Participant,
}

type LaneReader = LosslessReader<Window<Round>, WindowMut<Cursor>>;

#[derive(Debug)]
struct Lane {
    reader: LaneReader,
    /// The process word of the participant that sends here, or 0.
    process_word: u64,
    /// The process word and the slot epoch of a participant that was proved dead, and whose slot could
    /// not be freed.
    dead: Option<(u64, u32)>,
    slot_epoch: u32,
    /// The position of that participant's first record. Everything before this position was sent by
    /// earlier participants.
    beginning: u64,
    process: Option<Process>,
}

impl FanIn {
    /// Creates the fan-in of a segment that no participant has joined yet.
    pub fn new(
        segment: &Owned,
        ring_geometry: RingGeometry,
        participant: Participant,
        prefault: bool,
    ) -> Result<FanIn> {
        FanIn::with(segment, participant, prefault, |lane, ring| {
            LosslessReader::new(ring, segment.cursor(lane), ring_geometry)
        })
    }

    /// Creates the fan-in of a generation that another owner has read, and that may still have
    /// participants.
    // layout: L160
    pub fn inherit(
        segment: &Owned,
        ring_geometry: RingGeometry,
        participant: Participant,
    ) -> Result<FanIn> {
        let mut left_out = 0;
        let mut fan_in = FanIn::with(segment, participant, false, |lane, ring| {
            let reader = LosslessReader::resume(ring.clone(), segment.cursor(lane), ring_geometry);
            // The owner never looks at a lane whose cursor is impossible.
            reader.unwrap_or_else(|| {
                left_out |= 1 << lane;
                LosslessReader::new(ring, segment.cursor(lane), ring_geometry)
            })
        })?;

        fan_in.left_out = left_out;
        // Participants may have joined meanwhile, so the next look reads all slots.
        fan_in.participant_changes = fan_in
            .participant
            .roster()
            .participant_changes()
            .wrapping_sub(LEFT);
        Ok(fan_in)
    }

    fn with(
        segment: &Owned,
        participant: Participant,
        prefault: bool,
        mut reader: impl FnMut(usize, Window<Round>) -> LaneReader,
    ) -> Result<FanIn> {
        let lanes = (0..segment.geometry.lanes()).map(|lane| {
            Ok(Lane {
                reader: reader(lane, segment.lane(lane, prefault)?.ring),
                process_word: 0,
                dead: None,
                slot_epoch: participant.roster().slot_epoch(lane),
                beginning: 0,
                process: None,
            })
        });

        Ok(FanIn {
            lanes: lanes.collect::<Result<Vec<Lane>>>()?,
            active: 0,
            turn: 0,
            participant_changes: FIRST_CHANGES,
            left_out: 0,
            idle: 0,
            had_senders: false,
            last: DisconnectReason::Closed,
            participant,
        })
    }

    /// Returns whether no message and no sender is left here. It is called after a look that found
    /// nothing.
    pub fn is_done(&self) -> bool {
        self.active == 0
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

    /// Finds the next message, of any length, if it is directly behind the last message, as most
    /// are. The message stays in shared memory.
    #[inline]
    pub fn find_quickly(&mut self) -> Option<usize> {
        if !self.participant.validity.is_valid()
            || self.participant.roster().participant_changes() != self.participant_changes
        {
            return None;
        }
        self.lanes[self.turn].reader.find_quickly()
    }

    /// Looks at a lane for a message, which stays in shared memory.
    // layout: L118 L121
    pub fn look_at(&mut self, lane: usize) -> Step {
        let end = &mut self.lanes[lane];
        let step = end.reader.find();
        if end.reader.has_freed() {
            self.participant.wake(1 << lane);
        }

        match step {
            Step::Message(_) => end.reader.begin_turn(match self.active.is_power_of_two() {
                true => ALONE,
                false => TURN,
            }),
            Step::Nothing => {
                if end.process_word == 0 {
                    // Every message of this lane was received, and no sender is left.
                    self.active &= !(1 << lane);
                }
            }
            Step::Corrupt | Step::Lagged(_) | Step::Overtaken => {
                self.active &= !(1 << lane);
                return Step::Corrupt;
            }
        }
        step
    }

    /// Finds the next message, which stays in shared memory. Looks at each lane once, beginning
    /// behind the lane of the last turn.
    // layout: L115 L116
    pub fn find(&mut self) -> Step {
        if self.participant.validity.is_faulty() {
            return Step::Nothing;
        }
        if self.participant.roster().participant_changes() != self.participant_changes {
            self.look_for_participants();
        }

        let mut left = self.active;
        let mut lane = self.turn;
        while left != 0 {
            let ahead = left & u64::MAX << lane << 1;
            lane = if ahead == 0 { left } else { ahead }.trailing_zeros() as usize;
            left &= !(1 << lane);
            match self.look_at(lane) {
                Step::Nothing => {}
                Step::Message(len) => {
                    self.turn = lane;
                    return Step::Message(len);
                }
                step => return step,
            }
        }

        self.idle = self.idle.wrapping_add(1);
        if self.idle.is_multiple_of(LOOKS) {
            self.look_for_deaths();
        }
        Step::Nothing
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
        self.active = u64::MAX >> (u64::BITS as usize - self.lanes.len()) & !self.left_out;
    }

    /// Notes the participants that have joined and left. It is also called before each sleep:
    /// PARTICIPANT_CHANGES may have come back to the same value, after 65536 joins and 65535
    /// leaves.
    // layout: L053 L116 L236 L237
    fn look_at_the_table(&mut self) {
        for (slot, lane) in self.lanes.iter_mut().enumerate() {
            let process_word = match self.participant.roster().state(slot) {
                roster::state::ACTIVE => self.participant.roster().process_word(slot),
                _ => 0,
            };
            let slot_epoch = self.participant.roster().slot_epoch(slot);
            if let Some(dead) = lane
                .dead
                .take_if(|dead| *dead == (process_word, slot_epoch))
            {
                match self.participant.kernel().evict(slot, dead.0) {
                    Eviction::Failed => lane.dead = Some(dead),
                    Eviction::Freed => {
                        self.participant_changes = self.participant_changes.wrapping_add(LEFT);
                    }
                    Eviction::Gone => {}
                }
                continue;
            }
            lane.dead = None;
            // Loaded at each look: an earlier look may have happened while the client was joining.
            lane.beginning = self.participant.roster().beginning(slot);
            if (process_word, slot_epoch) == (lane.process_word, lane.slot_epoch) {
                continue;
            }

            if lane.process_word != 0 {
                self.last = DisconnectReason::Closed;
            }
            lane.process_word = process_word;
            lane.slot_epoch = slot_epoch;
            lane.process = None;
            self.active |= 1 << slot & !self.left_out;
            self.had_senders |= process_word != 0;
        }
    }

    /// Opens the parkers of the participants. That may take time, so a call that does not wait does
    /// not open them.
    fn meet_all(&mut self) {
        let there = self.lanes.iter().enumerate();
        for (slot, _) in there.filter(|(_, lane)| lane.process_word != 0) {
            self.participant.open_parker(slot);
        }
    }

    /// Frees the slots of dead participants. The messages that they have sent stay in the lanes,
    /// and are received.
    // layout: L106 L120 L238
    #[cold]
    pub fn look_for_deaths(&mut self) {
        let mut has_left = false;
        for (slot, lane) in self.lanes.iter_mut().enumerate() {
            if lane.process_word == 0 {
                continue;
            }
            if lane.process.is_none() {
                match self.participant.kernel().watch(slot) {
                    Ok(Some(process)) => lane.process = Some(process),
                    Ok(None) => {}
                    // The system cannot tell, so the process counts as alive.
                    Err(_) => continue,
                }
            }

            let has_ended = |process: &Process| matches!(process.has_ended(), Ok(true));
            if lane.process.as_ref().is_some_and(|one| !has_ended(one)) {
                continue;
            }
            let kernel = self.participant.kernel();
            if !kernel.has_died(lane.process.take(), slot, lane.process_word) {
                continue;
            }

            match kernel.evict(slot, lane.process_word) {
                // The participant has left in good order, which the table tells.
                Eviction::Gone => {
                    has_left = true;
                    continue;
                }
                Eviction::Freed => {
                    self.participant_changes = self.participant_changes.wrapping_add(LEFT);
                }
                Eviction::Failed => lane.dead = Some((lane.process_word, lane.slot_epoch)),
            }
            self.last = DisconnectReason::Died;
            lane.process_word = 0;
        }
        if has_left {
            self.look_at_the_table();
        }
    }

    /// Returns whether there is a participant whose death would not end a sleep.
    fn has_unwatched(&self) -> bool {
        let unwatched = |lane: &Lane| lane.process_word != 0 && lane.process.is_none();
        self.lanes.iter().any(unwatched)
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
        self.lanes[self.turn].reader.receive_quickly(to)
    }

    /// Copies a part of the message that was found last. The message is in the lane whose turn it
    /// is.
    pub fn copy(&self, at: usize, to: &mut [u8]) {
        self.lanes[self.turn].reader.copy(at, to);
    }

    /// Returns the bytes of the message that was found last, in shared memory.
    pub fn bytes(&self) -> *const u8 {
        self.lanes[self.turn].reader.bytes()
    }

    /// Returns the lane of the message that was found last. A lane has the number of its sender's
    /// slot.
    pub fn turn(&self) -> usize {
        self.turn
    }

    /// Returns the tag of the message that was found last.
    pub fn tag(&self) -> u32 {
        self.lanes[self.turn].reader.tag()
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
        let lane = &self.lanes[self.turn];
        let is_there = lane.process_word != 0 && lane.reader.position() >= lane.beginning;
        is_there.then_some(lane.slot_epoch)
    }

    /// Returns the process that has sent the message that was found last, as its slot says; `None` if
    /// that participant has gone.
    // layout: L251
    pub fn sender_process(&self) -> Option<ProcessIdentity> {
        let sender = self.participant.roster().sender(self.turn)?;
        let is_its = self.lanes[self.turn].reader.position() >= sender.beginning;
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
        let reader = &mut self.lanes[self.turn].reader;
        reader.pass();
        if reader.has_freed() {
            self.participant.wake(1 << self.turn);
        }
    }

    /// Continues behind the message that was found last, which stays in its lane until it is
    /// [released](FanIn::release).
    pub fn pass_ahead(&mut self) -> Kept {
        self.lanes[self.turn].reader.pass_ahead()
    }

    /// Gives up a message of a lane that was passed ahead.
    pub fn release(&mut self, lane: usize, kept: Kept) {
        let reader = &mut self.lanes[lane].reader;
        reader.release(kept);
        if reader.has_freed() {
            self.participant.wake(1 << lane);
        }
    }

    /// Stops reading the lane whose turn it is, since its records are invalid.
    // layout: L181
    #[cold]
    pub fn give_up(&mut self) -> Step {
        self.active &= !(1 << self.turn);
        Step::Corrupt
    }

    /// Returns whether there is a reason to look for messages.
    pub fn has_news(&mut self) -> bool {
        self.idle = self.idle.wrapping_add(1);
        if self.idle.is_multiple_of(LOOKS) {
            self.look_for_deaths();
        }
        self.participant.validity.is_faulty()
            || has_news(
                &self.lanes,
                self.active,
                self.participant_changes,
                self.participant.roster(),
            )
    }

    /// Returns whether it has to be reported that all senders have gone.
    pub fn is_deserted(&self) -> bool {
        self.active == 0 && self.had_senders
    }

    /// Registers the owner's event and the processes of the senders; see
    /// [`Wait`](crate::wait::source::Wait).
    pub fn register(&mut self, signals: &mut Signals) -> Result<()> {
        self.participant.register(signals)?;
        self.watch_peers(signals);
        Ok(())
    }

    /// Adds the processes of the senders to the signals.
    pub fn watch_peers(&mut self, signals: &mut Signals) {
        self.look_for_deaths();
        self.look_at_the_table();
        self.meet_all();
        peers(&self.lanes).for_each(|peer| peer.add_to(signals));
        if self.has_unwatched() {
            signals.look_again_in(LOOK_BACK);
        }
    }

    pub fn deregister(&mut self) {
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

        let until = match earlier.is_empty() && !self.has_unwatched() {
            true => until,
            // A participant that leaves an earlier generation wakes only the owner of that
            // generation.
            false => deadline_within(LOOK_BACK, until),
        };

        let FanIn {
            lanes,
            active,
            participant_changes,
            participant,
            ..
        } = self;
        let others = earlier.iter().flat_map(|one| peers(&one.lanes));
        // The processes of this generation come first, since there may be more processes than one
        // sleep can watch.
        let peers: Vec<&Process> = peers(lanes).chain(others).take(MAX_PEERS).collect();
        let roster = participant.roster().clone();

        let ready = || {
            has_news(lanes, *active, *participant_changes, &roster)
                || earlier.iter().any(|one| {
                    has_news(
                        &one.lanes,
                        one.active,
                        one.participant_changes,
                        one.participant.roster(),
                    )
                })
        };

        if participant.park(ready, &peers, until)? {
            self.look_for_deaths();
            earlier.iter_mut().for_each(|one| one.look_for_deaths());
        }
        Ok(())
    }
}

/// Finds a message in the earlier generations, or in the newest generation, so that the messages of
/// each sender keep their order.
///
/// A sender leaves an earlier generation for good before it sends in the newest one. So when a
/// message of the newest generation is found, all messages that its sender has sent in the earlier
/// generation are visible.
// layout: L161
pub(crate) fn in_order<E>(
    endpoint: &mut E,
    earlier: impl Fn(&mut E) -> Option<Step>,
    newest: impl Fn(&mut E) -> Step,
) -> Step {
    if let Some(step) = earlier(endpoint) {
        return step;
    }
    let step = newest(endpoint);
    match step {
        // Between the two looks, the sender may have sent a message in the earlier generation and
        // then this message.
        Step::Message(_) => earlier(endpoint).unwrap_or(step),
        _ => step,
    }
}

/// Returns whether there is a reason to look for messages.
// layout: L090
fn has_news(lanes: &[Lane], active: u64, participant_changes: u32, roster: &Roster) -> bool {
    let is_active = |(n, _): &(usize, &Lane)| active & 1 << n != 0;
    let mut lanes = lanes.iter().enumerate().filter(is_active);
    roster.participant_changes() != participant_changes
        || lanes.any(|(_, lane)| lane.process_word == 0 || !lane.reader.is_empty())
}

fn peers(lanes: &[Lane]) -> impl Iterator<Item = &Process> {
    lanes.iter().filter_map(|lane| lane.process.as_ref())
}
