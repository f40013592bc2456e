//! The world around a writer or a reader.

use crate::walk::*;
use shmkit::ErrorKind::NotFound;
use shmkit::{GetError, Reader, RecvError, ValuesOptions, Writer};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

const LAST: u64 = 1000;

pub fn options() -> ValuesOptions {
    Writer::options().max_value(100)
}

pub fn value(n: u64) -> Vec<u8> {
    message(n, 60)
}

fn newest(reader: &mut Reader) -> u64 {
    number(reader.get().unwrap())
}

/// Checks that the next writer has the value before it from the start, and that an attached reader
/// and a new one read its next value.
fn goes_on(name: &str, reader: Option<Reader>, value_before: u64) {
    let mut writer = options().create(name).unwrap();
    let mut new = Reader::open(name).unwrap();
    let nothing = matches!(new.get(), Err(GetError::NotSet));
    assert_eq!(nothing, value_before == 0);
    if !nothing {
        assert_eq!(newest(&mut new), value_before);
    }
    writer.set(&value(LAST)).unwrap();
    for mut reader in reader.into_iter().chain([new]) {
        assert_eq!(newest(&mut reader), LAST);
    }
}

/// The world of a writer: a reader that waits for changes.
struct Watcher {
    name: String,
    /// Whether the reader waits only after the writer is dead.
    later: bool,
    go: Option<Sender<()>>,
    thread: Option<JoinHandle<(Reader, u64)>>,
    before: u64,
    after: u64,
}

fn watcher(name: &str, later: bool, before: u64, after: u64) -> Box<dyn World> {
    Box::new(Watcher {
        name: name.to_string(),
        later,
        go: None,
        thread: None,
        before,
        after,
    })
}

impl World for Watcher {
    fn ready(&mut self) {
        let mut reader = Reader::open(&*self.name).unwrap();
        assert_eq!(newest(&mut reader), 3);
        let (go, gone) = channel();
        self.go = Some(go);
        self.thread = Some(std::thread::spawn(move || {
            gone.recv().unwrap();
            let mut told = 3;
            loop {
                match reader.wait_change_timeout(LONG) {
                    Ok(_) => told = newest(&mut reader),
                    Err(RecvError::Disconnected(_)) => return (reader, told),
                    Err(error) => panic!("{error}"),
                }
            }
        }));
        if !self.later {
            self.go.take().unwrap().send(()).unwrap();
            until_asleep(&self.name);
        }
    }

    fn survive(mut self: Box<Self>) -> u64 {
        self.go.iter().for_each(|go| go.send(()).unwrap());
        let (mut reader, told) = self.thread.take().unwrap().join().unwrap();
        let now = newest(&mut reader);
        assert!((self.before..=self.after).contains(&now), "{now}");
        // The writer may die between storing a value and reporting its change.
        assert!(told <= now, "{told} was told");
        goes_on(&self.name, Some(reader), now);
        now
    }
}

/// The world of a first writer: there is no other participant yet.
struct Nobody(String);

fn nobody(name: &str) -> Box<dyn World> {
    Box::new(Nobody(name.to_string()))
}

impl World for Nobody {
    fn survive(self: Box<Self>) -> u64 {
        let absent = Reader::open(&*self.0).unwrap_err();
        assert_eq!(absent.kind(), NotFound, "{absent}");
        goes_on(&self.0, None, 0);
        0
    }
}

/// The world of the next writer: the first writer is dead, and a reader has its last value.
struct Heir {
    name: String,
    reader: Reader,
}

fn heir(name: &str) -> Box<dyn World> {
    let mut reader = None;
    dead_owner("values", name, || {
        reader = Some(Reader::open(name).unwrap());
    });
    Box::new(Heir {
        name: name.to_string(),
        reader: reader.unwrap(),
    })
}

impl World for Heir {
    fn survive(mut self: Box<Self>) -> u64 {
        // The second writer is dead as well, and no process holds the value that it has set.
        assert_eq!(newest(&mut self.reader), 3);
        goes_on(&self.name, Some(self.reader), 3);
        0
    }
}

/// The world of a reader that holds a value: the writer, and as many readers as there are guards.
struct Guarded {
    writer: Writer,
    readers: Vec<Reader>,
}

fn guarded(name: &str) -> Box<dyn World> {
    // A table of several values has the smallest number of guards.
    let mut writer = options().names(["one", "two"]).create(name).unwrap();
    writer.set(&value(3)).unwrap();
    let readers = (0..6).map(|_| Reader::open(name).unwrap()).collect();
    Box::new(Guarded { writer, readers })
}

impl World for Guarded {
    fn survive(mut self: Box<Self>) -> u64 {
        let mut held = Vec::new();
        for (n, reader) in (0..).zip(&mut self.readers) {
            self.writer.set(&value(n)).unwrap();
            // The guard of the dead reader is taken when no other one is free.
            held.push(reader.get_ref().unwrap());
        }
        for n in 0..100 {
            self.writer.set(&value(n)).unwrap();
        }
        for (n, held) in (0..).zip(&held) {
            assert_eq!(number(&held.to_vec()), n);
        }
        0
    }
}

/// The world of a reader: the writer, and another reader.
struct Source {
    name: String,
    writer: Writer,
    reader: Reader,
}

fn source(name: &str) -> Box<dyn World> {
    let mut writer = options().create(name).unwrap();
    writer.set(&value(3)).unwrap();
    let reader = Reader::open(name).unwrap();
    Box::new(Source {
        name: name.to_string(),
        writer,
        reader,
    })
}

impl World for Source {
    fn survive(mut self: Box<Self>) -> u64 {
        for n in 0..100 {
            self.writer.set(&value(n)).unwrap();
            assert_eq!(newest(&mut self.reader), n);
        }
        let mut new = Reader::open(&*self.name).unwrap();
        assert_eq!(newest(&mut new), 99);
        0
    }
}

/// The world of a reader that takes the guard of a dead reader: all guards are taken, and one of the
/// readers is dead.
fn robbed(name: &str) -> Box<dyn World> {
    let world = guarded(name);
    for _ in 0..6 {
        dead_owner("holder", name, || {});
    }
    world
}

#[test]
fn reader_killed_with_guard_leaves_it() {
    at_every_instruction("reader: hold", guarded);
}

#[test]
fn writer_killed_in_set_leaves_whole_value() {
    at_every_instruction("writer: store", |name| watcher(name, true, 3, 4));
    in_all_places("writer: store, and wake a reader", |name| {
        watcher(name, false, 3, 4)
    });
}

#[test]
fn writer_killed_in_lifecycle_frees_its_name() {
    in_all_places("writer: create", nobody);
    in_all_places("writer: take over", heir);
    in_all_places("writer: resize", |name| watcher(name, false, 3, 3));
    in_all_places("writer: close", |name| watcher(name, false, 3, 3));
}

#[test]
fn reader_killed_anywhere_never_blocks_writer() {
    at_every_instruction("reader: load", source);
    in_all_places("reader: open", source);
    in_all_places("reader: take a dead guard", robbed);
    in_all_places("reader: close", source);
}
