//! A source that is killed again and again, and workers that are killed, closed and resized: no job is
//! left out.

use super::sources::open;
use super::*;
use crate::common::start;
use shmkit::ErrorKind;
use std::sync::atomic::AtomicU64;

const KEY: u64 = 99;
/// How often a source or a worker ends.
const ROUNDS: u64 = 24;
/// What a worker is told to do.
const CLOSE: u64 = 1;
const RESIZE: u64 = 2;

/// The words that the source, the workers and the test share.
struct Shared(Words);

impl Shared {
    fn of(name: &str) -> Shared {
        Shared(Words::of(name))
    }

    /// How many jobs were received, in their order.
    fn count(&self) -> &AtomicU64 {
        self.0.done(0)
    }

    /// Whether a job was left out.
    fn has_gap(&self) -> &AtomicU64 {
        self.0.begun(0)
    }

    fn order(&self) -> &AtomicU64 {
        self.0.begun(1)
    }
}

fn create(name: &str, capacity: u64) -> Receiver {
    let options = Receiver::options().max_message(LONGEST).senders(64);
    restart::eventually_created(|| options.clone().capacity(capacity).create(name))
}

/// Sends jobs until it is killed, each with its number.
pub fn serve_source(name: &str) {
    let mut sender = loop {
        match open(name, KEY) {
            Ok(sender) => break sender,
            Err(error) => {
                let passes = matches!(error.kind(), ErrorKind::Busy | ErrorKind::NotFound);
                assert!(passes, "{error}");
            }
        }
    };
    say("ready");
    let mut number = sender.last_number().map_or(0, |last| last + 1);
    loop {
        match sender.send_numbered(number, &number.to_le_bytes()) {
            Ok(()) => number += 1,
            Err(SendError::Disconnected(_)) => {
                sender.wait_for_receiver(Duration::from_secs(600)).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Receives jobs until it is killed, or told to close.
pub fn serve_worker(name: &str) {
    let shared = Shared::of(name);
    let mut receiver = create(name, CAPACITY);
    say("ready");
    let mut capacity = CAPACITY;
    while shared.order().load(SeqCst) != CLOSE {
        let order = shared.order();
        if order.compare_exchange(RESIZE, 0, SeqCst, SeqCst).is_ok() {
            capacity = 3 * CAPACITY - capacity;
            let options = Receiver::options().max_message(LONGEST).senders(64);
            receiver.resize(&options.capacity(capacity)).unwrap();
        }
        let (place, job) = match receiver.recv_ahead_timeout(MOMENT) {
            Ok((place, bytes)) => (place, u64::from_le_bytes(bytes.try_into().unwrap())),
            Err(RecvError::Timeout | RecvError::Disconnected(_)) => continue,
            Err(error) => panic!("{error}"),
        };
        let count = shared.count().load(SeqCst);
        // A job that was not released comes again.
        shared.has_gap().fetch_or(u64::from(job > count), SeqCst);
        shared.count().fetch_max(job + 1, SeqCst);
        receiver.release_to(place);
    }
    drop(receiver);
    shared.order().store(0, SeqCst);
    say("closed");
}

// layout: L317 L319 L321 L322
#[test]
fn killed_bridge_leaves_no_job_out() {
    let (mut test, name) = start("bridge");
    let shared = Shared::of(&name);
    let mut random = Random::new();
    let mut worker = child(&mut test, "bridge-worker", &[&name]);
    // Each of these keeps its generation: otherwise a generation is gone when source and worker are
    // killed together, with its jobs and numbers.
    let mut keepers = vec![Sender::open(&*name).unwrap()];
    let mut source = child(&mut test, "bridge", &[&name]);
    for _ in 0..ROUNDS {
        let before = shared.count().load(SeqCst);
        let least = before + 1 + random.below(50);
        eventually("the worker goes on", || {
            shared.count().load(SeqCst) >= least
        });
        random.pause();
        match random.below(5) {
            0 => {
                let before = generation(&name);
                shared.order().store(RESIZE, SeqCst);
                eventually("it is resized", || generation(&name) > before);
            }
            1 => {
                shared.order().store(CLOSE, SeqCst);
                worker.expect("closed");
                worker = child(&mut test, "bridge-worker", &[&name]);
            }
            2 => {
                worker.kill();
                shared.order().store(0, SeqCst);
                worker = child(&mut test, "bridge-worker", &[&name]);
            }
            3 => {
                source.kill();
                source = child(&mut test, "bridge", &[&name]);
            }
            _ => {
                source.kill();
                worker.kill();
                shared.order().store(0, SeqCst);
                worker = child(&mut test, "bridge-worker", &[&name]);
                source = child(&mut test, "bridge", &[&name]);
            }
        }
        keepers.push(Sender::open(&*name).unwrap());
        assert_eq!(shared.has_gap().load(SeqCst), 0);
    }
    source.kill();
    let sent = eventually_open(&name).last_number().unwrap() + 1;
    eventually("every job is received", || {
        shared.count().load(SeqCst) >= sent
    });
    assert_eq!(shared.count().load(SeqCst), sent);
    assert_eq!(shared.has_gap().load(SeqCst), 0);
}

fn generation(name: &str) -> u32 {
    shmkit::inspect::segment_info(name).unwrap().generation
}

/// Opens the key, whose last sender was just killed.
fn eventually_open(name: &str) -> Sender {
    let mut sender = None;
    eventually("the key is free", || {
        sender = open(name, KEY).ok();
        sender.is_some()
    });
    sender.unwrap()
}
