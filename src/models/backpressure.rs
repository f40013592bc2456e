//! A lossless publisher overwrites no message that is unread by a subscriber for which it waits.
//!
//! The ring holds eight messages. A publisher announces one message more than it writes. So if the
//! ring holds seven messages, a subscriber that has not read the first message blocks the eighth
//! message.

use super::{Kernel, Memory, WORDS, claim, explore};
use crate::format::layout::OWNER;
use crate::lane::Step;
use crate::lane::lossy::{LossyReader, LossyWriter};
use crate::lane::tests::loom::{LONG, Model, SHORT, check, message, ring_geometry};
use crate::segment::notifier::Sleeper;
use crate::segment::roster::Roster;
use crate::topic::backpressure::{announce, drop_late, is_free, is_waited_for, join};
use ::loom::thread;

#[derive(Clone)]
struct Topic {
    ring: Model,
    head: Model,
    memory: Memory,
    kernel: Kernel,
}

impl Topic {
    /// Makes a topic with seven messages, and a slot for a subscriber that has not joined yet.
    fn new(ring: Model) -> (Topic, Publisher) {
        let memory = Memory::roster();
        let topic = Topic {
            ring,
            head: Model::head(),
            kernel: Kernel::new(&memory),
            memory,
        };

        let mut publisher = Publisher {
            lane: LossyWriter::new(topic.ring.clone(), topic.head.clone(), ring_geometry()),
            roster: Roster::new(topic.memory.clone(), 1),
        };

        for number in 0..7 {
            assert!(publisher.try_send(number));
        }

        claim(&publisher.roster, WORDS[1], 0).unwrap();
        // Stores the ROOM that the last subscriber in the slot left behind.
        publisher.roster.set_room(0, 0, ring_geometry().bytes());
        (topic, publisher)
    }

    fn subscriber(&self) -> Subscriber {
        Subscriber {
            lane: LossyReader::new(self.ring.clone(), self.head.clone(), ring_geometry()),
            roster: Roster::new(self.memory.clone(), 1),
        }
    }
}

struct Publisher {
    lane: LossyWriter<Model, Model>,
    roster: Roster<Memory>,
}

impl Publisher {
    /// Returns the lowest position that the publisher must not overwrite: the ROOM of the
    /// subscriber if the publisher waits for it, and otherwise `position`.
    fn lowest(roster: &Roster<Memory>, position: u64) -> u64 {
        if is_waited_for(roster, 0) {
            roster.room(0, 0).min(position)
        } else {
            position
        }
    }

    fn try_send(&mut self, number: u64) -> bool {
        if let Some(position) = self.lane.lacks(SHORT) {
            let lowest = || Publisher::lowest(&self.roster, position);
            if !announce(&mut self.lane, position, lowest) {
                return false;
            }
        }
        self.lane.send(&message(number, SHORT));
        true
    }

    fn send(&mut self, number: u64) {
        while !self.try_send(number) {
            thread::yield_now();
        }
    }
}

struct Subscriber {
    lane: LossyReader<Model, Model>,
    roster: Roster<Memory>,
}

impl Subscriber {
    fn free(&self) {
        self.roster.set_room(0, 0, self.lane.position());
    }

    fn join(&mut self) -> bool {
        self.free();
        join(&self.roster, 0, [&mut self.lane])
    }

    /// Receives this message, and returns `false` if the publisher has dropped this subscriber.
    fn receive(&mut self, number: u64) -> bool {
        let mut to = [0; LONG];
        loop {
            match self.lane.receive(&mut to) {
                Step::Nothing => thread::yield_now(),
                Step::Overtaken if is_waited_for(&self.roster, 0) => thread::yield_now(),
                Step::Overtaken => return false,
                step => {
                    assert_eq!(step, Step::Message(SHORT));
                    check(&to[..SHORT], number);
                    return true;
                }
            }
        }
    }
}

// layout: L126 L133
#[test]
fn joining_subscriber_is_waited_for_or_refused() {
    explore(3, || {
        // The model checker reports a message that is overwritten while it is read.
        let (topic, mut publisher) = Topic::new(Model::kept_ring());
        let mut subscriber = topic.subscriber();

        let joining = thread::spawn(move || {
            if subscriber.join() {
                for number in 0..2 {
                    assert!(subscriber.receive(number), "the subscriber is overtaken");
                    subscriber.free();
                }
                subscriber.roster.leave(0, WORDS[1]);
            }
        });

        // In a second thread: the model checker lets no other thread run before the first look of
        // the main thread.
        let publishing = thread::spawn(move || {
            for number in 7..9 {
                publisher.send(number);
            }
        });

        joining.join().unwrap();
        publishing.join().unwrap();
    });
}

/// The publisher drops a slow subscriber before it overwrites the subscriber's messages.
// layout: L126
#[test]
fn dropped_subscriber_receives_no_torn_message() {
    explore(3, || {
        let (topic, mut publisher) = Topic::new(Model::overwritten_ring(ring_geometry()));
        let mut subscriber = topic.subscriber();
        assert!(subscriber.join());

        let reading = thread::spawn(move || {
            if !subscriber.receive(0) {
                assert!(matches!(subscriber.lane.lag(), Step::Lagged(1..)));
            }
        });

        let publishing = thread::spawn(move || {
            if !publisher.try_send(7) {
                drop_late(&publisher.roster, 0);
                assert!(
                    publisher.try_send(7),
                    "the publisher waits for a dropped subscriber"
                );
            }
        });

        reading.join().unwrap();
        publishing.join().unwrap();
    });
}

#[test]
fn subscriber_that_frees_room_wakes_publisher() {
    explore(3, || {
        let (topic, mut publisher) = Topic::new(Model::overwritten_ring(ring_geometry()));
        let mut subscriber = topic.subscriber();
        assert!(subscriber.join());

        let mut waking = topic.kernel.notifier();
        let reading = thread::spawn(move || {
            assert!(subscriber.receive(0));
            subscriber.free();
            waking.wake(crate::segment::roster::WakeTarget::Owner);
        });

        let notifier = topic.kernel.notifier();
        let mut sleeper = Sleeper::new(notifier.roster(), OWNER, WORDS[0]);
        while !publisher.try_send(7) {
            let position = publisher.lane.lacks(SHORT).unwrap();
            let (roster, bytes) = (&publisher.roster, ring_geometry().bytes());
            let ready = || is_free(Publisher::lowest(roster, position), bytes, position);
            sleeper.park(&notifier, ready, &[], None).unwrap();
            sleeper.deregister(&notifier);
        }

        reading.join().unwrap();
    });
}
