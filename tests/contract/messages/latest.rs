//! Values: one writer that never waits, and many readers of the newest value.

use super::*;
use crate::common::{refused, start};
use shmkit::ErrorKind::{AlreadyExists, InvalidArgument, NotFound, WrongKind};
use shmkit::inspect::segment_info;
use shmkit::{GetError, Reader, Writer};
use std::thread::scope;

fn table(name: &str, keys: &[&str]) -> Writer {
    let options = Writer::options().names(keys.iter().copied());
    options.max_value(LONGEST).create(name).unwrap()
}

#[test]
fn reader_gets_only_the_newest_value() {
    let (_test, name) = start("newest");
    let mut writer = Writer::create(&*name).unwrap();
    let mut early = Reader::open(&*name).unwrap();
    assert_eq!([writer.max_value(), early.max_value()], [1024; 2]);
    assert_eq!(why(early.get()), "NotSet");
    assert_eq!(early.version(0), 0);
    for n in 0..2000 {
        let text = message(0, n, 1024);
        writer.set(&text).unwrap();
        assert_eq!(early.get().unwrap(), text);
        assert_eq!(early.get().unwrap(), text);
        if n % 100 == 0 {
            let mut late = Reader::open(&*name).unwrap();
            assert_eq!(late.get().unwrap(), text);
        }
    }
    writer.set(b"").unwrap();
    assert_eq!(early.get().unwrap(), b"");
    let long = why(writer.set(&[0; 1025]));
    assert_eq!(long, "TooLong { len: 1025, max: 1024 }");
    assert_eq!(early.get().unwrap(), b"");
    // The last value stays readable after the writer has closed.
    drop(writer);
    assert_eq!(early.get().unwrap(), b"");
    drop(early);
    refused(NotFound, Reader::open(&*name));
}

#[test]
fn table_values_have_names_and_indices() {
    let (_test, name) = start("table");
    let keys: Vec<String> = (0..10_000).map(|n| format!("key {n}")).collect();
    let options = Writer::options().names(keys.clone()).max_value(16);
    let mut writer = options.create(&*name).unwrap();
    let mut reader = Reader::open(&*name).unwrap();
    let before = segment_info(&*name).unwrap().owner.sent;
    assert_eq!(reader.names(), keys);
    assert_eq!(writer.names(), keys);
    assert_eq!(reader.index("key 10000"), None);
    for n in [0, 1, 77, 9_999] {
        let index = reader.index(&keys[n]).unwrap();
        assert_eq!(index, n);
        assert_eq!(why(reader.get_at(index)), "NotSet");
        writer.set_at(n, keys[n].as_bytes()).unwrap();
        assert_eq!(reader.get_at(index).unwrap(), keys[n].as_bytes());
        assert_eq!(reader.try_change().unwrap(), n);
        assert_eq!(why(reader.try_change()), "Empty");
    }
    let info = segment_info(&*name).unwrap();
    assert_eq!((info.values, info.max_message), (10_000, 16));
    assert_eq!(info.owner.sent - before, 4);
}

// layout: L075 L176
#[test]
fn invalid_table_options_are_refused() {
    let (_test, name) = start("refused");
    let options = Writer::options();
    let bad = [
        options.clone().names(Vec::<String>::new()),
        options.clone().names([""]),
        options.clone().names(["x".repeat(64)]),
        options.clone().names(["twice", "once", "twice"]),
        options.clone().max_value(u64::MAX),
        options.clone().max_value((16 << 20) + 1),
        options
            .clone()
            .names((0..1000).map(|n| n.to_string()))
            .max_value(16 << 20),
    ];
    for options in bad {
        refused(InvalidArgument, options.create(&*name));
    }
    let writer = options.names(["x".repeat(63)]).create(&*name).unwrap();
    refused(AlreadyExists, Writer::create(&*name));
    refused(WrongKind, Sender::open(&*name));
    refused(WrongKind, Subscriber::open(&*name));
    drop(writer);
    let _queue = queue(&name);
    refused(WrongKind, Reader::open(&*name));
}

// layout: L097 L139 L140
#[test]
fn every_change_is_reported_and_wakes_readers() {
    let (_test, name) = start("changes");
    let mut writer = table(&name, &["a", "b", "c"]);
    writer.set_at(0, b"before").unwrap();
    let mut reader = Reader::open(&*name).unwrap();
    // A value that was set before the reader opened is no change.
    assert_eq!(why(reader.try_change()), "Empty");
    assert_eq!(why(reader.wait_change_timeout(MOMENT)), "Timeout");
    for index in [2, 2, 0] {
        writer.set_at(index, b"x").unwrap();
    }
    assert_eq!([2, 2, 0].map(|_| reader.try_change().unwrap()), [2, 2, 0]);
    for _ in 0..5 {
        scope(|scope| {
            let waiter = scope.spawn(|| reader.wait_change().unwrap());
            until_asleep(&name, std::process::id());
            writer.set_at(1, b"y").unwrap();
            assert_eq!(waiter.join().unwrap(), 1);
        });
    }
    // More changes than are reported one by one.
    for n in 0..3000 {
        writer.set_at(n % 2, b"z").unwrap();
    }
    let all: Vec<usize> = (0..3).map(|_| reader.try_change().unwrap()).collect();
    assert_eq!(all, [0, 1, 2]);
    writer.set_at(2, b"last").unwrap();
    drop(writer);
    assert_eq!(reader.wait_change().unwrap(), 2);
    assert_eq!(why(reader.wait_change()), "Disconnected(Closed)");
    assert_eq!(why(reader.try_change()), "Disconnected(Closed)");
    assert_eq!(reader.get_at(2).unwrap(), b"last");
}

#[test]
fn readers_of_busy_writer_see_whole_values() {
    let (mut test, name) = start("hot");
    let mut writer = table(&name, &["a", "b"]);
    let mut readers = children(&mut test, 2, |_| {
        TestChild::spawn("messages/reader", &[&name])
    });
    for reader in &mut readers {
        reader.expect("ready");
        assert_eq!(ask(reader, "watch"), "watching");
    }
    let mut numbers = 0..;
    eventually(
        "the writer has set enough values beside both readers",
        || {
            for n in numbers.by_ref().take(5000) {
                let text = message(0, n, LONGEST as usize);
                writer.set_at(n as usize % 2, &text).unwrap();
            }
            let info = segment_info(&*name).unwrap();
            info.others.is_some_and(|others| others.len() == 2) && numbers.start > 100_000
        },
    );
    drop(writer);
    for reader in readers {
        let mut reader = reader;
        reader.expect("Disconnected(Closed)");
        assert!(reader.finish().success());
    }
}

#[test]
fn killed_writer_wakes_reader_and_leaves_values() {
    let (mut test, name) = start("killed");
    for _ in 0..5 {
        let mut writer = child(&mut test, "writer", &[&name]);
        let mut reader = Reader::open(&*name).unwrap();
        assert_eq!(ask(&mut writer, "set 500"), "set");
        assert_eq!(reader.wait_change_timeout(Duration::MAX).unwrap(), 0);
        scope(|scope| {
            let waiter = scope.spawn(|| {
                loop {
                    if let Err(end) = reader.wait_change() {
                        break (
                            format!("{end:?}"),
                            whole(reader.get().unwrap(), LONGEST as usize),
                        );
                    }
                }
            });
            until_asleep(&name, std::process::id());
            writer.kill();
            assert_eq!(
                waiter.join().unwrap(),
                ("Disconnected(Died)".to_string(), (0, 499))
            );
        });
        drop(reader);
    }
}

/// A reader that is killed while it holds a value slot does not block the writer.
// layout: L138
#[test]
fn killed_readers_do_not_block_writer() {
    let (mut test, name) = start("killed-readers");
    let mut writer = table(&name, &["a", "b"]);
    writer.set_at(0, &message(0, 0, LONGEST as usize)).unwrap();
    let mut numbers = 1..;
    for round in 0..if cfg!(windows) { 5 } else { 40 } {
        let mut reader = child(&mut test, "reader", &[&name]);
        assert_eq!(ask(&mut reader, "watch"), "watching");
        for n in numbers.by_ref().take(500 + 97 * round) {
            writer.set_at(0, &message(0, n, LONGEST as usize)).unwrap();
        }
        reader.kill();
    }
    let mut last = Reader::open(&*name).unwrap();
    for n in numbers.take(200) {
        writer.set_at(0, &message(0, n, LONGEST as usize)).unwrap();
        assert_eq!(whole(last.get().unwrap(), LONGEST as usize), (0, n));
    }
}

pub fn serve_writer(name: &str) {
    let mut writer = table(name, &["a", "b"]);
    let mut numbers = 0..;
    orders(|word, n| match word {
        "set" => {
            for number in numbers.by_ref().take(n as usize) {
                writer.set(&message(0, number, LONGEST as usize)).unwrap();
            }
            say("set");
        }
        other => panic!("no order {other}"),
    });
}

/// Reads both values again and again, and asserts that each is whole and never gets older.
pub fn serve_reader(name: &str) {
    let mut reader = Reader::open(name).unwrap();
    let max = reader.max_value();
    orders(|word, _| match word {
        "watch" => {
            say("watching");
            let mut last = [0; 2];
            let end = loop {
                for (index, last) in last.iter_mut().enumerate() {
                    match reader.get_at(index) {
                        Ok(bytes) => {
                            let (_, number) = whole(bytes, max);
                            assert!(number >= *last, "{number} after {last}");
                            *last = number;
                        }
                        Err(GetError::NotSet) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                match reader.try_change() {
                    Ok(_) | Err(RecvError::Empty) => {}
                    Err(end) => break end,
                }
            };
            say(&format!("{end:?}"));
        }
        other => panic!("no order {other}"),
    });
}
