//! Facts about Win32 waits: mutexes, addresses, processes. Each test checks on the system itself
//! one rule on which the library relies. No code of the library runs here.

use crate::common::{hear, say, unique};
use crate::win32::*;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use windows_sys::Win32::Foundation::*;
use windows_sys::Win32::System::Memory::*;
use windows_sys::Win32::System::SystemServices::MAXIMUM_WAIT_OBJECTS;
use windows_sys::Win32::System::Threading::*;

static ZERO: u32 = 0;

// "Mutex Objects": the next owner of an abandoned mutex gets WAIT_ABANDONED, once.
#[test]
fn killed_owner_abandons_mutex_once() {
    let name = unique("abandoned");
    let (_watchdog, owner) = peer("waits/hold", &name);
    let mutex = open_mutex(&name).unwrap();
    assert_eq!(wait(&mutex, 0), WAIT_TIMEOUT);
    owner.kill();
    for expected in [WAIT_ABANDONED, WAIT_OBJECT_0] {
        assert_eq!(wait(&mutex, INFINITE), expected);
        // SAFETY: only a handle goes in.
        assert_eq!(done(unsafe { ReleaseMutex(mutex.0) }), Ok(()));
    }
}

// WaitOnAddress: woken by "another thread in the same process".
#[test]
fn wait_on_address_ignores_other_processes() {
    let (name, handle) = named("wait-on-address");
    let (_watchdog, mut child) = peer("waits/wait-on-address", &name);
    child.expect("inside: Ok(())");
    let said = while_waking(view(&handle).word(0), || child.hear());
    assert_eq!(said, format!("outside: Err({ERROR_TIMEOUT})"));
}

/// Runs `what` while another thread wakes the waiters of the word again and again.
fn while_waking<T>(word: &AtomicU32, what: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                // SAFETY: the address is only a key.
                unsafe { WakeByAddressAll(word.as_ptr().cast()) };
                std::thread::yield_now();
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
        over.store(true, SeqCst);
        result.unwrap()
    })
}

// WaitForMultipleObjects: at most MAXIMUM_WAIT_OBJECTS handles.
#[test]
fn wait_takes_at_most_64_handles() {
    let events: Vec<Handle> = (0..65).map(|_| create_event("").unwrap()).collect();
    let raw: Vec<HANDLE> = events.iter().map(|event| event.0).collect();
    // SAFETY: there are as many handles as `n`, or more.
    let wait = |n| unsafe { WaitForMultipleObjects(n, raw.as_ptr(), FALSE, 0) };
    assert_eq!(wait(MAXIMUM_WAIT_OBJECTS), WAIT_TIMEOUT);
    let (result, error) = (wait(MAXIMUM_WAIT_OBJECTS + 1), last_error());
    assert_eq!((result, error), (WAIT_FAILED, ERROR_INVALID_PARAMETER));
}

// "Terminating a Process": the object is signaled, and stays while a handle is open.
#[test]
fn killed_process_handle_stays_signaled() {
    let (_watchdog, child) = peer("waits/hold", &unique("peer"));
    let (id, process) = (child.id(), open_process(child.id(), PROCESS_SYNCHRONIZE));
    assert_eq!(wait(&process, 0), WAIT_TIMEOUT);
    child.kill();
    assert_eq!(wait(&process, INFINITE), WAIT_OBJECT_0);
    let dead = open_process(id, PROCESS_SYNCHRONIZE); // opening still works
    assert_eq!(wait(&dead, 0), WAIT_OBJECT_0);
}

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    let name = args[0];
    match role {
        "hold" => {
            let _mutex = create_mutex(name);
            say("ready");
            while hear().is_some() {}
        }
        "wait-on-address" => {
            say("ready");
            let view = view(&open(name, FILE_MAP_ALL_ACCESS).unwrap());
            let (at, same) = (view.0.cast_const(), (&raw const ZERO).cast());
            // SAFETY: both addresses hold four bytes.
            let wait = |timeout| done(unsafe { WaitOnAddress(at, same, 4, timeout) });
            say(&format!(
                "inside: {:?}",
                while_waking(view.word(0), || wait(INFINITE))
            ));
            let outside = wait(500).and_then(|()| wait(500)); // one wake may come late
            say(&format!("outside: {outside:?}"));
        }
        _ => panic!("no role {role}"),
    }
}
