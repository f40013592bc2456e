//! Sleeping until a word changes, in this process or another one.
//!
//! A sleep may end for no reason: whoever sleeps looks again, and looks at the time.

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

/// As many words as one call takes (FUTEX_WAITV_MAX).
pub(super) const MOST: usize = 128;

/// Sleeps while each of the words, at most [`MOST`], is what it is expected to be, until one
/// of them is woken, or the deadline is there.
pub(super) fn sleep(
    words: &[(&AtomicU32, u32)],
    deadline: Option<Instant>,
) -> rustix::io::Result<()> {
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()).min(LONGEST));
    let slept = if let [(word, expected)] = words {
        let left = left.map(timespec);
        futex::wait(word, Flags::empty(), *expected, left.as_ref())
    } else {
        // Absolute: the time then does not depend on how long it took to get here.
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
