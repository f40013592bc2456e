//! A publisher dies, and another one continues its lane, under the model checker loom.

use super::super::Step;
use super::super::lossy::{Begin, LossyReader, LossyWriter};
use super::loom::{Model, SHORT, look, publish, ring_geometry};
use crate::sync::explore::explore;
use ::loom::thread;
use std::cell::Cell;
use std::rc::Rc;

/// The stores of a publisher that announces, sends two messages and sets a mark for each.
const LOSSY_STORES: usize = 16;

/// Kills a publisher after `life` stores. Another one continues the lane beside a subscriber. Returns
/// how many stores the first publisher made.
fn lossy_succession(life: usize) -> usize {
    let (ring, head) = (Model::overwritten_ring(ring_geometry()), Model::head());
    let left = Rc::new(Cell::new(usize::MAX));
    let [mortal_ring, mortal_head] = [&ring, &head].map(|part| part.mortal(&left));
    let mut first = LossyWriter::new(mortal_ring, mortal_head, ring_geometry());
    for _ in 0..7 {
        publish(&mut first, SHORT);
    }
    let mut reader = LossyReader::new(ring.clone(), head.clone(), ring_geometry());
    assert!(reader.begin(Begin::Next));

    left.set(life);
    (0..2).for_each(|_| publish(&mut first, SHORT));
    let reading = thread::spawn(move || {
        for _ in 0..2 {
            look(&mut reader, 7);
        }
        reader
    });
    let mut second = LossyWriter::resume(ring, head, ring_geometry()).unwrap();
    assert!((7..=9).contains(&second.sent()));
    (0..2).for_each(|_| publish(&mut second, SHORT));
    let mut reader = reading.join().unwrap();
    while look(&mut reader, second.sent()) != Step::Nothing {}
    assert_eq!(reader.number(), second.sent());
    // A subscriber that comes later finds the marks.
    assert!(reader.begin(Begin::Oldest) && reader.number() + 7 >= second.sent());
    while look(&mut reader, second.sent()) != Step::Nothing {}
    life - left.get()
}

// layout: L296
#[test]
fn successor_of_dead_publisher_continues_lane() {
    for life in 0..=LOSSY_STORES {
        explore(2, move || assert_eq!(lossy_succession(life), life));
    }
}
