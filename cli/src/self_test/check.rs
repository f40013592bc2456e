//! What a check is, and how it says what is wrong.

use shmkit::{CallError, ErrorKind, GetError, RecvError, SendError, SetError};
use std::fmt::{Debug, Display};
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// One promise, and the function that tries it with objects of this name and names that
/// begin with it.
pub struct Check {
    pub area: &'static str,
    /// What a user relies on.
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
    /// Something else came than what was expected.
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

/// How long anything may take that nothing is in the way of.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// Longer than it takes to fall asleep.
pub const MOMENT: Duration = Duration::from_millis(5);

/// What the names of all threads begin with whose panics are told in the report.
pub const THREAD: &str = "shmkit-check";

/// A name that no other check, and no other run, uses.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Relaxed: only the number counts.
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("Local\\shmkit-self-test-{}-{n}", std::process::id())
}

#[track_caller]
pub fn must(expected: &str, holds: bool) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(Wrong::new(expected, "it is not so")),
    }
}

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

/// It must be refused for this reason.
#[track_caller]
pub fn refused<T>(kind: ErrorKind, result: shmkit::Result<T>) -> Checked {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(Wrong::new(
            format_args!("it is refused: {kind:?}"),
            format_args!("{:?}: {error}", error.kind()),
        )),
        Ok(_) => Err(Wrong::new(
            format_args!("it is refused: {kind:?}"),
            "it was done",
        )),
    }
}

/// It must not be done, and the reason, as `Debug` has it, is this.
#[track_caller]
pub fn fails<T, E: Debug>(reason: &str, result: Result<T, E>) -> Checked {
    match result {
        Err(error) if format!("{error:?}") == reason => Ok(()),
        Err(error) => Err(Wrong::new(reason, format_args!("{error:?}"))),
        Ok(_) => Err(Wrong::new(reason, "no error")),
    }
}

/// Tries until there is a result.
#[track_caller]
pub fn soon<T>(expected: &str, mut attempt: impl FnMut() -> Option<T>) -> Result<T, Wrong> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(result) = attempt() {
            return Ok(result);
        }
        if start.elapsed() > PATIENCE {
            let came = format!("not so after {} s", PATIENCE.as_secs());
            return Err(Wrong::new(expected, came));
        }
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_millis(50));
    }
}

/// Waits until nothing of a name is there. Other programs, such as a second self-test, may look
/// at it for a moment, and so hold it.
#[track_caller]
pub fn gone<T>(mut open: impl FnMut() -> shmkit::Result<T>) -> Checked {
    let absent = |error: shmkit::Error| error.kind() == ErrorKind::NotFound;
    soon("nothing of this name is left", || {
        open().is_err_and(absent).then_some(())
    })
}

/// Creates what may be there for a moment still, as `gone` says.
#[track_caller]
pub fn created<T>(mut create: impl FnMut() -> shmkit::Result<T>) -> Result<T, Wrong> {
    let mut refusal = None;
    let made = soon("it is created", || match create() {
        Ok(made) => Some(Ok(made)),
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Busy) => {
            refusal = Some(error);
            None
        }
        Err(error) => Some(Err(error)),
    });
    match (made, refusal) {
        (Ok(made), _) => Ok(made?),
        (Err(_), Some(error)) => Err(Wrong::new("it is created", error)),
        (Err(wrong), None) => Err(wrong),
    }
}

/// Waits until somebody of that process sleeps in the queue, topic, values or calls of this name.
#[track_caller]
pub fn until_asleep(name: &str, pid: u32) -> Checked {
    let asleep = || {
        let info = shmkit::inspect::segment_info(name).ok()?;
        let mut all = info.others.unwrap_or_default();
        all.push(info.owner);
        let asleep = all.iter().any(|who| who.pid == pid && who.asleep);
        asleep.then_some(())
    };
    soon("a process that waits sleeps", asleep)?;
    // A process that has just begun to sleep looks again by itself.
    std::thread::sleep(MOMENT);
    Ok(())
}

/// Lets another thread work; the result is waited for, and the thread left alone where it does
/// not come.
pub fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Wrong> + Send + 'static,
) -> Result<impl FnOnce(&str) -> Result<T, Wrong>, Wrong> {
    let (tell, told) = channel();
    std::thread::Builder::new()
        .name(format!("{THREAD}-aside"))
        .spawn(move || {
            // Nobody listens any more where it came too late.
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

/// The message of this number: 8 bytes and more, which only it has.
pub fn message(number: u64) -> Vec<u8> {
    let len = 8 + (number * 37 % 150) as usize;
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((8..len).map(|at| (number as usize).wrapping_mul(31).wrapping_add(at) as u8));
    bytes
}

/// The number of a message, which must be whole.
#[track_caller]
pub fn number(bytes: &[u8]) -> Result<u64, Wrong> {
    let head = bytes.first_chunk().copied().map(u64::from_le_bytes);
    match head {
        Some(number) if bytes == message(number & 0xffff_ffff) => Ok(number),
        _ => Err(Wrong::new(
            "a message that is whole",
            format_args!("{bytes:?}"),
        )),
    }
}
