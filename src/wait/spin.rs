//! Waiting for a peer. A wait polls for somewhat longer than a wake-up takes, and then sleeps.

use crate::error::Result;
use crate::error::channel::RecvError;
use crate::lane::Step;
use crate::os;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a wait polls before it sleeps: somewhat longer than a wake-up takes, which was measured
/// as 25 to 70 µs. A shorter time would do harm: while one of two peers is being woken, the other
/// peer would go to sleep too, would have to be woken in turn, and so on for ever.
// layout: L098
const SPIN: Duration = Duration::from_micros(100);
/// The number of polls between two looks at the clock.
const POLLS: u32 = 64;

/// How long a participant sleeps at first, before it looks once more. A store becomes visible on
/// every processor long before this time is over.
// layout: L098
pub(crate) const FIRST_PARK: Duration = Duration::from_millis(1);

/// The moment at which a blocking call gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// The call does not block.
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

    /// Returns the moment at which to give up, or `None` for never.
    ///
    /// # Errors
    ///
    /// `refusal` if the call does not block.
    pub fn instant_or<E>(self, refusal: E) -> Result<Option<Instant>, E> {
        match self {
            Deadline::Now => Err(refusal),
            Deadline::At(at) => Ok(Some(at)),
            Deadline::Never => Ok(None),
        }
    }
}

/// A loop that polls for as long as polling is worth it.
pub(crate) struct Spin {
    polls: u32,
    end: Option<Instant>,
    until: Option<Instant>,
}

impl Spin {
    /// Makes a loop that ends at `until` at the latest.
    pub fn new(until: Option<Instant>) -> Spin {
        Spin {
            polls: 0,
            end: None,
            until,
        }
    }

    /// Returns whether to poll again.
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

/// Keeps a receiver at a distance from its sender in a stream of longer messages.
///
/// The processor of a receiver that is right behind its sender prefetches cache lines that the
/// sender is about to write. The sender has to fetch each of these lines back. Both then run at a
/// fifth of the possible rate. A distance of some kilobytes prevents this. So a receiver that has
/// found several longer messages in a row, almost without waiting, pauses for a moment. It keeps
/// pausing as long as a pause brings several messages at a time.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The number of short waits in a row.
    short: u32,
    /// The number of messages since the last wait that were there at once.
    at_once: u32,
    has_paused: bool,
}

impl Pace {
    /// The length of the shortest message that counts as longer. Measured, messages of 128 bytes
    /// are not slowed down, and messages of 200 bytes are.
    const LONG: usize = 129;
    /// The longest short wait, in polls of 10 to 20 ns each. A wait for an answer takes longer.
    const SHORT: u32 = 16;
    /// The number of short waits in a row that make a stream.
    const STREAM: u32 = 8;
    /// The length of a pause. A stream sends some kilobytes in this time. A single message after a
    /// stream may be received this much later, once.
    const PAUSE: Duration = Duration::from_micros(1);
    /// The number of messages that make a pause worth it.
    const WORTH_IT: u32 = 4;

    /// Counts a message that was there at once.
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
        self.short = if len >= Pace::LONG && polls <= Pace::SHORT {
            self.short.saturating_add(1)
        } else {
            0
        };
    }
}

/// Returns whether the peer can run while this thread polls.
fn can_both_run() -> bool {
    static SEVERAL: OnceLock<bool> = OnceLock::new();
    *SEVERAL.get_or_init(os::has_several_processors)
}

/// An endpoint at which messages arrive.
pub(crate) trait Inbox {
    /// Returns the length of the next message in the common case, by a quick look.
    fn glance(&mut self) -> Option<usize>;
    /// Looks at everything, after `glance` found no message.
    fn poll(&mut self) -> Step;
    /// Looks for the next message: by `glance`, and if it finds none, by `poll`.
    #[inline]
    fn look(&mut self) -> Step {
        match self.glance() {
            Some(len) => Step::Message(len),
            None => self.poll(),
        }
    }
    /// Waits for the next message until the deadline, and returns its length.
    #[inline(always)]
    fn receive(&mut self, deadline: Deadline) -> Result<usize, RecvError>
    where
        Self: Sized,
    {
        match self.glance() {
            Some(len) => Ok(len),
            None => self.wait(deadline),
        }
    }
    /// Waits for the next message, at most for `timeout`, and returns its length. The clock is read
    /// only if there is no message yet.
    fn receive_within(&mut self, timeout: Duration) -> Result<usize, RecvError>
    where
        Self: Sized,
    {
        match self.glance() {
            Some(len) => Ok(len),
            None => self.wait(Deadline::within(timeout)),
        }
    }
    /// Waits after a `glance` that found no message, by [`receive`]. Each endpoint has this
    /// function, so that the code of the wait is compiled once and not into each caller of
    /// `glance`.
    fn wait(&mut self, deadline: Deadline) -> Result<usize, RecvError>;
    fn pace(&mut self) -> &mut Pace;
    /// Returns the error to report, if any, after a look that found no message.
    fn no_message(&mut self, step: Step) -> Option<RecvError>;
    /// Sleeps until there is reason to look again, or until the deadline.
    fn sleep(&mut self, until: Option<Instant>) -> Result<()>;
    /// Returns whether the endpoint polls at intervals, since no process wakes it.
    fn is_observer(&self) -> bool {
        false
    }
}

/// An endpoint that can find messages and leave them in shared memory.
pub(crate) trait Find: Inbox {
    /// Finds the next message in the common case, by a quick look, and returns its length.
    fn find_quickly(&mut self) -> Option<usize>;
    /// Finds the next message, after a look at everything.
    fn find(&mut self) -> Step;
}

/// An endpoint that waits for messages as it always does, and leaves them in shared memory.
pub(crate) struct Finder<'a, E>(pub &'a mut E);

impl<E: Find> Inbox for Finder<'_, E> {
    #[inline]
    fn glance(&mut self) -> Option<usize> {
        self.0.find_quickly()
    }

    fn poll(&mut self) -> Step {
        self.0.find()
    }

    fn wait(&mut self, deadline: Deadline) -> Result<usize, RecvError> {
        receive(self, deadline)
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

    fn is_observer(&self) -> bool {
        self.0.is_observer()
    }
}

/// Waits for a message, after `glance` found none, and returns its length.
// layout: L089
pub(crate) fn receive(inbox: &mut impl Inbox, deadline: Deadline) -> Result<usize, RecvError> {
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
            // An observer that has polled in vain does not poll again before its next interval.
            if has_slept && inbox.is_observer() || !spin.again() {
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
