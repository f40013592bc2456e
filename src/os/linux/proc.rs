//! What `/proc` tells of processes and threads.

use super::error::{errno_of, explain, explain_io};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::ProcessIdentity;
use rustix::fs::stat;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::str::FromStr;

/// Returns the path of the file about a thread, or about the first thread of a process. It is not
/// `/proc/N/stat`: qemu's user-mode emulation answers that path itself for the emulated program,
/// with a start time that no other process sees.
pub(super) fn stat_of(number: u32) -> String {
    format!("/proc/{number}/task/{number}/stat")
}

/// Returns whether a process has ended, as `/proc` tells.
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

/// Returns the start time of a process or thread in clock ticks since the start of the system: the
/// field `starttime` of its `stat` in `/proc`.
// layout: L213
pub(super) fn start_time(path: &str) -> rustix::io::Result<u64> {
    let stat = std::fs::read(path).map_err(|e| errno_of(&e))?;
    field(&stat, 22).ok_or(Errno::IO)
}

/// Returns a field of a `stat` in `/proc`, counted from 1 as in the manual. The second field is the
/// name of the program, in parentheses, which may hold any bytes.
// layout: L213
fn field<T: FromStr>(stat: &[u8], number: usize) -> Option<T> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

/// Returns the identity of the process or thread of this number, which may be a zombie; `None`
/// where there is none.
pub(super) fn identity_of(pid: u32) -> Result<Option<ProcessIdentity>> {
    let space = space().map_err(|errno| no_proc(pid, errno))?;
    let start = start_of(pid)?;
    Ok(start.map(|start| ProcessIdentity { pid, space, start }))
}

/// Returns the start time of a process or thread by its number; `None` where there is none. Fails
/// where there is one and this account may not look.
pub(super) fn start_of(number: u32) -> Result<Option<u64>> {
    match start_time(&stat_of(number)) {
        Ok(start) => Ok(Some(start)),
        Err(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM) if is_there(number) => {
            Err(hidden(number))
        }
        Err(Errno::NOENT | Errno::SRCH) => Ok(None),
        Err(errno) => Err(explain(Operation::Watch, &subject(number), errno)),
    }
}

/// Returns whether a process or thread has this number. `/proc` may hide it, the kernel does not:
/// "EPERM: The calling process does not have permission to send the signal to any of the target
/// processes" (kill).
pub(super) fn is_there(number: u32) -> bool {
    let number = i32::try_from(number).ok().and_then(Pid::from_raw);
    number.is_some_and(|number| test_kill_process(number) != Err(Errno::SRCH))
}

/// Returns the namespaces in which numbers and start times are valid for this process: that of the
/// pids, with that of the times folded in.
// layout: L214 L215
pub(super) fn space() -> rustix::io::Result<u32> {
    // A /proc that was mounted for another pid namespace has the numbers of that namespace.
    let me = std::fs::read_link("/proc/self").map_err(|e| errno_of(&e))?;
    if me.to_str().and_then(|me| me.parse().ok()) != Some(std::process::id()) {
        return Err(Errno::NOTSUP);
    }
    let pids = stat("/proc/self/ns/pid")?.st_ino as u32;
    // Linux before 5.6 has one time namespace.
    let times = stat("/proc/self/ns/time").map_or(0, |found| found.st_ino as u32);
    Ok(pids ^ times.rotate_left(16))
}

/// Returns the process of a thread, and the start time of the thread; `None` where the thread has
/// ended. Fails where the system does not tell.
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

pub(super) fn subject(pid: u32) -> String {
    format!("process {pid}")
}

pub(super) fn no_proc(pid: u32, errno: Errno) -> Error {
    if !matches!(errno, Errno::NOENT | Errno::NOTSUP) {
        return explain(Operation::Watch, &subject(pid), errno);
    }
    let meaning = "/proc is missing, or belongs to another pid namespace";
    Error::new(
        ErrorKind::Unsupported,
        Operation::Watch,
        &subject(pid),
        meaning,
    )
    .with_code(errno.raw_os_error())
    .with_advice("mount proc at /proc")
}

fn hidden(pid: u32) -> Error {
    let meaning = "the process exists, but /proc hides its start time (hidepid)";
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
    fn stat_parses_with_any_program_name() {
        let stat = b"7 (a) b) 1 (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(field(stat, 22), Some(4711));
        assert_eq!(field(stat, 3), Some('S'));
        assert_eq!(field::<u64>(b"7 (x) S 1", 22), None);
        assert_eq!(field::<u64>(b"", 22), None);
    }
}
