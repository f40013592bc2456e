//! One process for good: a pidfd whose process has the expected start time. Where the system gives
//! no pidfd (a sandbox, an emulator), the process is polled in `/proc` by its number and start
//! time.

use super::RawObject;
use super::error::explain;
use super::poller::Registration;
use super::proc::{has_gone, identity_of, no_proc, space, start_of, start_time, stat_of, subject};
use super::signal::{Signal, readable};
use super::watcher::{HAPPENED, Watch};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{ProcessBackend, ProcessIdentity, deadline_after};
use crate::sync::AtomicU32;
use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The time between two checks of a wait for a process without a pidfd.
const LOOK: Duration = Duration::from_millis(5);

/// How a process is identified to the system.
#[derive(Debug)]
enum Identification {
    Pidfd(OwnedFd),
    /// The number and start time of the process, which are polled.
    Number(ProcessIdentity),
    /// The process had ended before it was opened.
    Ended,
}

/// The watch that reports the end of a process.
#[derive(Debug)]
enum EndWatch {
    Pidfd(Watch),
    Polled(Registration, Arc<AtomicU32>),
}

impl EndWatch {
    fn is_in_force(&self) -> bool {
        match self {
            EndWatch::Pidfd(watch) => watch.is_in_force(),
            EndWatch::Polled(registration, _) => registration.is_of_this_process(),
        }
    }

    fn word(&self) -> &Arc<AtomicU32> {
        match self {
            EndWatch::Pidfd(watch) => watch.word(),
            EndWatch::Polled(_, word) => word,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Process {
    by: Identification,
    pid: u32,
    /// The watch, which the first wait that needs it begins.
    watch: std::sync::Mutex<Option<EndWatch>>,
}

impl Process {
    /// Returns a word that is 0, and [`HAPPENED`] after the process has ended; sleepers on the word
    /// are woken then. The word has another value where the watch ended before the process did: see
    /// [`Watch::word`].
    pub(super) fn death(&self) -> Result<Arc<AtomicU32>> {
        if matches!(self.by, Identification::Ended) {
            return Ok(Arc::new(AtomicU32::new(HAPPENED)));
        }

        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = watch.as_ref().filter(|watch| watch.is_in_force()) {
            return Ok(Arc::clone(watch.word()));
        }

        let begun = match &self.by {
            Identification::Number(identity) => {
                let dead = Arc::new(AtomicU32::new(0));
                let polled = Registration::of_process(*identity, Arc::clone(&dead));
                polled.map(|registration| EndWatch::Polled(registration, dead))
            }
            _ => {
                Watch::begin(self.pidfd().ok_or_else(|| no_process(self.pid))?).map(EndWatch::Pidfd)
            }
        }
        .map_err(|errno| explain(Operation::Watch, &subject(self.pid), errno))?;

        let dead = Arc::clone(begun.word());
        *watch = Some(begun);
        Ok(dead)
    }

    /// Returns a process that had ended before it was watched.
    pub(super) fn nobody() -> Process {
        Process::new(0, Identification::Ended)
    }

    fn new(pid: u32, by: Identification) -> Process {
        Process {
            by,
            pid,
            watch: std::sync::Mutex::default(),
        }
    }

    fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match &self.by {
            Identification::Pidfd(pidfd) => Some(pidfd.as_fd()),
            Identification::Number(_) | Identification::Ended => None,
        }
    }

    /// Opens the process by its number; `None` where the system gives no pidfds here.
    // layout: L216
    fn open(number: Pid, pid: u32) -> Result<Option<Identification>> {
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Some(Identification::Pidfd(pidfd))),
            // The number is free, or that of a thread: no process has it.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => Ok(Some(Identification::Ended)),
            // An older or emulated kernel returns ENOSYS. A sandbox returns EPERM, which the manual
            // does not list.
            Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(explain(Operation::Watch, &subject(pid), errno)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let watch = self.watch.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let (Some(EndWatch::Pidfd(watch)), Some(pidfd)) = (watch.take(), self.pidfd()) {
            watch.end(pidfd);
        }
    }
}

impl ProcessBackend for Process {
    /// Every process can be watched by a pidfd.
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
        // A zombie has a start time too, and the number of a thread has an entry.
        if matches!(Process::watch(identity)?.by, Identification::Ended) {
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
            return Ok(Process::new(pid, Identification::Ended));
        };

        let by = Process::open(number, pid)?.unwrap_or(Identification::Number(identity));
        // This check comes after the open: a process that has this number and start time now also
        // had the number when the pidfd was opened.
        if start_of(pid)? != Some(identity.start) {
            return Ok(Process::new(pid, Identification::Ended));
        }

        let process = Process::new(pid, by);
        // A zombie has ended, and waits for its parent to ask how it ended.
        if process.wait(Some(Duration::ZERO))? {
            return Ok(Process::new(pid, Identification::Ended));
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
        let until = deadline_after(timeout);
        let ended = match &self.by {
            Identification::Pidfd(pidfd) => readable(pidfd, until),
            Identification::Number(identity) => gone_by(*identity, until),
            Identification::Ended => Ok(true),
        };
        ended.map_err(|errno| explain(Operation::Wait, &subject(self.pid), errno))
    }
}

/// Polls until a process has ended; returns whether it has when the time is over.
fn gone_by(process: ProcessIdentity, until: Option<Instant>) -> rustix::io::Result<bool> {
    loop {
        match has_gone(process) {
            Ok(true) => return Ok(true),
            // The check needs a descriptor: without one the process counts as alive.
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

/// Returns whether the machine has more than one processor; the file has a list such as `0-3,8`.
pub(crate) fn has_several_processors() -> bool {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online");
    online.map_or(true, |list| list.contains(['-', ',']))
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

fn other_space(pid: u32) -> Error {
    let meaning = "it belongs to another pid or time namespace, where its number and start time may identify another process";
    Error::new(
        ErrorKind::Unsupported,
        Operation::Watch,
        &subject(pid),
        meaning,
    )
    .with_advice("run both programs in one container, or start it with --pid=host")
}
