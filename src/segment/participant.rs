//! A participant of a segment, on the system: where it sleeps, how it is woken, and how others see
//! that it is alive. [`notifier`](crate::segment::notifier) explains sleeping and
//! waking.

use crate::access::Access;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{LIVE_SUFFIX, OWNER, WAKE_SUFFIX};
use crate::name::Name;
use crate::object::process::{Liveness, Process};
use crate::object::section::Section;
use crate::os::{
    self, Kind, LONGEST_SLEEP, LivesBackend, Occupant, ParkerBackend, ProcessBackend,
    ProcessIdentity, Validity, ValidityBackend, Wake, pid_of, word_of,
};
use crate::segment::notifier::{self, Sleeper, System};
use crate::segment::roster::{Eviction, Roster, WakeTarget};
use crate::segment::{Control, Geometry, watched_at};
use crate::sync::{Window, Words};
use crate::wait::source::Signals;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The notifier of a segment, on the parkers of the system.
pub(crate) type Notifier = notifier::Notifier<Kernel>;

/// The life of a participant of this process.
pub(crate) type Life = <os::Lives as LivesBackend>::Life;

/// The participants of a generation, as the system knows them: where they sleep, and whether they
/// are alive.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// The name of the segment.
    pub(super) name: Name,
    pub(super) roster: Roster,
    pub(super) lives: os::Lives,
    /// The accounts that may wake this participant.
    access: Access,
}

impl Kernel {
    /// `section` is the roster.
    pub fn new(name: &Name, section: &Section, roster: &Roster, access: &Access) -> Result<Kernel> {
        Ok(Kernel {
            name: name.clone(),
            roster: roster.clone(),
            lives: section.lives()?,
            access: access.clone(),
        })
    }

    /// Watches the process of the participant in this slot; `None` if the participant has ended. An
    /// error does not prove that it has ended.
    // layout: L082
    pub fn watch(&self, slot: usize) -> Result<Option<Process>> {
        let occupant = self.roster.occupant(slot);
        match self.lives.watch(slot, occupant) {
            // The process is of another user, or runs elevated.
            Err(error) if error.kind() == ErrorKind::AccessDenied => {
                let occupant = (occupant.word, self.roster.slot_epoch(slot));
                let name = name_of(LIVE_SUFFIX, &self.name, slot, occupant)?;
                Process::by_liveness(name).map(Some).or(Err(error))
            }
            watched => Ok(watched?.map(Process::of_participant)),
        }
    }

    /// Checks a participant that seems to have ended, and returns whether it has ended. A liveness
    /// mutex is also free after its participant has left, and the same process may have the slot
    /// again.
    // layout: L082
    pub fn has_died(&self, watched: Option<Process>, slot: usize, word: u64) -> bool {
        watched.is_none() || self.is_dead(slot, word)
    }

    /// Frees the slot of a participant that seems to be dead; see [`Roster::evict`].
    // layout: L106 L238
    pub fn evict(&self, slot: usize, word: u64) -> Eviction {
        let begin = |slot, word| self.lives.take(slot, word);
        match self.roster.evict(slot, word, begin) {
            // The slot has a living participant of the same process: the one before it has left.
            Eviction::Failed if !self.is_dead(slot, word) => Eviction::Gone,
            eviction => eviction,
        }
    }
}

impl System for Kernel {
    type Parker = os::Parker;
    type Peer = os::Process;

    /// Creates the parker. Only accounts that may write the roster can wake the participant.
    fn create(&self, slot: usize, occupant: (u64, u32)) -> Result<os::Parker> {
        let event = event_name(&self.name, slot, occupant)?;
        os::Parker::create(self.roster.park_word(slot), &event, &self.access)
    }

    fn open(&self, slot: usize, occupant: (u64, u32)) -> Result<Option<os::Parker>> {
        let event = event_name(&self.name, slot, occupant)?;
        os::Parker::open(self.roster.park_word(slot), &event)
    }

    fn unpark(&self, parker: &os::Parker) {
        parker.unpark();
    }

    fn park(&self, parker: &os::Parker, peers: &[&os::Process], time: Duration) -> Result<Wake> {
        parker.park(peers, time)
    }

    // layout: L080
    fn is_dead(&self, slot: usize, word: u64) -> bool {
        matches!(self.lives.has_ended(slot, word), Ok(true))
    }
}

/// A participant of a segment. It has a bit, a slot unless it is the owner, and the means to sleep
/// and to wake other participants. Dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Participant {
    notifier: Notifier,
    sleeper: Sleeper<os::Parker>,
    /// The liveness mutex of a participant in a slot, for processes that may not watch its process.
    alive: Option<Liveness>,
    /// The life of a participant in a slot. It ends after the slot was given back.
    life: Option<Life>,
    /// The validity of the endpoint that has this participant.
    pub validity: Validity,
}

impl Participant {
    /// Returns the participant of an owner.
    pub fn of_owner(notifier: Notifier, me: &ProcessIdentity) -> Participant {
        Participant::new(notifier, OWNER, word_of(me))
    }

    /// Takes one of these slots of the roster in this section, or the slot of a source key. An account
    /// that may use the roster may wake this participant, and watch it. `prepare(slot)` makes ready what
    /// belongs to the slot; if it fails, the slot is given back.
    // layout: L085 L104
    pub fn take(
        section: &Section,
        name: &Name,
        geometry: &Geometry,
        (slots, source): (Range<usize>, Option<u64>),
        owner: &ProcessIdentity,
        prepare: impl Fn(usize) -> Result<()>,
    ) -> Result<Participant> {
        let me = Occupant::of(&ProcessIdentity::current()?);
        let wake = section.companion_access(Kind::Event)?;
        let words = section.words_from_mut(geometry.roster_len())?;
        let roster = geometry.roster(words);
        let kernel = Kernel::new(name, section, &roster, &wake)?;

        let (slot, life) = kernel.claim(me, slots, source, &prepare)?;
        let notifier = Notifier::new(roster, kernel, word_of(owner));
        let mut participant = Participant::new(notifier, slot, me.word);
        participant.life = Some(life);
        if os::Process::MAY_BE_CLOSED {
            let watch = section.companion_access(Kind::Mutex)?;
            let occupant = (me.word, participant.roster().slot_epoch(slot));
            let name = name_of(LIVE_SUFFIX, name, slot, occupant)?;
            participant.alive = match Liveness::announce(name, watch) {
                // Another object has this name. Most processes may watch this process itself, and
                // need no mutex.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
                announced => Some(announced?),
            };
        }

        participant.sleeper.prepare(&participant.notifier)?;
        participant.notifier.open_parker(OWNER);
        Ok(participant)
    }

    /// Creates the parker of an owner that has taken its name, and lets
    /// [`check`](Participant::check) report when that name is removed.
    pub fn settle(&mut self, named: &os::Section) -> Result<()> {
        self.validity = Validity::of_owner(named);
        self.sleeper.prepare(&self.notifier).map(drop)
    }

    /// Creates the parker of an owner that continues in another generation.
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
            life: None,
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
    pub fn wake(&mut self, target: WakeTarget) {
        self.notifier.wake(target);
    }

    /// Returns whether the owner has to be told of a message: it sleeps, or does not poll every lane.
    #[inline(always)]
    pub fn has_to_tell_owner(&self) -> bool {
        self.roster().has_to_tell_owner()
    }

    /// Tells the owner of a message in the lane of this participant, unless the owner polls the lane.
    /// Called after the commit of the message, and before the owner is woken.
    // layout: L254
    pub fn tell_news(&self, control: &Window<Control>) {
        let (at, bit) = watched_at(self.slot());
        if control.load64(at) & bit == 0 {
            self.roster().tell_news(self.slot());
        }
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
    pub fn has_to_wake(&self, target: WakeTarget) -> bool {
        self.notifier.has_to_wake(target)
    }

    /// Opens the parker of this participant once more, for another thread of this process.
    pub fn own_parker(&self) -> Result<os::Parker> {
        let slot = self.slot();
        let occupant = (self.sleeper.word(), self.roster().slot_epoch(slot));
        let parker = self.kernel().open(slot, occupant)?;
        parker.ok_or_else(|| {
            let meaning = "the event on which this process sleeps is missing";
            Error::new(ErrorKind::NotFound, Operation::Wait, self.name(), meaning)
        })
    }

    /// Opens the parker of another participant; see
    /// [`Notifier::open_parker`](notifier::Notifier::open_parker).
    pub fn open_parker(&mut self, slot: usize) {
        self.notifier.open_parker(slot);
    }

    pub fn kernel(&self) -> &Kernel {
        self.notifier.system()
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
            self.wake(WakeTarget::Owner);
        }
    }
}

/// Returns the name of the event on which a participant sleeps (Windows).
pub(crate) fn event_name(name: &Name, slot: usize, occupant: (u64, u32)) -> Result<Name> {
    name_of(WAKE_SUFFIX, name, slot, occupant)
}

/// Returns the name of an object of a participant. The name contains the process id and the slot
/// epoch, so that no process mistakes the object of an earlier participant for the object of a
/// later one.
// layout: L012 L013
fn name_of(suffix: &str, name: &Name, slot: usize, (word, slot_epoch): (u64, u32)) -> Result<Name> {
    let pid = pid_of(word);
    Name::new(&format!("{name}{suffix}{slot:03x}-{pid:x}-{slot_epoch:x}"))
}
