//! A name has one owner at a time; one that joins while the owner changes is not left behind.

use super::{Kernel, Memory, THEIRS, WORDS, explore};
use crate::format::layout::{MAGIC, MAJOR, control};
use crate::segment::ending::end;
use crate::segment::notifier::Sleeper;
use crate::segment::ownership::Ownership;
use crate::segment::roster::{JOINED, Roster};
use crate::sync::{Words, WordsMut};
use ::loom::cell::Cell;
use ::loom::thread;
use std::rc::Rc;

/// Where an owner stores what its generation is.
const CONTENT: usize = control::KIND;

// layout: L155 L165
#[test]
fn dead_owner_is_followed_by_one_candidate() {
    explore(3, || {
        let record = Memory::record();
        let generation = Rc::new(Cell::new(0u32));
        Ownership(record.clone()).replace(0, WORDS[0]);
        let candidates = [WORDS[1], WORDS[2]].map(|word| {
            let (record, generation) = (record.clone(), Rc::clone(&generation));
            thread::spawn(move || {
                let ownership = Ownership(record);
                let before = ownership.owner();
                // Only what is dead or free is replaced.
                if before != 0 && before != WORDS[0] || !ownership.replace(before, word) {
                    return false;
                }
                let last = ownership.generation();
                // The model checker finds out where this is not the only access.
                assert_eq!(generation.get(), last);
                generation.set(last + 1);
                ownership.publish(last + 1);
                ownership.let_go(word);
                true
            })
        });
        let owned = candidates.map(|one| one.join().unwrap());
        let ownership = Ownership(record);
        let count = owned.iter().filter(|owned| **owned).count() as u32;
        assert!(count >= 1);
        assert_eq!((ownership.owner(), ownership.generation()), (0, count));
    });
}

/// One that is robbed of a name does not let go of it for its new owner.
// layout: L156 L165
#[test]
fn owner_lets_go_of_its_own_name_only() {
    explore(3, || {
        let record = Memory::record();
        Ownership(record.clone()).replace(0, WORDS[0]);
        let other = Ownership(record.clone());
        let taking = thread::spawn(move || other.replace(WORDS[0], WORDS[1]));
        Ownership(record.clone()).let_go(WORDS[0]);
        let taken = taking.join().unwrap();
        let owner = Ownership(record).owner();
        assert_eq!(owner, if taken { WORDS[1] } else { 0 });
    });
}

/// One that opens a name at the moment at which it is created.
// layout: L021
#[test]
fn opener_of_a_new_name_sees_whose_it_is() {
    explore(3, || {
        let record = Memory::record();
        let new = Ownership(record.clone());
        let creating = thread::spawn(move || new.begin(17, 4, WORDS[0]));
        // A thread of its own: the checker tries no turn in front of the first look of this one.
        let opening = thread::spawn(move || {
            let opened = Ownership(record);
            if opened.magic() == MAGIC {
                assert_eq!(opened.version() >> 16, MAJOR);
                assert_eq!(opened.owner(), WORDS[0]);
            }
        });
        creating.join().unwrap();
        opening.join().unwrap();
    });
}

// layout: L021
#[test]
fn opener_of_a_generation_sees_all_of_it() {
    explore(3, || {
        let record = Memory::record();
        let control = record.control();
        let (theirs, content) = (record.clone(), control.clone());
        let publishing = thread::spawn(move || {
            content.store32(CONTENT, 4711);
            Ownership(theirs).publish(1);
        });
        let ownership = Ownership(record);
        if ownership.generation() == 1 {
            assert_eq!(control.load32(CONTENT), 4711);
        }
        publishing.join().unwrap();
    });
}

/// A generation: who takes part in it, and how it has ended.
#[derive(Clone)]
struct Generation {
    roster: Memory,
    control: Memory,
    kernel: Kernel,
}

impl Generation {
    fn new() -> Generation {
        let roster = Memory::roster();
        Generation {
            kernel: Kernel::new(&roster),
            control: roster.control(),
            roster,
        }
    }

    fn end(&self, bits: u32) {
        end(&self.control, &mut self.kernel.notifier(), bits);
    }

    fn has_ended(&self) -> bool {
        self.control.load32(control::END) & control::end::ENDED != 0
    }

    /// Takes a slot, and says so.
    fn join(&self, word: u64) -> usize {
        let roster = Roster::new(self.roster.clone());
        let slot = roster.claim(word, 1, |_| false).unwrap();
        roster.tell(JOINED);
        slot
    }

    /// Sleeps in a slot until the generation has ended.
    fn wait(&self, slot: usize, word: u64) {
        let notifier = self.kernel.notifier();
        let mut sleeper = Sleeper::new(notifier.roster(), slot, word);
        while !self.has_ended() {
            sleeper
                .park(&notifier, || self.has_ended(), &[], None)
                .unwrap();
            sleeper.deregister(&notifier);
        }
    }
}

/// One that joins while the next owner puts its generation in use joins that, or is told to come.
// layout: L104 L159
#[test]
fn one_that_joins_while_the_owner_changes_is_told_to_come() {
    explore(2, || {
        let record = Memory::record();
        let old = Generation::new();
        Ownership(record.clone()).publish(1);
        let (theirs, joined) = (record.clone(), old.clone());
        let joining = thread::spawn(move || {
            let ownership = Ownership(theirs);
            let slot = joined.join(WORDS[1]);
            // Else it joins the next generation at once.
            if ownership.is_still(1) {
                joined.wait(slot, WORDS[1]);
                assert_eq!(ownership.generation(), 2);
            }
        });
        Ownership(record).publish(2);
        old.end(control::end::FOLLOWED);
        joining.join().unwrap();
    });
}

/// The owner that looks who is there after it has put the next generation in use sees the one that
/// joined, or that one sees the next generation: what it sends is not lost in the old one.
// layout: L104 L159
#[test]
fn one_that_joins_is_seen_or_sees_the_next_generation() {
    explore(3, || {
        let record = Memory::record();
        let old = Generation::new();
        Ownership(record.clone()).publish(1);
        let (theirs, joined) = (record.clone(), old.clone());
        let joining = thread::spawn(move || {
            joined.join(WORDS[1]);
            Ownership(theirs).is_still(1)
        });
        Ownership(record).publish(2);
        old.end(control::end::FOLLOWED);
        let is_seen = Roster::new(old.roster.clone()).participant_changes() != 0;
        let is_still_there = joining.join().unwrap();
        assert!(is_seen || !is_still_there, "it is left behind");
    });
}

/// One that polls, and never sleeps, finds the end by itself, and with it all that was there before.
// layout: L030
#[test]
fn end_is_seen_with_all_that_was_sent_before() {
    explore(3, || {
        let old = Generation::new();
        let theirs = old.clone();
        let closing = thread::spawn(move || {
            theirs.roster.store32(THEIRS[0], 17);
            theirs.end(control::end::CLOSED);
        });
        // A thread of its own: the checker tries no turn in front of the first look of this one.
        let looking = thread::spawn(move || {
            if old.has_ended() {
                assert_eq!(old.roster.load32(THEIRS[0]), 17);
            }
        });
        closing.join().unwrap();
        looking.join().unwrap();
    });
}

/// How a generation ended first stays, and that it was followed is added.
// layout: L027 L030 L159
#[test]
fn end_that_is_followed_stays_what_it_was() {
    explore(3, || {
        let old = Generation::new();
        old.end(control::end::CLOSED);
        old.end(control::end::FOLLOWED | control::end::RESIZED);
        let bits = control::end::CLOSED | control::end::FOLLOWED;
        assert_eq!(old.control.load32(control::END), bits);
        let sender = old.kernel.notifier();
        assert!(
            sender.has_to_wake(1 << crate::format::layout::OWNER),
            "a sender looks for good"
        );
    });
}
