//! How a subscriber reads the lanes of several publishers in turn, and the lanes of earlier
//! generations whose publishers have not reattached yet.
//!
//! ```text
//!   poll_merged()
//!     1  look at the lanes of the earlier generations, the oldest first
//!          something there:                return it
//!     2  look at each lane of this generation, beginning with the lane of the last turn
//!          another publisher sends here:   return that the one before is gone
//!          a message:                      look at the earlier generations once more, since its
//!                                          publisher may have sent there before; then return it
//!     3  nothing: a publisher has closed or died, and all its messages were received?
//!                                          return that it is gone
//!                 another generation?      join it, and keep this one if it has publishers
//!                 no publisher is left?    return Disconnected
//! ```
//!
//! A publisher that reattaches is not gone: it has the same identity in a newer generation.

use super::in_order::in_order;
use super::inlet::{Gone, Inlet};
use super::subscribing::{Merging, Subscribing};
use crate::error::Result;
use crate::error::channel::RecvError;
use crate::error::publisher_id::PublisherId;
use crate::lane::Step;
use crate::object::process::Process;
use crate::os::{LOOK_BACK, deadline_within};
use crate::segment::peer_watch::MAX_PEERS;
use crate::sync::Words;
use crate::wait::source::Signals;
use crate::wait::spin::Inbox;
use std::time::{Duration, Instant};

/// The number of bytes that a subscriber receives from one lane in a row before it looks at the
/// other lanes.
const TURN: usize = 8192;
/// How many looks without a message a subscriber that never sleeps makes before it asks whether the
/// publishers are alive.
const LOOKS: u32 = 4096;
/// How long a subscriber that cannot join the generation in use waits before it tries again.
const PAUSE: Duration = Duration::from_millis(10);

impl Subscribing {
    /// Returns the publisher of the message that was received last, of the messages that were missed
    /// last, or of the end that was reported last.
    pub fn publisher(&self) -> Option<PublisherId> {
        match &self.merging {
            None => self.inlet.publisher_now(),
            Some(merging) => merging.last,
        }
    }

    /// Returns the time stamp of the message that was received last.
    pub fn stamp(&self) -> Option<u64> {
        match &self.merging {
            None => self.inlet.lane.stamp(),
            Some(merging) => merging.stamp,
        }
    }

    /// Begins to read several lanes: notes which publishers send at the positions of the subscriber. A
    /// publisher that is gone already is reported only if the subscriber receives messages of it.
    pub(super) fn note_publishers(&mut self) {
        if self.merging.is_none() {
            return;
        }
        for inlet in self.inlets_mut() {
            inlet.lane.set_merged(true);
            let _ = inlet.look_at_publisher();
        }
        self.look_for_deaths();
        for inlet in &mut self.others {
            let _ = inlet.take_gone();
        }
        self.count_again();
    }

    /// Counts the messages that were sent before the next one.
    pub(super) fn count_again(&mut self) {
        let number = self.number();
        if let Some(merging) = &mut self.merging {
            merging.number = number;
        }
    }

    /// Keeps the generation before this one, as long as it may have publishers.
    // layout: L299
    pub(super) fn keep(&mut self, mut before: Subscribing) {
        let Some(mut merging) = before.merging.take() else {
            return;
        };
        let mut earlier = std::mem::take(&mut merging.earlier);
        before.merging = Some(Box::default());
        earlier.push(before);
        let longest = earlier.iter().map(|one| one.buffer.len());
        let longest = longest.chain([self.buffer.len()]).max().unwrap_or(0);
        // A message of an earlier generation is moved here by an exchange of the buffers.
        for one in earlier.iter_mut().chain([&mut *self]) {
            one.buffer = vec![0; longest].into_boxed_slice();
        }
        self.merging = Some(Box::new(Merging {
            earlier,
            last: merging.last,
            how: merging.how,
            ..Merging::default()
        }));
        self.note_publishers();
    }

    /// Looks at all lanes, and copies the next message.
    #[cold]
    pub(super) fn poll_merged(&mut self) -> Step {
        let mut looked = 0;
        loop {
            let earlier = |this: &mut Subscribing| this.search_earlier().map(|step| (0, step));
            let find = |this: &mut Subscribing| this.find_lane(looked);
            let take = |this: &mut Subscribing, (nth, lane)| (nth + 1, this.poll_lane(lane));
            let Some((next, step)) = in_order(self, earlier, find, take) else {
                return self.nothing_merged();
            };
            let is_gone = self.merging.as_ref().is_none_or(|one| one.gone.is_some());
            if step != Step::Nothing || is_gone {
                return step;
            }
            // The publisher of that lane takes an announcement back in a moment. Nobody waits for it.
            looked = next;
        }
    }

    /// Returns a lane that may have a message, and how many lanes come before it, beginning with the
    /// lane whose turn it is. Leaves out the first `looked` lanes.
    fn find_lane(&self, looked: usize) -> Option<(usize, usize)> {
        let (turn, _) = self.merging.as_ref()?.turn;
        let lanes = (turn..=self.others.len()).chain(0..turn).enumerate();
        let has_news = |lane: usize| self.inlet_at(lane).is_some_and(Inlet::may_have_message);
        lanes.skip(looked).find(|(_, lane)| has_news(*lane))
    }

    pub(super) fn inlet_at(&self, lane: usize) -> Option<&Inlet> {
        match lane.checked_sub(1) {
            None => Some(&self.inlet),
            Some(other) => self.others.get(other),
        }
    }

    /// Copies the next message of a lane, unless the end of another publisher is to be reported first.
    // layout: L297
    fn poll_lane(&mut self, lane: usize) -> Step {
        loop {
            let missed = self.inlet_mut(lane).take_missed();
            if missed > 0 {
                self.lagged(missed);
                return self.came_from(lane, Step::Lagged(missed));
            }
            if let Some(gone) = self.inlet_mut(lane).look_at_publisher() {
                self.tell_gone(gone);
                return Step::Nothing;
            }
            if self.inlet_mut(lane).has_missed() {
                continue;
            }

            let step = match self.look_in(lane) {
                // The publisher takes its announcement back in a moment, or has died.
                Step::Overtaken if self.is_waited_for_in(lane) => Step::Nothing,
                Step::Overtaken => self.inlet_mut(lane).lane.lag(),
                step => step,
            };
            match step {
                Step::Message(_) if self.finding.is_on => self.finding.lane = Some(lane),
                Step::Message(len) => self.passed_one(lane, len),
                Step::Lagged(missed) if missed > 0 => {
                    // Several publishers may have sent these messages.
                    self.inlet_mut(lane).miss(missed);
                    continue;
                }
                Step::Corrupt => self.inlet_mut(lane).is_damaged = true,
                Step::Nothing | Step::Overtaken | Step::Lagged(_) => return Step::Nothing,
            }
            return self.came_from(lane, step);
        }
    }

    /// Notes whose message the result of a look is about.
    fn came_from(&mut self, lane: usize, step: Step) -> Step {
        let inlet = self.inlet_mut(lane);
        let (publisher, stamp) = (inlet.publisher(), inlet.lane.stamp());
        if let Some(merging) = &mut self.merging {
            (merging.last, merging.stamp) = (publisher, stamp);
        }
        step
    }

    /// Returns whether the publisher of a lane still has to wait for this subscriber.
    // layout: L134
    #[cold]
    fn is_waited_for_in(&mut self, lane: usize) -> bool {
        match lane {
            0 => self.is_waited_for(),
            lane => self.is_active() && self.inlet_mut(lane).may_be_alive(),
        }
    }

    /// Counts a message of a lane. Returns the number of messages that were sent before the next one.
    pub(super) fn count(&mut self, lane: usize, len: usize) -> u64 {
        let lanes = 1 + self.others.len();
        let Some(merging) = &mut self.merging else {
            return 0;
        };
        let (turn, bytes) = merging.turn;
        let bytes = if turn == lane { bytes + len + 64 } else { len };
        merging.turn = match bytes < TURN {
            true => (lane, bytes),
            false => ((lane + 1) % lanes, 0),
        };
        merging.number = merging.number.wrapping_add(1);
        merging.number
    }

    /// Notes a publisher that is gone, so that the call returns it.
    fn tell_gone(&mut self, gone: Gone) {
        if let Some(merging) = &mut self.merging {
            (merging.gone, merging.how) = (Some(gone), gone.1);
        }
    }

    /// Looks at the lanes of the earlier generations. Forgets the generations that have no publisher.
    fn search_earlier(&mut self) -> Option<Step> {
        let mut number = 0;
        while let Some(earlier) = self.merging.as_mut()?.earlier.get_mut(number) {
            let step = match earlier.find_lane(0) {
                None => earlier.nothing_left(),
                Some((_, lane)) => earlier.poll_lane(lane),
            };
            let (last, stamp, gone) = match &mut earlier.merging {
                Some(merging) => (merging.last, merging.stamp, merging.gone.take()),
                None => (None, None, None),
            };
            if let Some(gone) = gone.filter(|(publisher, _)| !self.has_publisher(*publisher)) {
                self.tell_gone(gone);
                return Some(Step::Nothing);
            }

            let merging = self.merging.as_mut()?;
            let earlier = merging.earlier.get_mut(number)?;
            match step {
                Step::Nothing | Step::Overtaken if earlier.has_no_publisher() => {
                    drop(merging.earlier.remove(number));
                    continue;
                }
                Step::Nothing | Step::Overtaken => {
                    number += 1;
                    continue;
                }
                Step::Message(_) => {
                    std::mem::swap(&mut self.buffer, &mut earlier.buffer);
                    self.received += 1;
                }
                Step::Lagged(missed) => self.missed += missed,
                Step::Corrupt => {}
            }
            (merging.last, merging.stamp) = (last, stamp);
            return Some(step);
        }
        None
    }

    /// Returns whether a publisher has a lane of this generation.
    fn has_publisher(&self, publisher: PublisherId) -> bool {
        self.inlets().any(|inlet| inlet.has(publisher))
    }

    /// Finds out which publishers of an earlier generation are gone. A death is noticed by and by, since
    /// no process wakes this subscriber for an earlier generation.
    fn nothing_left(&mut self) -> Step {
        self.free_all();
        self.look_now_and_then();
        self.take_gone();
        Step::Nothing
    }

    /// Notes one of the publishers that are gone and whose messages were all received.
    fn take_gone(&mut self) {
        // The messages of the next publisher begin where those of the last one end.
        let gone = |inlet: &mut Inlet| match inlet.may_have_message() {
            true => None,
            false => inlet.look_at_publisher().or_else(|| inlet.take_gone()),
        };
        if let Some(gone) = self.others.iter_mut().find_map(gone) {
            self.tell_gone(gone);
        }
    }

    /// Returns whether no publisher is left in this generation, and nothing is left to report.
    // layout: L299
    fn has_no_publisher(&self) -> bool {
        let has_gone = self.merging.as_ref().is_some_and(|one| one.gone.is_some());
        if has_gone || !self.owner_monitor.is_told() {
            return false;
        }
        // Pairs with the fence of a publisher that joins, between its store of TENURE and its look at
        // GENERATION: it sees the next generation, or this subscriber sees the publisher.
        self.inlet.lane.head().full();
        self.inlets().all(Inlet::is_done)
    }

    /// Lets the publishers overwrite the messages that were read.
    fn free_all(&mut self) {
        for lane in 0..=self.others.len() {
            let inlet = self.inlet_mut(lane);
            if inlet.freed != inlet.lane.position() {
                self.free_and_return(lane);
            }
        }
    }

    // layout: L135 L298
    fn nothing_merged(&mut self) -> Step {
        self.free_all();
        self.look_now_and_then();
        if !self.owner_monitor.has_ended() && self.owner_monitor.look(&self.found) {
            // The messages that were sent before the end are visible now.
            return self.poll();
        }
        if self.owner_monitor.has_ended() && !self.owner_monitor.is_told() {
            let how = self.owner_monitor.tell();
            if let (Some(how), Some(publisher)) = (how, self.inlet.tell()) {
                self.tell_gone((publisher, how));
                return Step::Nothing;
            }
        }
        if self.owner_monitor.is_followed(&self.found) && self.is_time_to_try() {
            self.inlet.tell();
            let generation = self.found.generation;
            let step = self.go_on_in_next();
            if step != Step::Nothing || self.found.generation != generation {
                return step;
            }
        }
        // A publisher that has reattached is not gone, so the next generation comes first.
        self.take_gone();
        Step::Nothing
    }

    /// Returns whether to try to join the generation in use: at once when there is another one, and
    /// then after a pause.
    fn is_time_to_try(&mut self) -> bool {
        let newest = self.found.newest();
        let Some(merging) = &mut self.merging else {
            return true;
        };
        let tried = |(generation, at): (u32, Instant)| generation == newest && at.elapsed() < PAUSE;
        let is_time = !merging.tried.is_some_and(tried);
        if is_time {
            merging.tried = Some((newest, Instant::now()));
        }
        is_time
    }

    /// Looks for deaths once in many looks.
    fn look_now_and_then(&mut self) {
        if let Some(merging) = &mut self.merging {
            merging.looks = merging.looks.wrapping_add(1);
            if merging.looks.is_multiple_of(LOOKS) {
                self.look_for_deaths();
            }
        }
    }

    /// Finds out which publishers have died.
    // layout: L298
    pub(super) fn look_for_deaths(&mut self) {
        let Some(merging) = &mut self.merging else {
            return;
        };
        let now = Instant::now();
        let asks = merging.asked_each.is_due(now);
        let me = self.place.as_ref().map(|place| &place.participant);
        let mut is_complete = true;
        for inlet in &mut self.others {
            is_complete &= inlet.look_for_death(me, asks);
        }
        merging.is_complete = is_complete;
        merging
            .earlier
            .iter_mut()
            .for_each(Subscribing::look_for_deaths);
    }

    /// Returns the error of a call that found no message: a publisher is gone, or all are.
    pub(super) fn gone_or_deserted(&mut self) -> Option<RecvError> {
        let merging = self.merging.as_mut()?;
        if let Some((publisher, reason)) = merging.gone.take() {
            merging.last = Some(publisher);
            return Some(RecvError::PublisherGone { publisher, reason });
        }
        let how = merging.how;
        let is_deserted = merging.earlier.is_empty() && self.has_no_publisher();
        let is_gone = is_deserted && self.owner_monitor.tell().is_some();
        is_gone.then_some(RecvError::Disconnected(how))
    }

    /// Returns whether there is a message, or something to report.
    // layout: L090
    pub(super) fn has_merged_news(&self) -> bool {
        has_news(&self.inlet, &self.others, self.merging.as_deref())
    }

    /// Sleeps until there is a message or something to report, or until the deadline.
    // layout: L091
    #[cold]
    pub(super) fn sleep_merged(&mut self, until: Option<Instant>) -> Result<()> {
        self.look_for_deaths();
        if self.has_merged_news() {
            return Ok(());
        }
        let until = match self.must_look_back() {
            true => deadline_within(LOOK_BACK, until),
            false => until,
        };
        let number = self.number();
        let Subscribing {
            inlet,
            others,
            merging,
            place,
            owner_monitor,
            found,
            ..
        } = self;
        let watched = others.iter().filter_map(Inlet::watched);
        let watched: Vec<&Process> = watched.take(MAX_PEERS.saturating_sub(1)).collect();
        let participant = place.as_mut().map(|place| &mut place.participant);
        let has_news = || has_news(inlet, others, merging.as_deref());
        let slept =
            owner_monitor.sleep_beside(found, participant, &watched, number, has_news, until);
        self.look_for_deaths();
        slept
    }

    /// Returns whether a sleep has to be short, since not everything would wake this subscriber.
    fn must_look_back(&self) -> bool {
        self.merging.as_ref().is_some_and(|merging| {
            !merging.is_complete || !merging.earlier.is_empty() || self.others.len() >= MAX_PEERS
        })
    }

    /// Registers the processes of the publishers; see [`Wait`](crate::wait::source::Wait).
    pub(super) fn register_merged(&mut self, signals: &mut Signals) {
        self.look_for_deaths();
        let watched = self.others.iter().filter_map(Inlet::watched);
        watched.for_each(|process| process.add_to(signals));
        if self.must_look_back() {
            signals.look_again_in(LOOK_BACK);
        }
    }
}

/// Returns whether there is a message in one of these lanes or in an earlier generation, or something
/// to report.
// layout: L090
fn has_news(inlet: &Inlet, others: &[Inlet], merging: Option<&Merging>) -> bool {
    let in_earlier = |merging: &Merging| {
        let mut earlier = merging.earlier.iter();
        merging.gone.is_some() || earlier.any(Subscribing::has_merged_news)
    };
    inlet.may_have_message()
        || others.iter().any(Inlet::has_news)
        || merging.is_some_and(in_earlier)
}
