//! The Windows lifetime on files: an object lives while somebody holds it.
//!
//! Each holder keeps a shared `flock` on its own open description of the file.
//! Locks vanish with their process, so "nobody holds it" is what an exclusive
//! try-lock says, and it is never a guess:
//!
//! - The creator takes its lock before the file has a name ([`publish`]).
//! - Whoever gets the exclusive lock has proof that all holders are dead. It
//!   checks that the name still points at this very file and unlinks it
//!   ([`unlink_dead`]). Nobody unlinks without that lock.
//! - An opener that does not get it takes the shared one, and then checks that
//!   the name still points at its file: if not, it was removed meanwhile.
//! - A clean close drops its lock and then acts like an opener, so the last one
//!   out removes the name ([`retire`]). It opens afresh, because a descriptor
//!   that was forked or inherited shares its lock with another process.
//!
//! Another user's file is not ours to unlink, so proof that it is dead leaves it as
//! it was. Two such judges at once could each take the other's lock for a holder's;
//! they judge one at a time, by an exclusive lock on the folder ([`turn`]).
//!
//! No lock is ever waited for.

use super::errno::{explain, explain_io};
use super::naming::{FOLDER, Place, PlaceKind, name_of, place};
use super::owner;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use rustix::fs::{
    Access, AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat, access, flock, fstat,
    linkat, open, statat, unlink,
};
use rustix::io::Errno;
use std::fs::Metadata;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Nothing that stands at a name may make us wait (a FIFO) or lead us elsewhere
/// (a symbolic link).
// layout: L196 L201
pub(super) const CAREFULLY: OFlags = OFlags::CLOEXEC
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// How often a name in transit is looked at again: some yields, then park_epoch of
/// [`PAUSE`]; in all about half a second.
const LOOKS: u32 = 120;
const YIELDS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// A process sweeps at most this often, so that a burst of creates does not read
/// the folder each time.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What was found at a name of ours.
pub(super) enum Found {
    /// Somebody holds it, and now so do we.
    Live(OwnedFd, Stat),
    /// Nothing, or a dead file that is now gone.
    Nobody,
    /// A dead file of this user, whom alone the system lets remove it.
    DeadOf(u32),
}

/// Gives a finished, locked file its name. `EXIST` where the name is taken.
pub(super) fn publish(file: BorrowedFd<'_>, place: &Place) -> rustix::io::Result<()> {
    // The descriptors of this very thread, which `self` need not be.
    let anonymous = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
    // AT_EMPTY_PATH would spare /proc, but needs a capability before Linux 6.10.
    linkat(CWD, anonymous, CWD, &place.path, AtFlags::SYMLINK_FOLLOW)
}

/// Marks an open description as a holder.
// layout: L194
pub(super) fn hold(file: BorrowedFd<'_>) -> rustix::io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockShared)
}

/// Opens a name of ours and becomes a holder, or learns that it has none.
// layout: L194 L196 L197
pub(super) fn attach(
    place: &Place,
    access: OFlags,
    operation: Operation,
    name: &Name,
) -> Result<Found> {
    for look in 0..LOOKS {
        let file = match open(&place.path, access | CAREFULLY, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Found::Nobody),
            Err(errno) => return Err(refused(place, operation, name, errno)),
        };
        let stat = fstat(&file).map_err(|e| explain(operation, name, e))?;
        check(&stat, place, operation, name)?;
        if let Some(_turn) = turn(place, stat.st_uid) {
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let removed = unlink_dead(&stat, place);
                // The next in turn must not meet this lock.
                let_go(&file);
                return match removed {
                    Ok(()) => Ok(Found::Nobody),
                    Err(Errno::PERM | Errno::ACCESS) => Ok(Found::DeadOf(stat.st_uid)),
                    Err(errno) => Err(explain(operation, name, errno)),
                };
            }
            if hold(file.as_fd()).is_ok() && is_named(&stat, place) {
                return Ok(Found::Live(file, stat));
            }
        }
        // It is being removed, or was and the name has moved on, or others judge.
        drop(file);
        if look < YIELDS {
            std::thread::yield_now();
        } else {
            std::thread::sleep(PAUSE);
        }
    }
    let meaning = "another process keeps it locked and does not finish";
    Err(Error::new(ErrorKind::Busy, operation, name, meaning)
        .with_advice(format!("see user holds {} (lslocks)", place.path)))
}

/// The right to judge a file, which for our own is always ours; `None` while
/// somebody else judges a file that is neither theirs nor ours.
struct Turn {
    folder: Option<OwnedFd>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.folder.iter().for_each(let_go);
    }
}

/// Gives a lock back at once. To close the file is not enough where a child that was
/// forked meanwhile has a copy of it.
fn let_go(file: &OwnedFd) {
    let given = flock(file, FlockOperation::NonBlockingUnlock);
    debug_assert!(given.is_ok(), "unlock: {given:?}");
}

// layout: L198
fn turn(place: &Place, owner: u32) -> Option<Turn> {
    if owner == place.me || place.me == owner::ROOT {
        return Some(Turn { folder: None });
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(FOLDER, flags, Mode::empty()).ok()?;
    flock(&folder, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(Turn {
        folder: Some(folder),
    })
}

/// Removes the name of a dead file, on which the caller holds the exclusive lock.
/// Whoever gets that lock must remove it: a last holder that closes meanwhile sees the
/// lock taken and leaves the name to its taker.
// layout: L197
fn unlink_dead(stat: &Stat, place: &Place) -> rustix::io::Result<()> {
    if is_named(stat, place) {
        unlink(&place.path)?;
    }
    Ok(())
}

/// Removes the name of that user's file if nobody holds it, as after a clean close;
/// says whether somebody does. What may not be opened is taken for alive, and so is
/// what is being judged at this moment: to tell, one would have to hold it.
// layout: L200
pub(super) fn retire(place: &Place, owner: u32) -> bool {
    let Some(_turn) = turn(place, owner) else {
        return true;
    };
    let file = match open(&place.path, OFlags::RDONLY | CAREFULLY, Mode::empty()) {
        Ok(file) => file,
        Err(errno) => return errno != Errno::NOENT,
    };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return true;
    }
    // Where the name stays, another user's dead file does, and is known for dead.
    if let Ok(stat) = fstat(&file) {
        let _ = unlink_dead(&stat, place);
    }
    let_go(&file);
    false
}

/// As [`clean`], from time to time.
pub(super) fn sweep() {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    {
        let mut last = LAST.lock().unwrap_or_else(|broken| broken.into_inner());
        if last.is_some_and(|at| at.elapsed() < SWEEP_EVERY) {
            return;
        }
        *last = Some(Instant::now());
    }
    let _ = clean();
}

/// Removes this user's dead files, which killed holders left, and says which names
/// they had.
pub(crate) fn clean() -> Result<Vec<String>> {
    let me = owner::me();
    let mut removed = Vec::new();
    for Entry { name, place, meta } in entries(me)? {
        let mine = meta.uid() == me && place.kind != PlaceKind::Posix;
        if mine && !retire(&place, me) {
            removed.push(name.to_string());
        }
    }
    Ok(removed)
}

/// A file in [`FOLDER`] that a name stands for.
pub(super) struct Entry {
    pub name: Name,
    pub place: Place,
    pub meta: Metadata,
}

/// The files that the user `me` has names for, dead or alive.
pub(super) fn entries(me: u32) -> Result<impl Iterator<Item = Entry>> {
    let folder = std::fs::read_dir(FOLDER).map_err(|e| explain_io(Operation::List, &FOLDER, &e))?;
    Ok(folder.flatten().filter_map(move |entry| {
        let name = name_of(entry.file_name().to_str()?, me)?;
        let place = place(&name, me, Operation::List).ok()?;
        let meta = entry.metadata().ok().filter(Metadata::is_file)?;
        Some(Entry { name, place, meta })
    }))
}

pub(super) fn is_named(stat: &Stat, place: &Place) -> bool {
    statat(CWD, &place.path, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|named| (named.st_dev, named.st_ino) == (stat.st_dev, stat.st_ino))
}

/// Whether anything stands there, as far as this account may look.
pub(super) fn exists(place: &Place) -> bool {
    statat(CWD, &place.path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// What stands where a file is wanted.
pub(super) fn what(stat: &Stat) -> &'static str {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        _ => "a device",
    }
}

/// Refuses what is no file, and a session's name that another user squats.
pub(super) fn check(stat: &Stat, place: &Place, operation: Operation, name: &Name) -> Result<()> {
    if !is_regular(stat) {
        let meaning = format!(
            "{} stands at {}, and no shared memory",
            what(stat),
            place.path
        );
        let advice = format!(
            "find out user put it there (ls -l {}), and remove it",
            place.path
        );
        return Err(Error::new(ErrorKind::WrongKind, operation, name, meaning).with_advice(advice));
    }
    if place.kind == PlaceKind::Local && stat.st_uid != place.me {
        let user = owner::describe(stat.st_uid);
        let meaning = format!("{user} squats this session's name");
        let advice = format!("remove {} as {user} or root", place.path);
        return Err(Error::new(ErrorKind::WrongOwner, operation, name, meaning).with_advice(advice));
    }
    Ok(())
}

/// A refused open, with the owner named where the system tells.
pub(super) fn refused(place: &Place, operation: Operation, name: &Name, errno: Errno) -> Error {
    let error = explain(operation, name, errno);
    match error.kind() {
        ErrorKind::AccessDenied => {}
        ErrorKind::WrongKind => {
            return error.with_advice(format!("look at it (ls -l {}), and remove it", place.path));
        }
        _ => return error,
    }
    match statat(CWD, &place.path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            if let Err(squatted) = check(&stat, place, operation, name) {
                return squatted;
            }
            let user = owner::describe(stat.st_uid);
            let mode = stat.st_mode & 0o777;
            let (lets, advice) = match access(&place.path, Access::READ_OK) {
                Ok(()) => (
                    "lets this account look, and not change it",
                    "open it without the right to write, or run as that user",
                ),
                Err(_) => (
                    "does not let this account in, or see whether anybody holds it",
                    "run as that user, or have the owner grant access",
                ),
            };
            let meaning = format!("it belongs to {user} with mode {mode:04o}, which {lets}");
            Error::new(ErrorKind::AccessDenied, operation, name, meaning)
                .with_code(errno.raw_os_error())
                .with_advice(advice)
        }
        Err(_) => Error::new(
            ErrorKind::AccessDenied,
            operation,
            name,
            format!("this account may not look into {FOLDER}"),
        )
        .with_code(errno.raw_os_error())
        .with_advice("make it what it should be: chmod 1777 /dev/shm"),
    }
}
