//! The life locks of the participants of a section: each living participant has a lock on a byte of
//! the section's file.
//!
//! The lock is one of an open file description (`F_OFD_SETLK`), and so belongs to no descriptor and
//! to no thread. The participant opens the file anew, maps a page of it that nobody can access,
//! takes the lock, and closes the descriptor. From then on only the mapping keeps the open file
//! description, and with it the lock:
//!
//! | what happens | the lock |
//! |---|---|
//! | the process ends, is killed, or calls `exec` | is gone: the mapping is gone |
//! | the process closes all its descriptors (`close_range`) | stays |
//! | the process forks | stays with the parent: a child does not get the mapping (`MADV_DONTFORK`) |
//! | the participant leaves | is gone: the page is unmapped |
//!
//! Other processes ask for the lock by `F_OFD_GETLK`, which changes nothing, needs no more than the
//! right to read the file, and works across the namespaces of pids and users. They ask with a lock
//! for reading, which only a lock for writing refuses: a process that may only read the file can
//! never seem alive.
//!
//! A child that is forked between the opening and the closing would get a copy of the descriptor.
//! [`no_fork`](super::no_fork) keeps other threads from forking meanwhile.

use super::error::explain;
use super::lasting_lock::{FLAGS, LastingLock, reopen};
use super::record_lock;
use super::section::Section;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::ObjectBackend;
use rustix::fs::{self, Mode, OFlags, fstat};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The life locks of the participants of one section.
#[derive(Clone, Debug)]
pub(super) struct LifeLocks {
    section: Arc<Section>,
    path: Arc<str>,
    /// The device and inode number of the file. Other code may have closed the descriptor of the
    /// section, and its number may be that of another file.
    file: (u64, u64),
}

/// The life of a participant of this process, until it is dropped.
#[derive(Debug)]
pub(crate) struct Life {
    _lock: LastingLock,
}

impl LifeLocks {
    /// Opens the file of the section anew.
    fn reopen(&self, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let file = reopen(self.section.file().as_fd(), flags);
        if let Some(file) = file.ok().filter(|file| self.is_it(file.as_fd())) {
            return Ok(file);
        }
        // Other code has closed the descriptor.
        let file = fs::open(&*self.path, flags | FLAGS, Mode::empty())?;
        match self.is_it(file.as_fd()) {
            true => Ok(file),
            false => Err(Errno::NOENT),
        }
    }

    pub fn is_of_same_file(&self, other: &LifeLocks) -> bool {
        self.file == other.file
    }

    fn is_it(&self, file: BorrowedFd<'_>) -> bool {
        fstat(file).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.file)
    }

    fn fail(&self, errno: Errno) -> Error {
        explain(Operation::Watch, &self.path, errno)
    }

    fn is_locked(&self, file: BorrowedFd<'_>, place: usize) -> Result<bool> {
        let place = place as i64;
        record_lock::is_locked(file, place).map_err(|errno| self.fail(errno))
    }

    pub fn of(section: &Arc<Section>) -> Result<LifeLocks> {
        let Some((path, _, file)) = section.named_file() else {
            let meaning = "it is no section of this crate";
            let subject = format!("descriptor {}", section.raw());
            return Err(Error::new(
                ErrorKind::WrongKind,
                Operation::Watch,
                &subject,
                meaning,
            ));
        };
        let path = path.into();
        Ok(LifeLocks {
            section: Arc::clone(section),
            path,
            file,
        })
    }

    /// Begins the life of the participant with this number; `None` if another one has it.
    // layout: L240 L245
    pub fn take(&self, place: usize) -> Result<Option<Life>> {
        let taken = LastingLock::take(place as i64, || self.reopen(OFlags::RDWR));
        let Some(lock) = taken.map_err(|errno| self.fail(errno))? else {
            return Ok(None);
        };
        if self.is_free(place)? {
            let meaning = "its file system drops a lock when a descriptor is closed";
            let kind = ErrorKind::Unsupported;
            let error = Error::new(kind, Operation::Watch, &self.path, meaning);
            return Err(error.with_advice("mount a tmpfs there"));
        }
        Ok(Some(Life { _lock: lock }))
    }

    /// Returns whether no participant with this number is alive.
    // layout: L244
    pub fn is_free(&self, place: usize) -> Result<bool> {
        let file = self.section.file().as_fd();
        if self.is_it(file) {
            return self.is_locked(file, place).map(|locked| !locked);
        }
        let file = self
            .reopen(OFlags::RDONLY)
            .map_err(|errno| self.fail(errno))?;
        self.is_locked(file.as_fd(), place).map(|locked| !locked)
    }
}
