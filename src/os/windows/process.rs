//! One process for good: a handle of the process with the expected start time, or a liveness mutex
//! of the process where the process may not be opened. An open handle keeps the number of the
//! process from being used again.

use super::access::{account, token};
use super::call::{self, Ended};
use super::error::explain;
use super::signal::{Signal, wait_any};
use super::watched::{Liveness, Watched};
use super::{RawObject, ntdll};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{Holder, Holders, ProcessBackend, ProcessIdentity, Woken, deadline_after};
use std::collections::{BTreeMap, BTreeSet};
use std::os::windows::io::{AsHandle, AsRawHandle, OwnedHandle};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER};
use windows_sys::Win32::System::Threading::{
    PROCESS_DUP_HANDLE, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
};

/// The namespace of all processes: a number and a start time name one process on the whole system.
// layout: L231
const SPACE: u32 = 0;

#[derive(Debug)]
pub(crate) struct Process {
    watched: Arc<Watched>,
}

impl Process {
    fn new(watched: Watched) -> Process {
        Process {
            watched: Arc::new(watched),
        }
    }

    /// Makes a process of its liveness mutex, which a thread of the process has as long as the
    /// process lives.
    pub(super) fn of_liveness(mutex: OwnedHandle) -> Process {
        Process::new(Watched::Liveness(Liveness::new(mutex)))
    }
}

/// The process that has a number now, as far as this account may see.
enum Found {
    Nobody,
    Open(OwnedHandle),
    /// A process with this start time, which this account may not open.
    Closed(u64),
}

// layout: L232
fn find(pid: u32) -> Result<Found> {
    let rights = PROCESS_SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION;
    match call::open_process(pid, rights) {
        Ok(handle) if call::process_id(handle.as_handle()) != pid => Ok(Found::Nobody),
        Ok(handle) if is_alive(&handle) => Ok(Found::Open(handle)),
        Ok(_) | Err(ERROR_INVALID_PARAMETER) => Ok(Found::Nobody),
        // The process may be that of a service or of another user. The system tells every account
        // whether it lives, and when it started.
        Err(ERROR_ACCESS_DENIED) => match ntdll::look_up(pid) {
            ntdll::LookedUp::Alive(start) => Ok(Found::Closed(start)),
            ntdll::LookedUp::Ended => Ok(Found::Nobody),
            ntdll::LookedUp::Untold => Err(closed(pid)),
        },
        Err(code) => Err(explain(Operation::Watch, &subject(pid), code)),
    }
}

fn other_space(pid: u32) -> Error {
    let meaning = "this identity is from another system; its process number and start time are not valid on this system";
    let kind = ErrorKind::Unsupported;
    let error = Error::new(kind, Operation::Watch, &subject(pid), meaning);
    error.with_advice("use an identity from this system")
}

fn closed(pid: u32) -> Error {
    let meaning = "this account may not watch the process";
    let kind = ErrorKind::AccessDenied;
    Error::new(kind, Operation::Watch, &subject(pid), meaning)
        .with_code(ERROR_ACCESS_DENIED.cast_signed())
        .with_advice("let that process create a liveness mutex")
}

/// Returns whether a process is alive. "A process object's state is signaled when the process
/// terminates"; an open that succeeds proves nothing, since an ended process can be opened while
/// any process has a handle of it.
fn is_alive(process: &OwnedHandle) -> bool {
    let now = deadline_after(Some(Duration::ZERO));
    call::wait(&[process.as_handle()], now) == Ok(Ended::TimedOut)
}

impl ProcessBackend for Process {
    /// A process of this user may run elevated in another logon session, as a scheduled task
    /// does.
    const MAY_BE_CLOSED: bool = true;

    // layout: L231
    fn current() -> Result<ProcessIdentity> {
        let pid = std::process::id();
        let start = call::start_time(None)
            .map_err(|code| explain(Operation::Watch, &subject(pid), code))?;
        Ok(ProcessIdentity {
            pid,
            space: SPACE,
            start,
        })
    }

    fn identify(pid: u32) -> Result<ProcessIdentity> {
        let start = match find(pid)? {
            Found::Open(handle) => call::start_time(Some(handle.as_handle()))
                .map_err(|code| explain(Operation::Watch, &subject(pid), code))?,
            Found::Closed(start) => start,
            Found::Nobody => {
                let meaning = "there is no process of this number";
                let kind = ErrorKind::NotFound;
                let error = Error::new(kind, Operation::Watch, &subject(pid), meaning);
                return Err(error.with_advice("it may have ended"));
            }
        };

        Ok(ProcessIdentity {
            pid,
            space: SPACE,
            start,
        })
    }

    // layout: L079 L081
    fn watch(identity: ProcessIdentity) -> Result<Process> {
        let pid = identity.pid;
        if identity.space != SPACE {
            return Err(other_space(pid));
        }

        let since = |handle: &OwnedHandle| call::start_time(Some(handle.as_handle()));
        let watched = match find(pid)? {
            Found::Open(handle) if since(&handle) == Ok(identity.start) => Watched::Process(handle),
            Found::Closed(start) if start == identity.start => return Err(closed(pid)),
            // Another process has the number now, or none has it.
            Found::Open(_) | Found::Closed(_) | Found::Nobody => Watched::Ended,
        };

        Ok(Process::new(watched))
    }

    fn raw(&self) -> Option<RawObject> {
        match &*self.watched {
            Watched::Process(handle) => Some(handle.as_raw_handle()),
            Watched::Liveness(liveness) => Some(liveness.mutex.as_raw_handle()),
            Watched::Ended => None,
        }
    }

    fn image(pid: u32) -> Option<String> {
        let process = call::open_process(pid, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
        call::image(process.as_handle())
    }

    fn user(pid: u32) -> Option<String> {
        let process = call::open_process(pid, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
        let sid = token::user_of(process.as_handle())?;
        Some(account::shown(&sid))
    }

    fn started(start: u64) -> Option<SystemTime> {
        // "the number of 100-nanosecond intervals since January 1, 1601 (UTC)" (FILETIME).
        const TO_1970: u64 = 11_644_473_600 * 10_000_000;
        let since = start.checked_sub(TO_1970)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(since / 10))
    }

    fn signal(&self) -> Result<Signal> {
        Ok(Signal::Death(Arc::clone(&self.watched)))
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let woken = wait_any(&[self.signal()?], deadline_after(timeout), false)?;
        Ok(woken != Woken::TimedOut)
    }
}

fn subject(pid: u32) -> String {
    format!("process {pid}")
}

/// Returns the processes that have a handle of an object. No system call reports them, so this
/// function checks every handle of the same type: by the address of its object where the system
/// shows the address, and otherwise by a copy of the handle.
pub(crate) fn holders(raw: RawObject) -> Result<Holders> {
    let unsupported = || {
        let meaning = "the system does not list the handles of processes";
        Error::new(
            ErrorKind::Unsupported,
            Operation::Inspect,
            &"the holders",
            meaning,
        )
    };

    let all = ntdll::all_handles().ok_or_else(unsupported)?;
    let me = std::process::id() as usize;
    let ours = all
        .iter()
        .find(|entry| entry.process == me && entry.handle == raw as usize)
        .ok_or_else(unsupported)?;

    let mut holders = Holders {
        found: Vec::new(),
        hidden: 0,
    };

    if ours.object != 0 {
        let is_same =
            |entry: &&ntdll::HandleEntry| (entry.object, entry.kind) == (ours.object, ours.kind);
        let same = all.iter().filter(is_same);
        let pids: BTreeSet<u32> = same.map(|entry| entry.process as u32).collect();
        holders.found = pids.into_iter().map(Holder::of).collect();
        return Ok(holders);
    }

    let mut by_process: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for entry in all.iter().filter(|entry| entry.kind == ours.kind) {
        by_process
            .entry(entry.process)
            .or_default()
            .push(entry.handle);
    }

    for (pid, handles) in by_process {
        let pid = pid as u32;
        match has_copy(pid, &handles, raw) {
            Some(true) => holders.found.push(Holder::of(pid)),
            Some(false) => {}
            None => holders.hidden += 1,
        }
    }

    Ok(holders)
}

/// Returns whether one of these handles of a process is a handle of the object; `None` where this
/// account may not look.
///
/// The process that keeps the passwords is not checked: malware opens that process in this way, and
/// virus scanners report a program that does so.
fn has_copy(pid: u32, handles: &[usize], raw: RawObject) -> Option<bool> {
    let image = Process::image(pid)?;
    if image.to_ascii_lowercase().ends_with("\\lsass.exe") {
        return None;
    }
    let process = call::open_process(pid, PROCESS_DUP_HANDLE).ok()?;
    let same = |handle: &usize| {
        call::duplicate(process.as_handle(), *handle)
            .is_some_and(|copy| ntdll::same_object(copy.as_raw_handle(), raw))
    };
    Some(handles.iter().any(same))
}

impl Holder {
    fn of(pid: u32) -> Holder {
        let image = Process::image(pid);
        Holder { pid, image }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // layout: L231 L232
    #[test]
    fn looked_up_start_time_matches_handle() {
        let mine = call::start_time(None).unwrap();
        assert_eq!(
            ntdll::look_up(std::process::id()),
            ntdll::LookedUp::Alive(mine)
        );
        // The numbers of processes are multiples of 4.
        assert_eq!(ntdll::look_up(3), ntdll::LookedUp::Ended);
    }
}
