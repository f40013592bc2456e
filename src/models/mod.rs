//! Tests of the roster, parking, ownership, joining, back-pressure, generations, endings and holds
//! under the model checker loom.
//!
//! The tests run the shipped code over the atomics and events of the checker. The checker tries all
//! orders in which the threads can run with a few preemptions (`explore`), and all old values that
//! weakly ordered memory may return.
//!
//! A thread stands for a process. The checker has no time, so the lock `stage` stands for the first
//! park. A waker takes the lock between its store and its look at ASLEEP. A sleeper takes the lock
//! at the end of its first park. The thread that takes the lock second sees the stores of the
//! thread that took the lock first, and the lock guarantees nothing else. Every later sleep ends
//! only by a wake-up, so a lost wake-up is a deadlock.

mod backpressure;
mod generations;
mod holds;
mod news;
mod owners;
mod sleepers;
mod slots;
mod sources;
mod tenures;

use crate::error::Result;
use crate::format::layout::{control, cursor, ownership, roster};
use crate::os::{Occupant, Wake};
use crate::segment::notifier::{Notifier, System};
use crate::segment::roster::{Roster, slot_at};
pub(super) use crate::sync::explore::explore;
use crate::sync::{Shared, Words, WordsMut};
use crate::wait::spin::FIRST_PARK;
use ::loom::sync as loomed;
use loomed::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// The process words of the processes in a model, one for each.
pub(super) const WORDS: [u64; 4] = [1 << 32 | 7, 2 << 32 | 7, 3 << 32 | 7, 4 << 32 | 7];

/// The offsets of two words of the tests, in the memory of a roster.
pub(super) const THEIRS: [usize; 2] = [1 << 20, (1 << 20) + 8];

/// The words of a section that a model uses. Each word is 0 at first.
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

    /// Makes the words of a roster with one slot, and the words of the tests.
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
                slot(roster::SPACE),
                THEIRS[0],
                THEIRS[1],
            ],
            &[
                roster::ASLEEP,
                roster::SLEEPERS,
                roster::GUARDED,
                roster::GUARDS,
                roster::GUARDS + 8,
                roster::GUARDS + 16,
                roster::GUARDS + 24,
                roster::GUARDS + 32,
                roster::GUARDS + 40,
                roster::NEWS,
                roster::NEWS_OF,
                slot(roster::PROCESS),
                slot(roster::BEGINNING),
                slot(roster::START),
                slot(roster::SOURCE_KEY),
                slot(roster::CURSOR + cursor::ROOM),
            ],
        )
    }

    /// Makes the words of a roster with two slots, whose participants have source keys, and a word of
    /// the tests.
    pub fn sources() -> Memory {
        const HALVES: [usize; 3] = [roster::STATE, roster::SLOT_EPOCH, roster::SPACE];
        const WORDS: [usize; 7] = [
            roster::PROCESS,
            roster::START,
            roster::SOURCE_KEY,
            roster::SOURCE_END_0,
            roster::SOURCE_NUMBER_0,
            roster::SOURCE_END_1,
            roster::SOURCE_NUMBER_1,
        ];
        let in_slots = |words: &[usize]| -> Vec<usize> {
            let slots = [0, 1].map(slot_at).into_iter();
            slots
                .flat_map(|slot| words.iter().map(move |at| slot + at))
                .collect()
        };
        let mut halves = in_slots(&HALVES);
        halves.extend([roster::PARTICIPANT_CHANGES, THEIRS[0]]);
        let mut words = in_slots(&WORDS);
        words.extend(in_slots(&[roster::INHERITED, roster::INHERITED_NUMBER]));
        words.extend([roster::ASLEEP, roster::SLEEPERS]);
        Memory::new(&halves, &words)
    }

    /// Makes the words of an ownership record.
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

    /// Makes the words of a control section. Its stores become visible by the same first park, so
    /// it shares the `stage` of this memory.
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

    /// Takes the `stage`: either the stores of the waker are visible after this, or the waker has
    /// not looked at ASLEEP yet.
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
        unreachable!("the models access words only");
    }

    fn acquire(&self) {
        // Acquire: pairs with the release stores and fences of the thread that stored the value.
        fence(Ordering::Acquire);
    }

    fn full(&self) {
        // SeqCst: pairs with the full fence of the peer.
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
        unreachable!("the models access words only");
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

/// Takes the slot of a roster with one slot, if the slot is free or has the dead process `dead`.
pub(super) fn claim(roster: &Roster<Memory>, word: u64, dead: u64) -> Option<usize> {
    let begin = |_, before| Ok((before == 0 || before == dead).then_some(()));
    let me = Occupant {
        word,
        space: 0,
        start: 0,
    };
    let claimed = roster.claim(me, 0..1, begin, |_| Ok(())).unwrap();
    claimed.map(|(slot, ())| slot)
}

/// A parker: a wake-up ends one sleep.
pub(super) struct Parker {
    is_set: loomed::Mutex<bool>,
    set: loomed::Condvar,
}

/// The parkers by slot, process word and slot epoch of the participants that sleep there.
type ByOwner = BTreeMap<(usize, (u64, u32)), Rc<Parker>>;

/// The parkers of a segment, and the processes that are dead.
#[derive(Clone)]
pub(super) struct Kernel {
    memory: Memory,
    parkers: Rc<RefCell<ByOwner>>,
    dead: Rc<RefCell<BTreeSet<u64>>>,
    /// Whether the stores of a waker become visible during a first park.
    has_first_parks: bool,
}

impl Kernel {
    pub fn new(memory: &Memory) -> Kernel {
        Kernel {
            memory: memory.clone(),
            parkers: Rc::default(),
            dead: Rc::default(),
            has_first_parks: true,
        }
    }

    /// Makes a kernel whose first park makes no store visible.
    pub fn without_first_parks(memory: &Memory) -> Kernel {
        Kernel {
            has_first_parks: false,
            ..Kernel::new(memory)
        }
    }

    /// Makes a notifier for the roster, whose owner is the first process.
    pub fn notifier(&self) -> Notifier<Kernel, Memory> {
        Notifier::new(Roster::new(self.memory.clone(), 1), self.clone(), WORDS[0])
    }

    /// Kills the process of this word.
    pub fn kill(&self, word: u64) {
        self.dead.borrow_mut().insert(word);
    }
}

impl System for Kernel {
    type Parker = Rc<Parker>;
    type Peer = ();

    fn create(&self, slot: usize, occupant: (u64, u32)) -> Result<Rc<Parker>> {
        let parker = Rc::new(Parker {
            is_set: loomed::Mutex::new(false),
            set: loomed::Condvar::new(),
        });
        let before = self
            .parkers
            .borrow_mut()
            .insert((slot, occupant), Rc::clone(&parker));
        assert!(before.is_none(), "two participants have one parker");
        Ok(parker)
    }

    fn open(&self, slot: usize, occupant: (u64, u32)) -> Result<Option<Rc<Parker>>> {
        Ok(self.parkers.borrow().get(&(slot, occupant)).map(Rc::clone))
    }

    fn unpark(&self, parker: &Rc<Parker>) {
        *parker.is_set.lock().unwrap() = true;
        parker.set.notify_one();
    }

    fn park(&self, parker: &Rc<Parker>, _peers: &[&()], time: Duration) -> Result<Wake> {
        let mut is_set = parker.is_set.lock().unwrap();
        if time <= FIRST_PARK {
            if std::mem::take(&mut *is_set) {
                return Ok(Wake::Signaled);
            }
            drop(is_set);
            if self.has_first_parks {
                self.memory.settle();
            }
            return Ok(Wake::TimedOut);
        }
        while !*is_set {
            is_set = parker.set.wait(is_set).unwrap();
        }
        *is_set = false;
        Ok(Wake::Signaled)
    }

    fn is_dead(&self, _slot: usize, word: u64) -> bool {
        self.dead.borrow().contains(&word)
    }
}
