//! Tests of the receiver and its senders at moments that no program can choose.

use super::sender::Sender;
use crate::access::Access;
use crate::lane::Step;
use crate::name::Name;
use crate::object::section::Section;
use crate::segment::fan_in::FanIn;
use crate::segment::participant::Kernel;
use crate::segment::roster::Eviction;
use crate::segment::{Geometry, Owned};

/// Creates a queue with one sender.
fn queue(name: &Name) -> (Owned, FanIn) {
    let ring = Geometry::ring(4096, None, name.as_str()).unwrap();
    let geometry = Geometry::Queue { senders: 1, ring };
    let (mut segment, participant) = Owned::create(name, geometry, &Access::SameUser, &[]).unwrap();
    let fan_in = FanIn::new(&segment, ring, participant, false).unwrap();
    segment.publish(&mut []);
    (segment, fan_in)
}

// layout: L151
#[test]
fn reused_slot_attributes_message_to_new_sender() {
    let name = format!("shmkit-test-fan_in-{}", std::process::id());
    let (segment, mut fan_in) = queue(&Name::new(&name).unwrap());
    let first = Sender::open(&*name).unwrap();
    assert_eq!(fan_in.find(), Step::Nothing);
    let first_epoch = segment.roster().slot_epoch(0);

    // Both steps come after a search has looked at the roster. The search continues below.
    drop(first);
    let mut second = Sender::open(&*name).unwrap();
    second.send(b"second").unwrap();

    assert_eq!(fan_in.search(), Step::Message(6));
    let sent_by = fan_in.sender();
    assert_eq!(sent_by, Some(segment.roster().slot_epoch(0)));
    assert_ne!(sent_by, Some(first_epoch));
}

/// A participant that an owner has just watched leaves, and another one of its process, which has
/// the same process word, gets its slot. The owner takes neither of them for dead.
// layout: L106 L238
#[test]
fn living_successor_of_one_process_survives() {
    let text = format!("shmkit-test-successor-{}", std::process::id());
    let name = Name::new(&text).unwrap();
    let (segment, _fan_in) = queue(&name);
    let section = Section::open(&*format!("{text}~roster-00000001")).unwrap();
    let kernel = Kernel::new(&name, &section, segment.roster(), &Access::SameUser).unwrap();
    let _sender = Sender::open(&*text).unwrap();

    let word = segment.roster().process_word(0);
    assert_ne!(word, 0);
    assert_eq!(kernel.evict(0, word), Eviction::Gone);
    assert_eq!(segment.roster().process_word(0), word);
}
