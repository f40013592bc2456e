//! How a receiver finds the messages of its senders, in this generation and in earlier ones.

use crate::error::Result;
use crate::error::channel::RecvError;
use crate::lane::Step;
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::os::LOOK_BACK;
use crate::segment::fan_in::{FanIn, in_order};
use crate::segment::options::Common;
use crate::segment::participant::Participant;
use crate::segment::{Geometry, Owned};
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Inbox, Pace};
use std::time::Instant;

/// The receiver of a queue, whatever its messages are.
#[derive(Debug)]
pub struct Receiving {
    fan_in: FanIn,
    /// Earlier generations with something left in them, the oldest first.
    older: Vec<(FanIn, Owned)>,
    /// Of those, the one in which the last message was found.
    from: Option<usize>,
    pace: Pace,
    buffer: Box<[u8]>,
    // Declared last, and so let go last: it has the name.
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
        let mut older = segment.older()?;
        segment.publish(&mut older);
        let mut receiver = Receiving {
            fan_in,
            older: Vec::new(),
            from: None,
            pace: Pace::default(),
            buffer: Box::default(),
            segment,
        };
        receiver.inherit(older)?;
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
        segment.follow(&mut self.segment);
        let mut fan_in = std::mem::replace(&mut self.fan_in, fan_in);
        self.fan_in.stay(&mut fan_in);
        let segment = std::mem::replace(&mut self.segment, segment);
        self.older.push((fan_in, segment));
        self.make_room();
        Ok(())
    }

    /// Has what is left in the generations of dead owners received first.
    // layout: L160
    fn inherit(&mut self, older: Vec<(Owned, Participant)>) -> Result<()> {
        for (segment, participant) in older {
            let Geometry::Queue { ring, .. } = segment.geometry else {
                continue;
            };
            // What is of another type is nothing to us.
            if segment.has_type_of(&self.segment) {
                let fan_in = FanIn::inherit(&segment, ring, participant)?;
                self.older.push((fan_in, segment));
            }
        }
        self.make_room();
        Ok(())
    }

    /// For the longest message of all generations.
    fn make_room(&mut self) {
        let older = self.older.iter().map(|(_, segment)| segment);
        let longest = older.chain([&self.segment]).map(|s| s.geometry.max());
        self.buffer = vec![0; longest.max().unwrap_or_default()].into_boxed_slice();
        self.from = None;
    }
}

impl Drop for Receiving {
    // layout: L165
    fn drop(&mut self) {
        self.segment.close();
    }
}

impl Receiving {
    /// The message of this length that was received last.
    #[inline(always)]
    pub fn received(&self, len: usize) -> &[u8] {
        &self.buffer[..len]
    }

    /// The length of the next message, which stays in shared memory until it is [passed](Receiving::pass).
    #[inline]
    pub fn find_next(&mut self, deadline: Deadline) -> std::result::Result<usize, RecvError> {
        Finder(self).receive(deadline)
    }

    /// Receives every message that is there now, and returns how many they were.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> std::result::Result<usize, RecvError> {
        let mut count = 0;
        loop {
            match self.look() {
                Step::Message(len) => each(&self.buffer[..len]),
                // That the last sender has gone is told next time.
                Step::Nothing if count > 0 => return Ok(count),
                other => return self.no_message(other).map_or(Ok(count), Err),
            }
            count += 1;
        }
    }

    pub fn copy(&self, at: usize, to: &mut [u8]) {
        self.source().copy(at, to);
    }

    pub fn bytes(&self) -> *const u8 {
        self.source().bytes()
    }

    #[inline]
    pub fn pass(&mut self) {
        // A child that was forked takes nothing from its parent.
        if !self.fan_in.is_forked() {
            self.source_mut().pass();
        }
    }

    /// Where the last message was found.
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

    /// Finds the next message, which stays where it is.
    fn find(&mut self) -> Step {
        self.from = None;
        match self.older.is_empty() {
            true => self.fan_in.find(),
            false => self.find_in_all(),
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
            let fan_in = &mut self.older[n].0;
            match fan_in.find() {
                Step::Nothing if fan_in.is_done() => {
                    let (fan_in, _) = self.older.remove(n);
                    self.fan_in.learn_of_senders_in(&fan_in);
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

    /// Finds the next message, where it is one as most are.
    #[inline(always)]
    fn find_quickly(&mut self) -> Option<usize> {
        match self.older.is_empty() {
            true => self.fan_in.find_quickly(),
            // A sender's messages there come before those here.
            false => None,
        }
    }
}

impl Inbox for Receiving {
    /// A short one, behind the last one.
    #[inline(always)]
    fn glance(&mut self) -> Option<usize> {
        match self.older.is_empty() {
            true => self.fan_in.receive_quickly(&mut self.buffer),
            // A sender's messages there come before those here.
            false => None,
        }
    }

    fn poll(&mut self) -> Step {
        let step = self.find();
        if let Step::Message(len) = step {
            let source = match self.from {
                Some(n) => &mut self.older[n].0,
                None => &mut self.fan_in,
            };
            source.copy(0, &mut self.buffer[..len]);
            source.pass();
        }
        step
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    /// What there is to be told where there is no message.
    #[inline]
    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        if let Err(fault) = self.fan_in.check() {
            return Some(fault.into());
        }
        match step {
            Step::Corrupt => Some(RecvError::Corrupt),
            _ if !self.older.is_empty() => None,
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
            || self.older.is_empty() && self.fan_in.is_deserted()
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        for (fan_in, _) in &mut self.older {
            fan_in.watch_peers(signals);
            // Who leaves there rings for the owner that it knows.
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

/// A receiver that finds messages and leaves them where they are.
struct Finder<'a>(&'a mut Receiving);

impl Inbox for Finder<'_> {
    #[inline]
    fn glance(&mut self) -> Option<usize> {
        self.0.find_quickly()
    }

    fn poll(&mut self) -> Step {
        self.0.find()
    }

    fn pace(&mut self) -> &mut Pace {
        self.0.pace()
    }

    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        self.0.no_message(step)
    }

    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        self.0.sleep(until)
    }
}
