//! Tests of the kind and the owner of an object, and of the processes that use it, on every system.
//! This file runs unchanged on Linux, on Windows and under Wine, and uses only the public
//! interface.

mod processes;

use crate::common::{
    Test, TestChild, eventually, gone, hear, listed, refused, say, start, time_used,
};
use shmkit::ErrorKind::{
    AlreadyExists, InvalidArgument, NotFound, OutOfBounds, Unsupported, WrongKind, WrongOwner,
};
use shmkit::inspect::{Kind, ObjectInfo};
use shmkit::{
    Access, ErrorKind, Event, Liveness, Mutex, Owner, Process, ProcessIdentity, RawObject, Reset,
    Section, Wake,
};
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::scope;
use std::time::Duration;

const KINDS: [Kind; 3] = [Kind::Section, Kind::Event, Kind::Mutex];
const MOMENT: Duration = Duration::from_millis(1);
const IDLERS: usize = 100;

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    match (role, args) {
        ("idle", _) => idle(),
        ("hold", [name, kind]) => {
            let _held = open(KINDS[kind.parse::<usize>().unwrap()], name).unwrap();
            idle();
        }
        ("create", [name, kind]) => {
            let _held = create(KINDS[kind.parse::<usize>().unwrap()], name).unwrap();
            idle();
        }
        ("announce", [name]) => {
            let _alive = Liveness::announce(*name, Access::SameUser).unwrap();
            idle();
        }
        ("idlers", [name, peer]) => be_idle(name, &heard(peer).watch().unwrap()),
        other => panic!("no role {other:?}"),
    }
}

/// Sends the identity of this process to the parent, and ends at the next line of the parent.
fn idle() {
    let [first, second] = ProcessIdentity::current().unwrap().to_words();
    say(&format!("{first} {second}"));
    hear();
}

fn heard(words: &str) -> ProcessIdentity {
    let words: Vec<_> = words.split(' ').map(|word| word.parse().unwrap()).collect();
    ProcessIdentity::from_words(words.try_into().unwrap())
}

/// Starts a child that is idle in its role. Returns the child and its identity.
fn known(test: &mut Test, role: &str, args: &[&str]) -> (TestChild, ProcessIdentity) {
    let mut child = test.child(&format!("peers/{role}"), args);
    let identity = heard(&child.hear());
    (child, identity)
}

/// An object of any kind.
#[derive(Debug)]
enum Object {
    Section(Section),
    Event(Event),
    Mutex(Mutex),
}

impl Object {
    fn info(&self) -> ObjectInfo {
        match self {
            Object::Section(section) => section.info().unwrap().object,
            Object::Event(event) => event.info(),
            Object::Mutex(mutex) => mutex.info(),
        }
    }

    fn raw(&self) -> RawObject {
        match self {
            Object::Section(section) => section.as_raw(),
            Object::Event(event) => event.as_raw(),
            Object::Mutex(mutex) => mutex.as_raw(),
        }
    }
}

fn create(kind: Kind, name: &str) -> shmkit::Result<Object> {
    create_for(Access::default(), false, kind, name)
}

fn create_for(access: Access, heirs: bool, kind: Kind, name: &str) -> shmkit::Result<Object> {
    match kind {
        Kind::Section => {
            let options = Section::options().access(access).inheritable(heirs);
            options.create_new(name, 100).map(Object::Section)
        }
        Kind::Event => {
            let options = Event::options().access(access).inheritable(heirs);
            options.create_new(name, Reset::Auto).map(Object::Event)
        }
        _ => {
            let options = Mutex::options().access(access).inheritable(heirs);
            options.create_new(name).map(Object::Mutex)
        }
    }
}

fn open(kind: Kind, name: &str) -> shmkit::Result<Object> {
    match kind {
        Kind::Section => Section::open(name).map(Object::Section),
        Kind::Event => Event::open(name).map(Object::Event),
        _ => Mutex::open(name).map(Object::Mutex),
    }
}

/// Opens a name with `open` and with `open_or_create`. Both expect that the object belongs to
/// `owner`, or to this user without an `owner`.
fn open_of(owner: Option<&str>, kind: Kind, name: &str) -> [shmkit::Result<Object>; 2] {
    let owner = owner.map_or(Owner::Me, |account| Owner::Account(account.into()));
    match kind {
        Kind::Section => {
            let options = Section::options().expect_owner(owner);
            let either = options.open_or_create(name, 1).map(|(s, _)| s);
            [options.open(name), either].map(|made| made.map(Object::Section))
        }
        Kind::Event => {
            let options = Event::options().expect_owner(owner);
            let either = options.open_or_create(name, Reset::Auto).map(|(e, _)| e);
            [options.open(name), either].map(|made| made.map(Object::Event))
        }
        _ => {
            let options = Mutex::options().expect_owner(owner);
            let either = options.open_or_create(name).map(|(m, _)| m);
            [options.open(name), either].map(|made| made.map(Object::Mutex))
        }
    }
}

#[track_caller]
fn all_refused<T>(kind: ErrorKind, results: [shmkit::Result<T>; 2]) {
    for result in results {
        refused(kind, result);
    }
}

#[track_caller]
fn assert_gone(name: &str) {
    for kind in KINDS {
        gone(|| open(kind, name));
    }
}

fn event(name: &str) -> Event {
    Event::create_new(name, Reset::Auto).unwrap()
}

fn accounts(info: &ObjectInfo) -> usize {
    let who: BTreeSet<_> = info.grants.iter().map(|grant| &grant.account).collect();
    assert!(info.grants.iter().all(|grant| !grant.may.is_empty()));
    who.len()
}

#[test]
fn name_of_other_object_kind_is_refused() {
    let (_test, name) = start("kinds");
    // Each kind follows another kind, since a name that is gone is free for all kinds.
    for kind in KINDS.into_iter().chain(KINDS.into_iter().rev()) {
        let first = create(kind, &name).unwrap();
        let guard = match &first {
            Object::Section(section) => {
                section.map_rw(..).unwrap().write(0, b"mine").unwrap();
                None
            }
            Object::Event(event) => event.set().map(|()| None).unwrap(),
            Object::Mutex(mutex) => Some(mutex.lock().unwrap()),
        };
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            refused(WrongKind, create(other, &name));
            refused(WrongKind, open(other, &name));
            all_refused(WrongKind, open_of(None, other, &name));
        }
        refused(AlreadyExists, create(kind, &name));
        match open(kind, &name).unwrap() {
            Object::Section(section) => {
                let found = section.map(..4).unwrap().read_value::<[u8; 4]>(0);
                assert_eq!(&found.unwrap(), b"mine");
            }
            Object::Event(event) => assert!(event.try_wait().unwrap()),
            Object::Mutex(mutex) => scope(|scope| {
                scope.spawn(|| assert!(mutex.try_lock().unwrap().is_none()));
            }),
        }
        drop(guard);
        drop(first);
        assert_gone(&name);
    }
}

#[test]
fn one_racing_creator_of_any_kind_wins() {
    let (_test, stem) = start("race");
    for round in 0..300 {
        let name = format!("{stem}-{round}");
        let all_there = Barrier::new(6);
        let made: Vec<_> = scope(|scope| {
            let race = |n: usize| {
                let (name, all_there) = (&name, &all_there);
                scope.spawn(move || {
                    all_there.wait();
                    (KINDS[n % 3], create(KINDS[n % 3], name))
                })
            };
            let threads: Vec<_> = (0..6).map(race).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let won: Vec<_> = made.iter().filter(|(_, r)| r.is_ok()).collect();
        assert_eq!(won.len(), 1, "{made:?}");
        let won = won[0].0;
        open(won, &name).unwrap();
        for (kind, result) in made.iter().filter(|(_, result)| result.is_err()) {
            let want = if *kind == won {
                AlreadyExists
            } else {
                WrongKind
            };
            let error = result.as_ref().unwrap_err();
            assert_eq!(error.kind(), want, "{kind:?} against {won:?}: {error}");
        }
        drop(made);
        assert_gone(&name);
    }
}

#[test]
fn child_inherits_only_inheritable_objects() {
    let (mut test, name) = start("heir");
    for kind in KINDS {
        for heirs in [false, true] {
            // Runs in `spawning`, since any other child would inherit the object too.
            let child = test.spawning(|| {
                let object = create_for(Access::default(), heirs, kind, &name);
                if let Object::Event(event) = object.as_ref().unwrap() {
                    event.set().unwrap();
                }
                let mut child = TestChild::spawn("peers/idle", &[]);
                heard(&child.hear());
                child
            });
            match open(kind, &name) {
                Ok(Object::Event(event)) => assert!(heirs && event.try_wait().unwrap()),
                Ok(_) => assert!(heirs),
                result => assert!(!heirs, "{kind:?}: {:?}", refused(NotFound, result)),
            }
            assert!(child.finish().success(), "the child was alive until now");
            assert_gone(&name);
        }
    }
}

#[test]
fn object_reports_its_owner_and_rights() {
    let (_test, name) = start("access");
    for kind in KINDS {
        let mine = create(kind, &name).unwrap().info();
        assert!(mine.owner.is_some_and(|owner| !owner.is_empty()));
        assert!(
            mine.access
                .as_ref()
                .is_some_and(|access| !access.is_empty())
        );
        assert_eq!(mine.grants.len(), 1, "{:?}", mine.grants);
        assert!(!mine.grants[0].account.is_empty() && !mine.grants[0].may.is_empty());
        for access in [Access::UsersReadOnly, Access::InteractiveReadOnly] {
            let shared = create_for(access, false, kind, &name).unwrap().info();
            assert!(accounts(&shared) > 1, "{:?}", shared.grants);
            assert_ne!(shared.access, mine.access);
        }
    }
}

#[test]
fn invalid_or_unsupported_security_descriptor_is_refused() {
    let (_test, name) = start("sddl");
    for kind in KINDS {
        for (text, want) in [("D:P(A;;GA;;;WD)", None), ("no", Some(InvalidArgument))] {
            let made = create_for(Access::Sddl(text.into()), false, kind, &name);
            match want
                .filter(|_| cfg!(windows))
                .or((!cfg!(windows)).then_some(Unsupported))
            {
                Some(want) => drop(refused(want, made)),
                None => assert_eq!(accounts(&made.unwrap().info()), 1),
            }
            assert_gone(&name);
        }
    }
}

// layout: L202 L233
#[test]
fn object_of_unexpected_owner_is_refused() {
    let (_test, name) = start("owner");
    let other = if cfg!(windows) { "S-1-5-18" } else { "54321" };
    for kind in KINDS {
        refused(NotFound, open(kind, &name));
        let mine = create(kind, &name).unwrap();
        open_of(None, kind, &name)
            .into_iter()
            .for_each(|o| drop(o.unwrap()));
        // The part of the owner's text in brackets names the account too.
        let owner = mine.info().owner.unwrap();
        let me = owner
            .rsplit(['(', ' '])
            .next()
            .unwrap()
            .trim_end_matches(')');
        open_of(Some(me), kind, &name)
            .into_iter()
            .for_each(|o| drop(o.unwrap()));
        all_refused(WrongOwner, open_of(Some(other), kind, &name));
        let nobody = Some("shmkit-test-no-such-account");
        all_refused(InvalidArgument, open_of(nobody, kind, &name));
    }
}

// layout: L017 L177
#[test]
fn section_smaller_than_expected_is_refused() {
    let (_test, name) = start("len");
    let _section = Section::create_new(&*name, 5000).unwrap();
    for enough in [0, 1, 4096, 5000] {
        Section::options().expect_len(enough).open(&*name).unwrap();
    }
    for more in [1 << 20, u64::MAX] {
        let options = Section::options().expect_len(more);
        refused(OutOfBounds, options.open(&*name));
        refused(OutOfBounds, options.open_or_create(&*name, 1));
    }
}

#[test]
fn list_distinguishes_object_kinds() {
    let (mut test, name) = start("list");
    // The section in `Local\`: one in `Global\` takes a privilege on Windows.
    for (kind, prefix) in KINDS.into_iter().zip(["Local\\", "", "Global\\"]) {
        let name = format!("{prefix}{name}");
        let object = create(kind, &name).unwrap();
        let found = listed(&mut test, &name).unwrap();
        assert_eq!(
            (found.kind, found.owner_name()),
            (kind, object.info().owner)
        );
        assert_eq!(found.len.is_some(), kind == Kind::Section);
        open(kind, &found.name).unwrap();
        drop(object);
        assert!(listed(&mut test, &name).is_none());
    }
}

#[test]
fn holders_names_each_holding_process() {
    let (mut test, name) = start("holders");
    let (other, _) = known(&mut test, "idle", &[]);
    for (n, kind) in KINDS.into_iter().enumerate() {
        let object = create(kind, &name).unwrap();
        let (child, _) = known(&mut test, "hold", &[&name, &n.to_string()]);
        let pid = child.id();
        let holders = || -> Option<Vec<u32>> {
            match shmkit::inspect::holders(object.raw()) {
                Ok(holders) => Some(holders.found.iter().map(|h| h.pid).collect()),
                result => {
                    let error = refused(Unsupported, result);
                    assert_eq!(std::env::consts::OS, "windows", "{error}");
                    None
                }
            }
        };
        let Some(found) = holders() else {
            return;
        };
        assert!(found.contains(&std::process::id()) && found.contains(&pid));
        assert!(!found.contains(&other.id()) && found.is_sorted());
        child.kill();
        assert!(!holders().unwrap().contains(&pid));
    }
}

#[test]
fn clean_keeps_objects_of_living_processes() {
    let (mut test, stem) = start("clean");
    let living: Vec<_> = KINDS
        .map(|kind| create(kind, &format!("{stem}-{kind:?}")))
        .into();
    let (_child, _) = known(&mut test, "create", &[&format!("{stem}-theirs"), "1"]);
    let (dead, _) = known(&mut test, "create", &[&format!("{stem}-dead"), "2"]);
    dead.kill();
    // Another program may have removed the dead object before, since each create of any program
    // does this.
    let removed = test.alone(shmkit::inspect::clean).unwrap();
    let wrong = |name: &&String| name.contains(&stem) && !name.ends_with("-dead");
    assert_eq!(removed.iter().find(wrong), None);
    for (kind, object) in KINDS.into_iter().zip(living) {
        open(kind, &format!("{stem}-{kind:?}")).unwrap();
        drop(object.unwrap());
    }
    open(Kind::Event, &format!("{stem}-theirs")).unwrap();
    assert_gone(&format!("{stem}-dead"));
}

#[test]
fn waiting_takes_no_processor_time() {
    let (mut test, name) = start("idlers");
    let (peer, identity) = known(&mut test, "idle", &[]);
    let words = identity.to_words().map(|word| word.to_string()).join(" ");
    let mut child = test.child("peers/idlers", &[&name, &words]);
    let used: u64 = child.hear().parse().unwrap();
    assert!(used < 50, "{IDLERS} waiters used {used} ms in 5 s");
    peer.kill();
    child.expect(&IDLERS.to_string());
    assert!(child.finish().success());
}

fn be_idle(name: &str, peer: &Process) {
    let events: Vec<_> = (0..IDLERS / 10)
        .map(|n| event(&format!("{name}-{n}")))
        .collect();
    let (about, deaths) = (AtomicUsize::new(0), AtomicUsize::new(0));
    scope(|scope| {
        for signal in events.iter().cycle().take(IDLERS) {
            scope.spawn(|| {
                about.fetch_add(1, SeqCst);
                let wake = signal.wait_or_death(peer, None).unwrap();
                deaths.fetch_add(usize::from(wake == Wake::PeerDied), SeqCst);
            });
        }
        eventually("all are about to wait", || about.load(SeqCst) == IDLERS);
        let before = time_used();
        std::thread::sleep(Duration::from_secs(5));
        say(&(time_used() - before).as_millis().to_string());
    });
    say(&deaths.load(SeqCst).to_string());
}
