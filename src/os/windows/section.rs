//! One handle of one section.

use super::code::{denied_create, explain, last};
use super::nt::{self, wide};
use super::view::{Part, View, granularity};
use super::{OwnedObject, RawObject, naming, security};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{Backing, Facts, HowToCreate, HowToOpen, Protection, SectionBackend};
use std::fs::{File, OpenOptions};
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr::null;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, HANDLE,
    HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, SetHandleInformation,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::Storage::FileSystem::READ_CONTROL;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, OpenFileMappingW, PAGE_READONLY,
    PAGE_READWRITE, SEC_COMMIT, SEC_IMAGE, SEC_RESERVE, SECTION_QUERY,
};

/// The section is backed by a file (phnt; NtQuerySection reports it).
const SEC_FILE: u32 = 0x0080_0000;

/// At most this much is mapped at a time to copy bytes without a lasting view.
const WINDOW: usize = 16 << 20;

/// At most this much is committed at a time.
const COMMIT_STEP: u64 = 256 << 20;

#[derive(Debug)]
pub(crate) struct Section {
    handle: OwnedHandle,
    /// The file behind it, where there is one of ours.
    file: Option<File>,
    /// As the caller knows it, for messages.
    subject: String,
    writable: bool,
    /// What NtQuerySection said; neither ever changes.
    size: u64,
    attributes: Option<u32>,
}

impl Section {
    /// Asks the system for what it was not told: `known` are size and attributes.
    fn new(
        handle: OwnedHandle,
        file: Option<File>,
        subject: String,
        how: HowToOpen,
        known: Option<(u64, u32)>,
    ) -> Result<Section> {
        if how.inheritable {
            set_inheritable(&handle, true, &subject)?;
        }
        let basics = known.or_else(|| {
            let basics = nt::section_basics(handle.as_raw_handle())?;
            Some((basics.size.cast_unsigned(), basics.attributes))
        });
        let size = match basics {
            Some((size, _)) => size,
            None => View::extent(handle.as_handle(), &subject)?,
        };
        Ok(Section {
            handle,
            file,
            subject,
            writable: how.write,
            size,
            attributes: basics.map(|(_, attributes)| attributes),
        })
    }

    /// Extends the file to `len` where that is not 0.
    fn map_file(file: File, len: u64, how: HowToOpen, subject: String) -> Result<Section> {
        let operation = match len {
            0 => Operation::Open,
            _ => Operation::Create,
        };
        let protection = if how.write {
            PAGE_READWRITE
        } else {
            PAGE_READONLY
        };
        let handle = create_mapping(file.as_raw_handle(), None, protection, len, None)
            .map_err(|code| explain(operation, &subject, code))?;
        Section::new(handle.0, Some(file), subject, how, None)
    }
}

impl SectionBackend for Section {
    fn create(name: &Name, len: u64, how: HowToCreate) -> Result<Section> {
        let Some(attributes) = security::same_user() else {
            let meaning = "the system does not tell who this user is, so access cannot be limited";
            let kind = ErrorKind::AccessDenied;
            return Err(Error::new(kind, Operation::Create, name, meaning));
        };
        // A single page is committed as a whole or not at all.
        let reserve = how.reserve && len > granularity().0 as u64;
        let kind = if reserve { SEC_RESERVE } else { SEC_COMMIT };
        let protection = PAGE_READWRITE | kind;
        let made = create_mapping(
            INVALID_HANDLE_VALUE,
            Some(&attributes),
            protection,
            len,
            Some(name),
        );
        let (handle, existed) = made.map_err(|code| refused_create(name, code))?;
        // "If the object exists before the function call, the function returns a
        // handle to the existing object (with its current size, not the specified
        // size), and GetLastError returns ERROR_ALREADY_EXISTS" (CreateFileMappingW).
        if existed {
            let error = explain(Operation::Create, name, ERROR_ALREADY_EXISTS);
            return Err(error);
        }
        let access = HowToOpen {
            write: true,
            inheritable: how.inheritable,
        };
        // "The system rounds this value up to the nearest multiple of PAGE_SIZE"
        // (ZwCreateSection); what others are told when they ask.
        let size = len.next_multiple_of(granularity().0 as u64);
        Section::new(handle, None, name.to_string(), access, Some((size, kind)))
    }

    fn open(name: &Name, how: HowToOpen) -> Result<Section> {
        let map = if how.write {
            FILE_MAP_READ | FILE_MAP_WRITE
        } else {
            FILE_MAP_READ
        };
        // Foreign access lists may grant no more than the bare right to map.
        let mut code = 0;
        for access in [map | SECTION_QUERY | READ_CONTROL, map | SECTION_QUERY, map] {
            match open_mapping(name, access) {
                Ok(handle) => return Section::new(handle, None, name.to_string(), how, None),
                Err(refusal) => code = refusal,
            }
            if code != ERROR_ACCESS_DENIED {
                break;
            }
        }
        Err(refused_open(name, code, how.write))
    }

    fn create_file(path: &Path, len: u64, how: HowToCreate) -> Result<Section> {
        let subject = path.display().to_string();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|e| io(Operation::Create, &subject, &e))?;
        let access = HowToOpen {
            write: true,
            inheritable: how.inheritable,
        };
        // The mapping extends the file to its size, and so allocates it.
        Section::map_file(file, len, access, subject).inspect_err(|_| {
            // Made by us a moment ago, and useless.
            let _ = std::fs::remove_file(path);
        })
    }

    fn open_file(path: &Path, how: HowToOpen) -> Result<Section> {
        let subject = path.display().to_string();
        let file = OpenOptions::new()
            .read(true)
            .write(how.write)
            .open(path)
            .map_err(|e| io(Operation::Open, &subject, &e))?;
        Section::map_file(file, 0, how, subject)
    }

    fn from_owned(handle: OwnedObject) -> Result<(Section, Option<Name>)> {
        let raw = handle.as_raw_handle();
        let subject = format!("handle {:#x}", raw as usize);
        // It was inheritable to get here; it need not travel further.
        set_inheritable(&handle, false, &subject)?;
        let granted = nt::granted_access(raw).unwrap_or(FILE_MAP_READ);
        let how = HowToOpen {
            write: granted & FILE_MAP_WRITE != 0,
            inheritable: false,
        };
        // First of all whether it is a section: other objects may block when they
        // are asked for their name.
        let section = Section::new(handle, None, subject.clone(), how, None).map_err(|e| {
            let meaning = "this handle is no section, or may not be read";
            Error::new(ErrorKind::WrongKind, Operation::Open, &subject, meaning)
                .with_code(e.code().unwrap_or(0))
        })?;
        let name = nt::object_path(raw).and_then(|path| naming::name_of(&path));
        Ok((section, name))
    }

    fn raw(&self) -> RawObject {
        self.handle.as_raw_handle()
    }

    fn kernel_len(&self) -> Result<u64> {
        Ok(self.size)
    }

    fn writable(&self) -> bool {
        self.writable
    }

    fn is_reserved(&self) -> Option<bool> {
        self.attributes.map(|a| a & SEC_RESERVE != 0)
    }

    fn commit(&self, offset: u64, len: u64) -> Result<()> {
        // Everything else is committed, and a file refuses to be.
        if self.is_reserved() == Some(false) {
            return Ok(());
        }
        let page = granularity().0 as u64;
        let end = (offset + len).next_multiple_of(page).min(self.size);
        let mut start = offset - offset % page;
        // In steps, so that a 32-bit process can commit more than it can map, and
        // with a page more in view than is committed: see `View::commit`.
        while start < end {
            let step = (end - start).min(COMMIT_STEP);
            let seen = (start + step + page).min(self.size) - start;
            let view = self.map(Protection::ReadWrite, start, seen as usize)?;
            view.commit(step as usize)?;
            start += step;
        }
        Ok(())
    }

    fn map(&self, protection: Protection, offset: u64, len: usize) -> Result<View> {
        let part = Part {
            offset,
            len,
            section_size: self.size,
            // What it is was not told: ask at each access.
            reserved: self.is_reserved().unwrap_or(true),
        };
        View::new(
            self.handle.as_handle(),
            protection,
            part,
            self.subject.clone(),
        )
    }

    fn flush(&self, view: &View) -> Result<()> {
        view.flush()?;
        // "The FlushViewOfFile function does not flush the file metadata, and it
        // does not wait to return until the changes are flushed ... to disk".
        match &self.file {
            Some(file) => file
                .sync_all()
                .map_err(|e| io(Operation::Flush, &self.subject, &e)),
            None => Ok(()),
        }
    }

    fn read_at(&self, mut offset: u64, to: &mut [u8]) -> Result<()> {
        for part in to.chunks_mut(WINDOW) {
            self.map(Protection::ReadOnly, offset, part.len())?
                .copy_out(part);
            offset += part.len() as u64;
        }
        Ok(())
    }

    fn facts(&self) -> Facts {
        let (owner, access) = security::describe(self.raw());
        Facts {
            owner,
            access,
            backing: self.attributes.map(|a| match a {
                a if a & SEC_IMAGE == SEC_IMAGE => Backing::Image,
                a if a & SEC_FILE != 0 => Backing::File,
                _ => Backing::Memory,
            }),
            path: nt::object_path(self.raw()),
        }
    }
}

/// CreateFileMappingW; also says whether the object existed before.
fn create_mapping(
    file: HANDLE,
    attributes: Option<&SECURITY_ATTRIBUTES>,
    protection: u32,
    len: u64,
    name: Option<&Name>,
) -> std::result::Result<(OwnedHandle, bool), u32> {
    let name = name.map(|n| wide(n.as_str()));
    // SAFETY: a file handle or none, attributes and a NUL-terminated name that
    // outlive the call.
    let handle = unsafe {
        CreateFileMappingW(
            file,
            attributes.map_or(null(), std::ptr::from_ref),
            protection,
            (len >> 32) as u32,
            len as u32,
            name.as_ref().map_or(null(), |n| n.as_ptr()),
        )
    };
    let code = last();
    if handle.is_null() {
        return Err(code);
    }
    // SAFETY: just made, ours alone.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    Ok((handle, code == ERROR_ALREADY_EXISTS))
}

fn open_mapping(name: &Name, access: u32) -> std::result::Result<OwnedHandle, u32> {
    let name = wide(name.as_str());
    // SAFETY: a NUL-terminated name.
    let handle = unsafe { OpenFileMappingW(access, 0, name.as_ptr()) };
    if handle.is_null() {
        return Err(last());
    }
    // SAFETY: just opened, ours alone.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn refused_create(name: &Name, code: u32) -> Error {
    if code != ERROR_ACCESS_DENIED {
        return explain(Operation::Create, name, code);
    }
    let exists = match open_mapping(name, SECTION_QUERY) {
        Ok(_) => true,
        Err(code) => code == ERROR_ACCESS_DENIED,
    };
    let (kind, meaning, advice) =
        denied_create(exists, name.scope(), security::may_create_global());
    Error::new(kind, Operation::Create, name, meaning)
        .with_code(code.cast_signed())
        .with_advice(advice)
}

fn refused_open(name: &Name, code: u32, write: bool) -> Error {
    let readable =
        write && code == ERROR_ACCESS_DENIED && open_mapping(name, FILE_MAP_READ).is_ok();
    if !readable {
        return explain(Operation::Open, name, code);
    }
    let meaning = "its owner lets this account read, and not write";
    Error::new(ErrorKind::AccessDenied, Operation::Open, name, meaning)
        .with_code(code.cast_signed())
        .with_advice("open it read-only, or have the owner grant more")
}

fn set_inheritable(handle: &OwnedHandle, on: bool, subject: &str) -> Result<()> {
    let flags = if on { HANDLE_FLAG_INHERIT } else { 0 };
    // SAFETY: a live handle of ours.
    let done = unsafe { SetHandleInformation(handle.as_raw_handle(), HANDLE_FLAG_INHERIT, flags) };
    if done == 0 {
        return Err(explain(Operation::Open, &subject, last()));
    }
    Ok(())
}

/// The error for a refused call on a file.
fn io(operation: Operation, subject: &str, error: &std::io::Error) -> Error {
    let code = error.raw_os_error().unwrap_or(0).cast_unsigned();
    let meaning = match (code, operation) {
        (ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND, Operation::Create) => {
            "the folder that is to hold the file does not exist"
        }
        (ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND, _) => "there is no such file",
        (ERROR_ACCESS_DENIED, _) => {
            let (kind, meaning) = match Path::new(subject).is_dir() {
                true => (ErrorKind::WrongKind, "it is a folder"),
                false => (
                    ErrorKind::AccessDenied,
                    "this account may not open the file so",
                ),
            };
            return Error::new(kind, operation, &subject, meaning)
                .with_code(code.cast_signed())
                .with_advice("check the path, and who may read and write it");
        }
        _ => return explain(operation, &subject, code),
    };
    Error::new(ErrorKind::NotFound, operation, &subject, meaning)
        .with_code(code.cast_signed())
        .with_advice("create it first, or check the path")
}
