//! Tests of the examples. Each test runs the two halves of an example. It checks what the halves
//! print, and what one half does when the other half is killed and started again. `sensors.rs` runs
//! the example with the foreign protocol.

use crate::common::{Watchdog, eventually, started, unique, watchdog};
use shmkit::Mutex;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// A running test. Each test keeps this value in its first local variable, so that it is dropped
/// after all examples, and removes the files that killed examples left (Linux).
struct Test {
    _watchdog: Watchdog,
}

fn start() -> Test {
    let _watchdog = watchdog();
    Test { _watchdog }
}

impl Drop for Test {
    fn drop(&mut self) {
        let _ = shmkit::inspect::clean();
    }
}

/// A running example, which is killed when this value is dropped.
struct Example {
    child: Child,
    input: Option<ChildStdin>,
    /// The standard output and the standard error of the example.
    output: BufReader<PipeReader>,
}

/// Returns the path of an example. Cargo puts the examples beside the folder of the tests. If the
/// tests were copied to another place, `SHMKIT_TEST_EXAMPLES` names the folder of the examples.
fn program(example: &str) -> PathBuf {
    let folder = std::env::var_os("SHMKIT_TEST_EXAMPLES").map_or_else(
        || {
            let tests = std::env::current_exe().unwrap();
            tests.parent().unwrap().with_file_name("examples")
        },
        PathBuf::from,
    );
    let program = folder.join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is missing: run cargo build --examples first",
        program.display()
    );
    program
}

impl Example {
    fn start(example: &str, arguments: &[&str]) -> Example {
        let (output, said) = std::io::pipe().unwrap();
        let mut command = Command::new(program(example));
        command.args(arguments).stdin(Stdio::piped());
        command.stdout(said.try_clone().unwrap()).stderr(said);
        let mut child = started(|| command.spawn());
        Example {
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
        }
    }

    /// Starts an example that prints `line` when other processes can find its objects.
    fn ready(example: &str, arguments: &[&str], line: &str) -> Example {
        let mut server = Example::start(example, arguments);
        assert_eq!(server.line(), line);
        server
    }

    /// Returns the next line; it is empty at the end of the output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    /// Reads lines up to the first one for which `wanted` is true, and returns that line.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.line();
            assert_ne!(line, "", "the example ended");
            if wanted(&line) {
                return line;
            }
        }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Closes the input, and returns the rest of the output and the exit status.
    fn finish(mut self) -> (String, ExitStatus) {
        drop(self.input.take());
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.output, &mut rest).unwrap();
        (rest.trim_end().to_string(), self.child.wait().unwrap())
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two examples have a fixed name, since the readme shows them word for word. So a second run
/// of this test at the same time waits for a mutex.
#[test]
fn message_consumer_prints_messages_until_server_ends() {
    const NAME: &str = "Local\\MyFileMappingObject";
    let _test = start();
    let turn = "Local\\shmkit-test-message-example";
    let (turn, _) = Mutex::options().open_or_create(turn).unwrap();
    let _turn = turn.lock().unwrap().into_guard();

    let mut server = Example::start("message_server", &[]);
    server.tell("Message from first process.");
    let sent = || shmkit::inspect::segment_info(NAME).is_ok_and(|info| info.owner.sent == 1);
    eventually("a message was sent", sent);

    let mut early = Example::start("message_consumer", &[]);
    assert_eq!(early.line(), "Message from first process.");
    server.tell("Another one.");
    assert_eq!(early.line(), "Another one.");
    let mut late = Example::start("message_consumer", &[]);
    assert_eq!(late.line(), "Another one.");

    let (said, ended) = server.finish();
    assert_eq!((said.as_str(), ended.success()), ("", true));
    for consumer in [early, late] {
        let (said, ended) = consumer.finish();
        assert_eq!((said.as_str(), ended.success()), ("", true));
    }
    let (said, ended) = Example::start("message_consumer", &[]).finish();
    assert!(said.contains(NAME) && !ended.success(), "{said}");
}

/// Reads at least 20 quotes, and with `lags` until the subscriber has missed some. Asserts that
/// each quote is received or counted as missed.
fn follows(subscriber: &mut Example, lags: bool) {
    let number = |line: &str| line.split(' ').next().unwrap().parse::<u64>().unwrap();
    let mut next = number(&subscriber.line());
    let mut missed = 0;
    for quote in 0.. {
        if quote >= 20 && (missed > 0 || !lags) {
            return;
        }
        next += 1;
        let line = subscriber.line();
        match line.strip_prefix("missed ") {
            Some(count) => {
                let count: u64 = count.parse().unwrap();
                (next, missed) = (next + count - 1, missed + count);
            }
            None => {
                assert_eq!(number(&line), next, "after {missed} missed: {line}");
                assert!(line.contains(" SHMK 1"), "{line}");
            }
        }
    }
}

#[test]
fn slow_quotes_subscriber_counts_missed_quotes() {
    let _test = start();
    let name = format!("Local\\{}", unique("quotes"));
    let ready = format!("publishing {name}");
    let publisher = Example::ready("quotes_publisher", &[&name, "10000"], &ready);

    let mut quick = [(); 2].map(|()| Example::start("quotes_subscriber", &[&name]));
    let mut slow = Example::start("quotes_subscriber", &[&name, "300"]);
    quick.iter_mut().for_each(|quick| follows(quick, false));
    follows(&mut slow, true);

    publisher.kill();
    for subscriber in quick {
        let (said, ended) = subscriber.finish();
        assert!(said.ends_with("Disconnected(Died)"), "{said}");
        assert!(!ended.success());
    }
}

const LATE: &str = "no answer in time";

/// Gives a task to the client until there is an answer. On a busy machine the answer may take
/// longer than the client waits.
fn answer(client: &mut Example, task: &str) -> String {
    for _ in 0..20 {
        client.tell(task);
        let line = client.line();
        if line != LATE {
            return line;
        }
    }
    panic!("{task} is not answered");
}

#[test]
fn calls_client_continues_after_server_restart() {
    let _test = start();
    let name = format!("Local\\{}", unique("calls"));
    let ready = format!("serving {name}");
    let server = Example::ready("calls_server", &[&name], &ready);

    let mut client = Example::start("calls_client", &[&name]);
    assert!(answer(&mut client, "12").starts_with("144, by worker "));
    // One worker is busy for longer than this test may take; the other one answers.
    client.tell("3 3600000");
    assert_eq!(client.line(), LATE);
    for _ in 0..3 {
        let square = answer(&mut client, "4294967295");
        assert!(square.starts_with("18446744065119617025, by worker "));
    }

    server.kill();
    assert_eq!(answer(&mut client, "5"), "the server has died");
    let _server = Example::ready("calls_server", &[&name], &ready);
    let square = match client.line() {
        late if late == LATE => answer(&mut client, "5"),
        square => square,
    };
    assert!(square.starts_with("25, by worker "), "{square}");
    let (said, ended) = client.finish();
    assert_eq!((said.as_str(), ended.success()), ("", true));
}

#[test]
fn table_reader_follows_killed_and_restarted_writer() {
    let _test = start();
    let name = format!("Local\\{}", unique("table"));
    let ready = format!("writing {name}");
    let writer = Example::ready("table_writer", &[&name], &ready);

    let mut reader = Example::start("table_reader", &[&name]);
    for sensor in ["cellar", "kitchen", "roof"] {
        assert!(reader.line().starts_with(&format!("{sensor} is ")));
    }
    for sensor in ["cellar", "kitchen", "roof"] {
        reader.until(|line| line.starts_with(&format!("{sensor}: 1")));
    }

    writer.kill();
    let told = reader.until(|line| line.contains("has died"));
    assert!(
        told.starts_with("the writer has died; cellar is 1"),
        "{told}"
    );
    let _writer = Example::ready("table_writer", &[&name], &ready);
    assert_eq!(reader.line(), "there is a writer again");
    reader.until(|line| line.starts_with("roof: 1"));
}

/// Asks a service to end, and asserts that it ends without an error. Only Unix has a signal for
/// this.
#[cfg(unix)]
fn stop(service: Example) {
    let pid = service.child.id().try_into().unwrap();
    // SAFETY: `kill` takes two numbers; the process is a child that was not waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    let (said, ended) = service.finish();
    assert_eq!((said.as_str(), ended.success()), ("", true));
}

fn has_gone(line: &str) -> bool {
    line.starts_with("the service has ")
}

#[test]
fn status_desktop_reattaches_to_restarted_service() {
    let _test = start();
    let name = format!("Local\\{}", unique("status"));
    let ready = format!("serving {name}");
    let arguments = ["--console", &name];
    let service = || Example::ready("status_service", &arguments, &ready);
    let follow = |desktop: &mut Example, service: &Example| {
        let start = format!("{} is at ", service.child.id());
        desktop.until(|line| line.starts_with(&start));
    };

    let first = service();
    let mut desktop = Example::start("status_desktop", &[&name, "--owner", "me"]);
    follow(&mut desktop, &first);

    // The service belongs to this user, so a program that expects another owner refuses it.
    let other = if cfg!(windows) { "S-1-5-18" } else { "4711" };
    let mut refused = Example::start("status_desktop", &[&name, "--owner", other]);
    let said = refused.line();
    assert!(said.contains("WrongOwner"), "{said}");
    assert!(!refused.finish().1.success());

    first.kill();
    assert_eq!(desktop.until(has_gone), "the service has died");
    let second = service();
    follow(&mut desktop, &second);

    #[cfg(unix)]
    {
        stop(second);
        assert_eq!(desktop.until(has_gone), "the service has closed");
        follow(&mut desktop, &service());
    }
}

/// Runs the service manager of Windows or of Wine, and returns whether it succeeded.
#[cfg(windows)]
fn manager(arguments: &[&str]) -> bool {
    let mut manager = Command::new("sc");
    manager.args(arguments).stdin(Stdio::null());
    started(|| manager.output()).status.success()
}

#[cfg(windows)]
#[test]
fn service_manager_starts_and_stops_service() {
    use shmkit::{Owner, Subscriber};

    const SERVICE: &str = "ShmkitExampleStatus";
    struct Made;
    impl Drop for Made {
        fn drop(&mut self) {
            manager(&["stop", SERVICE]);
            assert!(manager(&["delete", SERVICE]) || std::thread::panicking());
        }
    }

    let _test = start();
    // An account that may not create a section in `Global\` cannot create a service either. Wine is
    // an exception: its services are in the session of their user.
    let scope = if crate::common::may_create_global() {
        "Global"
    } else {
        "Local"
    };
    let name = format!("{scope}\\{}", unique("service"));
    let path = format!("\"{}\" {name}", program("status_service").display());
    if !manager(&["create", SERVICE, "binPath=", &path]) {
        println!("skipped: only administrators can make a service");
        return;
    }
    let _made = Made;
    assert!(manager(&["start", SERVICE]));
    eventually("it serves", || shmkit::inspect::segment_info(&name).is_ok());

    // Under Wine a service runs as the user who runs all programs.
    let options = Subscriber::options().expect_owner(Owner::Me);
    let owner = if options.open(&name).is_ok() {
        "me"
    } else {
        "S-1-5-18"
    };
    let mut desktop = Example::start("status_desktop", &[&name, "--owner", owner]);
    desktop.until(|line| line.contains(" is at "));
    assert!(manager(&["stop", SERVICE]));
    assert_eq!(desktop.until(has_gone), "the service has closed");
}

/// Without `--console` the service looks for the service manager, which did not start it.
#[cfg(windows)]
#[test]
fn status_service_without_manager_reports_error() {
    let _test = start();
    let (said, ended) = Example::start("status_service", &[]).finish();
    assert!(said.contains("1063") && !ended.success(), "{said}");
}

#[cfg(windows)]
#[test]
fn message_loop_serves_timer_and_subscriber() {
    use shmkit::Publisher;

    let _test = start();
    let name = format!("Local\\{}", unique("loop"));
    let mut server = Publisher::create(&*name).unwrap();
    let mut program = Example::ready("message_loop", &[&name], "waiting");
    let timer = "the window's timer";
    program.until(|line| line == timer);
    server.send(b"17 pieces").unwrap();
    program.until(|line| line == "17 pieces");
    program.until(|line| line == timer);
    drop(server);
    let (_, ended) = program.finish();
    assert!(ended.success());
}
