//! Where many senders' lanes come in, at the owner: each is looked at in its turn, and who
//! comes and goes is noticed.

use crate::error::Result;
use crate::error::channel::{DisconnectReason, Fault};
use crate::format::layout::{FIRST_CHANGES, roster};
use crate::lane::Step;
use crate::lane::lossless::LosslessReader;
use crate::lane::ring::RingGeometry;
use crate::object::process::Process;
use crate::os::{LOOK_BACK, MAX_PEERS, ValidityBackend, deadline_within};
use crate::segment::participant::{Participant, has_died};
use crate::segment::roster::{LEFT, Roster, has_joined};
use crate::segment::{Cursor, Owned};
use crate::sync::{Round, Window, WindowMut};
use crate::wait::source::Signals;
use std::time::Instant;

/// So many bytes of one sender are received in a row before the others are looked at, or of
/// the only one.
// layout: L115
const TURN: u64 = 8192;
const ALONE: u64 = 1 << 60;
/// How many looks in vain go between two questions whether the senders are alive, for
/// those who never sleep.
const LOOKS: u32 = 4096;

/// The owner's end of all lanes that others write.
#[derive(Debug)]
pub(crate) struct FanIn {
    lanes: Vec<Lane>,
    /// Bit i: lane i is looked at.
    active: u64,
    /// The lane whose turn it is.
    turn: usize,
    participant_changes: u32,
    /// Bit i: lane i is never looked at.
    left_out: u64,
    idle: u32,
    /// Somebody was there, and how the last of them went.
    had_senders: bool,
    last: DisconnectReason,
    participant: Participant,
}

type LaneReader = LosslessReader<Window<Round>, WindowMut<Cursor>>;

#[derive(Debug)]
struct Lane {
    reader: LaneReader,
    /// The word of whoever sends here, or 0.
    process_word: u64,
    slot_epoch: u32,
    /// What stands before this was sent by an earlier one.
    beginning: u64,
    process: Option<Process>,
}

impl FanIn {
    /// Of a segment that nobody has joined yet.
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

    /// Of a generation that another owner has read from, and others may be in still.
    // layout: L160
    pub fn inherit(
        segment: &Owned,
        ring_geometry: RingGeometry,
        participant: Participant,
    ) -> Result<FanIn> {
        let mut left_out = 0;
        let mut fan_in = FanIn::with(segment, participant, false, |lane, ring| {
            let reader = LosslessReader::resume(ring.clone(), segment.cursor(lane), ring_geometry);
            // Where that cannot be, what stands there is left alone.
            reader.unwrap_or_else(|| {
                left_out |= 1 << lane;
                LosslessReader::new(ring, segment.cursor(lane), ring_geometry)
            })
        })?;
        fan_in.left_out = left_out;
        // Somebody may have come, and all are to be looked at.
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

    /// Whether nothing is left here, and nobody who would send more; to be asked after a look
    /// that found nothing.
    pub fn is_done(&self) -> bool {
        self.active == 0
            && self.participant.roster().participant_changes() == self.participant_changes
    }

    /// Takes note of who was in an earlier generation and came no further.
    pub fn learn_of_senders_in(&mut self, earlier: &FanIn) {
        if earlier.had_senders && !self.had_senders {
            self.had_senders = true;
            self.last = earlier.last;
        }
    }

    /// The next message, of any length, where it is as most are: behind the last one. It stays
    /// there.
    #[inline]
    pub fn find_quickly(&mut self) -> Option<usize> {
        if !self.participant.validity.is_valid()
            || self.participant.roster().participant_changes() != self.participant_changes
        {
            return None;
        }
        self.lanes[self.turn].reader.find_quickly()
    }

    /// Looks at a lane for a message, which stays where it is.
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
                    // Everything that was ever sent here was received.
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

    /// Finds the next message, which stays where it is: looks at each lane once, beginning
    /// behind the one whose turn it was.
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

    /// After somebody joined or left.
    // layout: L116 L117
    #[cold]
    fn look_for_participants(&mut self) {
        let participant_changes = self.participant.roster().participant_changes();
        // Somebody may have come, sent and gone since the last look. That one has gone is no
        // sign of it: who was seen to leave before it was counted was told of already.
        self.had_senders |= has_joined(self.participant_changes, participant_changes);
        self.participant_changes = participant_changes;
        self.last = DisconnectReason::Closed;
        // The deaths before it, which are told by nobody.
        self.look_for_deaths();
        self.look_at_the_table();
        self.active = u64::MAX >> (u64::BITS as usize - self.lanes.len()) & !self.left_out;
    }

    /// Takes note of those who have come and gone. Before each sleep, too: what is counted may have
    /// come back to a value, after 65536 joins and 65535 leaves.
    // layout: L053 L116 L236 L237
    fn look_at_the_table(&mut self) {
        for (slot, lane) in self.lanes.iter_mut().enumerate() {
            let process_word = match self.participant.roster().state(slot) {
                roster::state::ACTIVE => self.participant.roster().process_word(slot),
                _ => 0,
            };
            let slot_epoch = self.participant.roster().slot_epoch(slot);
            // At each look: an earlier one may have come while the client was joining.
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

    /// Opens the events of those who take part, which may have to be waited for: not in a call that
    /// does not wait.
    fn meet_all(&mut self) {
        let there = self.lanes.iter().enumerate();
        for (slot, _) in there.filter(|(_, lane)| lane.process_word != 0) {
            self.participant.open_event(slot);
        }
    }

    /// Frees the slots of the dead. What they sent stays to be received.
    // layout: L106 L120 L238
    #[cold]
    pub fn look_for_deaths(&mut self) {
        for (slot, lane) in self.lanes.iter_mut().enumerate() {
            if lane.process_word == 0 {
                continue;
            }
            if lane.process.is_none() {
                match self.participant.watch(slot, lane.process_word) {
                    Ok(Some(process)) => lane.process = Some(process),
                    Ok(None) => {}
                    // It cannot be told, and so is taken for alive.
                    Err(_) => continue,
                }
            }
            let has_ended = |process: &Process| matches!(process.has_ended(), Ok(true));
            if lane.process.as_ref().is_some_and(|one| !has_ended(one)) {
                continue;
            }
            if !has_died(lane.process.take(), lane.process_word) {
                continue;
            }
            if self.participant.roster().evict(slot, lane.process_word) {
                self.last = DisconnectReason::Died;
                self.participant_changes = self.participant_changes.wrapping_add(LEFT);
            } else {
                // It had left in good order, and ended right after.
                self.last = DisconnectReason::Closed;
            }
            lane.process_word = 0;
        }
    }

    /// Whether somebody is there whose death would not end a sleep.
    fn has_unwatched(&self) -> bool {
        let unwatched = |lane: &Lane| lane.process_word != 0 && lane.process.is_none();
        self.lanes.iter().any(unwatched)
    }

    /// Whether all have gone and nothing is left of them; told once.
    // layout: L119
    #[inline]
    pub fn deserted(&mut self) -> Option<DisconnectReason> {
        if !self.is_deserted() {
            return None;
        }
        self.had_senders = false;
        Some(self.last)
    }

    /// Copies the next message to the beginning of `to`, where it is a short one behind the
    /// last one.
    #[inline(always)]
    pub fn receive_quickly(&mut self, to: &mut [u8]) -> Option<usize> {
        if !self.participant.validity.is_valid()
            || self.participant.roster().participant_changes() != self.participant_changes
        {
            return None;
        }
        self.lanes[self.turn].reader.receive_quickly(to)
    }

    /// Copies a part of the message that was found last, which is in the lane whose turn it
    /// is.
    pub fn copy(&self, at: usize, to: &mut [u8]) {
        self.lanes[self.turn].reader.copy(at, to);
    }

    /// Its bytes where they stand.
    pub fn bytes(&self) -> *const u8 {
        self.lanes[self.turn].reader.bytes()
    }

    /// The lane that it came by, which has the number of its sender's slot.
    pub fn turn(&self) -> usize {
        self.turn
    }

    /// Its tag.
    pub fn tag(&self) -> u32 {
        self.lanes[self.turn].reader.tag()
    }

    /// Which occupant of the slot has sent it; `None` where that one has gone.
    // layout: L151
    #[inline]
    pub fn sender(&mut self) -> Option<u32> {
        // Whoever has sent it was counted before: it may be another one than was there at the
        // last look.
        if self.participant.roster().participant_changes() != self.participant_changes {
            self.look_for_participants();
        }
        let lane = &self.lanes[self.turn];
        let is_there = lane.process_word != 0 && lane.reader.position() >= lane.beginning;
        is_there.then_some(lane.slot_epoch)
    }

    /// Stays the same endpoint as in the generation before.
    pub fn stay(&mut self, before: &mut FanIn) {
        self.participant.stay(&mut before.participant);
    }

    /// What the next call has to tell instead of a message.
    #[inline(always)]
    pub fn check(&self) -> std::result::Result<(), Fault> {
        self.participant.validity.check()
    }

    /// Whether this process was forked from the one that receives here.
    pub fn is_forked(&self) -> bool {
        self.participant.validity.is_forked()
    }

    /// The same for a call that is no message's.
    pub fn check_call(&self) -> Result<()> {
        self.participant.check()
    }

    /// Goes on behind it.
    #[inline]
    pub fn pass(&mut self) {
        let reader = &mut self.lanes[self.turn].reader;
        reader.pass();
        if reader.has_freed() {
            self.participant.wake(1 << self.turn);
        }
    }

    /// Leaves out the lane whose turn it is, which makes no sense.
    // layout: L181
    #[cold]
    pub fn give_up(&mut self) -> Step {
        self.active &= !(1 << self.turn);
        Step::Corrupt
    }

    /// Whether there is reason to look.
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

    /// Whether it is to be told that all have gone.
    pub fn is_deserted(&self) -> bool {
        self.active == 0 && self.had_senders
    }

    /// Sleeps here, and on the ends of those who send; see [`Wait`](crate::wait::source::Wait).
    pub fn register(&mut self, signals: &mut Signals) -> Result<()> {
        self.participant.register(signals)?;
        self.watch_peers(signals);
        Ok(())
    }

    /// The ends of those who send.
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

    /// Sleeps until there is reason to look again, here or in an earlier generation, or that
    /// moment.
    // layout: L091 L120 L162
    #[cold]
    pub fn sleep(&mut self, earlier: &mut [&mut FanIn], until: Option<Instant>) -> Result<()> {
        self.look_for_deaths();
        self.look_at_the_table();
        self.meet_all();
        earlier.iter_mut().for_each(|one| one.look_for_deaths());
        let until = match earlier.is_empty() && !self.has_unwatched() {
            true => until,
            // Who leaves there rings for the owner that it knows.
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
        // Of more than can be watched at a time, those of this generation.
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

/// Finds a message in the earlier generations, or in the newest one: the messages of a sender in the
/// order in which it sent them.
///
/// A sender leaves an earlier generation for good before it sends in the newest one. So what it sent in
/// the earlier one is there when a message of the newest one is found.
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
        // Between the two looks its sender may have sent there, and then this.
        Step::Message(_) => earlier(endpoint).unwrap_or(step),
        _ => step,
    }
}

/// Whether there is reason to look.
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
