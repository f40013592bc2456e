//! A named object: a file of ours that is held, of one of three kinds.
//!
//! A section is a file of any content. Events and mutexes are files of [`LEN`] bytes
//! with a header, told apart from sections by the sticky bit, which means nothing
//! else on a file and which a content cannot fake. So the kind is known before a
//! byte is read, and one file name, given by one `linkat`, serves all three.

use super::errno::{explain, explain_space};
use super::lifetime::{self, Found};
use super::naming::{FOLDER, Place, PlaceKind, place};
use super::owner;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{Grant, HowToCreate, HowToOpen, Kind, ObjectInfo, other_kind_advice};
use rustix::fs::{FallocateFlags, Mode, OFlags, Stat, fallocate, fchmod, fstat, open, statvfs};
use rustix::io::{Errno, FdFlags, fcntl_setfd, pread};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// The length of an event's or a mutex's file.
pub(super) const LEN: usize = 128;
/// Allocated by one system call that signals may interrupt.
const ALLOCATE_STEP: u64 = 16 << 20;
const MAGIC: u32 = u32::from_le_bytes(*b"shmk");
const EVENT: u32 = 1;
const MUTEX: u32 = 2;

/// How often a name that is taken is looked at again before that is believed.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(1);

/// An open description of a file that holds a shared lock, so that the object lives
/// as long as the handle.
#[derive(Debug)]
pub(super) struct Object {
    /// `None` only while it is being dropped.
    file: Option<OwnedFd>,
    pub place: Place,
    pub len: u64,
    owner: u32,
}

impl Object {
    /// Makes a nameless file, complete and held, which `fill` gives its `len` bytes, and
    /// then its name.
    // layout: L016 L191 L195
    pub fn create(
        name: &Name,
        kind: Kind,
        len: u64,
        how: &HowToCreate,
        fill: impl FnOnce(&OwnedFd) -> rustix::io::Result<()>,
    ) -> Result<Object> {
        let place = place(name, owner::me(), Operation::Create)?;
        if place.kind == PlaceKind::Posix {
            return Err(never_posix(name, &place));
        }
        let mut mode = owner::mode(&how.access, name)?;
        if kind != Kind::Section {
            mode |= Mode::SVTX;
        }
        lifetime::sweep();
        // Before memory is allocated in vain, or is not to be had.
        taken(&place, name, kind)?;
        let file = unnamed(mode, fill)
            .map_err(|errno| explain_space(Operation::Create, name, errno, len, statvfs(FOLDER)))?;
        publish(&file, &place, name, kind)?;
        if how.inheritable {
            let_inherit(&file, name)?;
        }
        Ok(Object {
            file: Some(file),
            owner: place.me,
            place,
            len,
        })
    }

    /// Opens what is alive, and of that kind, and whose it is expected to be.
    pub fn open(name: &Name, kind: Kind, how: &HowToOpen) -> Result<Object> {
        let place = place(name, owner::me(), Operation::Open)?;
        if place.kind == PlaceKind::Posix {
            let meaning = format!(
                "a POSIX object is opened as a section, and not as {}",
                kind.noun()
            );
            return Err(Error::new(
                ErrorKind::Unsupported,
                Operation::Open,
                name,
                meaning,
            ));
        }
        Object::open_at(place, name, kind, how)
    }

    /// As [`open`](Object::open), of a file of ours that was found already.
    // layout: L196
    pub fn open_at(place: Place, name: &Name, kind: Kind, how: &HowToOpen) -> Result<Object> {
        let flags = access_flags(how.write);
        let (file, stat) = match lifetime::attach(&place, flags, Operation::Open, name)? {
            Found::Live(file, stat) => (file, stat),
            Found::Nobody | Found::DeadOf(_) => {
                return Err(explain(Operation::Open, name, Errno::NOENT));
            }
        };
        // From here on it is closed as a holder should be.
        let object = Object::held(file, place, &stat);
        let found = kind_of(object.file(), &stat);
        if found != kind {
            return Err(wrong_kind(name, Operation::Open, found, &stat));
        }
        if let Some(expected) = &how.owner {
            owner::check(&stat, expected, name)?;
        }
        if how.inheritable {
            let_inherit(object.file(), name)?;
        }
        Ok(object)
    }

    /// Takes over a file that holds its lock already.
    pub fn held(file: OwnedFd, place: Place, stat: &Stat) -> Object {
        Object {
            file: Some(file),
            place,
            len: stat.st_size.cast_unsigned(),
            owner: stat.st_uid,
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
        // The lock must be gone before the name is judged.
        drop(self.file.take());
        lifetime::retire(&self.place, self.owner);
    }
}

/// What is known about a file.
pub(super) fn info(file: &OwnedFd, path: Option<String>) -> ObjectInfo {
    let stat = fstat(file).ok();
    ObjectInfo {
        owner: stat.map(|s| owner::describe(s.st_uid)),
        access: stat.map(|s| format!("mode {:04o}", s.st_mode & 0o777)),
        grants: stat.map_or(Vec::<Grant>::new(), |s| owner::grants(&s)),
        path,
    }
}

/// The first words of an event or a mutex: what it is, and a word of its own.
// layout: L203 L209
pub(super) fn header(kind: Kind, detail: u32) -> [u8; 12] {
    let kind = if kind == Kind::Event { EVENT } else { MUTEX };
    let mut header = [0; 12];
    for (bytes, word) in header.chunks_exact_mut(4).zip([MAGIC, kind, detail]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    header
}

/// What a file is, and the word of its own.
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

/// The word of its own that an event or a mutex was created with.
// layout: L205
pub(super) fn detail(object: &Object) -> u32 {
    read_header(object.file()).map_or(0, |(_, detail)| detail)
}

/// What stands in a file of ours.
// layout: L191 L205
pub(super) fn kind_of(file: &OwnedFd, stat: &Stat) -> Kind {
    if stat.st_mode & Mode::SVTX.as_raw_mode() == 0 {
        return Kind::Section;
    }
    let whole = stat.st_size == LEN as i64;
    read_header(file)
        .filter(|_| whole)
        .map_or(Kind::Other, |(kind, _)| kind)
}

/// All at once, so that what can never fit is refused before anything is taken;
/// in steps where a signal interrupts that, since older kernels undo it then.
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

/// A file without a name, complete and held.
// layout: L195 L201
fn unnamed(
    mode: Mode,
    fill: impl FnOnce(&OwnedFd) -> rustix::io::Result<()>,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = open(FOLDER, flags, Mode::RUSR | Mode::WUSR)?;
    lifetime::hold(file.as_fd())?;
    fill(&file)?;
    // Last, so that nobody gets in before; and the umask may have taken bits away.
    fchmod(&file, mode)?;
    Ok(file)
}

/// Gives the file its name, as soon as nobody holds what stands there.
fn publish(file: &OwnedFd, place: &Place, name: &Name, kind: Kind) -> Result<()> {
    for _ in 0..LOOKS {
        match lifetime::publish(file.as_fd(), place) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => taken(place, name, kind)?,
            Err(errno) => return Err(explain(Operation::Create, name, errno)),
        }
    }
    let meaning = "other processes create and close it all the time";
    let kind = ErrorKind::Busy;
    Err(Error::new(kind, Operation::Create, name, meaning))
}

/// `Err` where the name is taken, `Ok` where it is free or has just become so.
///
/// A child that another thread is starting has copies of all descriptors until
/// its program is loaded, and so holds for a moment what we closed.
// layout: L195 L199
fn taken(place: &Place, name: &Name, kind: Kind) -> Result<()> {
    let mut holder = None;
    for _ in 0..LOOKS {
        match lifetime::attach(place, OFlags::RDONLY, Operation::Create, name) {
            Ok(Found::Nobody) => return Ok(()),
            Ok(Found::DeadOf(uid)) => return Err(dead_of(uid, place, name)),
            Ok(Found::Live(file, stat)) => {
                holder = Some((kind_of(&file, &stat), stat));
                // A look must not make us the last holder that forgot to tidy up.
                drop(file);
                lifetime::retire(place, stat.st_uid);
            }
            Err(error) if error.kind() == ErrorKind::AccessDenied && lifetime::exists(place) => {
                let meaning = format!("the name is taken: {}", error.meaning());
                let kind = ErrorKind::AlreadyExists;
                let advice = "use another name, or have its owner close or remove it";
                return Err(Error::new(kind, Operation::Create, name, meaning).with_advice(advice));
            }
            Err(error) => return Err(error),
        }
        std::thread::sleep(PAUSE);
    }
    let Some((found, stat)) = holder else {
        return Ok(());
    };
    if found != kind {
        return Err(wrong_kind(name, Operation::Create, found, &stat));
    }
    let user = owner::describe(stat.st_uid);
    let meaning = match kind {
        Kind::Section => {
            let size = stat.st_size;
            format!(
                "a section of this name, with {size} bytes, is held already; it belongs to {user}"
            )
        }
        _ => format!(
            "{} of this name is held already; it belongs to {user}",
            kind.noun()
        ),
    };
    let error = Error::new(ErrorKind::AlreadyExists, Operation::Create, name, meaning);
    Err(error
        .with_code(Errno::EXIST.raw_os_error())
        .with_advice("stop the program that holds it, use another name, or open what is there"))
}

fn wrong_kind(name: &Name, operation: Operation, found: Kind, stat: &Stat) -> Error {
    let user = owner::describe(stat.st_uid);
    let meaning = format!(
        "the name is held by {}, which belongs to {user}",
        found.noun()
    );
    let error = Error::new(ErrorKind::WrongKind, operation, name, meaning);
    error.with_advice(other_kind_advice(operation))
}

fn never_posix(name: &Name, place: &Place) -> Error {
    let meaning = "a POSIX object would outlive its holders, so it is opened, never created";
    let error = Error::new(ErrorKind::Unsupported, Operation::Create, name, meaning);
    error.with_advice(format!("create a file-backed section at {}", place.path))
}

fn dead_of(uid: u32, place: &Place, name: &Name) -> Error {
    let user = owner::describe(uid);
    let meaning = format!("a dead file of {user} stands at its place");
    let advice = format!("remove {} as {user} or root", place.path);
    Error::new(ErrorKind::WrongOwner, Operation::Create, name, meaning).with_advice(advice)
}

/// As a number, for messages and foreign waits.
pub(super) fn raw(object: &Object) -> std::os::fd::RawFd {
    object.file().as_raw_fd()
}
