//! Sleeping until a peer has something for us, and waking one without a system call where
//! nobody sleeps.
//!
//! Whoever waits counts its nap, sets its bit in `asleep`, looks once more, and sleeps on an
//! event of its own. Whoever has sent something looks at `asleep`, and sets the event of a
//! sleeper once for each nap. Only the sleeper clears its bit: a waker that dies half-way
//! takes nothing from the next one.
//!
//! There is no fence between a sender's store and its look at `asleep`: it would double
//! the cost of a stream of small messages. So the look may be older than the store, and
//! miss a sleeper that looked before the store was visible. That store leaves the
//! processor's buffer within far less than [`FIRST_NAP`], after which the sleeper looks
//! again, and only then sleeps for as long as it has to. What can happen is one wake that
//! comes late, and never one that does not come.

use crate::access::Access;
use crate::error::{ErrorKind, Result};
use crate::layout::{LIVE_SUFFIX, OWNER, WAKE_SUFFIX};
use crate::name::Name;
use crate::os::{self, EventBackend, HowToCreate, ProcessBackend, ProcessIdentity, Reset, Wake};
use crate::process::{Liveness, Process};
use crate::roster::{Roster, pid_of, watch, word_of};
use crate::sync::{Words, WordsMut, compiler_fence_full};
use std::time::{Duration, Instant};

/// A store is visible everywhere long before this.
pub(crate) const FIRST_NAP: Duration = Duration::from_millis(1);
/// How long a sleeper that was rung for may take before it is asked whether it lives.
const DEAF: Duration = Duration::from_millis(20);
/// All bits but the owner's.
pub(crate) const EVERYBODY: u64 = (1 << OWNER) - 1;

/// The means to wake those who sleep.
#[derive(Debug)]
pub(crate) struct Bells {
    roster: Roster,
    /// The segment's name, from which those of the events derive.
    name: Name,
    owner: u64,
    others: Vec<Other>,
}

/// How long who has participants in earlier generations, which cannot ring for it, sleeps at a
/// time.
pub(crate) const LOOK_BACK: Duration = Duration::from_millis(100);

/// That moment, or the one in so much time.
pub(crate) fn sooner(time: Duration, until: Option<Instant>) -> Option<Instant> {
    let next = Instant::now() + time;
    Some(until.map_or(next, |until| until.min(next)))
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

impl Bells {
    /// Those of a segment that this process owns.
    pub fn new(roster: Roster, name: &Name, owner: &ProcessIdentity) -> Bells {
        Bells {
            roster,
            name: name.clone(),
            owner: word_of(owner),
            others: Vec::new(),
        }
    }

    /// The same for another thread.
    pub fn afresh(&self) -> Bells {
        Bells {
            roster: self.roster.clone(),
            name: self.name.clone(),
            owner: self.owner,
            others: Vec::new(),
        }
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
                other.event = None;
                let name = event_name(&self.name, seat, who);
                let opened = name.and_then(|name| os::Event::open_to_set(&name));
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
}

/// A participant's place in a segment, until it is dropped: its bit, its slot where it is
/// not the owner, and its means to sleep and to wake the others.
#[derive(Debug)]
pub(crate) struct Seat {
    bells: Bells,
    access: Access,
    number: usize,
    me: u64,
    naps: u32,
    event: Option<os::Event>,
    /// Of a participant, for those who may not watch its process.
    alive: Option<Liveness>,
}

impl Seat {
    /// The owner's.
    pub fn of_owner(roster: Roster, name: &Name, access: Access, me: &ProcessIdentity) -> Seat {
        Seat::new(Bells::new(roster, name, me), access, OWNER, word_of(me))
    }

    /// One of the first so many slots, for a participant, with those who may wake it and those
    /// who may watch it.
    pub fn take(
        roster: Roster,
        name: &Name,
        [wake, watch]: [Access; 2],
        slots: usize,
        owner: &ProcessIdentity,
    ) -> Result<Seat> {
        let me = word_of(&ProcessIdentity::current()?);
        let slot = roster.claim(me, slots, name)?;
        let mut seat = Seat::new(Bells::new(roster, name, owner), wake, slot, me);
        if os::Process::MAY_BE_CLOSED {
            let who = (me, seat.roster().tenancy(slot));
            let name = name_of(LIVE_SUFFIX, name, slot, who)?;
            seat.alive = match Liveness::announce(name, watch) {
                // Somebody has the name. Most may watch the process itself.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
                announced => Some(announced?),
            };
        }
        Ok(seat)
    }

    fn new(bells: Bells, access: Access, number: usize, me: u64) -> Seat {
        Seat {
            naps: bells.roster.naps(number),
            bells,
            access,
            number,
            me,
            event: None,
            alive: None,
        }
    }

    /// The slot of a participant.
    pub fn slot(&self) -> usize {
        self.number
    }

    pub fn roster(&self) -> &Roster {
        &self.bells.roster
    }

    /// See [`Bells::wake`].
    #[inline]
    pub fn wake(&mut self, seats: u64) {
        self.bells.wake(seats);
    }

    /// See [`Bells::has_to_wake`].
    #[inline]
    pub fn has_to_wake(&self, seats: u64) -> bool {
        self.bells.has_to_wake(seats)
    }

    /// See [`watch_tenant`].
    pub fn watch(&self, slot: usize, word: u64) -> Result<Option<Process>> {
        watch_tenant(self.roster(), &self.bells.name, slot, word)
    }

    /// See [`Bells::is_deaf`].
    pub fn is_deaf(&self, seat: usize) -> bool {
        self.bells.is_deaf(seat)
    }

    /// Sleeps until `ready`, a wake-up, the death of one of the peers, or that moment;
    /// whichever it was, the caller looks again. Says whether a peer has ended.
    pub fn park(
        &mut self,
        mut ready: impl FnMut() -> bool,
        peers: &[&Process],
        until: Option<Instant>,
    ) -> Result<bool> {
        self.lie_down()?;
        let ended = match ready() {
            true => Ok(false),
            false => self.sleep(&mut ready, peers, until),
        };
        self.get_up();
        ended
    }

    /// Says that it sleeps, which it may do for [`FIRST_NAP`] after one more look, and after
    /// the next for as long as it has to, on what it gets.
    pub fn lie_down(&mut self) -> Result<os::Signal> {
        let event = match &self.event {
            Some(event) => event,
            None => &*self.event.insert(self.make_event()?),
        };
        let signal = event.signal()?;
        self.naps = self.naps.wrapping_add(1);
        self.bells.roster.set_naps(self.number, self.naps);
        self.bells.roster.set_asleep(self.number, true);
        // Between our bit and our look. A waker's look may still be older than its store:
        // hence the first nap.
        self.bells.roster.words().full();
        Ok(signal)
    }

    /// Says that it sleeps no longer.
    pub fn get_up(&mut self) {
        // A child that was forked says nothing for its parent.
        if pid_of(self.me) == std::process::id() {
            self.bells.roster.set_asleep(self.number, false);
        }
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
        let who = (self.me, self.bells.roster.tenancy(self.number));
        os::Event::create(
            &event_name(&self.bells.name, self.number, who)?,
            Reset::Auto,
            &how,
        )
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A child that was forked leaves nothing of its parent's.
        if self.number != OWNER && pid_of(self.me) == std::process::id() {
            self.bells.roster.leave(self.number, self.me);
            // So that nobody waits for us.
            self.wake(1 << OWNER);
        }
    }
}

/// Watches the process of this word, which has a slot; `None` where it has ended. An error is no
/// proof.
pub(crate) fn watch_tenant(
    roster: &Roster,
    name: &Name,
    slot: usize,
    word: u64,
) -> Result<Option<Process>> {
    match watch(word) {
        // Another user's, or one that runs elevated.
        Err(error) if error.kind() == ErrorKind::AccessDenied => {
            let name = name_of(LIVE_SUFFIX, name, slot, (word, roster.tenancy(slot)))?;
            Process::by_liveness(name).map(Some).or(Err(error))
        }
        watched => watched,
    }
}

/// That of the event on which somebody sleeps.
pub(crate) fn event_name(name: &Name, seat: usize, who: (u64, u32)) -> Result<Name> {
    name_of(WAKE_SUFFIX, name, seat, who)
}

/// The name carries tenant and tenancy, so that the object of an earlier one is not taken for
/// that of a later.
fn name_of(suffix: &str, name: &Name, seat: usize, (word, tenancy): (u64, u32)) -> Result<Name> {
    let pid = pid_of(word);
    Name::new(&format!("{name}{suffix}{seat:02x}-{pid:x}-{tenancy:x}"))
}
