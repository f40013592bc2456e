//! A handle of a section: a named object, a POSIX object, or a user's file.

use super::error::{explain, explain_space};
use super::folder::{SHM, folder};
use super::lifetime;
use super::naming::{Place, PlaceKind, name_of, place};
use super::object::{self, Object, access_flags, allocate, let_inherit};
use super::view::View;
use super::{OwnedObject, RawObject, access, user};
use crate::access::Access;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{
    Backing, Facts, HowToCreate, HowToOpen, Kind, ObjectBackend, ObjectInfo, Protection,
    SectionBackend,
};
use rustix::fs::{FallocateFlags, Mode, OFlags, Stat, fstat, fstatvfs, ftruncate, open};
use rustix::io::{Errno, FdFlags, fcntl_setfd, pread};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The mode of a new file: for this user only.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

#[derive(Debug)]
pub(crate) struct Section {
    source: Source,
    /// The name of the section in error messages.
    subject: String,
    writable: bool,
}

#[derive(Debug)]
enum Source {
    /// A file of this crate in the folder, whose length never changes.
    Named(Object),
    /// A POSIX object that another program made.
    Posix(OwnedFd, Place),
    /// A file of the user.
    File(OwnedFd),
}

impl Section {
    pub(super) fn file(&self) -> &OwnedFd {
        match &self.source {
            Source::Named(object) => object.file(),
            Source::Posix(file, _) | Source::File(file) => file,
        }
    }

    fn stat(&self, operation: Operation) -> Result<Stat> {
        fstat(self.file()).map_err(|e| explain(operation, &self.subject, e))
    }

    fn user_file(file: OwnedFd, subject: String, write: bool, inherit: bool) -> Result<Section> {
        if inherit {
            let_inherit(&file, &subject)?;
        }
        Ok(Section {
            source: Source::File(file),
            subject,
            writable: write,
        })
    }

    fn open_posix(place: Place, name: &Name, how: &HowToOpen) -> Result<Section> {
        let flags = access_flags(how.write) | lifetime::OPEN_FLAGS;
        let file = match open(&place.path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => {
                let meaning = "there is no POSIX object of this name";
                let kind = ErrorKind::NotFound;
                return Err(Error::new(kind, Operation::Open, name, meaning)
                    .with_code(Errno::NOENT.raw_os_error())
                    .with_advice("start its publisher first, or check the name (ls /dev/shm)"));
            }
            Err(errno) => return Err(access::refused(&place, Operation::Open, name, errno)),
        };

        let stat = fstat(&file).map_err(|e| explain(Operation::Open, name, e))?;
        access::check_file(&stat, &place, Operation::Open, name)?;
        if let Some(expected) = &how.owner {
            access::check(&stat, expected, name)?;
        }

        if how.inheritable {
            let_inherit(&file, name)?;
        }

        Ok(Section {
            source: Source::Posix(file, place),
            subject: name.to_string(),
            writable: how.write,
        })
    }
}

impl Section {
    /// Returns the path and the descriptor of a file of this crate, with the device and inode
    /// number that tell the file from a later file of that path.
    pub(super) fn named_file(&self) -> Option<(&str, RawObject, (u64, u64))> {
        let Source::Named(object) = &self.source else {
            return None;
        };
        let stat = self.stat(Operation::Inspect).ok()?;
        Some((&object.place.path, self.raw(), (stat.st_dev, stat.st_ino)))
    }
}

impl ObjectBackend for Section {
    fn raw(&self) -> RawObject {
        self.file().as_raw_fd()
    }

    fn info(&self) -> ObjectInfo {
        let path = match &self.source {
            Source::Named(object) => return object.info(),
            Source::Posix(_, place) => Some(place.path.clone()),
            Source::File(_) => std::fs::read_link(format!("/proc/self/fd/{}", self.raw()))
                .ok()
                .map(|path| path.display().to_string()),
        };
        object::info(self.file(), path)
    }
}

impl SectionBackend for Section {
    fn create(name: &Name, len: u64, how: &HowToCreate) -> Result<Section> {
        let fill = |file: &OwnedFd| size(file, len, how.reserve);
        Ok(Section {
            source: Source::Named(Object::create(name, Kind::Section, len, how, fill)?),
            subject: name.to_string(),
            writable: true,
        })
    }

    fn open(name: &Name, how: &HowToOpen) -> Result<Section> {
        let place = place(name, user::me(), Operation::Open)?;
        if place.kind == PlaceKind::Posix {
            return Section::open_posix(place, name, how);
        }
        Ok(Section {
            source: Source::Named(Object::open_at(place, name, Kind::Section, how)?),
            subject: name.to_string(),
            writable: how.write,
        })
    }

    fn create_file(path: &Path, len: u64, how: &HowToCreate) -> Result<Section> {
        let subject = path.display().to_string();
        let fail = |e| explain(Operation::Create, &subject, e);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = match open(path, flags, MODE) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(no_such_file(&subject, Operation::Create)),
            Err(errno) => return Err(fail(errno)),
        };

        if let Err(errno) = size(&file, len, how.reserve) {
            // The file was created above, and is useless.
            let _ = rustix::fs::unlink(path);
            let (create, space) = (Operation::Create, fstatvfs(&file));
            return Err(explain_space(create, &subject, errno, len, space));
        }

        Section::user_file(file, subject, true, how.inheritable)
    }

    fn open_file(path: &Path, how: &HowToOpen) -> Result<Section> {
        let subject = path.display().to_string();
        let fail = |e| explain(Operation::Open, &subject, e);
        let flags = access_flags(how.write) | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match open(path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(no_such_file(&subject, Operation::Open)),
            // A folder may not be opened for writing.
            Err(errno) if path.is_dir() => return Err(is_no_file("a folder", &subject, errno)),
            Err(errno) => return Err(fail(errno)),
        };

        let stat = fstat(&file).map_err(fail)?;
        check_regular(&stat, &subject)?;
        if stat.st_size == 0 {
            let kind = ErrorKind::OutOfBounds;
            let error = Error::new(kind, Operation::Open, &subject, "the file is empty");
            return Err(error.with_advice("a section has at least one byte"));
        }

        if let Some(expected) = &how.owner {
            access::check(&stat, expected, &subject)?;
        }
        Section::user_file(file, subject, how.write, how.inheritable)
    }

    fn from_owned(file: OwnedObject) -> Result<(Section, Option<Name>)> {
        let raw = file.as_raw_fd();
        let subject = format!("descriptor {raw}");
        let fail = |e| explain(Operation::Open, &subject, e);
        let stat = fstat(&file).map_err(fail)?;
        check_regular(&stat, &subject)?;

        // The descriptor was inheritable, so that it could reach this process. It need not reach
        // the children of this process.
        fcntl_setfd(&file, FdFlags::CLOEXEC).map_err(fail)?;
        let flags = rustix::fs::fcntl_getfl(&file).map_err(fail)?;
        if flags.contains(OFlags::WRONLY) {
            let meaning = "it was opened for writing only, and a mapping needs read access";
            let kind = ErrorKind::InvalidArgument;
            return Err(Error::new(kind, Operation::Open, &subject, meaning));
        }

        let (source, name) = source_of(file, &stat)?;
        let section = Section {
            source,
            subject,
            writable: flags.contains(OFlags::RDWR),
        };
        Ok((section, name))
    }

    fn kernel_len(&self) -> Result<u64> {
        match &self.source {
            Source::Named(object) => Ok(object.len),
            // Other programs may have changed the length of these files since.
            Source::Posix(..) | Source::File(_) => {
                Ok(self.stat(Operation::Inspect)?.st_size.cast_unsigned())
            }
        }
    }

    fn writable(&self) -> bool {
        self.writable
    }

    fn is_reserved(&self) -> Option<bool> {
        if !matches!(self.source, Source::Named(_)) {
            return Some(false);
        }
        let stat = self.stat(Operation::Inspect).ok()?;
        // st_blocks counts units of 512 bytes, whatever the block size.
        Some(i128::from(stat.st_blocks) * 512 < i128::from(stat.st_size))
    }

    // layout: L261
    fn commit(&self, offset: u64, len: u64) -> Result<()> {
        match allocate(self.file(), FallocateFlags::KEEP_SIZE, offset, len) {
            // As for a section that is not reserved: this file system allocates at the first access.
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => {
                let space = fstatvfs(self.file());
                let commit = Operation::Commit;
                Err(explain_space(commit, &self.subject, errno, len, space))
            }
        }
    }

    /// Returns the access of this user only. The objects of a segment have no events and mutexes
    /// beside them: participants sleep on words of the roster.
    fn companion_access(&self, _kind: Kind) -> Result<Access> {
        Ok(Access::SameUser)
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

    fn flush(&self, view: &View) -> Result<()> {
        view.flush()
    }

    fn read_at(&self, mut offset: u64, mut to: &mut [u8]) -> Result<()> {
        while !to.is_empty() {
            match pread(self.file(), &mut *to, offset) {
                Ok(0) => {
                    let meaning = "the file was truncated while it was read";
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

    fn remove_name(&self) -> Result<bool> {
        let Source::Named(object) = &self.source else {
            return Ok(false);
        };
        let stat = self.stat(Operation::Create)?;
        if !lifetime::is_named(&stat, &object.place) {
            return Ok(true);
        }
        match rustix::fs::unlink(&object.place.path) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(errno) => Err(explain(Operation::Create, &self.subject, errno)),
        }
    }

    fn facts(&self) -> Facts {
        let allocated = |stat: Stat| format!("{} bytes allocated", stat.st_blocks * 512);
        Facts {
            object: self.info(),
            backing: Some(match self.source {
                Source::Named(_) => Backing::Memory,
                Source::Posix(..) => Backing::Posix,
                Source::File(_) => Backing::File,
            }),
            attributes: self.stat(Operation::Inspect).ok().map(allocated),
        }
    }
}

/// Returns the source and the name of a descriptor that was opened elsewhere. The section becomes a
/// holder of the name where it can: an inherited descriptor has its lock already.
fn source_of(file: OwnedFd, stat: &Stat) -> Result<(Source, Option<Name>)> {
    let me = user::me();
    let name = file_of(stat.st_dev, stat.st_ino).and_then(|file| name_of(&file, me));
    let place = name
        .as_ref()
        .and_then(|name| place(name, me, Operation::Open).ok());

    match place {
        Some(place) if place.kind == PlaceKind::Posix => Ok((Source::Posix(file, place), name)),
        Some(place) if lifetime::hold(&file).is_ok() && lifetime::is_named(stat, &place) => {
            let object = Object::held(file, place, stat);
            match object::kind_of(object.file(), stat) {
                Kind::Section => Ok((Source::Named(object), name)),
                other => {
                    let subject = object.place.path.clone();
                    let meaning = format!("it is {}, not a section", other.noun());
                    let kind = ErrorKind::WrongKind;
                    Err(Error::new(kind, Operation::Open, &subject, meaning))
                }
            }
        }
        _ => Ok((Source::File(file), None)),
    }
}

/// Returns the name in the folder of a file that was opened elsewhere. `/proc` does not tell the
/// name: for its creator a section stays the file without a name that was created.
pub(super) fn file_of(device: u64, inode: u64) -> Option<String> {
    let folders = [folder(), SHM];
    let entries = folders.into_iter().flat_map(std::fs::read_dir).flatten();
    let same = |entry: &std::fs::DirEntry| {
        entry
            .metadata()
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == (device, inode))
    };
    let entry = entries.flatten().find(same)?;
    entry.file_name().into_string().ok()
}

/// Gives a file its size. Committed memory is allocated now: a full /dev/shm is an error here, and
/// not a SIGBUS at a later access.
// layout: L192
fn size(file: &OwnedFd, len: u64, reserve: bool) -> rustix::io::Result<()> {
    if !reserve {
        match allocate(file, FallocateFlags::empty(), 0, len) {
            Err(Errno::OPNOTSUPP) => {}
            done => return done,
        }
    }
    ftruncate(file, len)
}

fn check_regular(stat: &Stat, subject: &str) -> Result<()> {
    if access::is_regular(stat) {
        return Ok(());
    }
    Err(is_no_file(access::what(stat), subject, Errno::NODEV))
}

fn is_no_file(what: &str, subject: &str, errno: Errno) -> Error {
    let meaning = format!("it is {what}, not a file");
    Error::new(ErrorKind::WrongKind, Operation::Open, &subject, meaning)
        .with_code(errno.raw_os_error())
        .with_advice("check the path")
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
