//! Time stamps of records.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the time of the system's clock, in nanoseconds since the Unix epoch; 0 before the epoch.
// layout: L287
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Returns the time of a stamp. A peer can write any stamp; `None` if the system has no such time.
// layout: L288
pub(crate) fn time_of(stamp: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_nanos(stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    // layout: L287 L288
    #[test]
    fn every_stamp_converts_without_panic() {
        let before = SystemTime::now();
        let time = time_of(now()).unwrap();
        // A stamp has nanoseconds; the system's clock may have less.
        assert!(time + Duration::from_millis(1) >= before);
        assert_eq!(time_of(0), Some(UNIX_EPOCH));
        for stamp in [1, 1 << 62, 1 << 63, u64::MAX - 1, u64::MAX] {
            let time = time_of(stamp).unwrap();
            let back = time.duration_since(UNIX_EPOCH).unwrap();
            assert!(Duration::from_nanos(stamp) - back < Duration::from_micros(1));
        }
    }
}
