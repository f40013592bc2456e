//! Long messages, of which every byte is read.

use crate::floor::{Ring, Stores};
use crate::link::{Queues, Spinning, Standing};
use crate::pair::Pair;
use crate::repeat::{Bound, Entry, Found, Place, Row, Scenario};
use crate::traffic::{consume, produce, whole};
use shmkit::Receiver;
use std::time::Duration;

const EACH: Duration = Duration::from_millis(15);
/// Larger than the second-level cache, so that sent messages wait in the third-level cache.
const FOOTPRINT: usize = 4 << 20;

pub const ENTRIES: [Entry; 2] = [
    Entry {
        name: "bulk-64k",
        rows: &[
            bulk("64 KiB, all read", RING, (0.6, 0.75), Place::Near),
            bulk("64 KiB, all read, far", PAST, (0.5, 0.8), Place::Far),
            info("64 KiB, received as a copy", RING, Place::Near),
            info("64 KiB, received as a copy, far", PAST, Place::Far),
        ],
        make: |pair| Box::new(Bulk::new(pair, 64 << 10)),
    },
    Entry {
        name: "bulk-1m",
        rows: &[
            bulk("1 MiB, all read", RING, (0.8, 0.95), Place::Near),
            bulk("1 MiB, all read, far", PAST, (0.5, 0.8), Place::Far),
            info("1 MiB, received as a copy", RING, Place::Near),
            info("1 MiB, received as a copy, far", PAST, Place::Far),
        ],
        make: |pair| Box::new(Bulk::new(pair, 1 << 20)),
    },
];

const RING: &str = "bare ring of 4 MiB";
const PAST: &str = "non-temporal stores";

const fn bulk(what: &'static str, against: &'static str, bound: (f64, f64), place: Place) -> Row {
    Row {
        what,
        against,
        unit: "GB/s",
        bound: Bound::AtLeast(bound.0, bound.1),
        place,
    }
}

const fn info(what: &'static str, against: &'static str, place: Place) -> Row {
    Row {
        what,
        against,
        unit: "GB/s",
        bound: Bound::None,
        place,
    }
}

struct Bulk {
    size: usize,
    queues: Queues,
    ring: Ring,
}

impl Bulk {
    fn new(pair: &Pair, size: usize) -> Bulk {
        let options = Receiver::options().senders(1).capacity(FOOTPRINT as u64);
        Bulk {
            size,
            queues: Queues::new(pair, options.max_message(size as u64)),
            ring: Ring::new(pair, "ring", (FOOTPRINT / size) as u64, size, 1),
        }
    }
}

impl Scenario for Bulk {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let kilobytes = self.size as f64 / 1e3;
        pair.meet();
        produce(&mut self.queues.outbox, self.size, EACH);
        let ours = pair.told() * kilobytes;
        produce(&mut self.queues.outbox, self.size, EACH);
        let copied = pair.told() * kilobytes;

        produce(self.ring.stores(Stores::Plain), self.size, EACH);
        let plain = pair.told() * kilobytes;
        produce(self.ring.stores(Stores::NonTemporal), self.size, EACH);
        let past = pair.told() * kilobytes;

        vec![
            Found::new(ours, plain),
            Found::new(ours, past),
            Found::new(copied, plain),
            Found::new(copied, past),
        ]
    }

    fn there(&mut self, pair: &Pair) {
        pair.meet();
        pair.tell(consume(
            &mut Standing(&mut self.queues.inbox),
            self.size,
            whole,
        ));
        pair.tell(consume(
            &mut Spinning(&mut self.queues.inbox),
            self.size,
            whole,
        ));
        for _ in 0..2 {
            pair.tell(consume(&mut self.ring, self.size, whole));
        }
    }
}
