//! One process for good: a pidfd whose process has the expected start time. Where the system gives
//! no pidfd (a sandbox, an emulator), the process is polled in `/proc` by its number and start
//! time.
//!
//! The process of a participant has ended when the life of the participant is over (see
//! [`life_locks`](super::life_locks)). A pidfd only tells when to look. Without a pidfd, as for a process of
//! another pid namespace, the life is polled.

use super::RawObject;
use super::error::explain;
use super::life_locks::LifeLocks;
use super::park_word::{HAPPENED, Latch, ParkWord};
use super::pidfd::Pidfd;
use super::poller::{PolledPeer, Registration};
use super::proc::{has_gone, identity_of, no_proc, space, start_of, start_time, stat_of, subject};
use super::signal::{Signal, readable};
use super::user::describe;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{Occupant, ProcessBackend, ProcessIdentity, deadline_after, pid_of, word_of};
use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The time between two checks of a wait for a process without a pidfd.
const LOOK: Duration = Duration::from_millis(5);

/// How a process is identified to the system.
#[derive(Debug)]
enum Identification {
    Pidfd(Arc<Pidfd>),
    /// The number and start time of the process, which are polled.
    Number(ProcessIdentity),
    /// The process had ended before it was opened.
    Ended,
    /// The system gives no pidfd of the process: only its life tells of it.
    Unknown,
}

/// A watch by the polling thread.
type PolledWatch = (Registration, Arc<Latch>);

#[derive(Debug)]
pub(crate) struct Process {
    by: Identification,
    pid: u32,
    /// The life of the participant whose process this is.
    life: Option<(LifeLocks, usize)>,
    /// The watch of a process without a pidfd, or of a life that goes on after the pidfd has reported
    /// the end. The first wait that needs the watch begins it.
    polled: std::sync::Mutex<Option<PolledWatch>>,
}

impl Process {
    /// Returns the latch that a thread of this process sets when the process has ended, or when the
    /// watch has ended before the process did: see [`Watch::latch`](super::watcher::Watch::latch).
    pub(super) fn death(&self) -> Result<Arc<Latch>> {
        let fail = |errno| explain(Operation::Watch, &subject(self.pid), errno);
        let polled = match (&self.by, &self.life) {
            (Identification::Ended, _) => return Ok(Arc::new(Latch::set_already())),
            (Identification::Pidfd(pidfd), _) if !self.is_premature(pidfd) => {
                return pidfd.latch().map_err(fail);
            }
            (_, Some((lives, place))) => PolledPeer::Life(lives.clone(), *place),
            (Identification::Number(identity), None) => PolledPeer::Process(*identity),
            (Identification::Pidfd(_) | Identification::Unknown, None) => {
                return Err(no_process(self.pid));
            }
        };

        let mut watch = self.polled.lock().unwrap_or_else(PoisonError::into_inner);
        let known = watch.as_ref().filter(|(one, _)| one.is_of_this_process());
        if let Some((_, latch)) = known {
            return Ok(Arc::clone(latch));
        }
        let latch = Arc::new(Latch::default());
        let registration = Registration::of_peer(polled, Arc::clone(&latch)).map_err(fail)?;
        *watch = Some((registration, Arc::clone(&latch)));
        Ok(latch)
    }

    /// Returns whether a pidfd has reported the end of the process while the life of its participant
    /// goes on. A child that the process was starting keeps that life until its program is loaded.
    fn is_premature(&self, pidfd: &Pidfd) -> bool {
        let is_alive =
            |(lives, place): &(LifeLocks, usize)| matches!(lives.is_free(*place), Ok(false));
        pidfd.report() == HAPPENED && self.life.as_ref().is_some_and(is_alive)
    }

    /// Lets the end of the process wake a participant of this process.
    pub(super) fn wake_when_ended(&self, participant: &Arc<ParkWord>) -> Result<()> {
        self.death().map(|latch| latch.wake_too(participant))
    }

    /// Returns whether a thread of this process has reported something about the process.
    pub(super) fn has_report(&self) -> bool {
        let pidfd = match &self.by {
            Identification::Ended => return true,
            Identification::Pidfd(pidfd) => pidfd.report(),
            Identification::Number(_) | Identification::Unknown => 0,
        };
        let polled = self.polled.lock().unwrap_or_else(PoisonError::into_inner);
        let polled = polled.as_ref().map_or(0, |(_, latch)| latch.value());
        pidfd != 0 || polled != 0
    }

    /// Returns the process of the participant with this number. The process is known by a pidfd if
    /// it is in the namespaces of this process, and if the system gives a pidfd.
    // layout: L216
    pub(super) fn of_life(lives: LifeLocks, place: usize, occupant: Occupant) -> Process {
        let pid = pid_of(occupant.word);
        let here = space().is_ok_and(|here| here == occupant.space);
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        // The check comes after the open, as in `watch`. A process with another start time would
        // only wake this process in vain.
        let is_it = |_: &OwnedFd| {
            let identity = identity_of(pid).ok().flatten();
            identity.is_some_and(|identity| word_of(&identity) == occupant.word)
        };
        let open = |number| pidfd_open(number, PidfdFlags::empty()).ok().filter(is_it);
        let pidfd = number
            .filter(|_| here)
            .and_then(|number| Pidfd::shared(occupant.word, || open(number)));
        let by = pidfd.map_or(Identification::Unknown, Identification::Pidfd);
        let mut process = Process::new(pid, by);
        process.life = Some((lives, place));
        process
    }

    /// Returns a process that had ended before it was watched.
    pub(super) fn nobody() -> Process {
        Process::new(0, Identification::Ended)
    }

    fn new(pid: u32, by: Identification) -> Process {
        Process {
            by,
            pid,
            life: None,
            polled: std::sync::Mutex::default(),
        }
    }

    fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match &self.by {
            Identification::Pidfd(pidfd) => Some(pidfd.file()),
            Identification::Number(_) | Identification::Ended | Identification::Unknown => None,
        }
    }

    /// Opens the process by its number; `None` where the system gives no pidfds here.
    fn open(number: Pid, pid: u32) -> Result<Option<Identification>> {
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Some(Identification::Pidfd(Arc::new(Pidfd::new(pidfd))))),
            // The number is free, or that of a thread: no process has it.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => Ok(Some(Identification::Ended)),
            // An older or emulated kernel returns ENOSYS. A sandbox returns EPERM, which the manual
            // does not list.
            Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(explain(Operation::Watch, &subject(pid), errno)),
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

    fn user(pid: u32) -> Option<String> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        // "Uid, Gid: Real, effective, saved set, and filesystem UIDs (GIDs)" (proc(5)).
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        let effective = uids.split_ascii_whitespace().nth(1)?;
        effective.parse().ok().map(describe)
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

    /// Asks the watch, which a thread of this process answers without a system call.
    fn may_have_ended(&self) -> bool {
        self.death().map_or(true, |latch| latch.value() != 0)
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let until = deadline_after(timeout);
        if let Some((lives, place)) = &self.life {
            return by(until, || lives.is_free(*place));
        }
        let ended = match &self.by {
            Identification::Pidfd(pidfd) => readable(pidfd.file(), until),
            Identification::Number(identity) => by(until, || has_gone_for_sure(*identity)),
            Identification::Ended | Identification::Unknown => Ok(true),
        };
        ended.map_err(|errno| explain(Operation::Wait, &subject(self.pid), errno))
    }
}

/// Returns whether a process has ended.
fn has_gone_for_sure(process: ProcessIdentity) -> rustix::io::Result<bool> {
    match has_gone(process) {
        // The check needs a descriptor: without one the process counts as alive.
        Err(Errno::MFILE | Errno::NFILE) => Ok(false),
        told => told,
    }
}

/// Calls `has_ended` again and again until it returns `true` or the time is over. Returns the last
/// answer.
fn by<E>(
    until: Option<Instant>,
    has_ended: impl Fn() -> std::result::Result<bool, E>,
) -> std::result::Result<bool, E> {
    loop {
        if has_ended()? {
            return Ok(true);
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
