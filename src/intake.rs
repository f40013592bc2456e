//! Where many senders' lanes come in, at the owner: each is looked at in its turn, and who
//! comes and goes is noticed.

use crate::error::Result;
use crate::exchange::Departure;
use crate::lane::Step;
use crate::lane::gated::GatedReader;
use crate::layout::roster;
use crate::process::Process;
use crate::roster::{LEFT, has_joined, watch};
use crate::seat::Seat;
use crate::segment::{Cursor, Owned};
use crate::sync::{Round, Window, WindowMut};
use std::time::Instant;

/// So many bytes of one sender are received in a row before the others are looked at, or of
/// the only one.
const TURN: u64 = 8192;
const ALONE: u64 = 1 << 60;
/// How many looks in vain go between two questions whether the senders are alive, for
/// those who never sleep.
const LOOKS: u32 = 4096;

/// The owner's end of all lanes that others write.
#[derive(Debug)]
pub(crate) struct Intake {
    lanes: Vec<Lane>,
    /// Bit i: lane i is looked at.
    active: u64,
    /// The lane whose turn it is.
    turn: usize,
    members: u32,
    idle: u32,
    /// Somebody was there, and how the last of them went.
    had_senders: bool,
    last: Departure,
    seat: Seat,
}

#[derive(Debug)]
struct Lane {
    reader: GatedReader<Window<Round>, WindowMut<Cursor>>,
    /// The word of whoever sends here, or 0.
    tenant: u64,
    process: Option<Process>,
}

impl Intake {
    /// Of a segment that nobody has joined yet.
    pub fn new(segment: &Owned, seat: Seat, prefault: bool) -> Result<Intake> {
        let lanes = (0..segment.measures.lanes).map(|lane| {
            let mapped = segment.lane(lane, prefault)?;
            let cursor = segment.cursor(lane);
            Ok(Lane {
                reader: GatedReader::new(mapped.ring, cursor, segment.measures.shape),
                tenant: 0,
                process: None,
            })
        });
        Ok(Intake {
            lanes: lanes.collect::<Result<Vec<Lane>>>()?,
            active: 0,
            turn: 0,
            members: 0,
            idle: 0,
            had_senders: false,
            last: Departure::Closed,
            seat,
        })
    }

    /// The next message, of any length, where it is as most are: behind the last one. It stays
    /// there.
    #[inline]
    pub fn find_quickly(&mut self) -> Option<usize> {
        if self.seat.roster().members() != self.members {
            return None;
        }
        self.lanes[self.turn].reader.find_quickly()
    }

    /// Looks at a lane for a message, which stays where it is.
    fn look_at(&mut self, lane: usize) -> Step {
        let end = &mut self.lanes[lane];
        let step = end.reader.find();
        if end.reader.has_freed() {
            self.seat.wake(1 << lane);
        }
        match step {
            Step::Message(_) => end.reader.begin_turn(match self.active.is_power_of_two() {
                true => ALONE,
                false => TURN,
            }),
            Step::Nothing => {
                if end.tenant == 0 {
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
    pub fn find(&mut self) -> Step {
        if self.seat.roster().members() != self.members {
            self.look_who_is_there();
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
            self.look_who_is_alive();
        }
        Step::Nothing
    }

    /// After somebody joined or left.
    #[cold]
    fn look_who_is_there(&mut self) {
        let members = self.seat.roster().members();
        // Somebody may have come, sent and gone since the last look. That one has gone is no
        // sign of it: who was seen to leave before it was counted was told of already.
        self.had_senders |= has_joined(self.members, members);
        self.members = members;
        // The deaths before it, which are told by nobody.
        self.look_who_is_alive();
        self.last = Departure::Closed;
        for (slot, lane) in self.lanes.iter_mut().enumerate() {
            let who = match self.seat.roster().state(slot) {
                roster::state::ACTIVE => self.seat.roster().who(slot),
                _ => 0,
            };
            if who == lane.tenant {
                continue;
            }
            lane.tenant = who;
            lane.process = None;
            self.had_senders |= who != 0;
        }
        self.active = u64::MAX >> (u64::BITS as usize - self.lanes.len());
    }

    /// Frees the slots of the dead. What they sent stays to be received.
    #[cold]
    fn look_who_is_alive(&mut self) {
        for (slot, lane) in self.lanes.iter_mut().enumerate() {
            if lane.tenant == 0 {
                continue;
            }
            if lane.process.is_none() {
                match watch(lane.tenant) {
                    Ok(Some(process)) => lane.process = Some(process),
                    Ok(None) => {}
                    // It cannot be told, and so is taken for alive.
                    Err(_) => continue,
                }
            }
            let alive = lane
                .process
                .as_ref()
                .is_some_and(|p| !matches!(p.has_ended(), Ok(true)));
            if !alive {
                if self.seat.roster().evict(slot, lane.tenant) {
                    self.last = Departure::Died;
                    self.members = self.members.wrapping_add(LEFT);
                } else {
                    // It had left in good order, and ended right after.
                    self.last = Departure::Closed;
                }
                lane.tenant = 0;
                lane.process = None;
            }
        }
    }

    /// Whether all have gone and nothing is left of them; told once.
    #[inline]
    pub fn deserted(&mut self) -> Option<Departure> {
        if self.active != 0 || !self.had_senders {
            return None;
        }
        self.had_senders = false;
        Some(self.last)
    }

    /// Copies the next message to the beginning of `to`, where it is a short one behind the
    /// last one.
    #[inline(always)]
    pub fn receive_quickly(&mut self, to: &mut [u8]) -> Option<usize> {
        if self.seat.roster().members() != self.members {
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

    /// Which tenant of the slot is there.
    pub fn tenancy(&self) -> u32 {
        self.seat.roster().tenancy(self.turn)
    }

    /// Whether whoever sends by its lane has not gone.
    pub fn is_attended(&self) -> bool {
        self.lanes[self.turn].tenant != 0
    }

    /// Goes on behind it.
    #[inline]
    pub fn pass(&mut self) {
        let reader = &mut self.lanes[self.turn].reader;
        reader.pass();
        if reader.has_freed() {
            self.seat.wake(1 << self.turn);
        }
    }

    /// Sleeps until there is reason to look again, or that moment.
    #[cold]
    pub fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        self.look_who_is_alive();
        let Intake {
            lanes,
            active,
            members,
            seat,
            ..
        } = self;
        let peers: Vec<&Process> = lanes.iter().filter_map(|l| l.process.as_ref()).collect();
        let roster = seat.roster().clone();
        let ready = || {
            let active = |lane: &usize| *active & 1 << lane != 0;
            roster.members() != *members
                || (0..lanes.len())
                    .filter(active)
                    .any(|lane| lanes[lane].tenant == 0 || !lanes[lane].reader.is_empty())
        };
        if seat.park(ready, &peers, until)? {
            self.look_who_is_alive();
        }
        Ok(())
    }
}
