//! A mutex has one owner at a time, no thread sleeps for ever on a free mutex, and the death of an
//! owner is reported once.

use super::super::mutex_word::{ABANDONED, Lock, THREAD};
use super::super::words::{look, tell};
use super::{Atomic, AtomicU32, AtomicU64, Ordering, Own, Queue, Word, explore};
use crate::error::Result;
use crate::os::Taken;
use ::loom::thread;
use std::rc::Rc;

/// A mutex, as one thread of the model uses it.
#[derive(Clone)]
struct Mutex {
    word: Rc<AtomicU64>,
    queue: Rc<Queue>,
    /// 1 after the process of thread 1 has died.
    dead: Word,
    /// 1 after thread 1 has ended while its process lives on.
    has_left: Rc<AtomicU32>,
    own: Own,
}

impl Mutex {
    fn new() -> Mutex {
        let queue = Rc::<Queue>::default();
        Mutex {
            word: Rc::new(AtomicU64::new(0)),
            dead: Word::new(&queue, 0),
            queue,
            has_left: Rc::new(AtomicU32::new(0)),
            own: Own::new(),
        }
    }

    /// Locks the mutex, and changes the data that the mutex guards.
    fn enter(&self, thread: u64) -> Taken {
        let taken = self.lock(thread).unwrap().unwrap();
        // The model checker reports a second access at the same time as a race.
        self.own.add();
        taken
    }

    fn spawn(&self, thread: u64) -> thread::JoinHandle<Taken> {
        let mutex = self.clone();
        thread::spawn(move || {
            let taken = mutex.enter(thread);
            mutex.give_back(thread, 0);
            taken
        })
    }

    fn count_abandoned(taken: impl IntoIterator<Item = Taken>) -> usize {
        let abandoned = taken.into_iter().filter(|one| *one == Taken::Abandoned);
        abandoned.count()
    }
}

impl Lock for Mutex {
    type Word = AtomicU64;
    type Owner = u64;

    fn word(&self) -> &AtomicU64 {
        &self.word
    }

    fn owner(&self, word: u64) -> Result<Option<u64>> {
        let thread = word & THREAD;
        // Acquire: pairs with the release of the test. The kernel's tables are as strict.
        let has_left = thread == 1 && self.has_left.load(Ordering::Acquire) == 1;
        Ok((!has_left).then_some(thread))
    }

    fn has_ended(&self, owner: &u64, _late: bool) -> Result<bool> {
        Ok(*owner == 1 && look(&self.dead) != 0)
    }

    fn is_late(&self) -> bool {
        false
    }

    fn sleep(&self, lower: u32, owner: &u64) -> Result<()> {
        let death = self.dead.number();
        let number = Rc::as_ptr(&self.word) as usize;
        let words = [number, death];
        let count = if *owner == 1 { 2 } else { 1 };
        self.queue.sleep(&words[..count], || {
            // Relaxed: the kernel compares the words without an order for the sleeping thread.
            let is_dead = *owner == 1 && self.dead.load(Ordering::Relaxed) != 0;
            self.word.load(Ordering::Relaxed) as u32 == lower && !is_dead
        });
        Ok(())
    }

    fn wake(&self) {
        self.queue.wake(Rc::as_ptr(&self.word) as usize);
    }
}

#[test]
fn mutex_has_one_owner_at_a_time() {
    explore(5, || {
        let mutex = Mutex::new();
        let others = [2, 3].map(|thread| mutex.spawn(thread));
        let taken = others.map(|one| one.join().unwrap());
        assert_eq!(taken, [Taken::Clean; 2]);
        assert_eq!(
            (mutex.own.get(), mutex.word.load(Ordering::Relaxed)),
            (2, 0)
        );
    });
}

/// Two threads sleep, or are about to sleep, when the mutex is unlocked.
#[test]
fn unlocked_mutex_reaches_every_waiter() {
    explore(3, || {
        let mutex = Mutex::new();
        mutex.enter(4);
        let others = [2, 3].map(|thread| mutex.spawn(thread));
        mutex.give_back(4, 0);
        let taken = others.map(|one| one.join().unwrap());
        assert_eq!(taken, [Taken::Clean; 2]);
        assert_eq!(mutex.own.get(), 3);
    });
}

/// A thread that ends without unlocking the mutex abandons it.
#[test]
fn abandoned_mutex_is_reported_to_one_waiter() {
    explore(3, || {
        let mutex = Mutex::new();
        mutex.enter(4);
        let others = [2, 3].map(|thread| mutex.spawn(thread));
        mutex.give_back(4, ABANDONED);
        let taken = others.map(|one| one.join().unwrap());
        assert_eq!(Mutex::count_abandoned(taken), 1);
        assert_eq!(mutex.own.get(), 3);
    });
}

/// The watcher of each process reports the death of the owner, and the next owner sees the stores
/// of the dead owner.
#[test]
fn mutex_of_dead_process_is_abandoned_once() {
    explore(2, || {
        let mutex = Mutex::new();
        let dying = mutex.clone();
        let owner = thread::spawn(move || dying.enter(1));
        let watched = mutex.clone();
        let watching = thread::spawn(move || {
            // The kernel reports a death after the owner has ended.
            owner.join().unwrap();
            tell(&watched.dead, 1);
        });
        let other = mutex.spawn(2);
        let taken = mutex.enter(3);
        mutex.give_back(3, 0);
        let count = Mutex::count_abandoned([taken, other.join().unwrap()]);
        watching.join().unwrap();
        // Thread 1 may have locked the mutex last, and then still has it.
        let is_left = mutex.word.load(Ordering::Relaxed) & THREAD == 1;
        assert_eq!(count, usize::from(!is_left));
        assert_eq!(mutex.own.get(), 3);
    });
}

/// A thread ends by a bare system call while its process lives on. No death is reported to the
/// sleeping threads, and the next owner wakes them.
#[test]
fn next_owner_wakes_waiter_of_ended_thread() {
    explore(5, || {
        let mutex = Mutex::new();
        mutex.enter(1);
        let waiting = mutex.spawn(2);
        // Release: pairs with the acquire of `owner`.
        mutex.has_left.store(1, Ordering::Release);
        let taken = mutex.enter(3);
        mutex.give_back(3, 0);
        let count = Mutex::count_abandoned([taken, waiting.join().unwrap()]);
        assert_eq!((count, mutex.own.get()), (1, 3));
    });
}
