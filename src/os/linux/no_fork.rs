//! Keeps other threads of this process from forking for a moment.
//!
//! A child that is forked meanwhile would get copies of descriptors and mappings that are not meant
//! for children. `fork` of the C library calls handlers (pthread_atfork(3)). The handler that it
//! calls first waits for the lock that a [`NoFork`] holds, usually for some microseconds.
//!
//! A child that `clone` makes without the C library is not kept back. A child that is being started
//! by `posix_spawn` or `vfork` has copies of descriptors, and no mappings, until its program is
//! loaded.

use crate::sync::{AtomicBool, AtomicU32, Ordering};
use std::cell::Cell;
use std::ffi::c_int;
use std::time::{Duration, Instant};

/// The longest time for which a fork waits. The thread that has the lock may have been stopped, or
/// may be the one that forks, in a signal handler.
const LIMIT: Duration = Duration::from_millis(100);

/// The lock: the process whose thread has it, or 0. In a child, a lock of its parent is free.
static TAKEN_BY: AtomicU32 = AtomicU32::new(0);
/// How many forks have led to this process, as far as the C library made them.
static FORKS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Whether this thread, which forks, has taken the lock.
    static HAS_IT: Cell<bool> = const { Cell::new(false) };
}

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
        register();
        take(None);
        NoFork(())
    }
}

impl Drop for NoFork {
    fn drop(&mut self) {
        give_back();
    }
}

/// What tells a process from all processes that were forked from it: its number, which a child in
/// another pid namespace may have too, and the number of forks that have led to it.
pub(super) fn process() -> (u32, u32) {
    register();
    // Relaxed: the child handler has run before any other code of a child.
    (std::process::id(), FORKS.load(Ordering::Relaxed))
}

/// Registers the handlers, once.
fn register() {
    static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
    // Relaxed: the first thread registers the handlers, and no other thread waits for it.
    if IS_REGISTERED.swap(true, Ordering::Relaxed) {
        return;
    }
    // SAFETY: the handlers live as long as the code, and take no argument. They only change atomics
    // and a thread-local without a destructor, and yield, so they may run in any thread, and in the
    // child of a program with several threads. A failure (ENOMEM) leaves a fork as it was without
    // handlers.
    let _ = unsafe { pthread_atfork(Some(before), Some(after), Some(after_in_child)) };
}

/// Takes the lock, and returns whether that succeeded within the time.
fn take(limit: Option<Duration>) -> bool {
    let me = std::process::id();
    let mut until = None;
    loop {
        // Relaxed: the exchange below decides.
        let by = TAKEN_BY.load(Ordering::Relaxed);
        // Acquire: pairs with the release of `give_back`.
        let took = || {
            TAKEN_BY
                .compare_exchange(by, me, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        };
        if by != me && took() {
            return true;
        }
        if let Some(limit) = limit
            && Instant::now() >= *until.get_or_insert_with(|| Instant::now() + limit)
        {
            return false;
        }
        std::thread::yield_now();
    }
}

fn give_back() {
    // Release: pairs with the acquire of `take`.
    TAKEN_BY.store(0, Ordering::Release);
}

extern "C" fn before() {
    HAS_IT.set(take(Some(LIMIT)));
}

extern "C" fn after() {
    if HAS_IT.replace(false) {
        give_back();
    }
}

extern "C" fn after_in_child() {
    HAS_IT.set(false);
    // Relaxed: the child has one thread.
    FORKS.fetch_add(1, Ordering::Relaxed);
    give_back();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lock that another process had at the moment of a fork is free in the child.
    #[test]
    fn lock_of_another_process_is_free() {
        let alone = NoFork::begin();
        assert!(!take(Some(Duration::ZERO)));
        drop(alone);
        TAKEN_BY.store(std::process::id() + 1, Ordering::Relaxed);
        assert!(take(Some(Duration::ZERO)));
        give_back();
    }
}
