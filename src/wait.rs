//! Waiting for a peer without burning a processor, and waking one without a system call
//! where nobody sleeps.
//!
//! Whoever waits polls for somewhat longer than a wake-up costs, then counts its nap, sets
//! its bit in `asleep`, looks once more, and sleeps on an event of its own. Whoever has
//! sent something looks at `asleep`, and sets the event of a sleeper once for each nap.
//! Only the sleeper clears its bit: a waker that dies half-way takes nothing from the
//! next one.
//!
//! There is no fence between a sender's store and its look at `asleep`: it would double
//! the cost of a stream of small messages. So the look may be older than the store, and
//! miss a sleeper that looked before the store was visible. That store leaves the
//! processor's buffer within far less than [`FIRST_NAP`], after which the sleeper looks
//! again, and only then sleeps for as long as it has to. What can happen is one wake that
//! comes late, and never one that does not come.

use crate::access::Access;
use crate::error::{ErrorKind, Result};
use crate::exchange::RecvError;
use crate::lane::Step;
use crate::layout::{OWNER, WAKE_SUFFIX};
use crate::name::Name;
use crate::os::{self, EventBackend, HowToCreate, HowToOpen, ProcessIdentity, Reset, Wake};
use crate::process::Process;
use crate::roster::{Roster, pid_of, word_of};
use crate::sync::{Words, WordsMut, compiler_fence_full};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Rather more than it costs to be woken, which was 25 to 70 µs where it was measured. Less
/// would do harm: of two that talk, the one whose peer is just being woken would sleep too,
/// and then have to be woken itself, and so on for ever.
const SPIN: Duration = Duration::from_micros(100);
/// How many polls go between two looks at the clock.
const POLLS: u32 = 64;
/// A store is visible everywhere long before this.
const FIRST_NAP: Duration = Duration::from_millis(1);
/// How long a sleeper that was rung for may take before it is asked whether it lives.
const DEAF: Duration = Duration::from_millis(20);
/// Between two looks of those who have no bit to set.
const LOOK: Duration = Duration::from_millis(1);

/// All bits but the owner's.
pub(crate) const EVERYBODY: u64 = (1 << OWNER) - 1;

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
    fn pace(&mut self) -> &mut Pace;
    /// What there is to be told where a look found no message.
    fn no_message(&mut self, step: Step) -> Option<RecvError>;
    /// Sleeps until there is reason to look again, or that moment.
    fn sleep(&mut self, until: Option<Instant>) -> Result<()>;
}

/// Waits for a message, whose length it says, after a glance in vain.
pub(crate) fn receive(
    inbox: &mut impl Inbox,
    until: Option<Instant>,
) -> std::result::Result<usize, RecvError> {
    let mut found = inbox.poll();
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

/// A participant's place in a segment, until it is dropped: its bit, its slot where it is
/// not the owner, and its means to sleep and to wake the others.
#[derive(Debug)]
pub(crate) struct Seat {
    roster: Roster,
    /// The segment's name, from which those of the events derive.
    name: Name,
    access: Access,
    number: usize,
    me: u64,
    owner: u64,
    naps: u32,
    event: Option<os::Event>,
    others: Vec<Other>,
}

/// What is known about whoever may have to be woken.
#[derive(Debug, Default)]
struct Other {
    /// Its word and its tenancy.
    who: (u64, u32),
    event: Option<os::Event>,
    /// The nap for which it was rung.
    rung: Option<(u32, Instant)>,
}

impl Seat {
    /// The owner's.
    pub fn of_owner(roster: Roster, name: &Name, access: Access, me: &ProcessIdentity) -> Seat {
        let me = word_of(me);
        Seat::new(roster, name, access, OWNER, [me, me])
    }

    /// One of the first so many slots, for a participant. `access` says who may wake it.
    pub fn take(
        roster: Roster,
        name: &Name,
        access: Access,
        slots: usize,
        owner: &ProcessIdentity,
    ) -> Result<Seat> {
        let me = word_of(&ProcessIdentity::current()?);
        let slot = roster.claim(me, slots, name)?;
        Ok(Seat::new(roster, name, access, slot, [me, word_of(owner)]))
    }

    fn new(roster: Roster, name: &Name, access: Access, number: usize, words: [u64; 2]) -> Seat {
        let [me, owner] = words;
        Seat {
            naps: roster.naps(number),
            roster,
            name: name.clone(),
            access,
            number,
            me,
            owner,
            event: None,
            others: Vec::new(),
        }
    }

    /// The slot of a participant.
    pub fn slot(&self) -> usize {
        self.number
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Wakes those of the seats that sleep. To be called when what they wait for has been
    /// stored.
    #[inline]
    pub fn wake(&mut self, seats: u64) {
        if self.has_to_wake(seats) {
            self.ring(seats);
        }
    }

    /// Whether any of the seats sleeps.
    #[inline]
    pub fn has_to_wake(&self, seats: u64) -> bool {
        // The compiler keeps the order; see above for the processor.
        compiler_fence_full();
        self.roster.asleep() & seats != 0
    }

    #[cold]
    fn ring(&mut self, mut seats: u64) {
        seats &= self.roster.asleep();
        if self.others.is_empty() {
            self.others.resize_with(OWNER + 1, Other::default);
        }
        // Whoever set the bit has counted that nap: pairs with `set_asleep`.
        self.roster.words().acquire();
        while seats != 0 {
            let seat = seats.trailing_zeros() as usize;
            seats &= seats - 1;
            let word = match seat {
                OWNER => self.owner,
                slot => self.roster.who(slot),
            };
            let who = (word, self.roster.tenancy(seat));
            let naps = self.roster.naps(seat);
            let other = &mut self.others[seat];
            if other.who == who && other.rung.is_some_and(|(nap, _)| nap == naps) {
                continue;
            }
            if other.who != who || other.event.is_none() {
                let how = HowToOpen {
                    write: true,
                    ..HowToOpen::default()
                };
                let name = event_name(&self.name, seat, who);
                let opened = name.and_then(|name| os::Event::open(&name, &how));
                other.who = who;
                other.rung = None;
                other.event = match opened {
                    Ok(event) => Some(event),
                    // It is gone, and there is nobody to be woken.
                    Err(error) if error.kind() == ErrorKind::NotFound => None,
                    // Perhaps next time.
                    Err(_) => continue,
                };
            }
            if let Some(event) = &other.event {
                let _ = event.set();
            }
            other.rung = Some((naps, Instant::now()));
        }
    }

    /// Whether somebody was rung for a while ago and has not woken up, as the dead do not.
    pub fn is_deaf(&self, seat: usize) -> bool {
        let Some(other) = self.others.get(seat) else {
            return false;
        };
        let asleep = self.roster.asleep() & (1 << seat) != 0;
        let rung = |(nap, at): (u32, Instant)| nap == self.roster.naps(seat) && at.elapsed() > DEAF;
        asleep && other.rung.is_some_and(rung)
    }

    /// Sleeps until `ready`, a wake-up, the death of one of the peers, or that moment;
    /// whichever it was, the caller looks again. Says whether a peer has ended.
    pub fn park(
        &mut self,
        mut ready: impl FnMut() -> bool,
        peers: &[&Process],
        until: Option<Instant>,
    ) -> Result<bool> {
        if self.event.is_none() {
            self.event = Some(self.make_event()?);
        }
        self.naps = self.naps.wrapping_add(1);
        self.roster.set_naps(self.number, self.naps);
        self.roster.set_asleep(self.number, true);
        // Between our bit and our look. A waker's look may still be older than its store:
        // hence the first nap.
        self.roster.words().full();
        let ended = match ready() {
            true => Ok(false),
            false => self.sleep(&mut ready, peers, until),
        };
        self.roster.set_asleep(self.number, false);
        ended
    }

    fn sleep(
        &self,
        ready: &mut impl FnMut() -> bool,
        peers: &[&Process],
        until: Option<Instant>,
    ) -> Result<bool> {
        let Some(event) = &self.event else {
            return Ok(false);
        };
        let peers: Vec<&os::Process> = peers.iter().map(|peer| peer.os()).collect();
        let left = || until.map(|at| at.saturating_duration_since(Instant::now()));
        let first = left().map_or(FIRST_NAP, |left| left.min(FIRST_NAP));
        match event.wait(&peers, Some(first))? {
            Wake::TimedOut if !ready() => {}
            woken => return Ok(woken == Wake::PeerDied),
        }
        Ok(event.wait(&peers, left())? == Wake::PeerDied)
    }

    /// Nobody but those who may write the roster can set it.
    fn make_event(&self) -> Result<os::Event> {
        let how = HowToCreate {
            access: self.access.clone(),
            ..HowToCreate::default()
        };
        let who = (self.me, self.roster.tenancy(self.number));
        os::Event::create(
            &event_name(&self.name, self.number, who)?,
            Reset::Auto,
            &how,
        )
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.number != OWNER {
            self.roster.leave(self.number, self.me);
            // So that nobody waits for us.
            self.wake(1 << OWNER);
        }
    }
}

/// The name carries tenant and tenancy, so that the event of an earlier one is not taken
/// for that of a later.
pub(crate) fn event_name(name: &Name, seat: usize, (word, tenancy): (u64, u32)) -> Result<Name> {
    let pid = pid_of(word);
    Name::new(&format!(
        "{name}{WAKE_SUFFIX}{seat:02x}-{pid:x}-{tenancy:x}"
    ))
}
