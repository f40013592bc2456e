//! Children of tests, which are re-runs of the test program.

use super::watchdog::{step, watchdog_of_child};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const ROLE: &str = "SHMKIT_TEST_ROLE";
const ARGS: &str = "SHMKIT_TEST_ARGS";

/// A child process that plays a role of this test program.
///
/// It is this very executable, run again with only the test `child_entry`, which the test
/// program defines as `common::child_entry(&[("module", module::play), …])`.
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
                step();
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

/// A command that runs a program of this one's kind: by the emulator that `SHMKIT_TEST_RUNNER` names,
/// where this one runs in an emulator.
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

/// A command that runs this test program again in a role of one of its modules, `module/role`;
/// or the same test program of another width, so that the two talk to each other.
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

/// Plays a role in a child process, which has these arguments.
pub type Play = fn(&str, &[&str]);

/// The body of a test program's `child_entry`: does nothing in an ordinary run, and plays the
/// role in a child.
pub fn child_entry(modules: &[(&str, Play)]) {
    if std::env::var_os(ROLE).is_some() {
        let _watchdog = watchdog_of_child();
        unwatched_child_entry(modules);
    }
}

/// Like [`child_entry`], without a watchdog, whose thread a tracer would meet.
pub fn unwatched_child_entry(modules: &[(&str, Play)]) {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let args = std::env::var(ARGS).unwrap_or_default();
    let args: Vec<&str> = args.split('\u{1f}').collect();
    let (module, role) = role.split_once('/').expect("a role is module/role");
    let known = modules.iter().find(|(name, _)| *name == module);
    let (_, play) = known.unwrap_or_else(|| panic!("no module {module} has roles"));
    play(role, &args);
}

/// In a child: says a line to the parent.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    step();
    write!(out, "\n@@ {line}\n").unwrap();
    out.flush().unwrap();
}

/// In a child: waits for the parent's next line, `None` when it closed our input.
pub fn hear() -> Option<String> {
    let mut line = String::new();
    let n = std::io::stdin().lock().read_line(&mut line).ok()?;
    step();
    (n > 0).then(|| line.trim_end().to_string())
}
