//! Helpers of all test programs: unique names, a watchdog, and child processes that run the test
//! program again.

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

use std::cell::Cell;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// Returns a name that no other test and no other run uses.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("shmkit-test-{stem}-{}-{n}", std::process::id())
}

/// Returns whether this account may create sections in `Global\`. Windows demands a privilege for
/// this.
pub fn may_create_global() -> bool {
    let made = shmkit::Section::create_new(format!("Global\\{}", unique("probe")), 1);
    match made.map_err(|error| error.kind()) {
        Ok(_) => true,
        Err(shmkit::ErrorKind::PrivilegeMissing) => false,
        Err(kind) => panic!("{kind:?}"),
    }
}

/// Returns whether `Local\` and `Global\` are one namespace, as they are for the services of
/// Windows.
pub fn is_one_namespace() -> bool {
    let (name, reset) = (unique("probe"), shmkit::Reset::Auto);
    let _near = shmkit::Event::create_new(&*name, reset).unwrap();
    shmkit::Event::open(format!("Global\\{name}")).is_ok()
}

/// Returns the prefixes of the sections that this account may create.
pub fn prefixes() -> Vec<&'static str> {
    let mut all = vec!["", "Local\\"];
    if may_create_global() {
        all.push("Global\\");
    }
    all
}

/// Returns the name under which `list` shows the object `base` of `Local\`.
pub fn listed_as(base: &str) -> String {
    match is_one_namespace() {
        true => format!("Global\\{base}"),
        false => format!("Local\\{base}"),
    }
}

/// Waits until `condition` holds, or until the watchdog ends the test. The watchdog prints `what`.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let mut pause = Duration::from_millis(1);
    awaiting(Some(what));
    while !condition() {
        std::thread::sleep(pause);
        // The pause grows, so that a condition that never holds uses less processor time than the
        // watchdog counts as progress.
        pause = (pause * 11 / 10).min(Duration::from_millis(100));
    }
    awaiting(None);
}

/// Returns whether the owner or another participant of the segment `name` sleeps. With a `pid`,
/// only participants of that process count.
pub fn is_asleep(name: &str, pid: Option<u32>) -> bool {
    let info = shmkit::inspect::segment_info(name).unwrap();
    let mut all = info.others.unwrap();
    all.push(info.owner);
    let mut all = all
        .iter()
        .filter(|who| pid.is_none_or(|pid| who.pid == pid));
    all.any(|who| who.asleep)
}

/// In a child: creates a server, and receives one request without a response.
pub fn answer_nothing(name: &str) {
    let mut server = shmkit::Server::create(name).unwrap();
    say("ready");
    let request = server.recv().unwrap();
    say("asked");
    while hear().is_some() {}
    drop(request);
}

/// Asserts that `result` is an error of this kind, with a meaning and a text of one line. Returns
/// the error.
#[track_caller]
pub fn refused<T>(kind: shmkit::ErrorKind, result: shmkit::Result<T>) -> shmkit::Error {
    let error = result.err().expect("the call must fail");
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    assert!(!error.meaning().is_empty());
    error
}

/// Returns the entry of a name in `list`, with any prefix.
pub fn listed(test: &mut Test, name: &str) -> Option<shmkit::inspect::Listed> {
    let end = format!("\\{}", shmkit::Name::new(name).unwrap().base());
    let all = test.alone(shmkit::inspect::list).unwrap();
    all.into_iter().find(|l| l.name.ends_with(&end))
}

/// Waits until `open` finds no object. On Linux a tool that reads `/proc/PID/maps` keeps the memory
/// of the process PID, and so its locks, for that moment, even if that process was killed.
pub fn gone<T>(open: impl Fn() -> shmkit::Result<T>) {
    let absent = |error: shmkit::Error| error.kind() == shmkit::ErrorKind::NotFound;
    eventually("the name is gone", || open().is_err_and(absent));
}

/// A running test. Each test keeps this value in its first local variable, which is dropped last.
pub struct Test {
    working: Option<RwLockReadGuard<'static, ()>>,
    _watchdog: Watchdog,
}

static WORK: RwLock<()> = RwLock::new(());

thread_local! {
    static HAS_STARTED: Cell<bool> = const { Cell::new(false) };
}

/// Starts a test, and returns a name that only this test uses. A test calls this once, and takes
/// further names from [`unique`]: its second lock would wait for a test that starts a child, and that
/// test for the first lock.
pub fn start(stem: &str) -> (Test, String) {
    assert!(
        !HAS_STARTED.replace(true),
        "take the next name from `unique`"
    );
    let working = Some(WORK.read().unwrap_or_else(PoisonError::into_inner));
    let _watchdog = watchdog();
    (Test { working, _watchdog }, unique(stem))
}

impl Drop for Test {
    fn drop(&mut self) {
        HAS_STARTED.set(false);
    }
}

impl Test {
    /// Runs `work` while all other tests wait.
    ///
    /// `list` and `clean` need this: they open the objects of other tests for a moment, and unlink
    /// stale files. Under nextest, where each test is a process, the test must be in the group
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
    /// The start of a child needs this. On Linux a child has copies of all descriptors until its
    /// program is loaded, and so holds the sections of other tests. On Windows a child keeps all
    /// inheritable handles.
    pub fn spawning<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.working = None;
        let others_wait = WORK.write().unwrap_or_else(PoisonError::into_inner);
        let done = work();
        drop(others_wait);
        self.working = Some(WORK.read().unwrap_or_else(PoisonError::into_inner));
        done
    }

    /// Starts a new watchdog, so that each of many rounds has the full time.
    pub fn once_more(&mut self) {
        self._watchdog = watchdog();
    }

    pub fn child(&mut self, role: &str, args: &[&str]) -> TestChild {
        self.spawning(|| TestChild::spawn(role, args))
    }
}

/// In a child: returns the handle with this number, which the child inherited from the parent.
#[cfg(unix)]
pub fn inherited(number: &str) -> std::os::fd::OwnedFd {
    // SAFETY: the parent opened the handle for this process, and no other code here uses its
    // number.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(number.parse().unwrap()) }
}

/// In a child: returns the handle with this number, which the child inherited from the parent.
#[cfg(windows)]
pub fn inherited(number: &str) -> std::os::windows::io::OwnedHandle {
    let handle = number.parse::<usize>().unwrap() as std::os::windows::io::RawHandle;
    // SAFETY: the parent opened the handle for this process, and no other code here uses its
    // number.
    unsafe { std::os::windows::io::FromRawHandle::from_raw_handle(handle) }
}

/// The id of the user `nobody`, who owns no file.
pub const NOBODY: u32 = 65534;

/// Returns the id of the user of this process.
#[cfg(unix)]
pub fn me() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap())
}

/// Starts a child that runs as the user [`NOBODY`].
#[cfg(unix)]
pub fn nobody(test: &mut Test, role: &str, args: &[&str]) -> TestChild {
    test.spawning(|| TestChild::spawn_with(role, args, become_nobody))
}

/// Returns a command that runs this test program with the arguments and variables of another command.
/// Every user can run `/proc/self/exe`, in whatever folder the executable is.
#[cfg(unix)]
pub fn same_program(command: &Command) -> Command {
    let mut same = Command::new("/proc/self/exe");
    same.args(command.get_args());
    same.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
    same.stdin(Stdio::piped()).stdout(Stdio::piped());
    same
}

#[cfg(unix)]
fn become_nobody(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    *command = same_program(command);
    command.uid(NOBODY).gid(NOBODY);
}
