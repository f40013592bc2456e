//! What a receiver and its senders do at moments that no program can choose.

use super::sender::Sender;
use crate::access::Access;
use crate::format::layout::{control, delivery};
use crate::lane::Step;
use crate::name::Name;
use crate::segment::fan_in::Intake;
use crate::segment::{Measures, Owned};

/// A queue of one sender.
fn queue(name: &Name) -> (Owned, Intake) {
    let measures = Measures {
        kind: control::kind::QUEUE,
        lanes: 1,
        shape: Measures::shape_for(4096, None, name.as_str()).unwrap(),
        delivery: delivery::LOSSLESS,
        in_flight: 0,
        grid: None,
    };
    let (mut segment, seat) = Owned::create(name, measures, &Access::SameUser, &[]).unwrap();
    let intake = Intake::new(&segment, seat, false).unwrap();
    segment.publish(&mut []);
    (segment, intake)
}

// layout: L151
#[test]
fn message_of_the_next_sender_in_a_slot_is_not_that_of_the_last() {
    let name = format!("shmkit-test-intake-{}", std::process::id());
    let (segment, mut intake) = queue(&Name::new(&name).unwrap());
    let first = Sender::open(&*name).unwrap();
    assert_eq!(intake.find(), Step::Nothing);
    let first_tenancy = segment.roster().tenancy(0);

    // Both behind the look of a search that goes on below: who is there.
    drop(first);
    let mut second = Sender::open(&*name).unwrap();
    second.send(b"second").unwrap();

    assert_eq!(intake.look_at(0), Step::Message(6));
    let sent_by = intake.sender();
    assert_eq!(sent_by, Some(segment.roster().tenancy(0)));
    assert_ne!(sent_by, Some(first_tenancy));
}
