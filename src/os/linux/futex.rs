//! Sleeping until a word changes, in this process or another one.
//!
//! A sleep may end for no reason: the caller checks its condition and the time again.

use super::words::Futex;
use crate::sync::{AtomicBool, AtomicU32, Ordering};
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Wait, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, Instant};

/// The longest sleep of one call. A sleep with a later deadline ends early, since no clock may hold
/// that deadline.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The length of a sleep on several words where the system can only sleep on one.
const PAUSE: Duration = Duration::from_millis(5);
/// Whether futex_waitv was refused: the kernel is older than 5.16 or emulated (ENOSYS), or a
/// sandbox forbids the call (EPERM, EACCES).
static HAS_NO_WAITV: AtomicBool = AtomicBool::new(false);

impl Futex for AtomicU32 {
    fn wake(&self) {
        wake(self);
    }

    fn sleep(words: &[(&AtomicU32, u32)], until: Option<Instant>) -> rustix::io::Result<()> {
        sleep(words, until)
    }
}

/// Wakes all threads that sleep on the word, in all processes.
// layout: L208
pub(super) fn wake(word: &AtomicU32) {
    // The call cannot fail for an address that is mapped, and there may be no sleeper.
    let woken = futex::wake(word, Flags::empty(), i32::MAX as u32);
    debug_assert!(woken.is_ok(), "futex wake: {woken:?}");
}

/// The number of words that one call takes (FUTEX_WAITV_MAX).
pub(super) const MOST: usize = 128;

/// Sleeps while each of the words, at most [`MOST`], has its expected value, until one of them is
/// woken or the deadline has come.
// layout: L207
pub(super) fn sleep(
    words: &[(&AtomicU32, u32)],
    deadline: Option<Instant>,
) -> rustix::io::Result<()> {
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()).min(LONGEST));

    let slept = match words {
        [(word, expected)] => sleep_on_one(word, *expected, left),
        // The first word is that of the event, or of the gate: a message wakes the thread
        // at once.
        [(word, expected), ..] if has_no_waitv() => {
            let pause = left.map_or(PAUSE, |left| left.min(PAUSE));
            sleep_on_one(word, *expected, Some(pause))
        }
        words => sleep_on_several(words, left),
    };

    match slept {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
        Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) if words.len() > 1 => {
            // Relaxed: the flag orders nothing else.
            HAS_NO_WAITV.store(true, Ordering::Relaxed);
            Ok(())
        }
        Err(errno) => Err(errno),
    }
}

/// Returns whether a thread cannot sleep on several words at once here, as far as it was tried.
fn has_no_waitv() -> bool {
    // Relaxed: the flag orders nothing else.
    HAS_NO_WAITV.load(Ordering::Relaxed)
}

/// Tries futex_waitv with words that have changed already, so that the call never sleeps.
///
/// # Errors
///
/// The system's answer where it does not let threads sleep on several words at once.
pub(super) fn try_waitv() -> rustix::io::Result<()> {
    let word = AtomicU32::new(0);
    let waits = [entry(&word, 1), entry(&word, 1)];
    let tried = futex::waitv(
        &waits,
        WaitvFlags::empty(),
        Some(&timespec(Duration::ZERO)),
        futex::ClockId::Monotonic,
    );
    match tried {
        Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

// layout: L208
fn sleep_on_one(word: &AtomicU32, expected: u32, left: Option<Duration>) -> rustix::io::Result<()> {
    let left = left.map(timespec);
    futex::wait(word, Flags::empty(), expected, left.as_ref())
}

fn sleep_on_several(words: &[(&AtomicU32, u32)], left: Option<Duration>) -> rustix::io::Result<()> {
    // An absolute time does not depend on how long the thread took to get here.
    let until = left.map(|left| {
        let now = clock_gettime(ClockId::Monotonic);
        let now = Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec as u32);
        timespec(now + left)
    });
    let mut waits = [Wait::new(); MOST];
    for (wait, (word, expected)) in waits.iter_mut().zip(words) {
        *wait = entry(word, *expected);
    }
    let waits = &waits[..words.len().min(MOST)];
    let flags = WaitvFlags::empty();
    futex::waitv(waits, flags, until.as_ref(), futex::ClockId::Monotonic).map(|_| ())
}

fn entry(word: &AtomicU32, expected: u32) -> Wait {
    let mut wait = Wait::new();
    wait.val = expected.into();
    wait.uaddr = WaitPtr::new(word.as_ptr().cast());
    wait.flags = WaitFlags::SIZE_U32;
    wait
}

pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    }
}
