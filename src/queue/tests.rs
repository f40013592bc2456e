//! Tests of the receiver and its senders at moments that no program can choose.

use super::sender::Sender;
use crate::access::Access;
use crate::error::{Error, ErrorKind, Operation};
use crate::lane::Step;
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::object::section::Section;
use crate::os::{Occupant, ProcessIdentity};
use crate::segment::fan_in::FanIn;
use crate::segment::participant::Kernel;
use crate::segment::roster::Eviction;
use crate::segment::sources::{KnownNumber, SourceWords};
use crate::segment::{Found, Geometry, Owned};
use crate::wait::source::Signals;
use std::task::Waker;

/// Creates a queue for one sender.
fn queue(name: &Name) -> (Owned, FanIn) {
    queue_of(name, 1)
}

/// Creates a queue for this number of senders.
fn queue_of(name: &Name, senders: usize) -> (Owned, FanIn) {
    let ring = RingGeometry::new(4096, 1016).unwrap();
    let geometry = Geometry::Queue { senders, ring };
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

/// A wait set asks a receiver for news, registers it, and asks once more. Both answers are about every
/// lane when the receiver has missed the news of a lane, so the wait set does not go round in a circle.
// layout: L256
#[test]
fn missed_news_ends_a_registered_wait() {
    const SENDERS: usize = 7;
    let text = format!("shmkit-test-missed-{}", std::process::id());
    let (segment, mut fan_in) = queue_of(&Name::new(&text).unwrap(), SENDERS);
    let mut senders = [(); SENDERS].map(|()| Sender::open(&*text).unwrap());
    for _ in 0..20_000 {
        assert_eq!(fan_in.find(), Step::Nothing);
    }
    // The receiver polls few of the lanes now. It misses the news of this lane, as of a sender that
    // was killed before it told of its message.
    senders[0].send(b"missed").unwrap();
    assert_eq!(segment.roster().take_news().last(), Some(0));
    assert!(!fan_in.has_news());

    let mut signals = Signals::new(Waker::noop().clone());
    fan_in.register(&mut signals).unwrap();
    assert!(fan_in.has_news());
    fan_in.deregister();
    assert!(fan_in.has_news());
    assert_eq!(fan_in.find(), Step::Message(6));
}

/// A sender that gets no memory for its lane gives its slot back, and leaves no trace for the receiver.
// layout: L259
#[test]
fn failed_join_gives_the_slot_back() {
    let text = format!("shmkit-test-failed-{}", std::process::id());
    let (segment, mut fan_in) = queue(&Name::new(&text).unwrap());
    let (roster, before) = (segment.roster(), segment.roster().slot_epoch(0));
    let me = Occupant::of(&ProcessIdentity::current().unwrap());
    let refuse = |_| {
        let (kind, meaning) = (ErrorKind::NoSpace, "the file system is full");
        Err(Error::new(kind, Operation::Commit, &"a lane", meaning))
    };
    let claimed = roster.claim(me, 0..1, |_, _| Ok(Some(())), refuse);
    assert_eq!(claimed.unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!((roster.process_word(0), roster.slot_epoch(0)), (0, before));
    assert_eq!(fan_in.find(), Step::Nothing);
    assert!(fan_in.take_failure().is_none() && fan_in.is_done());
}

/// A sender sends its first number after the next receiver has reserved the slots.
// layout: L317 L321
#[test]
fn late_source_number_gets_a_slot() {
    let text = format!("shmkit-test-late-{}", std::process::id());
    let (segment, _fan_in) = queue_of(&Name::new(&text).unwrap(), 2);
    let mut sender = Sender::options().source(7).open(&*text).unwrap();
    let (next, _participant) = segment.next(segment.geometry, &[]).unwrap();
    next.reserve_sources(&segment).unwrap();
    assert!(next.roster().reserved_for(7, 0..2).is_none());
    sender.send_numbered(5, b"late").unwrap();
    drop(sender);

    // Without a free slot, the number stays in the earlier generation.
    let me = Occupant::of(&ProcessIdentity::current().unwrap());
    let take = || next.notifier().system().claim(me, 0..2, None, |_| Ok(()));
    let _first = take().unwrap();
    {
        let (slot, _life) = take().unwrap();
        assert!(!next.carry_numbers(&segment));
        next.roster().leave(slot, me.word);
    }
    assert!(next.carry_numbers(&segment));
    let slot = next.roster().reserved_for(7, 0..2).unwrap();
    let inherited = || SourceWords::read(next.roster().words(), slot).inherited();
    let known = |generation, number| {
        let is_original = false;
        Some(KnownNumber {
            generation,
            number,
            is_original,
        })
    };
    assert_eq!(inherited(), known(1, 5));
    assert_eq!(next.roster().process_word(slot), 0);

    // A number of an earlier generation replaces none of a later generation.
    next.roster().set_inherited(slot, 7, known(3, 6));
    assert!(next.carry_numbers(&segment));
    assert_eq!(inherited(), known(3, 6));
    next.roster().set_inherited(slot, 7, None);
    assert!(next.carry_numbers(&segment));
    assert_eq!(inherited(), known(1, 5));
}

/// A sender looks for the last number in a generation that is not in use any more. The receiver has
/// stored the number in the next generation, and has closed the one before.
// layout: L322
#[test]
fn number_of_followed_generation_is_refused() {
    let text = format!("shmkit-test-followed-{}", std::process::id());
    let name = Name::new(&text).unwrap();
    let (mut segment, _fan_in) = queue_of(&name, 2);
    let found = Found::open(&name, None).unwrap();
    let participant = found.take_sender_slot(&found.roster().unwrap(), Some(7));
    let participant = participant.unwrap();
    let last = || found.last_number(7, participant.roster(), participant.slot());
    assert_eq!(last().unwrap(), None);
    let (mut next, _participant) = segment.next(segment.geometry, &[]).unwrap();
    next.follow(&mut segment);
    assert_eq!(last().unwrap_err().kind(), ErrorKind::Busy);
}
