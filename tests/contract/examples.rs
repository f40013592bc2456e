//! The examples, each run with its other half: what they print, and what they do when that
//! one is killed and comes again. `tests/sensors.rs` runs the foreign protocol.

use crate::common::{Watchdog, eventually, started, unique, watchdog};
use shmkit::Mutex;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// A running test; its first local, so that it ends after all examples that it has killed, and
/// takes away what these left (Linux).
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

/// An example that runs, and is killed when it is dropped.
struct Example {
    child: Child,
    input: Option<ChildStdin>,
    /// What it says, and its errors too.
    output: BufReader<PipeReader>,
}

/// Cargo puts the examples beside the folder of the tests. Where these were copied elsewhere,
/// so were those.
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

    /// One that says this when others can find what it makes.
    fn ready(example: &str, arguments: &[&str], line: &str) -> Example {
        let mut server = Example::start(example, arguments);
        assert_eq!(server.line(), line);
        server
    }

    /// The next line; empty where there is none any more.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    /// Reads on until a line is as wanted.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.line();
            assert_ne!(line, "", "it ended");
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

    /// What it still says, and how it ends, without further input.
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

/// They have one name for all, since the readme shows them word for word: who else runs this
/// test meanwhile waits.
#[test]
fn a_message_server_and_its_consumer() {
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

/// Reads quotes until it was told that some were missed, and a few more; every one is either
/// there or counted.
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
fn quotes_reach_many_subscribers_and_who_is_slow_is_told() {
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

/// Asks until there is an answer; a busy machine may take longer than the client waits.
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
fn calls_are_answered_by_two_workers_and_by_the_next_server() {
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
fn a_table_shows_its_changes_and_outlives_its_writer() {
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

/// Ends a service in good order, where that can be asked of it from here.
#[cfg(unix)]
fn stop(service: Example) {
    let pid = service.child.id().try_into().unwrap();
    // SAFETY: it takes two numbers; the process is a child that was not waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    let (said, ended) = service.finish();
    assert_eq!((said.as_str(), ended.success()), ("", true));
}

fn has_gone(line: &str) -> bool {
    line.starts_with("the service has ")
}

#[test]
fn a_desktop_program_follows_a_service_through_its_restarts() {
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

    // It is ours, and no service's.
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

/// Of Windows' own, or of Wine.
#[cfg(windows)]
fn manager(arguments: &[&str]) -> bool {
    let mut manager = Command::new("sc");
    manager.args(arguments).stdin(Stdio::null());
    started(|| manager.output()).status.success()
}

#[cfg(windows)]
#[test]
fn the_service_manager_starts_and_stops_the_service() {
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
    // Who may not make a section in `Global\` can make no service either, but under Wine, whose
    // services are in the session of their user.
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

    // Under Wine a service is of the user who runs everything.
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

/// Without the flag it looks for the service manager, which did not start it.
#[cfg(windows)]
#[test]
fn a_service_that_a_user_starts_says_that_nobody_manages_it() {
    let _test = start();
    let (said, ended) = Example::start("status_service", &[]).finish();
    assert!(said.contains("1063") && !ended.success(), "{said}");
}

#[cfg(windows)]
#[test]
fn a_window_and_a_message_server_share_a_loop() {
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
