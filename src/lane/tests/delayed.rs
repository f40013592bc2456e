//! Tests of subscribers that are delayed at each of their accesses while the publisher goes on.

use super::super::Step;
use super::super::lossy::{Begin, LossyReader};
use super::model::{Memory, message, publish};
use crate::format::layout::lane;
use crate::sync::{Ring, Words, heap};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A window of a subscriber that is delayed once: before access number `looks` the publisher runs
/// `turn`.
#[derive(Clone)]
struct HeldUp {
    window: Rc<dyn Words>,
    looks: Rc<Cell<usize>>,
    turn: Rc<dyn Fn()>,
}

impl HeldUp {
    fn look(&self) {
        self.looks.set(self.looks.get().wrapping_sub(1));
        if self.looks.get() == 0 {
            (self.turn)();
        }
    }
}

impl Words for HeldUp {
    fn load32(&self, at: usize) -> u32 {
        self.look();
        self.window.load32(at)
    }

    fn load64(&self, at: usize) -> u64 {
        self.look();
        self.window.load64(at)
    }

    fn copy_out(&self, at: usize, to: &mut [u8]) {
        self.look();
        self.window.copy_out(at, to);
    }

    fn acquire(&self) {
        self.window.acquire();
    }

    fn full(&self) {
        self.window.full();
    }
}

/// Lets a subscriber begin and receive. Before access number `looks` of the subscriber, the
/// publisher sends `turn` messages. Returns whether the publisher did.
fn held_up(begin: Begin, looks: usize, turn: u64) -> bool {
    let memory = Memory::new(512, 120);
    let writer = RefCell::new(memory.publisher());
    let len = |n| if n % 3 == 0 { 100 } else { 40 };
    let send = move |count| {
        for _ in 0..count {
            let mut writer = writer.borrow_mut();
            let n = writer.sent();
            publish(&mut writer, &message(n, len(n)));
        }
    };
    send(11);
    let looks = Rc::new(Cell::new(looks));
    let whole = HeldUp {
        window: Rc::new(heap::reading(&memory.ring)),
        looks: Rc::clone(&looks),
        turn: Rc::new(move || send(turn)),
    };
    let round = HeldUp {
        window: Rc::new(heap::reading(&memory.ring).round()),
        ..whole.clone()
    };
    let window = Rc::new(heap::reading(&memory.head));
    let head = HeldUp {
        window,
        ..whole.clone()
    };
    let ring = Ring::of(whole, round);
    let sent = || memory.head.load64(lane::SENT);
    let mut reader = LossyReader::new(ring, head, memory.ring_geometry);
    assert!(reader.begin(begin));
    let (first, mut to, mut late) = (reader.number(), [0; 120], false);
    assert!(begin != Begin::Last || first >= 10);
    assert!(begin != Begin::Next || first >= 11);
    loop {
        let before = reader.number();
        match reader.receive(&mut to) {
            Step::Message(len) => assert_eq!(to[..len], message(before, len)),
            Step::Lagged(missed) => assert_eq!(reader.number(), before + missed),
            // The publisher may have sent its messages right after the subscriber looked.
            Step::Nothing if before < sent() && !late => late = true,
            Step::Nothing => break assert_eq!(before, sent()),
            step => panic!("{step:?} at {before}"),
        }
    }
    looks.get() > isize::MAX as usize
}

// layout: L129 L130 L131
#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn delayed_subscriber_reads_and_counts_correctly() {
    for begin in [Begin::Oldest, Begin::Last, Begin::Next] {
        for turn in 1..20 {
            assert!(
                (1..)
                    .take_while(|looks| held_up(begin, *looks, turn))
                    .count()
                    > 20
            );
        }
    }
}
