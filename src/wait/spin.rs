//! Waiting for a peer: polling for somewhat longer than a wake-up costs, and only then
//! sleeping.

use crate::error::Result;
use crate::error::channel::RecvError;
use crate::lane::Step;
use crate::os;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Rather more than it costs to be woken, which was 25 to 70 µs where it was measured. Less
/// would do harm: of two that talk, the one whose peer is just being woken would sleep too,
/// and then have to be woken itself, and so on for ever.
// layout: L098
const SPIN: Duration = Duration::from_micros(100);
/// How many polls go between two looks at the clock.
const POLLS: u32 = 64;
/// Between two looks of those who have no bit to set.
pub(crate) const LOOK: Duration = Duration::from_millis(1);

/// How long a participant sleeps at first, before it looks once more. A store is visible on every
/// processor long before this.
// layout: L098
pub(crate) const FIRST_PARK: Duration = Duration::from_millis(1);

/// When a call that waits gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// The call does not wait.
    Now,
    At(Instant),
    Never,
}

impl Deadline {
    pub fn within(timeout: Duration) -> Deadline {
        Deadline::until(os::deadline_after(Some(timeout)))
    }

    pub fn until(deadline: Option<Instant>) -> Deadline {
        deadline.map_or(Deadline::Never, Deadline::At)
    }

    /// The time at which to give up, `None` for never, and `refusal` for a call that does not wait.
    pub fn instant_or<E>(self, refusal: E) -> std::result::Result<Option<Instant>, E> {
        match self {
            Deadline::Now => Err(refusal),
            Deadline::At(at) => Ok(Some(at)),
            Deadline::Never => Ok(None),
        }
    }
}

/// Polling for as long as it is worth it.
pub(crate) struct Spin {
    polls: u32,
    end: Option<Instant>,
    until: Option<Instant>,
}

impl Spin {
    /// Until that moment at the latest.
    pub fn new(until: Option<Instant>) -> Spin {
        Spin {
            polls: 0,
            end: None,
            until,
        }
    }

    /// Whether to look again.
    #[inline]
    pub fn again(&mut self) -> bool {
        std::hint::spin_loop();
        self.polls += 1;
        !self.polls.is_multiple_of(POLLS) || self.is_worth_it()
    }

    #[cold]
    fn is_worth_it(&mut self) -> bool {
        if !can_both_run() {
            return false;
        }
        let now = Instant::now();
        let end = *self.end.get_or_insert_with(|| {
            let end = now + SPIN;
            self.until.map_or(end, |until| until.min(end))
        });
        now < end
    }
}

/// How a receiver keeps its distance in a stream of longer messages.
///
/// One that is right behind its sender has its processor fetch lines ahead, out of the hands
/// of the sender, who has to fetch each of them back: the two crawl along together, at a
/// fifth of what they could do. Some kilobytes of distance end that. So whoever has found
/// several longer messages in a row almost without waiting looks away for a moment, as long
/// as that brings several messages at a time.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// How many waits in a row were short.
    short: u32,
    /// How many messages were there at once since the last wait.
    at_once: u32,
    has_paused: bool,
}

impl Pace {
    /// Below it there is no harm: measured, 128 bytes are not slowed down and 200 are.
    const LONG: usize = 129;
    /// In polls, each of 10 to 20 ns. Whoever waits for an answer waits longer.
    const SHORT: u32 = 16;
    const STREAM: u32 = 8;
    /// Some kilobytes, at the rate at which a stream goes. Of a message that comes alone
    /// later on, it is how much later it may be received, once.
    const PAUSE: Duration = Duration::from_micros(1);
    const WORTH_IT: u32 = 4;

    /// A message was there at once.
    pub fn went_on(&mut self) {
        self.at_once = self.at_once.saturating_add(1);
    }

    fn waits(&mut self) {
        if self.has_paused && self.at_once < Pace::WORTH_IT {
            self.short = 0;
        }
        self.at_once = 0;
        self.has_paused = self.short >= Pace::STREAM && can_both_run();
        if self.has_paused {
            let end = Instant::now() + Pace::PAUSE;
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        }
    }

    fn waited(&mut self, polls: u32, len: usize) {
        self.short = match len >= Pace::LONG && polls <= Pace::SHORT {
            true => self.short.saturating_add(1),
            false => 0,
        };
    }
}

/// Whether the peer can do anything while we poll.
fn can_both_run() -> bool {
    static SEVERAL: OnceLock<bool> = OnceLock::new();
    *SEVERAL.get_or_init(os::has_several_processors)
}

/// Sleeps for those that have no place in the roster, and so nobody to wake them.
// layout: L099
pub(crate) fn look_later(until: Option<Instant>) {
    let left = until.map(|at| at.saturating_duration_since(Instant::now()));
    std::thread::sleep(left.map_or(LOOK, |left| left.min(LOOK)));
}

/// An end at which messages arrive.
pub(crate) trait Inbox {
    /// The next message, where it is as most are.
    fn glance(&mut self) -> Option<usize>;
    /// A look at everything, after a glance in vain.
    fn poll(&mut self) -> Step;
    #[inline]
    fn look(&mut self) -> Step {
        match self.glance() {
            Some(len) => Step::Message(len),
            None => self.poll(),
        }
    }
    /// The length of the next message, which is waited for until the deadline.
    #[inline]
    fn receive(&mut self, deadline: Deadline) -> std::result::Result<usize, RecvError>
    where
        Self: Sized,
    {
        match self.glance() {
            Some(len) => Ok(len),
            None => receive(self, deadline),
        }
    }
    /// The same, with a clock that is read only where there is no message yet.
    fn receive_within(&mut self, timeout: Duration) -> std::result::Result<usize, RecvError>
    where
        Self: Sized,
    {
        match self.glance() {
            Some(len) => Ok(len),
            None => receive(self, Deadline::within(timeout)),
        }
    }
    fn pace(&mut self) -> &mut Pace;
    /// What there is to be told where a look found no message.
    fn no_message(&mut self, step: Step) -> Option<RecvError>;
    /// Sleeps until there is reason to look again, or that moment.
    fn sleep(&mut self, until: Option<Instant>) -> Result<()>;
}

/// Waits for a message, whose length it says, after a glance in vain.
// layout: L089
fn receive(inbox: &mut impl Inbox, deadline: Deadline) -> std::result::Result<usize, RecvError> {
    let mut found = inbox.poll();
    let Ok(until) = deadline.instant_or(()) else {
        return match found {
            Step::Message(len) => Ok(len),
            other => Err(inbox.no_message(other).unwrap_or(RecvError::Empty)),
        };
    };
    match found {
        Step::Message(len) => {
            inbox.pace().went_on();
            return Ok(len);
        }
        Step::Nothing => inbox.pace().waits(),
        _ => {}
    }
    let mut has_slept = false;
    loop {
        let mut spin = Spin::new(until);
        loop {
            match found {
                Step::Message(len) => {
                    let polls = if has_slept { u32::MAX } else { spin.polls };
                    inbox.pace().waited(polls, len);
                    return Ok(len);
                }
                other => inbox.no_message(other).map_or(Ok(()), Err)?,
            }
            if !spin.again() {
                break;
            }
            found = inbox.look();
        }
        if until.is_some_and(|at| Instant::now() >= at) {
            return Err(RecvError::Timeout);
        }
        inbox.sleep(until)?;
        has_slept = true;
        found = inbox.look();
    }
}
