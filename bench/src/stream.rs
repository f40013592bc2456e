//! Streams of small messages, as fast as they go.

use crate::floor::{self, Ring};
use crate::link::Queues;
use crate::pair::Pair;
use crate::repeat::{Bound, Entry, Found, Place, Row, Scenario};
use crate::traffic::{consume, produce};
use shmkit::{QueueOptions, Receiver};
use shmkit_measure::ends;
use std::time::Duration;

const EACH: Duration = Duration::from_millis(12);
const KIB: usize = 1 << 10;
/// Several times as large as the processor's own cache, as the documentation advises for streams.
const CAPACITY: u64 = 4 << 20;

pub const ENTRIES: [Entry; 2] = [
    Entry {
        name: "stream",
        rows: &[
            stream("stream, 56 B", RTRB, Bound::AtLeast(0.6, 0.9)),
            stream("stream, 64 B", RTRB, Bound::AtLeast(0.6, 0.9)),
            stream("stream, 56 B, batches", RTRB, Bound::None),
            stream("stream, 64 B, batches", RTRB, Bound::None),
        ],
        make: |pair| {
            Box::new(Small {
                queues: Queues::new(pair, options()),
            })
        },
    },
    Entry {
        name: "stream-1k",
        rows: &[
            stream("stream, 1 KiB", RING, Bound::AtLeast(0.8, 0.95)),
            stream("stream, 1 KiB, batches", RING, Bound::None),
        ],
        make: |pair| {
            Box::new(Larger {
                queues: Queues::new(pair, options()),
                ring: Ring::new(pair, "ring", 64, KIB, 16),
            })
        },
    },
];

fn options() -> QueueOptions {
    Receiver::options().capacity(CAPACITY).prefault(true)
}

const RTRB: &str = "rtrb, chunks of 16";
const RING: &str = "bare ring, 16 at once";

const fn stream(what: &'static str, against: &'static str, bound: Bound) -> Row {
    Row {
        what,
        against,
        unit: "M/s",
        bound,
        place: Place::Near,
    }
}

struct Small {
    queues: Queues,
}

impl Scenario for Small {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let outbox = &mut self.queues.outbox;
        let mut rates = Vec::new();
        pair.meet();
        produce(outbox, 56, EACH);
        rates.push(pair.told());
        produce(outbox, 64, EACH);
        rates.push(pair.told());
        produce(&mut outbox.batch(), 56, EACH);
        rates.push(pair.told());
        produce(&mut outbox.batch(), 64, EACH);
        rates.push(pair.told());
        let rtrb = floor::rtrb(EACH);
        pair.rise();
        let found = rates.into_iter().map(|rate| Found::new(rate, rtrb));
        found.collect()
    }

    fn there(&mut self, pair: &Pair) {
        pair.meet();
        for len in [56, 64, 56, 64] {
            pair.tell(consume(&mut self.queues.inbox, len, ends));
        }
        pair.rest();
    }
}

struct Larger {
    queues: Queues,
    ring: Ring,
}

impl Scenario for Larger {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let outbox = &mut self.queues.outbox;
        pair.meet();
        produce(outbox, KIB, EACH);
        let single = pair.told();
        produce(&mut outbox.batch(), KIB, EACH);
        let batch = pair.told();
        produce(&mut self.ring, KIB, EACH);
        let ring = pair.told();
        vec![Found::new(single, ring), Found::new(batch, ring)]
    }

    fn there(&mut self, pair: &Pair) {
        pair.meet();
        for _ in 0..2 {
            pair.tell(consume(&mut self.queues.inbox, KIB, ends));
        }
        pair.tell(consume(&mut self.ring, KIB, ends));
    }
}
