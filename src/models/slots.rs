//! A slot has one participant at a time, and the owner sees what the participant stores about
//! itself.

use super::{Memory, THEIRS, WORDS, claim, explore};
use crate::format::layout::roster::state;
use crate::os::Occupant;
use crate::segment::roster::{Eviction, JOINED, LEFT, Roster, WakeTarget};
use crate::sync::{Words, WordsMut};
use ::loom::cell::Cell;
use ::loom::sync::Mutex;
use ::loom::thread;
use std::rc::Rc;

/// A resource that only the participant in a slot may use, such as a lane. The model checker
/// reports two uses at the same time as a race.
struct Own(Rc<Cell<u64>>);

impl Own {
    fn change(&self) {
        // The model checker reports a second access at the same time as a race.
        self.0.set(self.0.get() + 1);
    }
}

// layout: L104
#[test]
fn slot_has_one_participant_at_a_time() {
    explore(3, || {
        let memory = Memory::roster();
        let own = Rc::new(Cell::new(0));
        let all = [WORDS[1], WORDS[2]].map(|word| {
            let (memory, own) = (memory.clone(), Own(Rc::clone(&own)));
            thread::spawn(move || {
                let roster = Roster::new(memory, 1);
                while claim(&roster, word, 0).is_none() {
                    thread::yield_now();
                }
                own.change();
                roster.leave(0, word);
            })
        });

        for one in all {
            one.join().unwrap();
        }
        let roster = Roster::new(memory, 1);
        assert_eq!((roster.process_word(0), roster.slot_epoch(0)), (0, 2));
        assert_eq!(roster.participant_changes(), 2 * LEFT);
    });
}

/// At most one of two processes that find a dead participant takes its slot. That process sees the
/// stores of the dead participant.
#[test]
fn dead_participant_has_at_most_one_successor() {
    explore(3, || {
        let memory = Memory::roster();
        let own = Rc::new(Cell::new(0));
        let roster = Roster::new(memory.clone(), 1);
        claim(&roster, WORDS[0], 0).unwrap();

        let successors = [WORDS[1], WORDS[2]].map(|word| {
            let (memory, own) = (memory.clone(), Own(Rc::clone(&own)));
            thread::spawn(move || {
                let roster = Roster::new(memory, 1);
                let taken = claim(&roster, word, WORDS[0]).is_some();
                if taken {
                    own.change();
                }
                taken
            })
        });

        // The owner frees the slot at the same time, at most once.
        let evicted = roster.evict(0, WORDS[0], |_, _| Ok(Some(()))) == Eviction::Freed;
        let taken = successors.map(|one| one.join().unwrap());

        assert!(evicted || taken != [false; 2]);
        assert_ne!(taken, [true; 2], "both processes took the slot");
        assert_ne!(roster.process_word(0), WORDS[0]);
    });
}

/// The life of the participant in one slot, as the kernel keeps it: a lock with one holder.
#[derive(Clone)]
struct Life(Rc<Mutex<bool>>);

impl Life {
    fn begin(&self) -> Option<Alive> {
        let was_taken = std::mem::replace(&mut *self.0.lock().unwrap(), true);
        (!was_taken).then(|| Alive(self.clone()))
    }
}

struct Alive(Life);

impl Drop for Alive {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap() = false;
    }
}

/// A process that calls `exec` ends the life of its participant, and keeps its process word. At most
/// one participant of the same process takes the slot, and the owner, which frees the slot at the
/// same time, never frees the slot of that participant.
#[test]
fn slot_after_exec_has_one_successor() {
    explore(3, || {
        let memory = Memory::roster();
        let (own, life) = (Rc::new(Cell::new(0)), Life(Rc::new(Mutex::new(false))));
        claim(&Roster::new(memory.clone(), 1), WORDS[0], 0).unwrap();

        let successors = [0, 1].map(|_| {
            let (memory, own, life) = (memory.clone(), Own(Rc::clone(&own)), life.clone());
            thread::spawn(move || {
                let me = Occupant {
                    word: WORDS[0],
                    space: 0,
                    start: 0,
                };
                let roster = Roster::new(memory, 1);
                let claimed = roster
                    .claim(me, 0..1, |_, _| Ok(life.begin()), |_| Ok(()))
                    .unwrap();
                claimed.map(|(_, alive)| {
                    own.change();
                    alive
                })
            })
        });

        let roster = Roster::new(memory, 1);
        let evicted = roster.evict(0, WORDS[0], |_, _| Ok(life.begin())) == Eviction::Freed;
        let taken = successors.map(|one| one.join().unwrap());

        let count = taken.iter().flatten().count();
        assert!(count <= 1, "both participants took the slot");
        assert!(evicted || count == 1);
        let word = roster.process_word(0);
        assert_eq!(word, if count == 1 { WORDS[0] } else { 0 });
    });
}

/// A look at the sender in a slot finds the dead one, the new one or none, and never the process of
/// one with the first position of the other.
// layout: L251
#[test]
fn sender_of_a_slot_is_never_mixed() {
    const FIRST: u64 = 100;
    explore(3, || {
        let memory = Memory::roster();
        // A process word has the fold of the start time, which tells most processes apart.
        let occupant = |word, start| Occupant {
            word,
            space: 0,
            start,
        };
        let (dead, new) = (occupant(WORDS[0], 7), occupant(2 << 32 | 9, 9));
        let roster = Roster::new(memory.clone(), 1);
        roster
            .claim(dead, 0..1, |_, _| Ok(Some(())), |_| Ok(()))
            .unwrap();
        roster.set_state(0, state::ACTIVE);

        let joining = memory.clone();
        let joined = thread::spawn(move || {
            let roster = Roster::new(joining, 1);
            roster
                .claim(new, 0..1, |_, _| Ok(Some(())), |_| Ok(()))
                .unwrap();
            roster.set_beginning(0, FIRST);
            roster.set_state(0, state::ACTIVE);
        });
        let looked = thread::spawn(move || {
            let Some(sender) = Roster::new(memory, 1).sender(0) else {
                return;
            };
            let found = (sender.identity.pid(), sender.beginning);
            assert!(found == (1, 0) || found == (2, FIRST), "{found:?}");
        });
        joined.join().unwrap();
        looked.join().unwrap();
        assert_eq!(roster.sender(0).unwrap().beginning, FIRST);
    });
}

/// An owner that sees that a participant is counted or active also sees the participant's earlier
/// stores.
// layout: L051
#[test]
fn owner_sees_stores_of_joined_participant() {
    explore(3, || {
        let memory = Memory::roster();
        let joining = memory.clone();

        let joined = thread::spawn(move || {
            let roster = Roster::new(joining.clone(), 1);
            let slot = claim(&roster, WORDS[1], 0).unwrap();
            roster.set_beginning(slot, 4711);
            joining.store32(THEIRS[0], 17);
            roster.set_state(slot, state::ACTIVE);
            roster.tell(JOINED);
        });

        let roster = Roster::new(memory.clone(), 1);
        let counted = roster.participant_changes() == JOINED;
        if counted {
            assert_eq!(roster.process_word(0), WORDS[1]);
            assert_eq!(roster.state(0), state::ACTIVE);
        }

        if roster.state(0) == state::ACTIVE {
            assert_eq!(
                (roster.process_word(0), roster.slot_epoch(0)),
                (WORDS[1], 1)
            );
            assert_eq!(roster.beginning(0), 4711);
            assert_eq!(memory.load32(THEIRS[0]), 17);
        }

        joined.join().unwrap();
    });
}

/// A participant that is counted as gone has left its slot, also if the publisher drops it at the
/// same time.
// layout: L105
#[test]
fn slot_is_free_once_leave_is_counted() {
    explore(3, || {
        let memory = Memory::roster();
        let roster = Roster::new(memory.clone(), 1);
        claim(&roster, WORDS[1], 0).unwrap();
        roster.set_state(0, state::ACTIVE);
        let leaving = memory.clone();
        let left = thread::spawn(move || Roster::new(leaving, 1).leave(0, WORDS[1]));
        roster.change_state(0, state::ACTIVE, state::DROPPED);
        if roster.participant_changes() == LEFT {
            assert_eq!(roster.process_word(0), 0);
        }
        left.join().unwrap();
        assert_eq!(roster.process_word(0), 0);
    });
}

/// A participant that takes the slot of a dead participant clears its state and its bit.
#[test]
fn successor_clears_state_of_dead_participant() {
    explore(3, || {
        let roster = Roster::new(Memory::roster(), 1);
        claim(&roster, WORDS[0], 0).unwrap();
        roster.set_state(0, state::ACTIVE);
        roster.set_asleep(0, true);
        claim(&roster, WORDS[1], WORDS[0]).unwrap();
        assert!(!roster.may_sleep(WakeTarget::Slot(0)));
        assert_eq!(roster.state(0), state::PASSIVE);
    });
}
