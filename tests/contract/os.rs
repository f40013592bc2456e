//! Tests of sections on every system. This file runs unchanged on Linux, on Windows and under Wine,
//! and uses only the public interface.

mod lifetime;

use crate::common::{
    self, TestChild, gone, hear, is_one_namespace, listed, may_create_global, prefixes, refused,
    say, start, step,
};
use shmkit::inspect::Backing;
use shmkit::{Error, ErrorKind as Kind, Name, Operation, Origin, Section};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::{AcqRel, Release};

const TEXT: &str = "Message from first process.";
/// Each round may take 10 ms on a loaded machine.
const ROUNDS: u64 = 2_000;
const GIB: u64 = 1 << 30;

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    {
        let name = args[0];
        let held = match role {
            "idle" => None,
            "create" => Some(with_text(name)),
            "read" => Some(open(name)),
            "file" => Some(Section::options().open_file(name).unwrap()),
            "race" => {
                say("ready");
                hear();
                let (section, origin) = Section::open_or_create(name, 4096).unwrap();
                say(&format!("{origin:?}"));
                Some(section)
            }
            "inherit" => Some(inherit(name)),
            "fault" => {
                let view = open(name).map(..).unwrap();
                say("storing");
                // SAFETY: none. The memory is read-only, so the process ends here, as the parent
                // expects.
                return unsafe { view.as_ptr().cast_mut().write_volatile(1) };
            }
            "pong" => return pong(name),
            "storm" => return storm(name),
            other => panic!("no role {other}"),
        };
        say(&held.as_ref().map_or("idle".into(), text));
        while hear().is_some() {}
    }
}

fn inherit(number: &str) -> Section {
    let section = Section::from_owned(common::inherited(number)).unwrap();
    say(section.name().map_or("none", Name::base));
    section
}

fn pong(name: &str) {
    let view = Section::open_rw(name).unwrap().map_rw(..).unwrap();
    let (ping, pong) = (view.cell_u32(0).unwrap(), view.atomic_u64(64).unwrap());
    say("ready");
    for n in 1..=ROUNDS {
        await_step(n, || ping.load().into());
        view.write_value(129, &n).unwrap();
        pong.store(n, Release);
    }
}

/// Spins until a cell that counts up by one reaches `n`.
fn await_step(n: u64, load: impl Fn() -> u64) {
    loop {
        match load() {
            // On a loaded machine a turn may take long and use hardly any processor time.
            now if now == n => return step(),
            now => assert_eq!(now, n - 1, "a step was lost or came early"),
        }
        std::thread::yield_now();
    }
}

fn storm(name: &str) {
    say("ready");
    loop {
        let section = open(name);
        assert_eq!(text(&section), TEXT);
        refused(Kind::AlreadyExists, Section::create_new(name, 1));
        if bytes(&section, 100, 1) != [0] {
            return;
        }
    }
}

#[track_caller]
fn assert_gone(name: &str) {
    gone(|| Section::open(name));
}

#[track_caller]
fn open(name: &str) -> Section {
    Section::open(name).unwrap()
}

fn create(name: &str, len: u64) -> Section {
    let section = Section::create_new(name, len).unwrap();
    let all = bytes(&section, 0, len as usize);
    assert!(all.iter().all(|b| *b == 0), "a new section is zero");
    section
}

fn reserve(name: &str, len: u64) -> Section {
    let options = Section::options().reserve(true);
    options.create_new(name, len).unwrap()
}

fn with_text(name: &str) -> Section {
    let section = create(name, 4096);
    put(&section, 0, TEXT);
    section
}

fn put(section: &Section, offset: u64, what: impl AsRef<[u8]>) {
    let what = what.as_ref();
    let view = section.map_rw(offset..offset + what.len() as u64);
    view.unwrap().write(0, what).unwrap();
}

fn text(section: &Section) -> String {
    String::from_utf8(bytes(section, 0, TEXT.len())).unwrap()
}

fn bytes(section: &Section, offset: u64, len: usize) -> Vec<u8> {
    let view = section.map(offset..offset + len as u64).unwrap();
    let mut found = vec![0xEE; len];
    view.read(0, &mut found).unwrap();
    found
}

fn look(section: &Section, offset: u64, len: usize) -> Vec<u8> {
    let mut found = vec![0xEE; len];
    section.read_at(offset, &mut found).unwrap();
    found
}

/// Returns bytes that differ between neighbours, between pages, and between places 4 GiB apart.
fn pattern(from: u64, len: usize) -> Vec<u8> {
    let byte = |at: u64| (at ^ at >> 8 ^ at >> 16 ^ at >> 32) as u8;
    (from..from + len as u64).map(byte).collect()
}

// layout: L016 L219
#[test]
fn create_of_existing_section_changes_nothing() {
    let (_test, name) = start("taken");
    let section = with_text(&name);
    for len in [1, 4096, 1 << 20] {
        let error = refused(Kind::AlreadyExists, Section::create_new(&name, len));
        assert!(error.to_string().contains(&name), "{error}");
    }
    assert_eq!(text(&section), TEXT);
    assert_eq!(section.len().unwrap(), 4096);
}

#[test]
fn open_or_create_reports_section_origin() {
    let (mut test, name) = start("which");
    assert_gone(&name);
    refused(Kind::NotFound, Section::open_rw(&name));
    assert!(listed(&mut test, &name).is_none(), "opening never creates");
    let (first, origin) = Section::open_or_create(&name, 5000).unwrap();
    assert_eq!(origin, Origin::Created);
    assert_eq!(bytes(&first, 0, 5000), [0; 5000]);
    put(&first, 0, TEXT);
    let (second, origin) = Section::open_or_create(&name, 4000).unwrap();
    assert_eq!(origin, Origin::Opened);
    assert!(second.is_writable());
    refused(Kind::OutOfBounds, Section::open_or_create(&name, 1 << 20));
    assert_eq!(text(&second), TEXT);
}

#[test]
fn one_of_racing_threads_creates_section() {
    let (_test, stem) = start("threads");
    for round in 0..20 {
        let name = format!("{stem}-{round}");
        let race = || Section::open_or_create(&name, 4096).unwrap();
        let all: Vec<(Section, Origin)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let created = all.iter().filter(|(_, o)| *o == Origin::Created);
        assert_eq!(created.count(), 1);
        put(&all[3].0, 0, TEXT);
        assert!(all.iter().all(|(s, _)| text(s) == TEXT));
    }
}

// layout: L016 L219
#[test]
fn one_of_racing_processes_creates_section() {
    let (mut test, name) = start("processes");
    let mut racers: Vec<_> = (0..4).map(|_| test.child("os/race", &[&name])).collect();
    racers.iter_mut().for_each(|r| r.expect("ready"));
    racers.iter_mut().for_each(|r| r.tell("go"));
    let mut said: Vec<String> = racers.iter_mut().map(|r| r.hear()).collect();
    said.sort();
    assert_eq!(said, ["Created", "Opened", "Opened", "Opened"]);
    assert!(racers.into_iter().all(|r| r.finish().success()));
    assert_gone(&name);
}

#[test]
fn refused_length_leaves_name_free() {
    let (_test, name) = start("length");
    let path = std::env::temp_dir().join(&name);
    let reserved = Section::options().reserve(true);
    for len in [0, i64::MAX as u64 + 1, u64::MAX] {
        for result in [
            Section::create_new(&name, len),
            Section::open_or_create(&name, len).map(|(s, _)| s),
            reserved.create_new(&name, len),
            reserved.create_new_file(&path, len),
        ] {
            assert_eq!(refused(Kind::InvalidArgument, result).code(), None);
        }
    }
    let error = Section::create_new(&name, 1 << 62).unwrap_err();
    let kinds = [Kind::NoSpace, Kind::InvalidArgument];
    assert!(kinds.contains(&error.kind()), "{error}");
    assert!(!error.advice().is_empty(), "{error}");
    assert_gone(&name);
    assert!(!path.exists());
    create(&name, 1);
}

// layout: L017 L218
#[test]
fn only_creator_knows_requested_length() {
    let (_test, name) = start("pages");
    let creator = create(&name, 256);
    let info = creator.info().unwrap();
    assert_eq!(creator.len().unwrap(), 256);
    assert_eq!(info.requested_len, Some(256));
    assert!(info.kernel_len >= 256 && info.reserved == Some(false));
    assert_eq!(creator.map(..).unwrap().len(), 256);
    let opener = open(&name);
    let seen = opener.info().unwrap();
    assert_eq!(seen.requested_len, None);
    assert_eq!(seen.kernel_len, info.kernel_len);
    assert_eq!(opener.len().unwrap(), info.kernel_len);
    assert_eq!(opener.map(..).unwrap().len() as u64, info.kernel_len);
    assert!(seen.backing.is_none_or(|b| b == Backing::Memory));
}

#[test]
fn range_beyond_section_is_out_of_bounds() {
    let (_test, name) = start("range");
    let section = create(&name, 5000);
    let (end, back) = (5000, 8);
    for range in [end..5001, 4999..5001, 6000..7000, 0..1 << 40, 1..u64::MAX] {
        refused(Kind::OutOfBounds, section.map(range.clone()));
        refused(Kind::OutOfBounds, section.map_rw(range.clone()));
        refused(Kind::OutOfBounds, section.map_copy_on_write(range));
    }
    refused(Kind::OutOfBounds, section.map(..=u64::MAX));
    for at in [4999, 5000, 1 << 40, u64::MAX - 1, u64::MAX] {
        refused(Kind::OutOfBounds, section.read_at(at, &mut [0; 2]));
    }
    for empty in [7..7, 9..back, end..5000] {
        refused(Kind::InvalidArgument, section.map(empty));
    }
}

// layout: L221
#[test]
fn unaligned_views_show_expected_bytes() {
    let (_test, name) = start("places");
    let section = create(&name, 210_001);
    put(&section, 0, pattern(0, 210_001));
    let reader = open(&name);
    for offset in [0, 1, 4095, 4096, 65_535, 65_536, 70_001, 131_071] {
        for len in [1, 2, 4095, 4096, 4097, 65_535, 65_537, 70_001] {
            let want = pattern(offset, len);
            assert_eq!(bytes(&reader, offset, len), want, "{offset} {len}");
            assert_eq!(look(&reader, offset, len), want, "{offset} {len}");
        }
        put(&section, offset + 1, "!");
        assert_eq!(bytes(&reader, offset + 1, 1), b"!");
        put(&section, offset + 1, pattern(offset + 1, 1));
    }
}

#[test]
fn view_beyond_four_gibibytes_shares_memory() {
    let (_test, name) = start("large");
    let section = reserve(&name, 5 * GIB);
    let (start, len) = (4 * GIB + 70_001, 70_001);
    let want = pattern(start, len);
    section.commit(start..start + len as u64).unwrap();
    put(&section, start, &want);
    let other = open(&name);
    assert_eq!(other.len().unwrap(), 5 * GIB);
    assert_eq!(bytes(&other, start, len), want);
    assert_eq!(look(&other, start, len), want);
    // The same offset without its upper half is other memory.
    assert_eq!(look(&other, start - 4 * GIB, len), vec![0; len]);
}

#[test]
fn commit_checks_bounds_and_preserves_content() {
    let (_test, name) = start("commit");
    let section = reserve(&name, 1 << 20);
    for range in [0..(1 << 20) + 1, 1 << 20..2 << 20, 1 << 40..1 << 41] {
        refused(Kind::OutOfBounds, section.commit(range));
    }
    section.commit(0..70_000).unwrap();
    put(&section, 0, pattern(0, 70_000));
    section.commit(..).unwrap();
    assert_eq!(bytes(&section, 0, 70_000), pattern(0, 70_000));
    assert_eq!(bytes(&section, 500_000, 1), [0]);
}

#[test]
fn read_at_returns_zeros_for_uncommitted_memory() {
    let (_test, name) = start("reserved");
    let section = reserve(&name, 1 << 20);
    section.commit(65_536..131_072).unwrap();
    put(&section, 65_536, [7; 65_536]);
    let reader = open(&name);
    let mut want = vec![0; 1 << 20];
    want[65_536..131_072].fill(7);
    assert_eq!(look(&reader, 0, 1 << 20), want);
    assert_eq!(reader.info().unwrap().reserved, Some(true));
    let beyond = reader.map(..).unwrap().read(131_071, &mut [0; 2]);
    match cfg!(windows) {
        true => drop(refused(Kind::NotCommitted, beyond)),
        false => beyond.unwrap(),
    }
}

#[test]
fn read_only_section_refuses_writes() {
    let (mut test, name) = start("readonly");
    let section = with_text(&name);
    let reader = open(&name);
    assert!(section.is_writable() && !reader.is_writable());
    refused(Kind::ReadOnly, reader.map_rw(..));
    refused(Kind::ReadOnly, reader.commit(..));
    let mut child = test.child("os/fault", &[&name]);
    child.expect("storing");
    assert!(!child.finish().success(), "the processor refuses too");
    assert_eq!(text(&reader), TEXT);
    put(&Section::open_rw(&name).unwrap(), 0, "m");
    assert_eq!(bytes(&reader, 0, 2), b"me");
}

#[test]
fn copy_on_write_stores_stay_private() {
    let (_test, name) = start("cow");
    let section = create(&name, 3 * 65_536);
    let private = open(&name).map_copy_on_write(..).unwrap();
    let other = section.map_copy_on_write(..).unwrap();
    private.write(10, b"mine").unwrap();
    put(&section, 65_536, "live");
    assert_eq!(&private.read_value::<[u8; 4]>(10).unwrap(), b"mine");
    let untouched = private.read_value::<[u8; 4]>(65_536).unwrap();
    assert_eq!(&untouched, b"live", "untouched pages are shared");
    assert_eq!(bytes(&section, 10, 4), [0; 4]);
    assert_eq!(other.read_value::<[u8; 4]>(10).unwrap(), [0; 4]);
}

#[test]
fn two_views_share_their_atomics() {
    let (_test, name) = start("atomics");
    let one = create(&name, 8192).map_rw(..).unwrap();
    let other = Section::open_rw(&name).unwrap();
    let other = other.map_rw(4096..).unwrap();
    assert_ne!(one.as_ptr().wrapping_add(4096), other.as_ptr());
    let count = |view: &shmkit::Mapping<_>, at| {
        for _ in 0..50_000 {
            view.atomic_u32(at).unwrap().fetch_add(1, AcqRel);
            view.atomic_u64(at + 8).unwrap().fetch_add(1 << 32, AcqRel);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| count(&one, 4096));
        scope.spawn(|| count(&other, 0));
    });
    assert_eq!(one.cell_u32(4096).unwrap().load(), 100_000);
    assert_eq!(other.cell_u64(8).unwrap().load(), 100_000 << 32);
}

#[test]
fn misaligned_or_outside_cells_are_refused() {
    let (_test, name) = start("cells");
    let section = create(&name, 4096);
    let view = section.map_rw(..1000).unwrap();
    let (odd, out) = (Some(Kind::InvalidArgument), Some(Kind::OutOfBounds));
    let small = [(0, None), (996, None), (2, odd), (1000, out)];
    let big = [(0, None), (992, None), (4, odd), (usize::MAX - 7, out)];
    for ((small_at, small), (big_at, big)) in small.into_iter().zip(big) {
        let kind = |e: Error| e.kind();
        assert_eq!(view.atomic_u32(small_at).err().map(kind), small);
        assert_eq!(view.cell_u32(small_at).err().map(kind), small);
        assert_eq!(view.atomic_u64(big_at).err().map(kind), big);
        assert_eq!(view.cell_u64(big_at).err().map(kind), big);
    }
    // The address must be aligned, not the offset in the view.
    let shifted = section.map(2..1000).unwrap();
    refused(Kind::InvalidArgument, shifted.cell_u32(0));
    shifted.cell_u32(2).unwrap();
}

#[test]
fn copies_across_view_end_are_refused() {
    let (_test, name) = start("edges");
    let section = create(&name, 4096);
    let view = section.map_rw(..100).unwrap();
    view.write(0, &[1; 100]).unwrap();
    view.read(99, &mut [0]).unwrap();
    view.read(100, &mut []).unwrap();
    for at in [92, 91, 89, 88] {
        view.write_value(at, &1.5f64).unwrap();
        assert_eq!(view.read_value::<f64>(at).unwrap(), 1.5);
    }
    for at in [99, 100, 101, 4096, usize::MAX - 1, usize::MAX] {
        refused(Kind::OutOfBounds, view.read(at, &mut [0; 2]));
        refused(Kind::OutOfBounds, view.write(at, &[9; 2]));
        refused(Kind::OutOfBounds, view.read_value::<u16>(at));
        refused(Kind::OutOfBounds, view.write_value(at, &9u16));
    }
    // A copy that does not fit is refused as a whole.
    let mut to = [5; 101];
    refused(Kind::OutOfBounds, view.read(0, &mut to));
    assert_eq!(to, [5; 101]);
    refused(Kind::OutOfBounds, view.write(60, &[9; 41]));
    assert_eq!(bytes(&section, 0, 88), [1; 88]);
    assert_eq!(bytes(&section, 100, 50), [0; 50]);
}

#[test]
fn stores_are_visible_between_two_processes() {
    let (mut test, name) = start("pingpong");
    let section = create(&name, 4096);
    let (writing, reading) = (section.map_rw(..).unwrap(), section.map(..).unwrap());
    let ping = writing.atomic_u32(0).unwrap();
    let pong = reading.cell_u64(64).unwrap();
    let mut child = test.child("os/pong", &[&name]);
    child.expect("ready");
    for n in 1..=ROUNDS {
        ping.store(n as u32, Release);
        await_step(n, || pong.load());
        assert_eq!(reading.read_value::<u64>(129).unwrap(), n);
    }
    assert!(child.finish().success());
}
