//! A handle of a section.

use super::call;
use super::error::explain;
use super::ntdll;
use super::view::{Part, View, granularity};
use super::{OwnedObject, RawObject, access, naming, object};
use crate::access::Access;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{
    Backing, Facts, HowToCreate, HowToOpen, Kind, ObjectBackend, ObjectInfo, Protection,
    SectionBackend,
};
use std::fs::{File, OpenOptions};
use std::os::windows::io::{AsHandle, AsRawHandle, OwnedHandle};
use std::path::Path;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND,
};
use windows_sys::Win32::Storage::FileSystem::READ_CONTROL;
use windows_sys::Win32::System::Memory::{
    FILE_MAP_READ, FILE_MAP_WRITE, PAGE_READONLY, PAGE_READWRITE, SEC_COMMIT, SEC_IMAGE,
    SEC_LARGE_PAGES, SEC_NOCACHE, SEC_RESERVE, SEC_WRITECOMBINE, SECTION_QUERY,
};

/// The attribute of a section that is backed by a file. NtQuerySection reports it; the value is
/// from phnt.
const SEC_FILE: u32 = 0x0080_0000;

/// The most bytes that `read_at` maps at a time.
const WINDOW: usize = 16 << 20;

/// The most bytes that `commit` commits at a time.
const COMMIT_STEP: u64 = 256 << 20;

#[derive(Debug)]
pub(crate) struct Section {
    handle: OwnedHandle,
    /// The file behind the section, if this process opened it.
    file: Option<File>,
    /// The name of the section in error messages.
    subject: String,
    writable: bool,
    /// The size in bytes, which never changes.
    size: u64,
    /// The attributes, which never change; `None` where the system does not tell them.
    attributes: Option<u32>,
}

impl Section {
    /// Makes a section of a handle. `known` is the size and the attributes; where it is `None`, the
    /// system is asked for them.
    fn new(
        handle: OwnedHandle,
        file: Option<File>,
        subject: String,
        writable: bool,
        known: Option<(u64, u32)>,
    ) -> Result<Section> {
        let basics = known.or_else(|| {
            let basics = ntdll::section_basics(handle.as_raw_handle())?;
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
            writable,
            size,
            attributes: basics.map(|(_, attributes)| attributes),
        })
    }

    /// Returns the owner of the section, for lists.
    pub(super) fn owner(&self) -> Option<String> {
        access::owner(self.handle.as_handle())
    }

    /// Makes a section of a file. Extends the file to `len` bytes, unless `len` is 0.
    fn map_file(
        file: File,
        len: u64,
        write: bool,
        inherit: bool,
        subject: String,
    ) -> Result<Section> {
        let operation = match len {
            0 => Operation::Open,
            _ => Operation::Create,
        };
        let protection = if write { PAGE_READWRITE } else { PAGE_READONLY };
        let fail = |code| explain(operation, &subject, code);

        let made = call::create_section(Some(file.as_handle()), None, protection, len, None);
        let (handle, _) = made.map_err(fail)?;
        call::set_inheritable(handle.as_handle(), inherit).map_err(fail)?;
        Section::new(handle, Some(file), subject, write, None)
    }
}

impl ObjectBackend for Section {
    fn raw(&self) -> RawObject {
        object::raw(&self.handle)
    }

    fn info(&self) -> ObjectInfo {
        object::info(&self.handle, Kind::Section)
    }
}

impl SectionBackend for Section {
    // layout: L218
    fn create(name: &Name, len: u64, how: &HowToCreate) -> Result<Section> {
        // A single page is committed as a whole or not at all.
        let reserve = how.reserve && len > granularity().0 as u64;
        let kind = if reserve { SEC_RESERVE } else { SEC_COMMIT };
        let handle = object::create(name, Kind::Section, how, |attributes| {
            let protection = PAGE_READWRITE | kind;
            call::create_section(None, Some(attributes.get()), protection, len, Some(name))
        })?;
        // "The system rounds this value up to the nearest multiple of PAGE_SIZE" (ZwCreateSection).
        // The system reports the rounded value to other processes.
        let size = len.next_multiple_of(granularity().0 as u64);
        Section::new(handle, None, name.to_string(), true, Some((size, kind)))
    }

    // layout: L228
    fn open(name: &Name, how: &HowToOpen) -> Result<Section> {
        let map = if how.write {
            FILE_MAP_READ | FILE_MAP_WRITE
        } else {
            FILE_MAP_READ
        };
        let rights = [
            map | SECTION_QUERY | READ_CONTROL,
            map | READ_CONTROL,
            map | SECTION_QUERY,
            map,
        ];
        let handle = object::open(name, Kind::Section, how, &rights)?;
        Section::new(handle, None, name.to_string(), how.write, None)
    }

    fn create_file(path: &Path, len: u64, how: &HowToCreate) -> Result<Section> {
        let subject = path.display().to_string();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|e| io(Operation::Create, &subject, &e))?;
        // Creating the section extends the file to `len` bytes, and so allocates them.
        Section::map_file(file, len, true, how.inheritable, subject).inspect_err(|_| {
            // The file was created above, and is useless without a section.
            let _ = std::fs::remove_file(path);
        })
    }

    fn open_file(path: &Path, how: &HowToOpen) -> Result<Section> {
        let subject = path.display().to_string();
        let file = OpenOptions::new()
            .read(true)
            .write(how.write)
            .open(path)
            .map_err(|e| io(Operation::Open, &subject, &e))?;
        if let Some(expected) = &how.owner {
            access::check_file_owner(file.as_handle(), expected, &subject)?;
        }
        Section::map_file(file, 0, how.write, how.inheritable, subject)
    }

    fn from_owned(handle: OwnedObject) -> Result<(Section, Option<Name>)> {
        let raw = handle.as_raw_handle();
        let subject = format!("handle {:#x}", raw as usize);

        // The handle was inheritable, so that it could reach this process. It need not reach the
        // children of this process.
        call::set_inheritable(handle.as_handle(), false)
            .map_err(|code| explain(Operation::Open, &subject, code))?;

        let granted = ntdll::granted_access(raw).unwrap_or(FILE_MAP_READ);
        let write = granted & FILE_MAP_WRITE != 0;

        // The type is checked before the name is read: some objects of other types block when they
        // are asked for their name.
        let section = Section::new(handle, None, subject.clone(), write, None).map_err(|e| {
            let meaning =
                "this is not the handle of a section, or the handle does not allow reading";
            Error::new(ErrorKind::WrongKind, Operation::Open, &subject, meaning)
                .with_code(e.code().unwrap_or(0))
        })?;

        let name = ntdll::object_path(raw).and_then(|path| naming::name_of(&path));
        Ok((section, name))
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

    // layout: L262
    fn commit(&self, offset: u64, len: u64) -> Result<()> {
        // A section that is not reserved is committed already, and a file cannot be committed.
        if self.is_reserved() == Some(false) {
            return Ok(());
        }

        let page = granularity().0 as u64;
        let end = (offset + len).next_multiple_of(page).min(self.size);
        let mut start = offset - offset % page;

        // In steps, so that a 32-bit process can commit more bytes than it can map. Each view is
        // one page longer than the range that is committed: see `View::commit`.
        while start < end {
            let step = (end - start).min(COMMIT_STEP);
            let seen = (start + step + page).min(self.size) - start;
            let view = self.map(Protection::ReadWrite, start, seen as usize)?;
            view.commit(step as usize)?;
            start += step;
        }

        Ok(())
    }

    fn companion_access(&self, kind: Kind) -> Result<Access> {
        let told = access::companion(self.handle.as_handle(), kind);
        told.ok_or_else(|| {
            let meaning = "this account may not read its access list, so it is unknown which accounts may wake this program";
            let kind = ErrorKind::AccessDenied;
            let error = Error::new(kind, Operation::Open, &self.subject, meaning);
            error.with_advice("have its creator grant READ_CONTROL (RC), which GR and GW include")
        })
    }

    fn map(&self, protection: Protection, offset: u64, len: usize) -> Result<View> {
        let part = Part {
            offset,
            len,
            section_size: self.size,
            // Where the system did not tell the attributes, each access checks what is committed.
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
        // "The FlushViewOfFile function does not flush the file metadata, and it does not wait to
        // return until the changes are flushed ... to disk" (FlushViewOfFile).
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

    /// Returns `false`: the name goes with the last handle.
    fn remove_name(&self) -> Result<bool> {
        Ok(false)
    }

    fn facts(&self) -> Facts {
        Facts {
            object: self.info(),
            backing: self.attributes.map(|a| match a {
                a if a & SEC_IMAGE == SEC_IMAGE => Backing::Image,
                a if a & SEC_FILE != 0 => Backing::File,
                _ => Backing::Memory,
            }),
            attributes: self.attributes.map(in_words),
        }
    }
}

/// Returns the attributes of a section as Win32 names them.
fn in_words(attributes: u32) -> String {
    let names = [
        ("SEC_FILE", SEC_FILE),
        ("SEC_IMAGE", SEC_IMAGE),
        ("SEC_RESERVE", SEC_RESERVE),
        ("SEC_COMMIT", SEC_COMMIT),
        ("SEC_NOCACHE", SEC_NOCACHE),
        ("SEC_WRITECOMBINE", SEC_WRITECOMBINE),
        ("SEC_LARGE_PAGES", SEC_LARGE_PAGES),
    ];
    let set = names.iter().filter(|(_, bits)| attributes & bits == *bits);
    let words: Vec<&str> = set.map(|(name, _)| *name).collect();
    words.join(" ")
}

/// Returns the error for a refused call on a file.
fn io(operation: Operation, subject: &str, error: &std::io::Error) -> Error {
    let code = error.raw_os_error().unwrap_or(0).cast_unsigned();
    let meaning = match (code, operation) {
        (ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND, Operation::Create) => {
            "the folder that is to hold the file does not exist"
        }
        (ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND, _) => "there is no such file",
        (ERROR_ACCESS_DENIED, _) => {
            let (kind, meaning) = if Path::new(subject).is_dir() {
                (ErrorKind::WrongKind, "it is a folder")
            } else {
                (
                    ErrorKind::AccessDenied,
                    "this account may not open the file with these rights",
                )
            };
            return Error::new(kind, operation, &subject, meaning)
                .with_code(code.cast_signed())
                .with_advice("check the path and the permissions of the file");
        }
        _ => return explain(operation, &subject, code),
    };

    Error::new(ErrorKind::NotFound, operation, &subject, meaning)
        .with_code(code.cast_signed())
        .with_advice("create it first, or check the path")
}
