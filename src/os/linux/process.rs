//! One process for good: a pidfd, opened once its start time was compared. Where the system gives
//! no pidfd (a sandbox, an emulator), the process is looked at in `/proc` by its number and start
//! time.

use super::errno::{errno_of, explain, explain_io};
use super::looker::Look;
use super::signal::Signal;
use super::watcher::{HAPPENED, Watch};
use super::{RawObject, futex};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{ProcessBackend, ProcessIdentity, deadline};
use crate::sync::AtomicU32;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::stat;
use rustix::io::{Errno, retry_on_intr};
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::str::FromStr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Between two looks of a wait for a process without a pidfd.
const LOOK: Duration = Duration::from_millis(5);

/// How a process is watched.
#[derive(Debug)]
enum By {
    Pidfd(OwnedFd),
    /// By its number, which is looked at.
    Number(ProcessIdentity),
    /// The process had ended before it was opened.
    Nothing,
}

/// What tells a waiter of the end of a process.
#[derive(Debug)]
enum Watched {
    By(Watch),
    ByLooks(Look, Arc<AtomicU32>),
}

impl Watched {
    fn is_in_force(&self) -> bool {
        match self {
            Watched::By(watch) => watch.is_in_force(),
            Watched::ByLooks(look, _) => look.is_ours(),
        }
    }

    fn word(&self) -> &Arc<AtomicU32> {
        match self {
            Watched::By(watch) => watch.word(),
            Watched::ByLooks(_, word) => word,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Process {
    by: By,
    pid: u32,
    /// Made by the first wait that needs it.
    watch: std::sync::Mutex<Option<Watched>>,
}

impl Process {
    /// A word that is 0, and 1 once the process has ended; sleepers on it are woken.
    pub(super) fn death(&self) -> Result<Arc<AtomicU32>> {
        if matches!(self.by, By::Nothing) {
            return Ok(Arc::new(AtomicU32::new(HAPPENED)));
        }
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = watch.as_ref().filter(|watch| watch.is_in_force()) {
            return Ok(Arc::clone(watch.word()));
        }
        let begun = match &self.by {
            By::Number(identity) => {
                let dead = Arc::new(AtomicU32::new(0));
                let look = Look::at_process(*identity, Arc::clone(&dead));
                look.map(|look| Watched::ByLooks(look, dead))
            }
            _ => Watch::begin(self.pidfd().ok_or_else(|| no_process(self.pid))?).map(Watched::By),
        }
        .map_err(|errno| explain(Operation::Watch, &subject(self.pid), errno))?;
        let dead = Arc::clone(begun.word());
        *watch = Some(begun);
        Ok(dead)
    }

    /// A process that had ended before anybody asked for it.
    pub(super) fn nobody() -> Process {
        Process::new(0, By::Nothing)
    }

    fn new(pid: u32, by: By) -> Process {
        Process {
            by,
            pid,
            watch: std::sync::Mutex::default(),
        }
    }

    fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match &self.by {
            By::Pidfd(pidfd) => Some(pidfd.as_fd()),
            By::Number(_) | By::Nothing => None,
        }
    }

    /// Opens the process by its number; `None` where the system gives no pidfd to anybody here.
    // layout: L216
    fn open(number: Pid, pid: u32) -> Result<Option<By>> {
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Some(By::Pidfd(pidfd))),
            // Of nobody, or of a thread: no process has this number.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => Ok(Some(By::Nothing)),
            // "ENOSYS" of an older or emulated kernel; the manual knows no EPERM, which is a
            // sandbox's.
            Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(explain(Operation::Watch, &subject(pid), errno)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let watch = self.watch.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let (Some(Watched::By(watch)), Some(pidfd)) = (watch.take(), self.pidfd()) {
            watch.end(pidfd);
        }
    }
}

impl ProcessBackend for Process {
    /// A pidfd is to be had of every process.
    const MAY_BE_CLOSED: bool = false;

    fn current() -> Result<ProcessIdentity> {
        let pid = std::process::id();
        let identity = || {
            let start = start_time(&stat_of(pid))?;
            let space = space()?;
            Ok(ProcessIdentity { pid, space, start })
        };
        identity().map_err(|errno| no_proc(pid, errno))
    }

    fn identify(pid: u32) -> Result<ProcessIdentity> {
        let Some(identity) = identity_of(pid)? else {
            return Err(no_process(pid));
        };
        // A zombie has a start time too, and a thread's number an entry.
        if matches!(Process::watch(identity)?.by, By::Nothing) {
            return Err(no_process(pid));
        }
        Ok(identity)
    }

    // layout: L079 L081
    fn watch(identity: ProcessIdentity) -> Result<Process> {
        let pid = identity.pid;
        let here = space().map_err(|errno| no_proc(pid, errno))?;
        if here != identity.space {
            return Err(other_space(pid));
        }
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let Some(number) = number else {
            return Ok(Process::new(pid, By::Nothing));
        };
        let by = Process::open(number, pid)?.unwrap_or(By::Number(identity));
        // After it was opened: whoever has the number now, has had it since.
        if start_of(pid)? != Some(identity.start) {
            return Ok(Process::new(pid, By::Nothing));
        }
        let process = Process::new(pid, by);
        // It may be waiting for its parent to ask how it ended.
        if process.wait(Some(Duration::ZERO))? {
            return Ok(Process::new(pid, By::Nothing));
        }
        Ok(process)
    }

    fn raw(&self) -> Option<RawObject> {
        self.pidfd().map(|pidfd| pidfd.as_raw_fd())
    }

    fn image(pid: u32) -> Option<String> {
        let image = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        Some(image.display().to_string())
    }

    fn started(start: u64) -> Option<SystemTime> {
        // In seconds since 1970; "start time of the process in clock ticks since boot" (proc(5)).
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let booted = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        let booted = Duration::from_secs(booted.trim().parse().ok()?);
        let ticks = clock_ticks_per_second().max(1);
        let since = Duration::from_millis(start.checked_mul(1000)? / ticks);
        SystemTime::UNIX_EPOCH
            .checked_add(booted)?
            .checked_add(since)
    }

    fn signal(&self) -> Result<Signal> {
        self.death().map(Signal::Once)
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let until = deadline(timeout);
        let ended = match &self.by {
            By::Pidfd(pidfd) => readable(pidfd, until),
            By::Number(identity) => gone_by(*identity, until),
            By::Nothing => Ok(true),
        };
        ended.map_err(|errno| explain(Operation::Wait, &subject(self.pid), errno))
    }
}

/// Whether a descriptor is readable, at the latest at that moment. A pidfd is readable when its
/// process has ended.
pub(super) fn readable(descriptor: &OwnedFd, until: Option<Instant>) -> rustix::io::Result<bool> {
    loop {
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = left.map(futex::timespec);
        let mut fds = [PollFd::new(descriptor, PollFlags::IN)];
        // "EINTR: A signal occurred before any requested event" (poll), also without a time to
        // wait.
        let found = retry_on_intr(|| poll(&mut fds, timeout.as_ref()))? > 0;
        if found || until.is_some_and(|at| Instant::now() >= at) {
            return Ok(found);
        }
    }
}

/// Whether a process has ended, at the latest at that moment, by looking at it.
fn gone_by(process: ProcessIdentity, until: Option<Instant>) -> rustix::io::Result<bool> {
    loop {
        match has_gone(process) {
            Ok(true) => return Ok(true),
            // To look takes a descriptor: it is not told, and so taken for alive.
            Ok(false) | Err(Errno::MFILE | Errno::NFILE) => {}
            Err(errno) => return Err(errno),
        }
        let left = until.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// The file that tells of a thread, or of the first thread of a process, and so of the process.
/// Not `/proc/N/stat`: qemu's emulation of programs answers that file of a program itself, with a
/// start time that no other process is told.
fn stat_of(number: u32) -> String {
    format!("/proc/{number}/task/{number}/stat")
}

/// Whether a process has ended, as `/proc` tells.
// layout: L216
pub(super) fn has_gone(process: ProcessIdentity) -> rustix::io::Result<bool> {
    let stat = match std::fs::read(stat_of(process.pid)) {
        Ok(stat) => stat,
        Err(error) => match errno_of(&error) {
            Errno::NOENT | Errno::SRCH => return Ok(!is_there(process.pid)),
            errno => return Err(errno),
        },
    };
    let start: u64 = field(&stat, 22).ok_or(Errno::IO)?;
    // The first thread of a process may end before the others do.
    let threads: u64 = field(&stat, 20).ok_or(Errno::IO)?;
    let state: char = field(&stat, 3).ok_or(Errno::IO)?;
    let is_over = matches!(state, 'Z' | 'X') && threads <= 1;
    Ok(start != process.start || is_over)
}

/// When a process or thread was started, in clock ticks since the system was: the
/// field `starttime` of its `stat` in `/proc`.
// layout: L213
pub(super) fn start_time(path: &str) -> rustix::io::Result<u64> {
    let stat = std::fs::read(path).map_err(|e| errno_of(&e))?;
    field(&stat, 22).ok_or(Errno::IO)
}

/// A field of a `stat` in `/proc`, counted from 1 as in the manual. The second is
/// the name of the program, in parentheses, and may hold anything.
// layout: L213
fn field<T: FromStr>(stat: &[u8], number: usize) -> Option<T> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

/// Who has this number; `None` where nobody has. It may be a zombie, or a thread.
pub(super) fn identity_of(pid: u32) -> Result<Option<ProcessIdentity>> {
    let space = space().map_err(|errno| no_proc(pid, errno))?;
    let start = start_of(pid)?;
    Ok(start.map(|start| ProcessIdentity { pid, space, start }))
}

/// As [`start_time`], of a process or thread by its number; `None` where there is none,
/// and an error where there is and it may not be looked at.
// layout: L216
fn start_of(number: u32) -> Result<Option<u64>> {
    match start_time(&stat_of(number)) {
        Ok(start) => Ok(Some(start)),
        Err(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM) if is_there(number) => {
            Err(hidden(number))
        }
        Err(Errno::NOENT | Errno::SRCH) => Ok(None),
        Err(errno) => Err(explain(Operation::Watch, &subject(number), errno)),
    }
}

/// Whether any process or thread has this number. `/proc` may hide it, the kernel does
/// not: "EPERM: The calling process does not have permission to send the signal to any
/// of the target processes" (kill).
pub(super) fn is_there(number: u32) -> bool {
    let number = i32::try_from(number).ok().and_then(Pid::from_raw);
    number.is_some_and(|number| test_kill_process(number) != Err(Errno::SRCH))
}

/// The namespaces in which numbers and start times mean something to this process:
/// that of the pids, with that of the times folded in.
// layout: L214 L215
fn space() -> rustix::io::Result<u32> {
    // A /proc that was mounted for others has their numbers.
    let me = std::fs::read_link("/proc/self").map_err(|e| errno_of(&e))?;
    if me.to_str().and_then(|me| me.parse().ok()) != Some(std::process::id()) {
        return Err(Errno::NOTSUP);
    }
    let pids = stat("/proc/self/ns/pid")?.st_ino as u32;
    // Linux before 5.6 has one time for all.
    let times = stat("/proc/self/ns/time").map_or(0, |found| found.st_ino as u32);
    Ok(pids ^ times.rotate_left(16))
}

/// The process that a thread belongs to, and when the thread was started; `None` where
/// it has ended, and an error where that cannot be told.
pub(super) fn process_of(thread: u32) -> Result<Option<(u32, u64)>> {
    let Some(start) = start_of(thread)? else {
        return Ok(None);
    };
    let status = match std::fs::read_to_string(format!("/proc/{thread}/status")) {
        Ok(status) => status,
        Err(_) if !is_there(thread) => return Ok(None),
        Err(error) => return Err(explain_io(Operation::Watch, &subject(thread), &error)),
    };
    let line = |key: &str| {
        let found = status.lines().find_map(|l| l.strip_prefix(key));
        found.map_or("", str::trim)
    };
    // A thread that has ended may still be listed.
    if line("State:").starts_with(['Z', 'X']) {
        return Ok(None);
    }
    let process = line("Tgid:").parse();
    let process = process.map_err(|_| explain(Operation::Watch, &subject(thread), Errno::IO))?;
    Ok(Some((process, start)))
}

/// Whether the machine has more than one processor; a list such as `0-3,8`.
pub(crate) fn has_several_processors() -> bool {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online");
    online.map_or(true, |list| list.contains(['-', ',']))
}

fn subject(pid: u32) -> String {
    format!("process {pid}")
}

fn no_process(pid: u32) -> Error {
    let meaning = "there is no process of this number";
    Error::new(
        ErrorKind::NotFound,
        Operation::Watch,
        &subject(pid),
        meaning,
    )
    .with_advice("it may have ended")
}

fn no_proc(pid: u32, errno: Errno) -> Error {
    if !matches!(errno, Errno::NOENT | Errno::NOTSUP) {
        return explain(Operation::Watch, &subject(pid), errno);
    }
    let meaning = "/proc is missing, or that of another pid namespace";
    Error::new(
        ErrorKind::Unsupported,
        Operation::Watch,
        &subject(pid),
        meaning,
    )
    .with_code(errno.raw_os_error())
    .with_advice("mount proc at /proc")
}

fn other_space(pid: u32) -> Error {
    let meaning = "it lives in another pid or time namespace, where number and start mean \
                   another process";
    Error::new(
        ErrorKind::Unsupported,
        Operation::Watch,
        &subject(pid),
        meaning,
    )
    .with_advice("run both programs in one container, or start it with --pid=host")
}

fn hidden(pid: u32) -> Error {
    let meaning = "it is there, and /proc hides when it was started (hidepid)";
    Error::new(
        ErrorKind::AccessDenied,
        Operation::Watch,
        &subject(pid),
        meaning,
    )
    .with_advice("run as its user, or mount /proc without hidepid")
}

#[cfg(test)]
mod tests {
    use super::*;

    // layout: L213
    #[test]
    fn a_program_may_be_called_anything() {
        let stat = b"7 (a) b) 1 (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(field(stat, 22), Some(4711));
        assert_eq!(field(stat, 3), Some('S'));
        assert_eq!(field::<u64>(b"7 (x) S 1", 22), None);
        assert_eq!(field::<u64>(b"", 22), None);
    }
}
