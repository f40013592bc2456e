//! What every test file shares: unique names, a watchdog, and children that
//! are re-runs of the test executable itself.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

/// How long anything in a test may take before the whole test program gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

const ROLE: &str = "SHMKIT_TEST_ROLE";
const ARGS: &str = "SHMKIT_TEST_ARGS";

/// A name that no other test, and no other run, uses.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("shmkit-test-{stem}-{}-{n}", std::process::id())
}

/// Ends the whole program if it is not dropped within [`PATIENCE`].
#[must_use]
pub fn watchdog() -> Watchdog {
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&done);
    let thread = std::thread::spawn(move || {
        let start = Instant::now();
        while !seen.load(Ordering::Acquire) {
            if start.elapsed() > PATIENCE {
                eprintln!("watchdog: no end after {PATIENCE:?}");
                std::process::abort();
            }
            std::thread::park_timeout(Duration::from_secs(1));
        }
    });
    Watchdog {
        done,
        thread: Some(thread),
    }
}

pub struct Watchdog {
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Waits until `condition` holds, and fails the test when it never does.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether somebody sleeps in what has this name: anybody, or that process.
pub fn is_asleep(name: &str, pid: Option<u32>) -> bool {
    let info = shmkit::segment_info(name).unwrap();
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
pub fn listed(test: &mut Test, name: &str) -> Option<shmkit::Listed> {
    let end = format!("\\{}", shmkit::Name::new(name).unwrap().base());
    let all = test.alone(shmkit::list).unwrap();
    all.into_iter().find(|l| l.name.ends_with(&end))
}

/// Waits until nothing of a name is there. On Linux whoever reads the `/proc/PID/maps`
/// of a process, as tools do, keeps its memory and so its locks for that moment, also
/// when it was killed.
pub fn gone<T>(open: impl Fn() -> shmkit::Result<T>) {
    let absent = |error: shmkit::Error| error.kind() == shmkit::ErrorKind::NotFound;
    eventually("it is gone", || open().is_err_and(absent));
}

/// A child process that plays a role of this test file.
///
/// It is this very executable, run again with only the test `child_entry`,
/// which the test file defines as `common::child_entry(|role, args| ...)`.
/// Parent and child talk in lines: [`TestChild::expect`] and [`say`] one way,
/// [`TestChild::tell`] and [`hear`] the other. A child that is dropped is killed.
pub struct TestChild {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl TestChild {
    pub fn spawn(role: &str, args: &[&str]) -> TestChild {
        Self::spawn_with(role, args, |_| {})
    }

    pub fn spawn_with(role: &str, args: &[&str], more: impl FnOnce(&mut Command)) -> TestChild {
        let mut command = in_role(role, args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        more(&mut command);
        let mut child = started(|| command.spawn());
        TestChild {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the child said; fails the test if it ended first.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let n = self.output.read_line(&mut line).unwrap();
            assert_ne!(n, 0, "the child ended without a word");
            if let Some(at) = line.find("@@ ") {
                return line[at + 3..].trim_end().to_string();
            }
        }
    }

    /// Waits for exactly this line from the child.
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.hear(), line);
    }

    /// Sends a line to the child.
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    /// Kills the child outright (SIGKILL, TerminateProcess) and reaps it.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills the child, and hears what is still said by a child of its own.
    pub fn kill_and_hear(mut self, line: &str) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.expect(line);
    }

    /// Closes the child's input and waits until it has ended by itself.
    pub fn finish(mut self) -> std::process::ExitStatus {
        drop(self.input.take());
        self.child.wait().unwrap()
    }
}

impl Drop for TestChild {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program. Wine 8 sometimes cannot while others start and end: it says
/// ERROR_INTERNAL_ERROR, and can the next time.
pub fn started<T>(mut start: impl FnMut() -> std::io::Result<T>) -> T {
    const INTERNAL_ERROR: i32 = 1359;
    for _ in 0..5 {
        match start() {
            Err(e) if cfg!(windows) && e.raw_os_error() == Some(INTERNAL_ERROR) => {}
            child => return child.unwrap(),
        }
    }
    start().unwrap()
}

/// This very executable, as what plays a role of the test file; or the same test file as a
/// program of another width, so that the two talk to each other.
pub fn in_role(role: &str, args: &[&str]) -> Command {
    let program = match std::env::var_os("SHMKIT_TEST_CHILD") {
        Some(other) => other.into(),
        None => std::env::current_exe().unwrap(),
    };
    let mut command = Command::new(program);
    command
        .args(["--exact", "child_entry", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(ARGS, args.join("\u{1f}"));
    command
}

/// The body of a test file's `child_entry`: does nothing in an ordinary run,
/// and plays the role in a child.
pub fn child_entry(play: impl FnOnce(&str, &[&str])) {
    unwatched_child_entry(|role, args| {
        let _watchdog = watchdog();
        play(role, args);
    });
}

/// The same for one whose parent ends it in any case, and takes as long as it likes.
pub fn unwatched_child_entry(play: impl FnOnce(&str, &[&str])) {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let args = std::env::var(ARGS).unwrap_or_default();
    let args: Vec<&str> = args.split('\u{1f}').collect();
    play(&role, &args);
}

/// In a child: says a line to the parent.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    write!(out, "\n@@ {line}\n").unwrap();
    out.flush().unwrap();
}

/// In a child: waits for the parent's next line, `None` when it closed our input.
pub fn hear() -> Option<String> {
    let mut line = String::new();
    let n = std::io::stdin().lock().read_line(&mut line).ok()?;
    (n > 0).then(|| line.trim_end().to_string())
}

/// A running test; its first local, and so the last to be dropped.
///
/// Only while all other tests rest, children start and lists are made: until its
/// program is loaded, a Linux child has copies of all descriptors, and so holds the
/// sections of other tests; a Windows child keeps all inheritable handles; and to
/// list a section may be to open it, or to bury what others left.
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
    /// Does something while all other tests rest.
    pub fn alone<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.working = None;
        let others_rest = WORK.write().unwrap_or_else(PoisonError::into_inner);
        let done = work();
        drop(others_rest);
        self.working = Some(WORK.read().unwrap_or_else(PoisonError::into_inner));
        done
    }

    /// Gives it all its time again, as the next of many rounds.
    pub fn once_more(&mut self) {
        self._watchdog = watchdog();
    }

    pub fn child(&mut self, role: &str, args: &[&str]) -> TestChild {
        self.alone(|| TestChild::spawn(role, args))
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

/// Says so where a test needs root and is not run by it.
#[cfg(unix)]
pub fn is_root() -> bool {
    if me() != 0 {
        println!("skipped: only root can act as another user");
    }
    me() == 0
}

/// A child that runs as another user.
#[cfg(unix)]
pub fn nobody(test: &mut Test, role: &str, args: &[&str]) -> TestChild {
    test.alone(|| TestChild::spawn_with(role, args, become_nobody))
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
