//! Observers: subscribers and readers that take no slot and store nothing.

use super::*;
use crate::common::start;
use shmkit::{DisconnectReason, Reader, Writer};

const CONTROL: &str = "~control-00000001";
const ROSTER: &str = "~roster-00000001";
const LANES: &str = "~lanes-00000001";

fn observer(name: &str) -> Subscriber {
    let options = Subscriber::options().observer(true).start(Start::Oldest);
    options.open(name).unwrap()
}

fn observing_reader(name: &str) -> Reader {
    Reader::options().observer(true).open(name).unwrap()
}

/// Returns the bytes of the sections of the first generation.
fn bytes(name: &str) -> Vec<Vec<u8>> {
    let all = ["", CONTROL, ROSTER, LANES].map(|part| {
        let section = Section::open(format!("{name}{part}")).unwrap();
        let mut bytes = vec![0; section.len().unwrap() as usize];
        section.read_at(0, &mut bytes).unwrap();
        bytes
    });
    all.to_vec()
}

// layout: L103
#[test]
fn observers_store_nothing_and_take_no_slot() {
    let (_test, name) = start("observe");
    let mut publisher = topic(&name, Delivery::Lossless);
    publisher.send(b"one").unwrap();
    let before = bytes(&name);
    let mut subscriber = observer(&name);
    assert_eq!(subscriber.recv().unwrap(), b"one");
    assert_eq!(why(subscriber.recv_timeout(3 * MOMENT)), "Timeout");
    assert!(others(&name).is_empty());
    assert_eq!(bytes(&name), before);
    drop((subscriber, publisher));

    let mut writer = Writer::create(&*name).unwrap();
    writer.set(b"one").unwrap();
    let before = bytes(&name);
    let mut reader = observing_reader(&name);
    assert_eq!(reader.get().unwrap(), b"one");
    assert_eq!(why(reader.wait_change_timeout(3 * MOMENT)), "Timeout");
    assert!(others(&name).is_empty());
    assert_eq!(bytes(&name), before);
    writer.set(b"two").unwrap();
    assert_eq!(reader.wait_change().unwrap(), 0);
    assert_eq!(reader.get().unwrap(), b"two");
}

/// A publisher waits for no observer, also if delivery is lossless. The observer counts exactly what
/// it has missed.
// layout: L132
#[test]
fn observer_of_lossless_topic_counts_losses() {
    const SENT: u64 = 5000;
    let (_test, name) = start("observe-losses");
    let mut publisher = topic(&name, Delivery::Lossless);
    let mut observer = observer(&name);
    for n in 0..SENT {
        publisher.try_send(&n.to_le_bytes()).unwrap();
    }
    drop(publisher);
    let (mut numbers, mut missed) = (0, 0);
    loop {
        match observer.recv() {
            Ok(bytes) => {
                assert_eq!(bytes, u64::to_le_bytes(numbers + missed));
                numbers += 1;
            }
            Err(RecvError::Lagged(n)) => missed += n,
            Err(end) => break assert_eq!(format!("{end:?}"), "Disconnected(Closed)"),
        }
    }
    assert!(missed > 0);
    assert_eq!((numbers + missed, observer.missed()), (SENT, missed));
}

#[test]
fn observers_follow_the_next_owner() {
    let (_test, name) = start("observe-next");
    let mut publisher = topic(&name, Delivery::Lossy);
    let mut observers = [observer(&name), observer(&name)];
    publisher.send(b"first").unwrap();
    publisher
        .resize(&Publisher::options().capacity(2 * CAPACITY))
        .unwrap();
    publisher.send(b"second").unwrap();
    for observer in &mut observers {
        assert_eq!(observer.recv().unwrap(), b"first");
        assert_eq!(observer.recv().unwrap(), b"second");
        assert_eq!(observer.generation(), 2);
    }

    drop(publisher);
    for observer in &mut observers {
        let closed = RecvError::Disconnected(DisconnectReason::Closed);
        assert_eq!(why(observer.recv()), format!("{closed:?}"));
    }
    let mut next = topic(&name, Delivery::Lossy);
    next.send(b"third").unwrap();
    for observer in &mut observers {
        assert!(
            observer
                .wait_for_publisher(Duration::from_secs(60))
                .unwrap()
        );
        assert_eq!(observer.recv().unwrap(), b"third");
    }
    assert!(others(&name).is_empty());
}

/// The processes of the crowd, and the observers in each of them.
const PROCESSES: u64 = 4;
const EACH: usize = 2500;

/// Opens many observers, and says how many messages they have received when all have the last one.
pub fn serve_crowd(name: &str) {
    let mut all: Vec<Subscriber> = (0..EACH).map(|_| observer(name)).collect();
    say("ready");
    let mut received = 0;
    for observer in &mut all {
        loop {
            match observer.recv().unwrap() {
                b"last" => break received += 1,
                _ => received += 1,
            }
        }
    }
    say(&received.to_string());
}

#[test]
fn ten_thousand_observers_receive_every_message() {
    let (mut test, name) = start("crowd");
    let mut publisher = topic(&name, Delivery::Lossy);
    let spawn = |_| TestChild::spawn("messages/crowd", &[&name]);
    let mut crowd = children(&mut test, PROCESSES, spawn);
    crowd.iter_mut().for_each(|child| child.expect("ready"));
    for text in [&b"first"[..], b"second", b"last"] {
        publisher.send(text).unwrap();
    }
    let all = (3 * EACH).to_string();
    crowd.iter_mut().for_each(|child| child.expect(&all));
    assert!(others(&name).is_empty());
}
