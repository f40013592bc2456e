//! A name has one owner at a time. A participant that joins while the owner changes does not stay
//! in the old generation.

use super::{Kernel, Memory, THEIRS, WORDS, claim, explore};
use crate::format::layout::{MAGIC, MAJOR, control};
use crate::os::Occupant;
use crate::segment::ending::end;
use crate::segment::notifier::Sleeper;
use crate::segment::ownership::Ownership;
use crate::segment::roster::{JOINED, Roster};
use crate::sync::{Words, WordsMut};
use ::loom::cell::Cell;
use ::loom::thread;
use std::rc::Rc;

/// The offset of the word that stands for the content of a generation.
const CONTENT: usize = control::KIND;

// layout: L155 L165
#[test]
fn dead_owner_never_has_two_concurrent_successors() {
    explore(3, || {
        let record = Memory::record();
        let generation = Rc::new(Cell::new(0u32));
        Ownership(record.clone()).replace(0, WORDS[0]);

        let candidates = [WORDS[1], WORDS[2]].map(|word| {
            let (record, generation) = (record.clone(), Rc::clone(&generation));
            thread::spawn(move || {
                let ownership = Ownership(record);
                let before = ownership.owner();
                // A candidate replaces only a dead owner, or takes a free name.
                if before != 0 && before != WORDS[0] || !ownership.replace(before, word) {
                    return false;
                }

                let last = ownership.generation();
                // The model checker reports a second access at the same time as a race.
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

/// A former owner does not release the name after another process has taken the name over.
// layout: L156 L165
#[test]
fn owner_releases_only_its_own_name() {
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

/// A process that opens a name while it is created sees the owner of the name.
// layout: L021
#[test]
fn opener_of_new_name_sees_owner() {
    explore(3, || {
        let record = Memory::record();
        let new = Ownership(record.clone());

        let me = Occupant {
            word: WORDS[0],
            space: 4,
            start: 0,
        };
        let creating = thread::spawn(move || new.begin(17, me));

        // In a second thread: the model checker lets no other thread run before the first look of
        // the main thread.
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
fn opener_of_a_generation_sees_its_content() {
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

/// A generation: its participants, and how it has ended.
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

    /// Takes a slot, and counts the join in PARTICIPANT_CHANGES.
    fn join(&self, word: u64) -> usize {
        let roster = Roster::new(self.roster.clone(), 1);
        let slot = claim(&roster, word, 0).unwrap();
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

/// A participant that joins while the next owner puts its generation in use joins the next
/// generation, or is woken when the old generation ends.
// layout: L104 L159
#[test]
fn participant_joining_an_ending_generation_is_woken() {
    explore(2, || {
        let record = Memory::record();
        let old = Generation::new();
        Ownership(record.clone()).publish(1);

        let (theirs, joined) = (record.clone(), old.clone());
        let joining = thread::spawn(move || {
            let ownership = Ownership(theirs);
            let slot = joined.join(WORDS[1]);
            // Otherwise the participant joins the next generation at once.
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

/// The next owner looks at the participants of the old generation after it has put its own
/// generation in use. Either it sees a participant that joined, or the participant sees the next
/// generation. So no message is lost in the old generation.
// layout: L104 L159
#[test]
fn joining_participant_is_seen_or_sees_successor() {
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
        let is_seen = Roster::new(old.roster.clone(), 1).participant_changes() != 0;
        let is_still_there = joining.join().unwrap();
        assert!(
            is_seen || !is_still_there,
            "the participant stays in the old generation"
        );
    });
}

/// A participant that polls and never sleeps sees the end, and then also sees everything that the
/// owner stored before.
// layout: L030
#[test]
fn participant_seeing_end_sees_earlier_stores() {
    explore(3, || {
        let old = Generation::new();
        let theirs = old.clone();

        let closing = thread::spawn(move || {
            theirs.roster.store32(THEIRS[0], 17);
            theirs.end(control::end::CLOSED);
        });

        // In a second thread: the model checker lets no other thread run before the first look of
        // the main thread.
        let looking = thread::spawn(move || {
            if old.has_ended() {
                assert_eq!(old.roster.load32(THEIRS[0]), 17);
            }
        });

        closing.join().unwrap();
        looking.join().unwrap();
    });
}

/// The first end of a generation stays, and only FOLLOWED is added later.
// layout: L027 L030 L159
#[test]
fn followed_generation_keeps_its_first_end() {
    explore(3, || {
        let old = Generation::new();
        old.end(control::end::CLOSED);
        old.end(control::end::FOLLOWED | control::end::RESIZED);
        let bits = control::end::CLOSED | control::end::FOLLOWED;
        assert_eq!(old.control.load32(control::END), bits);
        let sender = old.kernel.notifier();
        assert!(
            sender.has_to_wake(crate::segment::roster::WakeTarget::Owner),
            "the owner's bit stays set"
        );
    });
}

/// A process of another role creates a generation without an owner and releases the name. The first
/// owner does not take the name before, and leads the participants of that generation to its own.
// layout: L330 L331 L332 L333
#[test]
fn first_owner_follows_generation_without_owner() {
    explore(2, || {
        let record = Memory::record();
        let waiting = Generation::new();
        Ownership(record.clone()).replace(0, WORDS[0]);

        let (theirs, joined) = (record.clone(), waiting.clone());
        let creating = thread::spawn(move || {
            let ownership = Ownership(theirs);
            ownership.publish(1);
            ownership.let_go(WORDS[0]);
            // The creator takes part, as any other process.
            let slot = joined.join(WORDS[1]);
            if ownership.is_still(1) {
                joined.wait(slot, WORDS[1]);
                assert_eq!(ownership.generation(), 2);
            }
        });

        let ownership = Ownership(record);
        // The creator is alive, and the generation in use is not its own.
        while !ownership.replace(0, WORDS[2]) {
            thread::yield_now();
        }
        assert_eq!(
            ownership.generation(),
            1,
            "the next owner knows which generation to follow"
        );
        ownership.publish(2);
        waiting.end(control::end::FOLLOWED | control::end::RESIZED);
        creating.join().unwrap();
        assert_eq!(ownership.owner(), WORDS[2]);
    });
}
