//! Tests `answer` and `call`, and what `show` prints about calls, on every system.

use crate::common::{eventually, started, unique, watchdog};
use crate::run::{Ended, Running, command, contains, in_time, output, parsed, shmkit};
use ::shmkit::Server;
use serde_json::{Value, json};
use std::process::Stdio;

/// Commands of the system's shell.
struct Lines {
    /// Prints the input lines that contain an "x".
    echo: &'static str,
    /// Runs for longer than a test; on Linux the command ends when the server ends.
    hang: &'static str,
    fail: &'static str,
}

const LINES: Lines = match cfg!(windows) {
    true => Lines {
        echo: "find \"x\"",
        hang: "ping -n 600 127.0.0.1 >nul",
        fail: "echo too late & exit 3",
    },
    false => Lines {
        echo: "grep x",
        hang: "while kill -0 $PPID 2>&-; do sleep 0.1; done",
        fail: "echo too late; exit 3",
    },
};

fn run(args: &[&str], code: i32) -> Ended {
    let ended = shmkit(args);
    assert_eq!(ended.code, code, "{args:?}: {}{}", ended.out, ended.err);
    ended
}

/// Starts a server, and returns when it is up.
fn answer(name: &str, exec: &str, more: &[&str]) -> Running {
    let args = ["answer", name, "--json", "--exec", exec];
    let mut server = Running::start(command(&args).args(more));
    let up = parsed(&server.line());
    assert_eq!(up["pid"], server.id());
    server
}

fn messages(name: &str) -> Value {
    let shown = shmkit(&["show", name, "--json"]);
    match shown.code {
        0 => parsed(&shown.out)["messages"].take(),
        _ => json!(null),
    }
}

/// Starts a call, and waits until the server has received `received` requests.
fn calling(name: &str, received: u64) -> Running {
    let call = Running::start(&mut command(&["call", name, "x"]));
    eventually("the request is received", || {
        messages(name)["owner"]["received"] == received
    });
    call
}

#[test]
fn call_prints_response_of_answer_command() {
    let _watchdog = watchdog();
    let name = unique("asked");
    let server = answer(&name, LINES.echo, &["--count", "5"]);
    // The line end of the response is not doubled.
    assert_eq!(run(&["call", &name, "one x two"], 0).out, "one x two\n");
    let json = run(&["call", &name, "-x", "--json"], 2);
    contains(&json.err, &["-x"]);
    let json = run(&["call", &name, "--json", "--", "-x"], 0).out;
    let text = parsed(&json)["text"].as_str().unwrap().to_string();
    assert_eq!(text.trim_end(), "-x");
    assert_eq!(run(&["call", &name, "--hex", "61 78"], 0).out, "ax\n");
    for more in [&[][..], &["-"]] {
        let mut piped = Running::start(command(&["call", &name]).args(more));
        piped.send("first x\nlast x\n");
        piped.close_input();
        assert_eq!(piped.finish().out, "first x\nlast x\n");
    }
    let ended = server.finish();
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
    contains(&ended.err, &["answering on", &name]);
    assert!(!ended.err.contains("unanswered"), "{}", ended.err);
    run(&["show", &name], 1);
}

#[test]
fn long_requests_and_responses_pass_whole() {
    let _watchdog = watchdog();
    let name = unique("long");
    let _server = answer(&name, LINES.echo, &["--max-message", "2M"]);
    let lines = format!("{}x\n", "0123456789".repeat(8)).repeat(10_000);
    let mut call = Running::start(&mut command(&["call", &name]));
    call.send(&lines);
    call.close_input();
    let ended = call.finish();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out == lines, "{} bytes", ended.out.len());
}

#[test]
fn failed_answer_command_leaves_call_unanswered() {
    let _watchdog = watchdog();
    let name = unique("fails");
    let server = answer(&name, LINES.fail, &["--count", "2"]);
    for _ in 0..2 {
        let ended = run(&["call", &name, "x"], 1);
        assert_eq!(ended.out, "");
        contains(&ended.err, &[&name, "unanswered\n  "]);
    }
    let ended = server.finish();
    assert_eq!(ended.code, 0);
    let why = "a request was left unanswered: the command ended with exit code 3\n";
    assert_eq!(ended.err.matches(why).count(), 2, "{}", ended.err);

    let name = unique("fails");
    let more = ["--max-message", "4", "--count", "1"];
    let server = answer(&name, "echo longer than that", &more);
    let refused = run(&["call", &name, "12345"], 2);
    contains(&refused.err, &["4 bytes", "--max-message"]);
    run(&["call", &name, "x"], 1);
    contains(
        &server.finish().err,
        &["more than 4 bytes", "--max-message"],
    );
}

#[test]
fn call_without_server_fails_or_waits() {
    let _watchdog = watchdog();
    let name = unique("absent");
    contains(&run(&["call", &name, "x"], 1).err, &[&name]);
    let late = run(&["call", &name, "x", "--wait", "0.05"], 1);
    contains(&late.err, &[&name, "waited 0.05 s"]);
    run(&["show", &name], 1);
    let waiting = Running::start(&mut command(&["call", &name, "x", "--wait", "50"]));
    let _server = answer(&name, LINES.echo, &[]);
    let ended = waiting.finish();
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (0, "x\n"),
        "{}",
        ended.err
    );
}

#[test]
fn call_command_fails_when_server_dies() {
    let _watchdog = watchdog();
    let name = unique("ends");
    let mut server = answer(&name, LINES.hang, &[]);
    let begun = calling(&name, 1);
    let queued = Running::start(&mut command(&["call", &name, "x"]));
    eventually("the second call waits", || {
        messages(&name)["participants"][1]["behind"] == 1
    });
    server.kill();
    for call in [begun, queued] {
        let ended = call.finish();
        assert_eq!((ended.code, ended.out.as_str()), (1, ""));
        contains(&ended.err, &[&name, "died and did not answer\n  "]);
    }
    run(&["call", &name, "x"], 1);
}

#[test]
fn call_command_fails_when_server_closes() {
    let _watchdog = watchdog();
    in_time(|seconds| {
        let name = unique("closes");
        let mut server = answer(&name, LINES.hang, &["--for", seconds]);
        let call = Running::start(&mut command(&["call", &name, "x"]));
        eventually("the request is received, or the server has ended", || {
            messages(&name)["owner"]["received"] == 1 || !server.is_running()
        });
        let ended = call.finish();
        assert_eq!((ended.code, server.finish().code), (1, 0));
        run(&["show", &name], 1);
        if ended.err.contains("the program that creates") {
            return None;
        }
        contains(&ended.err, &[&name, "has closed and did not answer\n  "]);
        Some(())
    });
}

#[test]
fn timed_out_call_frees_its_slot() {
    let _watchdog = watchdog();
    let name = unique("slow");
    let _server = answer(&name, LINES.hang, &["--clients", "1"]);
    let late = run(&["call", &name, "x", "--timeout", "0.1"], 1);
    contains(&late.err, &["no response in time\n  ", "--timeout"]);
    // The only slot is free again, and another client takes it.
    let mut other = Running::start(&mut command(&["call", &name, "x"]));
    eventually("the other client has the slot", || {
        messages(&name)["participants"][0]["pid"] == other.id()
    });
    contains(&run(&["call", &name, "x"], 2).err, &[&name]);
    let waiting = ["call", &name, "x", "--wait", "50", "--timeout", "0.1"];
    let waiting = Running::start(&mut command(&waiting));
    other.kill();
    contains(&waiting.finish().err, &["no response in time"]);
}

#[test]
fn answer_runs_one_command_per_worker() {
    let _watchdog = watchdog();
    let name = unique("workers");
    let _server = answer(&name, LINES.hang, &["--workers", "3"]);
    let _calls: Vec<_> = (1..=3).map(|count| calling(&name, count)).collect();
    // No worker is free to receive a fourth call.
    let _fourth = Running::start(&mut command(&["call", &name, "x"]));
    eventually("the fourth call waits", || {
        messages(&name)["participants"][3]["behind"] == 1
    });
    assert_eq!(messages(&name)["owner"]["received"], 3);
}

#[test]
fn calls_tolerate_closed_output_pipe() {
    let _watchdog = watchdog();
    let name = unique("pipe");
    let args = ["answer", &name, "--exec", LINES.echo, "--json"];
    let mut unread = command(&args);
    unread.stdin(Stdio::null()).stderr(Stdio::null());
    let mut unread = started(|| unread.stdout(Stdio::piped()).spawn());
    drop(unread.stdout.take());
    let mut call = command(&["call", &name, "x", "--wait", "50"]);
    call.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut call = started(|| call.stderr(Stdio::piped()).spawn());
    drop(call.stdout.take());
    let ended = call.wait_with_output().unwrap();
    assert!(
        ended.status.success() && ended.stderr.is_empty(),
        "{ended:?}"
    );
    assert_eq!(run(&["call", &name, "x"], 0).out, "x\n");
    unread.kill().unwrap();
    unread.wait().unwrap();
}

#[test]
fn show_lists_clients_of_a_server() {
    let _watchdog = watchdog();
    let name = unique("show");
    let more = ["--clients", "3", "--in-flight", "5", "--max-message", "100"];
    let server = answer(&name, LINES.hang, &more);
    let call = calling(&name, 1);
    let queued = Running::start(&mut command(&["call", &name, "x"]));
    eventually("the second call waits", || {
        messages(&name)["participants"][1]["behind"] == 1
    });
    let told = messages(&name);
    let want = (&json!("rpc"), &json!(3), &json!(8), &json!(100));
    let (pattern, clients) = (&told["pattern"], &told["clients"]);
    assert_eq!(
        (pattern, clients, &told["in_flight"], &told["max_message"]),
        want
    );
    assert_eq!(
        (told.get("layout"), told.get("response_layout")),
        (Some(&json!(null)), Some(&json!(null)))
    );
    let owner = &told["owner"];
    let want = (&json!(server.id()), &json!(1), &json!(0));
    assert_eq!((&owner["pid"], &owner["received"], &owner["sent"]), want);
    for (n, pid, received) in [(0, call.id(), 1), (1, queued.id(), 0)] {
        let one = &told["participants"][n];
        let want = json!([pid, 1, received, 1 - received, null]);
        let seen = json!([
            one["pid"],
            one["sent"],
            one["received"],
            one["behind"],
            one.get("missed")
        ]);
        assert_eq!(seen, want);
    }
    let shown = run(&["show", &name], 0).out;
    let client = format!("clients     process {}", call.id());
    contains(
        &shown,
        &[
            "calls: ",
            "up to 3 clients, 8 calls",
            "received 1, answered 0",
            &client,
            "asked 1, of them 0",
        ],
    );
    let mut watch = Running::start(&mut command(&["show", &name, "--watch", "--json"]));
    assert_eq!(parsed(&watch.line())["messages"]["owner"].get("rate"), None);
    drop(queued);
    let after = parsed(&watch.line());
    assert_eq!(after["messages"]["owner"]["rate"], 0.0);
}

#[test]
fn typed_call_takes_fields_by_name() {
    let _watchdog = watchdog();
    let name = unique("typed");
    let mut server = Server::options()
        .typed::<[i16; 2], f64>()
        .create(&*name)
        .unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..4 {
                let request = server.recv().unwrap();
                let [a, b] = *request.value();
                request.respond(&(f64::from(a) / f64::from(b))).unwrap();
            }
        });
        let call = ["call", &name, "value=-1,2"];
        assert_eq!(run(&call, 0).out, "-0.5\n");
        let json = run(&[&call[..], &["--json"]].concat(), 0).out;
        assert_eq!(parsed(&json), json!({ "values": { "value": -0.5 } }));
        let raw = run(&["call", &name, "--hex", "03000200"], 0);
        assert_eq!(raw.out, "1.5\n");
        assert_eq!(run(&["call", &name, "[4,2]"], 0).out, "2.0\n");
    });
    for (wrong, why) in [
        (&["value=1"][..], "write 2 numbers"),
        (&["price=1"], "the fields are value"),
        (&["some text"], "write whole numbers from -32768 to 32767"),
        (&["--hex", "00"], "1 byte, and a request of"),
    ] {
        let ended = run(&[&["call", &name], wrong].concat(), 2);
        contains(&ended.err, &[why]);
    }
    let shown = run(&["show", &name], 0).out;
    let rows = [
        "requests    field  kind  count  offset\n",
        "            value  i16       2       0\n",
        "responses   field  kind  count  offset\n",
        "            value  f64       1       0\n",
    ];
    contains(&shown, &[&rows.concat()]);
    let told = messages(&name);
    let kind = |layout: &str| told[layout]["fields"][0]["kind"].clone();
    assert_eq!(
        (kind("layout"), kind("response_layout")),
        (json!("i16"), json!("f64"))
    );
}

#[test]
fn misuse_of_calls_is_refused_with_reason() {
    let _watchdog = watchdog();
    let name = unique("wrong");
    let cases: &[(&[&str], &str)] = &[
        (&["answer", &name], "give --exec COMMAND"),
        (
            &["answer", &name, "--exec", "x", "--workers", "0"],
            "--workers",
        ),
        (
            &["answer", &name, "--exec", "x", "--clients", "1024"],
            "1 to 1023",
        ),
        (
            &["answer", &name, "--exec", "x", "--in-flight", "0"],
            "1 to 1024",
        ),
        (&["answer"], "NAME"),
        (&["call"], "NAME"),
        (&["call", &name, "x", "--hex", "00"], "--hex"),
    ];
    for (args, word) in cases {
        contains(&run(args, 2).err, &[word]);
    }
    run(&["show", &name], 1);
    let server = answer(&name, LINES.echo, &[]);
    for verb in ["send", "get"] {
        let ended = run(&[verb, &name, "x"], 2);
        contains(&ended.err, &["a server of calls", "shmkit call"]);
    }
    for verb in ["consume", "subscribe"] {
        let ended = run(&[verb, &name], 2);
        contains(&ended.err, &["a server of calls", "shmkit call"]);
    }
    for verb in ["recv", "set", "publish"] {
        let ended = output(command(&[verb, &name]).args((verb != "recv").then_some("x")));
        assert_eq!(ended.code, 2);
        contains(&ended.err, &[&name, &server.id().to_string()]);
    }
    contains(
        &run(&["call", &name, "two", "words"], 2).err,
        &["2 were given", "quote it"],
    );
    let topic = unique("wrong");
    let _topic = Running::publish(&[&topic, "message"]);
    contains(
        &run(&["call", &topic, "x"], 2).err,
        &["a topic", "shmkit subscribe"],
    );
}
