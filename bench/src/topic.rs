//! A topic, compared with a queue; and the cost of one more subscriber.

use crate::link::{Queues, Spinning, Topics};
use crate::pair::Pair;
use crate::repeat::{Bound, Entry, Found, Place, Row, Scenario};
use crate::traffic::{answer, ask, consume, produce};
use shmkit::{Delivery, Publisher, Receiver, RecvError, Subscriber};
use shmkit_measure::{clock, ends, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EACH: Duration = Duration::from_millis(12);
const CAPACITY: u64 = 1 << 20;
const SIZE: usize = 56;

pub const ENTRIES: [Entry; 2] = [
    Entry {
        name: "topic",
        rows: &[
            row("topic, round trip, 56 B, p50", "queue", (1.5, 1.2)),
            row("topic, stream, 56 B, each", "queue", (1.5, 1.2)),
        ],
        make: |pair| {
            let topic = Publisher::options().capacity(CAPACITY);
            Box::new(OneSubscriber {
                queues: Queues::new(pair, Receiver::options().capacity(CAPACITY)),
                topics: Topics::new(pair, topic.delivery(Delivery::Lossless)),
            })
        },
    },
    Entry {
        name: "subscribers",
        rows: &[row(
            "topic, 3 slow subscribers, a send",
            "one slow subscriber",
            (1.25, 1.05),
        )],
        make: |pair| {
            let name = pair.name("server");
            let publisher = pair.is_here().then(|| {
                let options = Publisher::options().prefault(true);
                options.create(name.as_str()).unwrap()
            });
            pair.meet();
            Box::new(Slow { name, publisher })
        },
    },
];

const fn row(what: &'static str, against: &'static str, bound: (f64, f64)) -> Row {
    Row {
        what,
        against,
        unit: "ns",
        bound: Bound::AtMost(bound.0, bound.1),
        place: Place::Near,
    }
}

struct OneSubscriber {
    queues: Queues,
    topics: Topics,
}

impl Scenario for OneSubscriber {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let OneSubscriber { queues, topics } = self;
        pair.meet();
        let inbox = &mut Spinning(&mut topics.inbox);
        let topic = ask(&mut topics.outbox, inbox, SIZE, EACH);
        let inbox = &mut Spinning(&mut queues.inbox);
        let queue = ask(&mut queues.outbox, inbox, SIZE, EACH);
        let trips = Found::new(topic.percentile(0.5), queue.percentile(0.5));
        pair.meet();
        produce(&mut topics.outbox, SIZE, EACH);
        let topic = pair.told();
        produce(&mut queues.outbox, SIZE, EACH);
        let queue = pair.told();
        vec![trips, Found::new(1e3 / topic, 1e3 / queue)]
    }

    fn there(&mut self, pair: &Pair) {
        let OneSubscriber { queues, topics } = self;
        pair.meet();
        answer(&mut topics.outbox, &mut Spinning(&mut topics.inbox), SIZE);
        answer(&mut queues.outbox, &mut Spinning(&mut queues.inbox), SIZE);
        pair.meet();
        pair.tell(consume(&mut Spinning(&mut topics.inbox), SIZE, ends));
        pair.tell(consume(&mut Spinning(&mut queues.inbox), SIZE, ends));
    }
}

/// A publisher that never waits, and subscribers that mostly sleep.
struct Slow {
    name: String,
    publisher: Option<Publisher>,
}

impl Scenario for Slow {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let publisher = self.publisher.as_mut().unwrap();
        let mut phase = || {
            pair.meet();
            let each = publish(publisher, 2 * EACH);
            pair.rise();
            each
        };
        let (one, three) = (phase(), phase());
        pair.meet();
        vec![Found::new(three, one)]
    }

    fn there(&mut self, pair: &Pair) {
        let stop = AtomicBool::new(false);
        let name = self.name.as_str();

        std::thread::scope(|scope| {
            let join = || {
                let subscriber = Subscriber::open(name).unwrap();
                scope.spawn(|| doze(subscriber, &stop));
            };
            join();
            pair.meet();
            pair.rest();
            join();
            join();
            pair.meet();
            pair.rest();
            stop.store(true, Ordering::Relaxed);
        });
        pair.meet();
    }
}

/// Sends messages for `time`, and returns the nanoseconds for one message.
fn publish(publisher: &mut Publisher, time: Duration) -> f64 {
    let start = clock::now();
    let end = start + clock::ticks(time);
    let (mut now, mut count) = (start, 0u64);
    while now < end {
        for _ in 0..64 {
            publisher.send(&[0; SIZE]).unwrap();
        }
        count += 64;
        now = clock::now();
    }
    clock::ns(now - start) / count as f64
}

fn doze(mut subscriber: Subscriber, stop: &AtomicBool) {
    assert!(pin(1), "pinned");
    while !stop.load(Ordering::Relaxed) {
        match subscriber.try_recv() {
            Ok(_) | Err(RecvError::Empty | RecvError::Lagged(_)) => {}
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
