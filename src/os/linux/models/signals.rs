//! What has been signaled ends a wait, and is seen with all that was stored before it.

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

    /// With its word from now.
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

/// Stores something, and signals it.
fn spawn(signal: &Signal, own: &Own) -> JoinHandle<()> {
    let (signal, own) = (signal.clone(), own.clone());
    thread::spawn(move || {
        own.add();
        signal.set();
    })
}

#[test]
fn signal_of_each_kind_ends_a_wait_with_what_was_stored_before() {
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

/// A signal that is set again while it is taken is there again.
#[test]
fn each_of_two_signals_of_one_event_is_taken() {
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
fn auto_reset_signal_is_taken_by_one_of_two_waits() {
    explore(3, || {
        let queue = queue();
        let (event, stop) = (Signal::auto(&queue), Signal::once(&queue));
        let own = Own::new();
        let waiting = [0, 1].map(|_| {
            let (signals, own) = ([event.clone(), stop.clone()], own.clone());
            thread::spawn(move || {
                let is_taken = wait(&signals) == 0;
                if is_taken {
                    // The model checker finds out where both do.
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

/// A wait that had begun is ended by a signal that is taken away again.
#[test]
fn manual_reset_signal_ends_a_wait_though_it_is_reset() {
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

/// One that takes a signal away and then looks finds what was stored before the signal, or is
/// signaled again, also where it was signaled all the time.
#[test]
fn what_was_stored_before_a_signal_is_seen_after_its_reset() {
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
            assert!(is_seen || is_set, "it is lost");
        });
    }
}
