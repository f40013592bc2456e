//! Tests with a peer that writes any value anywhere. They set each word of the sections of a queue,
//! a topic, a table of values and a server of calls to harmful values. After that each call must
//! return soon, with any result: no panic, no endless loop, no read outside a view (a `Window`
//! checks each access, and panics).

mod several_publishers;
mod sources;

use crate::common::{unique, watchdog};
use several_publishers::{OF_SEVERAL, each_word_of_several};
use shmkit::ErrorKind::{Corrupt, WrongType};
use shmkit::inspect::segment_info;
use shmkit::{
    Call, CallError, Client, Delivery, Layout, Mapping, Publisher, QueueOptions, ReadWrite, Reader,
    Receiver, RecvError, Request, Section, SendError, Sender, Server, Start, Subscriber,
    TopicOptions, Writer,
};
use sources::{OF_SOURCES, each_word_of_sources};
use std::time::Duration;

/// The places of a queue or a topic that the tests change, for each section: the words that
/// docs/layout.md defines, and the first lines of the ring.
const PLACES: [Places; 5] = [
    ("", &[0..24, 24..36]),
    (
        "~control-00000001",
        &[0..48, 60..72, 128..132, 512..520, 4096..4104, 4224..4248],
    ),
    (
        "~roster-00000001",
        &[
            0..8,
            128..132,
            256..264,
            512..520,
            768..776,
            896..904,
            4096..4112,
            4224..4232,
            4352..4376,
        ],
    ),
    ("~lanes-00000001", &[0..8, 128..136, 256..384, 512..704]),
    ("~lanes-00000001", &[704..864, 864..1024]),
];

/// The places that matter in a long ring whose records have time stamps.
const LONG: [Places; 5] = [
    ("", &[24..28, 28..32]),
    (
        "~control-00000001",
        &[12..16, 32..40, 60..72, 4096..4104, 4224..4248],
    ),
    ("~roster-00000001", &[4104..4108, 4224..4232, 4352..4376]),
    ("~lanes-00000001", &[0..8, 128..136, 256..384, 496..512]),
    ("~lanes-00000001", &[512..640, 640..704]),
];

/// The places of a table of two values of 40 bytes.
const OF_VALUES: [Places; 5] = [
    ("", &[0..24, 24..36]),
    ("~control-00000001", &[0..56, 128..132]),
    (
        "~roster-00000001",
        &[0..8, 128..132, 384..392, 1024..1040, 4096..4128],
    ),
    ("~lanes-00000001", &[0..8, 128..160, 8192..8320, 8320..8336]),
    ("~lanes-00000001", &[8448..8576, 8576..8704]),
];

/// The offsets of the lane of requests of a client, and of the lane of its responses.
const REQUESTS: usize = 0;
const RESPONSES: usize = 512 + 4096;

/// The places of a server with one client, with the cursors of both.
const OF_CALLS: [Places; 5] = [
    ("", &[0..24, 24..36]),
    (
        "~control-00000001",
        &[0..60, 68..72, 128..132, 4096..4104, 4224..4248],
    ),
    (
        "~roster-00000001",
        &[
            0..8,
            128..132,
            256..264,
            4096..4120,
            4128..4136,
            4224..4232,
            4352..4384,
        ],
    ),
    (
        "~lanes-00000001",
        &[
            REQUESTS + 128..REQUESTS + 136,
            REQUESTS + 512..REQUESTS + 768,
        ],
    ),
    (
        "~lanes-00000001",
        &[
            RESPONSES + 128..RESPONSES + 136,
            RESPONSES + 512..RESPONSES + 768,
        ],
    ),
];

/// More rounds than any of these rings can hold messages.
const LOOKS: u32 = 600;

fn values(old: u32) -> [u32; 12] {
    [
        0,
        1,
        2,
        3,
        old.wrapping_sub(1),
        old.wrapping_add(1),
        old ^ 1 << 31,
        old ^ 1 << 6,
        1 << 20 | 1,
        1 << 31,
        u32::MAX - 1,
        u32::MAX,
    ]
}

/// Returns whether there is nothing more to receive: the answer is an error other than `Lagged`.
fn settled<T: std::fmt::Debug>(answer: Result<T, RecvError>) -> bool {
    !matches!(answer, Err(RecvError::Lagged(_)) | Ok(_))
}

type Places = (&'static str, &'static [std::ops::Range<usize>]);

/// Runs `victim` for each word of these places and each harmful value. `victim` gets the name of
/// the section and a function that writes the value.
fn each_word(places: Places, mut victim: impl FnMut(&str, &dyn Fn(&Mapping<ReadWrite>))) {
    let (section, ranges) = places;
    for at in ranges.iter().flat_map(|range| range.clone().step_by(4)) {
        let _dog = watchdog();
        for n in chosen(at / 4, values(0).len()) {
            victim(section, &|view: &Mapping<ReadWrite>| {
                let old: u32 = view.read_value(at).unwrap();
                view.write_value(at, &values(old)[n]).unwrap();
            });
        }
    }
}

/// Returns the numbers of the values that are tried at a place. Wine needs 20 ms to create the
/// sections of one victim, and the code that reads the sections is the same on every system. So on
/// Windows each place gets a third of the values.
fn chosen(place: usize, values: usize) -> impl Iterator<Item = usize> {
    let step = match cfg!(windows) && std::env::var_os("SHMKIT_TEST_LONG").is_none() {
        true => 3,
        false => 1,
    };
    (place % step..values).step_by(step)
}

/// Defines a test for each entry of `$places`, in which `$test` changes every word.
macro_rules! for_each_section {
    ($module:ident, $places:ident, $test:ident) => {
        mod $module {
            #[test]
            fn corrupt_ownership_record_causes_no_panic() {
                super::$test(super::$places[0]);
            }

            #[test]
            fn corrupt_control_section_causes_no_panic() {
                super::$test(super::$places[1]);
            }

            #[test]
            fn corrupt_roster_causes_no_panic() {
                super::$test(super::$places[2]);
            }

            #[test]
            fn corrupt_lanes_cause_no_panic() {
                super::$test(super::$places[3]);
            }

            #[test]
            fn corrupt_later_lanes_words_cause_no_panic() {
                super::$test(super::$places[4]);
            }
        }
    };
}

for_each_section!(queue, PLACES, each_word_of_a_queue);
for_each_section!(topic, PLACES, each_word_of_a_topic);
for_each_section!(several, OF_SEVERAL, each_word_of_several);
for_each_section!(keyed, OF_SOURCES, each_word_of_sources);
for_each_section!(long_queue, LONG, each_word_of_a_long_queue);
for_each_section!(long_topic, LONG, each_word_of_a_long_topic);
for_each_section!(table, OF_VALUES, each_word_of_a_table);
for_each_section!(server, OF_CALLS, each_word_of_calls);

fn open(name: &str, section: &str) -> Mapping<ReadWrite> {
    let section = Section::open_rw(format!("{name}{section}")).unwrap();
    section.map_rw(..).unwrap()
}

// layout: L009 L107 L181 L186
fn each_word_of_a_queue(places: Places) {
    use_queue(places, &Receiver::options().capacity(4096).senders(2));
}

// layout: L280 L286 L288
fn each_word_of_a_long_queue(places: Places) {
    let options = Receiver::options().capacity(4096).senders(2);
    use_queue(places, &options.max_message(64 << 10).timestamps(true));
}

fn use_queue(places: Places, options: &QueueOptions) {
    each_word(places, |section, change| {
        let name = unique("hostile-queue");
        let mut receiver = options.create(name.as_str()).unwrap();
        let mut sender = Sender::open(name.as_str()).unwrap();
        for message in [&b"one"[..], &[2; 100], b"three"] {
            sender.send(message).unwrap();
        }
        receiver.recv().unwrap();
        change(&open(&name, section));
        for _ in 0..LOOKS {
            let sent = sender.try_send(&[4; 200]);
            if matches!(sent, Err(SendError::Full | SendError::Disconnected(_))) {
                break;
            }
        }
        for _ in 0..LOOKS {
            let _ = receiver.sent_at();
            if settled(receiver.try_recv()) {
                break;
            }
        }
        let _ = receiver.try_recv_ref().map(|one| one.sent_at());
        let _ = receiver.recv_timeout(Duration::from_micros(1));
        let _ = segment_info(name.as_str());
        if !starts_like_raw(&name) {
            let _ = Sender::open(name.as_str()).map(|mut late| late.try_send(b"late"));
        }
    });
}

// layout: L009 L186
fn each_word_of_a_topic(places: Places) {
    use_topic(places, &Publisher::options().capacity(4096));
}

// layout: L280 L284 L286 L288
fn each_word_of_a_long_topic(places: Places) {
    let options = Publisher::options().max_message(64 << 10).keep(1);
    use_topic(places, &options.timestamps(true));
}

fn use_topic(places: Places, options: &TopicOptions) {
    let delivery = Delivery::LosslessFor(Duration::ZERO);
    let options = options.clone().delivery(delivery);
    each_word(places, |section, change| {
        let name = unique("hostile-topic");
        let mut publisher = options.create(name.as_str()).unwrap();
        let mut subscriber = Subscriber::open(name.as_str()).unwrap();
        for message in [&b"one"[..], &[2; 100], b"three"] {
            publisher.send(message).unwrap();
        }
        subscriber.recv().unwrap();
        change(&open(&name, section));
        for _ in 0..LOOKS {
            if settled(subscriber.try_recv()) {
                break;
            }
        }
        for _ in 0..40 {
            let len = publisher.max_message().min(60_000);
            let _ = publisher.send_timeout(&[4; 200], Duration::from_micros(1));
            let _ = publisher.send_timeout(&vec![4; len], Duration::from_micros(1));
        }
        for _ in 0..LOOKS {
            let _ = subscriber.sent_at();
            if settled(subscriber.try_recv()) {
                break;
            }
        }
        let _ = subscriber.recv_timeout(Duration::from_micros(1));
        let _ = segment_info(name.as_str());
        if !starts_like_raw(&name) {
            for start in [Start::Latest, Start::Oldest, Start::New] {
                let late = Subscriber::options().start(start).open(name.as_str());
                let _ = late.map(|mut late| settled(late.try_recv()));
            }
        }
    });
}

// layout: L009 L184 L186
fn each_word_of_a_table(places: Places) {
    each_word(places, |section, change| {
        let name = unique("hostile-values");
        let options = Writer::options().names(["a", "b"]).max_value(40);
        let mut writer = options.create(name.as_str()).unwrap();
        let mut reader = Reader::open(name.as_str()).unwrap();
        let mut holder = Reader::open(name.as_str()).unwrap();
        for turn in 0..20 {
            writer.set_at(turn % 2, &[turn as u8; 40]).unwrap();
        }
        // Two of the guards that are changed belong to this reader in turn.
        let held = holder.get_ref_at(1).unwrap();
        change(&open(&name, section));
        let look = |reader: &mut Reader| {
            for index in 0..reader.names().len() {
                if let Ok(value) = reader.get_at(index) {
                    assert!(value.len() <= 40);
                }
                if let Ok(value) = reader.get_ref_at(index) {
                    assert!(value.to_vec().len() <= 40);
                }
            }
            for _ in 0..LOOKS {
                if reader.try_change().is_err() {
                    break;
                }
            }
            let _ = reader.wait_change_timeout(Duration::from_micros(1));
        };
        look(&mut reader);
        for turn in 0..20 {
            writer.set_at(turn % 2, &[turn as u8; 40]).unwrap();
        }
        assert!(held.to_vec().len() <= 40);
        drop(held);
        look(&mut reader);
        let _ = segment_info(name.as_str());
        if !starts_like_raw(&name) {
            let _ = Reader::open(name.as_str()).map(|mut late| look(&mut late));
        }
    });
}

/// Returns a server, its only client, and the open calls of the client. The client has received the
/// first response. The server has dropped the second request. It has answered two more, whose
/// responses the client has not received, and has not received the last two.
fn calls(name: &str) -> (Server, Client, Vec<Call>) {
    let options = Server::options().max_message(200).in_flight(8).clients(1);
    let mut server = options.create(name).unwrap();
    let mut client = Client::open(name).unwrap();
    let requests = [&b"one"[..], &[2; 100], b"three", b"", b"five", &[6; 200]];
    let mut open: Vec<_> = requests
        .iter()
        .map(|request| client.send(request).unwrap())
        .collect();
    server.recv().unwrap().respond(b"ONE").unwrap();
    client.recv(&open[0]).unwrap();
    drop(server.recv().unwrap());
    for _ in 2..4 {
        server.recv().unwrap().respond(&[7; 100]).unwrap();
    }
    drop(open.remove(0));
    (server, client, open)
}

/// Does all that a server and a client can do. Each call returns, and no message is longer than the
/// longest.
fn use_calls(server: &mut Server, client: &mut Client, open: &[Call]) {
    let moment = Duration::from_micros(1);
    for _ in 0..40 {
        match client.try_send(&[4; 200]) {
            Ok(call) => drop(call),
            Err(_) => break,
        }
        let mut late = Vec::new();
        for _ in 0..LOOKS {
            let request = server.try_recv();
            match request {
                Ok(request) if request.bytes().len() % 2 == 0 => {
                    assert!(request.bytes().len() <= 200);
                    late.push(request.defer());
                }
                Ok(request) => drop(request.respond(b"soon")),
                Err(RecvError::Corrupt) => {}
                Err(_) => break,
            }
        }
        for responder in late.into_iter().rev() {
            let _ = responder.respond(&[5; 200]);
        }
        for call in open {
            if let Ok(response) = client.try_recv(call) {
                assert!(response.len() <= 200);
            }
        }
    }
    for call in open {
        let _ = client.recv_timeout(call, moment);
    }
    let _ = client.call_timeout(b"more", moment);
    let _ = server.recv_timeout(moment).map(Request::defer);
}

// layout: L009 L181 L185 L186
fn each_word_of_calls(places: Places) {
    each_word(places, |section, change| {
        let name = unique("hostile-calls");
        let (mut server, mut client, open) = calls(&name);
        change(&self::open(&name, section));
        use_calls(&mut server, &mut client, &open);
        let _ = segment_info(name.as_str());
        if starts_like_raw(&name) {
            return;
        }
        // The next client takes the slot.
        drop((client, open));
        let _ = server.try_recv().map(Request::defer);
        if let Ok(mut late) = Client::open(name.as_str()) {
            let call = late.try_send(b"late").ok();
            use_calls(&mut server, &mut late, call.as_slice());
        }
    });
}

/// A client takes over NUMBER from the last client in its slot, and NUMBER may be anything.
// layout: L179
#[test]
fn client_accepts_any_previous_call_count() {
    let at = 4096 + 128;
    for number in [
        0,
        1,
        u64::MAX - 1,
        u64::MAX,
        1 << 63,
        1 << 31,
        (1 << 31) - 1,
    ] {
        let _dog = watchdog();
        let name = unique("hostile-number");
        let options = Server::options().in_flight(4).clients(1);
        let mut server = options.create(name.as_str()).unwrap();
        let roster = open(&name, "~roster-00000001");
        roster.write_value(at + 152, &number).unwrap();
        let mut client = Client::open(name.as_str()).unwrap();
        for n in 0..20u8 {
            let call = client.send(&[n]).unwrap();
            let request = server.recv().unwrap();
            assert_eq!(request.bytes(), [n]);
            request.respond(&[!n]).unwrap();
            assert_eq!(client.recv(&call).unwrap(), [!n]);
        }
    }
}

/// Control says how much space the calls need. A client refuses control if there is less space.
// layout: L175 L177
#[test]
fn impossible_calls_geometry_is_refused() {
    const LANES: usize = 12;
    const RING_BYTES: usize = 32;
    const MAX_MESSAGE: usize = 64;
    const IN_FLIGHT: usize = 56;
    let _dog = watchdog();
    let name = unique("hostile-room");
    let options = Server::options().max_message(200).in_flight(8).clients(2);
    let mut server = options.create(name.as_str()).unwrap();
    let control = open(&name, "~control-00000001");
    let bad: [(usize, &[u32]); 4] = [
        // More than the ring has space for, no power of two, or 0.
        (
            IN_FLIGHT,
            &[0, 3, 6, 7, 9, 32, 64, 1024, 2048, 1 << 31, u32::MAX],
        ),
        (
            MAX_MESSAGE,
            &[400, 1000, 1017, 4096, 1 << 20, u32::MAX - 7, u32::MAX],
        ),
        (LANES, &[0, 64, 65, 1 << 31, u32::MAX]),
        (
            RING_BYTES,
            &[0, 1, 1024, 2048, 4095, 4097, 3 << 30, u32::MAX],
        ),
    ];
    for (at, all) in bad {
        let old: u32 = control.read_value(at).unwrap();
        for value in all {
            control.write_value(at, value).unwrap();
            let kind = Client::open(name.as_str()).err().unwrap().kind();
            assert_eq!(kind, Corrupt, "{value} at {at}");
        }
        control.write_value(at, &old).unwrap();
    }
    // Possible values that do not match the lanes section.
    for (at, value) in [(LANES, 63u32), (RING_BYTES, 8192), (RING_BYTES, 1 << 31)] {
        let old: u32 = control.read_value(at).unwrap();
        control.write_value(at, &value).unwrap();
        assert!(Client::open(name.as_str()).is_err(), "{value} at {at}");
        control.write_value(at, &old).unwrap();
    }
    let mut client = Client::open(name.as_str()).unwrap();
    let call = client.send(b"1").unwrap();
    server.recv().unwrap().respond(b"one").unwrap();
    assert_eq!(client.recv(&call).unwrap(), b"one");
}

/// A response may have the tag of another call, the tag of no call, or a tag that came before.
// layout: L057 L148 L185
#[test]
fn calls_continue_after_corrupt_response_tag() {
    const TAG: usize = RESPONSES + 512 + 4;
    let tags = [
        0,
        1,
        2,
        7,
        8,
        9,
        15,
        16,
        17,
        24,
        1 << 31,
        1 << 31 | 9,
        u32::MAX,
    ];
    for tag in tags {
        let _dog = watchdog();
        let name = unique("hostile-tag");
        let options = Server::options().max_message(200).in_flight(8).clients(1);
        let mut server = options.create(name.as_str()).unwrap();
        let mut client = Client::open(name.as_str()).unwrap();
        let calls = [0, 1].map(|n| client.send(&[n]).unwrap());
        for _ in 0..2 {
            let request = server.recv().unwrap();
            let bytes = request.bytes();
            request.respond(bytes).unwrap();
        }
        let lanes = open(&name, "~lanes-00000001");
        let own: u32 = lanes.read_value(TAG).unwrap();
        lanes.write_value(TAG, &tag).unwrap();
        // Only the response with the changed tag is lost or damaged; the calls after it succeed.
        let of_first = client.try_recv(&calls[0]).map(<[u8]>::to_vec);
        match of_first {
            Ok(bytes) => assert_eq!((tag, bytes), (own, vec![0])),
            Err(CallError::Empty | CallError::Unanswered) => assert_ne!(tag, own),
            Err(error) => panic!("{error}"),
        }
        let _ = client.try_recv(&calls[1]);
        let call = client.send(b"next").unwrap();
        server.recv().unwrap().respond(b"NEXT").unwrap();
        assert_eq!(client.recv(&call).unwrap(), b"NEXT");
    }
}

/// Each byte of the text of a type is changed, and so are its length and its fingerprint. A typed
/// subscriber is refused then, and a subscriber of bare bytes still receives.
// layout: L041 L178
#[test]
fn damaged_type_refuses_only_typed_subscribers() {
    const FINGERPRINT: usize = 256;
    const LEN: usize = 264;
    const TEXT: usize = 1024;
    let _dog = watchdog();
    let name = unique("hostile-type");
    let mut publisher = Publisher::options()
        .typed::<[u32; 2]>()
        .create(&*name)
        .unwrap();
    publisher.send(&[1, 2]).unwrap();
    let text = Layout::of::<[u32; 2]>().to_string();
    let control = open(&name, "~control-00000001");
    let is_refused = || {
        assert_eq!(segment_info(&*name).unwrap().layout, None);
        let opened = Subscriber::options().typed::<[u32; 2]>().open(&*name);
        let kind = opened.err().unwrap().kind();
        assert!(matches!(kind, Corrupt | WrongType), "{kind:?}");
        let mut bare = Subscriber::open(&*name).unwrap();
        assert_eq!(bare.recv().unwrap().len(), 8);
    };
    let is_sound = || {
        let mut subscriber = Subscriber::options()
            .typed::<[u32; 2]>()
            .open(&*name)
            .unwrap();
        assert_eq!(subscriber.recv().unwrap(), [1, 2]);
    };
    for (at, byte) in text.bytes().enumerate() {
        let others = chosen(at, 256).map(|other| other as u8);
        for other in others.filter(|other| *other != byte) {
            control.write(TEXT + at, &[other]).unwrap();
            is_refused();
        }
        control.write(TEXT + at, &[byte]).unwrap();
        is_sound();
    }
    let len = text.len() as u32;
    let small = (0..64).filter(|other| *other != len);
    for other in small.chain([3071, 3072, 3073, 20224, 1 << 31, u32::MAX]) {
        control.write_value(LEN, &other).unwrap();
        is_refused();
    }
    control.write_value(LEN, &len).unwrap();
    let fingerprint: u64 = control.read_value(FINGERPRINT).unwrap();
    for bit in 0..64 {
        control
            .write_value(FINGERPRINT, &(fingerprint ^ 1 << bit))
            .unwrap();
        is_refused();
    }
    control.write_value(FINGERPRINT, &0u64).unwrap();
    is_refused();
    control.write_value(LEN, &0u32).unwrap();
    // The segment has no type now.
    is_refused();
    control.write_value(LEN, &len).unwrap();
    control.write_value(FINGERPRINT, &fingerprint).unwrap();
    is_sound();
}

/// Returns whether the ownership record begins with zeros, for which an opener waits a second.
fn starts_like_raw(name: &str) -> bool {
    let mut first = [0; 4];
    let section = Section::open(name).unwrap();
    section.read_at(0, &mut first).unwrap();
    first == [0; 4]
}

/// A control section of another program may have any length.
// layout: L017 L025
#[test]
fn control_of_odd_length_is_refused() {
    let _dog = watchdog();
    let (name, copy) = (unique("hostile-length"), unique("hostile-copy"));
    let _receiver = Receiver::create(name.as_str()).unwrap();
    let bytes_of = |part: &str, len: usize| {
        let mut bytes = vec![0; len];
        let section = Section::open(format!("{name}{part}")).unwrap();
        section.read_at(0, &mut bytes).unwrap();
        bytes
    };
    let [record, control] =
        [("", 16448), ("~control-00000001", 4096)].map(|(part, len)| bytes_of(part, len));
    for len in [4096, 4097, 4100, 5000] {
        let section = |part: &str, len, bytes: &[u8]| {
            let section = Section::create_new(format!("{copy}{part}"), len).unwrap();
            section.map_rw(..).unwrap().write(0, bytes).unwrap();
            section
        };
        let _record = section("", 16448, &record);
        let _control = section("~control-00000001", len, &control);
        let error = Sender::open(copy.as_str()).err().unwrap();
        assert_eq!(error.kind(), Corrupt, "{error}");
    }
}
