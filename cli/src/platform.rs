//! The few things that only one system has.

use encoding_rs::Encoding;
use std::fs::File;
use std::process::{Child, Command};

/// The code page of ANSI programs.
#[cfg(windows)]
pub fn ansi() -> &'static Encoding {
    use windows_sys::Win32::Globalization::GetACP;
    // SAFETY: takes nothing, returns a number.
    let page = unsafe { GetACP() };
    u16::try_from(page)
        .ok()
        .and_then(codepage::to_encoding)
        .unwrap_or(encoding_rs::WINDOWS_1252)
}

/// The code page of ANSI programs: that of Western Windows, for want of one here.
#[cfg(not(windows))]
pub fn ansi() -> &'static Encoding {
    encoding_rs::WINDOWS_1252
}

/// Shows a text until the user closes it.
#[cfg(windows)]
pub fn message_box(title: &str, text: &str) -> Result<(), String> {
    use windows_sys::Win32::UI::WindowsAndMessaging::{MB_ICONINFORMATION, MB_OK, MessageBoxW};
    let wide = |text: &str| text.encode_utf16().chain([0]).collect::<Vec<u16>>();
    let (text, title) = (wide(text), wide(title));
    // SAFETY: two NUL-terminated texts, and no owner window.
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

/// Shows a text until the user closes it.
#[cfg(not(windows))]
pub fn message_box(_title: &str, _text: &str) -> Result<(), String> {
    Err("message boxes are a thing of Windows; leave --message-box out".to_string())
}

/// From now on tells the name of each signal that asks this program to end, and
/// does not end it. A signal that was ignored when it started (nohup) stays ignored.
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

/// One bit for each signal; none where the system does not tell.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// From now on tells of each event that asks this program to end, which does not.
#[cfg(windows)]
pub fn on_end(mut tell: impl FnMut(&'static str) + Send + 'static) -> Result<(), String> {
    ctrlc::set_handler(move || tell("Ctrl-C")).map_err(|e| format!("cannot watch for Ctrl-C: {e}"))
}

/// Whether whoever read our output has gone, before it is written to.
#[cfg(unix)]
pub fn reader_left() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec::default();
    poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0 && fds[0].revents().contains(PollFlags::ERR))
}

/// Whether whoever read our output has gone; here only writing tells.
#[cfg(windows)]
pub fn reader_left() -> bool {
    false
}

/// Whether keys come to us: a job in the background that reads them is stopped.
#[cfg(unix)]
pub fn in_foreground() -> bool {
    rustix::termios::tcgetpgrp(std::io::stdin())
        .is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Whether keys come to us.
#[cfg(windows)]
pub fn in_foreground() -> bool {
    true
}

/// Standard input and output as they are, without the buffers that are good for text.
#[cfg(unix)]
pub fn standard_pipes() -> std::io::Result<(File, File)> {
    use std::os::fd::AsFd;
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    let stdout = std::io::stdout().as_fd().try_clone_to_owned()?;
    Ok((stdin.into(), stdout.into()))
}

/// Standard input and output as they are, without the buffers that are good for text.
#[cfg(windows)]
pub fn standard_pipes() -> std::io::Result<(File, File)> {
    use std::os::windows::io::AsHandle;
    let stdin = std::io::stdin().as_handle().try_clone_to_owned()?;
    let stdout = std::io::stdout().as_handle().try_clone_to_owned()?;
    Ok((stdin.into(), stdout.into()))
}

/// A text as one argument of a command line: in quotes where a shell would change the text.
pub fn argument(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "._-/:+".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_string(),
        false => quoted(text),
    }
}

/// In the quotes of sh. PowerShell reads them alike, where no quote stands in the text.
#[cfg(unix)]
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// In the quotes that cmd and PowerShell have in common. No name has a quote in it that works in
/// both.
#[cfg(windows)]
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// What runs a command line. It gets a group of its own, and so no Ctrl-C that is meant for us.
#[cfg(unix)]
pub fn shell(line: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).process_group(0);
    command
}

/// What runs a command line. With /S the quotes inside the outer ones arrive as they were
/// typed.
#[cfg(windows)]
pub fn shell(line: &str) -> Command {
    use std::os::windows::process::CommandExt;
    let mut command = Command::new("cmd");
    command
        .args(["/D", "/S", "/C"])
        .raw_arg(format!("\"{line}\""));
    command
}

/// Asks what the shell runs to end. That it has is another matter.
#[cfg(unix)]
pub fn end_shell(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    // Where it has ended already that is as well.
    let _ = kill_process_group(Pid::from_child(child), Signal::TERM);
}

/// Ends the shell; what it runs notices when its pipes break.
#[cfg(windows)]
pub fn end_shell(child: &mut Child) {
    // Where it has ended already that is as well.
    let _ = child.kill();
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
