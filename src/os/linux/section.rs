//! One handle of one section: an open description of a file that holds a shared
//! lock, so that the object lives as long as the handle.

use super::errno::explain;
use super::lifetime::{self, Found};
use super::naming::{FOLDER, Place, PlaceKind, name_of, place};
use super::view::View;
use super::{OwnedObject, RawObject, owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{Backing, Facts, HowToCreate, HowToOpen, Protection, SectionBackend};
use rustix::fs::{FallocateFlags, Mode, OFlags, Stat, fallocate, fchmod, fstat, ftruncate, open};
use rustix::io::{Errno, FdFlags, fcntl_setfd, pread};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Only the owner: what `Access::SameUser` means on Linux.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

#[derive(Debug)]
pub(crate) struct Section {
    /// `None` only while it is being dropped.
    file: Option<OwnedFd>,
    origin: Origin,
    /// As the caller knows it, for messages.
    subject: String,
    writable: bool,
}

#[derive(Debug)]
enum Origin {
    /// A file of ours in `/dev/shm`, whose length never changes.
    Named { place: Place, len: u64 },
    /// A POSIX object that somebody else made.
    Posix { place: Place },
    /// A file of the user's.
    File,
}

impl Section {
    fn file(&self) -> &OwnedFd {
        self.file.as_ref().expect("only `drop` takes it")
    }

    fn stat(&self, operation: Operation) -> Result<Stat> {
        fstat(self.file()).map_err(|e| explain(operation, &self.subject, e))
    }

    fn new(file: OwnedFd, origin: Origin, subject: String, access: HowToOpen) -> Result<Self> {
        if access.inheritable {
            fcntl_setfd(&file, FdFlags::empty())
                .map_err(|e| explain(Operation::Open, &subject, e))?;
        }
        Ok(Section {
            file: Some(file),
            origin,
            subject,
            writable: access.write,
        })
    }

    fn open_posix(place: &Place, name: &Name, how: HowToOpen) -> Result<Section> {
        let flags = access_flags(how.write) | lifetime::CAREFULLY;
        let file = open(&place.path, flags, Mode::empty())
            .map_err(|errno| lifetime::refused(place, Operation::Open, name, errno))?;
        let stat = fstat(&file).map_err(|e| explain(Operation::Open, name, e))?;
        lifetime::check(&stat, place, Operation::Open, name)?;
        let place = place.clone();
        Section::new(file, Origin::Posix { place }, name.to_string(), how)
    }
}

impl SectionBackend for Section {
    fn create(name: &Name, len: u64, how: HowToCreate) -> Result<Section> {
        let place = place(name, owner::me(), Operation::Create)?;
        if place.kind == PlaceKind::Posix {
            let meaning =
                "a POSIX object would outlive its holders, so it is opened, never created";
            return Err(
                Error::new(ErrorKind::Unsupported, Operation::Create, name, meaning)
                    .with_advice(format!("create a file-backed section at {}", place.path)),
            );
        }
        lifetime::sweep();
        let file = unnamed(len, how).map_err(|errno| {
            // A full /dev/shm must not hide that the name is taken.
            taken(&place, name)
                .err()
                .unwrap_or_else(|| explain(Operation::Create, name, errno))
        })?;
        while let Err(errno) = lifetime::publish(file.as_fd(), &place) {
            if errno != Errno::EXIST {
                return Err(explain(Operation::Create, name, errno));
            }
            taken(&place, name)?;
        }
        let access = HowToOpen {
            write: true,
            inheritable: how.inheritable,
        };
        let origin = Origin::Named { place, len };
        Section::new(file, origin, name.to_string(), access)
    }

    fn open(name: &Name, how: HowToOpen) -> Result<Section> {
        let place = place(name, owner::me(), Operation::Open)?;
        if place.kind == PlaceKind::Posix {
            return Section::open_posix(&place, name, how);
        }
        let found = lifetime::attach(&place, access_flags(how.write), Operation::Open, name)?;
        let Found::Live(file, stat) = found else {
            return Err(explain(Operation::Open, name, Errno::NOENT));
        };
        let len = stat.st_size.cast_unsigned();
        let origin = Origin::Named { place, len };
        Section::new(file, origin, name.to_string(), how)
    }

    fn create_file(path: &Path, len: u64, how: HowToCreate) -> Result<Section> {
        let subject = path.display().to_string();
        let fail = |e| explain(Operation::Create, &subject, e);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = match open(path, flags, MODE) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(no_such_file(&subject, Operation::Create)),
            Err(errno) => return Err(fail(errno)),
        };
        if let Err(errno) = size(&file, len, how.reserve) {
            // Made by us a moment ago, and useless.
            let _ = rustix::fs::unlink(path);
            return Err(fail(errno));
        }
        let access = HowToOpen {
            write: true,
            inheritable: how.inheritable,
        };
        Section::new(file, Origin::File, subject, access)
    }

    fn open_file(path: &Path, how: HowToOpen) -> Result<Section> {
        let subject = path.display().to_string();
        let fail = |e| explain(Operation::Open, &subject, e);
        let flags = access_flags(how.write) | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match open(path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(no_such_file(&subject, Operation::Open)),
            Err(errno) => return Err(fail(errno)),
        };
        let stat = fstat(&file).map_err(fail)?;
        if !lifetime::is_regular(&stat) {
            return Err(fail(Errno::NODEV));
        }
        if stat.st_size == 0 {
            let kind = ErrorKind::OutOfBounds;
            let error = Error::new(kind, Operation::Open, &subject, "the file is empty");
            return Err(error.with_advice("a section has at least one byte"));
        }
        Section::new(file, Origin::File, subject, how)
    }

    fn from_owned(file: OwnedObject) -> Result<(Section, Option<Name>)> {
        let raw = file.as_raw_fd();
        let subject = format!("descriptor {raw}");
        let fail = |e| explain(Operation::Open, &subject, e);
        let stat = fstat(&file).map_err(fail)?;
        if !lifetime::is_regular(&stat) {
            return Err(fail(Errno::NODEV));
        }
        // It was inheritable to get here; it need not travel further.
        fcntl_setfd(&file, FdFlags::CLOEXEC).map_err(fail)?;
        let flags = rustix::fs::fcntl_getfl(&file).map_err(fail)?;
        let name = file_of(&stat).and_then(|file| name_of(&file, owner::me()));
        let origin = match &name {
            None => Origin::File,
            Some(name) => {
                let place = place(name, owner::me(), Operation::Open)?;
                match place.kind {
                    PlaceKind::Posix => Origin::Posix { place },
                    PlaceKind::Local | PlaceKind::Global => Origin::Named {
                        place,
                        len: stat.st_size.cast_unsigned(),
                    },
                }
            }
        };
        let access = HowToOpen {
            write: flags.contains(OFlags::RDWR),
            inheritable: false,
        };
        Ok((Section::new(file, origin, subject, access)?, name))
    }

    fn raw(&self) -> RawObject {
        self.file().as_raw_fd()
    }

    fn kernel_len(&self) -> Result<u64> {
        match &self.origin {
            Origin::Named { len, .. } => Ok(*len),
            // Whoever made these may have changed their length since.
            Origin::Posix { .. } | Origin::File => {
                Ok(self.stat(Operation::Inspect)?.st_size.cast_unsigned())
            }
        }
    }

    fn writable(&self) -> bool {
        self.writable
    }

    fn is_reserved(&self) -> bool {
        // st_blocks counts units of 512 bytes, whatever the block size.
        matches!(self.origin, Origin::Named { .. })
            && self
                .stat(Operation::Inspect)
                .is_ok_and(|s| i128::from(s.st_blocks) * 512 < i128::from(s.st_size))
    }

    fn commit(&self, offset: u64, len: u64) -> Result<()> {
        allocate(self.file(), offset, len).map_err(|e| explain(Operation::Commit, &self.subject, e))
    }

    fn map(&self, protection: Protection, offset: u64, len: usize) -> Result<View> {
        View::new(
            self.file().as_fd(),
            protection,
            offset,
            len,
            self.subject.clone(),
        )
    }

    fn read_at(&self, mut offset: u64, mut to: &mut [u8]) -> Result<()> {
        while !to.is_empty() {
            match pread(self.file(), &mut *to, offset) {
                Ok(0) => {
                    let meaning = "its owner made it smaller while it was read";
                    let kind = ErrorKind::OutOfBounds;
                    return Err(Error::new(kind, Operation::Read, &self.subject, meaning));
                }
                Ok(n) => {
                    offset += n as u64;
                    to = &mut to[n..];
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(explain(Operation::Read, &self.subject, e)),
            }
        }
        Ok(())
    }

    fn facts(&self) -> Facts {
        let stat = self.stat(Operation::Inspect).ok();
        Facts {
            owner: stat.map(|s| owner::describe(s.st_uid)),
            access: stat.map(|s| format!("mode {:04o}", s.st_mode & 0o7777)),
            backing: Some(match self.origin {
                Origin::Named { .. } => Backing::Memory,
                Origin::Posix { .. } => Backing::Posix,
                Origin::File => Backing::File,
            }),
            path: match &self.origin {
                Origin::Named { place, .. } | Origin::Posix { place } => Some(place.path.clone()),
                Origin::File => std::fs::read_link(format!("/proc/self/fd/{}", self.raw()))
                    .ok()
                    .map(|path| path.display().to_string()),
            },
        }
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        // The lock must be gone before the name is judged.
        drop(self.file.take());
        if let Origin::Named { place, .. } = &self.origin {
            lifetime::retire(place);
        }
    }
}

/// The name in `/dev/shm` of a file that was opened elsewhere. `/proc` does not
/// tell: for its creator a section stays the nameless file that it was made as.
fn file_of(stat: &Stat) -> Option<String> {
    let entries = std::fs::read_dir(FOLDER).ok()?;
    let same = |entry: &std::fs::DirEntry| {
        entry
            .metadata()
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == (stat.st_dev, stat.st_ino))
    };
    let entry = entries.flatten().find(same)?;
    entry.file_name().into_string().ok()
}

fn access_flags(write: bool) -> OFlags {
    if write { OFlags::RDWR } else { OFlags::RDONLY }
}

/// A file without a name, complete and held.
fn unnamed(len: u64, how: HowToCreate) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = open(FOLDER, flags, MODE)?;
    // The umask may have taken bits away.
    fchmod(&file, MODE)?;
    lifetime::hold(file.as_fd())?;
    size(&file, len, how.reserve)?;
    Ok(file)
}

/// Committed memory is allocated now: a full /dev/shm is an error here, and not
/// a SIGBUS at some later touch.
fn size(file: &OwnedFd, len: u64, reserve: bool) -> rustix::io::Result<()> {
    if !reserve {
        match allocate(file, 0, len) {
            Err(Errno::OPNOTSUPP) => {}
            done => return done,
        }
    }
    ftruncate(file, len)
}

fn allocate(file: &OwnedFd, offset: u64, len: u64) -> rustix::io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), offset, len) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// `Err` where the name is taken, `Ok` where it is free or has just become so.
fn taken(place: &Place, name: &Name) -> Result<()> {
    let found = match lifetime::attach(place, OFlags::RDONLY, Operation::Create, name) {
        Err(error) if error.kind() == ErrorKind::AccessDenied => {
            let advice = "use another name, or have its owner close or remove it";
            let meaning = format!("the name is taken: {}", error.meaning());
            let error = Error::new(ErrorKind::AlreadyExists, Operation::Create, name, meaning);
            return Err(error.with_advice(advice));
        }
        other => other?,
    };
    match found {
        Found::Nobody => Ok(()),
        Found::DeadOf(uid) => {
            let who = owner::describe(uid);
            let meaning = format!("a dead file of {who} stands at its place");
            let advice = format!("remove {} as {who} or root", place.path);
            let error = Error::new(ErrorKind::WrongOwner, Operation::Create, name, meaning);
            Err(error.with_advice(advice))
        }
        Found::Live(file, stat) => {
            // A look must not make us the last holder that forgot to tidy up.
            drop(file);
            lifetime::retire(place);
            let meaning = format!(
                "a section of this name, with {} bytes, is held by another program",
                stat.st_size
            );
            let error = Error::new(ErrorKind::AlreadyExists, Operation::Create, name, meaning);
            Err(error
                .with_code(Errno::EXIST.raw_os_error())
                .with_advice("stop that program, use another name, or open what is there"))
        }
    }
}

fn no_such_file(subject: &str, operation: Operation) -> Error {
    let meaning = match operation {
        Operation::Create => "the folder that is to hold the file does not exist",
        _ => "there is no such file",
    };
    Error::new(ErrorKind::NotFound, operation, &subject, meaning)
        .with_code(Errno::NOENT.raw_os_error())
        .with_advice("create it first, or check the path")
}
