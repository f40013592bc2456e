//! Short wrappers of Win32 calls, which the tests of Win32 facts share. No code of the library runs
//! here.

#![allow(dead_code, reason = "each test file uses its own part")]

use crate::common::{TestChild, Watchdog, unique, watchdog};
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{NtOpenDirectoryObject, NtQueryDirectoryObject};
use windows_sys::Win32::Foundation::*;
use windows_sys::Win32::Security::{Authorization::*, SECURITY_ATTRIBUTES};
use windows_sys::Win32::System::LibraryLoader::*;
use windows_sys::Win32::System::{Memory::*, RemoteDesktop::*, Threading::*};
use windows_sys::{core::BOOL, s, w};

pub const PAGE: usize = 4096;
pub const GRANULE: usize = 64 * 1024;
pub const MARK: u32 = 0x600d_da7a;
pub const RESERVED: u32 = PAGE_READWRITE | SEC_RESERVE;
pub const DIRECTORY_QUERY: u32 = 1; // a right that NtOpenDirectoryObject names

/// A handle, closed when it is dropped, and the last error after the call that gave it.
pub struct Handle(pub HANDLE, pub u32);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: this value alone owns the handle.
        unsafe { CloseHandle(self.0) };
    }
}

/// The base of a mapped view, unmapped when it is dropped.
pub struct View(pub *mut c_void);

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: this value alone owns the view, and no reference outlives it.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.0 }) };
    }
}

impl View {
    pub fn word(&self, at: usize) -> &AtomicU32 {
        assert_eq!((at % 4, self.look(at).AllocationBase), (0, self.0));
        // SAFETY: aligned, inside the view, and alive as long as `self`.
        unsafe { AtomicU32::from_ptr(self.0.byte_add(at).cast()) }
    }

    pub fn get(&self, at: usize) -> u32 {
        self.word(at).load(SeqCst)
    }

    pub fn put(&self, at: usize, value: u32) {
        self.word(at).store(value, SeqCst);
    }

    /// Returns what VirtualQuery says about the pages from `at` on.
    pub fn look(&self, at: usize) -> MEMORY_BASIC_INFORMATION {
        let mut info = MEMORY_BASIC_INFORMATION::default();
        let (at, len) = (self.0.wrapping_byte_add(at), size_of_val(&info));
        // SAFETY: `info` has the length given; the address is only looked at.
        assert_eq!(unsafe { VirtualQuery(at, &mut info, len) }, len);
        info
    }

    pub fn state(&self, at: usize) -> (VIRTUAL_ALLOCATION_TYPE, usize) {
        (self.look(at).State, self.look(at).RegionSize)
    }

    pub fn commit(&self, at: usize) {
        assert_eq!(self.look(at).AllocationBase, self.0);
        // SAFETY: commits a page of this view.
        let p = unsafe { VirtualAlloc(self.0.byte_add(at), PAGE, MEM_COMMIT, PAGE_READWRITE) };
        assert!(!p.is_null());
    }
}

pub fn last_error() -> u32 {
    // SAFETY: reads a thread-local number.
    unsafe { GetLastError() }
}

pub fn done(ok: BOOL) -> Result<(), u32> {
    if ok == 0 { Err(last_error()) } else { Ok(()) }
}

pub type Made = Result<Handle, u32>;

pub fn made(raw: HANDLE) -> Made {
    let error = last_error();
    (!raw.is_null()).then(|| Handle(raw, error)).ok_or(error)
}

/// Calls with the name in UTF-16, or with null for an empty name.
pub fn with_name(name: &str, call: impl FnOnce(*const u16) -> HANDLE) -> Made {
    let wide: Vec<u16> = name.encode_utf16().chain([0]).collect();
    made(call([wide.as_ptr(), null()][usize::from(name.is_empty())]))
}

#[track_caller]
pub fn refused<T>(result: Result<T, u32>, error: u32) {
    assert_eq!(result.err(), Some(error));
}

/// CreateFileMappingW over the paging file, with a security descriptor or null.
pub fn create_as(sd: *mut c_void, inherit: BOOL, flags: u32, size: u64, name: &str) -> Made {
    let (high, low) = ((size >> 32) as u32, size as u32);
    let mut how = SECURITY_ATTRIBUTES::default();
    (how.nLength, how.lpSecurityDescriptor) = (size_of_val(&how) as u32, sd);
    how.bInheritHandle = inherit;
    // SAFETY: the name and the attributes are valid.
    with_name(name, |name| unsafe {
        CreateFileMappingW(INVALID_HANDLE_VALUE, &how, flags, high, low, name)
    })
}

pub fn create_with(flags: u32, size: u64, name: &str) -> Made {
    create_as(null_mut(), FALSE, flags, size, name)
}

pub fn create(name: &str, size: u64) -> Made {
    create_with(PAGE_READWRITE, size, name)
}

pub fn unnamed(flags: u32, size: usize) -> Handle {
    create_with(flags, size as u64, "").unwrap()
}

pub fn section(name: &str) -> Handle {
    let handle = create(name, 256).unwrap();
    assert_eq!(handle.1, ERROR_SUCCESS);
    handle
}

pub fn named(stem: &str) -> (String, Handle) {
    let name = unique(stem);
    let handle = section(&name);
    (name, handle)
}

/// Creates a section that every user may read, and that only the returned handle can write.
pub fn read_only_section(name: &str) -> Handle {
    let (text, revision, mut sd) = (w!("D:P(A;;GR;;;WD)"), SDDL_REVISION_1, null_mut());
    // SAFETY: valid text; the descriptor stays allocated.
    let ok = unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(text, revision, &mut sd, null_mut())
    };
    assert_eq!(done(ok), Ok(()));
    create_as(sd, FALSE, PAGE_READWRITE, 256, name).unwrap()
}

pub fn open(name: &str, access: u32) -> Made {
    // SAFETY: the name is valid or null.
    with_name(name, |n| unsafe { OpenFileMappingW(access, FALSE, n) })
}

pub fn create_event(name: &str) -> Made {
    // SAFETY: the name is valid or null.
    with_name(name, |n| unsafe { CreateEventW(null(), TRUE, FALSE, n) })
}

/// A new mutex, owned by this thread.
pub fn create_mutex(name: &str) -> Handle {
    // SAFETY: the name is valid.
    let mutex = with_name(name, |n| unsafe { CreateMutexW(null(), TRUE, n) }).unwrap();
    assert_eq!(mutex.1, ERROR_SUCCESS);
    mutex
}

pub fn open_mutex(name: &str) -> Made {
    // SAFETY: the name is valid.
    with_name(name, |n| unsafe { OpenMutexW(MUTEX_ALL_ACCESS, FALSE, n) })
}

/// MapViewOfFile; a length of zero means "to the end".
pub fn map_part(section: &Handle, access: u32, offset: u64, len: usize) -> Result<View, u32> {
    let (high, low) = ((offset >> 32) as u32, offset as u32);
    // SAFETY: maps over nothing.
    let base = unsafe { MapViewOfFile(section.0, access, high, low, len) }.Value;
    let error = last_error();
    (!base.is_null()).then(|| View(base)).ok_or(error)
}

pub fn map(section: &Handle, access: u32) -> Result<View, u32> {
    map_part(section, access, 0, 0)
}

pub fn view(section: &Handle) -> View {
    map(section, FILE_MAP_READ | FILE_MAP_WRITE).unwrap()
}

pub fn first_word(section: &Handle) -> Result<u32, u32> {
    map(section, FILE_MAP_READ).map(|view| view.get(0))
}

/// Waits for a handle. A zero timeout only polls; INFINITE waits under the watchdog of the test.
pub fn wait(handle: &Handle, timeout: u32) -> u32 {
    // SAFETY: only a handle goes in.
    unsafe { WaitForSingleObject(handle.0, timeout) }
}

pub fn open_process(id: u32, access: u32) -> Handle {
    // SAFETY: only numbers go in.
    made(unsafe { OpenProcess(access, FALSE, id) }).unwrap()
}

pub fn duplicate(from: &Handle, source: HANDLE, to: &Handle, access: u32) -> Result<HANDLE, u32> {
    let mut copy = null_mut();
    // SAFETY: both processes are open; `copy` receives the handle.
    let ok = unsafe { DuplicateHandle(from.0, source, to.0, &mut copy, access, FALSE, 0) };
    done(ok).map(|()| copy)
}

pub fn this_process() -> Handle {
    // SAFETY: gives a constant; closing it does nothing.
    Handle(unsafe { GetCurrentProcess() }, 0)
}

pub fn same_object(a: &Handle, b: &Handle) -> bool {
    // SAFETY: both handles are open.
    unsafe { CompareObjectHandles(a.0, b.0) != 0 }
}

/// Returns the size in NtQuerySection's SECTION_BASIC_INFORMATION: base, attributes, size.
pub fn size(section: &Handle) -> Result<i64, NTSTATUS> {
    #[repr(C)]
    struct Info(usize, u32, i64);
    type Query = unsafe extern "system" fn(HANDLE, i32, *mut Info, usize, *mut usize) -> NTSTATUS;
    let (mut info, len) = (Info(0, 0, 0), size_of::<Info>());
    // SAFETY: the type is that of the function, and `info` has the length given.
    let status = unsafe {
        let query = GetProcAddress(GetModuleHandleW(w!("ntdll.dll")), s!("NtQuerySection"));
        let query: Query = std::mem::transmute(query.unwrap());
        query(section.0, 0, &mut info, len, null_mut())
    };
    if status == 0 { Ok(info.2) } else { Err(status) }
}

pub fn session() -> u32 {
    let mut id = 0;
    // SAFETY: writes one number.
    done(unsafe { ProcessIdToSessionId(std::process::id(), &mut id) }).unwrap();
    id
}

/// Returns name and type of every object in an object directory.
pub fn list(path: &str) -> Vec<[String; 2]> {
    let mut path: Vec<u16> = path.encode_utf16().collect();
    let (mut text, mut how) = (UNICODE_STRING::default(), OBJECT_ATTRIBUTES::default());
    (text.Length, text.Buffer) = (2 * path.len() as u16, path.as_mut_ptr());
    (how.Length, how.ObjectName) = (size_of_val(&how) as u32, &text);
    let mut directory = Handle(null_mut(), 0);
    // SAFETY: all that the attributes point to is alive.
    let status = unsafe { NtOpenDirectoryObject(&mut directory.0, DIRECTORY_QUERY, &how) };
    assert_eq!(status, STATUS_SUCCESS);
    let (mut buffer, mut next, mut found) = ([0_u64; 2048], 0, Vec::new());
    let (to, len) = (buffer.as_mut_ptr().cast(), size_of_val(&buffer) as u32);
    loop {
        let (d, none) = (directory.0, null_mut());
        // SAFETY: the buffer has the length given.
        let status = unsafe { NtQueryDirectoryObject(d, to, len, true, false, &mut next, none) };
        if status == STATUS_NO_MORE_ENTRIES {
            return found;
        }
        assert_eq!(status, STATUS_SUCCESS);
        // SAFETY: an entry begins with two strings whose text is in the buffer.
        found.push([0, 1].map(|at| unsafe {
            let text = to.cast::<UNICODE_STRING>().add(at).read();
            let units = std::slice::from_raw_parts(text.Buffer, text.Length as usize / 2);
            String::from_utf16_lossy(units)
        }));
    }
}

pub fn peer(role: &str, name: &str) -> (Watchdog, TestChild) {
    let watchdog = watchdog();
    let mut child = TestChild::spawn(role, &[name]);
    child.expect("ready");
    (watchdog, child)
}

pub fn alone_in_a_child(role: &str, name: &str) {
    let (_watchdog, child) = peer(role, name);
    assert!(child.finish().success());
}
