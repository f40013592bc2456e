//! Values that a reader holds in place, while the writer goes on.

use super::typed::{Tick, tick};
use super::*;
use crate::common::{eventually, start};
use shmkit::{GetError, Reader, ValueRef, Writer};
use std::io::Read as _;
use std::sync::atomic::AtomicBool;
use std::thread::scope;

/// The guards of a table of several values.
const GUARDS: usize = 6;

fn table(name: &str) -> Writer {
    let options = Writer::options().names(["one", "two"]).max_value(4096);
    options.create(name).unwrap()
}

fn readers(name: &str, count: usize) -> Vec<Reader> {
    (0..count).map(|_| Reader::open(name).unwrap()).collect()
}

fn is_busy(reader: &mut Reader) -> bool {
    match reader.get_ref() {
        Ok(_) => false,
        Err(GetError::Busy) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Holds the first value, says so, and waits to be killed.
pub fn hold(name: &str) {
    let mut reader = Reader::open(name).unwrap();
    let held = reader.get_ref().unwrap();
    say("here");
    hear();
    drop(held);
}

// layout: L306 L307
#[test]
fn held_value_survives_ten_thousand_sets() {
    let (_test, name) = start("held");
    let mut writer = table(&name);
    let options = Writer::options().max_value(100);
    let mut single = options.create(format!("{name}-single")).unwrap();
    let mut readers = [
        Reader::open(&*name).unwrap(),
        Reader::open(format!("{name}-single")).unwrap(),
    ];
    writer.set_at(1, &message(0, 7, 4096)).unwrap();
    single.set(&message(0, 7, 100)).unwrap();

    let versions = [readers[0].version(1), readers[1].version(0)];
    let [of_table, of_single] = &mut readers;
    let held = [
        of_table.get_ref_at(1).unwrap(),
        of_single.get_ref().unwrap(),
    ];
    let before = [message(0, 7, 4096), message(0, 7, 100)];
    for n in 0..10_000 {
        writer.set_at(1, &message(1, n, 4096)).unwrap();
        single.set(&message(1, n, 100)).unwrap();
        if n % 100 == 0 {
            assert_eq!(held.each_ref().map(ValueRef::to_vec), before);
        }
    }
    assert_eq!(held.each_ref().map(ValueRef::to_vec), before);
    assert_eq!(held.each_ref().map(ValueRef::version), versions);
    drop(held);
    assert_eq!(
        of_table.get_ref_at(1).unwrap().to_vec(),
        message(1, 9_999, 4096)
    );
    assert_eq!(of_single.get().unwrap(), message(1, 9_999, 100));
}

#[test]
fn value_reference_reads_in_pieces() {
    let (_test, name) = start("pieces");
    let mut writer = table(&name);
    let mut reader = Reader::open(&*name).unwrap();
    assert_eq!(why(reader.get_ref()), "NotSet");
    for len in [0, 1, 7, 64, 1000, 4096] {
        let text: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
        writer.set(&text).unwrap();
        let mut held = reader.get_ref().unwrap();
        assert_eq!((held.len(), held.is_empty()), (len, len == 0));
        // SAFETY: this test does not write to the value while the slice exists.
        assert_eq!(unsafe { held.as_slice() }, text);
        let mut part = vec![0; len / 3];
        held.copy_to(len - part.len(), &mut part);
        assert_eq!(part, text[len - part.len()..]);
        held.read_exact(&mut part).unwrap();
        held.read_to_end(&mut part).unwrap();
        assert_eq!(part, text);
    }
    let held = reader.get_ref().unwrap();
    let beyond = || held.copy_to(4090, &mut [0; 7]);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(beyond)).is_err());
}

#[test]
fn typed_value_reference_returns_its_value() {
    let (_test, name) = start("typed-held");
    let mut writer = Writer::options().typed::<Tick>().create(&*name).unwrap();
    writer.set(&tick(6)).unwrap();
    let mut reader = Reader::options().typed::<Tick>().open(&*name).unwrap();
    let held = reader.get_ref().unwrap();
    for n in 0..1000 {
        writer.set(&tick(n)).unwrap();
    }
    assert_eq!(held.value(), tick(6));
    drop(held);
    // A writer of bytes can set a value of another length.
    let mut writer = writer.into_untyped();
    writer.set(b"short").unwrap();
    assert_eq!(why(reader.get_ref()), "Corrupt");
    let mut others = readers(&name, 62);
    let held: Vec<_> = others
        .iter_mut()
        .map(|one| one.get_ref().unwrap())
        .collect();
    assert_eq!(
        held.len(),
        62,
        "the reference of a wrong length has kept its guard"
    );
}

// layout: L303 L304
#[test]
fn reader_is_busy_when_guards_run_out() {
    let (_test, name) = start("busy");
    let mut writer = table(&name);
    let mut late = Reader::open(&*name).unwrap();
    let mut all = readers(&name, GUARDS);
    let mut held = Vec::new();
    for (n, reader) in (0..).zip(&mut all) {
        assert!(!is_busy_with(&mut writer, &mut late, n));
        held.push(reader.get_ref().unwrap());
    }
    for n in 100..200 {
        assert!(is_busy_with(&mut writer, &mut late, n));
        // A copy needs no guard.
        assert_eq!(late.get().unwrap(), message(0, n, 4096));
    }
    for (n, held) in (0..).zip(&held) {
        assert_eq!(held.to_vec(), message(0, n, 4096));
    }
    held.remove(3);
    assert!(!is_busy(&mut late));
}

/// Sets a value, and returns whether the reader finds no guard to hold it.
fn is_busy_with(writer: &mut Writer, reader: &mut Reader, n: u64) -> bool {
    writer.set(&message(0, n, 4096)).unwrap();
    is_busy(reader)
}

// layout: L308
#[test]
fn guards_of_killed_readers_are_free() {
    let (mut test, name) = start("killed-holders");
    let mut writer = table(&name);
    writer.set(b"first").unwrap();
    let mut all = readers(&name, GUARDS);
    let mut victims: Vec<TestChild> = (0..GUARDS)
        .map(|_| test.child("messages/hold", &[&name]))
        .collect();
    victims.iter_mut().for_each(|one| one.expect("here"));
    assert!(is_busy(&mut all[0]));
    for n in 0..100 {
        writer.set(&message(0, n, 4096)).unwrap();
    }
    victims.into_iter().for_each(TestChild::kill);

    let mut held = Vec::new();
    for reader in &mut all {
        // The system may prove a death a moment later.
        eventually("a guard is free", || !is_busy(reader));
        held.push(reader.get_ref().unwrap());
    }
    for n in 100..200 {
        writer.set(&message(0, n, 4096)).unwrap();
    }
    for held in held {
        assert_eq!(held.to_vec(), message(0, 99, 4096));
    }
}

/// A reader that ends releases its guard, also if its user has forgotten the reference.
// layout: L105 L305
#[test]
fn forgotten_reference_keeps_one_guard() {
    let (_test, name) = start("forgotten");
    let mut writer = table(&name);
    writer.set(b"first").unwrap();
    let mut all = readers(&name, GUARDS);
    for reader in &mut all {
        for _ in 0..10 {
            std::mem::forget(reader.get_ref().unwrap());
        }
    }
    let mut late = Reader::open(&*name).unwrap();
    assert!(is_busy(&mut late));
    drop(all);
    let mut all = readers(&name, GUARDS);
    all.iter_mut().for_each(|one| assert!(!is_busy(one)));
}

#[test]
fn observer_holds_a_copy() {
    let (_test, name) = start("observing-holder");
    let mut writer = table(&name);
    writer.set(b"first").unwrap();
    let mut observers: Vec<Reader> = (0..2 * GUARDS)
        .map(|_| Reader::options().observer(true).open(&*name).unwrap())
        .collect();
    let version = observers[0].version(0);
    let held: Vec<_> = observers
        .iter_mut()
        .map(|one| one.get_ref().unwrap())
        .collect();
    for _ in 0..100 {
        writer.set(b"later").unwrap();
    }
    for mut held in held {
        assert_eq!((held.len(), held.version()), (5, version));
        assert_eq!(held.to_vec(), b"first");
        // SAFETY: no other code uses the observer's copy.
        assert_eq!(unsafe { held.as_slice() }, b"first");
        let mut text = String::new();
        held.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first");
    }
}

/// The value that is held belongs to the generation in which it was held.
#[test]
fn held_value_outlives_its_writer() {
    let (_test, name) = start("held-restart");
    let mut writer = table(&name);
    writer.set(b"first").unwrap();
    let mut all = readers(&name, 3);
    let [resized, closed, restarted] = &mut all[..] else {
        unreachable!("there are three readers")
    };
    let held = resized.get_ref().unwrap();
    let options = Writer::options().names(["two", "one"]).max_value(100);
    writer.resize(&options).unwrap();
    let also_held = closed.get_ref_at(0).unwrap();
    drop(writer);
    let still_held = restarted.get_ref_at(0).unwrap();
    let mut writer = options.create(&*name).unwrap();
    for _ in 0..100 {
        writer.set_at(1, b"later").unwrap();
    }
    for held in [held, also_held, still_held] {
        assert_eq!(held.to_vec(), b"first");
    }
    for reader in &mut all {
        assert_eq!(reader.get_ref().unwrap().to_vec(), b"later");
    }
}

/// Readers hold and release the value of a writer that never pauses. Each value that they hold stays
/// as it was.
#[test]
fn busy_writer_changes_no_held_value() {
    let (_test, name) = start("held-soak");
    let mut writer = table(&name);
    writer.set(&message(0, 0, 4096)).unwrap();
    let done = AtomicBool::new(false);
    let mut all = readers(&name, GUARDS + 2);
    scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            for n in 1..20_000 {
                writer.set(&message(0, n, 4096)).unwrap();
            }
            done.store(true, SeqCst);
        });
        for reader in &mut all {
            scope.spawn(move || {
                while !done.load(SeqCst) {
                    let held = match reader.get_ref() {
                        Ok(held) => held,
                        Err(error) => {
                            assert!(matches!(error, GetError::Busy), "{error}");
                            continue;
                        }
                    };
                    let first = held.to_vec();
                    let (from, _) = whole(&first, 4096);
                    assert_eq!(from, 0);
                    for _ in 0..3 {
                        assert_eq!(held.to_vec(), first, "a held value changed");
                    }
                }
            });
        }
    });
}
