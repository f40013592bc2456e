//! No participant keeps sleeping when the message that it waits for is there.

use super::{Kernel, Memory, THEIRS, WORDS, claim, explore};
use crate::format::layout::OWNER;
use crate::segment::notifier::{Notifier, Sleeper};
use crate::segment::roster::Roster;
use crate::segment::roster::WakeTarget;
use crate::sync::{Words, WordsMut};
use ::loom::thread;

#[derive(Clone)]
struct Segment {
    memory: Memory,
    kernel: Kernel,
}

impl Segment {
    fn new() -> Segment {
        let memory = Memory::roster();
        Segment {
            kernel: Kernel::new(&memory),
            memory,
        }
    }

    /// Waits in this slot until there is this number of messages.
    fn wait(&self, slot: usize, word: u64, wanted: u32) {
        let notifier = self.kernel.notifier();
        let mut sleeper = Sleeper::new(notifier.roster(), slot, word);
        let sent = || THEIRS.iter().map(|at| self.memory.load32(*at)).sum::<u32>() >= wanted;
        while !sent() {
            sleeper.park(&notifier, sent, &[], None).unwrap();
            sleeper.deregister(&notifier);
        }
    }
}

fn send(
    notifier: &mut Notifier<Kernel, Memory>,
    memory: &Memory,
    at: usize,
    number: u32,
    slot: usize,
) {
    // Pairs with the load of the sleeper.
    memory.publish32(at, number);
    notifier.wake(match slot {
        OWNER => WakeTarget::Owner,
        slot => WakeTarget::Slot(slot),
    });
}

/// Lets one thread wait for two messages, and another thread send them.
fn two_messages(segment: &Segment) {
    let sleeping = segment.clone();
    let waiting = thread::spawn(move || sleeping.wait(OWNER, WORDS[0], 2));
    let mut notifier = segment.kernel.notifier();
    for number in 1..=2 {
        send(&mut notifier, &segment.memory, THEIRS[0], number, OWNER);
    }
    waiting.join().unwrap();
}

// layout: L087 L092
#[test]
fn sleeper_is_woken_for_two_messages() {
    explore(3, || two_messages(&Segment::new()));
}

/// Without a first park a wake-up is lost, and the model finds the deadlock.
#[test]
#[should_panic(expected = "deadlock")]
fn sleeper_without_first_park_deadlocks() {
    explore(3, || {
        let mut segment = Segment::new();
        segment.kernel = Kernel::without_first_parks(&segment.memory);
        two_messages(&segment);
    });
}

// layout: L092
#[test]
fn sleeper_is_woken_by_two_wakers() {
    explore(2, || {
        let segment = Segment::new();
        let wakers = THEIRS.map(|at| {
            let segment = segment.clone();
            thread::spawn(move || {
                send(
                    &mut segment.kernel.notifier(),
                    &segment.memory,
                    at,
                    1,
                    OWNER,
                )
            })
        });

        segment.wait(OWNER, WORDS[0], 2);
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}

/// A waker that dies between its look and its set of the event does not keep the next waker from
/// waking the sleeper.
#[test]
fn next_waker_wakes_after_a_waker_dies() {
    explore(3, || {
        let segment = Segment::new();
        let sleeping = segment.clone();
        let waiting = thread::spawn(move || sleeping.wait(OWNER, WORDS[0], 2));
        let dying = segment.kernel.notifier();
        segment.memory.publish32(THEIRS[0], 1);
        let _ = dying.has_to_wake(WakeTarget::Owner);
        let mut next = segment.kernel.notifier();
        send(&mut next, &segment.memory, THEIRS[1], 1, OWNER);
        waiting.join().unwrap();
    });
}

/// A waker does not confuse the next participant in a slot with the last participant there, also if
/// both belong to the same process.
// layout: L093 L095
#[test]
fn next_participant_in_a_slot_is_woken() {
    explore(2, || {
        let segment = Segment::new();
        let sleeping = segment.clone();

        let following = thread::spawn(move || {
            let roster = Roster::new(sleeping.memory.clone(), 1);
            for wanted in 1..=2 {
                let slot = claim(&roster, WORDS[1], 0).unwrap();
                sleeping.wait(slot, WORDS[1], wanted);
                roster.leave(slot, WORDS[1]);
            }
        });

        let mut notifier = segment.kernel.notifier();
        for number in 1..=2 {
            send(&mut notifier, &segment.memory, THEIRS[0], number, 0);
        }

        following.join().unwrap();
    });
}

/// The next participant in the slot of a participant that was killed in its sleep is woken.
// layout: L094
#[test]
fn sleeper_in_dead_participants_slot_is_woken() {
    explore(2, || {
        let segment = Segment::new();
        let roster = Roster::new(segment.memory.clone(), 1);

        let slot = claim(&roster, WORDS[1], 0).unwrap();
        let mut dead = Sleeper::new(&roster, slot, WORDS[1]);
        dead.register(&segment.kernel.notifier()).unwrap();
        segment.kernel.kill(WORDS[1]);

        let successor = segment.clone();
        let inheriting = thread::spawn(move || {
            let roster = Roster::new(successor.memory.clone(), 1);
            let slot = claim(&roster, WORDS[2], WORDS[1]).unwrap();
            successor.wait(slot, WORDS[2], 1);
        });

        let mut notifier = segment.kernel.notifier();
        send(&mut notifier, &segment.memory, THEIRS[0], 1, slot);
        inheriting.join().unwrap();
    });
}
