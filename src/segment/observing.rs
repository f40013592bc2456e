//! Observers: subscribers and readers without a slot. They map everything read-only, store nothing,
//! and poll, since no process knows them and wakes them.
//!
//! All observers of one generation in a process share what they have open: the sections, their
//! views, and the watch of the owner. So a further observer needs no further descriptor and no
//! further view.

use crate::name::Name;
use crate::object::mapping::Mapping;
use crate::object::process::Process;
use crate::os::{self, LivesBackend, PerProcess};
use crate::segment::Control;
use crate::segment::ownership::RecordView;
use crate::sync::Window;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The time between two polls of an observer within [`LATELY`] after its last message.
// layout: L099
const BUSY: Duration = Duration::from_millis(1);
/// The time between two polls of an observer later.
const IDLE: Duration = Duration::from_millis(10);
/// How long an observer polls often after its last message.
const LATELY: Duration = Duration::from_millis(100);

/// What the observers of a generation have open.
#[derive(Debug)]
pub(crate) struct Observed {
    pub record: RecordView,
    pub generation: u32,
    pub control: Window<Control>,
    /// The life of the owner.
    pub lives: os::Lives,
    pub owner: Option<Arc<Process>>,
    pub lanes: Arc<Mapping>,
}

impl Observed {
    /// Returns whether two observers of one name observe the same generation.
    fn is_same(&self, other: &Observed) -> bool {
        self.generation == other.generation && self.lives.is_of_same_section(&other.lives)
    }
}

/// The generations that observers of this process have open, by the name of the segment.
type ByName = HashMap<String, Vec<Weak<Observed>>>;

/// Returns what the observers of a generation share. If no observer of this process has the
/// generation open yet, that is `observed`.
pub(crate) fn share(name: &Name, observed: Observed) -> Arc<Observed> {
    static ALL: PerProcess<Mutex<ByName>> = PerProcess::new();
    let all = ALL.get_or_init(Mutex::default);
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);

    let known = all.entry(name.to_string()).or_default();
    let mut alive = known.iter().filter_map(Weak::upgrade);
    if let Some(same) = alive.find(|one| one.is_same(&observed)) {
        return same;
    }
    let shared = Arc::new(observed);
    known.retain(|one| one.strong_count() > 0);
    known.push(Arc::downgrade(&shared));
    all.retain(|_, known| known.iter().any(|one| one.strong_count() > 0));
    shared
}

/// How often an observer polls.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    /// The position of the observer at its last poll, and since when it has that position.
    position: Option<(u64, Instant)>,
}

impl Polling {
    /// Returns the time until the next poll. `position` changes with each message that the observer
    /// receives.
    // layout: L099
    pub fn pause(&mut self, position: u64) -> Duration {
        let now = Instant::now();
        match self.position {
            Some((last, since)) if last == position => match now - since < LATELY {
                true => BUSY,
                false => IDLE,
            },
            _ => {
                self.position = Some((position, now));
                BUSY
            }
        }
    }

    /// Sleeps until the next poll, but not longer than `until`.
    pub fn sleep(&mut self, position: u64, until: Option<Instant>) {
        let pause = self.pause(position);
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        std::thread::sleep(left.map_or(pause, |left| left.min(pause)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // layout: L099
    #[test]
    fn observer_polls_rarely_after_last_message() {
        let mut polling = Polling::default();
        assert_eq!(polling.pause(7), BUSY);
        assert_eq!(polling.pause(7), BUSY);
        let long_ago = Instant::now() - LATELY;
        polling.position = Some((7, long_ago));
        assert_eq!(polling.pause(7), IDLE);
        assert_eq!(polling.pause(8), BUSY);
    }
}
