//! Round trips, and the cost of waking a process that really sleeps.

use crate::direct::WakeUp;
use crate::link::{Queues, Spinning};
use crate::pair::Pair;
use crate::repeat::{Bound, Entry, Found, Place, Row, Scenario};
use crate::traffic::{answer, ask, busy_for};
use shmkit::{Receiver, Sender};
use shmkit_measure::{Inbox, Times, clock};
use std::sync::atomic::Ordering;
use std::time::Duration;

const EACH: Duration = Duration::from_millis(25);
const CAPACITY: u64 = 1 << 20;

pub const ENTRIES: [Entry; 5] = [
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
        name: "idle-61",
        rows: &[round_trip(
            "round trip, 56 B, 61 idle senders, p50",
            P50,
            (1.6, 1.45),
        )],
        make: |pair| Box::new(AmongIdle::new(pair, 61)),
    },
    Entry {
        name: "idle-999",
        rows: &[round_trip(
            "round trip, 56 B, 999 idle senders, p50",
            P50,
            (1.9, 1.6),
        )],
        make: |pair| Box::new(AmongIdle::new(pair, 999)),
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
                wake_up: WakeUp::new(pair, "wake_up"),
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
        let short = ask(outbox, &mut Spinning(inbox), 48, EACH);
        let long = ask(outbox, &mut Spinning(inbox), 56, EACH);
        vec![
            Found::percentile(&short, 0.5),
            Found::percentile(&short, 0.99),
            Found::percentile(&long, 0.5),
            Found::percentile(&long, 0.99),
        ]
    }

    fn there(&mut self, pair: &Pair) {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        for len in [48, 56] {
            answer(outbox, &mut Spinning(inbox), len);
        }
    }
}

/// Round trips while the queue of each process has many other senders, which have sent nothing yet.
struct AmongIdle {
    queues: Queues,
    _idle: Vec<Sender>,
}

impl AmongIdle {
    fn new(pair: &Pair, idle: usize) -> AmongIdle {
        let options = Receiver::options().capacity(1 << 16).senders(idle + 1);
        let [_, theirs] = pair.names("queue");
        let queues = Queues::new(pair, options);
        let open = |_| Sender::open(theirs.as_str()).unwrap();
        let idle = (0..idle).map(open).collect();
        pair.meet();
        AmongIdle {
            queues,
            _idle: idle,
        }
    }
}

impl Scenario for AmongIdle {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        let times = ask(outbox, &mut Spinning(inbox), 56, 2 * EACH);
        vec![Found::percentile(&times, 0.5)]
    }

    fn there(&mut self, pair: &Pair) {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        answer(outbox, &mut Spinning(inbox), 56);
    }
}

struct MayPark {
    queues: Queues,
}

impl Scenario for MayPark {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        let times = ask(outbox, inbox, 56, 2 * EACH);
        vec![
            Found::percentile(&times, 0.5),
            Found::percentile(&times, 0.99),
        ]
    }

    fn there(&mut self, pair: &Pair) {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        answer(outbox, inbox, 56);
    }
}

/// The second process sleeps while it waits. The first process spins until the answer arrives.
struct Parked {
    queues: Queues,
    wake_up: WakeUp,
}

const WAKES: u64 = 12;
/// After this time a waiter no longer spins, and its first short sleep is over.
const ASLEEP: Duration = Duration::from_millis(3);

impl Scenario for Parked {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let Queues { inbox, outbox } = &mut self.queues;
        let mut inbox = Spinning(inbox);
        let (mut ours, mut bare) = (Times::new(), Times::new());
        pair.meet();
        for number in 0..WAKES {
            busy_for(ASLEEP);
            let start = clock::now();
            outbox.send(&[0; 56]).unwrap();
            inbox.receive(|_| ()).unwrap();
            ours.record(clock::now() - start);

            busy_for(ASLEEP);
            let start = clock::now();
            self.wake_up.ring();
            while pair.reply().load(Ordering::Acquire) != number {}
            bare.record(clock::now() - start);
        }
        pair.meet();
        vec![Found::new(ours.percentile(0.5), bare.percentile(0.5))]
    }

    fn there(&mut self, pair: &Pair) {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.reply().store(WAKES, Ordering::Relaxed);
        pair.meet();
        for number in 0..WAKES {
            outbox.send(inbox.recv().unwrap()).unwrap();
            self.wake_up.wait();
            // Pairs with the load in the first process.
            pair.reply().store(number, Ordering::Release);
        }
        pair.meet();
    }
}
