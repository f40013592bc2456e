//! A constant number of messages per second.

use std::time::{Duration, Instant};

/// The longest delay after which the missed messages are still sent. After a longer delay, for
/// example because the machine slept, the missed messages are left out.
const LOST: Duration = Duration::from_secs(1);

/// Computes when the next message is due.
#[derive(Debug)]
pub struct Pace {
    rate: f64,
    since: Instant,
    done: u64,
}

impl Pace {
    /// Creates a pace whose first message is due at once.
    pub fn new(rate: f64, now: Instant) -> Pace {
        Pace {
            rate,
            since: now,
            done: 0,
        }
    }

    /// Returns the number of messages that are due now. The caller must send them.
    pub fn due(&mut self, now: Instant) -> u64 {
        let wait = now.saturating_duration_since(self.when(self.done));
        if wait > LOST {
            self.since = now;
            self.done = 0;
        }
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        let all = (passed * self.rate) as u64 + 1;
        let due = all.saturating_sub(self.done);
        self.done += due;
        due
    }

    /// Returns the time until the next message is due.
    pub fn pause(&self, now: Instant) -> Duration {
        self.when(self.done).saturating_duration_since(now)
    }

    fn when(&self, n: u64) -> Instant {
        let after = Duration::try_from_secs_f64(n as f64 / self.rate).unwrap_or(Duration::MAX);
        let far = Duration::from_secs(1 << 30);
        self.since + after.min(far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_due_count_follows_elapsed_time() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::new(10.0, start);
        assert_eq!(pace.due(start), 1);
        assert_eq!(pace.due(at(50)), 0);
        assert_eq!(pace.pause(at(50)), Duration::from_millis(50));
        assert_eq!(pace.due(at(350)), 3);
        assert_eq!(
            pace.due(at(99_000)),
            1,
            "a pause of more than a second is not made up for"
        );
        assert_eq!(pace.due(at(99_100)), 1);
    }
}
