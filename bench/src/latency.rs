//! Round trips, and what a wake costs that is really one.

use crate::clock::{self, Samples};
use crate::direct::Bell;
use crate::link::{Inbox, Outbox, Queues, Spinning, Waiting};
use crate::pair::Pair;
use crate::repeat::{Bound, Entry, Found, Place, Row, Scenario};
use crate::traffic::{ask, echo};
use shmkit::Receiver;
use std::sync::atomic::Ordering;
use std::time::Duration;

const EACH: Duration = Duration::from_millis(25);
const CAPACITY: u64 = 1 << 20;

pub const ENTRIES: [Entry; 3] = [
    Entry {
        name: "round-trip",
        rows: &[
            round_trip("round trip, 48 B, p50", P50, (1.7, 1.35)),
            round_trip("round trip, 48 B, p99", P99, (2.3, 1.8)),
            round_trip("round trip, 56 B, p50", P50, (1.7, 1.35)),
            round_trip("round trip, 56 B, p99", P99, (2.3, 1.8)),
        ],
        make: |pair| {
            Box::new(RoundTrip {
                queues: Queues::new(pair, Receiver::options().capacity(CAPACITY)),
            })
        },
    },
    Entry {
        name: "may-park",
        rows: &[
            round_trip("round trip, 56 B, may park, p50", P50, (2.2, 1.8)),
            Row {
                bound: Bound::None,
                ..round_trip("round trip, 56 B, may park, p99", P99, (0.0, 0.0))
            },
        ],
        make: |pair| {
            Box::new(MayPark {
                queues: Queues::new(pair, Receiver::options().capacity(CAPACITY)),
            })
        },
    },
    Entry {
        name: "parked",
        rows: &[Row {
            what: "parked wake and reply, p50",
            against: "bare wake",
            unit: "ns",
            bound: Bound::AtMost(1.2, 1.10),
            place: Place::Near,
        }],
        make: |pair| {
            Box::new(Parked {
                queues: Queues::new(pair, Receiver::options()),
                bell: Bell::new(pair, "bell"),
            })
        },
    },
];

const P50: &str = "ping-pong, p50";
const P99: &str = "ping-pong, p99";

const fn round_trip(what: &'static str, against: &'static str, bound: (f64, f64)) -> Row {
    Row {
        what,
        against,
        unit: "ns",
        bound: Bound::AtMost(bound.0, bound.1),
        place: Place::Near,
    }
}

struct RoundTrip {
    queues: Queues,
}

impl Scenario for RoundTrip {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        let mut short = ask(outbox, &mut Spinning(inbox), &mut [0; 48], EACH);
        let mut long = ask(outbox, &mut Spinning(inbox), &mut [0; 56], EACH);
        vec![
            Found::percentile(&mut short, 0.5),
            Found::percentile(&mut short, 0.99),
            Found::percentile(&mut long, 0.5),
            Found::percentile(&mut long, 0.99),
        ]
    }

    fn there(&mut self, pair: &Pair) {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        for _ in 0..2 {
            echo(outbox, &mut Spinning(inbox));
        }
    }
}

struct MayPark {
    queues: Queues,
}

impl Scenario for MayPark {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        let mut samples = ask(outbox, &mut Waiting(inbox), &mut [0; 56], 2 * EACH);
        vec![
            Found::percentile(&mut samples, 0.5),
            Found::percentile(&mut samples, 0.99),
        ]
    }

    fn there(&mut self, pair: &Pair) {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        echo(outbox, &mut Waiting(inbox));
    }
}

/// Whoever waits there sleeps; the answer is spun for here.
struct Parked {
    queues: Queues,
    bell: Bell,
}

const WAKES: u64 = 12;
/// By then a waiter has given up spinning, and dozing.
const ASLEEP: Duration = Duration::from_millis(3);

impl Scenario for Parked {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let Queues { inbox, outbox } = &mut self.queues;
        let mut inbox = Spinning(inbox);
        let (mut ours, mut bare) = (Samples::new(), Samples::new());
        pair.meet();
        for number in 0..WAKES {
            clock::busy_for(ASLEEP);
            let start = clock::now();
            Outbox::send(outbox, &[0; 56]);
            inbox.receive(|_| ());
            ours.push(clock::now() - start);

            clock::busy_for(ASLEEP);
            let start = clock::now();
            self.bell.ring();
            while pair.reply().load(Ordering::Acquire) != number {}
            bare.push(clock::now() - start);
        }
        pair.meet();
        vec![Found::new(ours.percentile(0.5), bare.percentile(0.5))]
    }

    fn there(&mut self, pair: &Pair) {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.reply().store(WAKES, Ordering::Relaxed);
        pair.meet();
        for number in 0..WAKES {
            Waiting(&mut *inbox).receive(|message| Outbox::send(outbox, message));
            self.bell.wait();
            // Pairs with the load there.
            pair.reply().store(number, Ordering::Release);
        }
        pair.meet();
    }
}
