//! The sets of slots lose no slot, and an owner that does not poll a lane does not sleep through its
//! messages.

use super::{Kernel, Memory, THEIRS, WORDS, claim, explore};
use crate::format::layout::OWNER;
use crate::segment::notifier::Sleeper;
use crate::segment::roster::{Roster, WakeTarget};
use crate::segment::slot_set::{NEWS, SLEEPERS};
use crate::sync::{Words, WordsMut};
use ::loom::thread;

/// A process that finds a word empty clears its bit in the summary. The bit is there again when
/// another process has put a slot in at the same moment.
// layout: L252
#[test]
fn summary_shows_slot_inserted_during_tidying() {
    explore(3, || {
        let memory = Memory::roster();
        SLEEPERS.insert(&memory, 1);
        let inserting = memory.clone();
        let inserted = thread::spawn(move || SLEEPERS.insert(&inserting, 0));
        let leaving = memory.clone();
        let left = thread::spawn(move || SLEEPERS.remove(&leaving, 1));
        let _ = SLEEPERS.slots(&memory).count();

        inserted.join().unwrap();
        left.join().unwrap();
        assert_eq!(SLEEPERS.slots(&memory).collect::<Vec<_>>(), [0]);
    });
}

/// The owner takes each slot that is put into a set, and sees what its process stored before.
// layout: L252 L255
#[test]
fn owner_takes_each_slot_with_news() {
    explore(3, || {
        let memory = Memory::roster();
        let senders = [0, 1].map(|slot| {
            let memory = memory.clone();
            thread::spawn(move || {
                memory.store32(THEIRS[slot], 1);
                NEWS.insert_once(&memory, slot);
            })
        });

        // In a second thread: the model checker lets no other thread run before the first look of
        // the main thread.
        let looking = memory.clone();
        let owner = thread::spawn(move || {
            let taken: Vec<usize> = NEWS.take(&looking).collect();
            for slot in &taken {
                assert_eq!(looking.load32(THEIRS[*slot]), 1);
            }
            taken
        });
        let mut taken = owner.join().unwrap();
        for sender in senders {
            sender.join().unwrap();
        }
        taken.extend(NEWS.take(&memory));
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
    });
}

/// The word by which the owner says that it polls the lane.
const WATCHED: usize = THEIRS[1];

/// An owner polls a lane no more, and sleeps, while its sender sends. `everywhere` is whether the
/// owner looks at the lane before it sleeps.
fn owner_stops_polling_and_sleeps(everywhere: bool) {
    let memory = Memory::roster();
    let kernel = Kernel::new(&memory);
    claim(&Roster::new(memory.clone(), 1), WORDS[1], 0).unwrap();
    memory.store32(WATCHED, 1);

    let (sending, mut notifier) = (memory.clone(), kernel.notifier());
    let sent = thread::spawn(move || {
        // Pairs with the loads of the owner.
        sending.publish32(THEIRS[0], 1);
        let has_to_tell = notifier.roster().has_to_tell_owner();
        if has_to_tell && sending.load32(WATCHED) == 0 {
            notifier.roster().tell_news(0);
        }
        notifier.wake(WakeTarget::Owner);
    });

    let notifier = kernel.notifier();
    notifier.roster().set_unwatched(true);
    memory.store32(WATCHED, 0);
    let mut sleeper = Sleeper::new(notifier.roster(), OWNER, WORDS[0]);
    let has_come = || memory.load32(THEIRS[0]) == 1;
    let has_news = || notifier.roster().has_news() || everywhere && has_come();
    while !has_news() {
        sleeper.park(&notifier, has_news, &[], None).unwrap();
        sleeper.deregister(&notifier);
        if everywhere && has_come() {
            break;
        }
    }
    sent.join().unwrap();
}

// layout: L254 L256
#[test]
fn sleeping_owner_notices_unwatched_lane() {
    explore(3, || owner_stops_polling_and_sleeps(true));
}

/// An owner that relies on the news sleeps for ever: the sender has seen that its lane was watched.
#[test]
#[should_panic(expected = "deadlock")]
fn owner_relying_on_news_deadlocks() {
    explore(3, || owner_stops_polling_and_sleeps(false));
}
