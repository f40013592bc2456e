//! The lifetime of objects on Linux: an object is a file that exists while a process holds it.
//!
//! Each holder keeps a shared `flock` on its own open file description. The kernel drops the lock
//! when the process ends. So a process that gets the exclusive lock has proof that no holder is
//! left: the file is *stale*, and its name may be removed.
//!
//! ```text
//! create(path):
//!     open(path)                    held by a process: fail, after 10 attempts in 10 ms
//!     file = open(FOLDER, O_TMPFILE)
//!     flock(file, SH)               held before it has a name
//!     fill(file)                    complete before it has a name
//!     fchown(file); fchmod(file)    with its rights before it has a name
//!     linkat(file, path)            EEXIST: open(path) again, and link the same file
//!
//! open(path):
//!     file = open(path)             ENOENT: Free
//!     turn(file)                    not this process's turn: begin again
//!     unlink_stale(file)            no holder: Free, or StaleOf(its user)
//!     flock(file, SH)               refused: another process is removing the name, begin again
//!     stat(path) is file            another file has the name by now: begin again
//!     Held(file)
//!
//! unlink_stale(file):
//!     flock(file, EX)               refused: a process holds the file
//!     stat(path) is file            another file has the name by now: leave it
//!     unlink(path)
//!     flock(file, UN)
//!
//! retire(path):                     after a holder has closed its descriptor
//!     file = open(path)
//!     turn(file); unlink_stale(file)
//!
//! turn(file):
//!     file of another user: flock(FOLDER, EX) until the check is over
//! ```
//!
//! - No process unlinks a name without the exclusive lock on its file.
//! - A process that gets the exclusive lock must unlink the name. A last holder that closes at that
//!   moment is refused the lock, and leaves the name to the process that has the lock.
//! - `retire` opens the file anew: a descriptor that was forked or inherited shares its lock with
//!   another process.
//! - A process may not unlink a file of another user, so the check leaves the file as it was. Two
//!   such checks at once would each take the lock of the other for the lock of a holder. So they
//!   take turns.
//! - No process waits for a lock.

use super::access::{FileRights, check_file, refused};
use super::error::{explain, explain_space};
use super::folder::folder;
use super::naming::{Entry, Place, PlaceKind, entries};
use super::user::{ROOT, describe, me};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use rustix::fs::{
    self, AtFlags, CWD, FlockOperation, Mode, OFlags, Stat, flock, fstat, linkat, statat, statvfs,
    unlink,
};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The flags with which each file of the folder is opened: an open does not block on a FIFO, and
/// does not follow a symbolic link.
// layout: L196 L201
pub(super) const OPEN_FLAGS: OFlags = OFlags::CLOEXEC
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// The number of attempts to open a name that is being removed. The first attempts are separated by
/// a yield, the others by [`OPEN_PAUSE`]. Together they take about half a second.
const OPEN_ATTEMPTS: u32 = 120;
const OPEN_YIELDS: u32 = 20;
const OPEN_PAUSE: Duration = Duration::from_millis(5);

/// The number of attempts to create a name that a process holds, and the pause between them. A
/// child that another thread is starting has copies of all descriptors until its program is loaded,
/// so for a moment it holds objects that this process has closed.
const CREATE_ATTEMPTS: u32 = 10;
const CREATE_PAUSE: Duration = Duration::from_millis(1);

/// The shortest time between two sweeps of a process. A sweep at each create would make a burst of
/// n creates cost n² opens.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The result of [`open`].
pub(super) enum Lookup {
    /// A process holds the file, and this process is now a holder too.
    Held(OwnedFd, Stat),
    /// The name has no file, or had a stale file that is now removed.
    Free,
    /// The name has a stale file of this user, which this process may not remove.
    StaleOf(u32),
}

/// Creates the file of a name: complete, with these rights, and held by this process. `fill` writes
/// the `len` bytes of the file. `refuse` makes the error for a name whose file a process holds.
// layout: L195
pub(super) fn create(
    place: &Place,
    name: &Name,
    rights: &FileRights,
    len: u64,
    fill: impl FnOnce(&OwnedFd) -> rustix::io::Result<()>,
    refuse: impl Fn(&OwnedFd, &Stat) -> Error,
) -> Result<OwnedFd> {
    sweep();
    // Before `fill`: a held name is refused without allocating memory, and also on a full system.
    await_free(place, name, &refuse)?;
    let file = create_unnamed(fill)
        .map_err(|errno| explain_space(Operation::Create, name, errno, len, statvfs(folder())))?;
    rights.give_to(&file, name)?;

    for _ in 0..CREATE_ATTEMPTS {
        match link(&file, place) {
            Ok(()) => return Ok(file),
            Err(Errno::EXIST) => await_free(place, name, &refuse)?,
            Err(errno) => return Err(explain(Operation::Create, name, errno)),
        }
    }
    let meaning = "other processes keep creating and closing an object of this name";
    Err(Error::new(
        ErrorKind::Busy,
        Operation::Create,
        name,
        meaning,
    ))
}

/// Creates a file without a name: complete, for this user alone, and held by this process.
// layout: L195 L201
fn create_unnamed(
    fill: impl FnOnce(&OwnedFd) -> rustix::io::Result<()>,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = fs::open(folder(), flags, Mode::RUSR | Mode::WUSR)?;
    hold(&file)?;
    fill(&file)?;
    Ok(file)
}

/// Gives a file without a name its name; fails with `EXIST` where the name has a file.
fn link(file: &OwnedFd, place: &Place) -> rustix::io::Result<()> {
    // The folder `/proc/self` shows the descriptors of the first thread, and this thread may have
    // others.
    let unnamed = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
    // AT_EMPTY_PATH needs no /proc, but needs a capability before Linux 6.10.
    linkat(CWD, unnamed, CWD, &place.path, AtFlags::SYMLINK_FOLLOW)
}

/// Waits until no process holds the file of a name. Fails when a process holds the file in all
/// attempts, or when this process may not remove a stale file.
// layout: L195 L199
fn await_free(
    place: &Place,
    name: &Name,
    refuse: &impl Fn(&OwnedFd, &Stat) -> Error,
) -> Result<()> {
    let mut attempts = 0;
    loop {
        match open(place, OFlags::RDONLY, Operation::Create, name) {
            Ok(Lookup::Free) => return Ok(()),
            Ok(Lookup::StaleOf(uid)) => return Err(stale_of(uid, place, name)),
            Ok(Lookup::Held(file, stat)) => {
                let refused = (attempts == CREATE_ATTEMPTS).then(|| refuse(&file, &stat));
                // This process is a holder too, and may be the last one by now.
                drop(file);
                retire(place);
                if let Some(refused) = refused {
                    return Err(refused);
                }
            }
            Err(error) if error.kind() == ErrorKind::AccessDenied && exists(place) => {
                let meaning = format!("the name is taken: {}", error.meaning());
                let kind = ErrorKind::AlreadyExists;
                let advice = "use another name, or have its owner close or remove it";
                return Err(Error::new(kind, Operation::Create, name, meaning).with_advice(advice));
            }
            Err(error) => return Err(error),
        }

        attempts += 1;
        std::thread::sleep(CREATE_PAUSE);
    }
}

fn stale_of(uid: u32, place: &Place, name: &Name) -> Error {
    let user = describe(uid);
    let meaning = format!("a stale file of {user} has the name");
    let advice = format!("remove {} as {user} or root", place.path);
    Error::new(ErrorKind::WrongOwner, Operation::Create, name, meaning).with_advice(advice)
}

/// Marks an open file description as a holder.
// layout: L194
pub(super) fn hold(file: &OwnedFd) -> rustix::io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockShared)
}

/// Opens the file of a name and becomes a holder, or finds that no process holds the file.
// layout: L194 L196 L197
pub(super) fn open(
    place: &Place,
    flags: OFlags,
    operation: Operation,
    name: &Name,
) -> Result<Lookup> {
    for attempt in 0..OPEN_ATTEMPTS {
        let file = match fs::open(&place.path, flags | OPEN_FLAGS, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Lookup::Free),
            Err(errno) => return Err(refused(place, operation, name, errno)),
        };
        let stat = fstat(&file).map_err(|e| explain(operation, name, e))?;
        check_file(&stat, place, operation, name)?;

        if let Some(_turn) = Turn::take(&stat, place) {
            match unlink_stale(&file, &stat, place) {
                Some(Ok(())) => return Ok(Lookup::Free),
                Some(Err(Errno::PERM | Errno::ACCESS)) => return Ok(Lookup::StaleOf(stat.st_uid)),
                Some(Err(errno)) => return Err(explain(operation, name, errno)),
                None if hold(&file).is_ok() && is_named(&stat, place) => {
                    return Ok(Lookup::Held(file, stat));
                }
                None => {}
            }
        }

        drop(file);
        if attempt < OPEN_YIELDS {
            std::thread::yield_now();
        } else {
            std::thread::sleep(OPEN_PAUSE);
        }
    }
    let meaning = "another process keeps the file locked";
    Err(Error::new(ErrorKind::Busy, operation, name, meaning)
        .with_advice(format!("see who holds {} (lslocks)", place.path)))
}

/// Removes the name of a file that no process holds, as after a clean close. Returns whether a
/// process holds the file. A file that may not be opened counts as held, and so does a file of
/// another user while another process checks such a file.
// layout: L200
pub(super) fn retire(place: &Place) -> bool {
    let file = match fs::open(&place.path, OFlags::RDONLY | OPEN_FLAGS, Mode::empty()) {
        Ok(file) => file,
        Err(errno) => return errno != Errno::NOENT,
    };
    let Ok(stat) = fstat(&file) else {
        return true;
    };
    let Some(_turn) = Turn::take(&stat, place) else {
        return true;
    };
    // A stale file that this process may not unlink keeps its name, and counts as not held.
    unlink_stale(&file, &stat, place).is_none()
}

/// Removes the name of a file that no process holds; `None` where a process holds the file.
// layout: L197
fn unlink_stale(file: &OwnedFd, stat: &Stat, place: &Place) -> Option<rustix::io::Result<()>> {
    flock(file, FlockOperation::NonBlockingLockExclusive).ok()?;
    let unlinked = if is_named(stat, place) {
        unlink(&place.path)
    } else {
        Ok(())
    };
    unlock(file);
    Some(unlinked)
}

/// Gives a lock back. Closing the descriptor is not enough where a child that was forked meanwhile
/// has a copy of the descriptor.
fn unlock(file: &OwnedFd) {
    let unlocked = flock(file, FlockOperation::NonBlockingUnlock);
    debug_assert!(unlocked.is_ok(), "unlock: {unlocked:?}");
}

/// The turn of this process to check whether a file of another user is stale: the exclusive lock on
/// the folder. A check of an own file, and any check by root, needs no turn, since the checking
/// process may unlink the file.
struct Turn {
    folder: Option<OwnedFd>,
}

impl Turn {
    /// Takes the turn; `None` while another process has it.
    // layout: L198
    fn take(stat: &Stat, place: &Place) -> Option<Turn> {
        if stat.st_uid == place.me || place.me == ROOT {
            return Some(Turn { folder: None });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = fs::open(folder(), flags, Mode::empty()).ok()?;
        flock(&folder, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Turn {
            folder: Some(folder),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.folder.iter().for_each(unlock);
    }
}

/// Returns whether the path of a name names this file.
pub(super) fn is_named(stat: &Stat, place: &Place) -> bool {
    statat(CWD, &place.path, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|named| (named.st_dev, named.st_ino) == (stat.st_dev, stat.st_ino))
}

/// Returns whether the path of a name names anything, as far as this account may see.
fn exists(place: &Place) -> bool {
    statat(CWD, &place.path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Removes this user's stale files, if this process has not done so for a while.
fn sweep() {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < SWEEP_INTERVAL) {
            return;
        }
        *last = Some(Instant::now());
    }
    let _ = clean();
}

/// Removes this user's stale files, which killed holders left, and returns their names.
pub(crate) fn clean() -> Result<Vec<String>> {
    let me = me();
    let mut removed = Vec::new();
    for Entry { name, place, meta } in entries(me)? {
        let is_own = meta.uid() == me && place.kind != PlaceKind::Posix;
        if is_own && !retire(&place) {
            removed.push(name.to_string());
        }
    }
    Ok(removed)
}
