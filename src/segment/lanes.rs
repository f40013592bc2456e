//! The lanes that an owner reads, and which of them it polls at each look.
//!
//! A look at a lane loads a line of the cache that its sender may have changed. With hundreds of
//! senders that are idle, a look at all lanes takes far longer than a message. So the owner polls only
//! the lanes that have had messages lately, and the senders of the other lanes tell it of a message:
//!
//! ```text
//!   sender, after the commit of a message      owner, at each look
//!   bit 62 of ASLEEP is set, and the bit of    NEWS has a bit: clear that bit, take the word in
//!   its lane in WATCHED is not:                  NEWS_OF, set the bits of these lanes in WATCHED, and
//!     set the bit of its lane in NEWS_OF         poll them from now on
//!     set the bit of that word in NEWS         look at the polled lanes
//!   bit 63 of ASLEEP is set: wake the owner    a lane was idle for long: set bit 62 of ASLEEP, clear
//!                                                the bit of the lane in WATCHED, and poll it no more
//! ```
//!
//! A sender loads ASLEEP anyway. So it looks at WATCHED only if there is a lane that is not polled.
//!
//! There is no fence between the commit of a message and the look at WATCHED, since a fence would
//! double the cost of a stream of small messages. So a sender may see that its lane is watched just
//! after the owner has stopped. Therefore WATCHED and NEWS save time, and nothing depends on them: the
//! owner looks at every lane before it sleeps, after each sleep, and with each [`EVERYWHERE`]th look.

use super::{Control, Cursor, watched_at};
use crate::lane::Step;
use crate::lane::lossless::LosslessReader;
use crate::segment::roster::Roster;
use crate::sync::{RingWindow, WindowMut, Words, WordsMut};

/// With each of this many looks the owner looks at every lane.
// layout: L256
const EVERYWHERE: u32 = 1024;
/// After this many looks at every lane without a message, a lane is not polled any more.
const PATIENCE: u8 = 8;
/// The owner does not stop polling a lane if it polls so few: the look at NEWS would take as long.
const FEW: usize = 4;

/// The number of bytes that the owner receives from one sender in a row before it looks at the
/// other lanes. [`ALONE`] is that number if only one lane is active.
// layout: L115
const TURN: u64 = 8192;
const ALONE: u64 = 1 << 60;

pub(super) type LaneReader = LosslessReader<RingWindow, WindowMut<Cursor>>;

/// A lane that a participant has written.
#[derive(Debug)]
pub(super) struct Lane {
    /// The slot whose participants send here.
    pub slot: usize,
    pub reader: LaneReader,
    /// Whether the slot has a participant.
    has_sender: bool,
    /// Whether a sender has the lane, or may have left messages in it.
    is_active: bool,
    is_polled: bool,
    /// The number of looks at every lane since the last message.
    idle: u8,
    /// The number of messages that had been received at the last look at every lane.
    seen: u64,
}

/// The words by which an owner tells the senders which lanes it polls.
#[derive(Debug)]
pub(super) struct Told {
    control: WindowMut<Control>,
    roster: Roster,
    /// Whether the senders know that a lane is not polled.
    has_unwatched: bool,
}

impl Told {
    pub fn new(control: &WindowMut<Control>, roster: &Roster) -> Told {
        Told {
            control: control.clone(),
            roster: roster.clone(),
            has_unwatched: false,
        }
    }

    /// Tells the sender of a slot whether the owner polls its lane.
    // layout: L255
    fn set_watched(&self, slot: usize, is_watched: bool) {
        let (at, bit) = watched_at(slot);
        // Only the owner stores to the word.
        let others = self.control.load64(at) & !bit;
        let word = others | if is_watched { bit } else { 0 };
        self.control.store64(at, word);
    }

    /// Tells all senders whether there is a lane that the owner does not poll.
    // layout: L255
    fn set_unwatched(&mut self, has_unwatched: bool) {
        if self.has_unwatched != has_unwatched {
            self.has_unwatched = has_unwatched;
            self.roster.set_unwatched(has_unwatched);
        }
    }
}

impl Lane {
    /// Returns whether there is a reason to look at this lane.
    fn has_news(&self) -> bool {
        !self.has_sender || !self.reader.is_empty()
    }
}

/// The lanes that an owner reads.
#[derive(Debug)]
pub(super) struct Lanes {
    all: Vec<Lane>,
    /// The index of each lane that is polled at each look.
    polled: Vec<usize>,
    /// The place in `polled` at which the next look begins.
    next: usize,
    /// The index of the lane whose turn it is.
    turn: usize,
    active: usize,
    /// What the senders are told; `None` if the owner polls all active lanes for ever.
    told: Option<Told>,
    /// The number of looks up to and including the next look at every lane. It is never 0.
    until_everywhere: u32,
}

impl Lanes {
    /// Makes the list of the lanes of a generation. `told` tells the senders of the generation in use
    /// which lanes are polled.
    pub fn new(told: Option<Told>) -> Lanes {
        Lanes {
            all: Vec::new(),
            polled: Vec::new(),
            next: 0,
            turn: 0,
            active: 0,
            told,
            until_everywhere: EVERYWHERE,
        }
    }

    /// Adds the lane of a slot, and returns its index.
    pub fn add(&mut self, slot: usize, reader: LaneReader) -> usize {
        self.all.push(Lane {
            slot,
            reader,
            has_sender: false,
            is_active: false,
            is_polled: false,
            idle: 0,
            seen: 0,
        });
        self.all.len() - 1
    }

    /// Makes these the lanes of an earlier generation.
    pub fn become_earlier(&mut self) {
        self.told = None;
        for index in 0..self.all.len() {
            if self.all[index].is_active {
                self.poll(index);
            }
        }
    }

    /// Notes that a lane may have messages.
    pub fn activate(&mut self, index: usize) {
        let lane = &mut self.all[index];
        self.active += usize::from(!lane.is_active);
        lane.is_active = true;
        self.poll(index);
    }

    /// Notes that every lane may have messages.
    pub fn activate_all(&mut self) {
        self.all.iter_mut().for_each(|lane| lane.is_active = true);
        self.active = self.all.len();
        self.until_everywhere = 1;
    }

    /// Notes whether the slot of a lane has a participant.
    pub fn set_sender(&mut self, index: usize, has_sender: bool) {
        self.all[index].has_sender = has_sender;
    }

    /// Deactivates the polled lane at this place of `polled`. The lanes behind it keep their order, so
    /// that a look which goes on here leaves out no lane.
    #[cold]
    fn deactivate(&mut self, place: usize) {
        let index = self.polled.remove(place);
        self.next -= usize::from(place < self.next);
        self.all[index].is_active = false;
        self.active -= 1;
        self.stop_polling(index);
        self.tell_of_unwatched();
    }

    /// Tells all senders whether there is an active lane that is not polled.
    fn tell_of_unwatched(&mut self) {
        if let Some(told) = &mut self.told {
            told.set_unwatched(self.polled.len() < self.active);
        }
    }

    /// Polls a lane from now on.
    // layout: L255
    fn poll(&mut self, index: usize) {
        let lane = &mut self.all[index];
        lane.idle = 0;
        if lane.is_polled {
            return;
        }
        lane.is_polled = true;
        self.polled.push(index);
        if let Some(told) = &self.told {
            told.set_watched(lane.slot, true);
        }
        self.tell_of_unwatched();
    }

    /// Polls a lane no more; [`forget_unpolled`](Lanes::forget_unpolled) follows.
    // layout: L255
    fn stop_polling(&mut self, index: usize) {
        let lane = &mut self.all[index];
        lane.is_polled = false;
        if let Some(told) = &mut self.told {
            // The senders look at their own bits only if there is an unwatched lane.
            told.set_unwatched(lane.is_active || told.has_unwatched);
            told.set_watched(lane.slot, false);
        }
    }

    fn forget_unpolled(&mut self) {
        let all = &self.all;
        self.polled.retain(|index| all[*index].is_polled);
        self.tell_of_unwatched();
    }

    /// Returns whether no lane has a sender or messages.
    #[inline]
    pub fn are_done(&self) -> bool {
        self.active == 0
    }

    /// Returns the lane whose turn it is; `None` if there is no lane yet.
    #[inline(always)]
    pub fn current_mut(&mut self) -> Option<&mut Lane> {
        self.all.get_mut(self.turn)
    }

    /// Returns the lane of the message that was found last.
    #[inline]
    pub fn found(&self) -> &Lane {
        &self.all[self.turn]
    }

    #[inline]
    pub fn found_mut(&mut self) -> &mut Lane {
        &mut self.all[self.turn]
    }

    pub fn get_mut(&mut self, index: usize) -> &mut Lane {
        &mut self.all[index]
    }

    /// Makes the next look a look at every lane.
    pub fn look_everywhere_next(&mut self) {
        self.until_everywhere = 1;
    }

    /// Returns whether the next look is at every lane because the owner may have missed something.
    pub fn looks_everywhere_next(&self) -> bool {
        self.until_everywhere == 1
    }

    /// Begins a look: finds the lanes to poll. Returns whether this is a look at every lane, and no
    /// message was received since the last one.
    // layout: L256
    #[inline]
    pub fn begin_look(&mut self) -> bool {
        self.until_everywhere -= 1;
        self.until_everywhere == 0 && self.look_everywhere()
    }

    /// Polls these lanes, whose senders have told of a message.
    // layout: L255
    #[cold]
    pub fn take_news(&mut self, news: impl Iterator<Item = usize>) {
        for index in news {
            if self.all[index].is_active {
                self.poll(index);
            }
        }
    }

    /// Polls the lanes that have a message, or whose sender has left, and stops polling the lanes that
    /// had no message for long. Returns whether no message was received since the last such look.
    // layout: L255 L256
    #[cold]
    fn look_everywhere(&mut self) -> bool {
        self.until_everywhere = EVERYWHERE;
        let mut is_quiet = true;
        let mut polled = self.polled.len();
        for index in 0..self.all.len() {
            let lane = &mut self.all[index];
            if !lane.is_active {
                continue;
            }
            let received = lane.reader.received();
            lane.idle = match received == lane.seen {
                true => lane.idle.saturating_add(1),
                false => 0,
            };
            is_quiet &= received == lane.seen;
            lane.seen = received;

            let is_done = lane.idle > PATIENCE && lane.is_polled && self.told.is_some();
            if lane.has_news() {
                self.poll(index);
            } else if is_done && polled > FEW {
                self.stop_polling(index);
                polled -= 1;
            }
        }
        self.forget_unpolled();
        is_quiet
    }

    /// Looks at the polled lanes in turn, beginning behind the lane of the last turn. Calls `freed`
    /// with the slot of a lane in which the look has freed space.
    // layout: L115 L118 L121
    #[inline]
    pub fn find(&mut self, mut freed: impl FnMut(usize)) -> Step {
        for _ in 0..self.polled.len() {
            if self.next >= self.polled.len() {
                self.next = 0;
            }
            let Some(&index) = self.polled.get(self.next) else {
                break;
            };

            let lane = &mut self.all[index];
            let step = lane.reader.find();
            if lane.reader.has_freed() {
                freed(lane.slot);
            }
            match step {
                Step::Nothing if lane.has_sender => self.next += 1,
                // Every message of this lane was received, and no sender is left.
                Step::Nothing => self.deactivate(self.next),
                Step::Message(len) => {
                    lane.reader.begin_turn(match self.active {
                        1 => ALONE,
                        _ => TURN,
                    });
                    self.turn = index;
                    self.next += 1;
                    return Step::Message(len);
                }
                Step::Corrupt | Step::Lagged(_) | Step::Overtaken => {
                    self.deactivate(self.next);
                    return Step::Corrupt;
                }
            }
        }
        Step::Nothing
    }

    /// Stops reading the lane whose turn it is, since its records are invalid.
    // layout: L181
    #[cold]
    pub fn give_up(&mut self) -> Step {
        // The lane of the message that was found last is polled.
        if let Some(place) = self.polled.iter().position(|index| *index == self.turn) {
            self.deactivate(place);
        }
        Step::Corrupt
    }

    /// Returns whether there is a reason to look at a lane. Asks about every lane, or only about those
    /// that are polled.
    // layout: L090
    pub fn has_news(&self, everywhere: bool) -> bool {
        let is_looked_at = |lane: &&Lane| lane.is_active && (everywhere || lane.is_polled);
        self.all.iter().filter(is_looked_at).any(Lane::has_news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::layout::lane::HEAD;
    use crate::format::layout::{control, cursor};
    use crate::lane::lossless::LosslessWriter;
    use crate::lane::ring::RingGeometry;
    use crate::segment::Head;
    use crate::segment::roster::roster_len;
    use crate::sync::{RingWindowMut, heap};

    type Writer = LosslessWriter<RingWindowMut, WindowMut<Head>, WindowMut<Cursor>>;

    struct Test {
        lanes: Lanes,
        writers: Vec<Writer>,
        control: WindowMut<Control>,
        roster: Roster,
    }

    impl Test {
        /// Makes this number of active lanes, and their writers.
        fn new(count: usize) -> Test {
            let ring_geometry = RingGeometry::new(4096, 56).unwrap();
            let control: WindowMut<Control> = heap::window(control::CURSORS).at_least();
            let words = heap::window(roster_len(count, 1)).at_least();
            let roster = Roster::begin(words, count, 1);
            let mut lanes = Lanes::new(Some(Told::new(&control, &roster)));
            let writers = (0..count).map(|slot| {
                let memory = heap::window(4096);
                let ring = memory.clone().ring();
                let head = heap::window(HEAD).part(0);
                let cursor: WindowMut<Cursor> = heap::window(cursor::LEN).part(0);
                let reader = LosslessReader::new(
                    heap::reading(&memory).ring(),
                    cursor.clone(),
                    ring_geometry,
                );
                let index = lanes.add(slot, reader);
                lanes.set_sender(index, true);
                lanes.activate(index);
                LosslessWriter::new(ring, head, cursor, ring_geometry)
            });
            Test {
                writers: writers.collect(),
                lanes,
                control,
                roster,
            }
        }

        /// Returns the slots of the lanes that the owner does not poll.
        fn unwatched(&self) -> Vec<usize> {
            let is_watched = |slot: &usize| {
                let (at, bit) = watched_at(*slot);
                self.control.load64(at) & bit != 0
            };
            (0..self.writers.len())
                .filter(|slot| !is_watched(slot))
                .collect()
        }
    }

    /// Looks once, with news of these slots. Returns the slot of the message that was found.
    fn look(lanes: &mut Lanes, news: &[usize]) -> Option<usize> {
        lanes.take_news(news.iter().copied());
        lanes.begin_look();
        let step = lanes.find(|_| {});
        let found = matches!(step, Step::Message(_)).then(|| lanes.found().slot);
        if found.is_some() {
            lanes.found_mut().reader.pass();
        }
        found
    }

    fn look_for_long(lanes: &mut Lanes) {
        for _ in 0..EVERYWHERE * (u32::from(PATIENCE) + 2) {
            assert_eq!(look(lanes, &[]), None);
        }
    }

    // layout: L254 L255 L256
    #[test]
    fn idle_lane_is_unwatched_until_news() {
        let mut test = Test::new(7);
        assert_eq!(test.unwatched(), []);
        assert!(!test.roster.has_to_tell_owner());
        look_for_long(&mut test.lanes);
        let idle = test.unwatched();
        assert_eq!(idle.len(), 7 - FEW);
        assert!(test.roster.has_to_tell_owner());
        assert!(test.lanes.polled.len() == FEW && !test.lanes.are_done());

        // A message without news is found by a look at every lane, and by no look before.
        assert!(test.writers[idle[0]].try_send(b"first"));
        assert_eq!(look(&mut test.lanes, &[]), None);
        assert!(!test.lanes.has_news(false) && test.lanes.has_news(true));
        test.lanes.look_everywhere_next();
        assert_eq!(look(&mut test.lanes, &[]), Some(idle[0]));
        assert_eq!(test.unwatched(), idle[1..]);

        // News of a lane makes the owner poll the lane.
        assert!(test.writers[idle[1]].try_send(b"second"));
        assert_eq!(look(&mut test.lanes, &[idle[1]]), Some(idle[1]));
        assert_eq!(test.unwatched(), idle[2..]);
        assert_eq!(look(&mut test.lanes, &idle), None);
        assert!(test.unwatched().is_empty() && !test.roster.has_to_tell_owner());
    }

    // layout: L256
    #[test]
    fn every_lane_is_looked_at_within_limit() {
        let mut test = Test::new(7);
        look_for_long(&mut test.lanes);
        let idle = test.unwatched();
        assert!(test.writers[idle[0]].try_send(b"message"));
        let found = (1..=EVERYWHERE).find_map(|_| look(&mut test.lanes, &[]));
        assert_eq!(found, Some(idle[0]));

        // The owner has time for other work only if there was no message for as many looks.
        let quiet = |lanes: &mut Lanes| (0..EVERYWHERE).any(|_| lanes.begin_look());
        assert!(!quiet(&mut test.lanes) && quiet(&mut test.lanes));
    }

    // layout: L263
    #[test]
    fn earlier_generation_is_polled_for_ever() {
        let mut test = Test::new(7);
        look_for_long(&mut test.lanes);
        let idle = test.unwatched();
        test.lanes.become_earlier();
        look_for_long(&mut test.lanes);
        assert_eq!(test.lanes.polled.len(), 7);
        assert_eq!(
            test.unwatched(),
            idle,
            "another owner has the control section"
        );
        for (slot, writer) in test.writers.iter_mut().enumerate() {
            assert!(writer.try_send(b"message"));
            assert_eq!(look(&mut test.lanes, &[]), Some(slot));
        }
    }

    /// A look that leaves out a lane would receive a later message of its sender from another
    /// generation first.
    // layout: L161
    #[test]
    fn look_reaches_every_lane_while_one_ends() {
        for (ended, message) in (0..4).flat_map(|ended| (0..4).map(move |lane| (ended, lane))) {
            for before in 0..4 {
                let mut test = Test::new(4);
                // The next look begins behind this lane.
                assert!(test.writers[before].try_send(b"before"));
                assert_eq!(look(&mut test.lanes, &[]), Some(before));
                test.lanes.set_sender(ended, false);
                assert!(test.writers[message].try_send(b"message"));
                assert_eq!(
                    look(&mut test.lanes, &[]),
                    Some(message),
                    "{ended} {before}"
                );
            }
        }
    }

    // layout: L115 L118
    #[test]
    fn departed_sender_with_empty_lane_is_done() {
        let mut test = Test::new(2);
        assert!(test.writers[1].try_send(b"last"));
        test.lanes.set_sender(0, false);
        test.lanes.set_sender(1, false);
        test.lanes.activate_all();
        assert_eq!(look(&mut test.lanes, &[]), Some(1));
        assert!(!test.lanes.are_done());
        assert_eq!(look(&mut test.lanes, &[]), None);
        assert!(test.lanes.are_done() && test.lanes.polled.is_empty());
        assert_eq!(test.unwatched(), [0, 1]);
        assert_eq!(look(&mut test.lanes, &[]), None);
    }
}
