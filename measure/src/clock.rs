//! A clock for short times. It is the counter of the processor if the counter counts evenly, and
//! otherwise the clock of the system.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long the counter is compared with the clock of the system.
const CALIBRATION: Duration = Duration::from_millis(50);

/// How many times both clocks are read together. Only the quickest reading counts, since the other
/// readings were interrupted.
const READINGS: usize = 8;

/// Whether a tick is a tick of the counter. Otherwise a tick is a nanosecond.
static HAS_COUNTER: LazyLock<bool> = LazyLock::new(counter::is_even);

static TICKS_PER_NS: LazyLock<f64> = LazyLock::new(|| match *HAS_COUNTER {
    true => rate(),
    false => 1.0,
});

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Reads the clock, in ticks. The difference of two readings in one process is a time.
#[inline]
pub fn now() -> u64 {
    if *HAS_COUNTER {
        counter::read()
    } else {
        START.elapsed().as_nanos() as u64
    }
}

/// Compares the counter with the clock of the system. The first call takes 50 ms, and later calls
/// take no time.
///
/// [`ns`] and [`ticks`] compare the two clocks themselves. A program calls this function before
/// them, so that no measurement contains the 50 ms.
pub fn calibrate() {
    LazyLock::force(&TICKS_PER_NS);
}

/// Converts a number of ticks to nanoseconds.
pub fn ns(ticks: u64) -> f64 {
    ticks as f64 / *TICKS_PER_NS
}

/// Converts a time to a number of ticks.
pub fn ticks(time: Duration) -> u64 {
    (time.as_nanos() as f64 * *TICKS_PER_NS) as u64
}

/// Measures how many ticks of the counter a nanosecond has.
fn rate() -> f64 {
    let (start, from) = both_clocks();
    std::thread::sleep(CALIBRATION);
    let (end, to) = both_clocks();
    (to - from) as f64 / (end - start).as_nanos() as f64
}

/// Reads both clocks at about the same time.
fn both_clocks() -> (Instant, u64) {
    let (mut best, mut least) = ((Instant::now(), counter::read()), u64::MAX);
    for _ in 0..READINGS {
        let before = counter::read();
        let instant = Instant::now();
        let after = counter::read();
        let took = after.saturating_sub(before);
        if took < least {
            (best, least) = ((instant, before + took / 2), took);
        }
    }
    best
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64::{__cpuid, _rdtsc};

    /// The leaf of `cpuid` that returns the largest extended leaf, and the leaf that describes the
    /// counter.
    const LARGEST: u32 = 0x8000_0000;
    const POWER_MANAGEMENT: u32 = 0x8000_0007;
    /// The bit of `edx` for a counter that counts at one rate in all states of the processor.
    const INVARIANT: u32 = 1 << 8;

    #[allow(unused_unsafe, reason = "newer compilers call cpuid safe")]
    pub fn is_even() -> bool {
        // SAFETY: every processor of this architecture has the instruction, and the second leaf is
        // asked for only if the first leaf says that the second leaf exists.
        unsafe {
            __cpuid(LARGEST).eax >= POWER_MANAGEMENT
                && __cpuid(POWER_MANAGEMENT).edx & INVARIANT != 0
        }
    }

    #[inline]
    pub fn read() -> u64 {
        // SAFETY: every processor of this architecture has the instruction.
        unsafe { _rdtsc() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub fn is_even() -> bool {
        false
    }

    pub fn read() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_measures_a_pause() {
        let pause = Duration::from_millis(20);
        calibrate();
        let (start, from) = (Instant::now(), now());
        std::thread::sleep(pause);
        let (to, end) = (now(), Instant::now());
        let (measured, at_most) = (ns(to - from), (end - start).as_nanos() as f64);
        assert!(measured > 0.99 * pause.as_nanos() as f64, "{measured} ns");
        assert!(measured < 1.01 * at_most, "{measured} ns of {at_most} ns");
    }

    #[test]
    fn duration_converts_to_ticks_and_back() {
        let time = Duration::from_millis(7);
        assert!((ns(ticks(time)) - 7e6).abs() < 10.0);
    }
}
