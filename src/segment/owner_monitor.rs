//! The owner of a generation, as those see it who read: they learn that it has ended, are told
//! how, once, and wait for the next one.

use crate::error::Result;
use crate::error::channel::DisconnectReason;
use crate::object::process::Process;
use crate::os::deadline_after;
use crate::segment::participant::Participant;
use crate::segment::{Found, GenerationEnd};
use crate::wait::source::Signals;
use crate::wait::spin::{LOOK, look_later};
use std::time::{Duration, Instant};

/// How many looks in vain go between two questions whether the owner is alive, for those who
/// never sleep.
const LOOKS: u32 = 4096;

#[derive(Debug)]
pub(crate) struct OwnerMonitor {
    owner: Process,
    idle: u32,
    state: State,
    /// The newest generation that was looked at after the end.
    seen: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alive,
    /// To be told.
    Ended(DisconnectReason),
    Told(DisconnectReason),
    /// The same owner goes on in another generation.
    Left,
}

impl OwnerMonitor {
    /// Of an owner that is alive.
    pub fn begin(found: &Found) -> Result<OwnerMonitor> {
        Ok(OwnerMonitor {
            owner: found.watch_owner()?,
            idle: 0,
            state: State::Alive,
            seen: found.generation,
        })
    }

    /// Whether it was seen to have ended.
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.state != State::Alive
    }

    /// How it has ended, where that is to be told.
    pub fn tell(&mut self) -> Option<DisconnectReason> {
        let (State::Ended(how) | State::Told(how)) = self.state else {
            return None;
        };
        self.state = State::Told(how);
        Some(how)
    }

    /// Whether nothing of its end is left to be told.
    pub fn is_told(&self) -> bool {
        matches!(self.state, State::Told(_) | State::Left)
    }

    /// Whether its end was told, and there is another generation.
    pub fn is_followed(&mut self, found: &Found) -> bool {
        if !self.is_told() {
            return false;
        }
        self.seen = found.newest();
        self.seen != found.generation
    }

    /// Whether there is something to be told, or somebody to go on with.
    pub fn has_news(&mut self, found: &Found) -> bool {
        self.idle = self.idle.wrapping_add(1);
        if self.idle.is_multiple_of(LOOKS) {
            self.look_whether_alive(found);
        }
        match self.state {
            State::Alive => found.is_ended(),
            State::Ended(_) => true,
            State::Told(_) | State::Left => found.newest() != self.seen,
        }
    }

    /// What there is to sleep on, in a participant where there is one; see [`Wait`](crate::wait::source::Wait).
    pub fn register(
        &self,
        participant: Option<&mut Participant>,
        signals: &mut Signals,
    ) -> Result<()> {
        match participant {
            Some(participant) => participant.register(signals)?,
            None => signals.look_again_in(LOOK),
        }
        if self.state == State::Alive {
            self.owner.add_to(signals);
        }
        Ok(())
    }

    /// The next one has ended as well.
    // layout: L111
    pub fn lose_the_next(&mut self, found: &Found) {
        if self.state == State::Left {
            self.state = State::Ended(found.last_reason());
        }
    }

    /// A look, after one for news that was in vain. What came before the end may be seen only
    /// now, where this is `true`.
    pub fn look(&mut self, found: &Found) -> bool {
        if self.state == State::Alive {
            self.idle = self.idle.wrapping_add(1);
            if found.is_ended() {
                self.see_the_end(found);
            } else if self.idle.is_multiple_of(LOOKS) {
                self.look_whether_alive(found);
            }
        }
        self.has_ended()
    }

    /// What it says of its end goes before what is seen of it.
    // layout: L110 L111
    fn see_the_end(&mut self, found: &Found) {
        self.state = match found.end() {
            Some(GenerationEnd::Resized) => State::Left,
            Some(GenerationEnd::Gone(how)) => State::Ended(how),
            None => State::Ended(DisconnectReason::Died),
        };
    }

    // layout: L110
    #[cold]
    pub fn look_whether_alive(&mut self, found: &Found) {
        if self.state == State::Alive && matches!(self.owner.has_ended(), Ok(true)) {
            self.see_the_end(found);
        }
    }

    /// Sleeps until there is news, or the end, or that moment. Who has no participant, which is woken
    /// by nobody, looks again in a while.
    // layout: L090 L091
    #[cold]
    pub fn sleep(
        &mut self,
        found: &Found,
        participant: Option<&mut Participant>,
        mut has_news: impl FnMut() -> bool,
        until: Option<Instant>,
    ) -> Result<()> {
        let ended = match participant {
            Some(participant) => {
                participant.park(|| has_news() || found.is_ended(), &[&self.owner], until)?
            }
            None => {
                look_later(until);
                self.owner.has_ended()?
            }
        };
        if ended {
            self.look_whether_alive(found);
        }
        Ok(())
    }
}

/// An end that goes on with the next owner.
pub(crate) trait Reattach {
    /// The generation that it is in, and its participant there, where it has one.
    fn parts(&mut self) -> (&Found, Option<&mut Participant>);
    /// Whether there is a next owner; goes on with it where nothing is left to be had here.
    fn reattach_if_ended(&mut self) -> Result<bool>;
}

/// Waits for the next owner, at most this long, and says whether there is one. Who has no participant
/// looks again in a while.
// layout: L090 L173
pub(crate) fn wait_for_next(end: &mut impl Reattach, timeout: Duration) -> Result<bool> {
    let until = deadline_after(Some(timeout));
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
            (_, None) => look_later(until),
        }
    }
}
