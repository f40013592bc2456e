//! Roster, parking, ownership, joining, back-pressure, generations, endings and holds under a model
//! checker: the very code that ships, over atomics and events of the checker, in all the ways in which
//! threads can take turns, and with all the old values that weakly ordered memory may show them.
//!
//! Processes are threads here. A model checker knows no time: `stage` stands for the first nap. It is
//! a lock that a waker takes between its store and its look at who sleeps, and a sleeper at the end of
//! its first nap. Who of them comes first is seen by the other, and nothing else is promised. All
//! later sleeps have no end but an event, so that a wake-up that is lost is a deadlock.

mod backpressure;
mod generations;
mod holds;
mod owners;
mod sleepers;
mod slots;

use crate::error::Result;
use crate::format::layout::{control, cursor, ownership, roster};
use crate::os::Wake;
use crate::segment::notifier::{Notifier, System};
use crate::segment::roster::{Roster, slot_at};
use crate::sync::{Shared, Words, WordsMut};
use crate::wait::spin::FIRST_PARK;
use ::loom::model::Builder;
use ::loom::sync as loomed;
use loomed::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// The words of one process of a model, by which it is known.
pub(super) const WORDS: [u64; 4] = [1 << 32 | 7, 2 << 32 | 7, 3 << 32 | 7, 4 << 32 | 7];

/// Where the tests store what is theirs, in the memory of a roster.
pub(super) const THEIRS: [usize; 2] = [1 << 20, (1 << 20) + 8];

/// The words of a section that a model knows, which are 0 first.
#[derive(Clone)]
pub(super) struct Memory {
    halves: Rc<BTreeMap<usize, AtomicU32>>,
    words: Rc<BTreeMap<usize, AtomicU64>>,
    stage: Rc<loomed::Mutex<()>>,
}

impl Memory {
    fn new(halves: &[usize], words: &[usize]) -> Memory {
        let halves = halves.iter().map(|at| (*at, AtomicU32::new(0)));
        let words = words.iter().map(|at| (*at, AtomicU64::new(0)));
        Memory {
            halves: Rc::new(halves.collect()),
            words: Rc::new(words.collect()),
            stage: Rc::new(loomed::Mutex::new(())),
        }
    }

    /// A roster with one slot, and beside it what the tests store.
    pub fn roster() -> Memory {
        let slot = |at| slot_at(0) + at;
        Memory::new(
            &[
                roster::PARTICIPANT_CHANGES,
                roster::OWNER_PARK_EPOCH,
                roster::OWNER_EPOCH,
                slot(roster::STATE),
                slot(roster::PARK_EPOCH),
                slot(roster::SLOT_EPOCH),
                THEIRS[0],
                THEIRS[1],
            ],
            &[
                roster::ASLEEP,
                roster::HOLDING,
                slot(roster::PROCESS),
                slot(roster::HOLD),
                slot(roster::BEGINNING),
                slot(roster::CURSOR + cursor::ROOM),
            ],
        )
    }

    pub fn record() -> Memory {
        let halves = [
            ownership::MAGIC,
            ownership::VERSION,
            ownership::SPACE,
            ownership::OLDEST,
            ownership::GENERATION,
        ];
        Memory::new(&halves, &[ownership::ACCESS, ownership::OWNER])
    }

    /// A control section of which the stores arrive by the same first park_epoch.
    pub fn control(&self) -> Memory {
        Memory {
            stage: Rc::clone(&self.stage),
            ..Memory::new(&[control::END, control::KIND], &[])
        }
    }

    fn half(&self, at: usize) -> &AtomicU32 {
        &self.halves[&at]
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.words[&at]
    }

    /// The stores of a waker have arrived, or it has not looked yet.
    fn settle(&self) {
        drop(self.stage.lock().unwrap());
    }
}

impl Words for Memory {
    fn load32(&self, at: usize) -> u32 {
        let value = self.half(at).load(Ordering::Relaxed);
        self.acquire();
        value
    }

    fn load64(&self, at: usize) -> u64 {
        let value = self.word(at).load(Ordering::Relaxed);
        self.acquire();
        value
    }

    fn copy_out(&self, _at: usize, _to: &mut [u8]) {
        unreachable!("there are words only");
    }

    fn acquire(&self) {
        // Acquire: pairs with the release stores and fences of whoever wrote what was loaded.
        fence(Ordering::Acquire);
    }

    fn full(&self) {
        // SeqCst: pairs with the same fence of the peer.
        fence(Ordering::SeqCst);
    }
}

impl WordsMut for Memory {
    fn store32(&self, at: usize, value: u32) {
        self.half(at).store(value, Ordering::Relaxed);
    }

    fn publish32(&self, at: usize, value: u32) {
        // Release: pairs with `load32`.
        self.half(at).store(value, Ordering::Release);
    }

    fn store64(&self, at: usize, value: u64) {
        self.word(at).store(value, Ordering::Relaxed);
    }

    fn publish64(&self, at: usize, value: u64) {
        // Release: pairs with `load64`.
        self.word(at).store(value, Ordering::Release);
    }

    fn copy_in(&self, _at: usize, _from: &[u8]) {
        unreachable!("there are words only");
    }

    fn release(&self) {
        // Release: pairs with `acquire`.
        fence(Ordering::Release);
    }
}

impl Shared for Memory {
    fn peek64(&self, at: usize) -> u64 {
        self.word(at).load(Ordering::Relaxed)
    }

    fn replace32(&self, at: usize, from: u32, to: u32, order: Ordering) -> bool {
        let half = self.half(at);
        half.compare_exchange(from, to, order, Ordering::Relaxed)
            .is_ok()
    }

    fn replace64(&self, at: usize, from: u64, to: u64, order: Ordering) -> bool {
        let word = self.word(at);
        word.compare_exchange(from, to, order, Ordering::Relaxed)
            .is_ok()
    }

    fn add32(&self, at: usize, count: u32, order: Ordering) {
        self.half(at).fetch_add(count, order);
    }

    fn set_bits64(&self, at: usize, bits: u64, order: Ordering) {
        self.word(at).fetch_or(bits, order);
    }

    fn clear_bits64(&self, at: usize, bits: u64, order: Ordering) {
        self.word(at).fetch_and(!bits, order);
    }

    fn keep_order(&self) {
        self.settle();
    }
}

/// An event that one wait takes.
pub(super) struct Event {
    is_set: loomed::Mutex<bool>,
    set: loomed::Condvar,
}

/// By slot, and by the word and the slot_epoch of whoever sleeps there.
type ByOwner = BTreeMap<(usize, (u64, u32)), Rc<Event>>;

/// The events of a segment, and who is dead.
#[derive(Clone)]
pub(super) struct Kernel {
    memory: Memory,
    events: Rc<RefCell<ByOwner>>,
    dead: Rc<RefCell<BTreeSet<u64>>>,
    /// Whether stores arrive during a first nap.
    has_park_epochs: bool,
}

impl Kernel {
    pub fn new(memory: &Memory) -> Kernel {
        Kernel {
            memory: memory.clone(),
            events: Rc::default(),
            dead: Rc::default(),
            has_park_epochs: true,
        }
    }

    /// One of which the first nap is of no use.
    pub fn without_park_epochs(memory: &Memory) -> Kernel {
        Kernel {
            has_park_epochs: false,
            ..Kernel::new(memory)
        }
    }

    /// The notifier of the roster, as the first process rings them.
    pub fn notifier(&self) -> Notifier<Kernel, Memory> {
        Notifier::new(Roster::new(self.memory.clone()), self.clone(), WORDS[0])
    }

    /// The process of this word has been killed.
    pub fn kill(&self, word: u64) {
        self.dead.borrow_mut().insert(word);
    }
}

impl System for Kernel {
    type Event = Rc<Event>;
    type Peer = ();

    fn create(&self, slot: usize, occupant: (u64, u32)) -> Result<Rc<Event>> {
        let event = Rc::new(Event {
            is_set: loomed::Mutex::new(false),
            set: loomed::Condvar::new(),
        });
        let before = self
            .events
            .borrow_mut()
            .insert((slot, occupant), Rc::clone(&event));
        assert!(before.is_none(), "two have an event of one name");
        Ok(event)
    }

    fn open(&self, slot: usize, occupant: (u64, u32)) -> Result<Option<Rc<Event>>> {
        Ok(self.events.borrow().get(&(slot, occupant)).map(Rc::clone))
    }

    fn set(&self, event: &Rc<Event>) {
        *event.is_set.lock().unwrap() = true;
        event.set.notify_one();
    }

    fn wait(&self, event: &Rc<Event>, _peers: &[&()], time: Duration) -> Result<Wake> {
        let mut is_set = event.is_set.lock().unwrap();
        if time <= FIRST_PARK {
            if std::mem::take(&mut *is_set) {
                return Ok(Wake::Signaled);
            }
            drop(is_set);
            if self.has_park_epochs {
                self.memory.settle();
            }
            return Ok(Wake::TimedOut);
        }
        while !*is_set {
            is_set = event.set.wait(is_set).unwrap();
        }
        *is_set = false;
        Ok(Wake::Signaled)
    }

    fn is_dead(&self, word: u64) -> bool {
        self.dead.borrow().contains(&word)
    }
}

/// How many preemptions are tried: more in the long runs.
pub(super) fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    let more = usize::from(std::env::var_os("SHMKIT_TEST_LONG").is_some());
    builder.preemption_bound = Some(preemptions + more);
    builder.max_branches = 20_000;
    builder.check(model);
}
