//! Tests that violate each rule.

use super::*;
use std::os::windows::io::AsRawHandle;

fn unique(stem: &str) -> String {
    format!("shmkit-test-nt-{stem}-{}", std::process::id())
}

fn me() -> Identity {
    token::identity().unwrap()
}

fn descriptor(sddl: &str) -> Descriptor {
    Descriptor::parse(sddl).unwrap()
}

/// Creates an object of this kind with this descriptor, or returns the error code.
fn make(kind: Kind, name: &str, sddl: &str, played: &Played) -> Refusal<OwnedHandle> {
    let descriptor = descriptor(sddl);
    let attributes = sec::SECURITY_ATTRIBUTES {
        nLength: size_of::<sec::SECURITY_ATTRIBUTES>() as u32,
        lpSecurityDescriptor: descriptor.as_ptr(),
        bInheritHandle: 0,
    };
    let name = super::super::ntdll::wide(name);
    let nobody = usize::MAX as HANDLE;
    let page = memory::PAGE_READWRITE;
    let made = create(
        kind,
        &raw const attributes,
        name.as_ptr(),
        played,
        |with, name| {
            // SAFETY: attributes and a NUL-terminated name.
            unsafe {
                match kind {
                    Kind::Section => memory::CreateFileMappingW(nobody, with, page, 0, 1, name),
                    Kind::Event => threads::CreateEventW(with, 0, 0, name),
                    _ => threads::CreateMutexW(with, 0, name),
                }
            }
        },
    );
    owned(made)
}

fn owned(handle: HANDLE) -> Refusal<OwnedHandle> {
    // SAFETY: `GetLastError` takes nothing, and the handle was just made.
    unsafe {
        if handle.is_null() {
            Err(GetLastError())
        } else {
            Ok(OwnedHandle::from_raw_handle(handle))
        }
    }
}

fn reopen(kind: Kind, name: &str, rights: u32) -> Refusal<OwnedHandle> {
    let name = super::super::ntdll::wide(name);
    let none = Played::default();
    owned(open(
        Some(kind),
        opening(kind),
        rights,
        0,
        name.as_ptr(),
        &none,
    ))
}

#[test]
fn rule_1_generic_rights_become_specific_ones() {
    let name = unique("mapped");
    for (kind, generic, specific) in [
        (Kind::Section, "GA", 0xf_001f),
        (Kind::Event, "GR", 0x2_0001),
        (Kind::Mutex, "GXGW", 0x12_0000),
    ] {
        let sddl = format!("D:P(A;;{generic};;;WD)");
        let made = make(kind, &name, &sddl, &Played::default()).unwrap();
        let List::Entries(entries) = Descriptor::of_object(made.as_handle()).unwrap().list() else {
            panic!("no list");
        };
        assert_eq!(entries[0].mask, specific, "{generic} of {kind:?}");
    }
}

#[test]
fn rule_2_open_without_grant_is_denied() {
    let name = unique("granted");
    let none = Played::default();
    // The access list of a section, copied to an event, lets no account wait.
    let _event = make(Kind::Event, &name, "D:P(A;;0xf001f;;;WD)", &none).unwrap();
    assert!(reopen(Kind::Event, &name, 0x2).is_ok());
    assert_eq!(
        reopen(Kind::Event, &name, 0x10_0002).err(),
        Some(ERROR_ACCESS_DENIED)
    );
    // Creating an object that exists asks for all rights.
    let again = make(Kind::Event, &name, "D:P(A;;GA;;;WD)", &none);
    assert_eq!(again.err(), Some(ERROR_ACCESS_DENIED));

    let me = me();
    let list = descriptor(&format!(
        "O:SYD:P(D;;0x2;;;WD)(A;;GA;;;BA)(A;;0x6;;;{})",
        me.user
    ));
    let rights = |wanted, elevated| check_rights(&list, wanted, &me, elevated);
    assert_eq!(rights(0x4, false), Ok(()));
    assert_eq!(
        rights(0x2, false),
        Err(ERROR_ACCESS_DENIED),
        "the right is denied first"
    );
    assert_eq!(
        rights(READ_CONTROL, false),
        Err(ERROR_ACCESS_DENIED),
        "the caller is not the owner"
    );
    let granted_to_administrators = descriptor("O:SYD:P(A;;0x1f0003;;;BA)");
    let rights = |elevated| check_rights(&granted_to_administrators, 0x2, &me, elevated);
    assert_eq!(rights(true), Ok(()));
    assert_eq!(rights(false), Err(ERROR_ACCESS_DENIED));
}

#[test]
fn rule_3_foreign_owner_is_refused() {
    let none = Played::default();
    let made = make(Kind::Event, &unique("given"), "O:SYD:P(A;;GA;;;WD)", &none);
    assert_eq!(made.err(), Some(ERROR_INVALID_OWNER));
    let made = make(Kind::Event, &unique("kept"), "D:P(A;;GA;;;WD)", &none).unwrap();
    let owner = Descriptor::of_object(made.as_handle()).unwrap().owner();
    assert_eq!(owner, Some(me().default_owner));
    let administrator = Identity {
        default_owner: "S-1-5-32-544".into(),
        ..me()
    };
    let defaulted = with_default_owner(descriptor("D:P(A;;GA;;;WD)"), &administrator);
    assert_eq!(defaulted.unwrap().owner().as_deref(), Some("S-1-5-32-544"));
}

#[test]
fn rule_4_global_sections_need_the_privilege() {
    let name = format!("Global\\{}", unique("global"));
    let make = |kind, words| make(kind, &name, "D:P(A;;GA;;;WD)", &Played::by(words));
    assert_eq!(make(Kind::Section, "").err(), Some(ERROR_ACCESS_DENIED));
    drop(make(Kind::Event, "").unwrap());
    let held = make(Kind::Section, "privileged").unwrap();
    assert!(make(Kind::Section, "").is_ok(), "the section exists");
    assert!(reopen(Kind::Section, &name, 0x4).is_ok());
    drop(held);
    assert!(make(Kind::Section, "session-0").is_ok());
}

#[test]
fn rule_5_services_have_one_namespace() {
    let services = Played::by("session-0");
    for name in ["X", "Local\\X", "Global\\X"] {
        assert_eq!(place(name, &services), "Global\\X");
        assert_eq!(place(name, &Played::default()), name);
    }
}

#[test]
fn rule_6_high_integrity_needs_a_label() {
    let high = Played::by("high");
    let sddl = "D:P(A;;GA;;;WD)";
    let made = make(Kind::Event, &unique("label"), sddl, &high);
    assert_eq!(made.err(), Some(ERROR_ACCESS_DENIED));
    let labelled = format!("{sddl}{MEDIUM}");
    assert!(make(Kind::Event, &unique("label"), &labelled, &high).is_ok());
    let higher = format!("{sddl}S:(ML;;NW;;;HI)");
    let made = make(Kind::Event, &unique("label"), &higher, &high);
    assert_eq!(made.err(), Some(ERROR_ACCESS_DENIED));

    let low = Played::by("low");
    let made = make(Kind::Event, &unique("label"), &labelled, &low);
    assert_eq!(made.err(), Some(ERROR_PRIVILEGE_NOT_HELD));
    let mine = make(Kind::Event, &unique("label"), sddl, &low).unwrap();
    let mine = Descriptor::of_object(mine.as_handle()).unwrap();
    assert_eq!(check_level(Kind::Event, &mine, 0x2, &low), Ok(()));
    let theirs = descriptor(&labelled);
    let refused = Err(ERROR_ACCESS_DENIED);
    assert_eq!(check_level(Kind::Event, &theirs, 0x2, &low), refused);
    assert_eq!(check_level(Kind::Event, &theirs, 0x10_0000, &low), Ok(()));
    assert_eq!(
        check_level(Kind::Section, &descriptor(sddl), 0x2, &low),
        refused
    );
    assert_eq!(
        check_level(Kind::Section, &descriptor(sddl), 0x4, &low),
        Ok(())
    );
    assert!(make(Kind::Event, &unique("label"), sddl, &Played::default()).is_ok());
}

#[test]
fn rule_7_timed_waits_may_end_early() {
    let early = |_| u32::from(limit_of(100, &Played::default()) == 84);
    let count: u32 = (0..100).map(early).sum();
    assert!((1..100).contains(&count), "{count}");
    for limit in [0, u32::MAX] {
        assert!((0..4).all(|_| limit_of(limit, &Played::default()) == limit));
    }
    assert!((0..4).all(|_| limit_of(100, &Played::by("punctual")) == 100));
}

#[test]
fn rule_8_denies_pids_and_repeated_handles() {
    let (me, deny) = (std::process::id(), Played::by("deny=4,deny=12"));
    assert_eq!(check_process(12, &deny), Err(ERROR_ACCESS_DENIED));
    assert_eq!(check_process(me, &deny), Ok(()));
    let others = Played::by("deny=others");
    assert_eq!(check_process(4, &others), Err(ERROR_ACCESS_DENIED));
    assert_eq!(check_process(me, &others), Ok(()));
    let event = make(Kind::Event, &unique("twice"), "D:P(A;;GA;;;WD)", &deny).unwrap();
    let twice = [event.as_raw_handle(); 2];
    // SAFETY: both handles are live. They are the same handle.
    let woken = unsafe { WaitForMultipleObjects(2, twice.as_ptr(), 0, 0) };
    // SAFETY: `GetLastError` takes nothing.
    let code = unsafe { GetLastError() };
    assert_eq!((woken, code), (WAIT_FAILED, ERROR_INVALID_PARAMETER));
}
