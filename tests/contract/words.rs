//! Tests of the words in the sections while endpoints use them, against docs/layout.md.

use crate::common::start;
use crate::messages::{MOMENT, why};
use shmkit::{
    Client, Delivery, Event, Mapping, Publisher, ReadWrite, Reader, Receiver, RecvError, Section,
    Sender, Server, Subscriber, Writer,
};
use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

const RING: usize = 4096;
const LANE: usize = 512 + RING;
/// The number of the owner in the names of its objects.
const OWNER: usize = 1023;

/// Offsets in the roster, and in a slot.
const ASLEEP: usize = 0;
const PARTICIPANT_CHANGES: usize = 128;
const OWNER_EPOCH: usize = 260;
const OWNER_PARK_WORD: usize = 264;
const SLOTS_AT: usize = 4096;
const SLOT: usize = 512;
const PROCESS: usize = 0;
const STATE: usize = 8;
const SLOT_EPOCH: usize = 16;
const PARK_WORD: usize = 40;
const CURSOR: usize = 128;

fn open(name: &str, section: &str) -> Mapping<ReadWrite> {
    let section = match section {
        "root" => name.to_string(),
        beside => format!("{name}~{beside}-00000001"),
    };
    Section::open_rw(section).unwrap().map_rw(..).unwrap()
}

/// Reads a word of a slot.
fn of_slot<T: shmkit::zerocopy::FromBytes>(
    roster: &Mapping<ReadWrite>,
    slot: usize,
    at: usize,
) -> T {
    roster.read_value(SLOTS_AT + SLOT * slot + at).unwrap()
}

/// Returns the bytes of a section that have a name in docs/layout.md. The segment has `lanes`
/// lanes, or two values if `lanes` is 0.
fn named(section: &str, lanes: usize) -> Vec<Range<usize>> {
    let all = |count: usize, at: usize, stride: usize, of: &[Range<usize>]| {
        let each = (0..count).map(move |n| at + stride * n);
        let ranges = each.flat_map(|at| of.iter().map(move |one| at + one.start..at + one.end));
        ranges.collect::<Vec<_>>()
    };
    let mut ranges = match section {
        "root" => vec![0..24, 24..36],
        "control" => vec![0..72, 76..80, 128..132, 256..268, 512..640, 1024..4096],
        "roster" => vec![0..8, 128..132, 256..268, 384..392, 512..776, 896..1024],
        // The rest belongs to the values and their names.
        _ if lanes == 0 => vec![0..8, 128..4224, 8192..usize::MAX],
        _ => Vec::new(),
    };
    // The roster of a queue has a slot for each lane.
    let slots = match lanes {
        2 => 2,
        _ => 63,
    };
    ranges.extend(match section {
        "control" => all(lanes, 4096, 256, &[0..8, 128..160]),
        "roster" => all(
            slots,
            SLOTS_AT,
            SLOT,
            &[0..44, 48..56, 64..120, 128..136, 256..288],
        ),
        "lanes" => all(lanes, 0, LANE, &[0..8, 128..136, 256..512, 512..LANE]),
        _ => Vec::new(),
    });
    ranges
}

/// Returns a view of a section, and the offsets of the bytes that have no name.
fn nameless(name: &str, section: &str, lanes: usize) -> (Mapping<ReadWrite>, Vec<usize>) {
    let view = open(name, section);
    let named = named(section, lanes);
    let is_named = |at: &usize| named.iter().any(|range| range.contains(at));
    let all = (0..view.len()).filter(|at| !is_named(at)).collect();
    (view, all)
}

const SECTIONS: [&str; 4] = ["root", "control", "roster", "lanes"];

/// Returns the constant bytes of control: all but END and the cursors.
fn constants(name: &str) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    open(name, "control").read(0, &mut bytes).unwrap();
    // END and WATCHED.
    bytes[128..132].fill(0);
    bytes[512..640].fill(0);
    bytes
}

/// Uses a segment, fills all bytes that have no name, and uses the segment again.
fn ignores_the_nameless(name: &str, lanes: usize, mut work: impl FnMut()) {
    let before = constants(name);
    work();
    assert_eq!(constants(name), before, "control is constant");
    for section in SECTIONS {
        let (view, all) = nameless(name, section, lanes);
        for at in all {
            let byte: u8 = view.read_value(at).unwrap();
            assert_eq!(byte, 0, "{section} {at}");
            view.write_value(at, &0xff_u8).unwrap();
        }
    }
    work();
}

// layout: L003 L026
#[test]
fn unnamed_bytes_are_zero_and_ignored() {
    let (_test, name) = start("nameless");
    let options = Receiver::options().capacity(RING as u64).senders(2);
    let mut receiver = options.create(&*name).unwrap();
    ignores_the_nameless(&name, 2, || {
        let mut sender = Sender::open(&*name).unwrap();
        for n in 0..200u8 {
            sender.send(&[n; 50]).unwrap();
            assert_eq!(receiver.recv().unwrap(), [n; 50]);
        }
        drop(sender);
        assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
    });
    drop(receiver);
    let options = Publisher::options().capacity(RING as u64);
    let options = options.delivery(Delivery::Lossless);
    let mut publisher = options.create(&*name).unwrap();
    ignores_the_nameless(&name, 1, || {
        publisher.send(b"first").unwrap();
        let mut subscriber = Subscriber::open(&*name).unwrap();
        assert_eq!(subscriber.recv().unwrap(), b"first");
        for n in 0..200u8 {
            publisher.send(&[n; 50]).unwrap();
            assert_eq!(subscriber.recv().unwrap(), [n; 50]);
        }
    });
    drop(publisher);
    let mut writer = Writer::options().names(["a", "b"]).create(&*name).unwrap();
    ignores_the_nameless(&name, 0, || {
        let mut reader = Reader::open(&*name).unwrap();
        for n in 0..200u8 {
            writer.set_at(usize::from(n % 2), &[n]).unwrap();
            assert_eq!(reader.wait_change().unwrap(), usize::from(n % 2));
            assert_eq!(reader.get_at(usize::from(n % 2)).unwrap(), [n]);
        }
    });
    drop(writer);
    let options = Server::options().max_message(100).in_flight(2).clients(1);
    let mut server = options.create(&*name).unwrap();
    ignores_the_nameless(&name, 2, || {
        let mut client = Client::open(&*name).unwrap();
        for n in 0..200u8 {
            let call = client.send(&[n; 50]).unwrap();
            server.recv().unwrap().respond(&[n]).unwrap();
            assert_eq!(client.recv(&call).unwrap(), [n]);
        }
    });
}

fn states(name: &str, slots: [usize; 2]) -> [u32; 2] {
    let roster = open(name, "roster");
    slots.map(|slot| of_slot(&roster, slot, STATE))
}

// layout: L050 L052
#[test]
fn slot_state_shows_active_or_passive_participant() {
    let (_test, name) = start("states");
    let receiver = Receiver::create(&*name).unwrap();
    let _senders = [0, 1].map(|_| Sender::open(&*name).unwrap());
    assert_eq!(states(&name, [0, 1]), [1, 1]);
    let roster = open(&name, "roster");
    let who = [0, 1, 2].map(|slot| of_slot::<u64>(&roster, slot, PROCESS));
    assert!(who[0] != 0 && who[0] == who[1] && who[2] == 0, "{who:?}");
    assert_eq!(who[0] >> 32, u64::from(std::process::id()));
    drop((receiver, _senders, roster));
    for (delivery, state) in [(Delivery::Lossy, 0), (Delivery::Lossless, 1)] {
        let options = Publisher::options().delivery(delivery);
        let _publisher = options.create(&*name).unwrap();
        let _subscriber = Subscriber::open(&*name).unwrap();
        assert_eq!(states(&name, [0, 1]), [state, 0], "{delivery:?}");
    }
    let writer = Writer::create(&*name).unwrap();
    let reader = Reader::open(&*name).unwrap();
    assert_eq!(states(&name, [0, 1]), [0, 0]);
    drop((writer, reader));
    let server = Server::create(&*name).unwrap();
    let client = Client::open(&*name).unwrap();
    assert_eq!(states(&name, [0, 1]), [1, 0]);
    drop((server, client));
}

/// Returns how many messages were sent in each lane.
fn sent(name: &str, lanes: usize) -> Vec<u64> {
    let view = open(name, "lanes");
    let of = |lane: usize| view.read_value(LANE * lane + 128).unwrap();
    (0..lanes).map(of).collect()
}

// layout: L002 L054 L057
#[test]
fn each_writer_has_its_lane() {
    let (_test, name) = start("lanes");
    let options = Receiver::options().capacity(RING as u64).senders(3);
    let mut receiver = options.create(&*name).unwrap();
    let mut senders = [0, 1, 2].map(|_| Sender::open(&*name).unwrap());
    senders[1].send(b"one").unwrap();
    senders[2].send_all([b"two", b"two"]).unwrap();
    assert_eq!(sent(&name, 3), [0, 1, 2]);
    assert_eq!(receiver.drain(|_| ()).unwrap(), 3);
    drop((receiver, senders));
    let options = Server::options().max_message(100).in_flight(2).clients(2);
    let mut server = options.create(&*name).unwrap();
    let mut clients = [0, 1].map(|_| Client::open(&*name).unwrap());
    let _first = clients[0].send(b"first").unwrap();
    let _second = clients[1].send(b"second").unwrap();
    let mut kept = Vec::new();
    for _ in 0..2 {
        let request = server.recv().unwrap();
        match request.bytes() {
            b"second" => request.respond(b"2").unwrap(),
            _ => kept.push(request.defer()),
        }
    }
    // Requests in the first two lanes, responses in the next two.
    assert_eq!(sent(&name, 4), [1, 1, 0, 1]);
    drop(kept);
    assert_eq!(sent(&name, 4), [1, 1, 1, 1]);
}

/// The place where a participant of this process, or the owner, sleeps.
struct Parker {
    name: String,
    slot: Option<usize>,
}

impl Parker {
    fn of(name: &str, slot: Option<usize>) -> Parker {
        let name = name.to_string();
        Parker { name, slot }
    }

    /// Returns the name of the wake event (Windows).
    fn event(&self) -> String {
        let roster = open(&self.name, "roster");
        let (slot, slot_epoch): (usize, u32) = match self.slot {
            Some(slot) => (slot, of_slot(&roster, slot, SLOT_EPOCH)),
            None => (OWNER, roster.read_value(OWNER_EPOCH).unwrap()),
        };
        let (name, pid) = (&self.name, std::process::id());
        format!("{name}~wake-{slot:03x}-{pid:x}-{slot_epoch:x}")
    }

    /// Returns the offset of the park word (Linux).
    fn park_word(&self) -> usize {
        match self.slot {
            Some(slot) => SLOTS_AT + SLOT * slot + PARK_WORD,
            None => OWNER_PARK_WORD,
        }
    }

    fn wake(&self) {
        if cfg!(windows) {
            let event = Event::open_rw(self.event()).unwrap();
            return event.set().unwrap();
        }
        let roster = open(&self.name, "roster");
        let word = roster.atomic_u32(self.park_word()).unwrap();
        word.store(1, SeqCst);
    }

    fn is_woken(&self) -> bool {
        if cfg!(windows) {
            let event = Event::open(self.event()).unwrap();
            return event.is_set() == Some(true);
        }
        let roster = open(&self.name, "roster");
        roster.read_value::<u32>(self.park_word()).unwrap() == 1
    }
}

// layout: L012 L085 L086
#[test]
#[cfg(windows)]
fn wake_events_exist_before_first_sleep() {
    use shmkit::{ErrorKind::AlreadyExists, Reset};
    let (_test, name) = start("events");
    let is_new = |slot| {
        let event = Parker::of(&name, slot).event();
        let there = Event::open(&*event).unwrap();
        assert_eq!(there.reset_mode(), Some(Reset::Auto));
        assert_eq!(there.is_set(), Some(false));
        let again = Event::create_new(&*event, Reset::Auto);
        assert_eq!(again.err().unwrap().kind(), AlreadyExists);
    };
    let receiver = Receiver::create(&*name).unwrap();
    is_new(None);
    let senders = [0, 1].map(|_| Sender::open(&*name).unwrap());
    is_new(Some(0));
    is_new(Some(1));
    drop((receiver, senders));
    let publisher = Publisher::create(&*name).unwrap();
    let subscriber = Subscriber::open(&*name).unwrap();
    is_new(None);
    is_new(Some(0));
    drop((publisher, subscriber));
}

// layout: L069 L092 L206
#[test]
fn sent_forgotten_batch_wakes_receiver() {
    let (_test, name) = start("words-batch");
    let _receiver = Receiver::create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    let mut batch = sender.batch();
    batch.send(b"held back").unwrap();
    std::mem::forget(batch);

    // Marks the receiver as asleep.
    open(&name, "roster")
        .write(ASLEEP, &(1_u64 << 63).to_le_bytes())
        .unwrap();
    let parker = Parker::of(&name, None);
    assert!(!parker.is_woken());
    assert!(!sender.wait_for_receiver(Duration::ZERO).unwrap());
    assert!(parker.is_woken());
}

// layout: L089 L207
#[test]
fn spurious_wake_signal_yields_no_message() {
    let (_test, name) = start("reasons");
    let mut receiver = Receiver::create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    let parker = Parker::of(&name, None);
    for n in 0..20u8 {
        parker.wake();
        assert_eq!(why(receiver.recv_timeout(MOMENT)), "Timeout");
        parker.wake();
        sender.send(&[n]).unwrap();
        assert_eq!(receiver.recv().unwrap(), [n]);
    }
}

// layout: L121
#[test]
fn damage_in_one_lane_stops_no_other() {
    let (_test, name) = start("damage");
    let options = Receiver::options().capacity(RING as u64).senders(3);
    let mut receiver = options.create(&*name).unwrap();
    let mut senders = [0, 1].map(|_| Sender::open(&*name).unwrap());
    senders[0].send(b"spoilt").unwrap();
    senders[0].send(b"behind it").unwrap();
    senders[1].send(b"two").unwrap();
    // The commit word of the first record gets a kind that does not exist.
    open(&name, "lanes").write_value(512, &3_u32).unwrap();
    let mut corrupt = 0;
    assert_eq!(next(&mut receiver, &mut corrupt), b"two");
    // The damage is reported once, at the latest when the other lanes are empty.
    while why(receiver.try_recv()) == "Corrupt" {
        corrupt += 1;
    }
    assert_eq!(corrupt, 1);
    for _ in 0..3 {
        senders[1].send(b"more").unwrap();
        assert_eq!(next(&mut receiver, &mut corrupt), b"more");
        assert_eq!(why(receiver.try_recv()), "Empty");
    }
    assert_eq!(corrupt, 1);
    // The damage is reported again when a sender has joined. The record behind the damage is never
    // received.
    let mut third = Sender::open(&*name).unwrap();
    third.send(b"third").unwrap();
    assert_eq!(next(&mut receiver, &mut corrupt), b"third");
    drop((senders, third));
    loop {
        match receiver.recv() {
            Ok(bytes) => panic!("{bytes:?}"),
            Err(RecvError::Corrupt) => corrupt += 1,
            Err(end) => break assert_eq!(format!("{end:?}"), "Disconnected(Closed)"),
        }
    }
    assert!(corrupt >= 2);
}

/// PARTICIPANT_CHANGES may have returned to the value that the owner knows.
// layout: L053 L116
#[test]
fn owner_notices_closed_sender_despite_unchanged_count() {
    let (_test, name) = start("members");
    let mut receiver = Receiver::create(&*name).unwrap();
    let roster = open(&name, "roster");
    let members = || roster.read_value::<u32>(PARTICIPANT_CHANGES).unwrap();
    for n in 0..3u8 {
        let mut sender = Sender::open(&*name).unwrap();
        sender.send(&[n]).unwrap();
        assert_eq!(receiver.recv().unwrap(), [n]);
        let known = members();
        drop(sender);
        assert_eq!(members(), known.wrapping_add(1 << 16));
        roster.write_value(PARTICIPANT_CHANGES, &known).unwrap();
        assert_eq!(why(receiver.recv()), "Disconnected(Closed)");
    }
}

/// The client never stores that it has read its responses.
// layout: L153
#[test]
fn response_to_full_lane_fails_without_blocking() {
    let (_test, name) = start("no-room");
    let options = Server::options().max_message(100).in_flight(2).clients(1);
    let mut server = options.create(&*name).unwrap();
    let mut client = Client::open(&*name).unwrap();
    let roster = open(&name, "roster");
    let room: u64 = of_slot(&roster, 0, CURSOR);
    let mut answered = 0;
    loop {
        let call = client.send(b"?").unwrap();
        let request = server.recv().unwrap();
        roster.write_value(SLOTS_AT + CURSOR, &room).unwrap();
        match request.respond(&[7; 100]) {
            Ok(()) => assert_eq!(client.recv(&call).unwrap(), [7; 100]),
            Err(error) => {
                assert_eq!(format!("{error:?}"), "Full");
                // The record of an unanswered call may still have space.
                let told = why(client.recv_timeout(&call, MOMENT));
                assert!(["Timeout", "Unanswered"].contains(&&*told), "{told}");
                break;
            }
        }
        answered += 1;
    }
    // Each response is a record of 112 bytes.
    assert_eq!(answered, RING / 112);
}

/// Returns the next message that is there, and counts the reports of damage.
fn next(receiver: &mut Receiver, corrupt: &mut u32) -> Vec<u8> {
    loop {
        match receiver.try_recv() {
            Ok(bytes) => return bytes.to_vec(),
            Err(RecvError::Corrupt) => *corrupt += 1,
            Err(error) => panic!("{error}"),
        }
    }
}
