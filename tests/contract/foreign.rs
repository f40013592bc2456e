//! Tests with a second implementation of the layout on either side of each pattern. The *peer* is a
//! C program, `tests/peer/peer.c`, that was written from `docs/layout.md` alone. `ci/peer` compiles
//! the peer.

use crate::common::{eventually, start, started, unique, watchdog};
use shmkit::{
    Client, Delivery, DisconnectReason, Publisher, Reader, Receiver, RecvError, SendError, Sender,
    Server, Start, Subscriber, Writer,
};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

/// Longer than any test lasts.
const LONG: Duration = Duration::from_secs(600);

/// A running peer, which is killed when this value is dropped.
struct Peer {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Peer {
    fn start(args: &[&str]) -> Peer {
        let mut command = Command::new(program());
        command.args(args).stdin(Stdio::piped());
        command.stdout(Stdio::piped());
        let mut child = started(|| command.spawn());
        let lines = BufReader::new(child.stdout.take().unwrap());
        Peer { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the peer has ended");
        crate::common::step();
        line.trim_end().to_string()
    }

    fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// Tells a peer that waits for its input to go on.
    fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until the peer ends, and returns its exit code.
    fn code(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> std::path::PathBuf {
    if let Some(path) = std::env::var_os("SHMKIT_TEST_PEER") {
        return path.into();
    }
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        std::path::PathBuf::from,
    );
    let path = folder.join(format!("peer/peer{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is missing: run ci/peer first",
        path.display()
    );
    path
}

/// Returns the message `number` of the peer, for a queue whose longest message has `max` bytes.
fn message(number: usize, max: usize) -> Vec<u8> {
    let mut text = format!("peer {number}").into_bytes();
    if number % 10 == 9 {
        text.resize(max.min(1000), b'.');
    }
    text
}

// layout: L066 L104 L105
#[test]
fn foreign_sender_reaches_our_receiver() {
    let (_test, name) = start("peer-send");
    let options = Receiver::options().capacity(4096).max_message(200);
    let mut receiver = options.create(&*name).unwrap();
    let mut peer = Peer::start(&["send", &name, "2000"]);
    let first = receiver.recv_timeout(LONG).unwrap().to_vec();
    let is_long = |number: usize| message(number, 200);
    assert!(first.starts_with(b"peer 0"), "{first:?}");
    for number in 1..2000 {
        let bytes = receiver.recv_timeout(LONG).unwrap();
        let text = format!("peer {number}");
        assert!(bytes.starts_with(text.as_bytes()), "{number}");
        let rest = &bytes[text.len()..];
        assert!(rest.iter().all(|byte| *byte == b'.'), "{number}");
        assert!(rest.is_empty() || bytes.len() == is_long(9).len());
    }
    peer.expect("sent 2000");
    let gone = receiver.recv_timeout(LONG);
    assert!(
        matches!(gone, Err(RecvError::Disconnected(DisconnectReason::Closed))),
        "{gone:?}"
    );
    assert_eq!(peer.code(), 0);
}

#[test]
fn killed_foreign_sender_is_reported_as_died() {
    let (_test, name) = start("peer-killed");
    let options = Receiver::options().capacity(4096).max_message(200);
    let mut receiver = options.create(&*name).unwrap();
    let mut peer = Peer::start(&["send", &name, "1000000"]);
    for _ in 0..100 {
        receiver.recv_timeout(LONG).unwrap();
    }
    // The peer sleeps, since its lane has no space.
    eventually("the peer waits for space", || {
        let all = shmkit::inspect::segment_info(&*name)
            .unwrap()
            .others
            .unwrap();
        all.iter().any(|one| one.asleep)
    });
    peer.kill();
    loop {
        match receiver.recv_timeout(LONG) {
            Ok(_) => {}
            Err(RecvError::Disconnected(how)) => break assert_eq!(how, DisconnectReason::Died),
            Err(error) => panic!("{error}"),
        }
    }
    // The lane of the killed peer is free for the next sender.
    Sender::open(&*name).unwrap().send(b"next").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"next");
}

// layout: L092 L165
#[test]
fn our_sender_reaches_a_foreign_receiver() {
    let (_test, name) = start("peer-recv");
    let mut peer = Peer::start(&["recv", &name, "300"]);
    peer.expect("ready");
    let mut sender = Sender::open(&*name).unwrap();
    for number in 0..300 {
        sender.send(format!("ours {number}").as_bytes()).unwrap();
        // The peer sleeps before some of the messages.
        if number % 100 == 0 {
            peer.expect(&format!("ours {number}"));
            eventually("the peer sleeps", || {
                shmkit::inspect::segment_info(&*name).unwrap().owner.asleep
            });
        } else {
            peer.expect(&format!("ours {number}"));
        }
    }
    assert_eq!(peer.code(), 0);
    let closed = sender.send(b"late");
    assert!(
        matches!(
            closed,
            Err(SendError::Disconnected(DisconnectReason::Closed))
        ),
        "{closed:?}"
    );
}

// layout: L160
#[test]
fn receiver_takes_over_from_killed_foreign_receiver() {
    let (_test, name) = start("peer-heir");
    let mut peer = Peer::start(&["recv", &name, "1000000"]);
    peer.expect("ready");
    let mut sender = Sender::open(&*name).unwrap();
    sender.send(b"received").unwrap();
    peer.expect("received");
    peer.kill();
    // The next receiver receives what a dead receiver did not read.
    sender.send(b"left").unwrap();
    let mut receiver = crate::messages::restart::eventually_created(|| Receiver::create(&*name));
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), b"left");
    sender.send(b"next").unwrap();
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), b"next");
}

// layout: L018 L159
#[test]
fn foreign_receiver_takes_over_closed_queue() {
    let (_test, name) = start("peer-follows");
    let receiver = Receiver::create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    sender.send(b"left").unwrap();
    drop(receiver);
    let mut peer = Peer::start(&["recv", &name, "2"]);
    peer.expect("ready");
    peer.expect("left");
    assert!(sender.wait_for_receiver(LONG).unwrap());
    sender.send(b"next").unwrap();
    // The sender has left the generation of the closed receiver. The peer may print this too.
    let mut line = peer.line();
    if line == "left closed" {
        line = peer.line();
    }
    assert_eq!(line, "next");
    assert_eq!(peer.code(), 0);
}

// layout: L331 L332
#[test]
fn foreign_sender_waits_for_our_first_receiver() {
    let (_test, name) = start("peer-first");
    let options = Receiver::options().capacity(4096).max_message(200);
    let _creator = Sender::options().open_or_create(&*name, &options).unwrap();
    let mut peer = Peer::start(&["send", &name, "2000"]);
    eventually("the peer waits for space", || {
        let info = shmkit::inspect::segment_info(&*name).unwrap();
        info.others.unwrap().iter().any(|one| one.asleep)
    });
    let mut receiver = options.open_or_create(&*name).unwrap();
    for number in 0..2000 {
        let bytes = receiver.recv_timeout(LONG).unwrap();
        assert!(bytes.starts_with(format!("peer {number}").as_bytes()));
    }
    peer.expect("sent 2000");
    assert_eq!(peer.code(), 0);
}

// layout: L331 L332
#[test]
fn foreign_subscriber_waits_for_our_first_publisher() {
    let (_test, name) = start("peer-first-topic");
    let options = Publisher::options().capacity(4096).max_message(200);
    let mut creator = Subscriber::options()
        .open_or_create(&*name, &options)
        .unwrap();
    let mut peer = Peer::start(&["subscribe", &name, "2"]);
    peer.expect("ready");
    let mut publisher = options.open_or_create(&*name).unwrap();
    for text in ["one", "two"] {
        publisher.send(text.as_bytes()).unwrap();
        peer.expect(text);
        assert_eq!(creator.recv_timeout(LONG).unwrap(), text.as_bytes());
    }
    assert_eq!(peer.code(), 0);
}

// layout: L332
#[test]
fn foreign_first_receiver_takes_our_queue() {
    let (_test, name) = start("peer-first-recv");
    let mut sender = Sender::open_or_create(&*name).unwrap();
    sender.send(b"one").unwrap();
    let mut peer = Peer::start(&["recv", &name, "2"]);
    peer.expect("ready");
    peer.expect("one");
    assert!(sender.wait_for_receiver(LONG).unwrap());
    sender.send(b"two").unwrap();
    // The sender has left the generation without an owner. The peer may print this too.
    let mut line = peer.line();
    if line == "left closed" {
        line = peer.line();
    }
    assert_eq!(line, "two");
    assert_eq!(peer.code(), 0);
}

// layout: L126 L133
#[test]
fn foreign_subscriber_misses_nothing_in_lossless_topic() {
    let (_test, name) = start("peer-lossless");
    let options = Publisher::options().capacity(4096).max_message(200);
    let mut publisher = options.delivery(Delivery::Lossless).create(&*name).unwrap();
    publisher.send(b"0").unwrap();
    let mut peer = Peer::start(&["subscribe", &name, "2000"]);
    peer.expect("ready");
    peer.expect("0");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..2000 {
                publisher.send(number.to_string().as_bytes()).unwrap();
            }
        });
        for number in 1..2000 {
            peer.expect(&number.to_string());
        }
    });
    assert_eq!(peer.code(), 0);
}

// layout: L123 L124 L132
#[test]
fn foreign_subscriber_counts_missed_messages() {
    let (_test, name) = start("peer-lossy");
    let options = Publisher::options().capacity(4096).max_message(200);
    let mut publisher = options.create(&*name).unwrap();
    publisher.send(b"0").unwrap();
    let mut peer = Peer::start(&["subscribe", &name, "1000000"]);
    peer.expect("ready");
    peer.expect("0");
    const ALL: u64 = 20_000;
    for number in 1..ALL {
        publisher.send(number.to_string().as_bytes()).unwrap();
    }
    drop(publisher);
    let mut next = 1;
    loop {
        let line = peer.line();
        match line.strip_prefix("missed ") {
            Some(missed) => next += missed.parse::<u64>().unwrap(),
            None if line == "closed" => break,
            None => {
                assert_eq!(line, next.to_string());
                next += 1;
            }
        }
    }
    assert_eq!(next, ALL);
    assert_eq!(peer.code(), 3);
}

// layout: L281 L282 L284
#[test]
fn foreign_subscriber_reads_long_ring() {
    const ALL: usize = 4000;
    let (_test, name) = start("peer-long");
    let options = Publisher::options().max_message(64 << 10).keep(2);
    let text = |number: usize| {
        let mut text = number.to_string();
        let len = [10, 3000, 65536, 40][number % 4].max(text.len());
        text.extend(std::iter::repeat_n('.', len - text.len()));
        text
    };
    for lossless in [true, false] {
        let delivery = match lossless {
            true => Delivery::Lossless,
            false => Delivery::Lossy,
        };
        let options = options.clone().delivery(delivery);
        let mut publisher = crate::messages::restart::eventually_created(|| options.create(&*name));
        publisher.send(text(0).as_bytes()).unwrap();
        let mut peer = Peer::start(&["subscribe", &name, "1000000"]);
        peer.expect("ready");
        let sending = std::thread::spawn(move || {
            for number in 1..ALL {
                publisher.send(text(number).as_bytes()).unwrap();
            }
        });
        let mut next = 0;
        loop {
            let line = peer.line();
            match line.strip_prefix("missed ") {
                Some(missed) => next += missed.parse::<usize>().unwrap(),
                None if line == "closed" => break,
                None => {
                    assert!(line == text(next), "message {next}");
                    next += 1;
                }
            }
            assert!(!lossless || !line.starts_with("missed"), "{line}");
        }
        assert_eq!(next, ALL);
        sending.join().unwrap();
        assert_eq!(peer.code(), 3);
    }
}

// layout: L063 L280
#[test]
fn foreign_sender_fills_long_ring() {
    let (_test, name) = start("peer-long-send");
    let options = Receiver::options().max_message(64 << 10).capacity(4096);
    let mut receiver = options.create(&*name).unwrap();
    let mut peer = Peer::start(&["send", &name, "20000"]);
    for number in 0..20_000 {
        let received = receiver.recv_timeout(LONG).unwrap();
        assert!(received == message(number, 64 << 10), "message {number}");
    }
    peer.expect("sent 20000");
    assert_eq!(peer.code(), 0);
}

// layout: L315 L316
#[test]
fn foreign_sender_leaves_reserved_slots_alone() {
    let (_test, name) = start("peer-reserved");
    let mut receiver = Receiver::options().senders(2).create(&*name).unwrap();
    let open = || Sender::options().source(7).open(&*name).unwrap();
    open().send_numbered(70, b"seventy").unwrap();
    let plain = Sender::open(&*name).unwrap();
    assert_ne!(Peer::start(&["send", &name, "1"]).code(), 0);
    drop(plain);
    let mut peer = Peer::start(&["send", &name, "1"]);
    peer.expect("sent 1");
    assert_eq!(peer.code(), 0);
    assert_eq!(open().last_number(), Some(70));
    let mut came = [(); 2].map(|()| receiver.recv_timeout(LONG).unwrap().to_vec());
    came.sort();
    assert_eq!(came, [&b"peer 0"[..], b"seventy"]);
}

// layout: L320 L321 L322
#[test]
fn source_numbers_survive_foreign_receiver() {
    let (_test, name) = start("peer-sources");
    let receiver = Receiver::create(&*name).unwrap();
    let open = |key| Sender::options().source(key).open(&*name);
    let mut sender = open(7).unwrap();
    sender.send_numbered(70, b"seventy").unwrap();
    open(8).unwrap().send_numbered(80, b"eighty").unwrap();
    drop(receiver);

    let mut peer = Peer::start(&["recv", &name, "100"]);
    peer.expect("ready");
    let mut came = [(); 2].map(|()| peer.line());
    came.sort();
    assert_eq!(came, ["eighty", "seventy"]);
    assert_eq!(open(8).unwrap().last_number(), Some(80));
    sender.send_numbered(71, b"more").unwrap();
    let mut came =
        std::iter::from_fn(|| Some(peer.line())).filter(|line| !line.starts_with("left"));
    assert_eq!(came.next().unwrap(), "more");
    drop(came);
    peer.kill();

    let _receiver = Receiver::create(&*name).unwrap();
    drop(sender);
    assert_eq!(open(7).unwrap().last_number(), Some(71));
    assert_eq!(open(8).unwrap().last_number(), Some(80));
}

/// Returns the time and the text of a line that the peer has printed.
fn stamped(line: &str) -> (SystemTime, &str) {
    let (stamp, text) = line.strip_prefix('@').unwrap().split_once(' ').unwrap();
    let since = Duration::from_nanos(stamp.parse().unwrap());
    (SystemTime::UNIX_EPOCH + since, text)
}

/// The clock of a program may have a coarser step than that of another one.
const STEP: Duration = Duration::from_millis(100);

// layout: L286 L287 L288
#[test]
fn time_stamps_are_exchanged_with_foreign_programs() {
    let (_test, name) = start("peer-stamps");
    let options = Receiver::options().max_message(1000).timestamps(true);
    let mut receiver = options.create(&*name).unwrap();
    let before = SystemTime::now();
    let mut peer = Peer::start(&["send", &name, "2000"]);
    for number in 0..2000 {
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), message(number, 1000));
        let sent_at = receiver.sent_at().unwrap();
        assert!(before <= sent_at + STEP && sent_at <= SystemTime::now() + STEP);
    }
    peer.expect("sent 2000");
    drop(receiver);

    let name = unique("peer-stamps-recv");
    let mut peer = Peer::start(&["--stamps", "recv", &name, "300"]);
    peer.expect("ready");
    assert!(shmkit::inspect::segment_info(&*name).unwrap().timestamps);
    let mut sender = Sender::open(&*name).unwrap();
    let topic = unique("peer-stamps-topic");
    let options = Publisher::options().max_message(1000).timestamps(true);
    let mut publisher = options.create(&*topic).unwrap();
    publisher.send(b"ours 0").unwrap();
    let mut subscriber = Peer::start(&["subscribe", &topic, "300"]);
    subscriber.expect("ready");
    for number in 0..300 {
        let text = format!("ours {number}");
        sender.send(text.as_bytes()).unwrap();
        if number > 0 {
            publisher.send(text.as_bytes()).unwrap();
        }
        for line in [peer.line(), subscriber.line()] {
            let (sent_at, received) = stamped(&line);
            assert_eq!(received, text);
            assert!(before <= sent_at + STEP && sent_at <= SystemTime::now() + STEP);
        }
    }
    assert_eq!((peer.code(), subscriber.code()), (0, 0));
}

// layout: L072 L074 L136
#[test]
fn foreign_reader_reads_values_and_changes() {
    let (_test, name) = start("peer-values");
    let names = ["indoors", "outdoors"];
    let mut writer = Writer::options().names(names).create(&*name).unwrap();
    let get = |key: &str| Peer::start(&["get", &name, key]);
    assert_eq!(get("indoors").code(), 4);
    writer.set_at(0, b"21.5").unwrap();
    writer.set_at(1, b"-3.5").unwrap();
    let mut got = get("outdoors");
    got.expect("-3.5");
    assert_eq!(got.code(), 0);
    let mut watching = Peer::start(&["watch", &name, "200"]);
    watching.expect("ready");
    for number in 0..200usize {
        writer
            .set_at(number % 2, number.to_string().as_bytes())
            .unwrap();
        watching.expect(&format!("{}={number}", names[number % 2]));
    }
    assert_eq!(watching.code(), 0);
    // A reader of this library reads the same table.
    assert_eq!(Reader::open(&*name).unwrap().get_at(1).unwrap(), b"199");
}

/// A reader in another language holds a value. It leaves its guard behind when it is killed.
// layout: L303 L304 L305 L306
#[test]
fn foreign_reader_holds_a_value() {
    let (_test, name) = start("peer-holds");
    let names = ["indoors", "outdoors"];
    let mut writer = Writer::options().names(names).create(&*name).unwrap();
    writer.set_at(1, b"-3.5").unwrap();
    let hold = || {
        let mut peer = Peer::start(&["hold", &name, "outdoors"]);
        peer.expect("-3.5");
        peer
    };
    let [mut first, mut second] = [hold(), hold()];
    for number in 0..1000 {
        writer.set_at(1, format!("{number:4}").as_bytes()).unwrap();
    }
    first.end_input();
    first.expect("-3.5");
    assert_eq!(first.code(), 0);
    second.kill();
    let mut readers: Vec<Reader> = (0..6).map(|_| Reader::open(&*name).unwrap()).collect();
    let held = readers.iter_mut().map(|one| one.get_ref_at(1).unwrap());
    let held: Vec<_> = held.collect();
    writer.set_at(1, b"last").unwrap();
    held.iter()
        .for_each(|held| assert_eq!(held.to_vec(), b" 999"));
}

// layout: L027 L141 L144 L154
#[test]
fn foreign_client_gets_responses_while_server_drains() {
    let (_test, name) = start("peer-calls");
    let mut server = Server::create(&*name).unwrap();
    let mut peer = Peer::start(&["call", &name, "one", "two", "three", "four"]);
    for text in ["one", "two", "three"] {
        let request = server.recv_timeout(LONG).unwrap();
        assert_eq!(request.bytes(), text.as_bytes());
        let answer = request.bytes().to_ascii_uppercase();
        request.respond(&answer).unwrap();
        peer.expect(&text.to_ascii_uppercase());
    }
    let request = server.recv_timeout(LONG).unwrap().defer();
    // No worker is left. A received request is answered, or it fails when its responder is dropped.
    drop(server);
    let refused = Client::open(&*name).unwrap().call(b"late").map(drop);
    assert!(refused.is_err());
    request.respond(b"FOUR").unwrap();
    peer.expect("FOUR");
    assert_eq!(peer.code(), 0);
}

// layout: L091
#[test]
fn foreign_sender_reports_killed_foreign_receiver() {
    let _dog = watchdog();
    let name = unique("peer-owner");
    let mut owner = Peer::start(&["recv", &name, "1000000"]);
    owner.expect("ready");
    let mut sending = Peer::start(&["send", &name, "100000000"]);
    for _ in 0..100 {
        owner.line();
    }
    owner.kill();
    sending.expect("died");
    assert_eq!(sending.code(), 3);
}

#[test]
fn foreign_and_own_subscribers_share_a_topic() {
    let (_test, name) = start("peer-beside");
    let options = Publisher::options().capacity(4096).max_message(200);
    let mut publisher = options.delivery(Delivery::Lossless).create(&*name).unwrap();
    publisher.send(b"0").unwrap();
    let options = Subscriber::options().start(Start::Oldest);
    let mut subscriber = options.open(&*name).unwrap();
    let mut peer = Peer::start(&["subscribe", &name, "500"]);
    peer.expect("ready");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..500 {
                publisher.send(number.to_string().as_bytes()).unwrap();
            }
        });
        for number in 0..500 {
            assert_eq!(
                subscriber.recv_timeout(LONG).unwrap(),
                number.to_string().as_bytes()
            );
            peer.expect(&number.to_string());
        }
    });
}

// layout: L291 L295 L297 L298
#[test]
fn foreign_subscriber_merges_several_publishers() {
    let (_test, name) = start("peer-publishers");
    let options = Publisher::options().capacity(4096).max_message(200);
    let options = options.publishers(3).delivery(Delivery::Lossless);
    let mut owner = options.create(&*name).unwrap();
    let mut first = Publisher::open(&*name).unwrap();
    let mut peer = Peer::start(&["subscribe", &name, "801"]);
    peer.expect("ready");
    let publish = |publisher: &mut Publisher, who: &str| {
        for number in 0..400 {
            publisher
                .send(format!("{who} {number}").as_bytes())
                .unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| publish(&mut owner, "owner"));
        scope.spawn(|| publish(&mut first, "first"));
        let mut next = [0, 0];
        for _ in 0..800 {
            let line = peer.line();
            let (who, number) = line.split_once(' ').unwrap();
            let next = &mut next[usize::from(who == "first")];
            assert_eq!(number, next.to_string());
            *next += 1;
        }
    });
    // The messages of the next publisher in the lane follow the end of the first one.
    drop(first);
    let mut second = Publisher::open(&*name).unwrap();
    second.send(b"second").unwrap();
    peer.expect("gone");
    peer.expect("second");
}
