//! Times, and their percentiles.

use crate::{Result, clock};
use hdrhistogram::Histogram;
use std::time::Duration;

/// The longest time, in ticks, which is at least a minute. A longer time counts as this time.
const LONGEST: u64 = 1 << 39;

/// How many decimal digits of a time are kept.
const DIGITS: u8 = 3;

/// How many times [`Times::take`] collects before it adds them to the histogram. Adding one time
/// takes ten nanoseconds, which would be a part of each trip. Adding this many times takes less
/// time than an endpoint polls before it sleeps.
const RECENT: usize = 4096;

/// A set of times, as a histogram. Its memory does not depend on the number of times.
#[derive(Clone, Debug)]
pub struct Times {
    /// The times in ticks. Times below 2048 ticks are kept exactly.
    ticks: Histogram<u64>,
}

impl Times {
    /// Calls [`clock::calibrate`], and creates an empty set of times.
    ///
    /// # Panics
    ///
    /// Never panics: the bounds of the times are constants that suit the histogram.
    pub fn new() -> Times {
        clock::calibrate();
        let ticks = Histogram::new_with_bounds(1, LONGEST, DIGITS);
        Times {
            ticks: ticks.expect("the bounds are constants"),
        }
    }

    /// Adds a time, in ticks of [`clock`].
    #[inline]
    pub fn record(&mut self, ticks: u64) {
        self.ticks.saturating_record(ticks);
    }

    /// Calls `trip` again and again for `time`, at least once, and adds how long each call takes.
    ///
    /// Each time begins at the moment at which the last time ended, since a processor may read its
    /// clock before the instructions in front of it are done. So no time is lost, and the sum of
    /// all times is right. After every 4096 trips the times are added; while they are added, no
    /// trip is measured.
    ///
    /// # Errors
    ///
    /// The error of `trip`. The first error ends the measurement.
    #[inline]
    pub fn take(&mut self, time: Duration, mut trip: impl FnMut() -> Result<()>) -> Result<()> {
        let duration = clock::ticks(time);
        let mut recent = Vec::with_capacity(RECENT);
        let begin = clock::now();
        let mut last = begin;

        loop {
            trip()?;
            let now = clock::now();
            recent.push(now.saturating_sub(last));
            last = now;
            let is_over = now.saturating_sub(begin) >= duration;
            if is_over || recent.len() == RECENT {
                recent.drain(..).for_each(|ticks| self.record(ticks));
                if is_over {
                    return Ok(());
                }
                // The time that adding them took belongs to no trip.
                last = clock::now();
            }
        }
    }

    /// Returns the number of times.
    pub fn count(&self) -> u64 {
        self.ticks.len()
    }

    /// Returns the longest time in nanoseconds; 0 if there are no times.
    pub fn max(&self) -> f64 {
        clock::ns(self.ticks.max())
    }

    /// Returns a percentile in nanoseconds: the time that the fraction `part` of all times does not
    /// exceed; 0 if there are no times. The median is the percentile for 0.5.
    ///
    /// The clock may advance in steps of ten nanoseconds. So equal times count as evenly spread:
    /// from the middle between them and the next shorter time to the middle between them and the
    /// next longer time.
    pub fn percentile(&self, part: f64) -> f64 {
        let rank = self.count().saturating_sub(1) as f64 * part;
        let mut groups = self.ticks.iter_recorded().peekable();
        let (mut shorter, mut below) = (None, 0.0);

        while let Some(group) = groups.next() {
            let value = group.value_iterated_to().min(self.ticks.max());
            let equal = group.count_since_last_iteration() as f64;
            if rank >= below + equal && groups.peek().is_some() {
                (shorter, below) = (Some(value), below + equal);
                continue;
            }

            let longer = groups.peek().map(|next| next.value_iterated_to());
            let (value, shorter) = (clock::ns(value), clock::ns(shorter.unwrap_or(value)));
            let longer = longer.map_or(value, |longer| clock::ns(longer).min(self.max()));
            let (from, to) = ((shorter + value) / 2.0, (value + longer) / 2.0);
            return from + (to - from) * ((rank - below + 0.5) / equal).min(1.0);
        }
        0.0
    }
}

impl Default for Times {
    fn default() -> Times {
        Times::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(ticks: &[u64]) -> Times {
        let mut times = Times::new();
        ticks.iter().for_each(|ticks| times.record(*ticks));
        times
    }

    #[track_caller]
    fn near(is: f64, ticks: f64) {
        let is = is * clock::ticks(Duration::from_secs(1)) as f64 / 1e9;
        assert!((is - ticks).abs() < 0.01, "{is}, not {ticks}");
    }

    #[test]
    fn percentile_of_distinct_times_is_exact() {
        let all: Vec<u64> = (1..=101).collect();
        near(times(&all).percentile(0.5), 51.0);
        near(times(&all).percentile(0.99), 100.0);
        near(times(&[70]).percentile(0.5), 70.0);
    }

    #[test]
    fn percentile_spreads_equal_times_evenly() {
        let all = [[10; 4], [20; 4], [30; 4]].concat();
        let times = times(&all);
        // The times of the ranks 4 to 7 lie between 15 and 25.
        near(times.percentile(4.0 / 11.0), 16.25);
        near(times.percentile(0.5), 20.0);
        near(times.percentile(7.0 / 11.0), 23.75);
    }

    #[test]
    fn percentiles_never_decrease_up_to_maximum() {
        let times = times(&[10, 1000, 1000, 1000, 1001, 5000, 1 << 30]);
        let parts = (0..=1000).map(|part| times.percentile(f64::from(part) / 1000.0));
        let parts: Vec<f64> = parts.chain([times.max()]).collect();
        assert!(parts.is_sorted(), "{parts:?}");
    }

    #[test]
    fn empty_times_have_zero_percentiles() {
        let none = times(&[]);
        assert_eq!(
            (none.count(), none.percentile(0.5), none.max()),
            (0, 0.0, 0.0)
        );
    }

    #[test]
    fn take_stops_after_duration_or_error() {
        let mut times = Times::new();
        times.take(Duration::ZERO, || Ok(())).unwrap();
        assert_eq!(times.count(), 1);
        assert!(times.take(Duration::MAX, || Err("over".into())).is_err());
    }
}
