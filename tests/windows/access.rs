//! Access on Windows: access lists with the SIDs of this user and of other users, for sections,
//! events and mutexes; and names that other users hold.

use crate::common::{listed_as, unique, watchdog};
use shmkit::{
    Access, ErrorKind as Kind, Event, Liveness, Mutex, Owner, Process, ProcessIdentity, Reset,
    Section, Wake,
};
use std::os::windows::io::{FromRawHandle, OwnedHandle};
use std::ptr::null;
use std::time::Duration;
use windows_sys::Win32::System::Threading::{
    CreateSemaphoreW, CreateWaitableTimerW, ReleaseSemaphore,
};

/// Returns the SID of another account: LocalSystem, or LocalService if LocalSystem runs the tests.
pub fn other() -> &'static str {
    match &*my_sid() {
        "S-1-5-18" => "S-1-5-19",
        _ => "S-1-5-18",
    }
}

#[track_caller]
pub fn refused<T>(kind: Kind, result: shmkit::Result<T>) -> String {
    let error = result.err().expect("it must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    error.to_string()
}

/// Returns the SID of this user, as an object of this user reports it.
pub fn my_sid() -> String {
    let probe = Mutex::create_new(unique("sid")).unwrap();
    let owner = probe.info().owner.unwrap();
    let sid = owner
        .rsplit_once('(')
        .map_or(owner.as_str(), |(_, sid)| sid);
    sid.trim_end_matches(')').to_string()
}

/// Returns whether the rules of Windows hold: on Windows, and under Wine in a build with NT's
/// rules.
fn nt_rules() -> bool {
    std::env::var_os("WINEPREFIX").is_none() || crate::closed::nt_rules()
}

/// Creates a section, an event and a mutex with one access list.
fn three(sddl: &str) -> ([String; 3], (Section, Event, Mutex)) {
    let access = Access::Sddl(sddl.to_string());
    let names = ["section", "event", "mutex"].map(unique);
    let section = Section::options().access(access.clone());
    let event = Event::options().access(access.clone());
    let mutex = Mutex::options().access(access);
    let objects = (
        section.create_new(&names[0], 4096).unwrap(),
        event.create_new(&names[1], Reset::Auto).unwrap(),
        mutex.create_new(&names[2]).unwrap(),
    );
    (names, objects)
}

#[test]
fn access_list_without_user_denies_every_kind() {
    let ([section, event, mutex], _objects) = three(&format!("D:P(A;;GA;;;{})", other()));
    refused(Kind::AccessDenied, Section::open(&section));
    refused(Kind::AccessDenied, Section::open_rw(&section));
    refused(Kind::AccessDenied, Event::open_rw(&event));
    // (Wine lets every user wait, unless NT's rules are enforced.)
    if nt_rules() {
        refused(Kind::AccessDenied, Event::open(&event));
        refused(Kind::AccessDenied, Mutex::open(&mutex));
    }
    // The name is taken, also for a user without access.
    refused(Kind::AlreadyExists, Section::create_new(&section, 1));
    refused(Kind::AlreadyExists, Event::create_new(&event, Reset::Auto));
    refused(Kind::AlreadyExists, Mutex::create_new(&mutex));
}

// layout: L228
#[test]
fn access_list_grants_only_listed_rights() {
    let _watchdog = watchdog();
    let me = my_sid();
    let ([section, event, mutex], objects) = three(&format!("D:P(A;;GR;;;{me})"));
    let opened = Section::open(&section).unwrap();
    refused(Kind::ReadOnly, opened.map_rw(..));
    assert!(
        refused(Kind::AccessDenied, Section::open_rw(&section))
            .contains("read it, but not change it")
    );
    // For events and mutexes, GR is the right to wait.
    assert!(
        refused(Kind::AccessDenied, Event::open_rw(&event)).contains("read it, but not change it")
    );
    objects.1.set().unwrap();
    assert!(Event::open(&event).unwrap().try_wait().unwrap());
    assert!(Mutex::open(&mutex).unwrap().try_lock().unwrap().is_some());

    // The right to wait, and no other right: even the state of the event cannot be read.
    let ([_, event, mutex], objects) = three(&format!("D:P(A;;0x100000;;;{me})"));
    let opened = Event::open(&event).unwrap();
    refused(Kind::ReadOnly, opened.set());
    assert!(
        refused(Kind::AccessDenied, Event::open_rw(&event)).contains("read it, but not change it")
    );
    assert_eq!(opened.is_set(), None);
    objects.1.set().unwrap();
    assert!(opened.try_wait().unwrap());
    // "Only the SYNCHRONIZE access right is required to use a mutex" (OpenMutexW).
    let opened = Mutex::open(&mutex).unwrap();
    assert!(!opened.lock().unwrap().is_abandoned());
    assert!(opened.try_lock().unwrap().is_some());
}

// layout: L223
#[test]
fn presets_report_their_access_and_grants() {
    for (access, last, others) in [
        (Access::SameUser, "", 0),
        (Access::UsersReadOnly, "AU)", 1),
        (Access::InteractiveReadOnly, "IU)", 3),
    ] {
        let event = Event::options().access(access.clone());
        let event = event.create_new(unique("preset"), Reset::Manual).unwrap();
        let info = event.info();
        let sddl = info.access.unwrap();
        let list = sddl.split("S:").next().unwrap();
        assert!(list.ends_with(last), "{access}: {sddl}");
        let may: Vec<_> = info.grants.iter().map(|grant| grant.may.as_str()).collect();
        assert_eq!(may[0], "everything");
        assert_eq!(may.len(), 1 + others, "{:?}", info.grants);
        assert!(others == 0 || may.last() == Some(&"wait"), "{may:?}");

        let section = Section::options().access(access);
        let section = section.create_new(unique("preset"), 1).unwrap();
        let grants = section.info().unwrap().object.grants;
        let may = grants.last().unwrap().may.as_str();
        assert_eq!(may == "read", others != 0, "{grants:?}");
    }
}

// layout: L222
#[test]
fn descriptor_without_valid_dacl_is_refused() {
    let name = unique("null");
    // (Wine reads D:NO_ACCESS_CONTROL as a list that grants access to no user.)
    for sddl in ["", "O:BA", "D:P(A;;GA;;;nobody)", "x"] {
        let options = Section::options().access(Access::Sddl(sddl.into()));
        refused(Kind::InvalidArgument, options.create_new(&name, 1));
    }
    refused(Kind::NotFound, Section::open(&name));
}

// layout: L233
#[test]
fn open_accepts_only_the_expected_owner() {
    let me = my_sid();
    let by_name = match other() {
        "S-1-5-18" => "SYSTEM",
        _ => "LOCAL SERVICE",
    };
    let ([section, event, mutex], _objects) = three(&format!("O:{me}D:P(A;;GA;;;{me})"));
    for (owner, kind) in [
        (Owner::Me, None),
        (Owner::Account(me.clone()), None),
        (Owner::Account(other().into()), Some(Kind::WrongOwner)),
        (Owner::Account(by_name.into()), Some(Kind::WrongOwner)),
        (
            Owner::Account("no such user".into()),
            Some(Kind::InvalidArgument),
        ),
    ] {
        let section = Section::options()
            .expect_owner(owner.clone())
            .open(&section);
        let event = Event::options().expect_owner(owner.clone()).open(&event);
        let mutex = Mutex::options().expect_owner(owner.clone()).open(&mutex);
        for error in [section.err(), event.err(), mutex.err()] {
            assert_eq!(error.as_ref().map(|e| e.kind()), kind, "{owner}");
            if kind == Some(Kind::WrongOwner) {
                assert!(error.unwrap().to_string().contains(&me));
            }
        }
    }
    // An object whose owner cannot be read is refused too. (Wine does not know the rights of
    // owners.)
    if nt_rules() {
        let ([hidden, ..], _objects) = three(&format!("D:P(A;;0x4;;;{me})(A;;0x4;;;OW)"));
        Section::open(&hidden).unwrap();
        let options = Section::options().expect_owner(Owner::Me);
        refused(Kind::WrongOwner, options.open(&hidden));
    }
}

#[test]
fn squatted_name_error_names_kind_and_owner() {
    let me = my_sid();
    let names = ["semaphore", "timer", "event"].map(unique);
    let wide = |name: &str| {
        let name = listed_as(name);
        name.encode_utf16().chain([0]).collect::<Vec<u16>>()
    };
    // SAFETY: NUL-terminated names; the handles are ours alone.
    let _held = unsafe {
        let semaphore = CreateSemaphoreW(null(), 0, 1, wide(&names[0]).as_ptr());
        ReleaseSemaphore(semaphore, 1, std::ptr::null_mut());
        let timer = CreateWaitableTimerW(null(), 1, wide(&names[1]).as_ptr());
        [
            OwnedHandle::from_raw_handle(semaphore),
            OwnedHandle::from_raw_handle(timer),
        ]
    };
    let _event = Event::create_new(&names[2], Reset::Auto).unwrap();
    for (name, noun) in names.iter().zip(["a semaphore", "a timer", "an event"]) {
        for said in [
            refused(Kind::WrongKind, Section::create_new(name, 1)),
            refused(Kind::WrongKind, Mutex::open(name)),
        ] {
            assert!(said.contains(noun), "{said}");
        }
    }
    let said = refused(
        Kind::AlreadyExists,
        Event::create_new(&names[2], Reset::Auto),
    );
    assert!(said.contains(&me), "{said}");
}

/// Under Wine there is no second user, so this process watches itself by its liveness mutex.
// layout: L230
#[test]
fn liveness_mutex_reports_end_and_is_released() {
    let _watchdog = watchdog();
    let name = unique("liveness");
    let alive = Liveness::announce(&name, Access::SameUser).unwrap();
    let watched = Process::by_liveness(&name).unwrap();
    let event = Event::create_new(unique("never"), Reset::Auto).unwrap();
    let moment = Some(Duration::from_millis(1));
    assert_eq!(
        event.wait_or_death(&watched, moment).unwrap(),
        Wake::TimedOut
    );
    assert!(watched.as_raw().is_some());
    drop(alive);
    for _ in 0..3 {
        // Each check locks the mutex, and releases it.
        assert_eq!(event.wait_or_death(&watched, None).unwrap(), Wake::PeerDied);
        assert!(watched.has_ended().unwrap());
    }
    let mutex = Mutex::open(&name).unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| mutex.try_lock().unwrap().is_some());
        assert!(other.join().unwrap(), "the mutex has no owner");
    });
    assert!(ProcessIdentity::current().unwrap().is_alive().unwrap());
}
