//! Functions whose implementation differs between the systems.

use encoding_rs::Encoding;
use shmkit::OwnedObject;
use std::fs::File;
#[cfg(unix)]
use std::io::PipeWriter;
use std::process::{Child, Command};
#[cfg(windows)]
use std::sync::mpsc::Sender;

/// Returns the code page of ANSI programs.
#[cfg(windows)]
pub fn ansi() -> &'static Encoding {
    use windows_sys::Win32::Globalization::GetACP;
    // SAFETY: `GetACP` takes nothing and returns a number.
    let page = unsafe { GetACP() };
    u16::try_from(page)
        .ok()
        .and_then(codepage::to_encoding)
        .unwrap_or(encoding_rs::WINDOWS_1252)
}

/// Returns the code page of ANSI programs. This system has no such code page, so the function
/// returns the code page of Western Windows.
#[cfg(not(windows))]
pub fn ansi() -> &'static Encoding {
    encoding_rs::WINDOWS_1252
}

/// Shows a text in a message box, and waits until the user closes the box.
#[cfg(windows)]
pub fn message_box(title: &str, text: &str) -> Result<(), String> {
    use windows_sys::Win32::UI::WindowsAndMessaging::{MB_ICONINFORMATION, MB_OK, MessageBoxW};
    let wide = |text: &str| text.encode_utf16().chain([0]).collect::<Vec<u16>>();
    let (text, title) = (wide(text), wide(title));

    // SAFETY: `text` and `title` are NUL-terminated texts that live during the call, and there is
    // no owner window.
    let answer = unsafe {
        MessageBoxW(
            std::ptr::null_mut(),
            text.as_ptr(),
            title.as_ptr(),
            MB_OK | MB_ICONINFORMATION,
        )
    };
    let error = std::io::Error::last_os_error();

    match answer {
        0 => Err(format!(
            "cannot show a message box: {error}; is there a desktop?"
        )),
        _ => Ok(()),
    }
}

/// Shows a text in a message box, and waits until the user closes the box.
#[cfg(not(windows))]
pub fn message_box(_title: &str, _text: &str) -> Result<(), String> {
    Err("message boxes exist on Windows only; leave out --message-box".to_string())
}

/// Calls `tell` with the name of each signal that asks this program to end. The signals no longer
/// end the program themselves. A signal that was ignored when the program started (nohup) stays
/// ignored.
#[cfg(unix)]
pub fn on_end(mut tell: impl FnMut(&'static str) + Send + 'static) -> Result<(), String> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let ignored = ignored_signals();
    let wanted = [SIGHUP, SIGINT, SIGTERM]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0);

    let mut signals = signal_hook::iterator::Signals::new(wanted)
        .map_err(|e| format!("cannot watch signals: {e}"))?;

    std::thread::spawn(move || {
        for signal in signals.forever() {
            tell(match signal {
                SIGHUP => "SIGHUP",
                SIGINT => "Ctrl-C",
                _ => "SIGTERM",
            });
        }
    });
    Ok(())
}

/// Returns the ignored signals, with one bit for each signal; 0 if the system does not report them.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// Calls `tell` for each event that asks this program to end. The events no longer end the program
/// themselves.
#[cfg(windows)]
pub fn on_end(mut tell: impl FnMut(&'static str) + Send + 'static) -> Result<(), String> {
    ctrlc::set_handler(move || tell("Ctrl-C")).map_err(|e| format!("cannot watch for Ctrl-C: {e}"))
}

/// Stays open until it is dropped. Another thread can wait for the drop; see [`latch`].
#[cfg(unix)]
#[derive(Debug)]
pub struct Latch(
    #[expect(dead_code, reason = "the end of the pipe that keeps it open")] PipeWriter,
);

/// Returns a latch, and a descriptor that is ready for reading (poll) from the drop of the latch
/// on, for ever.
#[cfg(unix)]
pub fn latch() -> std::io::Result<(Latch, OwnedObject)> {
    let (reader, writer) = std::io::pipe()?;
    Ok((Latch(writer), reader.into()))
}

/// Stays open until it is dropped. Another thread can wait for the drop; see [`latch`].
#[cfg(windows)]
#[derive(Debug)]
pub struct Latch(
    #[expect(dead_code, reason = "the end of the channel that keeps it open")] Sender<()>,
);

/// Returns a latch, and a handle that is signaled from the drop of the latch on, for ever. It is
/// the handle of a thread that ends when the latch is dropped.
#[cfg(windows)]
pub fn latch() -> std::io::Result<(Latch, OwnedObject)> {
    let (open, closed) = std::sync::mpsc::channel();
    let ending = move || closed.recv().is_ok();
    let thread = std::thread::Builder::new().spawn(ending)?;
    Ok((Latch(open), thread.into()))
}

/// Duplicates a descriptor.
#[cfg(unix)]
pub fn duplicate(object: &OwnedObject) -> std::io::Result<OwnedObject> {
    use std::os::fd::AsFd;
    object.as_fd().try_clone_to_owned()
}

/// Duplicates a handle.
#[cfg(windows)]
pub fn duplicate(object: &OwnedObject) -> std::io::Result<OwnedObject> {
    use std::os::windows::io::AsHandle;
    object.as_handle().try_clone_to_owned()
}

/// Returns an object that becomes ready when the process that reads standard output has gone, or
/// `None` if only a write shows that. Standard output must be a pipe that is open for writing only:
/// poll never reports such a pipe as readable, and reports an error when the pipe has no reader.
#[cfg(unix)]
pub fn reader_of_output() -> Option<OwnedObject> {
    use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
    use std::os::fd::AsFd;
    let stdout = std::io::stdout();
    let is_pipe = FileType::from_raw_mode(fstat(&stdout).ok()?.st_mode) == FileType::Fifo;
    let mode = fcntl_getfl(&stdout).ok()? & OFlags::RWMODE;
    let is_told = is_pipe && mode == OFlags::WRONLY;
    is_told.then(|| stdout.as_fd().try_clone_to_owned().ok())?
}

/// Returns `None`: on Windows only a write shows that the process that reads standard output has
/// gone.
#[cfg(windows)]
pub fn reader_of_output() -> Option<OwnedObject> {
    None
}

/// Returns whether the process that reads standard output has gone, without a write.
#[cfg(unix)]
pub fn reader_left() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec::default();
    poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0 && fds[0].revents().contains(PollFlags::ERR))
}

/// Returns `false`: on Windows only a write shows that the process that reads standard output has
/// gone.
#[cfg(windows)]
pub fn reader_left() -> bool {
    false
}

/// Returns whether this program receives the keys of the terminal. The system stops a program in
/// the background that reads keys.
#[cfg(unix)]
pub fn in_foreground() -> bool {
    rustix::termios::tcgetpgrp(std::io::stdin())
        .is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Returns whether this program receives the keys of the terminal.
#[cfg(windows)]
pub fn in_foreground() -> bool {
    true
}

/// Returns standard input and output as files without a buffer.
#[cfg(unix)]
pub fn standard_pipes() -> std::io::Result<(File, File)> {
    use std::os::fd::AsFd;
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    let stdout = std::io::stdout().as_fd().try_clone_to_owned()?;
    Ok((stdin.into(), stdout.into()))
}

/// Returns standard input and output as files without a buffer.
#[cfg(windows)]
pub fn standard_pipes() -> std::io::Result<(File, File)> {
    use std::os::windows::io::AsHandle;
    let stdin = std::io::stdin().as_handle().try_clone_to_owned()?;
    let stdout = std::io::stdout().as_handle().try_clone_to_owned()?;
    Ok((stdin.into(), stdout.into()))
}

/// Returns a text as one argument of a command line, in quotes if a shell would change the text.
pub fn argument(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "._-/:+".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_string(),
        false => quoted(text),
    }
}

/// Returns the text in the quotes of sh. PowerShell reads the result in the same way if the text
/// contains no quote.
#[cfg(unix)]
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Returns the text in double quotes, which cmd and PowerShell have in common. A text that contains
/// a double quote cannot be written so that both read it.
#[cfg(windows)]
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// A command line that a shell runs.
#[derive(Debug)]
pub struct Shell {
    pub child: Child,
    #[cfg(windows)]
    job: Option<std::os::windows::io::OwnedHandle>,
}

#[cfg(unix)]
impl Shell {
    /// Starts the shell in a process group of its own, which Ctrl-C of this program does not reach.
    pub fn start(line: &str, with: impl FnOnce(&mut Command)) -> std::io::Result<Shell> {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).process_group(0);
        with(&mut command);
        Ok(Shell {
            child: command.spawn()?,
        })
    }

    /// Asks the shell and the commands that it runs to end. Waits up to 100 ms for the end of the
    /// shell, and does not wait for the end of the commands.
    pub fn end(&mut self) {
        use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
        let group = Pid::from_child(&self.child);
        // The group may have ended already.
        let _ = kill_process_group(group, Signal::TERM);
        // A shell that starts a command at this moment may take the signal before the command is
        // there: the second signal reaches the command. The shell is not reaped, and so keeps its
        // number.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        for _ in 0..100 {
            if !matches!(waitid(WaitId::Pid(group), ended), Ok(None)) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let _ = kill_process_group(group, Signal::TERM);
    }
}

#[cfg(windows)]
impl Shell {
    /// Starts the shell in a job object of its own, if the system allows one. The commands that the
    /// shell runs then end when the returned value is dropped. With /S, quotes inside the outer
    /// quotes reach the shell as they were typed.
    pub fn start(line: &str, with: impl FnOnce(&mut Command)) -> std::io::Result<Shell> {
        use std::os::windows::process::CommandExt;
        let mut command = Command::new("cmd");
        command
            .args(["/D", "/S", "/C"])
            .raw_arg(format!("\"{line}\""));
        with(&mut command);
        let child = command.spawn()?;
        Ok(Shell {
            job: job_of(&child),
            child,
        })
    }

    /// Ends the shell and the commands that it runs. "TerminateJobObject: Terminates all processes
    /// currently associated with the job", which are the shell and its descendants.
    pub fn end(&mut self) {
        use std::os::windows::io::AsRawHandle;
        use windows_sys::Win32::System::JobObjects::TerminateJobObject;
        if let Some(job) = &self.job {
            // SAFETY: `job` is an open handle of a job object.
            unsafe { TerminateJobObject(job.as_raw_handle(), 1) };
        }
        // The shell may have ended already, or may have no job.
        let _ = self.child.kill();
    }
}

/// Creates a job object and puts the child into it; returns `None` if the system refuses. The
/// system ends the processes of the job when the handle of the job is closed, also if this program
/// was killed. A process that the child started before the child was in the job is not in the job.
#[cfg(windows)]
fn job_of(child: &Child) -> Option<std::os::windows::io::OwnedHandle> {
    use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
    use windows_sys::Win32::System::JobObjects::{
        AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
        JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
        SetInformationJobObject,
    };
    // SAFETY: both pointers may be null: no attributes and no name.
    let job = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
    if job.is_null() {
        return None;
    }
    // SAFETY: the handle is valid, was just created, and nothing else owns it.
    let job = unsafe { OwnedHandle::from_raw_handle(job) };

    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    // SAFETY: `job` is an open handle, and `limits` is the structure of this class, with its size.
    let limited = unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast(),
            size_of_val(&limits) as u32,
        )
    };
    // SAFETY: the two handles are of a job object and of a process, and both are open.
    let assigned = unsafe { AssignProcessToJobObject(job.as_raw_handle(), child.as_raw_handle()) };
    (limited != 0 && assigned != 0).then_some(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_where_needed() {
        assert_eq!(argument("Prices.1"), "Prices.1");
        let quote = if cfg!(windows) { '"' } else { '\'' };
        for text in ["Global\\Prices", "two words", "$pcars2$", "a*"] {
            assert_eq!(argument(text), format!("{quote}{text}{quote}"));
        }
    }
}
