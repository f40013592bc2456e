//! The child processes of tests. A child runs the test program again, in a role.

use super::watchdog::{step, watchdog_of_child};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const ROLE: &str = "SHMKIT_TEST_ROLE";
const ARGS: &str = "SHMKIT_TEST_ARGS";

/// A child process that plays a role of this test program.
///
/// The child runs the executable of the test program with only the test `child_entry`, which the
/// test program defines as `common::child_entry(&[("module", module::play), …])`.
///
/// Parent and child exchange lines: the child sends with [`say`], and the parent receives with
/// [`TestChild::expect`] and [`TestChild::hear`]; the parent sends with [`TestChild::tell`], and
/// the child receives with [`hear`]. Dropping a `TestChild` kills the child.
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

    /// Returns the next line of the child. Fails the test if the child ended before.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let n = self.output.read_line(&mut line).unwrap();
            assert_ne!(n, 0, "the child ended without a line");
            if let Some(at) = line.find("@@ ") {
                step();
                return line[at + 3..].trim_end().to_string();
            }
        }
    }

    /// Waits for the next line of the child, and asserts that it is `line`.
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

    /// Kills the child, and then expects `line` from a child of that child, which has the same
    /// output.
    pub fn kill_and_hear(mut self, line: &str) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.expect(line);
    }

    /// Closes the input of the child, and waits until the child ends.
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

/// Starts a program. Wine 8 sometimes returns ERROR_INTERNAL_ERROR while other programs start and
/// end, and succeeds the next time, so `started` tries several times.
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

/// Returns a command that runs `program`. If `SHMKIT_TEST_RUNNER` names an emulator, the command
/// runs `program` in that emulator.
fn with_runner(program: std::path::PathBuf) -> Command {
    let runner = std::env::var("SHMKIT_TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    match words.next() {
        None => Command::new(program),
        Some(emulator) => {
            let mut command = Command::new(emulator);
            command.args(words).arg(program);
            command
        }
    }
}

/// Returns a command that runs this test program again in a role of one of its modules,
/// `module/role`. If `SHMKIT_TEST_CHILD` names the same test program of another width, the command
/// runs that one, so that the two widths talk to each other.
pub fn in_role(role: &str, args: &[&str]) -> Command {
    let program = match std::env::var_os("SHMKIT_TEST_CHILD") {
        Some(other) => other.into(),
        None => std::env::current_exe().unwrap(),
    };
    let mut command = with_runner(program);
    command
        .args(["--exact", "child_entry", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(ARGS, args.join("\u{1f}"));
    command
}

/// A function that plays a role in a child process. It gets the role and its arguments.
pub type Play = fn(&str, &[&str]);

/// Plays the role in a child process, and does nothing in an ordinary run. This is the body of the
/// test `child_entry` of each test program.
pub fn child_entry(modules: &[(&str, Play)]) {
    if std::env::var_os(ROLE).is_some() {
        let _watchdog = watchdog_of_child();
        unwatched_child_entry(modules);
    }
}

/// Does the same as [`child_entry`] without a watchdog: a tracer would also meet the thread of the
/// watchdog.
pub fn unwatched_child_entry(modules: &[(&str, Play)]) {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let args = std::env::var(ARGS).unwrap_or_default();
    let args: Vec<&str> = args.split('\u{1f}').collect();
    let (module, role) = role.split_once('/').expect("the role is module/role");
    let known = modules.iter().find(|(name, _)| *name == module);
    let (_, play) = known.unwrap_or_else(|| panic!("no module {module} has roles"));
    play(role, &args);
}

/// In a child: sends a line to the parent.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    step();
    write!(out, "\n@@ {line}\n").unwrap();
    out.flush().unwrap();
}

/// In a child: waits for the next line of the parent. Returns `None` if the parent closed the
/// input.
pub fn hear() -> Option<String> {
    let mut line = String::new();
    let n = std::io::stdin().lock().read_line(&mut line).ok()?;
    step();
    (n > 0).then(|| line.trim_end().to_string())
}
