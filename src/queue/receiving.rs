//! How a receiver receives the messages of its senders, of this generation and of earlier ones.
//!
//! ```text
//!   receive(deadline), by `Inbox` in wait/spin.rs
//!     1  glance: is a message directly behind the last message, in the same lane?
//!                (skipped while there are earlier generations)
//!     2  poll:   look at each lane of the earlier generations, the oldest first
//!                look at each lane of the newest generation
//!                a message of the newest? look at the earlier ones again (in_order.rs)
//!     3  a message:  copy it to the buffer, pass it, return its length
//!     4  no message: error of the endpoint, or all senders gone?  return the error
//!                    the call does not wait?                      return Empty
//!                    spin for 100 µs, and repeat from 1
//!                    deadline passed?                             return Timeout
//!                    park until a sender wakes this receiver, a sender dies, or the deadline
//!                    repeat from 1
//! ```
//!
//! Passing a message means storing the position behind the message in the cursor of the lane. The
//! receiver stores `ROOM`, up to which the sender may overwrite, less often than `EXACT`, and then
//! wakes the sender (`lane/lossless.rs`). An earlier generation is closed when it has no message
//! and no sender left.

use super::ahead::{Ahead, Unreleased};
use super::in_order::in_order;
use crate::error::Result;
use crate::error::channel::RecvError;
use crate::lane::Step;
use crate::lane::in_place::Source;
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::os::{LOOK_BACK, ProcessIdentity};
use crate::segment::fan_in::FanIn;
use crate::segment::options::Common;
use crate::segment::participant::Participant;
use crate::segment::{Geometry, Owned};
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Find, Finder, Inbox, Pace, receive};
use std::time::Instant;

/// The receiver of a queue, for messages of any type.
#[derive(Debug)]
pub struct Receiving {
    fan_in: FanIn,
    /// The earlier generations that may have messages left, the oldest first.
    older: Vec<(FanIn, Owned)>,
    /// The index in `older` of the generation that had the last message; `None` for the newest
    /// generation.
    from: Option<usize>,
    ahead: Ahead,
    /// Whether there is no earlier generation, and no message that was received ahead.
    is_plain: bool,
    pace: Pace,
    buffer: Box<[u8]>,
    /// The time stamp of the message that was received last.
    stamp: Option<u64>,
    // Declared last, so that it is dropped last: it holds the name.
    pub segment: Owned,
}

impl Receiving {
    pub fn create(
        common: &Common,
        (senders, ring): (usize, RingGeometry),
        name: &Name,
    ) -> Result<Receiving> {
        let geometry = Geometry::Queue { senders, ring };
        let (mut segment, participant) =
            Owned::create(name, geometry, &common.access, &common.layouts)?;
        let fan_in = FanIn::new(&segment, ring, participant, common.prefault)?;
        let mut older = segment.older_like(common)?;

        for (earlier, _) in older.iter().rev() {
            segment.reserve_sources(earlier)?;
        }
        segment.publish(&mut older);
        let mut receiver = Receiving {
            fan_in,
            older: Vec::new(),
            from: None,
            ahead: Ahead::default(),
            is_plain: true,
            pace: Pace::default(),
            buffer: Box::default(),
            stamp: None,
            segment,
        };

        receiver.inherit(older);
        Ok(receiver)
    }

    pub fn resize(
        &mut self,
        common: &Common,
        (senders, ring): (usize, RingGeometry),
    ) -> Result<()> {
        let geometry = Geometry::Queue { senders, ring };
        self.fan_in.check_call()?;
        let (mut segment, participant) = self.segment.next(geometry, &common.layouts)?;
        let fan_in = FanIn::new(&segment, ring, participant, common.prefault)?;
        let older = self.older.iter().map(|(_, earlier)| earlier);
        for earlier in older.chain([&self.segment]).rev() {
            segment.reserve_sources(earlier)?;
        }
        segment.follow(&mut self.segment);
        let mut fan_in = std::mem::replace(&mut self.fan_in, fan_in);
        fan_in.become_earlier();
        self.fan_in.stay(&mut fan_in);
        let segment = std::mem::replace(&mut self.segment, segment);
        self.older.push((fan_in, segment));
        self.carry_numbers();
        self.make_room();
        Ok(())
    }

    /// Adds the generations of dead owners. Their messages are received first.
    // layout: L160
    fn inherit(&mut self, older: Vec<(Owned, Participant)>) {
        for (segment, participant) in older {
            let Geometry::Queue { ring, .. } = segment.geometry else {
                continue;
            };
            // The messages of a queue with another type are not received.
            if segment.has_type_of(&self.segment) {
                let fan_in = FanIn::inherit(&segment, ring, participant);
                self.older.push((fan_in, segment));
            }
        }
        self.carry_numbers();
        self.make_room();
    }

    /// Stores the last numbers of the source keys of earlier generations, as far as they are known
    /// now. A number may change until its generation has no sender left.
    // layout: L321
    fn carry_numbers(&mut self) {
        for (_, earlier) in &self.older {
            self.segment.carry_numbers(earlier);
        }
    }

    /// Allocates a buffer for the longest message of all generations.
    fn make_room(&mut self) {
        let older = self.older.iter().map(|(_, segment)| segment);
        let longest = older.chain([&self.segment]).map(|s| s.geometry.max());
        self.buffer = vec![0; longest.max().unwrap_or_default()].into_boxed_slice();
        self.from = None;
        self.look_whether_plain();
    }

    fn look_whether_plain(&mut self) {
        self.is_plain = self.older.is_empty() && self.ahead.is_empty();
    }
}

impl Drop for Receiving {
    // layout: L165 L321
    fn drop(&mut self) {
        if !self.fan_in.is_forked() {
            self.carry_numbers();
        }
        self.segment.close();
    }
}

impl Receiving {
    /// Returns the message of this length that was received last.
    #[inline(always)]
    pub fn received(&self, len: usize) -> &[u8] {
        &self.buffer[..len]
    }

    /// Finds the next message, which stays in shared memory until it is [released](Source::release),
    /// and returns its length.
    #[inline]
    pub fn find_next(&mut self, deadline: Deadline) -> Result<usize, RecvError> {
        self.release_to(u64::MAX);
        Finder(self).receive(deadline)
    }

    /// Receives a message that stays in its lane until it is released, and returns its number and
    /// its length.
    // layout: L250
    pub fn receive_ahead(&mut self, deadline: Deadline) -> Result<(u64, usize), RecvError> {
        let len = Finder(self).receive(deadline)?;
        let (generation, source) = match self.from {
            Some(n) => (self.older[n].1.generation, &mut self.older[n].0),
            None => (self.segment.generation, &mut self.fan_in),
        };
        source.copy(0, &mut self.buffer[..len]);
        self.stamp = source.stamp();
        let lane = source.turn();
        let kept = source.pass_ahead();
        self.is_plain = false;
        let message = Unreleased {
            generation,
            lane,
            kept,
            is_skipped: false,
        };
        Ok((self.ahead.add(message), len))
    }

    /// Gives up the message that was received ahead last, since it is not valid. It is released with
    /// the message before it.
    pub fn skip_last(&mut self) {
        self.ahead.skip_last();
        self.release_to(0);
    }

    /// Releases the messages that were received ahead, up to the message with this number.
    pub fn release_to(&mut self, number: u64) {
        // A forked child takes no message from its parent.
        if self.is_plain || self.fan_in.is_forked() {
            return;
        }
        while let Some(message) = self.ahead.take_to(number) {
            let older = self.older.iter_mut();
            let mut all = older.map(|(fan_in, segment)| (fan_in, segment.generation));
            let source = match all.find(|(_, generation)| *generation == message.generation) {
                Some((fan_in, _)) => fan_in,
                None => &mut self.fan_in,
            };
            source.release(message.lane, message.kept);
        }
        self.look_whether_plain();
    }

    /// Receives every message that is there now, and returns the number of messages.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> Result<usize, RecvError> {
        let mut count = 0;
        loop {
            match self.look() {
                Step::Message(len) => each(&self.buffer[..len]),
                // The next call returns that the last sender has gone.
                Step::Nothing if count > 0 => return Ok(count),
                other => return self.no_message(other).map_or(Ok(count), Err),
            }
            count += 1;
        }
    }

    /// Returns the time stamp of the message that was received last, if it has one.
    pub fn stamp(&self) -> Option<u64> {
        self.stamp
    }

    /// Returns the time stamp of the message that was found last, if it has one.
    pub fn found_stamp(&self) -> Option<u64> {
        self.source().stamp()
    }

    /// Returns the process that has sent the message that was found last.
    pub fn sender_process(&self) -> Option<ProcessIdentity> {
        self.source().sender_process()
    }

    /// Returns the lanes in which the last message was found.
    fn source(&self) -> &FanIn {
        match self.from {
            Some(n) => &self.older[n].0,
            None => &self.fan_in,
        }
    }

    fn source_mut(&mut self) -> &mut FanIn {
        match self.from {
            Some(n) => &mut self.older[n].0,
            None => &mut self.fan_in,
        }
    }

    // layout: L161
    #[cold]
    fn find_in_all(&mut self) -> Step {
        in_order(self, Receiving::find_in_older, |receiver| {
            receiver.fan_in.find()
        })
    }

    fn find_in_older(&mut self) -> Option<Step> {
        let mut n = 0;
        while n < self.older.len() {
            let (fan_in, segment) = &mut self.older[n];
            match fan_in.find() {
                Step::Nothing if fan_in.is_done() => {
                    self.fan_in.learn_of_senders_in(fan_in);
                    // The quick path leaves the stamp alone. Messages that it receives have none.
                    self.stamp = None;
                    let is_needed =
                        self.ahead.has(segment.generation) || !self.segment.carry_numbers(segment);
                    match is_needed {
                        // Its messages may still be released, or a source key has no slot yet.
                        true => n += 1,
                        false => drop(self.older.remove(n)),
                    }
                    self.look_whether_plain();
                }
                Step::Nothing => n += 1,
                step => {
                    self.from = Some(n);
                    return Some(step);
                }
            }
        }
        None
    }

    /// Returns whether the earlier generations have no message and no sender left.
    fn is_older_done(&self) -> bool {
        self.older.iter().all(|(fan_in, _)| fan_in.is_done())
    }
}

impl Find for Receiving {
    #[inline(always)]
    fn find_quickly(&mut self) -> Option<usize> {
        match self.is_plain {
            true => self.fan_in.find_quickly(),
            // A sender's messages in an earlier generation come before its messages in this
            // generation.
            false => None,
        }
    }

    fn find(&mut self) -> Step {
        self.from = None;
        match self.older.is_empty() {
            true => self.fan_in.find(),
            false => self.find_in_all(),
        }
    }
}

impl Inbox for Receiving {
    /// Receives a short message that is directly behind the last message.
    #[inline(always)]
    fn glance(&mut self) -> Option<usize> {
        match self.is_plain {
            true => self.fan_in.receive_quickly(&mut self.buffer),
            // A sender's messages in an earlier generation come before its messages in this
            // generation.
            false => None,
        }
    }

    fn poll(&mut self) -> Step {
        self.release_to(u64::MAX);
        let step = self.find();
        if let Step::Message(len) = step {
            let source = match self.from {
                Some(n) => &mut self.older[n].0,
                None => &mut self.fan_in,
            };
            source.copy(0, &mut self.buffer[..len]);
            self.stamp = source.stamp();
            source.pass();
        }
        step
    }

    fn wait(&mut self, deadline: Deadline) -> Result<usize, RecvError> {
        receive(self, deadline)
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    /// Returns the error of a call that found no message, if there is one.
    #[inline]
    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        if let Err(fault) = self.fan_in.check() {
            return Some(fault.into());
        }
        let mut older = self.older.iter_mut();
        let failure = older.find_map(|(fan_in, _)| fan_in.take_failure());
        if let Some(error) = failure.or_else(|| self.fan_in.take_failure()) {
            return Some(RecvError::System(error));
        }
        match step {
            Step::Corrupt => Some(RecvError::Corrupt),
            _ if !self.is_older_done() => None,
            _ => self.fan_in.deserted().map(RecvError::Disconnected),
        }
    }

    #[cold]
    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        let mut older: Vec<&mut FanIn> = self.older.iter_mut().map(|(fan_in, _)| fan_in).collect();
        self.fan_in.sleep(&mut older, until)
    }
}

impl Wait for Receiving {
    fn has_news(&mut self) -> bool {
        self.fan_in.has_news()
            || self.older.iter_mut().any(|(fan_in, _)| fan_in.has_news())
            || self.is_older_done() && self.fan_in.is_deserted()
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        for (fan_in, _) in &mut self.older {
            fan_in.watch_peers(signals);
            // A participant that leaves an earlier generation wakes only the owner of that
            // generation.
            signals.look_again_in(LOOK_BACK);
        }
        self.fan_in.register(signals)
    }

    fn deregister(&mut self) {
        self.fan_in.deregister();
    }

    fn woken(&mut self) -> Result<bool> {
        self.fan_in.look_for_deaths();
        let older = self.older.iter_mut();
        older.for_each(|(fan_in, _)| fan_in.look_for_deaths());
        Ok(self.has_news())
    }
}

impl Source for Receiving {
    fn copy(&self, offset: usize, to: &mut [u8]) {
        self.source().copy(offset, to);
    }

    fn bytes(&self) -> *const u8 {
        self.source().bytes()
    }

    /// Passes the message that was found last.
    // layout: L114
    #[inline]
    fn release(&mut self) {
        // A forked child takes no message from its parent.
        if !self.fan_in.is_forked() {
            self.source_mut().pass();
        }
    }
}
