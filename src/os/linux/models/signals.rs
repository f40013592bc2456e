//! A signal ends a wait, and the waiting thread sees all stores before the signal.

use super::super::words::{self, Condition, WaitSource, wait_any};
use super::{Atomic, AtomicU32, Ordering, Own, Queue, Signal, Word, explore};
use crate::os::{Reset, Woken};
use ::loom::thread::{self, JoinHandle};
use std::rc::Rc;

fn queue() -> Rc<Queue> {
    Rc::default()
}

impl Signal {
    fn auto(queue: &Rc<Queue>) -> Signal {
        Signal {
            word: Word::new(queue, 0),
            condition: Condition::Auto,
        }
    }

    /// Makes a manual-reset event whose word has this value, for a wait that begins now.
    fn manual(queue: &Rc<Queue>, word: u32) -> Signal {
        Signal {
            word: Word::new(queue, word),
            condition: Condition::Manual(word),
        }
    }

    fn once(queue: &Rc<Queue>) -> Signal {
        Signal {
            condition: Condition::Once,
            ..Signal::auto(queue)
        }
    }

    fn set(&self) {
        match self.condition {
            Condition::Auto => words::set(&self.word, Reset::Auto),
            Condition::Manual(_) => words::set(&self.word, Reset::Manual),
            Condition::Once => words::tell(&self.word, 1),
        }
    }
}

fn wait(signals: &[Signal]) -> usize {
    match wait_any(signals, None).unwrap() {
        Woken::Signal(n) => n,
        other => panic!("{other:?}"),
    }
}

/// Starts a thread that changes `own`, and then sets the signal.
fn spawn(signal: &Signal, own: &Own) -> JoinHandle<()> {
    let (signal, own) = (signal.clone(), own.clone());
    thread::spawn(move || {
        own.add();
        signal.set();
    })
}

#[test]
fn woken_wait_sees_stores_before_its_signal() {
    let kinds: [fn(&Rc<Queue>) -> Signal; 3] =
        [Signal::auto, |queue| Signal::manual(queue, 6), Signal::once];
    for kind in kinds {
        explore(5, move || {
            let (signal, own) = (kind(&queue()), Own::new());
            let setting = spawn(&signal, &own);
            assert_eq!(wait(&[signal]), 0);
            assert_eq!(own.get(), 1);
            setting.join().unwrap();
        });
    }
}

#[test]
fn each_of_two_signals_ends_a_wait() {
    explore(3, || {
        let queue = queue();
        let signals = [Signal::auto(&queue), Signal::auto(&queue)];
        let own = [Own::new(), Own::new()];
        let setting = [0, 1].map(|n| spawn(&signals[n], &own[n]));
        let mut seen = [0; 2];
        for _ in 0..2 {
            let n = wait(&signals);
            seen[n] += own[n].get();
        }
        assert_eq!(seen, [1, 1]);
        for one in setting {
            one.join().unwrap();
        }
    });
}

/// An event that is set again while its first signal is taken is signaled again.
#[test]
fn event_set_twice_ends_two_waits() {
    explore(3, || {
        let queue = queue();
        let (event, answer) = (Signal::auto(&queue), Signal::auto(&queue));
        let (theirs, told) = (event.clone(), answer.clone());
        let setting = thread::spawn(move || {
            theirs.set();
            wait(&[told]);
            theirs.set();
        });
        wait(std::slice::from_ref(&event));
        answer.set();
        wait(&[event]);
        setting.join().unwrap();
    });
}

#[test]
fn auto_reset_signal_is_taken_once() {
    explore(3, || {
        let queue = queue();
        let (event, stop) = (Signal::auto(&queue), Signal::once(&queue));
        let own = Own::new();
        let waiting = [0, 1].map(|_| {
            let (signals, own) = ([event.clone(), stop.clone()], own.clone());
            thread::spawn(move || {
                let is_taken = wait(&signals) == 0;
                if is_taken {
                    // The model checker reports a race if both waits take the signal.
                    own.add();
                }
                is_taken
            })
        });
        event.set();
        stop.set();
        let taken = waiting.map(|one| one.join().unwrap());
        let left = event.waited_word().take();
        let count = [taken[0], taken[1], left].into_iter().filter(|one| *one);
        assert_eq!(count.count(), 1);
    });
}

#[test]
fn manual_reset_signal_ends_both_waits() {
    explore(4, || {
        let (event, own) = (Signal::manual(&queue(), 6), Own::new());
        let waiting = [0, 1].map(|_| {
            let (event, own) = (event.clone(), own.clone());
            thread::spawn(move || {
                wait(&[event]);
                own.get()
            })
        });
        let setting = spawn(&event, &own);
        assert_eq!(waiting.map(|one| one.join().unwrap()), [1, 1]);
        setting.join().unwrap();
    });
}

/// A signal that is reset at once ends a wait that had begun before the signal.
#[test]
fn signal_reset_at_once_still_ends_wait() {
    explore(5, || {
        let (event, own) = (Signal::manual(&queue(), 6), Own::new());
        let (theirs, stored) = (event.clone(), own.clone());
        let setting = thread::spawn(move || {
            stored.add();
            theirs.set();
            words::unset(&theirs.word);
        });
        wait(&[event]);
        assert_eq!(own.get(), 1);
        setting.join().unwrap();
    });
}

/// A thread that resets an event and then looks sees the stores before the signal, or finds the
/// event set again. This also holds if the event was set all the time.
#[test]
fn reset_sees_earlier_store_or_later_signal() {
    for before in [6, 7] {
        explore(5, move || {
            let (event, item) = (Signal::manual(&queue(), before), Rc::new(AtomicU32::new(0)));
            let (theirs, stored) = (event.clone(), Rc::clone(&item));
            let setting = thread::spawn(move || {
                stored.store(1, Ordering::Relaxed);
                theirs.set();
            });
            words::unset(&event.word);
            let is_seen = item.load(Ordering::Relaxed) == 1;
            setting.join().unwrap();
            let is_set = event.word.load(Ordering::Relaxed) & 1 == 1;
            assert!(is_seen || is_set, "the signal is lost");
        });
    }
}
