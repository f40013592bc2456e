//! Shared code of the contract tests: messages that name their sender and show damage, and the
//! roles that child processes play.

mod ahead;
mod bridges;
mod calls;
mod closing;
mod crowded;
mod first;
mod frames;
mod holds;
mod in_place;
mod kills;
mod latest;
mod longest;
mod many;
mod moments;
mod observers;
mod publishers;
mod queue;
pub mod restart;
mod senders;
mod sources;
mod stamps;
mod topic;
mod topic_refs;
mod typed;

use crate::common::{self, Test, TestChild, eventually, hear, say};
use shmkit::inspect::Participant;
use shmkit::{
    Delivery, Mapping, Publisher, ReadWrite, Receiver, RecvError, Section, SendError, Sender,
    Start, Subscriber,
};
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

pub const MOMENT: Duration = Duration::from_millis(1);
/// The capacity of a lane or a topic, unless a test chooses another one.
pub const CAPACITY: u64 = 4096;
pub const LONGEST: u64 = 200;
/// The space in a ring of a message that is longer than 24 bytes and no longer than `SHORT`.
pub const LINE: usize = 64;
pub const SHORT: usize = 56;

/// Plays one role of a child process: the child follows orders, and replies when each is done.
pub fn play(role: &str, args: &[&str]) {
    match (role, args) {
        ("sender", [name, from]) => serve_sender(name, from.parse().unwrap()),
        ("brief", [name, count]) => be_brief(name, count.parse().unwrap()),
        ("source", [name, key]) => sources::serve_source(name, key.parse().unwrap()),
        ("bridge", [name]) => bridges::serve_source(name),
        ("bridge-worker", [name]) => bridges::serve_worker(name),
        ("sink", [name]) => sources::serve_sink(name),
        ("receiver", [name]) => serve_receiver(queue(name)),
        ("publisher", [name, how]) => serve_publisher(topic(name, delivery(how)), 0),
        ("subscriber", [name, start]) => serve_subscriber(name, start),
        ("writer", [name]) => latest::serve_writer(name),
        ("reader", [name]) => latest::serve_reader(name),
        ("ahead", [name]) => ahead::receive_and_release(name),
        ("first-sender", [name]) => first::send_first(name),
        ("many-senders", [name, count]) => many::serve_senders(name, count.parse().unwrap()),
        ("many-threads", [name, count]) => many::count_threads(name, count.parse().unwrap()),
        ("guest", [name, from]) => {
            serve_publisher(Publisher::open(*name).unwrap(), from.parse().unwrap());
        }
        ("owner", [name]) => publishers::be_owner(name),
        ("crowd-member", ["publish", name, who]) => crowded::publish(name, who.parse().unwrap()),
        ("crowd-member", ["subscribe", name, _]) => crowded::subscribe(name),
        ("crowd", [name]) => observers::serve_crowd(name),
        ("typed-sender", [name]) => typed::serve_sender(name),
        ("typed-publisher", [name]) => typed::serve_publisher(name),
        ("heir", [name, who]) => restart::be_heir(name, who.parse().unwrap()),
        ("rolling", [role, name, who]) => {
            restart::rolling::play(role, name, who.parse().unwrap());
        }
        ("hold", [name]) => holds::hold(name),
        ("mute", [name]) => restart::be_mute(name),
        ("echo", [name]) => restart::serve_echo(name),
        ("caller", [name, who]) => calls::serve_caller(name, who.parse().unwrap()),
        ("server", [name]) => calls::serve_server(name),
        ("moment", [kind, name]) => moments::victim(kind, name),
        ("victim", args) => kills::victim(args),
        other => panic!("no role {other:?}"),
    }
}

pub fn queue(name: &str) -> Receiver {
    let options = Receiver::options().capacity(CAPACITY).max_message(LONGEST);
    options.create(name).unwrap()
}

pub fn topic(name: &str, delivery: Delivery) -> Publisher {
    let options = Publisher::options().capacity(CAPACITY).max_message(LONGEST);
    options.delivery(delivery).create(name).unwrap()
}

pub fn delivery(how: &str) -> Delivery {
    match how {
        "lossy" => Delivery::Lossy,
        "lossless" => Delivery::Lossless,
        other => panic!("no delivery {other}"),
    }
}

pub fn subscriber(name: &str, start: Start) -> Subscriber {
    Subscriber::options().start(start).open(name).unwrap()
}

/// Returns the error of a failed operation in its debug form.
#[track_caller]
pub fn why<T, E: Debug>(result: Result<T, E>) -> String {
    format!("{:?}", result.err().expect("the operation must fail"))
}

fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

pub struct Random(u64);

impl Random {
    /// Prints its seed. The seed is `SHMKIT_TEST_SEED` if that variable is set.
    pub fn new() -> Random {
        let given = std::env::var("SHMKIT_TEST_SEED").ok();
        let any = || mix(std::process::id().into()) ^ since_1970();
        let seed = given.map_or_else(any, |seed| seed.parse().unwrap());
        println!("SHMKIT_TEST_SEED={seed}");
        Random(seed)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % end
    }

    /// Sleeps for up to 5 ms.
    pub fn pause(&mut self) {
        std::thread::sleep(Duration::from_micros(self.below(5000)));
    }
}

fn since_1970() -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    now.as_nanos() as u64
}

/// Makes message `number` of sender `from`: a word with both numbers, and bytes that follow from
/// that word. The message has 8 to `max` bytes. If `max` is `SHORT`, each message takes one `LINE`.
pub fn message(from: u64, number: u64, max: usize) -> Vec<u8> {
    let head = from << 40 | number;
    let mut state = mix(head);
    let len = match number % 16 {
        _ if max == SHORT => 25 + (state % 32) as usize,
        3 => 8,
        7 => max,
        _ => 8 + (state % (max as u64 - 7)) as usize,
    };
    let mut bytes = head.to_le_bytes().to_vec();
    while bytes.len() < len {
        state = mix(state);
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Returns the sender and the number of a message, which must be whole.
#[track_caller]
pub fn whole(bytes: &[u8], max: usize) -> (u64, u64) {
    assert!(bytes.len() >= 8, "no message of these tests: {bytes:?}");
    let head = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let (from, number) = (head >> 40, head & ((1 << 40) - 1));
    let torn = bytes != message(from, number, max);
    assert!(
        !torn,
        "torn message: number {number} of sender {from}: {bytes:?}"
    );
    (from, number)
}

/// Counts the messages of each sender, which must come without a gap and only once.
#[derive(Default)]
pub struct Inbox {
    next: HashMap<u64, u64>,
    max: usize,
}

impl Inbox {
    pub fn new(max: usize) -> Inbox {
        let next = HashMap::new();
        Inbox { next, max }
    }

    #[track_caller]
    pub fn take(&mut self, bytes: &[u8]) {
        let (from, number) = whole(bytes, self.max);
        let next = self.next.entry(from).or_insert(0);
        assert_eq!(number, *next, "sender {from}");
        *next += 1;
    }

    pub fn of(&self, from: u64) -> u64 {
        self.next.get(&from).copied().unwrap_or(0)
    }

    pub fn all(&self) -> u64 {
        self.next.values().sum()
    }
}

/// Counts the messages of one publisher that a subscriber has received and missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub received: u64,
    pub missed: u64,
}

impl Seen {
    pub fn end(self) -> u64 {
        self.received + self.missed
    }

    /// Takes one result of a receive, and returns an error other than `Lagged`. Each message must
    /// have the number that follows from the received and missed messages before it.
    #[track_caller]
    pub fn take(&mut self, came: Result<&[u8], RecvError>, max: usize) -> Option<RecvError> {
        match came {
            Ok(bytes) => {
                assert_eq!(whole(bytes, max).1, self.end(), "{self:?}");
                self.received += 1;
            }
            Err(RecvError::Lagged(n)) => {
                assert_ne!(n, 0, "{self:?}");
                self.missed += n;
            }
            Err(end) => return Some(end),
        }
        None
    }

    /// Receives until an error other than `Lagged`, and returns that error.
    #[track_caller]
    pub fn take_all(&mut self, subscriber: &mut Subscriber) -> RecvError {
        let max = subscriber.max_message();
        loop {
            if let Some(end) = self.take(subscriber.recv(), max) {
                assert_eq!(subscriber.missed(), self.missed);
                return end;
            }
        }
    }
}

/// Words that the parent and its children share. Each child has two words: how many operations it
/// began, and how many it completed.
pub struct Words(Mapping<ReadWrite>);

impl Words {
    pub fn of(name: &str) -> Words {
        let (section, _) = Section::open_or_create(&*format!("{name}-words"), 16 * 1024).unwrap();
        Words(section.map_rw(..).unwrap())
    }

    pub fn begun(&self, who: u64) -> &AtomicU64 {
        self.0.atomic_u64(who as usize * 16).unwrap()
    }

    pub fn done(&self, who: u64) -> &AtomicU64 {
        self.0.atomic_u64(who as usize * 16 + 8).unwrap()
    }

    /// Asserts that `came` covers all completed operations, and none that was not begun.
    #[track_caller]
    pub fn agree(&self, who: u64, came: u64) {
        let [begun, done] = [self.begun(who), self.done(who)].map(|word| word.load(SeqCst));
        let right = (done..=begun).contains(&came);
        assert!(
            right,
            "{came} came from {who}, which completed {done} and began {begun}"
        );
    }
}

pub fn children(test: &mut Test, n: u64, spawn: impl Fn(u64) -> TestChild) -> Vec<TestChild> {
    test.spawning(|| (0..n).map(spawn).collect())
}

/// Starts a child, and waits until it is ready.
pub fn child(test: &mut Test, role: &str, args: &[&str]) -> TestChild {
    let mut child = test.child(&format!("messages/{role}"), args);
    child.expect("ready");
    child
}

pub fn ask(child: &mut TestChild, order: &str) -> String {
    child.tell(order);
    child.hear()
}

/// Returns the participants of a segment without its owner.
#[track_caller]
pub fn others(name: &str) -> Vec<Participant> {
    let info = shmkit::inspect::segment_info(name).unwrap();
    info.others
        .expect("the creator of a segment may inspect it")
}

/// Waits until a thread of that process sleeps in the segment, and 3 ms longer: a process that has
/// just begun to wait polls again by itself.
pub fn until_asleep(name: &str, pid: u32) {
    eventually("the process sleeps in the segment", || {
        common::is_asleep(name, Some(pid))
    });
    std::thread::sleep(3 * MOMENT);
}

fn orders(mut each: impl FnMut(&str, u64)) {
    say("ready");
    while let Some(order) = hear() {
        let (word, n) = order.split_once(' ').unwrap_or((&order, "0"));
        each(word, n.parse().unwrap());
    }
}

fn serve_sender(name: &str, from: u64) {
    let mut sender = Sender::open(name).unwrap();
    let max = sender.max_message();
    let mut numbers = 0..;
    let mut next = || message(from, numbers.next().unwrap(), max);
    orders(|word, n| match word {
        "send" => {
            (0..n).for_each(|_| sender.send(&next()).unwrap());
            say("sent");
        }
        "flood" => {
            say("flooding");
            say(&flood(|| sender.send(&next())));
        }
        "claim" => {
            let mut claim = sender.claim(n as usize).unwrap();
            claim.write_at(0, &vec![0x21; n as usize]);
            say("claimed");
            hear();
        }
        "batch" => {
            let mut batch = sender.batch();
            (0..n).for_each(|_| batch.send(&next()).unwrap());
            say("batched");
            hear();
        }
        other => panic!("no order {other}"),
    });
}

/// Opens a sender, sends, drops the sender, and exits at once.
fn be_brief(name: &str, count: u64) {
    say("ready");
    hear();
    let mut sender = Sender::open(name).unwrap();
    let max = sender.max_message();
    (0..count).for_each(|n| sender.send(&message(0, n, max)).unwrap());
    drop(sender);
    std::process::exit(0);
}

/// Sends until an error, and returns the error in its debug form.
pub fn flood(mut send: impl FnMut() -> Result<(), SendError>) -> String {
    loop {
        if let Err(end) = send() {
            return format!("{end:?}");
        }
    }
}

fn serve_receiver(mut receiver: Receiver) {
    let mut inbox = Inbox::new(receiver.max_message());
    orders(|word, n| match word {
        "take" => {
            (0..n).for_each(|_| inbox.take(receiver.recv().unwrap()));
            say("taken");
        }
        other => panic!("no order {other}"),
    });
}

/// Publishes as the parent says. The parent chooses the number in each message.
fn serve_publisher(mut publisher: Publisher, from: u64) {
    let max = publisher.max_message();
    let mut numbers = 0..;
    let mut next = || message(from, numbers.next().unwrap(), max);
    orders(|word, n| match word {
        "send" => {
            (0..n).for_each(|_| publisher.send(&next()).unwrap());
            say("sent");
        }
        "claim" => {
            let mut claim = publisher.claim(n as usize).unwrap();
            claim.write_at(0, &vec![0x21; n as usize]);
            say("claimed");
            hear();
        }
        other => panic!("no order {other}"),
    });
}

fn serve_subscriber(name: &str, start: &str) {
    let start = match start {
        "oldest" => Start::Oldest,
        "new" => Start::New,
        other => panic!("no start {other}"),
    };
    let mut subscriber = subscriber(name, start);
    let max = subscriber.max_message();
    let mut seen = Seen::default();
    orders(|word, n| match word {
        "take" => {
            (0..n).for_each(|_| assert!(seen.take(subscriber.recv(), max).is_none()));
            say("taken");
        }
        "all" => {
            say("taking");
            let end = seen.take_all(&mut subscriber);
            say(&format!("{} {} {end:?}", seen.received, seen.missed));
        }
        other => panic!("no order {other}"),
    });
}
