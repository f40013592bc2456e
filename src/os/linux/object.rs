//! A named object: a file that a process holds, of one of three kinds.
//!
//! A section is a file of any content. An event or a mutex is a file of [`LEN`] bytes with a
//! header. The sticky bit tells them from sections: it means nothing else on a file, and no content
//! can fake it. So the kind is known before a byte is read, and one file name, given by one
//! `linkat`, serves all kinds.

use super::access;
use super::error::explain;
use super::lifetime::{self, Lookup};
use super::naming::{Place, PlaceKind, place};
use super::user;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{Grant, HowToCreate, HowToOpen, Kind, ObjectInfo, other_kind_advice};
use rustix::fs::{FallocateFlags, Mode, OFlags, Stat, fallocate, fstat};
use rustix::io::{Errno, FdFlags, fcntl_setfd, pread};
use std::os::fd::{AsRawFd, OwnedFd};

/// The length of the file of an event or a mutex.
pub(super) const LEN: usize = 128;
/// The bytes that one system call allocates where a signal may interrupt the call.
const ALLOCATE_STEP: u64 = 16 << 20;
const MAGIC: u32 = u32::from_le_bytes(*b"shmk");
const EVENT: u32 = 1;
const MUTEX: u32 = 2;

/// An open file description that holds a shared lock, so that the object lives as long as this
/// value.
#[derive(Debug)]
pub(super) struct Object {
    /// `None` only while the object is being dropped.
    file: Option<OwnedFd>,
    pub place: Place,
    pub len: u64,
}

impl Object {
    /// Creates an object of `len` bytes, which `fill` writes.
    // layout: L016 L191 L195
    pub fn create(
        name: &Name,
        kind: Kind,
        len: u64,
        how: &HowToCreate,
        fill: impl FnOnce(&OwnedFd) -> rustix::io::Result<()>,
    ) -> Result<Object> {
        let place = place(name, user::me(), Operation::Create)?;
        if place.kind == PlaceKind::Posix {
            return Err(never_posix(name, &place));
        }
        let mut rights = access::FileRights::of(how, &place, name)?;
        if kind != Kind::Section {
            rights.mode |= Mode::SVTX;
        }

        let refuse = |file: &OwnedFd, stat: &Stat| match kind_of(file, stat) {
            held if held == kind => already_held(name, kind, stat),
            held => wrong_kind(name, Operation::Create, held, stat),
        };
        let file = lifetime::create(&place, name, &rights, len, fill, refuse)?;
        let object = Object {
            file: Some(file),
            place,
            len,
        };
        if how.inheritable {
            let_inherit(object.file(), name)?;
        }
        Ok(object)
    }

    /// Opens an object that a process holds, and checks its kind and its owner.
    pub fn open(name: &Name, kind: Kind, how: &HowToOpen) -> Result<Object> {
        let place = place(name, user::me(), Operation::Open)?;
        if place.kind == PlaceKind::Posix {
            let meaning = format!(
                "a POSIX object is opened as a section, and not as {}",
                kind.noun()
            );
            let kind = ErrorKind::Unsupported;
            return Err(Error::new(kind, Operation::Open, name, meaning));
        }
        Object::open_at(place, name, kind, how)
    }

    /// Opens the object at a place, and checks its kind and its owner.
    // layout: L196
    pub fn open_at(place: Place, name: &Name, kind: Kind, how: &HowToOpen) -> Result<Object> {
        let flags = access_flags(how.write);
        let Lookup::Held(file, stat) = lifetime::open(&place, flags, Operation::Open, name)? else {
            return Err(explain(Operation::Open, name, Errno::NOENT));
        };
        // From here on each return drops the object, and so closes the file as a holder does.
        let object = Object::held(file, place, &stat);

        let found = kind_of(object.file(), &stat);
        if found != kind {
            return Err(wrong_kind(name, Operation::Open, found, &stat));
        }
        if let Some(expected) = &how.owner {
            access::check(&stat, expected, name)?;
        }
        if how.inheritable {
            let_inherit(object.file(), name)?;
        }
        Ok(object)
    }

    /// Makes an object of a file whose shared lock this process has already.
    pub fn held(file: OwnedFd, place: Place, stat: &Stat) -> Object {
        Object {
            file: Some(file),
            place,
            len: stat.st_size.cast_unsigned(),
        }
    }

    pub fn file(&self) -> &OwnedFd {
        self.file.as_ref().expect("only `drop` takes it")
    }

    pub fn info(&self) -> ObjectInfo {
        info(self.file(), Some(self.place.path.clone()))
    }
}

impl Drop for Object {
    // layout: L200
    fn drop(&mut self) {
        // Before `retire`, which finds no stale file while this descriptor holds its lock.
        drop(self.file.take());
        lifetime::retire(&self.place);
    }
}

/// Refuses a name that no object can have.
pub(crate) fn check_name(name: &Name) -> Result<()> {
    place(name, user::me(), Operation::Create).map(drop)
}

/// Returns what the system tells about a file.
pub(super) fn info(file: &OwnedFd, path: Option<String>) -> ObjectInfo {
    let stat = fstat(file).ok();
    ObjectInfo {
        owner: stat.map(|s| user::describe(s.st_uid)),
        access: stat.map(|s| format!("mode {:04o}", s.st_mode & 0o777)),
        grants: stat.map_or(Vec::<Grant>::new(), |s| access::grants(&s)),
        path,
    }
}

/// Returns the first words of an event or a mutex: its kind, and a detail that depends on the kind.
pub(super) fn header(kind: Kind, detail: u32) -> [u8; 12] {
    let kind = if kind == Kind::Event { EVENT } else { MUTEX };
    let mut header = [0; 12];
    for (bytes, word) in header.chunks_exact_mut(4).zip([MAGIC, kind, detail]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    header
}

/// Reads the kind and the detail of an event or a mutex.
fn read_header(file: &OwnedFd) -> Option<(Kind, u32)> {
    let mut header = [0; 12];
    (pread(file, &mut header, 0) == Ok(12)).then_some(())?;
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| header[at + n]));
    match (word(0), word(4)) {
        (MAGIC, EVENT) => Some((Kind::Event, word(8))),
        (MAGIC, MUTEX) => Some((Kind::Mutex, word(8))),
        _ => None,
    }
}

/// Returns the detail with which an event or a mutex was created.
pub(super) fn detail(object: &Object) -> u32 {
    read_header(object.file()).map_or(0, |(_, detail)| detail)
}

/// Returns the kind of a file of this crate.
// layout: L191
pub(super) fn kind_of(file: &OwnedFd, stat: &Stat) -> Kind {
    if stat.st_mode & Mode::SVTX.as_raw_mode() == 0 {
        return Kind::Section;
    }
    let whole = stat.st_size == LEN as i64;
    read_header(file)
        .filter(|_| whole)
        .map_or(Kind::Other, |(kind, _)| kind)
}

/// Allocates a range all at once, so that a size which can never fit is refused before anything is
/// allocated. Where a signal interrupts the call, the range is allocated in steps, since older
/// kernels undo an interrupted call.
pub(super) fn allocate(
    file: &OwnedFd,
    flags: FallocateFlags,
    offset: u64,
    len: u64,
) -> rustix::io::Result<()> {
    match fallocate(file, flags, offset, len) {
        Err(Errno::INTR) => {}
        done => return done,
    }

    let mut done = 0;
    while done < len {
        let step = (len - done).min(ALLOCATE_STEP);
        match fallocate(file, flags, offset + done, step) {
            Err(Errno::INTR) => {}
            other => {
                other?;
                done += step;
            }
        }
    }

    Ok(())
}

pub(super) fn access_flags(write: bool) -> OFlags {
    if write { OFlags::RDWR } else { OFlags::RDONLY }
}

pub(super) fn let_inherit(file: &OwnedFd, subject: &dyn std::fmt::Display) -> Result<()> {
    fcntl_setfd(file, FdFlags::empty()).map_err(|e| explain(Operation::Open, subject, e))
}

fn already_held(name: &Name, kind: Kind, stat: &Stat) -> Error {
    let noun = kind.noun();
    let size = match kind {
        Kind::Section => format!(", with {} bytes,", stat.st_size),
        _ => String::new(),
    };
    let user = user::describe(stat.st_uid);
    let meaning = format!("{noun} of this name{size} is held already; it belongs to {user}");
    let error = Error::new(ErrorKind::AlreadyExists, Operation::Create, name, meaning);
    error
        .with_code(Errno::EXIST.raw_os_error())
        .with_advice("stop the program that holds it, use another name, or open what is there")
}

fn wrong_kind(name: &Name, operation: Operation, found: Kind, stat: &Stat) -> Error {
    let user = user::describe(stat.st_uid);
    let meaning = format!(
        "the name is held by {}, which belongs to {user}",
        found.noun()
    );
    let error = Error::new(ErrorKind::WrongKind, operation, name, meaning);
    error.with_advice(other_kind_advice(operation))
}

fn never_posix(name: &Name, place: &Place) -> Error {
    let meaning =
        "shmkit only opens POSIX objects, and never creates one: it would outlive its holders";
    let error = Error::new(ErrorKind::Unsupported, Operation::Create, name, meaning);
    error.with_advice(format!("create a file-backed section at {}", place.path))
}

/// Returns the descriptor as a number, for messages and for waits of other code.
pub(super) fn raw(object: &Object) -> std::os::fd::RawFd {
    object.file().as_raw_fd()
}
