//! The native calls for which Win32 has no function. Each is looked up when it is first used: an
//! import that a system lacks would keep the whole program from starting, or under Wine abort the
//! program at the call.

use crate::os::Reset;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_void};
use std::mem::transmute;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;
use std::sync::OnceLock;
use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Win32::Foundation::{HANDLE, NTSTATUS, UNICODE_STRING};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::SystemInformation::OSVERSIONINFOW;

type QuerySection =
    unsafe extern "system" fn(HANDLE, i32, *mut c_void, usize, *mut usize) -> NTSTATUS;
type QueryObject = unsafe extern "system" fn(HANDLE, i32, *mut c_void, u32, *mut u32) -> NTSTATUS;
type OpenDirectory =
    unsafe extern "system" fn(*mut HANDLE, u32, *const OBJECT_ATTRIBUTES) -> NTSTATUS;
type QueryDirectory =
    unsafe extern "system" fn(HANDLE, *mut c_void, u32, u8, u8, *mut u32, *mut u32) -> NTSTATUS;

/// SECTION_BASIC_INFORMATION ("NtQuerySection", class 0).
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct SectionBasics {
    base: *mut c_void,
    pub attributes: u32,
    pub size: i64,
}

/// PUBLIC_OBJECT_BASIC_INFORMATION ("NtQueryObject", class 0).
#[repr(C)]
#[derive(Default)]
struct ObjectBasics {
    attributes: u32,
    granted_access: u32,
    handle_count: u32,
    pointer_count: u32,
    reserved: [u32; 10],
}

const SECTION_BASICS: i32 = 0;
const OBJECT_BASICS: i32 = 0;
const OBJECT_NAME: i32 = 1;
const DIRECTORY_QUERY: u32 = 1;
const OBJ_CASE_INSENSITIVE: u32 = 0x40;

fn lookup(function: &CStr) -> Option<unsafe extern "system" fn() -> isize> {
    lookup_in("ntdll.dll", function)
}

/// Looks up a function of ntdll once. `$form` is the documented type of the function.
macro_rules! native {
    ($name:expr, $form:ty) => {{
        static FOUND: OnceLock<Option<$form>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let call = lookup($name)?;
            // SAFETY: `$form` is the documented signature of the function.
            Some(unsafe { transmute::<unsafe extern "system" fn() -> isize, $form>(call) })
        })
    }};
}

/// Looks up a function of a library that is never unloaded; `None` where the library is not loaded.
fn lookup_in(library: &str, function: &CStr) -> Option<unsafe extern "system" fn() -> isize> {
    let library = wide(library);
    // SAFETY: `library` is NUL-terminated.
    let module = unsafe { GetModuleHandleW(library.as_ptr()) };
    // SAFETY: `module` is a module handle or null, and the name is NUL-terminated.
    unsafe { GetProcAddress(module, function.as_ptr().cast()) }
}

pub(super) type WaitForMessages =
    unsafe extern "system" fn(u32, *const HANDLE, u32, u32, u32) -> u32;

/// Returns MsgWaitForMultipleObjectsEx, if user32.dll is loaded, as it is in a program that has
/// windows.
pub(super) fn wait_for_messages() -> Option<WaitForMessages> {
    static FOUND: OnceLock<WaitForMessages> = OnceLock::new();
    if let Some(call) = FOUND.get() {
        return Some(*call);
    }
    // A failure is not remembered: the library may be loaded later.
    let call = lookup_in("user32.dll", c"MsgWaitForMultipleObjectsEx")?;
    // SAFETY: `WaitForMessages` is the documented signature of the function.
    let call = unsafe { transmute::<unsafe extern "system" fn() -> isize, WaitForMessages>(call) };
    Some(*FOUND.get_or_init(|| call))
}

/// Returns whether this is Wine, which has an export that Windows lacks.
pub(super) fn is_wine() -> bool {
    static WINE: OnceLock<bool> = OnceLock::new();
    *WINE.get_or_init(|| lookup(c"wine_get_version").is_some())
}

/// Returns the version of Wine; `None` on Windows.
pub(super) fn wine_version() -> Option<String> {
    type Version = unsafe extern "system" fn() -> *const std::ffi::c_char;
    let call = native!(c"wine_get_version", Version)?;
    // SAFETY: wine_get_version returns a NUL-terminated text that is never freed.
    let text = unsafe { CStr::from_ptr(call()) };
    Some(text.to_string_lossy().into_owned())
}

/// Returns the major version, the minor version and the build of the system, whatever the program's
/// manifest says.
pub(super) fn version() -> Option<(u32, u32, u32)> {
    type Version = unsafe extern "system" fn(*mut OSVERSIONINFOW) -> NTSTATUS;
    let call = native!(c"RtlGetVersion", Version)?;
    let mut info = OSVERSIONINFOW {
        dwOSVersionInfoSize: size_of::<OSVERSIONINFOW>() as u32,
        ..OSVERSIONINFOW::default()
    };
    // SAFETY: `info` is a structure that tells its size.
    let status = unsafe { call(&raw mut info) };
    (status >= 0).then_some((info.dwMajorVersion, info.dwMinorVersion, info.dwBuildNumber))
}

/// Returns a text as the W functions take it: in UTF-16, with a NUL at its end.
pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Returns the size and the attributes of a section; `None` where the handle lacks SECTION_QUERY.
pub(super) fn section_basics(section: HANDLE) -> Option<SectionBasics> {
    let call = native!(c"NtQuerySection", QuerySection)?;
    let mut basics = SectionBasics {
        base: null_mut(),
        attributes: 0,
        size: 0,
    };
    let size = size_of::<SectionBasics>();

    // SAFETY: the buffer has exactly the size that is passed with it.
    let status = unsafe {
        call(
            section,
            SECTION_BASICS,
            (&raw mut basics).cast(),
            size,
            null_mut(),
        )
    };

    (status >= 0).then_some(basics)
}

/// Returns the rights that a handle was granted.
pub(super) fn granted_access(handle: HANDLE) -> Option<u32> {
    let call = native!(c"NtQueryObject", QueryObject)?;
    let mut basics = ObjectBasics::default();
    let size = size_of::<ObjectBasics>() as u32;
    // SAFETY: the buffer has exactly the size that is passed with it.
    let status = unsafe {
        call(
            handle,
            OBJECT_BASICS,
            (&raw mut basics).cast(),
            size,
            null_mut(),
        )
    };
    (status >= 0).then_some(basics.granted_access)
}

/// The type of NtQueryEvent (class 0: EVENT_BASIC_INFORMATION) and of NtQueryMutant (class 0:
/// MUTANT_BASIC_INFORMATION, class 1: MUTANT_OWNER_INFORMATION).
type QueryState = unsafe extern "system" fn(HANDLE, i32, *mut c_void, u32, *mut u32) -> NTSTATUS;

/// Returns how an event is reset, and whether it is signaled; `None` where the handle lacks
/// EVENT_QUERY_STATE.
pub(super) fn event_state(event: HANDLE) -> Option<(Reset, bool)> {
    // The type of the event (0: notification, which is manual reset), and its state.
    let mut state = [0u32; 2];
    query(native!(c"NtQueryEvent", QueryState)?, event, 0, &mut state)?;
    let reset = if state[0] == 0 {
        Reset::Manual
    } else {
        Reset::Auto
    };
    Some((reset, state[1] != 0))
}

/// Returns whether a thread has a mutex; `None` where the handle lacks MUTANT_QUERY_STATE.
pub(super) fn mutex_is_taken(mutex: HANDLE) -> Option<bool> {
    // The count, which is 1 while no thread has the mutex, and two flags.
    let mut state = [0i32; 2];
    query(native!(c"NtQueryMutant", QueryState)?, mutex, 0, &mut state)?;
    Some(state[0] < 1)
}

/// Returns the process whose thread has a mutex; `None` where no thread has it, or the system does
/// not tell.
pub(super) fn mutex_owner(mutex: HANDLE) -> Option<u32> {
    // A CLIENT_ID: process and thread, as wide as pointers.
    let mut owner = [0usize; 2];
    query(native!(c"NtQueryMutant", QueryState)?, mutex, 1, &mut owner)?;
    u32::try_from(owner[0]).ok().filter(|pid| *pid != 0)
}

fn query<T>(call: QueryState, object: HANDLE, class: i32, answer: &mut [T]) -> Option<()> {
    let size = size_of_val(answer) as u32;
    // SAFETY: the buffer has exactly the size that is passed with it.
    let status = unsafe { call(object, class, answer.as_mut_ptr().cast(), size, null_mut()) };
    (status >= 0).then_some(())
}

/// SYSTEM_HANDLE_TABLE_ENTRY_INFO_EX ("NtQuerySystemInformation", class 64).
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct HandleEntry {
    /// The address of the object; 0 where this process may not know it.
    pub object: usize,
    pub process: usize,
    pub handle: usize,
    granted_access: u32,
    trace: u16,
    pub kind: u16,
    attributes: u32,
    reserved: u32,
}

type QuerySystem = unsafe extern "system" fn(i32, *mut c_void, u32, *mut u32) -> NTSTATUS;

const PROCESSES: i32 = 5;
const EXTENDED_HANDLES: i32 = 64;
const STATUS_INFO_LENGTH_MISMATCH: NTSTATUS = 0xC000_0004_u32.cast_signed();

/// Returns the answer of NtQuerySystemInformation for a class, aligned as pointers are; `None`
/// where the system refuses.
fn system_information(class: i32) -> Option<Vec<usize>> {
    let call = native!(c"NtQuerySystemInformation", QuerySystem)?;
    let mut buffer = vec![0usize; 1 << 16];

    loop {
        let size = size_of_val(&*buffer) as u32;
        let to = buffer.as_mut_ptr().cast();
        // SAFETY: the buffer has exactly the size that is passed with it.
        let status = unsafe { call(class, to, size, null_mut()) };
        match status {
            // The answer may grow before the next call, so the next buffer is twice as long.
            STATUS_INFO_LENGTH_MISMATCH if buffer.len() < 1 << 26 => {
                buffer.resize(buffer.len() * 2, 0);
            }
            status if status < 0 => return None,
            _ => return Some(buffer),
        }
    }
}

/// What the system's list of processes tells about the process of a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LookedUp {
    /// The process lives, and started at this time.
    Alive(u64),
    Ended,
    /// The system gives no list, or no list of all processes.
    Untold,
}

/// Looks for the process of this number in the system's list. This account need not be allowed to
/// open the process.
// layout: L232
pub(super) fn look_up(pid: u32) -> LookedUp {
    /// The number of the process "System", which is in each list of all processes. Wine lists all
    /// processes too, but has no process of this number.
    const SYSTEM: u32 = 4;
    let Some(words) = system_information(PROCESSES) else {
        return LookedUp::Untold;
    };

    // SAFETY: the bytes are those of `words`, which are initialized.
    let bytes =
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), size_of_val(&*words)) };

    match listed(bytes, pid) {
        // A process without a thread has ended.
        Some((0, _)) => LookedUp::Ended,
        Some((_, start)) => LookedUp::Alive(start),
        None if is_wine() || listed(bytes, SYSTEM).is_some() => LookedUp::Ended,
        None => LookedUp::Untold,
    }
}

/// Returns the number of threads and the start time of a process; `None` where the list lacks the
/// process. `bytes` holds SYSTEM_PROCESS_INFORMATION structures, each of which tells where the next
/// one is.
fn listed(bytes: &[u8], pid: u32) -> Option<(u32, u64)> {
    const THREADS: usize = 4;
    const CREATE_TIME: usize = 0x20;
    const PID: usize = if cfg!(target_pointer_width = "64") {
        0x50
    } else {
        0x44
    };

    let word32 = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let word64 = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));

    let mut at = 0;
    loop {
        if word32(at + PID)? == pid {
            return Some((word32(at + THREADS)?, word64(at + CREATE_TIME)?));
        }
        match word32(at)? as usize {
            0 => return None,
            next => at += next,
        }
    }
}

/// Returns every handle of every process; `None` where the system does not tell.
pub(super) fn all_handles() -> Option<Vec<HandleEntry>> {
    let buffer = system_information(EXTENDED_HANDLES)?;
    // The number of entries, a reserved word, then the entries.
    let room = (buffer.len() - 2) * size_of::<usize>() / size_of::<HandleEntry>();
    let count = buffer[0].min(room);
    // SAFETY: `count` entries lie in the buffer, and any bytes are valid entries.
    let entries = unsafe { std::slice::from_raw_parts(buffer[2..].as_ptr().cast(), count) };
    Some(entries.to_vec())
}

type CompareObjects = unsafe extern "system" fn(HANDLE, HANDLE) -> i32;

/// Returns whether two handles are handles of one object.
pub(super) fn same_object(a: HANDLE, b: HANDLE) -> bool {
    static FOUND: OnceLock<Option<CompareObjects>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let call = lookup_in("kernelbase.dll", c"CompareObjectHandles")?;
        // SAFETY: `CompareObjects` is the documented signature of CompareObjectHandles.
        Some(unsafe { transmute::<unsafe extern "system" fn() -> isize, CompareObjects>(call) })
    });
    let Some(call) = found else {
        return false;
    };
    // SAFETY: `a` and `b` are handles.
    unsafe { call(a, b) != 0 }
}

/// Returns the full path of an object in the kernel's namespace; `None` where it has none.
pub(super) fn object_path(handle: HANDLE) -> Option<String> {
    let call = native!(c"NtQueryObject", QueryObject)?;
    let mut buffer = [0u64; 1024];
    let size = size_of_val(&buffer) as u32;

    // SAFETY: the buffer has exactly the size that is passed with it.
    let status = unsafe {
        call(
            handle,
            OBJECT_NAME,
            buffer.as_mut_ptr().cast(),
            size,
            null_mut(),
        )
    };
    if status < 0 {
        return None;
    }

    // SAFETY: on success the buffer starts with a UNICODE_STRING that points into it.
    let path = unsafe { text(&*buffer.as_ptr().cast::<UNICODE_STRING>()) };
    (!path.is_empty()).then_some(path)
}

/// Returns the objects of a directory as (name, type); `None` where this account may not read the
/// directory.
///
/// The system reports one object after the other, by an index. It skips an object if an object
/// before that one is removed meanwhile. So the directory is read until a reading is the same as
/// what was found before, and at most three times. The result has the objects of all readings.
pub(super) fn directory(path: &str) -> Option<BTreeSet<(String, String)>> {
    let mut found = objects_of(path)?;
    for _ in 0..2 {
        let again = objects_of(path)?;
        if again == found {
            break;
        }
        found.extend(again);
    }
    Some(found)
}

fn objects_of(path: &str) -> Option<BTreeSet<(String, String)>> {
    let folder = open_directory(path)?;
    let call = native!(c"NtQueryDirectoryObject", QueryDirectory)?;
    let mut found = BTreeSet::new();
    let mut context = 0;
    let mut buffer = vec![0u64; 8192];

    loop {
        let size = size_of_val(&*buffer) as u32;
        // One entry for each call: Wine 8 knows no other way.
        // SAFETY: the buffer has exactly the size that is passed with it.
        let status = unsafe {
            call(
                folder.as_raw_handle(),
                buffer.as_mut_ptr().cast(),
                size,
                1,
                0,
                &raw mut context,
                null_mut(),
            )
        };

        // STATUS_NO_MORE_ENTRIES is a warning, and so negative too.
        if status < 0 {
            return Some(found);
        }

        // SAFETY: on success the buffer starts with the name and the type of one
        // entry, whose characters lie in the buffer too.
        let (name, kind) = unsafe {
            let entry = &*buffer.as_ptr().cast::<[UNICODE_STRING; 2]>();
            (text(&entry[0]), text(&entry[1]))
        };
        found.insert((name, kind));
    }
}

fn open_directory(path: &str) -> Option<OwnedHandle> {
    let call = native!(c"NtOpenDirectoryObject", OpenDirectory)?;
    let mut characters: Vec<u16> = path.encode_utf16().collect();
    let bytes = size_of_val(&*characters) as u16;
    let name = UNICODE_STRING {
        Length: bytes,
        MaximumLength: bytes,
        Buffer: characters.as_mut_ptr(),
    };

    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: null_mut(),
        ObjectName: &raw const name,
        Attributes: OBJ_CASE_INSENSITIVE,
        SecurityDescriptor: std::ptr::null(),
        SecurityQualityOfService: std::ptr::null(),
    };

    let mut handle = null_mut();
    // SAFETY: `name` and `attributes` outlive the call.
    let status = unsafe { call(&raw mut handle, DIRECTORY_QUERY, &raw const attributes) };
    // SAFETY: on success the handle is open, and no other value owns it.
    (status >= 0).then(|| unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Copies a text of the kernel.
///
/// # Safety
///
/// `string` is a valid UNICODE_STRING, as the kernel fills it in.
unsafe fn text(string: &UNICODE_STRING) -> String {
    if string.Buffer.is_null() {
        return String::new();
    }
    // SAFETY: `Length` bytes at `Buffer` belong to the string.
    let units = unsafe { std::slice::from_raw_parts(string.Buffer, string.Length as usize / 2) };
    String::from_utf16_lossy(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    // layout: L232
    #[test]
    fn process_list_is_parsed_within_bounds() {
        const LEN: usize = 0x60;
        const PID: usize = if cfg!(target_pointer_width = "64") {
            0x50
        } else {
            0x44
        };
        let mut bytes = vec![0; 2 * LEN];
        for (n, (pid, threads, start)) in [(8u32, 1u32, 5u64), (12, 0, 6)].into_iter().enumerate() {
            let next = if n == 0 { LEN as u32 } else { 0 };
            let entry = &mut bytes[n * LEN..];
            entry[..4].copy_from_slice(&next.to_ne_bytes());
            entry[4..8].copy_from_slice(&threads.to_ne_bytes());
            entry[0x20..0x28].copy_from_slice(&start.to_ne_bytes());
            entry[PID..PID + 4].copy_from_slice(&pid.to_ne_bytes());
        }
        assert_eq!(listed(&bytes, 8), Some((1, 5)));
        assert_eq!(listed(&bytes, 12), Some((0, 6)));
        assert_eq!(listed(&bytes, 16), None);
        assert_eq!(listed(&bytes[..LEN + 8], 12), None);
        assert_eq!(listed(&[], 8), None);
    }
}
