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
use crate::error::{ErrorKind, Operation, Result};
use crate::layout::{LIVE_SUFFIX, OWNER, WAKE_SUFFIX};
use crate::name::Name;
use crate::os::{
    self, EventBackend, HowToCreate, ProcessBackend, ProcessIdentity, Reset, Validity,
    ValidityBackend, Wake,
};
use crate::process::{Liveness, Process};
use crate::roster::{Roster, is_dead, pid_of, watch, word_of};
use crate::signals::Signals;
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

/// The longest sleep. A waker that cannot open the event of a sleeper, for want of descriptors,
/// delays the sleeper for so long, and tries again with its next message.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

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
        self.make_room();
        // Whoever set the bit has counted that nap: pairs with `set_asleep`.
        self.roster.words().acquire();
        while seats != 0 {
            let seat = seats.trailing_zeros() as usize;
            seats &= seats - 1;
            let who = self.who(seat);
            let naps = self.roster.naps(seat);
            match self.others[seat].rung {
                Some((nap, at)) if nap == naps && self.others[seat].who == who => {
                    if at.elapsed() > DEAF {
                        self.look_whether_dead(seat, who.0);
                    }
                    continue;
                }
                _ => {}
            }
            match self.event_of(seat, who) {
                Ok(Some(event)) => drop(event.set()),
                // It is gone, and there is nobody to be woken.
                Ok(None) => {}
                // The sleeper looks by itself before long, and the next message tries again.
                Err(_) => continue,
            }
            self.others[seat].rung = Some((naps, Instant::now()));
        }
    }

    /// Opens the event of a participant that was seen for the first time, so that a wake-up needs
    /// no descriptor later. One that cannot be opened now is tried again by a wake-up.
    pub fn meet(&mut self, seat: usize) {
        self.make_room();
        let _ = self.event_of(seat, self.who(seat));
    }

    /// Frees the slot of a participant that was killed in its sleep, whose bit would have each
    /// message look for it. The bit is cleared first: once the slot is free, it is another one's.
    #[cold]
    fn look_whether_dead(&mut self, seat: usize, word: u64) {
        if let Some((_, at)) = &mut self.others[seat].rung {
            // To ask the system takes a while: not with each message.
            *at = Instant::now();
        }
        if seat != OWNER && word != 0 && is_dead(word) && self.roster.who(seat) == word {
            self.roster.set_asleep(seat, false);
            self.roster.evict(seat, word);
        }
    }

    fn make_room(&mut self) {
        if self.others.is_empty() {
            self.others.resize_with(OWNER + 1, Other::default);
        }
    }

    /// The word and the tenancy of whoever has this seat.
    fn who(&self, seat: usize) -> (u64, u32) {
        let word = match seat {
            OWNER => self.owner,
            slot => self.roster.who(slot),
        };
        (word, self.roster.tenancy(seat))
    }

    /// The event of this one, opened before or now; `None` where it has none.
    fn event_of(&mut self, seat: usize, who: (u64, u32)) -> Result<Option<&os::Event>> {
        let other = &mut self.others[seat];
        if other.who != who {
            *other = Other {
                who,
                ..Other::default()
            };
        }
        if other.event.is_none() {
            let name = event_name(&self.name, seat, who)?;
            match os::Event::open_to_set(&name) {
                Ok(event) => other.event = Some(event),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(other.event.as_ref())
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
    /// Of the endpoint that has the seat.
    pub validity: Validity,
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
        seat.event = Some(seat.new_event()?);
        seat.bells.meet(OWNER);
        Ok(seat)
    }

    /// Lets this process be woken in the seat of an owner that is in use, and says whether its
    /// name is still there.
    pub fn settle(&mut self, named: &os::Section) -> Result<()> {
        self.validity = Validity::of_owner(named);
        self.event = Some(self.new_event()?);
        Ok(())
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
            validity: Validity::new(),
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

    /// Tells a fault of the endpoint, as a call does that is no message's.
    pub fn check(&self) -> Result<()> {
        let told = self.validity.check();
        told.map_err(|fault| fault.error(Operation::Wait, &self.bells.name))
    }

    /// See [`Bells::has_to_wake`].
    #[inline]
    pub fn has_to_wake(&self, seats: u64) -> bool {
        self.bells.has_to_wake(seats)
    }

    /// See [`Bells::meet`].
    pub fn meet(&mut self, seat: usize) {
        self.bells.meet(seat);
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
    fn lie_down(&mut self) -> Result<os::Signal> {
        let event = match self.event.take() {
            Some(event) => event,
            None => self.new_event()?,
        };
        let signal = self.event.insert(event).signal()?;
        self.naps = self.naps.wrapping_add(1);
        self.bells.roster.set_naps(self.number, self.naps);
        self.bells.roster.set_asleep(self.number, true);
        // Between our bit and our look. A waker's look may still be older than its store:
        // hence the first nap.
        self.bells.roster.words().full();
        Ok(signal)
    }

    /// The same for a sleep together with others; see [`Wait`](crate::signals::Wait).
    pub fn register(&mut self, signals: &mut Signals) -> Result<()> {
        signals.add(self.lie_down()?);
        signals.look_again_in(LONGEST_SLEEP);
        Ok(())
    }

    /// Says that it sleeps no longer.
    pub fn get_up(&mut self) {
        // A child that was forked says nothing for its parent.
        if !self.validity.is_forked() {
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
        let left = left().map_or(LONGEST_SLEEP, |left| left.min(LONGEST_SLEEP));
        Ok(event.wait(&peers, Some(left))? == Wake::PeerDied)
    }

    /// The event of this seat, which nobody can set but those who may write the roster.
    fn new_event(&self) -> Result<os::Event> {
        let how = HowToCreate {
            access: self.access.clone(),
            ..HowToCreate::default()
        };
        let who = (self.me, self.bells.roster.tenancy(self.number));
        let name = event_name(&self.bells.name, self.number, who)?;
        os::Event::create(&name, Reset::Auto, &how)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A child that was forked leaves nothing of its parent's.
        if self.number != OWNER && !self.validity.is_forked() {
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

/// Whether a process that seemed to have ended has: a liveness mutex is free when its participant
/// has left, too, and the same process may have the slot again.
pub(crate) fn has_died(watched: Option<Process>, word: u64) -> bool {
    watched.is_none() || is_dead(word)
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
