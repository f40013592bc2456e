//! Tests the program on Linux: signals, keys on a terminal, POSIX objects, and files that are left
//! behind.

use crate::common::{eventually, started, unique, watchdog};
use crate::run::{Running, command, contains, shmkit};
use rustix::process::{Pid, Signal, getuid, kill_process};
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

fn file_of(base: &str) -> PathBuf {
    let uid = getuid().as_raw();
    PathBuf::from(format!("/dev/shm/shmkit.local.{uid}.{base}"))
}

#[test]
fn watch_ends_when_output_pipe_closes() {
    let _watchdog = watchdog();
    let name = unique("left");
    let _server = Running::serve(&[&name, "hello"]);
    for verb in ["show", "dump"] {
        let mut watch = command(&[verb, &name, "--watch"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(watch.stdout.take().unwrap());
        assert_ne!(out.read_line(&mut String::new()).unwrap(), 0);
        drop(out);
        assert!(watch.wait().unwrap().success(), "{verb}");
    }
}

#[test]
fn show_names_holder_of_removed_file() {
    let _watchdog = watchdog();
    let name = unique("lost");
    let server = Running::serve(&[&name, "hello"]);
    std::fs::remove_file(file_of(&name)).unwrap();
    let ended = shmkit(&["show", &name]);
    assert_eq!(ended.code, 1);
    contains(
        &ended.err,
        &["removed", &format!("process {} ", server.id())],
    );
}

#[test]
fn termination_signals_end_server_cleanly() {
    let _watchdog = watchdog();
    for (signal, word) in [
        (Signal::INT, "Ctrl-C"),
        (Signal::TERM, "SIGTERM"),
        (Signal::HUP, "SIGHUP"),
    ] {
        let name = unique("signal");
        let server = Running::serve(&[&name, "hello"]);
        assert!(file_of(&name).exists());
        let pid = Pid::from_raw(server.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
        let ended = server.finish();
        assert_eq!(ended.code, 0);
        assert!(ended.err.contains(word), "{}", ended.err);
        assert!(!file_of(&name).exists());
    }
}

#[test]
fn signal_makes_publisher_and_subscriber_close() {
    let _watchdog = watchdog();
    let name = unique("closes");
    let mut server = Running::publish(&[&name, "hello"]);
    let consume = || {
        let mut consumer = Running::start(&mut command(&["subscribe", &name]));
        assert_eq!(consumer.line(), "hello");
        consumer
    };
    let asked = |running: &Running, signal| {
        let pid = Pid::from_raw(running.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    };
    // A subscriber that a signal ends frees its slot.
    let consumer = consume();
    asked(&consumer, Signal::INT);
    assert_eq!(consumer.finish().code, 0);
    assert!(shmkit(&["show", &name]).out.contains("subscribers none"));
    // A publisher that a signal ends closes its topic.
    let consumer = consume();
    asked(&server, Signal::TERM);
    let ended = consumer.finish();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("has closed"), "{}", ended.err);
    while server.is_running() {}
    assert!(!file_of(&name).exists());
}

#[test]
fn sigterm_makes_receiver_close_its_queue() {
    let _watchdog = watchdog();
    let name = unique("closes");
    let mut receiver = Running::start(&mut command(&["recv", &name]));
    let mut sender = Running::start(&mut command(&["send", &name, "--timeout", "50"]));
    sender.send("hello\n");
    assert_eq!(receiver.line(), "hello");
    let pid = Pid::from_raw(receiver.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(receiver.finish().code, 0);
    sender.send("too late\n");
    let ended = sender.finish();
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("has closed"), "{}", ended.err);
    assert!(!file_of(&name).exists());
}

#[test]
fn sigint_to_answer_ends_its_commands() {
    let _watchdog = watchdog();
    let name = unique("answers");
    // The command prints a line when it runs, and then blocks with child processes of its own.
    let exec = "echo there >&2; sleep 90 | sleep 90";
    let mut server = command(&["answer", &name, "--exec", exec]);
    server.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut server = server.spawn().unwrap();
    let mut said = BufReader::new(server.stderr.take().unwrap()).lines();
    let mut said = || said.next().map(Result::unwrap);
    assert!(said().unwrap().contains("answering on"));
    let call = Running::start(&mut command(&["call", &name, "x"]));
    assert_eq!(said().as_deref(), Some("there"));
    let pid = Pid::from_raw(server.id().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = call.finish();
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("has closed"), "{}", ended.err);
    assert!(server.wait().unwrap().success());
    // The pipe ends when the last process that has it open ends.
    assert_eq!(said(), None);
    assert!(!file_of(&name).exists());
}

#[test]
fn sigint_to_call_frees_its_slot() {
    let _watchdog = watchdog();
    let name = unique("caller");
    let args = ["answer", &name, "--json", "--exec", "sleep 9"];
    let mut server = Running::start(&mut command(&args));
    assert!(server.line().contains("workers"));
    for input in ["x", "-"] {
        let call = Running::start(&mut command(&["call", &name, input]));
        eventually("the client is there", || {
            shmkit(&["show", &name]).out.contains("asked ")
        });
        let pid = Pid::from_raw(call.id().cast_signed()).unwrap();
        // The program may not handle signals yet; then the signal kills the program.
        kill_process(pid, Signal::INT).unwrap();
        let ended = call.finish();
        assert!(ended.code == 2 && ended.err.contains("Ctrl-C") || ended.code == -1);
        eventually("the client has left", || {
            shmkit(&["show", &name]).out.contains("clients     none")
        });
    }
}

#[test]
fn server_under_nohup_survives_sighup() {
    let _watchdog = watchdog();
    let name = unique("nohup");
    let program = command(&[]).get_program().to_owned();
    let mut nohup = Command::new("nohup");
    nohup.arg(program).args(["serve", &name, "hello"]);
    let mut server = Running::start(&mut nohup);
    assert!(server.line().starts_with("serving"));
    let pid = Pid::from_raw(server.id().cast_signed()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(server.finish().err.contains("SIGTERM"));
}

#[test]
fn key_press_on_terminal_ends_server() {
    let _watchdog = watchdog();
    let name = unique("key");
    let program = command(&[]).get_program().to_str().unwrap().to_owned();
    // `script` gives the program a terminal.
    let mut script = Command::new("script");
    script.args([
        "-qec",
        &format!("'{program}' serve {name} hello"),
        "/dev/null",
    ]);
    let mut server = Running::start(&mut script);
    assert!(server.line().contains("until a key is pressed"));
    assert_eq!(shmkit(&["consume", &name]).code, 0);
    // The key may come before the server reads the terminal; the terminal keeps the key.
    server.send("q");
    let ended = server.finish();
    assert_eq!(ended.code, 0);
    assert!(ended.out.contains("a key was pressed"), "{}", ended.out);
    assert!(!file_of(&name).exists());
}

#[test]
fn watch_restores_terminal_screen() {
    let _watchdog = watchdog();
    let name = unique("screen");
    let _server = Running::serve(&[&name, "hello", "--encoding", "utf8"]);
    let program = command(&[]).get_program().to_str().unwrap().to_owned();
    for (command, drawn) in [("show", "committed"), ("dump", "|hello.")] {
        let mut script = Command::new("script");
        script.args([
            "-qec",
            &format!("'{program}' {command} {name} --watch"),
            "/dev/null",
        ]);
        let mut watch = Running::start(&mut script);
        watch.send("q");
        let ended = watch.finish();
        assert_eq!(ended.code, 0, "{}", ended.out);
        let (enter, leave) = ("\x1b[?1049h", "\x1b[?1049l");
        for part in [enter, drawn, leave, "\x1b[?25h"] {
            assert!(ended.out.contains(part), "{part:?}: {:?}", ended.out);
        }
        assert!(ended.out.ends_with(leave), "{:?}", ended.out);
    }
}

#[test]
fn posix_objects_are_read_but_never_created() {
    let base = unique("posix");
    let path = PathBuf::from(format!("/dev/shm/{base}"));
    let name = format!("/{base}");
    std::fs::write(&path, "").unwrap();
    let empty = shmkit(&["consume", &name]);
    std::fs::write(&path, "from a C program\0rest").unwrap();
    let full = shmkit(&["consume", &name]);
    let shown = shmkit(&["show", &name]);
    let created = shmkit(&["serve", &format!("{name}x"), "text"]);
    let kept = path.exists();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((empty.code, empty.out.as_str()), (1, ""));
    assert_eq!((full.code, full.out.as_str()), (0, "from a C program\n"));
    assert!(shown.out.contains("POSIX"), "{}", shown.out);
    assert_eq!(created.code, 2);
    assert!(
        created.err.contains("only opens POSIX objects"),
        "{}",
        created.err
    );
    assert!(kept);
}

#[test]
fn dump_to_full_disk_reports_error() {
    let _watchdog = watchdog();
    let name = unique("full");
    let _server = Running::serve(&[&name, "hello"]);
    let out = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let ended = command(&["dump", &name])
        .stdout(out)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let err = String::from_utf8(ended.stderr).unwrap();
    assert!(err.contains("cannot write to standard output"), "{err}");
    let ended = shmkit(&["dump", &name, "--out", "/dev/full"]);
    assert_eq!(ended.code, 2);
    assert!(
        PathBuf::from("/dev/full").exists(),
        "a device is not replaced"
    );
}

#[test]
fn out_of_space_error_states_both_sizes() {
    let space = rustix::fs::statvfs("/dev/shm").unwrap();
    let all = space.f_blocks * space.f_frsize;
    if all == 0 {
        // A tmpfs without a limit is never full.
        return;
    }
    let (name, size) = (unique("space"), all + (1 << 20));
    let ended = shmkit(&["serve", &name, "--size", &size.to_string()]);
    assert_eq!(ended.code, 2, "{}", ended.err);
    let asked = format!("{size} bytes were asked for");
    let of_all = format!("of {all} bytes are free");
    contains(&ended.err, &[&asked, &of_all, "--shm-size"]);
}

#[test]
fn endless_input_file_is_refused() {
    let name = unique("zero");
    let ended = shmkit(&["serve", &name, "--file", "/dev/zero", "--size", "4K"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("4096"), "{}", ended.err);
    let ended = shmkit(&["serve", &name, "--file", "/dev/zero"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("--size"), "{}", ended.err);
}

#[test]
fn dump_writes_through_symbolic_link() {
    let _watchdog = watchdog();
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    std::fs::write(&file, "older, and longer than what comes").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let name = unique("link");
    let _server = Running::serve(&[&name, "hello", "--encoding", "utf8"]);
    let out = link.to_str().unwrap();
    assert_eq!(
        shmkit(&["dump", &name, "--length", "5", "--out", out]).code,
        0
    );
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "hello");
}

/// A program whose writes to standard output and to standard error are received one by one: a
/// datagram socket keeps the writes apart.
struct Writes {
    out: UnixDatagram,
    err: UnixDatagram,
    child: Child,
}

impl Writes {
    fn of(args: &[&str]) -> Writes {
        let (out, stdout) = UnixDatagram::pair().unwrap();
        let (err, stderr) = UnixDatagram::pair().unwrap();
        let mut command = command(args);
        command
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(stdout))
            .stderr(OwnedFd::from(stderr));
        let child = started(|| command.spawn());
        Writes { out, err, child }
    }

    fn next(socket: &UnixDatagram) -> String {
        let mut bytes = vec![0; 1 << 20];
        let len = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    }

    /// Returns the writes to a socket that were not received yet, after the program has ended.
    fn rest(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).unwrap();
        let mut bytes = vec![0; 1 << 20];
        let all = std::iter::from_fn(|| {
            socket
                .recv(&mut bytes)
                .ok()
                .map(|len| bytes[..len].to_vec())
        });
        all.map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    fn finish(mut self) -> (Vec<String>, Vec<String>) {
        self.child.wait().unwrap();
        (Writes::rest(&self.out), Writes::rest(&self.err))
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn remarks_and_lines_are_one_write_each() {
    let _watchdog = watchdog();
    let name = unique("writes");
    let (_, err) = Writes::of(&["get", &name]).finish();
    assert_eq!(err.len(), 1, "{err:?}");
    assert!(
        err[0].starts_with("shmkit: ") && err[0].ends_with('\n'),
        "{err:?}"
    );

    // The line is longer than the buffer of standard output.
    let long = format!("{}é", "x".repeat(3000));
    let mut server = command(&["publish", &name, "--max-message", "10K", "-"]);
    let mut server = Running::start(&mut server);
    assert!(server.line().starts_with("publishing"));
    server.send(format!("{long}\n"));
    for more in [&[][..], &["--json"]] {
        let consumer = Writes::of(&[&["subscribe", &name, "--wait", "50"], more].concat());
        let line = Writes::next(&consumer.out);
        assert!(line.contains(&long) && line.ends_with('\n'), "{line}");
    }
    let watch = Writes::of(&["show", &name, "--watch"]);
    assert!(Writes::next(&watch.out).starts_with("name "));
    server.send("short\n");
    let shown = Writes::next(&watch.out);
    assert!(
        shown.starts_with("\nname ") && shown.ends_with('\n'),
        "{shown}"
    );
    let (out, err) = Writes::of(&["show", &name]).finish();
    assert_eq!((out.len(), err.len()), (1, 0), "{out:?} {err:?}");
}

#[test]
fn changed_dump_rows_are_one_write() {
    let _watchdog = watchdog();
    let name = unique("rows");
    let _server = Running::serve(&[&name, "hello"]);
    let watch = Writes::of(&["dump", &name, "--watch"]);
    assert!(Writes::next(&watch.out).ends_with("\n00000100\n"));
    let write = [
        "write",
        &name,
        "--offset",
        "0",
        "--text",
        "another, longer text",
    ];
    assert_eq!(shmkit(&write).code, 0);
    let rows = Writes::next(&watch.out);
    assert_eq!(rows.lines().count(), 3, "{rows}");
}

#[test]
fn usage_error_is_one_write() {
    let (_, err) = Writes::of(&["juggle"]).finish();
    assert_eq!(err.len(), 1, "{err:?}");
}

/// Counts the files of a demo, a benchmark or a self-test; `id` is the pid of its first process.
fn files_of(what: &str, id: u32) -> usize {
    let mine = format!("shmkit-{what}-{id}");
    let folder = std::fs::read_dir("/dev/shm").unwrap();
    folder
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().contains(&mine))
        .count()
}

#[test]
fn finished_demo_leaves_no_files() {
    let _watchdog = watchdog();
    let demo = Running::start(&mut command(&["demo", "--seconds", "1.5"]));
    let id = demo.id();
    eventually("the demo creates its sections", || {
        files_of("demo", id) >= 3
    });
    assert_eq!(demo.finish().code, 0);
    assert_eq!(files_of("demo", id), 0);
}

#[test]
fn interrupted_demo_leaves_no_files() {
    let _watchdog = watchdog();
    let demo = Running::start(&mut command(&["demo"]));
    let id = demo.id();
    eventually("the demo creates its sections", || {
        files_of("demo", id) >= 3
    });
    kill_process(Pid::from_raw(id.cast_signed()).unwrap(), Signal::INT).unwrap();
    let ended = demo.finish();
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("interrupted"), "{}", ended.err);
    assert_eq!(files_of("demo", id), 0);
}

#[test]
fn interrupted_benchmark_leaves_no_files() {
    let _watchdog = watchdog();
    for signal in [Signal::INT, Signal::TERM] {
        let mut bench = Running::start(&mut command(&["bench", "--seconds", "20"]));
        let id = bench.id();
        // The floor has been measured, and the processes exchange messages.
        assert!(bench.line().contains("shmkit"));
        assert!(files_of("bench", id) >= 3);
        kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal).unwrap();
        let ended = bench.finish();
        assert_eq!(ended.code, 2);
        assert!(ended.err.contains("interrupted"), "{}", ended.err);
        assert_eq!(files_of("bench", id), 0);
    }
}

#[test]
fn interrupted_self_test_leaves_no_files() {
    let _watchdog = watchdog();
    for signal in [Signal::INT, Signal::TERM] {
        let mut test = Running::start(&mut command(&["doctor", "--self-test"]));
        let id = test.id();
        while !test.line().contains("queue: ") {}
        kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal).unwrap();
        let ended = test.finish();
        assert_eq!(ended.code, 2);
        assert!(ended.err.contains("interrupted"), "{}", ended.err);
        assert_eq!(files_of("self-test", id), 0);
    }
}

const REPORT: &str = "please report this: attach the output of `shmkit doctor --self-test --json`";

/// Returns the output of a self-test in which a check fails: the process may open fewer descriptors
/// than the check needs.
fn of_a_self_test_that_fails(more: &str) -> String {
    let _watchdog = watchdog();
    let program = command(&[]).get_program().to_str().unwrap().to_owned();
    let line = format!("ulimit -n 64; exec '{program}' doctor --self-test {more}");
    let ended = Running::start(Command::new("sh").args(["-c", &line])).finish();
    assert_eq!(ended.code, 1, "{}", ended.out);
    contains(&ended.out, &["failed", "waiting", "descriptors are open"]);
    contains(&ended.err, &["a check failed", REPORT]);
    ended.out
}

#[test]
fn failed_self_test_prints_reason_and_advice() {
    of_a_self_test_that_fails("");
}

#[test]
fn failed_self_test_json_contains_advice() {
    contains(&of_a_self_test_that_fails("--json"), &[REPORT]);
}

#[test]
fn bench_progress_goes_to_standard_error() {
    let _watchdog = watchdog();
    let program = command(&[]).get_program().to_str().unwrap().to_owned();
    let line = format!("'{program}' bench --sizes 64 --seconds 0.2 --json");
    let (bar, name) = (" %  64 B, ", "anonymous pipe");
    // The terminal shows only standard error.
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{line} >/dev/null"), "/dev/null"]);
    let shown = Running::start(&mut script).finish();
    assert_eq!(shown.code, 0, "{}", shown.out);
    assert!(
        shown.out.contains(bar) && shown.out.contains(name),
        "{:?}",
        shown.out
    );
    // Now the terminal shows only standard output.
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{line} 2>/dev/null"), "/dev/null"]);
    let shown = Running::start(&mut script).finish();
    assert!(
        shown.out.starts_with('{') && !shown.out.contains(bar),
        "{:?}",
        shown.out
    );
}

/// Counts how often the threads of a process went to sleep: their voluntary context switches.
fn sleeps_of(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let sleeps = tasks.filter_map(|task| {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let mut lines = status.lines();
        lines.find_map(|line| {
            line.strip_prefix("voluntary_ctxt_switches:")?
                .trim()
                .parse::<u64>()
                .ok()
        })
    });
    sleeps.sum::<u64>()
}

#[test]
fn waiting_program_sleeps_without_polling() {
    const TIME: std::time::Duration = std::time::Duration::from_millis(300);
    let _watchdog = watchdog();
    let name = unique("sleeps");
    let topic = format!("{name}-topic");
    let value = format!("{name}-value");
    let publisher = Running::publish(&[&topic, "hello"]);
    let _writer = Running::start(&mut command(&["set", &value, "1"]));
    let mut subscriber = Running::start(&mut command(&["subscribe", &topic]));
    assert_eq!(subscriber.line(), "hello");
    let mut reader = command(&["get", &value, "--follow", "--wait", "50"]);
    let mut reader = Running::start(&mut reader);
    assert_eq!(reader.line(), "1");
    let calls = format!("{name}-calls");
    let server = Running::start(&mut command(&["answer", &calls, "--exec", "sleep 100"]));
    let call = Running::start(&mut command(&["call", &calls, "x", "--wait", "50"]));
    let receiver = Running::start(&mut command(&["recv", &name]));

    for (what, running) in [
        ("publish", &publisher),
        ("subscribe", &subscriber),
        ("get", &reader),
        ("answer", &server),
        ("call", &call),
        ("recv", &receiver),
    ] {
        eventually(&format!("{what} sleeps"), || {
            let before = sleeps_of(running.id());
            std::thread::sleep(TIME);
            sleeps_of(running.id()) == before
        });
    }
}

#[test]
fn access_option_takes_a_group() {
    let _watchdog = watchdog();
    let base = unique("group");
    let name = format!("Global\\{base}");
    let gid = rustix::process::getgid().as_raw();
    let group = format!("group:{gid}");
    let _topic = Running::publish(&[&name, "hello", "--access", &group]);
    let shown = shmkit(&["show", &name]);
    contains(&shown.out, &["mode 0640", &gid.to_string()]);
    let got = shmkit(&["subscribe", &name, "--count", "1"]);
    assert_eq!((got.code, got.out.trim()), (0, "hello"));

    for (name, access, parts) in [
        (&base, &*group, ["session", "Global\\"]),
        (
            &name,
            "group:shmkit-no-such-group",
            ["no such group", "getent"],
        ),
        (&name, "group:", ["no such preset", "group:NAME"]),
        (&name, "app-container", ["AppContainers", "same-user"]),
    ] {
        let refused = shmkit(&["publish", &format!("{name}-other"), "x", "--access", access]);
        assert_eq!(refused.code, 2, "{access}");
        contains(&refused.err, &parts);
    }
}
