//! Parking and waking. A participant sleeps until a peer has something for it. The peer makes a
//! system call to wake the participant only if the participant sleeps.
//!
//! ```text
//!   sleeper                                waker
//!   PARK_EPOCH += 1
//!   set its bit: the owner in ASLEEP, a
//!     slot in SLEEPERS and its summary
//!   full fence                             store what the sleeper waits for
//!   look: is there something?              look at the bit of the owner or of a slot, or at the
//!                                          summary of all slots
//!   sleep for FIRST_PARK at most           then, once for each value of PARK_EPOCH: unpark
//!   look again
//!   sleep until it is unparked
//!   clear its bit
//! ```
//!
//! Only the sleeper clears its bit. (A waker clears only the bit of a dead participant.) So a waker
//! that dies half-way takes nothing from the next waker.
//!
//! There is no fence between a waker's store and its look at the bit: the fence would double the
//! cost of a stream of small messages. So the look may be older than the store, and may miss a
//! sleeper that looked before the store was visible. The store leaves the processor's buffer within
//! far less than [`FIRST_PARK`]. After that time the sleeper looks again, and only then sleeps for
//! as long as it has to. So a wake-up can come late, and is never lost.
//!
//! This module uses only words and a [`System`]. So it runs over shared memory and the kernel, and
//! over the atomics and parkers of a model checker (`src/models/sleepers.rs`).

use crate::error::Result;
use crate::format::layout::OWNER;
use crate::os::{LONGEST_SLEEP, Wake};
use crate::segment::roster::{Roster, Table, WakeTarget};
use crate::sync::Shared;
use crate::wait::spin::FIRST_PARK;
use std::time::{Duration, Instant};

/// How long a notified sleeper may take to wake up. After that, the waker asks whether the sleeper
/// is alive.
// layout: L098
const WAKE_TIMEOUT: Duration = Duration::from_millis(20);

/// The operations of the system that sleepers and wakers need.
pub(crate) trait System: Clone {
    /// The place where one participant sleeps. A wake-up ends one sleep, now or later.
    type Parker;
    /// A process whose end ends a sleep.
    type Peer;
    /// Creates the parker of the participant in this slot. `occupant` is its process word and slot
    /// epoch.
    fn create(&self, slot: usize, occupant: (u64, u32)) -> Result<Self::Parker>;
    /// Opens the parker of another participant; `None` if it is gone.
    fn open(&self, slot: usize, occupant: (u64, u32)) -> Result<Option<Self::Parker>>;
    fn unpark(&self, parker: &Self::Parker);
    fn park(&self, parker: &Self::Parker, peers: &[&Self::Peer], time: Duration) -> Result<Wake>;
    /// Returns whether the participant with this slot and process word has certainly ended.
    fn is_dead(&self, slot: usize, word: u64) -> bool;
}

/// The notifier of a segment, which wakes parked participants.
#[derive(Debug)]
pub(crate) struct Notifier<S: System, W = Table> {
    roster: Roster<W>,
    system: S,
    owner: u64,
    others: Vec<Other<S::Parker>>,
}

/// The facts about a participant that may have to be woken.
#[derive(Debug)]
struct Other<P> {
    /// The process word and the slot epoch of the participant.
    occupant: (u64, u32),
    parker: Option<P>,
    /// The park epoch for which the participant was notified, and when.
    notified: Option<(u32, Instant)>,
}

impl<P> Other<P> {
    fn new(occupant: (u64, u32)) -> Other<P> {
        Other {
            occupant,
            parker: None,
            notified: None,
        }
    }
}

impl<S: System, W: Shared + Clone> Notifier<S, W> {
    /// Creates the notifier of a segment whose owner has this process word.
    pub fn new(roster: Roster<W>, system: S, owner: u64) -> Notifier<S, W> {
        Notifier {
            roster,
            system,
            owner,
            others: Vec::new(),
        }
    }

    /// Returns another notifier of the same segment, for another thread.
    pub fn afresh(&self) -> Notifier<S, W> {
        Notifier::new(self.roster.clone(), self.system.clone(), self.owner)
    }

    pub fn roster(&self) -> &Roster<W> {
        &self.roster
    }

    pub fn system(&self) -> &S {
        &self.system
    }

    /// Wakes those of the participants that sleep. It is called after the store that they wait for.
    // layout: L092
    #[inline]
    pub fn wake(&mut self, target: WakeTarget) {
        if self.has_to_wake(target) {
            self.notify(target);
        }
    }

    /// Returns whether one of these participants may sleep.
    #[inline]
    pub fn has_to_wake(&self, target: WakeTarget) -> bool {
        // This keeps the order in the compiler. The head of this file explains the order in the
        // processor.
        self.roster.words().keep_order();
        self.roster.may_sleep(target)
    }

    // layout: L092
    #[cold]
    fn notify(&mut self, target: WakeTarget) {
        // A participant counts its sleep before it sets its bit: pairs with `set_asleep`.
        self.roster.words().acquire();
        match target {
            WakeTarget::Owner => self.notify_one(OWNER),
            WakeTarget::Slot(slot) => self.notify_one(slot),
            WakeTarget::AllSlots => {
                let roster = self.roster.clone();
                roster.sleepers().for_each(|slot| self.notify_one(slot));
            }
        }
    }

    /// Wakes a participant that sleeps, unless it was woken from this sleep already.
    // layout: L093 L096
    fn notify_one(&mut self, slot: usize) {
        let occupant = self.occupant(slot);
        let park_epoch = self.roster.park_epoch(slot);
        let index = self.index_of(slot);
        let other = &mut self.others[index];
        match other.notified {
            Some((epoch, at)) if epoch == park_epoch && other.occupant == occupant => {
                if at.elapsed() > WAKE_TIMEOUT {
                    self.look_whether_dead(slot, occupant.0);
                }
                return;
            }
            _ => {}
        }

        match parker_of(&self.system, other, slot, occupant) {
            Ok(Some(parker)) => self.system.unpark(parker),
            // The parker is gone, and there is no participant to wake.
            Ok(None) => {}
            // The sleeper looks by itself before long, and the next message tries again.
            Err(_) => return,
        }
        other.notified = Some((park_epoch, Instant::now()));
    }

    /// Opens the parker of a participant that was seen for the first time, so that a later wake-up
    /// needs no descriptor. If the parker cannot be opened now, a wake-up tries again.
    pub fn open_parker(&mut self, slot: usize) {
        let occupant = self.occupant(slot);
        let index = self.index_of(slot);
        let _ = parker_of(&self.system, &mut self.others[index], slot, occupant);
    }

    /// Clears the bit of a participant that was killed while it slept. As long as the bit is set,
    /// each message would look for the dead participant. The slot stays taken: the owner learns of
    /// the death from the slot. If the next participant takes the slot at this moment and sleeps,
    /// its bit is lost for one sleep, and that sleep has a time limit.
    // layout: L094
    #[cold]
    fn look_whether_dead(&mut self, slot: usize, word: u64) {
        if slot == OWNER || word == 0 {
            // The participant asks by itself whether the owner is unreachable.
            return;
        }
        let index = self.index_of(slot);
        if let Some((_, at)) = &mut self.others[index].notified {
            // The system is not asked with each message, since its answer takes time.
            *at = Instant::now();
        }
        if self.system.is_dead(slot, word) && self.roster.process_word(slot) == word {
            self.roster.set_asleep(slot, false);
        }
    }

    /// Returns the index in `others` of the participant in this slot, or of the owner.
    fn index_of(&mut self, slot: usize) -> usize {
        let index = index_of(slot);
        if self.others.len() <= index {
            self.others.resize_with(index + 1, || Other::new((0, 0)));
        }
        index
    }

    /// Returns the process word and the slot epoch of the participant in this slot.
    fn occupant(&self, slot: usize) -> (u64, u32) {
        let word = match slot {
            OWNER => self.owner,
            slot => self.roster.process_word(slot),
        };
        (word, self.roster.slot_epoch(slot))
    }

    /// Returns whether the participant was notified a while ago and has not woken up, as if it were
    /// dead.
    pub fn is_unreachable(&self, slot: usize) -> bool {
        let Some(other) = self.others.get(index_of(slot)) else {
            return false;
        };
        let asleep = self.roster.may_sleep(match slot {
            OWNER => WakeTarget::Owner,
            slot => WakeTarget::Slot(slot),
        });
        let notified = |(epoch, at): (u32, Instant)| {
            epoch == self.roster.park_epoch(slot) && at.elapsed() > WAKE_TIMEOUT
        };
        asleep && other.notified.is_some_and(notified)
    }
}

/// Returns the index of a participant among the others. The owner comes first: most participants wake
/// no other.
fn index_of(slot: usize) -> usize {
    match slot {
        OWNER => 0,
        slot => slot + 1,
    }
}

/// Returns the parker of a participant, which was opened before or is opened now; `None` if the
/// participant has none.
// layout: L095
fn parker_of<'a, S: System>(
    system: &S,
    other: &'a mut Other<S::Parker>,
    slot: usize,
    occupant: (u64, u32),
) -> Result<Option<&'a S::Parker>> {
    if other.occupant != occupant {
        *other = Other::new(occupant);
    }
    if other.parker.is_none() {
        other.parker = system.open(slot, occupant)?;
    }
    Ok(other.parker.as_ref())
}

/// A participant that sleeps in a slot: its park epoch and its parker.
#[derive(Debug)]
pub(crate) struct Sleeper<P> {
    slot: usize,
    me: u64,
    park_epoch: u32,
    parker: Option<P>,
}

impl<P> Sleeper<P> {
    pub fn new<W: Shared + Clone>(roster: &Roster<W>, slot: usize, me: u64) -> Sleeper<P> {
        Sleeper {
            park_epoch: roster.park_epoch(slot),
            slot,
            me,
            parker: None,
        }
    }

    pub fn slot(&self) -> usize {
        self.slot
    }

    pub fn word(&self) -> u64 {
        self.me
    }

    /// Creates the parker now, so that other participants can open it before this participant sleeps
    /// there.
    pub fn prepare<S: System<Parker = P>, W: Shared + Clone>(
        &mut self,
        notifier: &Notifier<S, W>,
    ) -> Result<&P> {
        let parker = match self.parker.take() {
            Some(parker) => parker,
            None => {
                let occupant = (self.me, notifier.roster.slot_epoch(self.slot));
                notifier.system.create(self.slot, occupant)?
            }
        };
        Ok(self.parker.insert(parker))
    }

    /// Sleeps until `ready`, a wake-up, the death of a peer, or the deadline. The caller looks
    /// again in each case. Returns whether a peer has ended.
    // layout: L087
    pub fn park<S: System<Parker = P>, W: Shared + Clone>(
        &mut self,
        notifier: &Notifier<S, W>,
        mut ready: impl FnMut() -> bool,
        peers: &[&S::Peer],
        until: Option<Instant>,
    ) -> Result<bool> {
        self.register(notifier)?;
        if ready() {
            return Ok(false);
        }
        let Some(parker) = &self.parker else {
            return Ok(false);
        };

        let left = |most: Duration| {
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            left.map_or(most, |left| left.min(most))
        };

        match notifier.system.park(parker, peers, left(FIRST_PARK))? {
            Wake::TimedOut if !ready() => {}
            woken => return Ok(woken == Wake::PeerDied),
        }
        let woken = notifier.system.park(parker, peers, left(LONGEST_SLEEP))?;
        Ok(woken == Wake::PeerDied)
    }

    /// Says that this participant sleeps, and returns its parker. After one more look it may sleep
    /// there for [`FIRST_PARK`], and after the next look for as long as it has to.
    // layout: L087
    pub fn register<S: System<Parker = P>, W: Shared + Clone>(
        &mut self,
        notifier: &Notifier<S, W>,
    ) -> Result<&P> {
        self.prepare(notifier)?;
        self.park_epoch = self.park_epoch.wrapping_add(1);
        notifier.roster.set_park_epoch(self.slot, self.park_epoch);
        notifier.roster.set_asleep(self.slot, true);
        // The fence is between this bit and this participant's look. A waker's look may still be
        // older than the waker's store: hence the short first sleep.
        notifier.roster.words().full();
        self.prepare(notifier)
    }

    /// Says that this participant sleeps no longer.
    pub fn deregister<S: System<Parker = P>, W: Shared + Clone>(&self, notifier: &Notifier<S, W>) {
        notifier.roster.set_asleep(self.slot, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind, Operation};
    use crate::os::Occupant;
    use crate::segment::roster::roster_len;
    use crate::sync::{WindowMut, heap};
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    /// A system that records the time limit of each wait, and the owner's bit and park epoch during
    /// the wait. Its first `open` fails. It counts the wake-ups.
    #[derive(Clone)]
    struct Notes {
        roster: Roster<WindowMut>,
        waits: Rc<RefCell<Vec<(Duration, bool, u32)>>>,
        has_opened: Rc<Cell<bool>>,
        unparked: Rc<Cell<u32>>,
    }

    impl Notes {
        fn of(roster: &Roster<WindowMut>) -> Notes {
            Notes {
                roster: roster.clone(),
                waits: Rc::default(),
                has_opened: Rc::default(),
                unparked: Rc::default(),
            }
        }
    }

    impl System for Notes {
        type Parker = ();
        type Peer = ();

        fn create(&self, _slot: usize, _who: (u64, u32)) -> Result<()> {
            Ok(())
        }

        fn open(&self, _slot: usize, _who: (u64, u32)) -> Result<Option<()>> {
            if self.has_opened.replace(true) {
                return Ok(Some(()));
            }
            let (kind, meaning) = (ErrorKind::NoSpace, "too many are open");
            Err(Error::new(kind, Operation::Open, &"a parker", meaning))
        }

        fn unpark(&self, (): &()) {
            self.unparked.set(self.unparked.get() + 1);
        }

        fn park(&self, (): &(), _peers: &[&()], time: Duration) -> Result<Wake> {
            let asleep = self.roster.may_sleep(WakeTarget::Owner);
            let note = (time, asleep, self.roster.park_epoch(OWNER));
            self.waits.borrow_mut().push(note);
            Ok(Wake::TimedOut)
        }

        fn is_dead(&self, _slot: usize, _word: u64) -> bool {
            false
        }
    }

    // layout: L087 L088 L098
    #[test]
    fn park_follows_the_documented_steps_and_times() {
        let roster = Roster::begin(heap::window(roster_len(1, 1)), 1, 1);
        let system = Notes::of(&roster);
        let waits = Rc::clone(&system.waits);
        let notifier = Notifier::new(roster.clone(), system, 7);
        let mut sleeper = Sleeper::new(&roster, OWNER, 7);
        let first = roster.park_epoch(OWNER).wrapping_add(1);
        let looks = Cell::new(0);
        let in_vain = || {
            looks.set(looks.get() + 1);
            false
        };
        assert!(!sleeper.park(&notifier, in_vain, &[], None).unwrap());
        let times = [Duration::from_millis(1), Duration::from_secs(1)];
        assert_eq!(*waits.borrow(), times.map(|time| (time, true, first)));
        assert_eq!(looks.get(), 2);
        sleeper.deregister(&notifier);
        assert!(!roster.may_sleep(WakeTarget::Owner));
        // A park whose condition already holds is counted, and does not wait.
        waits.borrow_mut().clear();
        assert!(!sleeper.park(&notifier, || true, &[], None).unwrap());
        assert!(waits.borrow().is_empty());
        assert_eq!(roster.park_epoch(OWNER), first.wrapping_add(1));
        // A deadline that has come ends the park at once.
        let until = Some(Instant::now());
        assert!(!sleeper.park(&notifier, || false, &[], until).unwrap());
        let all_short = waits.borrow().iter().all(|(time, ..)| time.is_zero());
        assert!(all_short && waits.borrow().len() == 2);
    }

    #[test]
    fn next_wake_retries_a_failed_wake() {
        let roster = Roster::begin(heap::window(roster_len(1, 1)), 1, 1);
        let me = Occupant {
            word: 7,
            space: 0,
            start: 0,
        };
        let claimed = roster.claim(me, 0..1, |_, _| Ok(Some(())), |_| Ok(()));
        let (slot, ()) = claimed.unwrap().unwrap();
        roster.set_asleep(slot, true);
        let system = Notes::of(&roster);
        let mut notifier = Notifier::new(roster, system.clone(), 3);

        notifier.wake(WakeTarget::AllSlots);
        assert_eq!(system.unparked.get(), 0);
        notifier.wake(WakeTarget::Slot(slot));
        assert_eq!(system.unparked.get(), 1);
        // A sleeper is unparked once for each sleep.
        notifier.wake(WakeTarget::AllSlots);
        assert_eq!(system.unparked.get(), 1);
    }
}
