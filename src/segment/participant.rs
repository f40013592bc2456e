//! A participant of a segment, on the events of the kernel: where it sleeps, how it is woken, and
//! how others see that it is alive. [`notifier`](crate::segment::notifier) explains sleeping and
//! waking.

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

/// The notifier of a segment, on the events of the kernel.
pub(crate) type Notifier = notifier::Notifier<Kernel>;

/// The events of a segment. Their names begin with the name of the segment.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    name: Name,
    /// The accounts that may wake this participant.
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

    /// Creates the event. Only accounts that may write the roster can set it.
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

/// A participant of a segment. It has a bit, a slot unless it is the owner, and the means to sleep
/// and to wake other participants. Dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Participant {
    notifier: Notifier,
    sleeper: Sleeper<os::Event>,
    /// The liveness mutex of a participant in a slot, for processes that may not watch its process.
    alive: Option<Liveness>,
    /// The validity of the endpoint that has this participant.
    pub validity: Validity,
}

impl Participant {
    /// Returns the participant of an owner.
    pub fn of_owner(notifier: Notifier, me: &ProcessIdentity) -> Participant {
        Participant::new(notifier, OWNER, word_of(me))
    }

    /// Takes one of the first `slots` slots. `wake` names the accounts that may wake this
    /// participant, and `watch` those that may watch it.
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
            let meaning = format!("all {slots} slots are taken by living processes");
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
                // Another object has this name. Most processes may watch this process itself, and
                // need no mutex.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
                announced => Some(announced?),
            };
        }

        participant.sleeper.prepare(&participant.notifier)?;
        participant.notifier.open_event(OWNER);
        Ok(participant)
    }

    /// Creates the event of an owner that has taken its name, and lets
    /// [`check`](Participant::check) report when that name is removed.
    pub fn settle(&mut self, named: &os::Section) -> Result<()> {
        self.validity = Validity::of_owner(named);
        self.sleeper.prepare(&self.notifier).map(drop)
    }

    /// Creates the event of an owner that continues in another generation.
    pub fn prepare(&mut self) -> Result<()> {
        self.sleeper.prepare(&self.notifier).map(drop)
    }

    /// Makes this participant belong to the same endpoint as the participant of the generation
    /// before.
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

    /// Returns the slot of this participant.
    pub fn slot(&self) -> usize {
        self.sleeper.slot()
    }

    pub fn roster(&self) -> &Roster {
        self.notifier.roster()
    }

    /// Wakes other participants; see [`Notifier::wake`](notifier::Notifier::wake).
    #[inline]
    pub fn wake(&mut self, participants: u64) {
        self.notifier.wake(participants);
    }

    /// Returns a fault of the endpoint, as the error of a call that sends and receives no message.
    pub fn check(&self) -> Result<()> {
        let told = self.validity.check();
        told.map_err(|fault| fault.error(Operation::Wait, self.name()))
    }

    fn name(&self) -> &Name {
        &self.notifier.system().name
    }

    /// Returns whether any of these participants sleeps; see
    /// [`Notifier::has_to_wake`](notifier::Notifier::has_to_wake).
    #[inline]
    pub fn has_to_wake(&self, participants: u64) -> bool {
        self.notifier.has_to_wake(participants)
    }

    /// Opens the event of another participant; see
    /// [`Notifier::open_event`](notifier::Notifier::open_event).
    pub fn open_event(&mut self, slot: usize) {
        self.notifier.open_event(slot);
    }

    /// Watches the process of the participant in a slot; see [`open_occupant`].
    pub fn watch(&self, slot: usize, word: u64) -> Result<Option<Process>> {
        open_occupant(self.roster(), self.name(), slot, word)
    }

    /// Returns whether a notified participant has not woken up; see
    /// [`Notifier::is_unreachable`](notifier::Notifier::is_unreachable).
    pub fn is_unreachable(&self, slot: usize) -> bool {
        self.notifier.is_unreachable(slot)
    }

    /// Sleeps, and says afterwards that this participant sleeps no longer; see [`Sleeper::park`].
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

    /// Registers this participant for a sleep on several wait sources; see
    /// [`Wait`](crate::wait::source::Wait).
    pub fn register(&mut self, signals: &mut Signals) -> Result<()> {
        signals.add(self.sleeper.register(&self.notifier)?.signal()?);
        signals.look_again_in(LONGEST_SLEEP);
        Ok(())
    }

    /// Says that this participant sleeps no longer.
    // layout: L083
    pub fn deregister(&mut self) {
        // A forked child changes nothing for its parent.
        if !self.validity.is_forked() {
            self.sleeper.deregister(&self.notifier);
        }
    }
}

impl Drop for Participant {
    // layout: L083 L105
    fn drop(&mut self) {
        // A forked child does not leave the slot of its parent.
        if self.slot() != OWNER && !self.validity.is_forked() {
            self.roster().leave(self.slot(), self.sleeper.word());
            // The owner is woken, so that it does not wait for this participant.
            self.wake(1 << OWNER);
        }
    }
}

/// Watches the process with this word, which has the slot; `None` if the process has ended. An
/// error does not prove that it has ended.
// layout: L082
pub(crate) fn open_occupant(
    roster: &Roster,
    name: &Name,
    slot: usize,
    word: u64,
) -> Result<Option<Process>> {
    match watch(word) {
        // The process is of another user, or runs elevated.
        Err(error) if error.kind() == ErrorKind::AccessDenied => {
            let name = name_of(LIVE_SUFFIX, name, slot, (word, roster.slot_epoch(slot)))?;
            Process::by_liveness(name).map(Some).or(Err(error))
        }
        watched => watched,
    }
}

/// Checks a process that seems to have ended, and returns whether it has ended. A liveness mutex is
/// also free after its participant has left, and the same process may have the slot again.
// layout: L082
pub(crate) fn has_died(watched: Option<Process>, word: u64) -> bool {
    watched.is_none() || is_dead(word)
}

/// Returns the name of the event on which a participant sleeps.
pub(crate) fn event_name(name: &Name, slot: usize, occupant: (u64, u32)) -> Result<Name> {
    name_of(WAKE_SUFFIX, name, slot, occupant)
}

/// Returns the name of an object of a participant. The name contains the process id and the slot
/// epoch, so that no process mistakes the object of an earlier participant for the object of a
/// later one.
// layout: L012 L013
fn name_of(suffix: &str, name: &Name, slot: usize, (word, slot_epoch): (u64, u32)) -> Result<Name> {
    let pid = pid_of(word);
    Name::new(&format!("{name}{suffix}{slot:02x}-{pid:x}-{slot_epoch:x}"))
}
