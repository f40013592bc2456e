//! A subscriber of several publishers knows the publisher of each record, and receives the messages of
//! a publisher in an earlier generation before its messages in the next generation.

use super::explore;
use crate::error::publisher_id::PublisherId;
use crate::lane::Step;
use crate::lane::lossy::{LossyReader, LossyWriter};
use crate::lane::tenure::{Tenure, new_id};
use crate::lane::tests::loom::{Model, SHORT, check, message, ring_geometry};
use crate::topic::in_order::in_order;
use ::loom::thread;

type Writer = LossyWriter<Model, Model>;
type Reader = LossyReader<Model, Model>;

/// Makes the first publisher take a lane, and returns it with its tenure.
fn take(ring: &Model, head: &Model) -> (Writer, Tenure) {
    let writer = LossyWriter::new(ring.clone(), head.clone(), ring_geometry());
    let tenure = tenure_of(&writer);
    tenure.begin(head);
    (writer, tenure)
}

/// Returns the tenure of the publisher that takes the lane behind the last message.
fn tenure_of(writer: &Writer) -> Tenure {
    let id = |count| new_id(1, 1, count, [7, 8]);
    Tenure::next(writer.head(), id, (writer.position(), writer.sent()), 9)
}

fn send(writer: &mut Writer, number: u64) {
    if let Some(position) = writer.lacks(SHORT) {
        writer.announce(position);
    }
    writer.send(&message(number, SHORT));
}

/// Returns the publisher of the record at the reader's position, which the reader has seen; `None` if
/// the lane does not know it any more.
fn publisher_of(reader: &Reader) -> Option<PublisherId> {
    let (now, before) = Tenure::read(reader.head())?;
    let sends = |tenure: &Tenure| reader.position() >= tenure.beginning;
    let sender = Some(now).filter(sends).or(before.filter(sends));
    sender.map(|tenure| tenure.id)
}

/// A publisher has sent message 0, and the next one takes the lane and sends message 1. Meanwhile a
/// reader that has received this number of messages looks once at the publisher of the next one.
fn attribute(received: u64) {
    explore(1, move || {
        let (ring, head) = (Model::overwritten_ring(ring_geometry()), Model::head());
        let mut reader = LossyReader::new(ring.clone(), head.clone(), ring_geometry());
        let (mut writer, tenure) = take(&ring, &head);
        let first = tenure.id;
        send(&mut writer, 0);
        let mut to = [0; SHORT];
        for _ in 0..received {
            assert_eq!(reader.receive(&mut to), Step::Message(SHORT));
        }

        // The next publisher takes the lane at the tail of the first one.
        let publishing = thread::spawn(move || {
            let tenure = tenure_of(&writer);
            tenure.begin(writer.head());
            send(&mut writer, 1);
            tenure.id
        });
        // In a second thread: the model checker lets no other thread run before the first look of the
        // main thread.
        let reading = thread::spawn(move || {
            let id = reader.has_news().then(|| publisher_of(&reader));
            (reader, id)
        });
        let second = publishing.join().unwrap();
        let (reader, id) = reading.join().unwrap();
        let right = [first, second][received as usize];
        // The head may have changed at that moment.
        assert!(id.flatten().is_none_or(|id| id == right));
        // At rest the lane knows both.
        assert_eq!(publisher_of(&reader), Some(right));
    });
}

// layout: L292 L295
#[test]
fn earlier_record_keeps_its_publisher() {
    attribute(0);
}

// layout: L297
#[test]
fn record_is_attributed_to_its_publisher() {
    attribute(1);
}

// layout: L294 L298
#[test]
fn closed_publisher_leaves_no_unseen_message() {
    explore(3, || {
        let (ring, head) = (Model::overwritten_ring(ring_geometry()), Model::head());
        let mut reader = LossyReader::new(ring.clone(), head.clone(), ring_geometry());
        let (mut writer, tenure) = take(&ring, &head);
        let publishing = thread::spawn(move || {
            send(&mut writer, 0);
            tenure.close(writer.head());
        });
        let reading = thread::spawn(move || {
            if tenure.has_closed(reader.head()) {
                let mut to = [0; SHORT];
                assert_eq!(reader.receive(&mut to), Step::Message(SHORT));
            }
        });
        publishing.join().unwrap();
        reading.join().unwrap();
    });
}

/// A subscriber of two generations.
struct Subscriber {
    earlier: Reader,
    newest: Reader,
    to: [u8; SHORT],
}

impl Subscriber {
    fn receive(&mut self) -> Option<Step> {
        let copy = |reader: &mut Reader, to: &mut [u8]| match reader.receive(to) {
            Step::Nothing => None,
            step => Some(step),
        };
        in_order(
            self,
            |this| copy(&mut this.earlier, &mut this.to),
            |this| this.newest.has_news().then_some(()),
            |this, ()| this.newest.receive(&mut this.to),
        )
    }
}

// layout: L299
#[test]
fn reattaching_publisher_keeps_the_order_of_messages() {
    explore(3, || {
        let lane = || {
            let (ring, head) = (Model::overwritten_ring(ring_geometry()), Model::head());
            let reader = LossyReader::new(ring.clone(), head.clone(), ring_geometry());
            (take(&ring, &head).0, reader)
        };
        let ((mut before, earlier), (mut after, newest)) = (lane(), lane());
        let publishing = thread::spawn(move || {
            send(&mut before, 0);
            send(&mut after, 1);
        });
        let to = [0; SHORT];
        let mut subscriber = Subscriber {
            earlier,
            newest,
            to,
        };
        for number in 0..2 {
            while subscriber.receive().is_none() {
                thread::yield_now();
            }
            check(&subscriber.to, number);
        }
        publishing.join().unwrap();
    });
}
