//! The Win32 calls on named objects and processes, as safe functions. They take borrowed handles
//! and texts, and return owned handles and the codes of errors.

use super::error::last;
use super::ntdll::{self, wide};
use super::win32::{
    CreateEventW, CreateFileMappingW, CreateMutexW, OpenEventW, OpenFileMappingW, OpenJobObjectW,
    OpenMutexW, OpenProcess, OpenSemaphoreW, OpenWaitableTimerW, WaitForMultipleObjects,
    wait_for_messages,
};
use crate::name::Name;
use crate::os::Kind;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use std::time::Instant;
use windows_sys::Win32::Foundation::{DUPLICATE_SAME_ACCESS, DuplicateHandle};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, FILETIME, HANDLE, HANDLE_FLAG_INHERIT,
    INVALID_HANDLE_VALUE, SetHandleInformation, WAIT_ABANDONED_0, WAIT_FAILED, WAIT_OBJECT_0,
    WAIT_TIMEOUT,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessId, GetProcessTimes, PROCESS_NAME_WIN32,
    QueryFullProcessImageNameW, ReleaseMutex, ResetEvent, SetEvent,
};
use windows_sys::core::{BOOL, PCWSTR};

/// A result whose error is the code of GetLastError.
pub(super) type Called<T> = Result<T, u32>;

/// How a wait ended, and by which handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Signaled(usize),
    Abandoned(usize),
    /// A message to a window of this thread ended the wait.
    Input,
    TimedOut,
}

/// Calls CreateFileMappingW; also returns whether the object existed before.
// layout: L217
pub(super) fn create_section(
    file: Option<BorrowedHandle<'_>>,
    attributes: Option<&SECURITY_ATTRIBUTES>,
    protection: u32,
    len: u64,
    name: Option<&Name>,
) -> Called<(OwnedHandle, bool)> {
    let name = name.map(|n| wide(n.as_str()));
    // SAFETY: the file handle, if there is one, is borrowed, so it is open during the call. The
    // attributes and the name outlive the call, and the name is NUL-terminated.
    let handle = unsafe {
        CreateFileMappingW(
            file.map_or(INVALID_HANDLE_VALUE, |file| file.as_raw_handle()),
            attributes.map_or(null(), std::ptr::from_ref),
            protection,
            (len >> 32) as u32,
            len as u32,
            name.as_ref().map_or(null(), |n| n.as_ptr()),
        )
    };
    made(handle)
}

/// Calls CreateEventW; also returns whether the object existed before.
pub(super) fn create_event(
    attributes: &SECURITY_ATTRIBUTES,
    manual: bool,
    name: &Name,
) -> Called<(OwnedHandle, bool)> {
    let name = wide(name.as_str());
    // SAFETY: the attributes and the name outlive the call, and the name is NUL-terminated.
    made(unsafe { CreateEventW(attributes, manual.into(), 0, name.as_ptr()) })
}

/// Creates an auto-reset event without a name.
pub(super) fn create_gate() -> Called<OwnedHandle> {
    // SAFETY: no attributes and no name are passed.
    made(unsafe { CreateEventW(null(), 0, 0, null()) }).map(|(handle, _)| handle)
}

/// Calls CreateMutexW; also returns whether the object existed before.
pub(super) fn create_mutex(
    attributes: &SECURITY_ATTRIBUTES,
    taken: bool,
    name: &Name,
) -> Called<(OwnedHandle, bool)> {
    let name = wide(name.as_str());
    // SAFETY: the attributes and the name outlive the call, and the name is NUL-terminated.
    made(unsafe { CreateMutexW(attributes, taken.into(), name.as_ptr()) })
}

fn made(handle: HANDLE) -> Called<(OwnedHandle, bool)> {
    let code = last();
    if handle.is_null() {
        return Err(code);
    }
    // SAFETY: the handle was just made, and no other value owns it.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    Ok((handle, code == ERROR_ALREADY_EXISTS))
}

/// Opens a named object of a kind with exactly these rights.
// layout: L217
pub(super) fn open(kind: Kind, name: &Name, rights: u32) -> Called<OwnedHandle> {
    let function = match kind {
        Kind::Section => OpenFileMappingW,
        Kind::Event => OpenEventW,
        Kind::Mutex => OpenMutexW,
        Kind::Other => OpenSemaphoreW,
    };
    open_by(function, name, rights)
}

type Open = unsafe extern "system" fn(u32, BOOL, PCWSTR) -> HANDLE;

fn open_by(function: Open, name: &Name, rights: u32) -> Called<OwnedHandle> {
    let name = wide(name.as_str());
    // SAFETY: `name` is NUL-terminated.
    let handle = unsafe { function(rights, 0, name.as_ptr()) };
    let code = last();
    if handle.is_null() {
        Err(code)
    } else {
        // SAFETY: the handle was just opened, and no other value owns it.
        Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
    }
}

/// Opens a named object with the first of `rights` that is granted: the access list of another
/// program may grant only the least right.
pub(super) fn open_with_any(kind: Kind, name: &Name, rights: &[u32]) -> Called<OwnedHandle> {
    let mut code = 0;
    for rights in rights {
        match open(kind, name, *rights) {
            Err(ERROR_ACCESS_DENIED) => code = ERROR_ACCESS_DENIED,
            opened => return opened,
        }
    }
    Err(code)
}

/// Returns the kind of the object that has a name, in words, and a handle of the object if this
/// account may open it with this right.
pub(super) fn object_there(name: &Name, right: u32) -> Option<(&'static str, Option<OwnedHandle>)> {
    let kinds: [(&str, Open); 6] = [
        ("a section", OpenFileMappingW),
        ("an event", OpenEventW),
        ("a mutex", OpenMutexW),
        ("a semaphore", OpenSemaphoreW),
        ("a timer", OpenWaitableTimerW),
        ("a job", OpenJobObjectW),
    ];
    kinds
        .into_iter()
        .find_map(|(noun, function)| match open_by(function, name, right) {
            Ok(handle) => Some((noun, Some(handle))),
            Err(ERROR_ACCESS_DENIED) => Some((noun, None)),
            Err(_) => None,
        })
}

pub(super) fn set_event(event: BorrowedHandle<'_>) -> Called<()> {
    // SAFETY: `event` is borrowed, so the handle is open during the call.
    done(unsafe { SetEvent(event.as_raw_handle()) })
}

pub(super) fn reset_event(event: BorrowedHandle<'_>) -> Called<()> {
    // SAFETY: `event` is borrowed, so the handle is open during the call.
    done(unsafe { ResetEvent(event.as_raw_handle()) })
}

pub(super) fn release_mutex(mutex: BorrowedHandle<'_>) -> Called<()> {
    // SAFETY: `mutex` is borrowed, so the handle is open during the call.
    done(unsafe { ReleaseMutex(mutex.as_raw_handle()) })
}

pub(super) fn set_inheritable(handle: BorrowedHandle<'_>, on: bool) -> Called<()> {
    let flags = if on { HANDLE_FLAG_INHERIT } else { 0 };
    // SAFETY: `handle` is borrowed, so it is open during the call.
    done(unsafe { SetHandleInformation(handle.as_raw_handle(), HANDLE_FLAG_INHERIT, flags) })
}

fn done(done: BOOL) -> Called<()> {
    let code = last();
    if done == 0 { Err(code) } else { Ok(()) }
}

/// Waits for one of the handles, at the latest until `until`. Reports the first signaled handle, in
/// their order.
pub(super) fn wait(handles: &[BorrowedHandle<'_>], until: Option<Instant>) -> Called<Ended> {
    wait_by(handles, until, |count, handles, limit| {
        // SAFETY: `wait_by` passes `count` handles, which are borrowed, so they are open during the
        // call.
        unsafe { WaitForMultipleObjects(count, handles, 0, limit) }
    })
}

/// Waits as [`wait`] does, and also for a message to a window of this thread. Waits only for the
/// handles where user32.dll is not loaded, since such a process has no windows.
pub(super) fn wait_or_input(
    handles: &[BorrowedHandle<'_>],
    until: Option<Instant>,
) -> Called<Ended> {
    let Some(call) = ntdll::wait_for_messages() else {
        return wait(handles, until);
    };

    wait_by(handles, until, |count, handles, limit| {
        // SAFETY: `wait_by` passes `count` handles, which are borrowed, so they are open during the
        // call. The other arguments are numbers.
        unsafe {
            wait_for_messages(
                call,
                count,
                handles,
                limit,
                QS_ALLINPUT,
                MWMO_INPUTAVAILABLE,
            )
        }
    })
}

/// Any message: "an input, timer, paint, hot key, or posted message" (GetQueueStatus). From Windows
/// 8 on, touch (0x800) and pen (0x1000) belong to it, which winuser.h adds and windows-sys does
/// not.
const QS_ALLINPUT: u32 = 0x1cff;
/// "The function returns if input exists for the queue, even if the input has been seen
/// (but not removed) using a call to another function, such as PeekMessage"
/// (MsgWaitForMultipleObjectsEx).
const MWMO_INPUTAVAILABLE: u32 = 4;

fn wait_by(
    handles: &[BorrowedHandle<'_>],
    until: Option<Instant>,
    call: impl Fn(u32, *const HANDLE, u32) -> u32,
) -> Called<Ended> {
    let raw: Vec<HANDLE> = handles.iter().map(|h| h.as_raw_handle()).collect();
    let count = raw.len() as u32;

    loop {
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        let limit = match left {
            None => u32::MAX,
            // Rounded up, and at most a minute at a time: the system does not count "time spent in
            // low-power states" (WaitForSingleObject), and `Instant` does.
            Some(left) => u32::try_from(left.as_nanos().div_ceil(1_000_000))
                .map_or(A_MINUTE, |limit| limit.min(A_MINUTE)),
        };

        let woken = match count {
            // "This parameter cannot be zero" (WaitForMultipleObjects). It is zero where all
            // signals have happened before the wait, and then the limit is 0 too.
            0 if limit == 0 => WAIT_TIMEOUT,
            _ => call(count, raw.as_ptr(), limit),
        };

        let code = last();
        return match woken {
            WAIT_FAILED => Err(code),
            // "The wait may time out in less than the specified length of time" (Wait Functions),
            // so the clock decides whether the time is over.
            WAIT_TIMEOUT if until.is_some_and(|at| Instant::now() >= at) => Ok(Ended::TimedOut),
            WAIT_TIMEOUT => continue,
            n if n < WAIT_OBJECT_0 + count => Ok(Ended::Signaled((n - WAIT_OBJECT_0) as usize)),
            n if n == WAIT_OBJECT_0 + count => Ok(Ended::Input),
            n => Ok(Ended::Abandoned((n - WAIT_ABANDONED_0) as usize)),
        };
    }
}

const A_MINUTE: u32 = 60 * 1000;

pub(super) fn open_process(pid: u32, rights: u32) -> Called<OwnedHandle> {
    // SAFETY: OpenProcess takes numbers.
    let handle = unsafe { OpenProcess(rights, 0, pid) };
    let code = last();
    if handle.is_null() {
        Err(code)
    } else {
        // SAFETY: the handle was just opened, and no other value owns it.
        Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
    }
}

/// Returns the number of a process. OpenProcess opens the process also for the numbers that follow
/// it.
pub(super) fn process_id(process: BorrowedHandle<'_>) -> u32 {
    // SAFETY: `process` is borrowed, so the handle is open during the call.
    unsafe { GetProcessId(process.as_raw_handle()) }
}

/// Returns when a process was created, in units of 100 ns; without a handle, for this process.
// layout: L231
pub(super) fn start_time(process: Option<BorrowedHandle<'_>>) -> Called<u64> {
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: GetCurrentProcess takes no argument, and returns the pseudo handle of this process.
    let this = || unsafe { GetCurrentProcess() };
    let handle = process.map_or_else(this, |p| p.as_raw_handle());
    // SAFETY: the handle is borrowed or the pseudo handle, so it is open during the call. The other
    // arguments are four places for the answer.
    done(unsafe { GetProcessTimes(handle, created, exited, kernel, user) })?;
    Ok(u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

/// Returns the path of a process's program.
pub(super) fn image(process: BorrowedHandle<'_>) -> Option<String> {
    let mut path = [0u16; 1024];
    let mut len = path.len() as u32;
    let (handle, to) = (process.as_raw_handle(), path.as_mut_ptr());
    // SAFETY: `process` is borrowed, so the handle is open during the call. The buffer is passed
    // with its length.
    let told = unsafe { QueryFullProcessImageNameW(handle, PROCESS_NAME_WIN32, to, &raw mut len) };
    (told != 0).then(|| String::from_utf16_lossy(&path[..len as usize]))
}

/// Copies a handle of another process into this process.
pub(super) fn duplicate(process: BorrowedHandle<'_>, handle: usize) -> Option<OwnedHandle> {
    let mut copy = null_mut();
    // SAFETY: `process` is borrowed, so its handle is open during the call. `handle` is a number,
    // which that process may or may not have as a handle. `copy` is a place for the answer.
    let done = unsafe {
        DuplicateHandle(
            process.as_raw_handle(),
            handle as HANDLE,
            GetCurrentProcess(),
            &raw mut copy,
            0,
            0,
            DUPLICATE_SAME_ACCESS,
        )
    };

    // SAFETY: on success the copy is a new handle of this process, and no other value owns it.
    (done != 0).then(|| unsafe { OwnedHandle::from_raw_handle(copy) })
}
