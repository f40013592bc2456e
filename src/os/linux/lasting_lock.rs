//! A lock on one byte of a file that lasts without a descriptor, and that a fork does not copy.

use super::no_fork::NoFork;
use super::record_lock;
use super::view::UnforkedPage;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The flags with which a file is opened anew.
pub(super) const FLAGS: OFlags = OFlags::CLOEXEC
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// A lock that ends when it is dropped, and when the process ends or calls `exec`.
#[derive(Debug)]
pub(super) struct LastingLock {
    _page: UnforkedPage,
}

impl LastingLock {
    /// Takes the lock of one byte of the file that `open` opens, on an open file description of its
    /// own; `None` where another one has the lock.
    // layout: L240 L241
    pub fn take<E: From<rustix::io::Errno>>(
        byte: i64,
        open: impl FnOnce() -> std::result::Result<OwnedFd, E>,
    ) -> std::result::Result<Option<LastingLock>, E> {
        let _alone = NoFork::begin();
        let file = open()?;
        let page = UnforkedPage::map(file.as_fd())?;
        let is_taken = record_lock::try_lock(file.as_fd(), byte)?;
        // From here on the page alone keeps the open file description.
        drop(file);
        Ok(is_taken.then_some(LastingLock { _page: page }))
    }
}

/// Opens the file of a descriptor anew.
pub(super) fn reopen(file: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd> {
    let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
    fs::open(path, flags | FLAGS, Mode::empty())
}

/// Returns whether a lock on this file lasts without a descriptor. On overlayfs it does not: a
/// mapping there refers to the file of a lower layer, and not to the open file description that has
/// the lock.
// layout: L245 L247
pub(super) fn keeps_locks(file: BorrowedFd<'_>) -> Result<bool> {
    let lock = LastingLock::take(0, || reopen(file, OFlags::RDWR))?;
    let is_locked = record_lock::is_locked(file, 0)?;
    Ok(lock.is_some() && is_locked)
}
