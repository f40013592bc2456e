//! The owner of a generation, as a subscriber, reader or client sees it. The endpoint notices that
//! the owner has ended, reports once how, and waits for the next owner.

use crate::error::Result;
use crate::error::channel::DisconnectReason;
use crate::object::process::Process;
use crate::os::deadline_after;
use crate::segment::observing::Polling;
use crate::segment::participant::Participant;
use crate::segment::{Found, GenerationEnd};
use crate::wait::source::Signals;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many times an endpoint finds nothing before it checks whether the owner is alive. An
/// endpoint that never sleeps needs this check.
const LOOKS: u32 = 4096;

/// The monitor of the owner of one generation.
#[derive(Debug)]
pub(crate) struct OwnerMonitor {
    /// `None` if the owner had ended before, or if no owner has come yet.
    owner: Option<Arc<Process>>,
    polling: Polling,
    idle: u32,
    state: State,
    /// The newest generation that was seen after the end.
    seen: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alive,
    /// The end was not reported yet.
    Ended(DisconnectReason),
    Told(DisconnectReason),
    /// The same owner continues in another generation.
    Left,
}

impl OwnerMonitor {
    /// Begins to watch the owner of a generation. Returns an error if the owner is not alive. A
    /// generation without an owner counts as one whose owner is alive, until the first owner follows.
    pub fn begin(found: &Found) -> Result<OwnerMonitor> {
        let owner = found.watch_owner()?.map(Arc::new);
        Ok(OwnerMonitor::with(found, owner, State::Alive))
    }

    /// Makes the monitor of an owner that has ended.
    pub fn of_ended(found: &Found) -> OwnerMonitor {
        let mut monitor = OwnerMonitor::with(found, None, State::Alive);
        monitor.see_the_end(found);
        monitor
    }

    fn with(found: &Found, owner: Option<Arc<Process>>, state: State) -> OwnerMonitor {
        OwnerMonitor {
            owner,
            polling: Polling::default(),
            idle: 0,
            state,
            seen: found.generation,
        }
    }

    /// Returns the watched process of the owner.
    pub fn process(&mut self) -> &mut Option<Arc<Process>> {
        &mut self.owner
    }

    /// Returns whether the owner was seen to have ended.
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.state != State::Alive
    }

    /// Returns how the owner has ended, if that is to be reported, and notes that it was reported.
    pub fn tell(&mut self) -> Option<DisconnectReason> {
        let (State::Ended(how) | State::Told(how)) = self.state else {
            return None;
        };
        self.state = State::Told(how);
        Some(how)
    }

    /// Returns whether there is nothing left to report about the owner's end.
    pub fn is_told(&self) -> bool {
        matches!(self.state, State::Told(_) | State::Left)
    }

    /// Returns whether the owner's end was reported, and there is another generation.
    pub fn is_followed(&mut self, found: &Found) -> bool {
        if !self.is_told() {
            return false;
        }
        self.seen = found.newest();
        self.seen != found.generation
    }

    /// Returns whether there is something to report, or another generation.
    pub fn has_news(&mut self, found: &Found) -> bool {
        self.idle = self.idle.wrapping_add(1);
        if self.idle.is_multiple_of(LOOKS) {
            self.look_whether_alive(found);
        }
        match self.state {
            State::Alive => found.has_to_be_left(),
            State::Ended(_) => true,
            State::Told(_) | State::Left => found.newest() != self.seen,
        }
    }

    /// Registers the participant, if there is one, and the owner's process; see
    /// [`Wait`](crate::wait::source::Wait). `position` changes with each message that the endpoint
    /// receives.
    pub fn register(
        &mut self,
        participant: Option<&mut Participant>,
        position: u64,
        signals: &mut Signals,
    ) -> Result<()> {
        match participant {
            Some(participant) => participant.register(signals)?,
            None => signals.look_again_in(self.polling.pause(position)),
        }
        if self.state == State::Alive {
            let owner = self.owner.iter();
            owner.for_each(|owner| owner.add_to(signals));
        }
        Ok(())
    }

    /// Notes that the next owner has ended as well.
    // layout: L111
    pub fn lose_the_next(&mut self, found: &Found) {
        if self.state == State::Left {
            self.state = State::Ended(found.last_reason());
        }
    }

    /// Checks whether the owner has ended. It is called after a look that found no message. If it
    /// returns `true`, messages that were sent before the end may have become visible only now.
    pub fn look(&mut self, found: &Found) -> bool {
        if self.state == State::Alive {
            self.idle = self.idle.wrapping_add(1);
            if found.has_to_be_left() {
                self.see_the_end(found);
            } else if self.idle.is_multiple_of(LOOKS) {
                self.look_whether_alive(found);
            }
        }
        self.has_ended()
    }

    /// Notes how the owner has ended. The reason that is stored in END takes precedence over the
    /// observation.
    // layout: L110 L111
    fn see_the_end(&mut self, found: &Found) {
        self.state = match found.end() {
            Some(GenerationEnd::Resized) => State::Left,
            Some(GenerationEnd::Gone(how)) => State::Ended(how),
            // layout: L332
            None if found.is_ownerless() => State::Left,
            None => State::Ended(DisconnectReason::Died),
        };
    }

    // layout: L110
    #[cold]
    pub fn look_whether_alive(&mut self, found: &Found) {
        if self.state == State::Alive && self.has_owner_ended(found) {
            self.see_the_end(found);
        }
    }

    fn has_owner_ended(&self, found: &Found) -> bool {
        match &self.owner {
            Some(owner) => matches!(owner.has_ended(), Ok(true)),
            None => !found.is_ownerless() || found.has_to_be_left(),
        }
    }

    /// Sleeps until there is news, until the owner ends, or until the deadline. No process wakes an
    /// observer, so an observer looks again after a while. `position` changes with each message that
    /// the endpoint receives.
    #[cold]
    pub fn sleep(
        &mut self,
        found: &Found,
        participant: Option<&mut Participant>,
        position: u64,
        has_news: impl FnMut() -> bool,
        until: Option<Instant>,
    ) -> Result<()> {
        self.sleep_beside(found, participant, &[], position, has_news, until)
    }

    /// Sleeps as [`sleep`](OwnerMonitor::sleep) does, and until one of the `others` ends.
    // layout: L090 L091
    #[cold]
    pub fn sleep_beside(
        &mut self,
        found: &Found,
        participant: Option<&mut Participant>,
        others: &[&Process],
        position: u64,
        mut has_news: impl FnMut() -> bool,
        until: Option<Instant>,
    ) -> Result<()> {
        let ended = match participant {
            Some(participant) => {
                // The end of an owner that is known is no news.
                let is_ended = || self.state == State::Alive && found.has_to_be_left();
                let owner = self.owner.as_deref().filter(|_| self.state == State::Alive);
                let peers: Vec<&Process> =
                    owner.into_iter().chain(others.iter().copied()).collect();
                participant.park(|| has_news() || is_ended(), &peers, until)?
            }
            None => {
                self.polling.sleep(position, until);
                true
            }
        };
        if ended {
            self.look_whether_alive(found);
        }
        Ok(())
    }
}

/// An endpoint that can reattach to the next owner.
pub(crate) trait Reattach {
    /// Returns the generation to which the endpoint is attached, and its participant there, if it
    /// has one.
    fn parts(&mut self) -> (&Found, Option<&mut Participant>);
    /// Returns whether there is a next owner. Reattaches if nothing is left to be received or
    /// reported in this generation.
    fn reattach_if_ended(&mut self) -> Result<bool>;
}

/// Waits for the next owner for at most `timeout`, and returns whether there is one. An observer
/// looks again after a while.
// layout: L090 L173
pub(crate) fn wait_for_next(end: &mut impl Reattach, timeout: Duration) -> Result<bool> {
    let until = deadline_after(Some(timeout));
    let mut polling = Polling::default();
    loop {
        let seen = end.parts().0.newest();
        if end.reattach_if_ended()? {
            return Ok(true);
        }
        if until.is_some_and(|at| Instant::now() >= at) {
            return Ok(false);
        }

        match end.parts() {
            (found, Some(participant)) => {
                participant.park(|| found.newest() != seen, &[], until)?;
            }
            (_, None) => polling.sleep(u64::from(seen), until),
        }
    }
}
