//! Sleeping until a word changes, in this process or another one.
//!
//! A sleep may end for no reason: whoever sleeps looks again, and looks at the time.

use crate::os::MAX_PEERS;
use crate::sync::{AtomicU32, Ordering};
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Wait, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, Instant};

/// A sleep of at most this much at a time; times that no clock holds end earlier.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Wakes all who sleep on the word, in all processes.
pub(super) fn wake(word: &AtomicU32) {
    // It cannot fail for an address that is mapped, and who waits can be none.
    let woken = futex::wake(word, Flags::empty(), i32::MAX as u32);
    debug_assert!(woken.is_ok(), "futex wake: {woken:?}");
}

/// Sleeps while the word is `expected`, until it is woken, one of `deaths` is no longer
/// 0, or the deadline is there.
pub(super) fn sleep(
    word: &AtomicU32,
    expected: u32,
    deaths: &[&AtomicU32],
    deadline: Option<Instant>,
) -> rustix::io::Result<()> {
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()).min(LONGEST));
    let slept = if deaths.is_empty() {
        let left = left.map(timespec);
        futex::wait(word, Flags::empty(), expected, left.as_ref())
    } else {
        // Absolute: the time then does not depend on how long it took to get here.
        let until = left.map(|left| {
            let now = clock_gettime(ClockId::Monotonic);
            let now = Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec as u32);
            timespec(now + left)
        });
        let mut waits = [Wait::new(); 1 + MAX_PEERS];
        waits[0] = entry(word, expected);
        for (wait, dead) in waits[1..].iter_mut().zip(deaths) {
            *wait = entry(dead, 0);
        }
        let waits = &waits[..=deaths.len().min(MAX_PEERS)];
        let flags = WaitvFlags::empty();
        futex::waitv(waits, flags, until.as_ref(), futex::ClockId::Monotonic).map(|_| ())
    };
    match slept {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
        Err(errno) => Err(errno),
    }
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

/// Tells all who sleep on `dead` that it is so.
pub(super) fn declare_dead(dead: &AtomicU32) {
    // Release: pairs with the acquire load of whoever waits with it.
    dead.store(1, Ordering::Release);
    wake(dead);
}
