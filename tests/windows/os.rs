//! Features that only Windows has: names shared with other kinds of objects, access lists, memory
//! that is reserved and not committed, and waits for window messages.

use crate::common::{listed_as, unique};
use shmkit::{ErrorKind, Event, Name, Ready, Receiver, Reset, Section, Sender, WaitSet, Waitable};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use std::sync::mpsc::channel;
use std::time::Duration;
use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_WRITE, MapViewOfFile, PAGE_READWRITE,
};
use windows_sys::Win32::System::Threading::{CreateEventW, CreateMutexW, GetCurrentThreadId};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    MSG, PM_REMOVE, PeekMessageW, PostThreadMessageW, WM_APP,
};

const PAGE: u64 = 4096;

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Creates a section as another program of this user would, with this access list and `size` bytes.
fn foreign(name: &str, list: &str, size: u32) -> OwnedHandle {
    let sddl = format!("O:{}{list}", crate::access::my_sid());
    let (name, sddl) = (wide(&listed_as(name)), wide(&sddl));
    let mut descriptor = null_mut();
    // SAFETY: a NUL-terminated text and a place for the answer, which is leaked.
    let parsed = unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            sddl.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            null_mut(),
        )
    };
    assert_ne!(parsed, 0);
    let attributes = SECURITY_ATTRIBUTES {
        nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
        lpSecurityDescriptor: descriptor,
        bInheritHandle: 0,
    };
    // SAFETY: attributes and a NUL-terminated name that outlive the call; the
    // handle is ours alone.
    unsafe {
        let handle = CreateFileMappingW(
            INVALID_HANDLE_VALUE,
            &raw const attributes,
            PAGE_READWRITE,
            0,
            size,
            name.as_ptr(),
        );
        assert!(!handle.is_null());
        OwnedHandle::from_raw_handle(handle)
    }
}

#[test]
fn name_conflict_error_names_object_kind() {
    let name = unique("kind");
    let event = unique("kind");
    let [mutex_name, event_name] = [&name, &event].map(|name| wide(&listed_as(name)));
    // SAFETY: NUL-terminated names; the handles are ours alone.
    let _held = unsafe {
        [
            OwnedHandle::from_raw_handle(CreateMutexW(null(), 0, mutex_name.as_ptr())),
            OwnedHandle::from_raw_handle(CreateEventW(null(), 0, 0, event_name.as_ptr())),
        ]
    };
    for (name, noun) in [(name, "a mutex"), (event, "an event")] {
        for error in [
            Section::create_new(&name, PAGE).unwrap_err(),
            Section::open(&name).unwrap_err(),
            Section::open_or_create(&name, PAGE).unwrap_err(),
        ] {
            assert_eq!(
                (error.kind(), error.code()),
                (ErrorKind::WrongKind, Some(6))
            );
            assert!(error.meaning().contains(noun), "{error}");
        }
    }
}

/// Each set of rights that allows reading is enough to read a section.
// layout: L228
#[test]
fn read_only_section_opens_only_for_reading() {
    for rights in ["0x20005", "0x5", "0x4"] {
        let name = unique("rights");
        let held = foreign(&name, &format!("D:P(A;;{rights};;;WD)"), 5000);
        // SAFETY: the creator's handle may write; the view is leaked.
        unsafe {
            let view = MapViewOfFile(held.as_raw_handle(), FILE_MAP_WRITE, 0, 0, 0).Value;
            view.cast::<[u8; 5]>().write(*b"hello");
        }
        let section = Section::open(&name).unwrap();
        assert_eq!(section.len().unwrap(), 2 * PAGE, "{rights}");
        assert_eq!(
            section.map(..).unwrap().read_value::<[u8; 5]>(0).unwrap(),
            *b"hello"
        );
        // An object's owner may always read its access list.
        assert!(section.info().unwrap().object.owner.is_some(), "{rights}");

        let error = Section::open_rw(&name).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::AccessDenied, Some(5))
        );
        assert!(
            error.meaning().contains("read it, but not change it"),
            "{error}"
        );
        // CreateFileMapping is denied here, and that alone does not say that the name is taken.
        let error = Section::create_new(&name, PAGE).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::AlreadyExists, Some(5))
        );
    }
}

#[test]
fn denied_section_differs_from_missing_section() {
    let name = unique("denied");
    let _held = foreign(&name, "D:P", 100);
    let error = Section::open(&name).unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::AccessDenied, Some(5))
    );
    let error = Section::create_new(&name, PAGE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let error = Section::open(unique("denied")).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some(2)));
}

// layout: L217 L222 L223 L224
#[test]
fn new_section_grants_only_its_user() {
    let name = unique("alone");
    let section = Section::create_new(&name, PAGE).unwrap();
    let info = section.info().unwrap();
    let access = info.object.access.unwrap();
    let (owner, rest) = access.strip_prefix("O:").unwrap().split_once("D:").unwrap();
    // The rights are given by name, or by number as Wine writes them. The label has medium
    // integrity, or that of this process if that is lower.
    let (list, label) = rest.split_once("S:").unwrap_or((rest, "(ML;;NW;;;ME)"));
    let rights = ["CCDCLCSWRPSDRCWDWO", "0x000f001f", "0xf001f"];
    let lists = rights.map(|right| format!("P(A;;{right};;;{owner})"));
    assert!(lists.iter().any(|expected| expected == list), "{list}");
    assert!(
        ["(ML;;NW;;;ME)", "(ML;;NW;;;LW)"].contains(&label),
        "{label}"
    );
    // SDDL has two letters for some accounts.
    assert!(owner.len() == 2 || info.object.owner.unwrap().contains(owner));
    assert!(
        info.object
            .path
            .unwrap()
            .ends_with(&format!("BaseNamedObjects\\{name}"))
    );
}

// layout: L014
#[test]
fn name_of_maximum_length_works() {
    let stem = unique("long");
    let name = format!(
        "Local\\{stem}{}",
        "x".repeat(Name::MAX_UTF16 - 6 - stem.len())
    );
    let _section = Section::create_new(&name, PAGE).unwrap();
    Section::open(&name).unwrap();
}

/// Commits random ranges, and checks through another handle which pages are committed. The last
/// page of a section is left out: Wine does not report its state.
#[test]
fn only_committed_pages_are_accessible() {
    let mut seed = 7u64;
    let mut random = |limit: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % limit
    };
    for size in [2 * PAGE, 16 * PAGE, 17 * PAGE, 256 * PAGE] {
        for _ in 0..50 {
            let name = unique("commit");
            let section = Section::options()
                .reserve(true)
                .create_new(&name, size)
                .unwrap();
            assert_eq!(section.info().unwrap().reserved, Some(true));
            let start = random(size);
            let end = start + 1 + random(size - start);
            section.commit(start..end).unwrap();
            let view = section.map_rw(start..end).unwrap();
            view.write(0, &vec![7; (end - start) as usize]).unwrap();

            let other = Section::open(&name).unwrap().map(..).unwrap();
            let byte = |at: u64| other.read_value::<u8>(at as usize).map_err(|e| e.kind());
            assert_eq!(
                (byte(start), byte(end - 1)),
                (Ok(7), Ok(7)),
                "{start}..{end} of {size}"
            );
            if let Some(before) = (start / PAGE * PAGE).checked_sub(1) {
                assert_eq!(byte(before), Err(ErrorKind::NotCommitted));
            }
            let after = end.next_multiple_of(PAGE);
            if after + PAGE < size {
                assert_eq!(byte(after), Err(ErrorKind::NotCommitted));
                assert_eq!(
                    other.cell_u32(after as usize).unwrap_err().kind(),
                    ErrorKind::NotCommitted
                );
            }
        }
    }
}

/// Takes the next window message out of the queue of this thread.
fn next_message() -> Option<u32> {
    let mut message = MSG::default();
    // SAFETY: a place for the answer.
    let found = unsafe { PeekMessageW(&raw mut message, null_mut(), 0, 0, PM_REMOVE) };
    (found != 0).then_some(message.message)
}

fn post(thread: u32, message: u32) {
    // SAFETY: takes numbers.
    assert_ne!(unsafe { PostThreadMessageW(thread, message, 0, 0) }, 0);
}

/// Gives this thread a queue of window messages, and returns its number. "The thread must call"
/// such a function before it "is converted into a GUI thread", and messages can be posted to it
/// (PostThreadMessage).
fn with_a_queue() -> u32 {
    assert_eq!(next_message(), None);
    // SAFETY: takes nothing.
    unsafe { GetCurrentThreadId() }
}

#[test]
fn window_input_and_ready_sources_alternate() {
    let name = unique("loop");
    let me = with_a_queue();
    let mut event = Event::create_new(&*name, Reset::Manual).unwrap();
    let mut set = WaitSet::new();
    let moment = Some(Duration::from_millis(2));
    assert_eq!(
        set.wait_or_input(&mut [&mut event], moment).unwrap(),
        Ready::TimedOut
    );
    post(me, WM_APP);
    assert_eq!(
        set.wait_or_input(&mut [&mut event], None).unwrap(),
        Ready::Input
    );
    assert_eq!(
        set.wait_or_input(&mut [&mut event], None).unwrap(),
        Ready::Input,
        "the message is still there"
    );
    event.set().unwrap();
    for _ in 0..3 {
        let both = [(); 2].map(|()| set.wait_or_input(&mut [&mut event], None).unwrap());
        assert_eq!(both, [Ready::Source(0), Ready::Input]);
    }
    assert_eq!(next_message(), Some(WM_APP));
    assert_eq!(
        set.wait_or_input(&mut [&mut event], None).unwrap(),
        Ready::Source(0)
    );
    assert_eq!(
        set.wait_or_input(&mut [&mut event], None).unwrap(),
        Ready::Source(0)
    );
}

#[test]
fn input_or_source_wakes_sleeping_wait_set() {
    let name = unique("loop-sleep");
    let mut orders = Receiver::create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    assert!(orders.try_recv().is_err());
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            tell.send(with_a_queue()).unwrap();
            let mut set = WaitSet::new();
            for expected in [Ready::Input, Ready::Source(0)] {
                // More sources than one system call takes, so that threads of the library wait too.
                let make = |n| Event::create_new(&*format!("{name}-{n}"), Reset::Auto).unwrap();
                let mut idle: Vec<Event> = (0..100).map(make).collect();
                let mut all: Vec<&mut dyn Waitable> = vec![&mut orders];
                all.extend(idle.iter_mut().map(|event| event as &mut dyn Waitable));
                assert_eq!(set.wait_or_input(&mut all, None).unwrap(), expected);
                match expected {
                    Ready::Input => assert_eq!(next_message(), Some(WM_APP)),
                    _ => assert_eq!(orders.try_recv().unwrap(), b"order"),
                }
                tell.send(0).unwrap();
            }
        });
        let thread = told.recv().unwrap();
        post(thread, WM_APP);
        told.recv().unwrap();
        sender.send(b"order").unwrap();
        waiter.join().unwrap();
    });
}
