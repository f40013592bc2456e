//! A source key has one sender at a time, and the next sender finds the number of the last message.

use super::{Memory, THEIRS, WORDS, explore};
use crate::format::layout::roster;
use crate::os::Occupant;
use crate::segment::roster::{Roster, slot_at};
use crate::segment::sources::{Pair, SourceClaim, SourceWords, last_pair};
use crate::sync::{Ordering, Shared, Words, WordsMut};
use ::loom::thread;

const KEY: u64 = 7;

fn me(word: u64) -> Occupant {
    Occupant {
        word,
        space: 0,
        start: 0,
    }
}

/// Takes a slot for the key, once. The processes in `dead` are dead.
fn claim(memory: &Memory, word: u64, dead: u64) -> Option<usize> {
    let roster = Roster::new(memory.clone(), 2);
    let begin = |_, before| Ok((before == 0 || before == dead).then_some(()));
    let claimed = roster.claim_source(me(word), 0..2, KEY, begin, |_| Ok(()));
    match claimed.unwrap() {
        SourceClaim::Taken(slot, ()) => Some(slot),
        SourceClaim::Open(_) | SourceClaim::Again | SourceClaim::NoSlot => None,
    }
}

// layout: L317
#[test]
fn racing_senders_never_share_a_key() {
    explore(2, || {
        let memory = Memory::sources();
        let both = [WORDS[1], WORDS[2]].map(|word| {
            let memory = memory.clone();
            thread::spawn(move || claim(&memory, word, 0))
        });
        let taken = both.map(|one| one.join().unwrap());
        assert!(taken.iter().flatten().count() <= 1, "{taken:?}");
        let roster = Roster::new(memory, 2);
        let keys = [0, 1].map(|slot| roster.source_key(slot));
        let with_key = keys.iter().filter(|key| **key == KEY).count();
        assert_eq!(with_key, taken.iter().flatten().count());
    });
}

/// A process was killed while it took a slot for the key. A sender that finds it dead takes its slot
/// over, while another sender, which has looked before, takes the other slot.
// layout: L317
#[test]
fn half_opened_key_has_one_successor() {
    explore(2, || {
        let memory = Memory::sources();
        let other = memory.clone();
        let other = thread::spawn(move || claim(&other, WORDS[1], 0));
        let killed = memory.clone();
        let killed = thread::spawn(move || {
            let at = slot_at(0) + roster::PROCESS;
            // Acquire and release: pairs with the compare and swap of `Roster::claim_source`.
            if killed.replace64(at, 0, WORDS[0], Ordering::AcqRel) {
                Roster::new(killed, 2).set_source_key(0, KEY);
            }
        });
        killed.join().unwrap();
        let successor = claim(&memory, WORDS[2], WORDS[0]);
        let taken = [other.join().unwrap(), successor];
        assert!(taken.iter().flatten().count() <= 1, "{taken:?}");
    });
}

/// A sender without a key and a sender with the key look at the slot that the key has reserved.
// layout: L315 L316
#[test]
fn reserved_slot_is_taken_by_its_key() {
    explore(2, || {
        let memory = Memory::sources();
        Roster::new(memory.clone(), 2).set_source_key(0, KEY);
        let numbering = memory.clone();
        // Takes the slot, sends its first number, and leaves.
        let source = thread::spawn(move || {
            let slot = claim(&numbering, WORDS[1], 0)?;
            let roster = Roster::new(numbering, 2);
            roster.set_pair(slot, 0, Pair { end: 9, number: 1 });
            roster.leave(slot, WORDS[1]);
            Some(slot)
        });
        let plain = memory.clone();
        let plain = thread::spawn(move || {
            let roster = Roster::new(plain, 2);
            let free = |_, before| Ok((before == 0).then_some(()));
            let claimed = roster.claim(me(WORDS[2]), 0..1, free, |_| Ok(())).unwrap();
            claimed.is_some()
        });
        let (source, has_slot) = (source.join().unwrap(), plain.join().unwrap());
        assert!(source != Some(0) || !has_slot, "the slot is reserved");
    });
}

/// The owner reads the pairs while the sender stores them. If the tail is the same before and after, the
/// number is that of the last message.
// layout: L318 L321
#[test]
fn unchanged_tail_proves_the_number() {
    explore(2, || {
        let memory = Memory::sources();
        let roster = Roster::new(memory.clone(), 2);
        roster.set_source_key(0, KEY);
        let sending = memory.clone();
        let sender = thread::spawn(move || {
            let roster = Roster::new(sending.clone(), 2);
            for n in 1..4 {
                let pair = Pair {
                    end: 8 * n + 1,
                    number: n,
                };
                roster.set_pair(0, n as usize % 2, pair);
                // Stands for the commit word: the tail is 8 * n.
                sending.publish32(THEIRS[0], 8 * n as u32);
            }
        });
        let tail = || u64::from(memory.load32(THEIRS[0]));
        let before = tail();
        let pairs = SourceWords::read(&memory, 0).pairs;
        if tail() == before && before != 0 {
            let last = last_pair(&pairs, before).expect("a committed pair");
            assert_eq!(pairs[last].number, before / 8);
        }
        sender.join().unwrap();
    });
}
