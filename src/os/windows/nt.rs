//! The native calls that Win32 has no words for, looked up when first used: an
//! import that a system lacks would keep the whole program from starting (or,
//! under Wine, abort it at the call).

use std::ffi::{CStr, c_void};
use std::mem::transmute;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;
use std::sync::OnceLock;
use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Win32::Foundation::{HANDLE, NTSTATUS, UNICODE_STRING};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};

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
    let ntdll = wide("ntdll.dll");
    // SAFETY: a NUL-terminated name; ntdll is in every process and never unloaded.
    let module = unsafe { GetModuleHandleW(ntdll.as_ptr()) };
    // SAFETY: a module handle or null, and a NUL-terminated name.
    unsafe { GetProcAddress(module, function.as_ptr().cast()) }
}

/// Whether this is Wine, which has an export that Windows lacks.
pub(super) fn is_wine() -> bool {
    static WINE: OnceLock<bool> = OnceLock::new();
    *WINE.get_or_init(|| lookup(c"wine_get_version").is_some())
}

/// Text as the W functions want it.
pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Size and attributes; `None` where the handle lacks SECTION_QUERY.
pub(super) fn section_basics(section: HANDLE) -> Option<SectionBasics> {
    let call = lookup(c"NtQuerySection")?;
    // SAFETY: the documented signature of NtQuerySection.
    let call = unsafe { transmute::<unsafe extern "system" fn() -> isize, QuerySection>(call) };
    let mut basics = SectionBasics {
        base: null_mut(),
        attributes: 0,
        size: 0,
    };
    let size = size_of::<SectionBasics>();
    // SAFETY: a buffer of exactly the size that is passed along.
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

/// The access that a handle was granted.
pub(super) fn granted_access(handle: HANDLE) -> Option<u32> {
    let call = lookup(c"NtQueryObject")?;
    // SAFETY: the documented signature of NtQueryObject.
    let call = unsafe { transmute::<unsafe extern "system" fn() -> isize, QueryObject>(call) };
    let mut basics = ObjectBasics::default();
    let size = size_of::<ObjectBasics>() as u32;
    // SAFETY: a buffer of exactly the size that is passed along.
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

/// The full path of an object in the kernel's namespace.
pub(super) fn object_path(handle: HANDLE) -> Option<String> {
    let call = lookup(c"NtQueryObject")?;
    // SAFETY: the documented signature of NtQueryObject.
    let call = unsafe { transmute::<unsafe extern "system" fn() -> isize, QueryObject>(call) };
    let mut buffer = [0u64; 1024];
    let size = size_of_val(&buffer) as u32;
    // SAFETY: a buffer of exactly the size that is passed along.
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

/// The objects of a directory as (name, type); `None` where it may not be read.
pub(super) fn directory(path: &str) -> Option<Vec<(String, String)>> {
    let folder = open_directory(path)?;
    let call = lookup(c"NtQueryDirectoryObject")?;
    // SAFETY: the documented signature of NtQueryDirectoryObject.
    let call = unsafe { transmute::<unsafe extern "system" fn() -> isize, QueryDirectory>(call) };
    let mut found = Vec::new();
    let mut context = 0;
    let mut buffer = vec![0u64; 8192];
    loop {
        let size = size_of_val(&*buffer) as u32;
        // One entry a call: Wine 8 has no other way.
        // SAFETY: a buffer of exactly the size that is passed along.
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
        found.push((name, kind));
    }
}

fn open_directory(path: &str) -> Option<OwnedHandle> {
    let call = lookup(c"NtOpenDirectoryObject")?;
    // SAFETY: the documented signature of NtOpenDirectoryObject.
    let call = unsafe { transmute::<unsafe extern "system" fn() -> isize, OpenDirectory>(call) };
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
    // SAFETY: on success the handle is open and ours alone.
    (status >= 0).then(|| unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// # Safety
///
/// A valid UNICODE_STRING, as the kernel fills it in.
unsafe fn text(string: &UNICODE_STRING) -> String {
    if string.Buffer.is_null() {
        return String::new();
    }
    // SAFETY: `Length` bytes at `Buffer` belong to the string.
    let units = unsafe { std::slice::from_raw_parts(string.Buffer, string.Length as usize / 2) };
    String::from_utf16_lossy(units)
}
