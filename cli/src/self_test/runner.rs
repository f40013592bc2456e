//! Runs one check so that it neither ends nor stops the program, whatever it does.

use super::check::{THREAD, Wrong};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often it is looked whether the user has interrupted.
const LOOK: Duration = Duration::from_millis(20);

/// How long a check may go on after an interruption, to tidy up.
const GRACE: Duration = Duration::from_secs(2);

thread_local! {
    /// What the last panic of this thread said, and where.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the panics of checks off standard error; those of other threads are said as before.
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

/// Runs `work` on a thread of its own, and gives it up after `limit`. There is no result where
/// the user has interrupted.
pub fn guarded<T: Send + 'static>(
    limit: Duration,
    interrupted: &dyn Fn() -> bool,
    work: impl FnOnce() -> Result<T, Wrong> + Send + 'static,
) -> Option<Result<T, Wrong>> {
    silence_checks();
    let (tell, told) = channel();
    let thread = std::thread::Builder::new().name(THREAD.to_string());
    let started = thread.spawn(move || {
        // Whatever the check was at work on is of no use to anybody else.
        let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            let said = PANIC.with(|panic| panic.borrow_mut().take());
            Err(Wrong::new("no panic", said.unwrap_or_default()))
        });
        // Nobody listens any more where it was given up.
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
            let came = format!("no answer in {} s", limit.as_secs_f64());
            return (!asked_to_end).then(|| Err(Wrong::new("an end", came)));
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
    fn a_check_that_passes_or_fails_says_so() {
        assert_eq!(guarded(LONG, &|| false, || Ok(7)), Some(Ok(7)));
        let (expected, came) = wrong(LONG, || same("the sum", 5, 4));
        assert_eq!([&*expected, &*came], ["the sum: 4", "5"]);
    }

    #[test]
    fn a_check_that_panics_has_failed_with_its_message() {
        let (expected, came) = wrong(LONG, || panic!("no luck\nat all"));
        assert_eq!(expected, "no panic");
        assert!(came.contains("no luck at all"), "{came}");
        assert!(came.contains("runner.rs"), "{came}");
    }

    #[test]
    fn a_check_that_hangs_is_given_up() {
        let (expected, came) = wrong(Duration::from_millis(50), || {
            std::thread::sleep(LONG);
            Ok(())
        });
        assert_eq!([&*expected, &*came], ["an end", "no answer in 0.05 s"]);
    }

    #[test]
    fn an_interruption_waits_for_the_check_and_has_no_result() {
        let work = || {
            std::thread::sleep(5 * LOOK);
            Ok(())
        };
        assert_eq!(guarded(LONG, &|| true, work), None);
    }
}
