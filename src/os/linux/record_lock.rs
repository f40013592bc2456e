//! Locks of open file descriptions on one byte of a file, which `rustix` does not have.
//!
//! "Open file description locks … are associated with the open file description on which they are
//! acquired", and "are only automatically released on the last close of the open file description"
//! (fcntl_locking(2)).

use rustix::io::{Errno, Result};
use std::ffi::{c_int, c_short};
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct flock` with 64-bit offsets, in the order that all systems with Linux have.
#[repr(C)]
struct Flock {
    kind: c_short,
    whence: c_short,
    start: i64,
    len: i64,
    pid: c_int,
}

/// F_OFD_GETLK and F_OFD_SETLK (asm-generic/fcntl.h).
const GET: c_int = 36;
const SET: c_int = 37;
/// F_RDLCK, F_WRLCK and F_UNLCK (asm-generic/fcntl.h).
const READ: c_short = 0;
const WRITE: c_short = 1;
const UNLOCKED: c_short = 2;

unsafe extern "C" {
    // With the 32-bit libraries of GNU, `fcntl` takes 32-bit offsets.
    #[cfg_attr(
        all(target_env = "gnu", target_pointer_width = "32"),
        link_name = "fcntl64"
    )]
    fn fcntl(file: c_int, command: c_int, ...) -> c_int;
}

/// Calls `fcntl` for a lock of this kind on one byte, and returns the kind that the system wrote.
fn call(file: BorrowedFd<'_>, command: c_int, kind: c_short, byte: i64) -> Result<c_short> {
    // The manual asks for a `pid` of 0, and SEEK_SET is 0.
    let mut lock = Flock {
        kind,
        whence: 0,
        start: byte,
        len: 1,
        pid: 0,
    };
    // SAFETY: the descriptor is open, and both commands take a pointer to a `struct flock`, which
    // the call reads and writes and does not keep (fcntl_locking(2)). `lock` is one, and lives.
    let done = unsafe { fcntl(file.as_raw_fd(), command, &raw mut lock) };
    match done {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(lock.kind),
    }
}

/// Takes the lock for writing of one byte for the open file description; returns `false` where
/// another one has it.
pub(super) fn try_lock(file: BorrowedFd<'_>, byte: i64) -> Result<bool> {
    match call(file, SET, WRITE, byte) {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Returns whether another open file description has the lock for writing of one byte. The question
/// is whether a lock for reading would be granted, which other locks for reading do not hinder.
pub(super) fn is_locked(file: BorrowedFd<'_>, byte: i64) -> Result<bool> {
    Ok(call(file, GET, READ, byte)? != UNLOCKED)
}
