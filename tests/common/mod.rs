//! What every test program shares: unique names, a watchdog, and children that are re-runs of
//! the test program itself.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses its own part"
)]

mod child;
mod processor;
mod watchdog;

pub use child::*;
pub use processor::time_used;
pub use watchdog::{Watchdog, awaiting, step, watchdog, watchdog_of_child};

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// A name that no other test, and no other run, uses.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("shmkit-test-{stem}-{}-{n}", std::process::id())
}

/// Whether this account may make sections in `Global\`, which takes a privilege on Windows.
pub fn may_create_global() -> bool {
    let made = shmkit::Section::create_new(format!("Global\\{}", unique("probe")), 1);
    match made.map_err(|error| error.kind()) {
        Ok(_) => true,
        Err(shmkit::ErrorKind::PrivilegeMissing) => false,
        Err(kind) => panic!("{kind:?}"),
    }
}

/// Whether `Local\` and `Global\` are one place, as they are for the services of Windows.
pub fn is_one_namespace() -> bool {
    let (name, reset) = (unique("probe"), shmkit::Reset::Auto);
    let _near = shmkit::Event::create_new(&*name, reset).unwrap();
    shmkit::Event::open(format!("Global\\{name}")).is_ok()
}

/// The prefixes of sections that this account may make.
pub fn prefixes() -> Vec<&'static str> {
    let mut all = vec!["", "Local\\"];
    if may_create_global() {
        all.push("Global\\");
    }
    all
}

/// The name under which the list shows what stands in `Local\`.
pub fn listed_as(base: &str) -> String {
    match is_one_namespace() {
        true => format!("Global\\{base}"),
        false => format!("Local\\{base}"),
    }
}

/// Waits until `condition` holds, for as long as the watchdog lets the test.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let mut pause = Duration::from_millis(1);
    awaiting(Some(what));
    while !condition() {
        std::thread::sleep(pause);
        // A condition that never comes true takes less time than the watchdog calls progress.
        pause = (pause * 11 / 10).min(Duration::from_millis(100));
    }
    awaiting(None);
}

/// Whether somebody sleeps in what has this name: anybody, or that process.
pub fn is_asleep(name: &str, pid: Option<u32>) -> bool {
    let info = shmkit::inspect::segment_info(name).unwrap();
    let mut all = info.others.unwrap();
    all.push(info.owner);
    let mut all = all
        .iter()
        .filter(|who| pid.is_none_or(|pid| who.pid == pid));
    all.any(|who| who.asleep)
}

/// In a child: takes one request, and answers none.
pub fn answer_nothing(name: &str) {
    let mut server = shmkit::Server::create(name).unwrap();
    say("ready");
    let request = server.recv().unwrap();
    say("asked");
    while hear().is_some() {}
    drop(request);
}

/// What was refused, for this reason, in one line that says why.
#[track_caller]
pub fn refused<T>(kind: shmkit::ErrorKind, result: shmkit::Result<T>) -> shmkit::Error {
    let error = result.err().expect("it must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    assert!(!error.meaning().is_empty());
    error
}

/// What `list` says about a name, whichever prefix it shows.
pub fn listed(test: &mut Test, name: &str) -> Option<shmkit::inspect::Listed> {
    let end = format!("\\{}", shmkit::Name::new(name).unwrap().base());
    let all = test.alone(shmkit::inspect::list).unwrap();
    all.into_iter().find(|l| l.name.ends_with(&end))
}

/// Waits until nothing of a name is there. On Linux a process that reads the `/proc/PID/maps`
/// of a process, as tools do, keeps its memory and so its locks for that moment, also
/// when it was killed.
pub fn gone<T>(open: impl Fn() -> shmkit::Result<T>) {
    let absent = |error: shmkit::Error| error.kind() == shmkit::ErrorKind::NotFound;
    eventually("it is gone", || open().is_err_and(absent));
}

/// A running test; its first local, and so the last to be dropped.
pub struct Test {
    working: Option<RwLockReadGuard<'static, ()>>,
    _watchdog: Watchdog,
}

static WORK: RwLock<()> = RwLock::new(());

/// Starts a test, with a name of its own.
pub fn start(stem: &str) -> (Test, String) {
    let working = Some(WORK.read().unwrap_or_else(PoisonError::into_inner));
    let _watchdog = watchdog();
    (Test { working, _watchdog }, unique(stem))
}

impl Test {
    /// Runs `work` while all other tests wait.
    ///
    /// Listing and cleaning need this: they open the objects of other tests for a moment, and
    /// unlink stale files. Under nextest, whose tests are processes, the test must be in the group
    /// `alone` of `.config/nextest.toml`.
    pub fn alone<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let group = std::env::var("NEXTEST_TEST_GROUP");
        assert!(
            group.is_err() || group.as_deref() == Ok("alone"),
            "add this test to the group `alone` in .config/nextest.toml"
        );
        self.spawning(work)
    }

    /// Runs `work` while all other tests of this process wait.
    ///
    /// Starting a child needs this: until its program is loaded, a Linux child has copies of all
    /// descriptors, and so holds the sections of other tests. A Windows child keeps all
    /// inheritable handles.
    pub fn spawning<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.working = None;
        let others_wait = WORK.write().unwrap_or_else(PoisonError::into_inner);
        let done = work();
        drop(others_wait);
        self.working = Some(WORK.read().unwrap_or_else(PoisonError::into_inner));
        done
    }

    /// Gives the test a new allowance of time, as the next of many rounds.
    pub fn once_more(&mut self) {
        self._watchdog = watchdog();
    }

    pub fn child(&mut self, role: &str, args: &[&str]) -> TestChild {
        self.spawning(|| TestChild::spawn(role, args))
    }
}

/// In a child: the handle of this number, which the parent let it inherit.
#[cfg(unix)]
pub fn inherited(number: &str) -> std::os::fd::OwnedFd {
    // SAFETY: the parent made it for us, and nothing else here knows it.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(number.parse().unwrap()) }
}

/// In a child: the handle of this number, which the parent let it inherit.
#[cfg(windows)]
pub fn inherited(number: &str) -> std::os::windows::io::OwnedHandle {
    let handle = number.parse::<usize>().unwrap() as std::os::windows::io::RawHandle;
    // SAFETY: the parent made it for us, and nothing else here knows it.
    unsafe { std::os::windows::io::FromRawHandle::from_raw_handle(handle) }
}

/// The user that owns nothing.
pub const NOBODY: u32 = 65534;

/// This process's user.
#[cfg(unix)]
pub fn me() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap())
}

/// A child that runs as another user.
#[cfg(unix)]
pub fn nobody(test: &mut Test, role: &str, args: &[&str]) -> TestChild {
    test.spawning(|| TestChild::spawn_with(role, args, become_nobody))
}

#[cfg(unix)]
fn become_nobody(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // Reachable for that user too, in whatever folder the executable lies.
    let mut other = Command::new("/proc/self/exe");
    other.args(command.get_args());
    other.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
    other.stdin(Stdio::piped()).stdout(Stdio::piped());
    other.uid(NOBODY).gid(NOBODY);
    *command = other;
}
