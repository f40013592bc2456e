//! `wait`: waits until an event is signaled, a mutex is free, or a section exists.

use crate::args::Wait;
use crate::names::object::Object;
use crate::names::open;
use crate::names::open::Sought;
use crate::{Failure, Outcome, output};
use shmkit::{ErrorKind, Event, Locked, Mutex};
use std::time::{Duration, Instant};

/// The pause between two attempts to open a name that does not exist yet: no object can be waited
/// for before the name exists.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub fn run(args: &Wait) -> Outcome {
    let patience = Patience::new(args.timeout);
    let what = match appear(args, &patience)? {
        Object::Section(_) => return Ok(()),
        Object::Event(event) if signaled(&event, &patience)? => return Ok(()),
        Object::Mutex(mutex) if taken(&mutex, &patience)? => return Ok(()),
        Object::Event(_) => "was not signaled",
        Object::Mutex(_) => "was not unlocked",
    };
    let name = output::name(&args.name);
    Err(Failure::Absent(format!(
        "{name} {what}{}",
        patience.spent()
    )))
}

/// The time limit of the command, and when the command started.
struct Patience {
    limit: Option<Duration>,
    start: Instant,
}

impl Patience {
    fn new(limit: Option<Duration>) -> Patience {
        let start = Instant::now();
        Patience { limit, start }
    }

    /// Returns the time that is left; `None` if there is no limit.
    fn left(&self) -> Option<Duration> {
        self.limit
            .map(|limit| limit.saturating_sub(self.start.elapsed()))
    }

    fn spent(&self) -> String {
        self.limit.map_or(String::new(), |limit| {
            format!(" within {} s", limit.as_secs_f64())
        })
    }
}

fn appear(args: &Wait, patience: &Patience) -> Result<Object, Failure> {
    loop {
        let late = patience.left() == Some(Duration::ZERO);
        match Object::open(&args.name) {
            Err(error) if error.kind() == ErrorKind::NotFound && !late => {
                let pause = patience.left().unwrap_or(LOOK_EVERY);
                std::thread::sleep(pause.min(LOOK_EVERY));
            }
            Err(error) => {
                return Err(match open::explain(&args.name, Sought::Waitable, error) {
                    Failure::Absent(why) => {
                        Failure::Absent(format!("{why}\n  it did not appear{}", patience.spent()))
                    }
                    failure => failure,
                });
            }
            Ok(object) => return Ok(object),
        }
    }
}

fn signaled(event: &Event, patience: &Patience) -> shmkit::Result<bool> {
    match patience.left() {
        Some(left) => event.wait_timeout(left),
        None => event.wait().map(|()| true),
    }
}

/// Locks the mutex and unlocks it. Returns whether that was possible in time.
fn taken(mutex: &Mutex, patience: &Patience) -> shmkit::Result<bool> {
    let locked = match patience.left() {
        Some(left) => mutex.lock_timeout(left)?,
        None => Some(mutex.lock()?),
    };
    if locked.as_ref().is_some_and(Locked::is_abandoned) {
        output::remark(
            "the last owner of the mutex ended without unlocking it; the data that it protects may be half written",
        );
    }
    Ok(locked.is_some())
}
