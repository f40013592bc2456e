//! A check, and the functions with which it compares results and reports failures.

use shmkit::{CallError, ErrorKind, GetError, RecvError, SendError, SetError};
use std::fmt::{Debug, Display};
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// One promise, and the function that checks it. The function uses objects whose names are, or
/// begin with, the name that it gets.
pub struct Check {
    pub area: &'static str,
    /// The promise, on which a user relies.
    pub name: &'static str,
    pub run: fn(&str) -> Checked,
}

impl Check {
    pub const fn new(area: &'static str, name: &'static str, run: fn(&str) -> Checked) -> Check {
        Check { area, name, run }
    }
}

pub type Checked = Result<(), Wrong>;

/// Why a check has not passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The result differs from what was expected.
    Failed {
        expected: String,
        came: String,
        /// The file and line of the check.
        at: String,
    },
    /// The check needs something that this account or system does not have.
    Skipped(String),
}

impl Wrong {
    #[track_caller]
    pub fn new(expected: impl Display, came: impl Display) -> Wrong {
        Wrong::Failed {
            expected: expected.to_string(),
            came: came.to_string(),
            at: Location::caller().to_string(),
        }
    }
}

macro_rules! an_error_is_wrong {
    ($($error:ty)*) => {$(
        impl From<$error> for Wrong {
            #[track_caller]
            fn from(error: $error) -> Wrong {
                Wrong::new("no error", error)
            }
        }
    )*};
}

an_error_is_wrong!(
    shmkit::Error SendError RecvError CallError GetError SetError
    std::io::Error std::num::ParseIntError
);

/// The longest time of an operation that nothing blocks.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// Longer than a waiting thread takes to fall asleep.
pub const MOMENT: Duration = Duration::from_millis(5);

/// The beginning of the names of all threads whose panics are part of the report.
pub const THREAD: &str = "shmkit-check";

/// Returns a name that no other check and no other run uses.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Relaxed: only the number counts.
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("Local\\shmkit-self-test-{}-{n}", std::process::id())
}

/// Checks that a condition holds.
#[track_caller]
pub fn must(expected: &str, holds: bool) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(Wrong::new(expected, "this is not the case")),
    }
}

/// Checks that a result has the expected value.
#[track_caller]
pub fn same<T: PartialEq + Debug>(what: &str, came: T, expected: T) -> Checked {
    match came == expected {
        true => Ok(()),
        false => Err(Wrong::new(
            format_args!("{what}: {expected:?}"),
            format_args!("{came:?}"),
        )),
    }
}

/// Checks that an operation failed with an error of this kind.
#[track_caller]
pub fn refused<T>(kind: ErrorKind, result: shmkit::Result<T>) -> Checked {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(Wrong::new(
            format_args!("the call fails with {kind:?}"),
            format_args!("{:?}: {error}", error.kind()),
        )),
        Ok(_) => Err(Wrong::new(
            format_args!("the call fails with {kind:?}"),
            "the call succeeded",
        )),
    }
}

/// Checks that an operation failed, and that `Debug` prints its error as `reason`.
#[track_caller]
pub fn fails<T, E: Debug>(reason: &str, result: Result<T, E>) -> Checked {
    match result {
        Err(error) if format!("{error:?}") == reason => Ok(()),
        Err(error) => Err(Wrong::new(reason, format_args!("{error:?}"))),
        Ok(_) => Err(Wrong::new(reason, "no error")),
    }
}

/// Tries again and again until there is a result.
#[track_caller]
pub fn soon<T>(expected: &str, mut attempt: impl FnMut() -> Option<T>) -> Result<T, Wrong> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(result) = attempt() {
            return Ok(result);
        }
        if start.elapsed() > PATIENCE {
            let came = format!("this is not the case after {} s", PATIENCE.as_secs());
            return Err(Wrong::new(expected, came));
        }
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_millis(50));
    }
}

/// Waits until no object has a name. Another program, such as a second self-test, may inspect the
/// object and so hold it for a moment.
#[track_caller]
pub fn gone<T>(mut open: impl FnMut() -> shmkit::Result<T>) -> Checked {
    let absent = |error: shmkit::Error| error.kind() == ErrorKind::NotFound;
    soon("no object has this name any more", || {
        open().is_err_and(absent).then_some(())
    })
}

/// Creates an object whose name may still be in use for a moment, for the reason that [`gone`]
/// names.
#[track_caller]
pub fn created<T>(mut create: impl FnMut() -> shmkit::Result<T>) -> Result<T, Wrong> {
    let mut refusal = None;
    let made = soon("the object is created", || match create() {
        Ok(made) => Some(Ok(made)),
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Busy) => {
            refusal = Some(error);
            None
        }
        Err(error) => Some(Err(error)),
    });
    match (made, refusal) {
        (Ok(made), _) => Ok(made?),
        (Err(_), Some(error)) => Err(Wrong::new("the object is created", error)),
        (Err(wrong), None) => Err(wrong),
    }
}

/// Waits until a participant of the process `pid` sleeps in the queue, topic, values or calls with
/// this name.
#[track_caller]
pub fn until_asleep(name: &str, pid: u32) -> Checked {
    let asleep = || {
        let info = shmkit::inspect::segment_info(name).ok()?;
        let mut all = info.others.unwrap_or_default();
        all.push(info.owner);
        let asleep = all.iter().any(|who| who.pid == pid && who.asleep);
        asleep.then_some(())
    };
    soon("the waiting process sleeps", asleep)?;
    // A process that has just announced its sleep checks once more before it sleeps in the kernel.
    std::thread::sleep(MOMENT);
    Ok(())
}

/// Runs `work` on another thread. The returned function waits for the result. If no result comes in
/// time, it returns a failure and leaves the thread alone.
pub fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Wrong> + Send + 'static,
) -> Result<impl FnOnce(&str) -> Result<T, Wrong>, Wrong> {
    let (tell, told) = channel();
    std::thread::Builder::new()
        .name(format!("{THREAD}-aside"))
        .spawn(move || {
            // The receiver is gone if the result comes too late.
            let _ = tell.send(work());
        })?;
    Ok(move |expected: &str| match told.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => {
            let came = format!("nothing in {} s", PATIENCE.as_secs());
            Err(Wrong::new(expected, came))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Wrong::new(expected, "the thread panicked")),
    })
}

/// Returns the message of this number: at least 8 bytes, which differ from those of other messages.
pub fn message(number: u64) -> Vec<u8> {
    let len = 8 + (number * 37 % 150) as usize;
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((8..len).map(|at| (number as usize).wrapping_mul(31).wrapping_add(at) as u8));
    bytes
}

/// Returns the number of a message, and checks all its bytes.
#[track_caller]
pub fn number(bytes: &[u8]) -> Result<u64, Wrong> {
    let head = bytes.first_chunk().copied().map(u64::from_le_bytes);
    match head {
        Some(number) if bytes == message(number & 0xffff_ffff) => Ok(number),
        _ => Err(Wrong::new("a complete message", format_args!("{bytes:?}"))),
    }
}
