//! As many participants as a segment can have.

use super::*;
use crate::common::{refused, start};
use shmkit::ErrorKind::Busy;

/// Returns how many senders each process has: as many as a queue can have in all. Under Windows it is
/// more than one system call can wait for, and as many as possible with `SHMKIT_TEST_LONG`.
fn senders() -> Vec<usize> {
    match cfg!(windows) && std::env::var_os("SHMKIT_TEST_LONG").is_none() {
        true => vec![70, 60],
        false => vec![128, 128, 128, 128, 128, 128, 128, 127],
    }
}

/// Returns the number of threads of this process.
#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Returns the number of threads of this process.
#[cfg(windows)]
fn threads() -> usize {
    use windows_sys::Win32::Foundation::CloseHandle;
    use windows_sys::Win32::System::Diagnostics::ToolHelp::*;

    let mut entry = THREADENTRY32 {
        dwSize: size_of::<THREADENTRY32>() as u32,
        ..THREADENTRY32::default()
    };
    let mut count = 0;
    // SAFETY: the snapshot is open until it is closed below, and `entry` has the size that its first
    // field says, as Thread32First asks for.
    unsafe {
        let snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
        let mut has_more = Thread32First(snapshot, &raw mut entry);
        while has_more != 0 {
            count += usize::from(entry.th32OwnerProcessID == std::process::id());
            has_more = Thread32Next(snapshot, &raw mut entry);
        }
        CloseHandle(snapshot);
    }
    count
}

/// Opens this number of senders. Sends a number with each of them when the parent says so.
pub fn serve_senders(name: &str, count: usize) {
    let mut senders: Vec<Sender> = (0..count).map(|_| Sender::open(name).unwrap()).collect();
    orders(|_, number| {
        for sender in &mut senders {
            sender.send(&number.to_le_bytes()).unwrap();
        }
        say("sent");
    });
}

/// Receives a message of each sender, and returns how many messages came with each number.
fn received(receiver: &mut Receiver, senders: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; senders.len()];
    for _ in 0..senders.iter().sum() {
        counts[usize::from(receiver.recv().unwrap()[0])] += 1;
    }
    counts
}

/// Lets the senders of each process send its number, and receives the messages.
fn exchange(receiver: &mut Receiver, children: &mut [TestChild], senders: &[usize]) {
    for (number, child) in children.iter_mut().enumerate() {
        child.tell(&format!("send {number}"));
    }
    assert_eq!(received(receiver, senders), senders);
    children.iter_mut().for_each(|child| child.expect("sent"));
}

// layout: L104 L252 L253 L257 L262
#[test]
fn queue_serves_its_greatest_sender_count() {
    let (mut test, name) = start("many");
    let senders = senders();
    let most = senders.iter().sum();
    let options = Receiver::options().senders(most).capacity(CAPACITY);
    let mut receiver = options.create(&*name).unwrap();
    let mut open = |count: &usize| child(&mut test, "many-senders", &[&name, &count.to_string()]);
    let mut children: Vec<TestChild> = senders.iter().map(&mut open).collect();
    refused(Busy, Sender::open(&*name));

    // The receiver sleeps, and is woken by each sender.
    assert_eq!(why(receiver.recv_timeout(10 * MOMENT)), "Timeout");
    exchange(&mut receiver, &mut children, &senders);
    exchange(&mut receiver, &mut children, &senders);

    // A process that is killed frees all of its slots, before and after the receiver has seen it.
    children.pop().unwrap().kill();
    let [all @ .., last] = &senders[..] else {
        unreachable!();
    };
    let mut next: Vec<Sender> = (0..40).map(|_| Sender::open(&*name).unwrap()).collect();
    assert_eq!(why(receiver.try_recv()), "Empty");
    next.extend((40..*last).map(|_| Sender::open(&*name).unwrap()));
    refused(Busy, Sender::open(&*name));
    for sender in &mut next {
        sender.send(&[0]).unwrap();
        assert_eq!(receiver.recv().unwrap(), [0]);
    }
    exchange(&mut receiver, &mut children, all);

    // The death of the last sender ends a wait, however many senders there were.
    drop(next);
    children.into_iter().for_each(TestChild::kill);
    let ended = receiver.recv();
    assert!(
        matches!(ended, Err(RecvError::Disconnected(_))),
        "{ended:?}"
    );
    assert!(others(&name).is_empty());
}

/// Sleeps while it receives nothing, and tells the parent how many threads this process has then.
pub fn count_threads(name: &str, senders: usize) {
    let options = Receiver::options().senders(senders).capacity(CAPACITY);
    let mut receiver = options.create(name).unwrap();
    orders(|_, _| {
        assert_eq!(why(receiver.recv_timeout(10 * MOMENT)), "Timeout");
        say(&threads().to_string());
    });
}

/// Under Windows a thread can wait for 64 processes at most.
#[test]
fn owner_of_many_senders_starts_few_threads() {
    let (mut test, name) = start("many-threads");
    let most: usize = senders().iter().sum();
    let mut owner = child(&mut test, "many-threads", &[&name, &most.to_string()]);
    let mut threads = || {
        owner.tell("count");
        owner.hear().parse::<usize>().unwrap()
    };
    let before = threads();
    let senders: Vec<Sender> = (0..most).map(|_| Sender::open(&*name).unwrap()).collect();
    let started = threads() - before;
    assert!(started <= 20, "{started} threads");
    drop(senders);
}

/// A program maps only the lanes of the senders that there are, so programs of 32 bits can use lanes
/// of more than 4 GiB in all.
#[test]
fn lanes_may_exceed_the_address_space() {
    let (mut test, name) = start("many-bytes");
    let options = Receiver::options().senders(100).capacity(64 << 20);
    let mut receiver = options.create(&*name).unwrap();
    let mut children = [(); 2].map(|()| child(&mut test, "many-senders", &[&name, "1"]));
    for (number, child) in children.iter_mut().enumerate() {
        child.tell(&format!("send {number}"));
        assert_eq!(receiver.recv().unwrap(), (number as u64).to_le_bytes());
        child.expect("sent");
    }
}

/// The bits of the sleepers lie in several words.
// layout: L087 L092 L252
#[test]
fn publisher_wakes_sleepers_of_every_word() {
    const SLEEPERS: usize = 130;
    let (_test, name) = start("many-topic");
    let options = Publisher::options().subscribers(SLEEPERS);
    let mut publisher = options.capacity(CAPACITY).create(&*name).unwrap();
    let open = || Subscriber::open(&*name).unwrap();
    let subscribers: Vec<Subscriber> = (0..SLEEPERS).map(|_| open()).collect();
    std::thread::scope(|scope| {
        for mut subscriber in subscribers {
            scope.spawn(move || assert_eq!(subscriber.recv().unwrap(), b"awake"));
        }
        eventually("all subscribers sleep", || {
            others(&name).iter().all(|one| one.asleep)
        });
        publisher.send(b"awake").unwrap();
    });
    assert!(others(&name).is_empty());
}
