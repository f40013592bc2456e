//! A participant's place in a segment, on the kernel's events: where it sleeps, by what it is woken,
//! and by what it is known to live. How it sleeps and wakes is in [`parking`](crate::segment::notifier).

use crate::access::Access;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{LIVE_SUFFIX, OWNER, WAKE_SUFFIX};
use crate::name::Name;
use crate::object::process::{Liveness, Process};
use crate::os::{
    self, EventBackend, HowToCreate, LONGEST_SLEEP, ProcessBackend, ProcessIdentity, Reset,
    Validity, ValidityBackend, Wake,
};
use crate::segment::notifier::{self, Sleeper, System};
use crate::segment::roster::{Roster, is_dead, pid_of, watch, word_of};
use crate::wait::source::Signals;
use std::time::{Duration, Instant};

/// The means to wake those who sleep in a segment.
pub(crate) type Bells = notifier::Bells<Kernel>;

/// The events of a segment, whose names derive from its name.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    name: Name,
    /// Who may wake us.
    access: Access,
}

impl Kernel {
    pub fn new(name: &Name, access: &Access) -> Kernel {
        Kernel {
            name: name.clone(),
            access: access.clone(),
        }
    }
}

impl System for Kernel {
    type Event = os::Event;
    type Peer = os::Process;

    /// Nobody can set it but those who may write the roster.
    // layout: L086
    fn create(&self, seat: usize, who: (u64, u32)) -> Result<os::Event> {
        let how = HowToCreate {
            access: self.access.clone(),
            ..HowToCreate::default()
        };
        os::Event::create(&event_name(&self.name, seat, who)?, Reset::Auto, &how)
    }

    fn open(&self, seat: usize, who: (u64, u32)) -> Result<Option<os::Event>> {
        match os::Event::open_to_set(&event_name(&self.name, seat, who)?) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn set(&self, event: &os::Event) {
        let _ = event.set();
    }

    fn wait(&self, event: &os::Event, peers: &[&os::Process], time: Duration) -> Result<Wake> {
        event.wait(peers, Some(time))
    }

    fn is_dead(&self, word: u64) -> bool {
        is_dead(word)
    }
}

/// A participant's place in a segment, until it is dropped: its bit, its slot where it is
/// not the owner, and its means to sleep and to wake the others.
#[derive(Debug)]
pub(crate) struct Seat {
    bells: Bells,
    sleeper: Sleeper<os::Event>,
    /// Of a participant, for those who may not watch its process.
    alive: Option<Liveness>,
    /// Of the endpoint that has the seat.
    pub validity: Validity,
}

impl Seat {
    /// The owner's.
    pub fn of_owner(bells: Bells, me: &ProcessIdentity) -> Seat {
        Seat::new(bells, OWNER, word_of(me))
    }

    /// One of the first so many slots, for a participant, with those who may wake it and those
    /// who may watch it.
    // layout: L085 L104
    pub fn take(
        roster: Roster,
        name: &Name,
        [wake, watch]: [Access; 2],
        slots: usize,
        owner: &ProcessIdentity,
    ) -> Result<Seat> {
        let me = word_of(&ProcessIdentity::current()?);
        let Some(slot) = roster.claim(me, slots, is_dead) else {
            let meaning = format!("all {slots} places are taken by living processes");
            let error = Error::new(ErrorKind::Busy, Operation::Open, name, meaning);
            return Err(
                error.with_advice("wait until one of them leaves, or let the creator allow more")
            );
        };
        let bells = Bells::new(roster, Kernel::new(name, &wake), word_of(owner));
        let mut seat = Seat::new(bells, slot, me);
        if os::Process::MAY_BE_CLOSED {
            let who = (me, seat.roster().tenancy(slot));
            let name = name_of(LIVE_SUFFIX, name, slot, who)?;
            seat.alive = match Liveness::announce(name, watch) {
                // Somebody has the name. Most may watch the process itself.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
                announced => Some(announced?),
            };
        }
        seat.sleeper.prepare(&seat.bells)?;
        seat.bells.meet(OWNER);
        Ok(seat)
    }

    /// Lets this process be woken in the seat of an owner that is in use, and says whether its
    /// name is still there.
    pub fn settle(&mut self, named: &os::Section) -> Result<()> {
        self.validity = Validity::of_owner(named);
        self.sleeper.prepare(&self.bells).map(drop)
    }

    /// Makes what others wake us by, in the seat of an owner that goes on in another generation.
    pub fn prepare(&mut self) -> Result<()> {
        self.sleeper.prepare(&self.bells).map(drop)
    }

    /// Stays the same endpoint as in the generation before.
    pub fn stay(&mut self, before: &mut Seat) {
        std::mem::swap(&mut self.validity, &mut before.validity);
    }

    fn new(bells: Bells, number: usize, me: u64) -> Seat {
        Seat {
            sleeper: Sleeper::new(bells.roster(), number, me),
            bells,
            alive: None,
            validity: Validity::new(),
        }
    }

    /// The slot of a participant.
    pub fn slot(&self) -> usize {
        self.sleeper.seat()
    }

    pub fn roster(&self) -> &Roster {
        self.bells.roster()
    }

    /// See [`Bells::wake`](notifier::Bells::wake).
    #[inline]
    pub fn wake(&mut self, seats: u64) {
        self.bells.wake(seats);
    }

    /// Tells a fault of the endpoint, as a call does that is no message's.
    pub fn check(&self) -> Result<()> {
        let told = self.validity.check();
        told.map_err(|fault| fault.error(Operation::Wait, self.name()))
    }

    fn name(&self) -> &Name {
        &self.bells.system().name
    }

    /// See [`Bells::has_to_wake`](notifier::Bells::has_to_wake).
    #[inline]
    pub fn has_to_wake(&self, seats: u64) -> bool {
        self.bells.has_to_wake(seats)
    }

    /// See [`Bells::meet`](notifier::Bells::meet).
    pub fn meet(&mut self, seat: usize) {
        self.bells.meet(seat);
    }

    /// See [`watch_tenant`].
    pub fn watch(&self, slot: usize, word: u64) -> Result<Option<Process>> {
        watch_tenant(self.roster(), self.name(), slot, word)
    }

    /// See [`Bells::is_deaf`](notifier::Bells::is_deaf).
    pub fn is_deaf(&self, seat: usize) -> bool {
        self.bells.is_deaf(seat)
    }

    /// See [`Sleeper::park`].
    pub fn park(
        &mut self,
        ready: impl FnMut() -> bool,
        peers: &[&Process],
        until: Option<Instant>,
    ) -> Result<bool> {
        let peers: Vec<&os::Process> = peers.iter().map(|peer| peer.os()).collect();
        let ended = self.sleeper.park(&self.bells, ready, &peers, until);
        self.get_up();
        ended
    }

    /// The same for a sleep together with others; see [`Wait`](crate::wait::source::Wait).
    pub fn register(&mut self, signals: &mut Signals) -> Result<()> {
        signals.add(self.sleeper.lie_down(&self.bells)?.signal()?);
        signals.look_again_in(LONGEST_SLEEP);
        Ok(())
    }

    /// Says that it sleeps no longer.
    // layout: L083
    pub fn get_up(&mut self) {
        // A child that was forked says nothing for its parent.
        if !self.validity.is_forked() {
            self.sleeper.get_up(&self.bells);
        }
    }
}

impl Drop for Seat {
    // layout: L083 L105
    fn drop(&mut self) {
        // A child that was forked leaves nothing of its parent's.
        if self.slot() != OWNER && !self.validity.is_forked() {
            self.roster().leave(self.slot(), self.sleeper.word());
            // So that nobody waits for us.
            self.wake(1 << OWNER);
        }
    }
}

/// Watches the process of this word, which has a slot; `None` where it has ended. An error is no
/// proof.
// layout: L082
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
// layout: L082
pub(crate) fn has_died(watched: Option<Process>, word: u64) -> bool {
    watched.is_none() || is_dead(word)
}

/// That of the event on which somebody sleeps.
pub(crate) fn event_name(name: &Name, seat: usize, who: (u64, u32)) -> Result<Name> {
    name_of(WAKE_SUFFIX, name, seat, who)
}

/// The name carries tenant and tenancy, so that the object of an earlier one is not taken for
/// that of a later.
// layout: L012 L013
fn name_of(suffix: &str, name: &Name, seat: usize, (word, tenancy): (u64, u32)) -> Result<Name> {
    let pid = pid_of(word);
    Name::new(&format!("{name}{suffix}{seat:02x}-{pid:x}-{tenancy:x}"))
}
