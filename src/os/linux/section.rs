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
use std::time::Duration;

/// The user, and nobody else.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Allocated by one system call that signals may interrupt.
const ALLOCATE_STEP: u64 = 16 << 20;

/// How often a name that is taken is looked at again before that is believed.
const LOOKS: u32 = 10;
const NAP: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Section {
    /// `None` only while it is being dropped.
    file: Option<OwnedFd>,
    source: Source,
    /// As the caller knows it, for messages.
    subject: String,
    writable: bool,
}

#[derive(Debug)]
enum Source {
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

    fn new(file: OwnedFd, source: Source, subject: String, access: HowToOpen) -> Result<Self> {
        if access.inheritable {
            fcntl_setfd(&file, FdFlags::empty())
                .map_err(|e| explain(Operation::Open, &subject, e))?;
        }
        Ok(Section {
            file: Some(file),
            source,
            subject,
            writable: access.write,
        })
    }

    fn open_posix(place: &Place, name: &Name, how: HowToOpen) -> Result<Section> {
        let flags = access_flags(how.write) | lifetime::CAREFULLY;
        let file = match open(&place.path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => {
                let meaning = "there is no POSIX object of this name";
                let kind = ErrorKind::NotFound;
                return Err(Error::new(kind, Operation::Open, name, meaning)
                    .with_code(Errno::NOENT.raw_os_error())
                    .with_advice("start its publisher first, or check the name (ls /dev/shm)"));
            }
            Err(errno) => return Err(lifetime::refused(place, Operation::Open, name, errno)),
        };
        let stat = fstat(&file).map_err(|e| explain(Operation::Open, name, e))?;
        lifetime::check(&stat, place, Operation::Open, name)?;
        let place = place.clone();
        Section::new(file, Source::Posix { place }, name.to_string(), how)
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
        // Before memory is allocated in vain, or is not to be had.
        taken(&place, name)?;
        let fail = |errno| explain(Operation::Create, name, errno);
        let file = unnamed(len, how).map_err(fail)?;
        publish(&file, &place, name)?;
        let access = HowToOpen {
            write: true,
            inheritable: how.inheritable,
        };
        let source = Source::Named { place, len };
        Section::new(file, source, name.to_string(), access)
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
        let source = Source::Named { place, len };
        Section::new(file, source, name.to_string(), how)
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
        Section::new(file, Source::File, subject, access)
    }

    fn open_file(path: &Path, how: HowToOpen) -> Result<Section> {
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
        Section::new(file, Source::File, subject, how)
    }

    fn from_owned(file: OwnedObject) -> Result<(Section, Option<Name>)> {
        let raw = file.as_raw_fd();
        let subject = format!("descriptor {raw}");
        let fail = |e| explain(Operation::Open, &subject, e);
        let stat = fstat(&file).map_err(fail)?;
        check_regular(&stat, &subject)?;
        // It was inheritable to get here; it need not travel further.
        fcntl_setfd(&file, FdFlags::CLOEXEC).map_err(fail)?;
        let flags = rustix::fs::fcntl_getfl(&file).map_err(fail)?;
        if flags.contains(OFlags::WRONLY) {
            let meaning = "it was opened for writing only, and cannot be mapped so";
            let kind = ErrorKind::InvalidArgument;
            return Err(Error::new(kind, Operation::Open, &subject, meaning));
        }
        let (source, name) = source_of(&file, &stat);
        let access = HowToOpen {
            write: flags.contains(OFlags::RDWR),
            inheritable: false,
        };
        Ok((Section::new(file, source, subject, access)?, name))
    }

    fn raw(&self) -> RawObject {
        self.file().as_raw_fd()
    }

    fn kernel_len(&self) -> Result<u64> {
        match &self.source {
            Source::Named { len, .. } => Ok(*len),
            // Whoever made these may have changed their length since.
            Source::Posix { .. } | Source::File => {
                Ok(self.stat(Operation::Inspect)?.st_size.cast_unsigned())
            }
        }
    }

    fn writable(&self) -> bool {
        self.writable
    }

    fn is_reserved(&self) -> Option<bool> {
        if !matches!(self.source, Source::Named { .. }) {
            return Some(false);
        }
        let stat = self.stat(Operation::Inspect).ok()?;
        // st_blocks counts units of 512 bytes, whatever the block size.
        Some(i128::from(stat.st_blocks) * 512 < i128::from(stat.st_size))
    }

    fn commit(&self, offset: u64, len: u64) -> Result<()> {
        allocate(self.file(), FallocateFlags::KEEP_SIZE, offset, len)
            .map_err(|e| explain(Operation::Commit, &self.subject, e))
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
            backing: Some(match self.source {
                Source::Named { .. } => Backing::Memory,
                Source::Posix { .. } => Backing::Posix,
                Source::File => Backing::File,
            }),
            path: match &self.source {
                Source::Named { place, .. } | Source::Posix { place } => Some(place.path.clone()),
                Source::File => std::fs::read_link(format!("/proc/self/fd/{}", self.raw()))
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
        if let Source::Named { place, .. } = &self.source {
            lifetime::retire(place);
        }
    }
}

/// Where a descriptor that was opened elsewhere comes from. It is a holder of the
/// name only if it can be: an inherited one has its lock already.
fn source_of(file: &OwnedFd, stat: &Stat) -> (Source, Option<Name>) {
    let me = owner::me();
    let name = file_of(stat).and_then(|file| name_of(&file, me));
    let place = name
        .as_ref()
        .and_then(|name| place(name, me, Operation::Open).ok());
    match place {
        Some(place) if place.kind == PlaceKind::Posix => (Source::Posix { place }, name),
        Some(place) if lifetime::hold(file.as_fd()).is_ok() && lifetime::is_named(stat, &place) => {
            let len = stat.st_size.cast_unsigned();
            (Source::Named { place, len }, name)
        }
        _ => (Source::File, None),
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
        match allocate(file, FallocateFlags::empty(), 0, len) {
            Err(Errno::OPNOTSUPP) => {}
            done => return done,
        }
    }
    ftruncate(file, len)
}

/// All at once, so that what can never fit is refused before anything is taken;
/// in steps where a signal interrupts that, since older kernels undo it then.
fn allocate(
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

/// Gives the file its name, as soon as nobody holds what stands there.
fn publish(file: &OwnedFd, place: &Place, name: &Name) -> Result<()> {
    for _ in 0..LOOKS {
        match lifetime::publish(file.as_fd(), place) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => taken(place, name)?,
            Err(errno) => return Err(explain(Operation::Create, name, errno)),
        }
    }
    let meaning = "other processes create and close it all the time";
    Err(Error::new(
        ErrorKind::Busy,
        Operation::Create,
        name,
        meaning,
    ))
}

/// `Err` where the name is taken, `Ok` where it is free or has just become so.
///
/// A child that another thread is starting has copies of all descriptors until
/// its program is loaded, and so holds for a moment what we closed.
fn taken(place: &Place, name: &Name) -> Result<()> {
    let mut holder = None;
    for _ in 0..LOOKS {
        match lifetime::attach(place, OFlags::RDONLY, Operation::Create, name) {
            Ok(Found::Nobody) => return Ok(()),
            Ok(Found::DeadOf(uid)) => return Err(dead_of(uid, place, name)),
            Ok(Found::Live(file, stat)) => {
                // A look must not make us the last holder that forgot to tidy up.
                drop(file);
                lifetime::retire(place);
                holder = Some(stat);
            }
            Err(error) if error.kind() == ErrorKind::AccessDenied => {
                let meaning = format!("the name is taken: {}", error.meaning());
                let kind = ErrorKind::AlreadyExists;
                let advice = "use another name, or have its owner close or remove it";
                return Err(Error::new(kind, Operation::Create, name, meaning).with_advice(advice));
            }
            Err(error) => return Err(error),
        }
        std::thread::sleep(NAP);
    }
    let size = holder.map_or(0, |stat| stat.st_size);
    let meaning = format!("a section of this name, with {size} bytes, is held already");
    let error = Error::new(ErrorKind::AlreadyExists, Operation::Create, name, meaning);
    Err(error
        .with_code(Errno::EXIST.raw_os_error())
        .with_advice("stop the program that holds it, use another name, or open what is there"))
}

fn dead_of(uid: u32, place: &Place, name: &Name) -> Error {
    let who = owner::describe(uid);
    let meaning = format!("a dead file of {who} stands at its place");
    let advice = format!("remove {} as {who} or root", place.path);
    Error::new(ErrorKind::WrongOwner, Operation::Create, name, meaning).with_advice(advice)
}

fn check_regular(stat: &Stat, subject: &str) -> Result<()> {
    if lifetime::is_regular(stat) {
        return Ok(());
    }
    Err(is_no_file(lifetime::what(stat), subject, Errno::NODEV))
}

fn is_no_file(what: &str, subject: &str, errno: Errno) -> Error {
    let meaning = format!("it is {what}, and no file");
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
