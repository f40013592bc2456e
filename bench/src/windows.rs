//! The system calls that shmkit makes on Windows, made directly and without its checks.

use crate::pair::Pair;
use std::ffi::c_void;
use std::fs::File;
use std::mem::transmute;
use std::os::windows::io::FromRawHandle;
use std::ptr::{null, null_mut};
use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::Storage::FileSystem::PIPE_ACCESS_DUPLEX;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MapViewOfFile, OpenFileMappingW,
    PAGE_READWRITE, SECTION_QUERY, UnmapViewOfFile,
};
use windows_sys::Win32::System::Pipes::{ConnectNamedPipe, CreateNamedPipeW, PIPE_WAIT};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, OpenProcess, PROCESS_SYNCHRONIZE, SetEvent, WaitForMultipleObjects,
    WaitForSingleObject,
};

/// The label for the calls of a program that sets no access list.
pub const PLAIN: &str = "for information: plain";

const SIZE: usize = 4096;
const READ_CONTROL: u32 = 0x2_0000;

type QuerySection = unsafe extern "system" fn(HANDLE, i32, *mut c_void, usize, *mut usize) -> i32;

pub struct Direct {
    name: Vec<u16>,
    attributes: SECURITY_ATTRIBUTES,
    query: QuerySection,
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

impl Direct {
    pub fn new(name: &str) -> Direct {
        // The access list that shmkit itself sets. It is leaked.
        let probe = shmkit::Section::create_new(name, SIZE as u64).unwrap();
        let sddl = wide(&probe.info().unwrap().object.access.unwrap());

        let mut descriptor = null_mut();
        // SAFETY: the texts are NUL-terminated, there are places for the answers, and the signature
        // is the documented one.
        let query = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                sddl.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                null_mut(),
            );
            let ntdll = GetModuleHandleW(wide("ntdll.dll").as_ptr());
            let call = GetProcAddress(ntdll, c"NtQuerySection".as_ptr().cast()).unwrap();
            transmute::<unsafe extern "system" fn() -> isize, QuerySection>(call)
        };

        Direct {
            name: wide(name),
            attributes: SECURITY_ATTRIBUTES {
                nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
                lpSecurityDescriptor: descriptor,
                bInheritHandle: 0,
            },
            query,
        }
    }

    pub fn create(&self) {
        self.create_with(&raw const self.attributes);
    }

    fn create_with(&self, attributes: *const SECURITY_ATTRIBUTES) {
        // SAFETY: attributes and name outlive the calls, and no code uses the view.
        unsafe {
            let handle = CreateFileMappingW(
                INVALID_HANDLE_VALUE,
                attributes,
                PAGE_READWRITE,
                0,
                SIZE as u32,
                self.name.as_ptr(),
            );
            map(handle, FILE_MAP_READ | FILE_MAP_WRITE);
            CloseHandle(handle);
        }
    }

    pub fn open(&self) {
        let mut basics = [0u64; 3];
        // SAFETY: the name outlives the call, and the buffer has the size that is passed along.
        unsafe {
            let access = FILE_MAP_READ | SECTION_QUERY | READ_CONTROL;
            let handle = OpenFileMappingW(access, 0, self.name.as_ptr());
            (self.query)(handle, 0, basics.as_mut_ptr().cast(), 24, null_mut());
            map(handle, FILE_MAP_READ);
            CloseHandle(handle);
        }
    }

    pub fn plain_create(&self) {
        self.create_with(null());
    }

    pub fn with_plain<T>(&self, work: impl FnOnce() -> T) -> T {
        // SAFETY: as in `create_with`.
        let held = unsafe {
            CreateFileMappingW(
                INVALID_HANDLE_VALUE,
                null(),
                PAGE_READWRITE,
                0,
                SIZE as u32,
                self.name.as_ptr(),
            )
        };
        let done = work();
        // SAFETY: the handle was made above, and is closed once.
        unsafe { CloseHandle(held) };
        done
    }

    pub fn plain_open(&self) {
        // SAFETY: the name outlives the call, and no code uses the view.
        unsafe {
            let handle = OpenFileMappingW(FILE_MAP_READ, 0, self.name.as_ptr());
            map(handle, FILE_MAP_READ);
            CloseHandle(handle);
        }
    }
}

/// # Safety
///
/// `handle` is a live handle of a section of `SIZE` bytes.
unsafe fn map(handle: HANDLE, access: u32) {
    // SAFETY: the system chooses the address.
    unsafe {
        let view = MapViewOfFile(handle, access, 0, 0, SIZE);
        assert!(!view.Value.is_null());
        UnmapViewOfFile(view);
    }
}

/// A bare auto-reset event.
pub struct Signal(usize);

impl Signal {
    pub fn new(name: &str) -> Signal {
        // SAFETY: the name is NUL-terminated.
        Signal(unsafe { CreateEventW(null(), 0, 0, wide(name).as_ptr()) } as usize)
    }

    pub fn set(&self) {
        // SAFETY: the handle is live.
        assert_ne!(unsafe { SetEvent(self.0 as HANDLE) }, 0);
    }

    pub fn wait(&self) {
        // SAFETY: the handle is live.
        assert_eq!(
            unsafe { WaitForSingleObject(self.0 as HANDLE, INFINITE) },
            0
        );
    }
}

/// A bare process handle.
pub struct Peer(usize);

impl Peer {
    pub fn new(pid: u32) -> Peer {
        // SAFETY: the call takes numbers only.
        Peer(unsafe { OpenProcess(PROCESS_SYNCHRONIZE, 0, pid) } as usize)
    }

    pub fn wait(&self) {
        // SAFETY: the handle is live.
        assert_eq!(
            unsafe { WaitForSingleObject(self.0 as HANDLE, INFINITE) },
            0
        );
    }
}

/// A bare wake-up of another process: a named event that is waited for together with the process.
pub struct WakeUp {
    event: Signal,
    peer: Peer,
}

impl WakeUp {
    pub fn new(pair: &Pair, tag: &str) -> WakeUp {
        WakeUp {
            event: Signal::new(&pair.name(tag)),
            peer: Peer::new(pair.peer_id()),
        }
    }

    pub fn ring(&self) {
        self.event.set();
    }

    pub fn wait(&self) {
        let both = [self.event.0, self.peer.0].map(|handle| handle as HANDLE);
        // SAFETY: both handles are live.
        assert_eq!(
            unsafe { WaitForMultipleObjects(2, both.as_ptr(), 0, INFINITE) },
            0
        );
    }
}

/// The name of a pipe on this system.
pub const PIPE: &str = "named pipe";

const BUFFER: u32 = 64 << 10;

/// Creates or opens a named pipe of bytes. Returns a file to read and a file to write.
pub fn pipe(pair: &Pair) -> (File, File) {
    let [mine, theirs] = pair
        .names("pipe")
        .map(|name| format!(r"\\.\pipe\{}", name.replace('\\', ".")));

    let pipe = if pair.is_here() {
        // SAFETY: the name is NUL-terminated; the handle is new, and belongs to the file alone.
        unsafe {
            let handle = CreateNamedPipeW(
                wide(&mine).as_ptr(),
                PIPE_ACCESS_DUPLEX,
                PIPE_WAIT,
                1,
                BUFFER,
                BUFFER,
                0,
                null(),
            );
            assert_ne!(handle, INVALID_HANDLE_VALUE);
            pair.meet();
            // The peer may be connected already, which is reported as an error.
            ConnectNamedPipe(handle, null_mut());
            File::from_raw_handle(handle)
        }
    } else {
        pair.meet();
        let both = File::options().read(true).write(true).open(theirs);
        both.unwrap()
    };

    (pipe.try_clone().unwrap(), pipe)
}
