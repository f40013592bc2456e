//! One clock for everything that is timed between two processes.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// In ticks; the difference of two readings of one process is a time.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: every processor of this kind has it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

fn ticks_per_ns() -> f64 {
    static RATE: OnceLock<f64> = OnceLock::new();
    *RATE.get_or_init(|| {
        let (start, from) = (Instant::now(), now());
        std::thread::sleep(Duration::from_millis(50));
        let (time, to) = (start.elapsed(), now());
        (to - from) as f64 / time.as_nanos() as f64
    })
}

/// So that nobody is calibrated in the middle of a measurement.
pub fn calibrate() {
    ticks_per_ns();
}

pub fn ns(ticks: u64) -> f64 {
    ticks as f64 / ticks_per_ns()
}

pub fn ticks(time: Duration) -> u64 {
    (time.as_nanos() as f64 * ticks_per_ns()) as u64
}

/// Keeps the processor busy, and so awake.
pub fn busy_for(time: Duration) {
    let end = now() + ticks(time);
    while now() < end {
        std::hint::spin_loop();
    }
}

/// Times, in ticks.
pub struct Samples(Vec<u32>);

impl Samples {
    pub fn new() -> Samples {
        Samples(Vec::with_capacity(1 << 18))
    }

    #[inline]
    pub fn push(&mut self, ticks: u64) {
        self.0.push(ticks.try_into().unwrap_or(u32::MAX));
    }

    /// In nanoseconds; 0.5 is the median. The clock may go in steps of ten nanoseconds:
    /// among those that are equal it is taken to rise evenly.
    pub fn percentile(&mut self, part: f64) -> f64 {
        let rank = (self.0.len() - 1) as f64 * part;
        let (lower, value, _) = self.0.select_nth_unstable(rank as usize);
        let value = *value;
        let below = lower.iter().filter(|sample| **sample < value);
        let previous = below.clone().max().copied().unwrap_or(value);
        let below = below.count() as f64;
        let equal = self.0.iter().filter(|sample| **sample == value).count() as f64;
        let step = ns(u64::from(value - previous));
        ns(u64::from(value)) + step * ((rank - below + 0.5) / equal - 0.5)
    }
}
