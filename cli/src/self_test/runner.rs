//! Runs one check on a thread of its own. A check that panics or hangs neither ends nor blocks the
//! program.

use super::check::{THREAD, Wrong};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The pause between two looks whether the user has interrupted the program.
const LOOK: Duration = Duration::from_millis(20);

/// The time for which a check may continue after an interruption, to clean up.
const GRACE: Duration = Duration::from_secs(2);

thread_local! {
    /// The message and the place of the last panic of this thread.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the panics of checks away from standard error. Panics of other threads are printed as
/// before.
fn silence_checks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            match thread.name() {
                Some(name) if name.starts_with(THREAD) => {
                    let text = info.to_string().replace('\n', " ");
                    PANIC.with(|panic| *panic.borrow_mut() = Some(text));
                }
                _ => others(info),
            }
        }));
    });
}

/// Runs `work` on a thread of its own, and returns its result. After the time `limit`, returns a
/// failure, and leaves the thread alone. Returns `None` if the user has interrupted the program.
pub fn guarded<T: Send + 'static>(
    limit: Duration,
    interrupted: &dyn Fn() -> bool,
    work: impl FnOnce() -> Result<T, Wrong> + Send + 'static,
) -> Option<Result<T, Wrong>> {
    silence_checks();

    let (tell, told) = channel();
    let thread = std::thread::Builder::new().name(THREAD.to_string());
    let started = thread.spawn(move || {
        // The check owns all its objects, so no other code sees their state after a panic.
        let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            let said = PANIC.with(|panic| panic.borrow_mut().take());
            Err(Wrong::new("no panic", said.unwrap_or_default()))
        });
        // The receiver is gone if the time limit has passed.
        let _ = tell.send(result);
    });

    if let Err(error) = started {
        return Some(Err(error.into()));
    }
    let mut until = Instant::now() + limit;
    let mut asked_to_end = false;

    loop {
        match told.recv_timeout(LOOK) {
            Ok(_) if asked_to_end => return None,
            Ok(result) => return Some(result),
            Err(RecvTimeoutError::Disconnected) => {
                return Some(Err(Wrong::new("a result", "the thread ended without one")));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if !asked_to_end && interrupted() {
            asked_to_end = true;
            until = until.min(Instant::now() + GRACE);
        }
        if Instant::now() >= until {
            let came = format!("no result in {} s", limit.as_secs_f64());
            return (!asked_to_end).then(|| Err(Wrong::new("the check ends", came)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::same;
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn wrong(limit: Duration, work: fn() -> Result<(), Wrong>) -> (String, String) {
        match guarded(limit, &|| false, work) {
            Some(Err(Wrong::Failed { expected, came, .. })) => (expected, came),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn guarded_check_returns_its_result() {
        assert_eq!(guarded(LONG, &|| false, || Ok(7)), Some(Ok(7)));
        let (expected, came) = wrong(LONG, || same("the sum", 5, 4));
        assert_eq!([&*expected, &*came], ["the sum: 4", "5"]);
    }

    #[test]
    fn panicking_check_fails_with_panic_message() {
        let (expected, came) = wrong(LONG, || panic!("no luck\nat all"));
        assert_eq!(expected, "no panic");
        assert!(came.contains("no luck at all"), "{came}");
        assert!(came.contains("runner.rs"), "{came}");
    }

    #[test]
    fn hanging_check_fails_after_limit() {
        let (expected, came) = wrong(Duration::from_millis(50), || {
            std::thread::sleep(LONG);
            Ok(())
        });
        assert_eq!(
            [&*expected, &*came],
            ["the check ends", "no result in 0.05 s"]
        );
    }

    #[test]
    fn interrupted_check_has_no_result() {
        let work = || {
            std::thread::sleep(5 * LOOK);
            Ok(())
        };
        assert_eq!(guarded(LONG, &|| true, work), None);
    }
}
