//! Keeps other threads of this process from forking for a moment.
//!
//! A child that is forked meanwhile would get copies of descriptors and mappings that are not meant
//! for children. `fork` of the C library calls handlers (pthread_atfork(3)). The handler that it
//! calls first waits for the lock that a [`NoFork`] holds, usually for some microseconds.
//!
//! A child that `clone` makes without the C library is not kept back. A child that is being started
//! by `posix_spawn` or `vfork` has copies of descriptors, and no mappings, until its program is
//! loaded.

use crate::sync::{AtomicBool, Ordering};
use std::ffi::c_int;
use std::sync::Once;
use std::time::{Duration, Instant};

/// The longest time for which a fork waits. The thread that has the lock may have been stopped, or
/// may be the one that forks, in a signal handler.
const LIMIT: Duration = Duration::from_millis(100);

static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether the fork under way has the lock.
static FORK_HAS_IT: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

/// As long as a value of this type lives, a fork of another thread waits, for at most [`LIMIT`].
pub(super) struct NoFork(());

impl NoFork {
    // layout: L242
    pub fn begin() -> NoFork {
        static HANDLERS: Once = Once::new();
        HANDLERS.call_once(|| {
            // SAFETY: the handlers live as long as the code, and take no argument. They only change
            // atomics and yield, so they may run in any thread, and in the child of a program with
            // several threads. A failure (ENOMEM) leaves a fork as it was without handlers.
            let _ = unsafe { pthread_atfork(Some(before), Some(after), Some(after)) };
        });
        take(None);
        NoFork(())
    }
}

impl Drop for NoFork {
    fn drop(&mut self) {
        give_back();
    }
}

/// Takes the lock, and returns whether that succeeded within the time.
fn take(limit: Option<Duration>) -> bool {
    let mut until = None;
    // Acquire: pairs with the release of `give_back`.
    while TAKEN
        .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        if let Some(limit) = limit
            && Instant::now() >= *until.get_or_insert_with(|| Instant::now() + limit)
        {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

fn give_back() {
    // Release: pairs with the acquire of `take`.
    TAKEN.store(false, Ordering::Release);
}

extern "C" fn before() {
    let taken = take(Some(LIMIT));
    // Relaxed: the thread that forks, or its copy in the child, looks again.
    FORK_HAS_IT.store(taken, Ordering::Relaxed);
}

extern "C" fn after() {
    // Relaxed: as in `before`.
    if FORK_HAS_IT.swap(false, Ordering::Relaxed) {
        give_back();
    }
}
