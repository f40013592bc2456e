//! Sleeping until a peer has something for us, and waking one without a system call where
//! nobody sleeps.
//!
//! ```text
//!   sleeper                                waker
//!   NAPS += 1
//!   set its bit in ASLEEP
//!   full fence                             store what is waited for
//!   look: is there something?              look at ASLEEP: is the bit set?
//!   sleep for FIRST_NAP at most            then, once for each value of NAPS: set the event
//!   look again
//!   sleep until the event is set
//!   clear its bit
//! ```
//!
//! Only the sleeper clears its bit, and a waker that of one that is dead: a waker that dies half-way
//! takes nothing from the next one.
//!
//! There is no fence between a waker's store and its look at ASLEEP: it would double the cost of a
//! stream of small messages. So the look may be older than the store, and miss a sleeper that looked
//! before the store was visible. That store leaves the processor's buffer within far less than
//! [`FIRST_NAP`], after which the sleeper looks again, and only then sleeps for as long as it has to.
//! What can happen is one wake that comes late, and never one that does not come.
//!
//! The code knows words and a [`System`], so it runs over shared memory and the kernel, and over a
//! model checker's atomics and events (`parking/loom.rs`).

use crate::error::Result;
use crate::format::layout::OWNER;
use crate::os::{LONGEST_SLEEP, Wake};
use crate::segment::roster::{Roster, Table};
use crate::sync::Shared;
use crate::wait::spin::FIRST_NAP;
use std::time::{Duration, Instant};

/// A store is visible everywhere long before this.
// layout: L098
/// How long a sleeper that was rung for may take before it is asked whether it lives.
// layout: L098
const DEAF: Duration = Duration::from_millis(20);

/// What sleepers and wakers need of the system.
pub(crate) trait System: Clone {
    /// On which one participant sleeps. A set event ends one wait, of now or later.
    type Event;
    /// A process whose end ends a sleep.
    type Peer;
    /// Makes the event of whoever has this seat: its word and its tenancy.
    fn create(&self, seat: usize, who: (u64, u32)) -> Result<Self::Event>;
    /// Opens that of somebody else; `None` where it is gone.
    fn open(&self, seat: usize, who: (u64, u32)) -> Result<Option<Self::Event>>;
    fn set(&self, event: &Self::Event);
    fn wait(&self, event: &Self::Event, peers: &[&Self::Peer], time: Duration) -> Result<Wake>;
    /// Whether the process of this word has certainly ended.
    fn is_dead(&self, word: u64) -> bool;
}

/// The means to wake those who sleep.
#[derive(Debug)]
pub(crate) struct Bells<S: System, W = Table> {
    roster: Roster<W>,
    system: S,
    owner: u64,
    others: Vec<Other<S::Event>>,
}

/// What is known about whoever may have to be woken.
#[derive(Debug)]
struct Other<E> {
    /// Its word and its tenancy.
    who: (u64, u32),
    event: Option<E>,
    /// The nap for which it was rung.
    rung: Option<(u32, Instant)>,
}

impl<E> Other<E> {
    fn new(who: (u64, u32)) -> Other<E> {
        Other {
            who,
            event: None,
            rung: None,
        }
    }
}

impl<S: System, W: Shared + Clone> Bells<S, W> {
    /// Those of a segment whose owner has this word.
    pub fn new(roster: Roster<W>, system: S, owner: u64) -> Bells<S, W> {
        Bells {
            roster,
            system,
            owner,
            others: Vec::new(),
        }
    }

    /// The same for another thread.
    pub fn afresh(&self) -> Bells<S, W> {
        Bells::new(self.roster.clone(), self.system.clone(), self.owner)
    }

    pub fn roster(&self) -> &Roster<W> {
        &self.roster
    }

    pub fn system(&self) -> &S {
        &self.system
    }

    /// Wakes those of the seats that sleep. To be called when what they wait for has been
    /// stored.
    // layout: L092
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
        self.roster.words().keep_order();
        self.roster.asleep() & seats != 0
    }

    // layout: L092 L093 L096
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
            match event_of(&self.system, &mut self.others[seat], seat, who) {
                Ok(Some(event)) => self.system.set(event),
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
        let who = self.who(seat);
        let _ = event_of(&self.system, &mut self.others[seat], seat, who);
    }

    /// Clears the bit of a participant that was killed in its sleep, for which each message would
    /// look. The slot stays: the owner learns of the death by it. Where the next participant takes
    /// the slot at this moment, and sleeps, its bit is lost for one sleep, which has an end.
    // layout: L094
    #[cold]
    fn look_whether_dead(&mut self, seat: usize, word: u64) {
        if seat == OWNER || word == 0 {
            // Whether the owner is deaf is for the participant to ask.
            return;
        }
        if let Some((_, at)) = &mut self.others[seat].rung {
            // To ask the system takes a while: not with each message.
            *at = Instant::now();
        }
        if self.system.is_dead(word) && self.roster.who(seat) == word {
            self.roster.set_asleep(seat, false);
        }
    }

    fn make_room(&mut self) {
        if self.others.is_empty() {
            self.others.resize_with(OWNER + 1, || Other::new((0, 0)));
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

/// The event of this one, opened before or now; `None` where it has none.
// layout: L095
fn event_of<'a, S: System>(
    system: &S,
    other: &'a mut Other<S::Event>,
    seat: usize,
    who: (u64, u32),
) -> Result<Option<&'a S::Event>> {
    if other.who != who {
        *other = Other::new(who);
    }
    if other.event.is_none() {
        other.event = system.open(seat, who)?;
    }
    Ok(other.event.as_ref())
}

/// One who sleeps in a seat: its count of sleeps, and its event.
#[derive(Debug)]
pub(crate) struct Sleeper<E> {
    seat: usize,
    me: u64,
    naps: u32,
    event: Option<E>,
}

impl<E> Sleeper<E> {
    pub fn new<W: Shared + Clone>(roster: &Roster<W>, seat: usize, me: u64) -> Sleeper<E> {
        Sleeper {
            naps: roster.naps(seat),
            seat,
            me,
            event: None,
        }
    }

    pub fn seat(&self) -> usize {
        self.seat
    }

    pub fn word(&self) -> u64 {
        self.me
    }

    /// Makes the event now, so that others can open it before it is slept on.
    pub fn prepare<S: System<Event = E>, W: Shared + Clone>(
        &mut self,
        bells: &Bells<S, W>,
    ) -> Result<&E> {
        let event = match self.event.take() {
            Some(event) => event,
            None => {
                let who = (self.me, bells.roster.tenancy(self.seat));
                bells.system.create(self.seat, who)?
            }
        };
        Ok(self.event.insert(event))
    }

    /// Sleeps until `ready`, a wake-up, the death of one of the peers, or that moment;
    /// whichever it was, the caller looks again. Says whether a peer has ended.
    // layout: L087
    pub fn park<S: System<Event = E>, W: Shared + Clone>(
        &mut self,
        bells: &Bells<S, W>,
        mut ready: impl FnMut() -> bool,
        peers: &[&S::Peer],
        until: Option<Instant>,
    ) -> Result<bool> {
        self.lie_down(bells)?;
        if ready() {
            return Ok(false);
        }
        let Some(event) = &self.event else {
            return Ok(false);
        };
        let left = |most: Duration| {
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            left.map_or(most, |left| left.min(most))
        };
        match bells.system.wait(event, peers, left(FIRST_NAP))? {
            Wake::TimedOut if !ready() => {}
            woken => return Ok(woken == Wake::PeerDied),
        }
        let woken = bells.system.wait(event, peers, left(LONGEST_SLEEP))?;
        Ok(woken == Wake::PeerDied)
    }

    /// Says that it sleeps, which it may do for [`FIRST_NAP`] after one more look, and after
    /// the next for as long as it has to, on what it gets.
    // layout: L087
    pub fn lie_down<S: System<Event = E>, W: Shared + Clone>(
        &mut self,
        bells: &Bells<S, W>,
    ) -> Result<&E> {
        self.prepare(bells)?;
        self.naps = self.naps.wrapping_add(1);
        bells.roster.set_naps(self.seat, self.naps);
        bells.roster.set_asleep(self.seat, true);
        // Between our bit and our look. A waker's look may still be older than its store:
        // hence the first nap.
        bells.roster.words().full();
        self.prepare(bells)
    }

    /// Says that it sleeps no longer.
    pub fn get_up<S: System<Event = E>, W: Shared + Clone>(&self, bells: &Bells<S, W>) {
        bells.roster.set_asleep(self.seat, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind, Operation};
    use crate::format::layout::{SLOTS, roster};
    use crate::sync::{WindowMut, heap};
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    /// Notes how long each wait may last, and what the roster says of the owner meanwhile. It has no
    /// descriptor for the first event that it opens, and counts the events that it sets.
    #[derive(Clone)]
    struct Notes {
        roster: Roster<WindowMut>,
        waits: Rc<RefCell<Vec<(Duration, bool, u32)>>>,
        has_opened: Rc<Cell<bool>>,
        set: Rc<Cell<u32>>,
    }

    impl Notes {
        fn of(roster: &Roster<WindowMut>) -> Notes {
            Notes {
                roster: roster.clone(),
                waits: Rc::default(),
                has_opened: Rc::default(),
                set: Rc::default(),
            }
        }
    }

    impl System for Notes {
        type Event = ();
        type Peer = ();

        fn create(&self, _seat: usize, _who: (u64, u32)) -> Result<()> {
            Ok(())
        }

        fn open(&self, _seat: usize, _who: (u64, u32)) -> Result<Option<()>> {
            if self.has_opened.replace(true) {
                return Ok(Some(()));
            }
            let (kind, meaning) = (ErrorKind::NoSpace, "too many are open");
            Err(Error::new(kind, Operation::Open, &"an event", meaning))
        }

        fn set(&self, (): &()) {
            self.set.set(self.set.get() + 1);
        }

        fn wait(&self, (): &(), _peers: &[&()], time: Duration) -> Result<Wake> {
            let asleep = self.roster.asleep() == 1 << OWNER;
            let note = (time, asleep, self.roster.naps(OWNER));
            self.waits.borrow_mut().push(note);
            Ok(Wake::TimedOut)
        }

        fn is_dead(&self, _word: u64) -> bool {
            false
        }
    }

    // layout: L087 L088 L098
    #[test]
    fn sleep_has_the_steps_and_the_times_of_the_document() {
        let roster = Roster::begin(heap::window(roster::LEN), 1);
        let system = Notes::of(&roster);
        let waits = Rc::clone(&system.waits);
        let bells = Bells::new(roster.clone(), system, 7);
        let mut sleeper = Sleeper::new(&roster, OWNER, 7);
        let first = roster.naps(OWNER).wrapping_add(1);
        let looks = Cell::new(0);
        let in_vain = || {
            looks.set(looks.get() + 1);
            false
        };
        assert!(!sleeper.park(&bells, in_vain, &[], None).unwrap());
        let times = [Duration::from_millis(1), Duration::from_secs(1)];
        assert_eq!(*waits.borrow(), times.map(|time| (time, true, first)));
        assert_eq!(looks.get(), 2);
        sleeper.get_up(&bells);
        assert_eq!(roster.asleep(), 0);
        // One that finds a reason is counted, and does not wait.
        waits.borrow_mut().clear();
        assert!(!sleeper.park(&bells, || true, &[], None).unwrap());
        assert!(waits.borrow().is_empty());
        assert_eq!(roster.naps(OWNER), first.wrapping_add(1));
        // A deadline that is near ends the sleep.
        let until = Some(Instant::now());
        assert!(!sleeper.park(&bells, || false, &[], until).unwrap());
        let all_short = waits.borrow().iter().all(|(time, ..)| time.is_zero());
        assert!(all_short && waits.borrow().len() == 2);
    }

    #[test]
    fn wake_up_that_failed_is_tried_again_by_the_next_message() {
        let roster = Roster::begin(heap::window(roster::LEN), 1);
        let slot = roster.claim(7, SLOTS, |_| false).unwrap();
        roster.set_asleep(slot, true);
        let system = Notes::of(&roster);
        let mut bells = Bells::new(roster, system.clone(), 3);

        bells.wake(1 << slot);
        assert_eq!(system.set.get(), 0);
        bells.wake(1 << slot);
        assert_eq!(system.set.get(), 1);
        // Once for each sleep.
        bells.wake(1 << slot);
        assert_eq!(system.set.get(), 1);
    }
}
