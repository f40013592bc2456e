//! Tests of the words of events, gates, mutexes and deaths under the model checker loom.
//!
//! The tests run the shipped code over the atomics of the checker. The checker tries all orders in
//! which the threads can run with a few preemptions (`explore`).
//!
//! A lock of the checker stands for the futex of the kernel. A sleeper compares its words under the
//! lock before it waits, and a waker takes the lock, as both do in the kernel. A lost wake-up is a
//! deadlock.

mod mutexes;
mod signals;

use super::words::{Atomic, Condition, Futex, WaitSource, WaitedWord, atomic};
use crate::sync::explore::explore;
use ::loom::cell::Cell;
use ::loom::sync as loomed;
use loomed::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

atomic!(AtomicU32, u32, fence);
atomic!(AtomicU64, u64, fence);

/// Counts how often each word was woken, under the lock that stands for the futex.
#[derive(Default)]
struct Queue {
    woken: loomed::Mutex<BTreeMap<usize, u32>>,
    changed: loomed::Condvar,
}

impl Queue {
    fn wake(&self, word: usize) {
        *self.woken.lock().unwrap().entry(word).or_default() += 1;
        self.changed.notify_all();
    }

    /// Sleeps until one of these words is woken. Returns at once if `is_expected` does not hold.
    fn sleep(&self, words: &[usize], is_expected: impl FnOnce() -> bool) {
        let mut woken = self.woken.lock().unwrap();
        if !is_expected() {
            return;
        }
        let counts = |woken: &BTreeMap<usize, u32>| -> Vec<_> {
            words.iter().map(|word| woken.get(word).copied()).collect()
        };
        let before = counts(&woken);
        while counts(&woken) == before {
            woken = self.changed.wait(woken).unwrap();
        }
    }
}

/// A word on which threads of the model sleep.
#[derive(Clone)]
struct Word {
    value: Rc<AtomicU32>,
    queue: Rc<Queue>,
}

impl Word {
    fn new(queue: &Rc<Queue>, value: u32) -> Word {
        Word {
            value: Rc::new(AtomicU32::new(value)),
            queue: Rc::clone(queue),
        }
    }

    /// Returns the key of the word in the queue.
    fn number(&self) -> usize {
        Rc::as_ptr(&self.value) as usize
    }
}

impl Atomic<u32> for Word {
    fn load(&self, order: Ordering) -> u32 {
        self.value.load(order)
    }

    fn peek(&self) -> u32 {
        self.value.peek()
    }

    fn store(&self, value: u32, order: Ordering) {
        self.value.store(value, order);
    }

    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        self.value.fetch_and(bits, order)
    }

    fn replace(&self, from: u32, to: u32, order: Ordering) -> bool {
        self.value.replace(from, to, order)
    }

    fn change(&self, order: Ordering, change: impl FnMut(u32) -> Option<u32>) -> Option<u32> {
        self.value.change(order, change)
    }
}

impl Futex for Word {
    fn wake(&self) {
        self.queue.wake(self.number());
    }

    fn sleep(words: &[(&Word, u32)], _until: Option<Instant>) -> rustix::io::Result<()> {
        let numbers: Vec<usize> = words.iter().map(|(word, _)| word.number()).collect();
        let queue = &words[0].0.queue;
        // Relaxed: the kernel compares the words without an order for the sleeping thread.
        let is_expected =
            |(word, expected): &(&Word, u32)| word.value.load(Ordering::Relaxed) == *expected;
        queue.sleep(&numbers, || words.iter().all(is_expected));
        Ok(())
    }
}

/// A source for which a thread of the model waits.
#[derive(Clone)]
struct Signal {
    word: Word,
    condition: Condition,
}

impl WaitSource for Signal {
    type Word = Word;

    fn waited_word(&self) -> WaitedWord<'_, Word> {
        WaitedWord {
            word: &self.word,
            condition: self.condition,
        }
    }
}

/// Data that is stored without atomics, such as a message. The model checker reports two accesses
/// at the same time as a race.
#[derive(Clone)]
struct Own(Rc<Cell<u64>>);

impl Own {
    fn new() -> Own {
        Own(Rc::new(Cell::new(0)))
    }

    fn add(&self) {
        self.0.set(self.0.get() + 1);
    }

    fn get(&self) -> u64 {
        self.0.get()
    }
}
