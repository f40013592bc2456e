//! Tests `publish`, `subscribe`, `send` and `recv`, and what `show` and `list` print about topics
//! and queues, on every system.

use crate::common::{eventually, listed_as, prefixes, started, unique, watchdog};
use crate::run::{Ended, Running, command, contains, in_time, parsed, shmkit};
use serde_json::{Value, json};

/// Runs the program, and expects the exit code `code`.
fn run(args: &[&str], code: i32) -> Ended {
    let ended = shmkit(args);
    assert_eq!(ended.code, code, "{args:?}: {}{}", ended.out, ended.err);
    ended
}

fn start(args: &[&str]) -> Running {
    Running::start(&mut command(args))
}

/// Returns what `show` prints about a queue or topic.
fn messages(name: &str) -> Value {
    parsed(&run(&["show", name, "--json"], 0).out)["messages"].take()
}

/// Waits until the segment has `count` participants besides the owner.
fn joined(name: &str, count: usize) {
    eventually("the participants have joined", || {
        let shown = shmkit(&["show", name, "--json"]);
        shown.code == 0 && {
            let told = parsed(&shown.out)["messages"].take();
            told["participants"].as_array().map(Vec::len) == Some(count)
        }
    });
}

#[test]
fn subscribe_begins_at_requested_position() {
    let _watchdog = watchdog();
    for scope in prefixes() {
        let name = format!("{scope}{}", unique("served"));
        let _server = Running::publish(&[&name, "one", "two words", "--", "-three"]);
        let subscribe = |more: &[&str]| run(&[&["subscribe", &name], more].concat(), 0).out;
        assert_eq!(subscribe(&["--count", "1"]), "-three\n");
        assert_eq!(subscribe(&["--from", "latest", "--count", "1"]), "-three\n");
        let all = subscribe(&["--from", "start", "--count", "3"]);
        assert_eq!(all, "one\ntwo words\n-three\n");
    }
}

#[test]
fn publish_sends_each_input_line() {
    let _watchdog = watchdog();
    let name = unique("lines");
    let mut publisher = Running::publish(&[&name]);
    publisher.send("first\nsecond\n");
    eventually("both are sent", || messages(&name)["owner"]["sent"] == 2);
    let mut latest = start(&["subscribe", &name]);
    assert_eq!(latest.line(), "second");
    let mut new = start(&["subscribe", &name, "--from", "new"]);
    joined(&name, 2);
    publisher.send("third\r\n\nlast, without an end");
    publisher.close_input();
    for subscriber in [&mut latest, &mut new] {
        for line in ["third", "", "last, without an end"] {
            assert_eq!(subscriber.line(), line);
        }
    }
    assert!(
        publisher.is_running(),
        "the end of the input does not end the publisher"
    );
    let all = run(&["subscribe", &name, "--from", "start", "--count", "5"], 0);
    assert!(all.out.starts_with("first\nsecond\n"), "{}", all.out);
    publisher.kill();
    for subscriber in [latest, new] {
        let ended = subscriber.finish();
        assert_eq!((ended.code, ended.out.as_str()), (1, ""));
        contains(&ended.err, &[&name, "died"]);
    }
    run(&["subscribe", &name], 1);
}

#[test]
fn subscribe_reports_that_publisher_closed() {
    let _watchdog = watchdog();
    in_time(|seconds| {
        let name = unique("closed");
        let subscriber = start(&["subscribe", &name, "--wait", seconds]);
        let publisher = Running::publish(&[&name, "hello", "--for", seconds]);
        let received = subscriber.finish();
        let served = publisher.finish();
        assert_eq!(served.code, 0);
        contains(&served.err, &["the time is up"]);
        run(&["show", &name], 1);
        if received.err.contains(&format!("waited {seconds} s")) {
            return None;
        }
        let told = (received.code, received.out.as_str());
        assert_eq!(told, (0, "hello\n"), "{}", received.err);
        contains(&received.err, &[&name, "has closed"]);
        Some(())
    });
}

#[test]
fn subscribe_prints_messages_as_json() {
    let _watchdog = watchdog();
    let name = unique("json");
    let mut publisher = start(&["publish", &name, "--json", "--capacity", "100000"]);
    let up = parsed(&publisher.line());
    let want = (&json!(name), &json!(131_072), &json!(false));
    assert_eq!((&up["name"], &up["capacity"], &up["lossless"]), want);
    assert_eq!(up["pid"], publisher.id());
    publisher.send(b"\"text\" \x1b[2J \xc3\xa9\n\xff\x00\n");
    eventually("both are sent", || messages(&name)["owner"]["sent"] == 2);
    let read = run(
        &[
            "subscribe",
            &name,
            "--from",
            "start",
            "--count",
            "2",
            "--json",
        ],
        0,
    );
    let lines: Vec<Value> = read.out.lines().map(parsed).collect();
    assert_eq!(
        lines,
        [
            json!({ "text": "\"text\" \u{1b}[2J é" }),
            json!({ "hex": "ff00" })
        ]
    );
    assert!(!read.out.contains('\u{1b}'), "{}", read.out);
}

/// Returns the nanoseconds since 1970 that a line of JSON tells, without the message.
fn sent_at(line: &str, text: &str) -> u64 {
    let line = parsed(line);
    assert_eq!(line["text"], text);
    let at = line["sent_at_ns"].as_u64().unwrap();
    assert_eq!(line, json!({ "text": text, "sent_at_ns": at }));
    at
}

#[test]
fn time_stamps_are_printed_as_json() {
    let _watchdog = watchdog();
    let name = unique("times");
    let more = ["--timestamps", "--keep", "2", "--max-message", "100000"];
    let publisher = Running::publish(&[&[&*name, "one", "two"][..], &more].concat());
    let told = messages(&name);
    assert_eq!(told["timestamps"], true);
    // Space for four of the longest messages.
    assert_eq!(told["capacity"].as_u64().unwrap() / 100_000, 4);
    contains(&run(&["show", &name], 0).out, &["with time stamps"]);
    let subscribe = ["subscribe", &name, "--from", "start", "--count", "2"];
    assert_eq!(run(&subscribe, 0).out, "one\ntwo\n");
    let read = run(&[&subscribe[..], &["--json"]].concat(), 0).out;
    let lines: Vec<&str> = read.lines().collect();
    assert!(sent_at(lines[0], "one") <= sent_at(lines[1], "two"));
    drop(publisher);

    let name = unique("times-queue");
    let recv = ["recv", &name, "--timestamps", "--json", "--count", "1"];
    let receiver = start(&recv);
    run(&["send", &name, "17 pieces", "--timeout", "60"], 0);
    let received = receiver.finish();
    assert!(sent_at(received.out.trim_end(), "17 pieces") > 0);
    assert_eq!(received.code, 0, "{}", received.err);
}

/// Publishes many long messages for a subscriber whose output is not read before `meanwhile`
/// returns. Returns how many messages the subscriber received and how many it missed.
fn to_a_slow_subscriber(more: &[&str], meanwhile: impl FnOnce(&str)) -> (u64, u64) {
    const COUNT: u64 = 100;
    let name = unique("slow");
    let mut publisher = Running::publish(&[&["--capacity", "64K", &name], more].concat());
    publisher.send("0\n");
    let mut subscriber = start(&["subscribe", &name, "--json"]);
    assert_eq!(parsed(&subscriber.line())["text"], "0");
    let lines: String = (1..=COUNT)
        .map(|n| format!("{n} {}\n", "x".repeat(8000)))
        .collect();
    let (mut received, mut missed) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| publisher.send(lines + "end\n"));
        meanwhile(&name);
        loop {
            let line = parsed(&subscriber.line());
            if let Some(count) = line["missed"].as_u64() {
                missed += count;
                continue;
            }
            let text = line["text"].as_str().unwrap();
            if text == "end" {
                break;
            }
            received += 1;
            let number = (received + missed).to_string();
            assert_eq!(text.split(' ').next(), Some(number.as_str()));
        }
    });
    assert_eq!(received + missed, COUNT);
    (received, missed)
}

#[test]
fn subscribe_counts_missed_messages_exactly() {
    let _watchdog = watchdog();
    let (received, missed) = to_a_slow_subscriber(&[], |name| {
        eventually("all are sent", || messages(name)["owner"]["sent"] == 102);
    });
    assert!(received > 0 && missed > 0, "{received}, {missed}");
}

#[test]
fn lossless_publisher_waits_for_slow_subscriber() {
    let _watchdog = watchdog();
    let (_, missed) = to_a_slow_subscriber(&["--lossless"], |name| {
        eventually("it waits", || messages(name)["owner"]["waiting"] == true);
        let told = messages(name);
        assert_eq!(told["lossless"], true);
        assert!(told["owner"]["sent"].as_u64() < Some(102), "{told}");
    });
    assert_eq!(missed, 0);
}

#[test]
fn publish_skips_and_reports_too_long_line() {
    let _watchdog = watchdog();
    let name = unique("long");
    let subscriber = start(&[
        "subscribe",
        &name,
        "--wait",
        "50",
        "--from",
        "start",
        "--count",
        "2",
    ]);
    let mut publisher = Running::publish(&[&name, "--max-message", "8"]);
    publisher.send(format!(
        "short\n{}\nshort again\nlast\n",
        "x".repeat(100_000)
    ));
    publisher.close_input();
    assert_eq!(subscriber.finish().out, "short\nlast\n");
    publisher.kill();
    let ended = publisher.finish();
    contains(
        &ended.err,
        &[
            "line 2 has 100000 bytes",
            "line 3 has 11 bytes",
            "left out",
            "--max-message",
        ],
    );
    let given = run(
        &["publish", &name, "much too long", "--max-message", "8"],
        2,
    );
    contains(&given.err, &["13 bytes", "--max-message 13"]);
}

#[test]
fn subscribe_ends_when_output_pipe_closes() {
    let _watchdog = watchdog();
    let name = unique("stream");
    let _server = Running::publish(&[&name, "--rate", "500"]);
    let mut subscriber = start(&["subscribe", &name, "--from", "start"]);
    assert_eq!(subscriber.line(), "message 1");
    assert_eq!(subscriber.line(), "message 2");
    let ended = subscriber.leave();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    joined(&name, 0);
}

#[test]
fn bare_memory_and_segments_are_distinguished() {
    let _watchdog = watchdog();
    let name = unique("bare");
    let _server = Running::serve(&[&name, "a text", "--size", "64K"]);
    let read = run(&["consume", &name, "--wait", "50"], 0);
    assert_eq!(read.out, "a text\n");
    assert_eq!(
        parsed(&run(&["show", &name, "--json"], 0).out).get("messages"),
        None
    );
    // This section has the size of a topic and is empty, like a topic that is being created.
    let empty = unique("bare");
    let _other = Running::serve(&[&empty, "--size", "20224"]);
    assert_eq!(run(&["consume", &empty], 0).out, "\n");
    // This section has another size and is empty.
    let other_size = unique("bare");
    let _third = Running::serve(&[&other_size, "--size", "64K"]);
    contains(&run(&["send", &name, "hello"], 2).err, &["bare memory"]);
    let topic = unique("bare");
    let _topic = Running::publish(&[&topic, "hello"]);
    let refused = run(&["consume", &topic, "--wait", "50"], 2);
    contains(&refused.err, &[&topic, "a topic", "shmkit subscribe"]);
    for bare in [&name, &other_size] {
        let refused = run(&["subscribe", bare], 2);
        contains(&refused.err, &[bare, "bare memory", "shmkit consume"]);
    }
}

#[test]
fn recv_prints_all_sent_messages() {
    let _watchdog = watchdog();
    let name = unique("sent");
    let receiver = start(&["recv", &name, "--count", "5"]);
    let sent = run(&["send", &name, "one", "two words", "--timeout", "50"], 0);
    assert_eq!((sent.out.as_str(), sent.err.as_str()), ("", ""));
    let mut lines = start(&["send", &name]);
    lines.send("three\n\nfive");
    lines.close_input();
    assert_eq!(lines.finish().code, 0);
    let ended = receiver.finish();
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (0, "one\ntwo words\nthree\n\nfive\n"),
        "{}",
        ended.err
    );
    contains(&ended.err, &["receiving on", &name]);
    assert!(!ended.err.contains("died"), "{}", ended.err);
    run(&["show", &name], 1);
}

#[test]
fn recv_prints_messages_of_ended_senders() {
    let _watchdog = watchdog();
    let name = unique("short");
    let receiver = start(&["recv", &name, "--count", "20"]);
    for n in 0..20 {
        run(&["send", &name, &n.to_string(), "--timeout", "50"], 0);
    }
    let ended = receiver.finish();
    let all: String = (0..20).map(|n| format!("{n}\n")).collect();
    assert_eq!((ended.code, ended.out), (0, all));
    assert!(!ended.err.contains("died"), "{}", ended.err);
}

#[test]
fn send_fails_without_live_receiver() {
    let _watchdog = watchdog();
    let name = unique("absent");
    contains(&run(&["send", &name, "hello"], 1).err, &[&name]);
    run(&["send", &name, "hello", "--timeout", "0.05"], 1);
    run(&["show", &name], 1);

    let mut receiver = start(&["recv", &name, "--capacity", "4K"]);
    let mut sender = start(&["send", &name, "--timeout", "50"]);
    sender.send("hello\n");
    assert_eq!(receiver.line(), "hello");
    receiver.kill();
    sender.send("nobody will read this\n".repeat(200));
    let ended = sender.finish();
    assert_eq!(ended.code, 1);
    contains(&ended.err, &[&name, "died"]);
    run(&["show", &name], 1);
}

#[test]
fn send_to_full_queue_times_out() {
    let _watchdog = watchdog();
    let name = unique("full");
    let long = ["recv", &name, "--capacity", "64K", "--max-message", "8000"];
    let mut receiver = start(&long);
    joined(&name, 0);
    // The input is a file, because a program that gives up reads no further.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    let line = "x".repeat(8000) + "\n";
    std::fs::write(&file, line.repeat(200)).unwrap();
    let ended = started(|| {
        let mut send = command(&["send", &name, "--timeout", "0.2"]);
        send.stdin(std::fs::File::open(&file)?).output()
    });
    assert_eq!(ended.status.code(), Some(1));
    let err = String::from_utf8(ended.stderr).unwrap();
    contains(&err, &["no space", "in time"]);
    // The messages that were sent before the timeout are not lost.
    assert_eq!(receiver.line().len(), 8000);
    let refused = run(&["send", &name, &"x".repeat(8001)], 2);
    contains(&refused.err, &["8001", "8000"]);
}

#[test]
fn recv_continues_after_sender_dies() {
    let _watchdog = watchdog();
    let name = unique("outlives");
    let mut receiver = start(&["recv", &name, "--count", "3", "--json"]);
    let mut sender = start(&["send", &name, "--timeout", "50"]);
    sender.send("before its death\n");
    assert_eq!(
        parsed(&receiver.line()),
        json!({ "text": "before its death" })
    );
    sender.kill();
    joined(&name, 0);
    for text in ["another", "and one more"] {
        run(&["send", &name, text], 0);
    }
    let ended = receiver.finish();
    assert_eq!(ended.code, 0);
    let lines: Vec<Value> = ended.out.lines().map(parsed).collect();
    assert_eq!(
        lines,
        [
            json!({ "text": "another" }),
            json!({ "text": "and one more" })
        ]
    );
    contains(&ended.err, &["sender died"]);
}

#[test]
fn show_lists_participants_of_a_topic() {
    let _watchdog = watchdog();
    let name = unique("topic");
    let publisher = Running::publish(&[&name, "one", "two", "--max-message", "100"]);
    let mut subscriber = start(&["subscribe", &name]);
    assert_eq!(subscriber.line(), "two");
    let told = messages(&name);
    assert_eq!(
        (&told["pattern"], &told["format"]),
        (&json!("topic"), &json!("3.0"))
    );
    assert_eq!(
        (&told["capacity"], &told["max_message"]),
        (&json!(1 << 20), &json!(100))
    );
    let owner = &told["owner"];
    let want = (&json!(publisher.id()), &json!(true), &json!(2));
    assert_eq!((&owner["pid"], &owner["alive"], &owner["sent"]), want);
    let other = &told["participants"][0];
    let want = (&json!(subscriber.id()), &json!(1), &json!(0));
    assert_eq!((&other["pid"], &other["received"], &other["missed"]), want);
    let shown = run(&["show", &name], 0).out;
    contains(
        &shown,
        &[
            "a topic",
            "format 3.0",
            "100 bytes the longest",
            "alive, sent 2",
        ],
    );
    contains(
        &shown,
        &[
            &format!("subscribers process {}", subscriber.id()),
            "received 1, 0 behind, missed 0",
        ],
    );
    contains(
        &run(&["show", &format!("{name}~roster-00000001")], 0).out,
        &["part of"],
    );
}

#[test]
fn show_lists_senders_and_message_rate() {
    let _watchdog = watchdog();
    let name = unique("queue");
    let mut receiver = start(&["recv", &name, "--senders", "2"]);
    let mut sender = start(&["send", &name, "--timeout", "50"]);
    sender.send("one\n");
    assert_eq!(receiver.line(), "one");
    let told = messages(&name);
    assert_eq!(
        (&told["pattern"], &told["senders"]),
        (&json!("queue"), &json!(2))
    );
    let other = &told["participants"][0];
    let want = (&json!(sender.id()), &json!(1), &json!(0));
    assert_eq!((&other["pid"], &other["sent"], &other["behind"]), want);
    let shown = run(&["show", &name], 0).out;
    contains(
        &shown,
        &[
            "a queue",
            "up to 2 senders",
            &format!("senders     process {}", sender.id()),
        ],
    );
    contains(
        &run(&["subscribe", &name], 2).err,
        &["a queue", "shmkit send"],
    );
    contains(&run(&["recv", &name], 2).err, &[&receiver.id().to_string()]);

    let mut watch = start(&["show", &name, "--watch", "--json"]);
    assert_eq!(parsed(&watch.line())["messages"]["owner"].get("rate"), None);
    sender.send("two\n");
    let rate = loop {
        let rate = parsed(&watch.line())["messages"]["participants"][0]["rate"].take();
        if rate.as_f64() > Some(0.0) {
            break rate;
        }
    };
    assert!(rate.is_number());
}

#[test]
fn show_tells_of_a_missing_receiver() {
    let _watchdog = watchdog();
    let name = unique("early");
    let mut sender = shmkit::Sender::open_or_create(&*name).unwrap();
    sender.send(b"one").unwrap();
    contains(
        &run(&["show", &name], 0).out,
        &["receiver    has not come yet", "sent 1"],
    );
    assert!(messages(&name)["owner"].is_null());
    let mut receiver = start(&["recv", &name]);
    assert_eq!(receiver.line(), "one");
    assert_eq!(messages(&name)["owner"]["pid"], json!(receiver.id()));
}

#[test]
fn list_hides_companions_of_topic_by_default() {
    let _watchdog = watchdog();
    let name = unique("parts");
    let _server = Running::publish(&[&name, "hello", "--access", "users-read-only"]);
    let names = |more: &[&str]| -> Vec<String> {
        let rows = parsed(&run(&[&["list", "--json", "--kind", "all"], more].concat(), 0).out);
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_string())
            .collect()
    };
    assert_eq!(names(&[&name]), [listed_as(&name)]);
    let all = names(&[&name, "--all"]).join(" ");
    contains(
        &all,
        &["~control-00000001", "~roster-00000001", "~lanes-00000001"],
    );
    // A companion is listed if the pattern is its name.
    assert_eq!(names(&[&format!("{name}~roster-00000001")]).len(), 1);
}

#[test]
fn options_of_other_commands_are_refused() {
    let name = unique("options");
    let recipe_only: &[&[&str]] = &[
        &["--size", "4K"],
        &["--encoding", "utf8"],
        &["--file", "x"],
        &["--event", "x"],
        &["--mutex", "x"],
    ];
    for more in recipe_only {
        let ended = run(&[&["publish", &name], *more].concat(), 2);
        contains(&ended.err, &[more[0]]);
    }
    let topic_only: &[&[&str]] = &[
        &["--capacity", "4K"],
        &["--max-message", "4"],
        &["--lossless"],
        &["--rate", "5"],
    ];
    for more in topic_only {
        let ended = run(&[&["serve", &name], *more].concat(), 2);
        contains(&ended.err, &[more[0]]);
    }
    let cases: &[(&[&str], &str)] = &[
        (&["serve", &name, "two", "texts"], "shmkit publish"),
        (&["publish", &name, "text", "--rate", "5"], "--rate"),
        (&["publish", &name, "--rate", "0"], "0.5"),
        (
            &["publish", &name, "x", "--max-message", "8G"],
            "at most 1 GiB",
        ),
        (&["subscribe", &name, "--count", "0"], "--count"),
        (&["subscribe", &name, "--from", "middle"], "latest"),
        (&["recv", &name, "--senders", "1024"], "1 to 1023"),
        (&["consume", &name, "--from", "start"], "--from"),
        (&["recv"], "NAME"),
        (&["send"], "NAME"),
    ];
    for (args, word) in cases {
        contains(&run(args, 2).err, &[word]);
    }
    run(&["show", &name], 1);
}
