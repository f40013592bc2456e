//! The time to hand over a message of any length that neither process reads or writes.

use crate::link::Queues;
use crate::pair::Pair;
use crate::repeat::{Bound, Entry, Found, Place, Row, Scenario};
use shmkit::{Receiver, RecvError};
use shmkit_measure::Times;
use std::time::Duration;

const EACH: Duration = Duration::from_millis(10);
const LENS: [usize; 3] = [64, 4 << 10, 64 << 10];
/// A length that needs a ring of its own. Little of that ring stays in the caches.
const HUGE: [usize; 1] = [16 << 20];

pub const ENTRY: Entry = Entry {
    name: "hand-off",
    rows: &[
        hand_off("hand-off, 64 B, p50"),
        hand_off("hand-off, 4 KiB, p50"),
        hand_off("hand-off, 64 KiB, p50"),
        hand_off("hand-off, 16 MiB, p50"),
    ],
    make: |pair| {
        let options = Receiver::options().senders(1);
        let queues = Queues::new(pair, options.clone().capacity(1 << 20));
        let huge = Queues::tagged(pair, "huge", options.capacity(128 << 20));
        Box::new(HandOff { queues, huge })
    },
};

/// Returns a row that compares one way of a message with a round trip of the line.
const fn hand_off(what: &'static str) -> Row {
    Row {
        what,
        against: "ping-pong, p50",
        unit: "ns",
        bound: Bound::AtMost(0.9, 0.7),
        place: Place::Near,
    }
}

struct HandOff {
    queues: Queues,
    huge: Queues,
}

impl Scenario for HandOff {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        pair.meet();
        let few = LENS.map(|len| hand_over(&mut self.queues, len));
        let huge = HUGE.map(|len| hand_over(&mut self.huge, len));
        few.into_iter().chain(huge).collect()
    }

    fn there(&mut self, pair: &Pair) {
        pair.meet();
        LENS.iter().for_each(|_| hand_back(&mut self.queues));
        HUGE.iter().for_each(|_| hand_back(&mut self.huge));
    }
}

fn hand_over(queues: &mut Queues, len: usize) -> Found {
    let Queues { inbox, outbox } = queues;
    let mut times = Times::new();
    let there_and_back = || {
        outbox.claim(len)?.commit()?;
        assert_eq!(take(inbox), len);
        Ok(())
    };
    times.take(EACH, there_and_back).unwrap();
    outbox.send(b"").unwrap();
    Found::beside_the_line(times.percentile(0.5) / 2.0, 0.5, 0.0)
}

fn hand_back(queues: &mut Queues) {
    let Queues { inbox, outbox } = queues;
    loop {
        match take(inbox) {
            0 => return,
            len => outbox.claim(len).unwrap().commit().unwrap(),
        }
    }
}

fn take(inbox: &mut Receiver) -> usize {
    loop {
        match inbox.try_recv_ref() {
            Ok(message) => return message.len(),
            Err(RecvError::Empty) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
