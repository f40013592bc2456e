//! Times, and their percentiles.

use crate::{Result, clock};
use hdrhistogram::Histogram;
use std::time::Duration;

/// Longer times, in ticks, count as this one: at least a minute.
const LONGEST: u64 = 1 << 39;

/// How many decimal digits of a time are kept.
const DIGITS: u8 = 3;

/// How many times [`Times::take`] keeps back before it adds them. To add one takes ten nanoseconds, which
/// would be a part of each trip; to add so many takes less than an endpoint polls before it sleeps.
const RECENT: usize = 4096;

/// Times that are added one by one. They take the same memory however many they are.
#[derive(Clone, Debug)]
pub struct Times {
    /// In ticks, of which the first 2048 are kept exactly.
    ticks: Histogram<u64>,
}

impl Times {
    /// Makes an empty set of times, after [`clock::calibrate`].
    ///
    /// # Panics
    ///
    /// Never: the bounds of the times are constants that suit the histogram.
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
    /// Each time begins where the last one ended. A processor may read its clock before the
    /// instructions in front of it are done. So no time is lost, and the sum of all is right. The
    /// times are added after every 4096 trips, in which no trip is measured.
    ///
    /// # Errors
    ///
    /// The error of `trip`, which ends this too.
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
                // The time in which they were added belongs to no trip.
                last = clock::now();
            }
        }
    }

    /// Returns the number of times.
    pub fn count(&self) -> u64 {
        self.ticks.len()
    }

    /// Returns the longest time in nanoseconds, 0 where there are no times.
    pub fn max(&self) -> f64 {
        clock::ns(self.ticks.max())
    }

    /// Returns the time in nanoseconds that this part of the times does not exceed, 0 where there are no
    /// times. The median is that of 0.5.
    ///
    /// The clock may advance in steps of ten nanoseconds. So equal times are taken to lie evenly between
    /// half the way to the next shorter and half the way to the next longer time.
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
    fn percentile_of_single_times_is_the_time() {
        let all: Vec<u64> = (1..=101).collect();
        near(times(&all).percentile(0.5), 51.0);
        near(times(&all).percentile(0.99), 100.0);
        near(times(&[70]).percentile(0.5), 70.0);
    }

    #[test]
    fn equal_times_lie_evenly_between_their_neighbours() {
        let all = [[10; 4], [20; 4], [30; 4]].concat();
        let times = times(&all);
        // The ranks 4 to 7 are from 15 to 25.
        near(times.percentile(4.0 / 11.0), 16.25);
        near(times.percentile(0.5), 20.0);
        near(times.percentile(7.0 / 11.0), 23.75);
    }

    #[test]
    fn percentiles_rise_up_to_the_longest() {
        let times = times(&[10, 1000, 1000, 1000, 1001, 5000, 1 << 30]);
        let parts = (0..=1000).map(|part| times.percentile(f64::from(part) / 1000.0));
        let parts: Vec<f64> = parts.chain([times.max()]).collect();
        assert!(parts.is_sorted(), "{parts:?}");
    }

    #[test]
    fn no_times_have_no_percentile() {
        let none = times(&[]);
        assert_eq!(
            (none.count(), none.percentile(0.5), none.max()),
            (0, 0.0, 0.0)
        );
    }

    #[test]
    fn take_stops_after_its_time() {
        let mut times = Times::new();
        times.take(Duration::ZERO, || Ok(())).unwrap();
        assert_eq!(times.count(), 1);
        assert!(times.take(Duration::MAX, || Err("over".into())).is_err());
    }
}
