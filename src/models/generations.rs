//! A receiver gets the messages of a sender in an earlier generation before the messages of the
//! same sender in the next generation.

use super::explore;
use crate::lane::Step;
use crate::lane::lossless::{LosslessReader, LosslessWriter};
use crate::lane::tests::loom::{Model, SHORT, check, message, ring_geometry};
use crate::queue::in_order::in_order;
use ::loom::thread;

type Reader = LosslessReader<Model, Model>;
type Writer = LosslessWriter<Model, Model, Model>;

/// Makes the lane of one sender in one generation.
fn lane() -> (Writer, Reader) {
    let (ring, head, cursor) = (Model::kept_ring(), Model::head(), Model::cursor());
    let reader = LosslessReader::new(ring.clone(), cursor.clone(), ring_geometry());
    let writer = LosslessWriter::resume(ring, head, cursor, ring_geometry());
    (writer.unwrap(), reader)
}

/// A receiver of two generations. It first finds a message, and then takes it.
struct Receiver {
    earlier: Reader,
    newest: Reader,
    is_earlier: bool,
}

impl Receiver {
    fn find(&mut self) -> Step {
        let earlier = |this: &mut Receiver| {
            let step = this.earlier.find();
            this.is_earlier = step != Step::Nothing;
            this.is_earlier.then_some(step)
        };
        in_order(self, earlier, |this| this.newest.find())
    }

    /// Takes the next message, which must have this number.
    fn receive(&mut self, number: u64) {
        while self.find() != Step::Message(SHORT) {
            thread::yield_now();
        }
        let lane = if self.is_earlier {
            &mut self.earlier
        } else {
            &mut self.newest
        };
        let mut text = [0; SHORT];
        lane.copy(0, &mut text);
        check(&text, number);
        lane.pass();
    }
}

// layout: L161
#[test]
fn reattaching_sender_keeps_the_order_of_messages() {
    explore(3, || {
        let ((mut before, earlier), (mut after, newest)) = (lane(), lane());

        let sending = thread::spawn(move || {
            assert!(before.try_send(&message(0, SHORT)));
            assert!(after.try_send(&message(1, SHORT)));
        });

        let receiving = thread::spawn(move || {
            let mut receiver = Receiver {
                earlier,
                newest,
                is_earlier: false,
            };
            receiver.receive(0);
            receiver.receive(1);
        });

        sending.join().unwrap();
        receiving.join().unwrap();
    });
}
