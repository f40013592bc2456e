//! What waiting costs.

use std::time::Duration;

/// What this process has used of all processors until now.
#[cfg(target_os = "linux")]
pub fn time_used() -> Duration {
    // SAFETY: plain numbers, and a place for the answer.
    let used = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &raw mut used), 0);
        used
    };
    [used.ru_utime, used.ru_stime]
        .iter()
        .map(|time| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000))
        .sum()
}

/// What this process has used of all processors until now.
#[cfg(windows)]
pub fn time_used() -> Duration {
    use windows_sys::Win32::Foundation::FILETIME;
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessTimes};
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: this process, and four places for the answer.
    let told = unsafe { GetProcessTimes(GetCurrentProcess(), created, exited, kernel, user) };
    assert_ne!(told, 0);
    // "expressed in 100-nanosecond time units".
    let time =
        |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    Duration::from_nanos(times[2..].iter().map(|one| time(*one)).sum::<u64>() * 100)
}
