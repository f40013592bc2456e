//! How a subscriber leaves a message in its lane while the message is used.
//!
//! The subscriber finds a message as it receives one, but copies nothing and stays at its position. So
//! a publisher that waits for this subscriber does not overwrite the message. Any other publisher may
//! overwrite it at any moment: the subscriber looks afterwards whether it has, and then discards what
//! it has read. A message of an earlier generation is copied, since that generation may end meanwhile.

use super::subscribing::{Finding, Subscribing};
use crate::error::Result;
use crate::error::channel::RecvError;
use crate::lane::Step;
use crate::lane::in_place::Source;
use crate::os::ValidityBackend;
use crate::wait::spin::{Deadline, Find, Finder, Inbox};

impl Subscribing {
    /// Finds the next message, which stays in its lane until it is [released](Source::release), and
    /// returns its length.
    pub fn find_next(&mut self, deadline: Deadline) -> Result<usize, RecvError> {
        self.finding = Finding {
            is_on: true,
            ..Finding::default()
        };
        let found = Finder(self).receive(deadline);
        self.finding.is_on = false;
        found
    }

    /// Looks for the next message of a lane: finds it, or copies it.
    pub(super) fn look_in(&mut self, lane: usize) -> Step {
        if self.finding.is_on {
            return self.inlet_mut(lane).lane.find();
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let step = self.inlet_mut(lane).lane.receive(&mut buffer);
        self.buffer = buffer;
        step
    }

    /// Returns whether what was read of the message is what its publisher has sent. The message may be
    /// overwritten later.
    pub fn verify(&mut self) -> bool {
        let is_whole = self.is_whole();
        self.finding.is_verified |= is_whole;
        is_whole
    }

    // layout: L310
    fn is_whole(&self) -> bool {
        let inlet = self.finding.lane.and_then(|lane| self.inlet_at(lane));
        // A publisher that waits for this subscriber takes such an announcement back, and has written
        // nothing. A publisher that has given the subscriber up has said so before its announcement,
        // which the look at the lane has seen.
        let is_waited_for = || self.found.geometry.is_lossless() && self.is_active();
        inlet.is_none_or(|inlet| !inlet.lane.is_found_overtaken() || is_waited_for())
    }
}

impl Source for Subscribing {
    fn copy(&self, offset: usize, to: &mut [u8]) {
        match self.finding.lane.and_then(|lane| self.inlet_at(lane)) {
            Some(inlet) => inlet.lane.copy_found(offset, to),
            None => to.copy_from_slice(&self.buffer[offset..][..to.len()]),
        }
    }

    fn bytes(&self) -> *const u8 {
        match self.finding.lane.and_then(|lane| self.inlet_at(lane)) {
            Some(inlet) => inlet.lane.bytes(),
            None => self.buffer.as_ptr(),
        }
    }

    /// Passes the message that was found. A message that was overwritten while it was used stays the
    /// next one, so that the next look counts it as missed.
    // layout: L309 L310
    fn release(&mut self) {
        let is_valid = self.finding.is_verified || self.is_whole();
        // A forked child takes no message from its parent.
        let lane = self
            .finding
            .lane
            .take()
            .filter(|_| !self.validity.is_forked());
        let Some(lane) = lane.filter(|_| is_valid) else {
            return;
        };
        let len = self.inlet_mut(lane).lane.pass_found();
        self.passed_one(lane, len);
    }
}

impl Find for Subscribing {
    /// A subscriber has no quick way to find a message.
    fn find_quickly(&mut self) -> Option<usize> {
        None
    }

    fn find(&mut self) -> Step {
        self.poll()
    }
}
