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
pub(crate) type Notifier = notifier::Notifier<Kernel>;

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
    fn create(&self, slot: usize, occupant: (u64, u32)) -> Result<os::Event> {
        let how = HowToCreate {
            access: self.access.clone(),
            ..HowToCreate::default()
        };
        os::Event::create(&event_name(&self.name, slot, occupant)?, Reset::Auto, &how)
    }

    fn open(&self, slot: usize, occupant: (u64, u32)) -> Result<Option<os::Event>> {
        match os::Event::open_to_set(&event_name(&self.name, slot, occupant)?) {
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
pub(crate) struct Participant {
    notifier: Notifier,
    sleeper: Sleeper<os::Event>,
    /// Of a participant, for those who may not watch its process.
    alive: Option<Liveness>,
    /// Of the endpoint that has the participant.
    pub validity: Validity,
}

impl Participant {
    /// The owner's.
    pub fn of_owner(notifier: Notifier, me: &ProcessIdentity) -> Participant {
        Participant::new(notifier, OWNER, word_of(me))
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
    ) -> Result<Participant> {
        let me = word_of(&ProcessIdentity::current()?);
        let Some(slot) = roster.claim(me, slots, is_dead) else {
            let meaning = format!("all {slots} places are taken by living processes");
            let error = Error::new(ErrorKind::Busy, Operation::Open, name, meaning);
            return Err(
                error.with_advice("wait until one of them leaves, or let the creator allow more")
            );
        };
        let notifier = Notifier::new(roster, Kernel::new(name, &wake), word_of(owner));
        let mut participant = Participant::new(notifier, slot, me);
        if os::Process::MAY_BE_CLOSED {
            let occupant = (me, participant.roster().slot_epoch(slot));
            let name = name_of(LIVE_SUFFIX, name, slot, occupant)?;
            participant.alive = match Liveness::announce(name, watch) {
                // Somebody has the name. Most may watch the process itself.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
                announced => Some(announced?),
            };
        }
        participant.sleeper.prepare(&participant.notifier)?;
        participant.notifier.open_event(OWNER);
        Ok(participant)
    }

    /// Lets this process be woken in the participant of an owner that is in use, and says whether its
    /// name is still there.
    pub fn settle(&mut self, named: &os::Section) -> Result<()> {
        self.validity = Validity::of_owner(named);
        self.sleeper.prepare(&self.notifier).map(drop)
    }

    /// Makes what others wake us by, in the participant of an owner that goes on in another generation.
    pub fn prepare(&mut self) -> Result<()> {
        self.sleeper.prepare(&self.notifier).map(drop)
    }

    /// Stays the same endpoint as in the generation before.
    pub fn stay(&mut self, before: &mut Participant) {
        std::mem::swap(&mut self.validity, &mut before.validity);
    }

    fn new(notifier: Notifier, number: usize, me: u64) -> Participant {
        Participant {
            sleeper: Sleeper::new(notifier.roster(), number, me),
            notifier,
            alive: None,
            validity: Validity::new(),
        }
    }

    /// The slot of a participant.
    pub fn slot(&self) -> usize {
        self.sleeper.slot()
    }

    pub fn roster(&self) -> &Roster {
        self.notifier.roster()
    }

    /// See [`Notifier::wake`](notifier::Notifier::wake).
    #[inline]
    pub fn wake(&mut self, participants: u64) {
        self.notifier.wake(participants);
    }

    /// Tells a fault of the endpoint, as a call does that is no message's.
    pub fn check(&self) -> Result<()> {
        let told = self.validity.check();
        told.map_err(|fault| fault.error(Operation::Wait, self.name()))
    }

    fn name(&self) -> &Name {
        &self.notifier.system().name
    }

    /// See [`Notifier::has_to_wake`](notifier::Notifier::has_to_wake).
    #[inline]
    pub fn has_to_wake(&self, participants: u64) -> bool {
        self.notifier.has_to_wake(participants)
    }

    /// See [`Notifier::meet`](notifier::Notifier::meet).
    pub fn open_event(&mut self, slot: usize) {
        self.notifier.open_event(slot);
    }

    /// See [`open_occupant`].
    pub fn watch(&self, slot: usize, word: u64) -> Result<Option<Process>> {
        open_occupant(self.roster(), self.name(), slot, word)
    }

    /// See [`Notifier::is_unreachable`](notifier::Notifier::is_unreachable).
    pub fn is_unreachable(&self, slot: usize) -> bool {
        self.notifier.is_unreachable(slot)
    }

    /// See [`Sleeper::park`].
    pub fn park(
        &mut self,
        ready: impl FnMut() -> bool,
        peers: &[&Process],
        until: Option<Instant>,
    ) -> Result<bool> {
        let peers: Vec<&os::Process> = peers.iter().map(|peer| peer.os()).collect();
        let ended = self.sleeper.park(&self.notifier, ready, &peers, until);
        self.deregister();
        ended
    }

    /// The same for a sleep together with others; see [`Wait`](crate::wait::source::Wait).
    pub fn register(&mut self, signals: &mut Signals) -> Result<()> {
        signals.add(self.sleeper.register(&self.notifier)?.signal()?);
        signals.look_again_in(LONGEST_SLEEP);
        Ok(())
    }

    /// Says that it sleeps no longer.
    // layout: L083
    pub fn deregister(&mut self) {
        // A child that was forked says nothing for its parent.
        if !self.validity.is_forked() {
            self.sleeper.deregister(&self.notifier);
        }
    }
}

impl Drop for Participant {
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
pub(crate) fn open_occupant(
    roster: &Roster,
    name: &Name,
    slot: usize,
    word: u64,
) -> Result<Option<Process>> {
    match watch(word) {
        // Another user's, or one that runs elevated.
        Err(error) if error.kind() == ErrorKind::AccessDenied => {
            let name = name_of(LIVE_SUFFIX, name, slot, (word, roster.slot_epoch(slot)))?;
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
pub(crate) fn event_name(name: &Name, slot: usize, occupant: (u64, u32)) -> Result<Name> {
    name_of(WAKE_SUFFIX, name, slot, occupant)
}

/// The name carries occupant and slot_epoch, so that the object of an earlier one is not taken for
/// that of a later.
// layout: L012 L013
fn name_of(suffix: &str, name: &Name, slot: usize, (word, slot_epoch): (u64, u32)) -> Result<Name> {
    let pid = pid_of(word);
    Name::new(&format!("{name}{suffix}{slot:02x}-{pid:x}-{slot_epoch:x}"))
}
