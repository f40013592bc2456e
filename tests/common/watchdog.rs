//! The watchdog ends a test that makes no progress. It measures processor time and steps, so it
//! does not end a test that is only slow on a loaded machine.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

/// The longest time that a test may make no progress.
const IDLE: Duration = Duration::from_secs(60);
/// How much processor time within [`IDLE`] is progress. A process that is ready to run gets more
/// than this even beside fifty other processes; a loop that polls uses less.
const PROGRESS: Duration = Duration::from_secs(1);
/// How much processor time a test and its children may use.
const LIMIT: Duration = Duration::from_secs(60);
/// The time between two looks. It is longer than the tests that measure the processor time of an
/// idle process.
const INTERVAL: Duration = Duration::from_secs(10);

static STEPS: AtomicU64 = AtomicU64::new(0);
static RUNNING: AtomicU64 = AtomicU64::new(0);
static AWAITED: Mutex<Option<String>> = Mutex::new(None);

/// Reports a step of the running test, which is progress.
pub fn step() {
    STEPS.fetch_add(1, Ordering::Relaxed);
}

/// Names what the test waits for, which the watchdog prints when it ends the test.
pub fn awaiting(what: Option<&str>) {
    *AWAITED.lock().unwrap_or_else(PoisonError::into_inner) = what.map(str::to_string);
}

/// Guards a test until it is dropped.
///
/// The watchdog kills the children and aborts the program when the test and its children have
/// together used less than a second of processor time and reported no step for 60 s, or when
/// they have used 60 s of processor time.
#[must_use]
pub fn watchdog() -> Watchdog {
    guard(false)
}

/// Guards a child process: it may be idle for as long as its parent lives.
#[must_use]
pub fn watchdog_of_child() -> Watchdog {
    guard(true)
}

pub struct Watchdog {
    start: Instant,
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn guard(is_child: bool) -> Watchdog {
    RUNNING.fetch_add(1, Ordering::Relaxed);
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&done);
    let thread = std::thread::spawn(move || {
        let mut watch = None;
        while !seen.load(Ordering::Acquire) {
            std::thread::park_timeout(INTERVAL);
            watch
                .get_or_insert_with(|| Watch::new(is_child))
                .look(&seen);
        }
    });
    Watchdog {
        start: Instant::now(),
        done,
        thread: Some(thread),
    }
}

/// Appends the time of a test to the file that `ci/test` reads, if several tests run in one
/// process. Under nextest, where each test is a process, `ci/runner` appends the time.
fn record(time: Duration) {
    let (Some(path), None) = (
        std::env::var_os("SHMKIT_TEST_TIMES"),
        std::env::var_os("NEXTEST"),
    ) else {
        return;
    };
    let thread = std::thread::current();
    if let (Some(test), Ok(mut file)) = (thread.name(), File::options().append(true).open(path)) {
        let _ = writeln!(file, "{:.3} 0 0 {test}", time.as_secs_f64());
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        record(self.start.elapsed());
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// The processor time of processes, each with its pid and start time.
type Times = Vec<((u32, u64), Duration)>;

fn is_wine() -> bool {
    cfg!(windows) && std::env::var_os("WINEPREFIX").is_some()
}

/// Returns the processor time of each process of this Wine, from `/proc` of the host system; `None`
/// without Wine. A process that asks Wine 8 for the time of another process gets its own time
/// instead.
fn times_under_wine() -> Option<Times> {
    if !is_wine() {
        return None;
    }
    let prefix = format!("WINEPREFIX={}\0", std::env::var("WINEPREFIX").ok()?);
    let time_of = |process: std::io::Result<std::fs::DirEntry>| {
        let path = process.ok()?.path();
        let number: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let environment = std::fs::read(path.join("environ")).ok()?;
        let mut places = environment.windows(prefix.len());
        if !places.any(|place| place == prefix.as_bytes()) {
            return None;
        }
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Fields 14, 15 and 22 of the manual. The first element of `fields` is field 3.
        let [user, system, start] = [11, 12, 19].map(|n| fields.get(n)?.parse::<u64>().ok());
        // A tick is a hundredth of a second on every system that Wine runs on.
        Some((
            (number, start?),
            Duration::from_millis(10 * (user? + system?)),
        ))
    };
    let processes = std::fs::read_dir("Z:\\proc").ok()?;
    Some(processes.filter_map(time_of).collect())
}

/// What the watchdog of one test has measured.
struct Watch {
    system: System,
    me: Pid,
    parent: Option<Pid>,
    is_child: bool,
    /// The processor time of each process of the test, when the watchdog first saw the process and
    /// when it last saw it. Processes that have ended are included.
    used: HashMap<(u32, u64), (Duration, Duration)>,
    /// When the test last made progress, and its processor time and steps then.
    progress: (Instant, Duration, u64),
}

impl Watch {
    fn new(is_child: bool) -> Watch {
        Watch {
            system: System::new(),
            me: sysinfo::get_current_pid().unwrap(),
            parent: None,
            is_child,
            used: HashMap::new(),
            progress: (
                Instant::now(),
                Duration::ZERO,
                STEPS.load(Ordering::Relaxed),
            ),
        }
    }

    fn look(&mut self, done: &AtomicBool) {
        if done.load(Ordering::Acquire) {
            return;
        }
        // Reading the times of all processes is slow, and is done only for a test that seems idle.
        let times = if self.progress.0.elapsed() > IDLE / 3 {
            times_under_wine()
        } else {
            None
        };
        let used = match times {
            Some(times) => self.sum(times),
            None => self.processor_time(),
        };
        let steps = STEPS.load(Ordering::Relaxed);
        if used >= self.progress.1 + PROGRESS || steps != self.progress.2 {
            self.progress = (Instant::now(), used, steps);
        }
        // Under `cargo test` several tests run in one process, and under nextest one test. Under
        // Wine the sum includes the server of Wine and other tests.
        let tests = RUNNING.load(Ordering::Relaxed).max(1) as u32;
        let limit = LIMIT * if is_wine() { 4 * tests } else { tests };
        if used > limit {
            self.end(done, &format!("{limit:?} of processor time are used"));
        } else if self.progress.0.elapsed() > IDLE && !(self.is_child && self.parent_lives()) {
            self.end(done, &format!("no progress for {IDLE:?}"));
        }
    }

    /// Returns the processor time that this process and its descendants have used.
    fn processor_time(&mut self) -> Duration {
        let what = ProcessRefreshKind::nothing().with_cpu().without_tasks();
        let all = ProcessesToUpdate::All;
        self.system.refresh_processes_specifics(all, true, what);
        let family = family(&self.system, self.me);
        self.parent = self.parent.or_else(|| family.first()?.parent());
        let times = family.into_iter().map(|process| {
            let time = Duration::from_millis(process.accumulated_cpu_time());
            ((process.pid().as_u32(), process.start_time()), time)
        });
        let times = times.collect();
        self.sum(times)
    }

    /// Returns the processor time that these processes, and all processes seen before, have used
    /// since the watchdog first saw each of them.
    fn sum(&mut self, times: Times) -> Duration {
        for (process, time) in times {
            self.used.entry(process).or_insert((time, time)).1 = time;
        }
        self.used
            .values()
            .map(|(first, last)| last.saturating_sub(*first))
            .sum()
    }

    fn parent_lives(&self) -> bool {
        self.parent
            .is_some_and(|parent| self.system.process(parent).is_some())
    }

    fn end(&self, done: &AtomicBool, why: &str) {
        if done.load(Ordering::Acquire) {
            return;
        }
        // Not by `eprintln`, whose output the test harness keeps until the end of the test.
        let mut out = std::io::stderr();
        let _ = writeln!(out, "watchdog: {why}");
        if let Some(what) = &*AWAITED.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(out, "watchdog: the test waits until {what}");
        }
        for process in family(&self.system, self.me).iter().skip(1) {
            process.kill();
        }
        std::process::abort();
    }
}

/// Returns a process and its descendants; the process itself is first. A process that is older than
/// its parent is the child of an earlier process with the same pid, and is left out.
fn family(system: &System, first: Pid) -> Vec<&Process> {
    let mut family: Vec<&Process> = system.process(first).into_iter().collect();
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        let children = system.processes().values().filter(|process| {
            process.parent() == Some(parent.pid())
                && process.pid() != parent.pid()
                && process.start_time() >= parent.start_time()
        });
        family.extend(children);
        next += 1;
    }
    family
}
