//! Tests the commands that inspect and change objects, on every system: `show`, `list`,
//! `dump --watch`, `write`, `signal`, `wait`, `hold`, `clean` and `doctor`.

use crate::common::{eventually, listed_as, may_create_global, started, unique, watchdog};
use crate::run::{Ended, Running, command, contains, parsed, shmkit};
use serde_json::{Value, json};
use shmkit::Mutex;
use std::process::Stdio;
use std::sync::mpsc::channel;

/// Runs the program, and expects the exit code `code`.
fn run(args: &[&str], code: i32) -> Ended {
    let ended = shmkit(args);
    assert_eq!(ended.code, code, "{args:?}: {}{}", ended.out, ended.err);
    ended
}

fn facts(name: &str) -> Value {
    parsed(&run(&["show", name, "--json"], 0).out)
}

fn start(args: &[&str]) -> Running {
    Running::start(&mut command(args))
}

/// A server with a section, an event and a mutex. The names of all three share a stem.
struct Trio {
    server: Running,
    section: String,
    event: String,
    mutex: String,
}

impl Trio {
    fn serve(stem: &str, more: &[&str]) -> Trio {
        let base = unique(stem);
        let section = listed_as(&base);
        let (event, mutex) = (format!("{base}_changed"), format!("{base}Mutex"));
        let names = [&section, "--event", &event, "--mutex", &mutex];
        let server = Running::serve(&[&names, more].concat());
        Trio {
            server,
            section,
            event,
            mutex,
        }
    }
}

#[test]
fn serve_announces_event_and_mutex() {
    let _watchdog = watchdog();
    let base = unique("announce");
    let (event, mutex) = (format!("{base}_event"), format!("{base}_mutex"));
    let args = ["serve", &base, "--event", &event, "--mutex", &mutex];
    let line = start(&args).line();
    contains(&line, &["serving ", &event, &mutex]);
    eventually("the first server is gone", || {
        shmkit(&["show", &mutex]).code == 1
    });
    let told = parsed(&start(&[&args[..], &["--json"]].concat()).line());
    assert_eq!(
        (&told["event"], &told["mutex"]),
        (&json!(event), &json!(mutex))
    );
}

#[test]
fn event_of_served_text_is_set_once() {
    let _watchdog = watchdog();
    let mut trio = Trio::serve("beside", &["hello"]);
    run(&["wait", &trio.event], 0);
    run(&["wait", &trio.event, "--timeout", "0.05"], 1);
    assert_eq!(run(&["consume", &trio.section], 0).out, "hello\n");
    trio.server.kill();
    for name in [&trio.section, &trio.event, &trio.mutex] {
        run(&["show", name], 1);
    }
}

#[test]
fn event_without_text_stays_unset() {
    let _watchdog = watchdog();
    let trio = Trio::serve("quiet", &["--manual-reset"]);
    assert_eq!(facts(&trio.event)["signaled"], false);
    let base = unique("quiet");
    let alone = shmkit(&["serve", &base, "--manual-reset"]);
    assert_eq!(alone.code, 2);
    contains(&alone.err, &["--event"]);
}

#[test]
fn access_option_applies_to_all_objects() {
    let _watchdog = watchdog();
    let private = Trio::serve("private", &[]);
    let public = Trio::serve("public", &["--access", "users-read-only"]);
    let let_in = |name: &str| facts(name)["grants"].as_array().unwrap().len();
    for (closed, open) in [
        (&private.section, &public.section),
        (&private.event, &public.event),
        (&private.mutex, &public.mutex),
    ] {
        assert!(let_in(closed) < let_in(open), "{closed}");
    }
    let wrong = run(&["serve", "x", "--access", "everybody"], 2);
    contains(&wrong.err, &["same-user", "users-read-only", "sddl:"]);
}

#[test]
fn show_distinguishes_section_event_and_mutex() {
    let _watchdog = watchdog();
    let trio = Trio::serve("kinds", &["hello", "--size", "8192"]);
    let section = facts(&trio.section);
    assert_eq!(
        (&section["kind"], &section["kernel_len"]),
        (&json!("section"), &json!(8192))
    );
    let event = facts(&trio.event);
    assert_eq!(
        (&event["kind"], &event["reset"]),
        (&json!("event"), &json!("auto"))
    );
    assert_eq!(event["signaled"], true);
    // `show` does not reset the event.
    assert_eq!(facts(&trio.event)["signaled"], true);
    let mutex = facts(&trio.mutex);
    assert_eq!(
        (&mutex["kind"], &mutex["taken_by"]),
        (&json!("mutex"), &Value::Null)
    );
    for (name, words) in [
        (&trio.section, ["section", "8192 bytes (8 KiB)", "lives in"]),
        (&trio.event, ["event", "auto-reset", "signaled"]),
        (&trio.mutex, ["mutex", "free", "grants"]),
    ] {
        let shown = run(&["show", name], 0).out;
        contains(&shown, &[name]);
        contains(&shown, &words);
    }
}

#[test]
fn show_lists_companions_and_holders() {
    let _watchdog = watchdog();
    let trio = Trio::serve("company", &[]);
    let mut show = start(&["show", &trio.section, "--json"]);
    let facts = parsed(&show.line());
    let want = json!([
        { "name": listed_as(&trio.mutex), "kind": "mutex" },
        { "name": listed_as(&trio.event), "kind": "event" },
    ]);
    assert_eq!(facts["companions"], want);
    let shown = run(&["show", &trio.section], 0).out;
    contains(&shown, &["companions", &trio.event, "a mutex"]);
    // Other tests may have the section open at this moment.
    if let Some(holders) = facts["holders"].as_array() {
        let pids: Vec<_> = holders.iter().map(|holder| &holder["pid"]).collect();
        assert!(pids.contains(&&json!(trio.server.id())), "{pids:?}");
        assert!(!pids.contains(&&json!(show.id())), "{pids:?}");
        contains(&shown, &[&format!("process {}", trio.server.id())]);
    }
}

#[test]
fn list_filters_objects_by_kind() {
    let _watchdog = watchdog();
    let trio = Trio::serve("listed", &[]);
    let base = trio.section.split_once('\\').unwrap().1;
    let kinds = |kind: &str| -> Vec<String> {
        let rows = parsed(&run(&["list", base, "--kind", kind, "--json"], 0).out);
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["kind"].as_str().unwrap().to_string())
            .collect()
    };
    assert_eq!(kinds("section"), ["section"]);
    assert_eq!(kinds("event"), ["event"]);
    assert_eq!(kinds("mutex"), ["mutex"]);
    assert_eq!(kinds("all"), ["section", "mutex", "event"]);
    let only_sections = run(&["list", base], 0).out;
    assert!(!only_sections.contains("KIND") && !only_sections.contains("Mutex"));
    let all = run(&["list", base, "--kind", "all"], 0).out;
    contains(&all, &["KIND", "SIZE", "OWNER", &trio.event, "mutex"]);
    let exactly = format!("*{base}");
    let none = run(&["list", &exactly, "--kind", "event"], 1);
    contains(&none.err, &["no named event"]);
}

#[test]
fn write_stores_numbers_and_reports_unaligned_ones() {
    let _watchdog = watchdog();
    let name = unique("numbers");
    let _server = Running::serve(&[&name]);
    for (offset, what, number, hex, aligned) in [
        ("0", "--u32", "0x01020304", "04030201", true),
        ("2", "--u32", "1", "01000000", false),
        (
            "8",
            "--u64",
            "18446744073709551615",
            "ffffffffffffffff",
            true,
        ),
        ("12", "--u64", "2", "0200000000000000", false),
        ("0x20", "--f32", "1.5", "0000c03f", true),
        ("0x28", "--f64", "-2", "00000000000000c0", true),
    ] {
        let written = run(&["write", &name, "--offset", offset, what, number], 0);
        assert_eq!(written.out, "");
        assert_eq!(written.err.contains("copied"), !aligned, "{}", written.err);
        let len = (hex.len() / 2).to_string();
        let at = [
            "dump", &name, "--offset", offset, "--length", &len, "--json",
        ];
        assert_eq!(parsed(&run(&at, 0).out)["hex"], hex, "{what} {number}");
    }
}

#[test]
fn write_stores_text_bytes_and_files() {
    let _watchdog = watchdog();
    let name = unique("bytes");
    let _server = Running::serve(&[&name, "an older and longer text"]);
    let write = |what: &[&str]| run(&[&["write", &name, "--offset", "0"], what].concat(), 0);
    for encoding in ["utf16", "utf8", "ansi"] {
        let text = format!("é as {encoding}");
        write(&["--text", &text, "--encoding", encoding]);
        let read = run(&["consume", &name, "--encoding", encoding], 0);
        assert_eq!(read.out, format!("{text}\n"));
    }
    write(&["--text", "by default"]);
    assert_eq!(
        run(&["consume", &name, "--encoding", "utf16"], 0).out,
        "by default\n"
    );
    write(&["--hex", "4142 43 00"]);
    assert_eq!(
        run(&["consume", &name, "--encoding", "utf8"], 0).out,
        "ABC\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "from a file\0").unwrap();
    write(&["--file", file.to_str().unwrap()]);
    assert_eq!(
        run(&["consume", &name, "--encoding", "utf8"], 0).out,
        "from a file\n"
    );
}

#[test]
fn refused_write_explains_and_changes_nothing() {
    let _watchdog = watchdog();
    let name = unique("refused");
    let missing = run(&["write", &name, "--offset", "0", "--u32", "1"], 1);
    contains(&missing.err, &["create the section first"]);
    run(&["show", &name], 1);

    let trio = Trio::serve("refused", &["--size", "4096"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, [7; 5000]).unwrap();
    let (large, section) = (file.to_str().unwrap(), trio.section.as_str());
    let cases: &[(&[&str], &str)] = &[
        (
            &[section, "--offset", "4093", "--u32", "1"],
            "section of 4096 bytes",
        ),
        (
            &[section, "--offset", "1T", "--text", "x"],
            "section of 4096 bytes",
        ),
        (
            &[section, "--offset", "0", "--file", large],
            "section of 4096 bytes",
        ),
        (&[section, "--offset", "0"], "--u32"),
        (
            &[section, "--offset", "0", "--u32", "1", "--u64", "1"],
            "--u64",
        ),
        (&[section, "--offset", "0", "--u32", "4294967296"], "2^32"),
        (
            &[section, "--offset", "0", "--hex", "123"],
            "two hexadecimal digits",
        ),
        (
            &[section, "--offset", "0", "--u32", "1", "--encoding", "utf8"],
            "--encoding",
        ),
        (
            &[
                section,
                "--offset",
                "0",
                "--text",
                "日本",
                "--encoding",
                "ansi",
            ],
            "code page",
        ),
        (&[section, "--u32", "1"], "--offset"),
        (&[&trio.event, "--offset", "0", "--u32", "1"], "an event"),
    ];
    for (args, word) in cases {
        contains(&run(&[&["write"], *args].concat(), 2).err, &[word]);
    }
    let missing = run(
        &["write", section, "--offset", "0", "--file", "no-such-file"],
        1,
    );
    contains(&missing.err, &["no-such-file"]);
    let dumped = parsed(&run(&["dump", section, "--json"], 0).out);
    assert_eq!(dumped["hex"], "0".repeat(8192));
}

#[test]
fn wait_follows_signal_and_reset_of_event() {
    let _watchdog = watchdog();
    let auto = Trio::serve("auto", &[]);
    let waiter = start(&["wait", &auto.event]);
    run(&["signal", &auto.event], 0);
    assert_eq!(waiter.finish().code, 0);
    let late = run(&["wait", &auto.event, "--timeout", "0.05"], 1);
    contains(&late.err, &[&auto.event, "was not signaled within 0.05 s"]);

    let manual = Trio::serve("manual", &["--manual-reset"]);
    run(&["signal", &manual.event], 0);
    for _ in 0..2 {
        run(&["wait", &manual.event, "--timeout", "50"], 0);
    }
    run(&["signal", &manual.event, "--reset"], 0);
    run(&["wait", &manual.event, "--timeout", "0"], 1);

    run(&["signal", &unique("nobody")], 1);
    contains(&run(&["signal", &auto.mutex], 2).err, &["a mutex"]);
}

#[test]
fn wait_continues_until_object_is_created() {
    let _watchdog = watchdog();
    let base = unique("appear");
    let event = format!("{base}_event");
    let late = run(&["wait", &base, "--timeout", "0.05"], 1);
    contains(&late.err, &["create the event first", "within 0.05 s"]);
    let waiters = [
        start(&["wait", &base, "--timeout", "50"]),
        start(&["wait", &event]),
    ];
    let _server = Running::serve(&[&base, "hello", "--event", &event]);
    for waiter in waiters {
        assert_eq!(waiter.finish().code, 0);
    }
}

#[test]
fn wait_acquires_and_releases_mutex() {
    let _watchdog = watchdog();
    let trio = Trio::serve("mutex", &[]);
    let name = trio.mutex.clone();
    let (tell, told) = channel();
    let (leave, left) = channel::<()>();
    let owner = std::thread::spawn(move || {
        let mutex = Mutex::open(&name).unwrap();
        let guard = mutex.lock().unwrap().into_guard();
        tell.send(()).unwrap();
        left.recv().unwrap();
        drop(guard);
        left.recv().unwrap();
        // The thread ends while it owns the mutex.
        std::mem::forget(mutex.lock().unwrap());
    });
    told.recv().unwrap();
    let taken_by = &facts(&trio.mutex)["taken_by"];
    assert!(
        *taken_by == std::process::id() || cfg!(windows),
        "{taken_by}"
    );
    let late = run(&["wait", &trio.mutex, "--timeout", "0.05"], 1);
    contains(&late.err, &["was not unlocked within"]);

    let waiter = start(&["wait", &trio.mutex]);
    leave.send(()).unwrap();
    let ended = waiter.finish();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    run(&["wait", &trio.mutex, "--timeout", "50"], 0);

    leave.send(()).unwrap();
    owner.join().unwrap();
    contains(&run(&["wait", &trio.mutex], 0).err, &["half written"]);
    assert_eq!(run(&["wait", &trio.mutex], 0).err, "");
}

#[test]
fn hold_keeps_objects_of_killed_server() {
    let _watchdog = watchdog();
    let mut trio = Trio::serve("held", &["still here", "--manual-reset"]);
    let names = [&trio.section, &trio.event, &trio.mutex];
    let mut holders = names.map(|name| start(&["hold", name]));
    for (holder, kind) in holders.iter_mut().zip(["a section", "an event", "a mutex"]) {
        contains(&holder.line(), &["holding ", kind, "until Ctrl-C"]);
    }
    trio.server.kill();
    assert_eq!(run(&["consume", &trio.section], 0).out, "still here\n");
    run(&["wait", &trio.event, "--timeout", "50"], 0);
    run(&["wait", &trio.mutex, "--timeout", "50"], 0);
    let last = run(&["hold", &trio.section, "--for", "0.05", "--json"], 0);
    assert_eq!(parsed(&last.out)["kind"], "section");
    contains(&last.err, &["the time is up"]);
    drop(holders);
    for name in names {
        run(&["hold", name], 1);
    }
}

#[test]
fn clean_reports_removed_names() {
    let _watchdog = watchdog();
    let name = unique("clean");
    Running::serve(&[&name]).kill();
    // Any program that creates an object may have removed the stale file before.
    let removed = parsed(&run(&["clean", "--json"], 0).out);
    assert!(removed.as_array().unwrap().iter().all(Value::is_string));
    let again = run(&["clean"], 0);
    assert!(!again.out.is_empty() || again.err.contains("nothing to remove"));
    run(&["show", &name], 1);
}

#[test]
fn misspelled_name_error_suggests_similar_name() {
    let _watchdog = watchdog();
    let base = unique("Nearly");
    let name = listed_as(&base);
    let _server = Running::serve(&[&name]);
    let eaten = name.replace('\\', "");
    for wrong in [&eaten, &name.replace("Nearly", "nearly")] {
        let ended = run(&["consume", wrong], 1);
        contains(
            &ended.err,
            &["there is a section", &name, "is that the one?"],
        );
    }
    let empty = run(&["consume", &name, "--wait", "0.05"], 1);
    contains(&empty.err, &["no text yet"]);
}

#[test]
fn serve_refuses_companion_with_same_name() {
    let _watchdog = watchdog();
    let name = unique("apart");
    let same = format!("Local\\{name}");
    for args in [["--event", &same], ["--mutex", &same]] {
        let ended = run(&["serve", &name, args[0], args[1]], 2);
        contains(&ended.err, &["the name of two objects"]);
    }
    run(&["show", &name], 1);
}

#[test]
fn doctor_findings_match_this_machine() {
    let _watchdog = watchdog();
    let findings = parsed(&run(&["doctor", "--json"], 0).out);
    let health = |topic: &str| {
        let all = findings.as_array().unwrap().iter();
        let found = all.filter(|f| f["topic"].as_str().unwrap().contains(topic));
        let found: Vec<&Value> = found.map(|f| &f["health"]).collect();
        assert!(!found.is_empty(), "{topic}: {findings}");
        found.iter().all(|health| **health == "good")
    };
    assert!(health("sections of this session") && health("events and mutexes"));
    // Not every account has the privilege to create global sections.
    assert_eq!(
        health("sections for the whole machine"),
        may_create_global()
    );
    let account = findings
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["topic"] == "account");
    let low = account.unwrap()["says"]
        .as_str()
        .unwrap()
        .contains("low integrity");
    assert_eq!(health("account"), !low);
    assert_eq!(health("system"), !wine(), "Wine is for tests");
    let told = run(&["doctor"], 0).out;
    contains(&told, &[" account: ", "events and mutexes: can"]);
}

/// Returns whether this program runs under Wine.
fn wine() -> bool {
    std::env::var_os("WINEPREFIX").is_some() && cfg!(windows)
}

#[test]
fn completions_and_manual_omit_hidden_commands() {
    let commands = ["serve", "signal", "completions"];
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell], 0).out;
        contains(&script, &commands);
        assert!(!script.contains("demo-subscriber"), "{shell}");
    }
    contains(&run(&["completions", "tcsh-9"], 2).err, &["bash"]);
    contains(&run(&["man"], 0).out, &commands);

    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("new/man1");
    let ended = run(&["man", "--out", pages.to_str().unwrap()], 0);
    assert_eq!(ended.out, "");
    let page = std::fs::read_to_string(pages.join("shmkit-dump.1")).unwrap();
    contains(&page, &["hexadecimal", "watch"]);
    assert!(pages.join("shmkit.1").exists() && !pages.join("shmkit-demo-subscriber.1").exists());
    let file = pages.join("shmkit.1");
    let wrong = run(&["man", "--out", file.to_str().unwrap()], 2);
    contains(&wrong.err, &["cannot write"]);
}

#[test]
fn show_watch_keeps_no_object_alive() {
    let _watchdog = watchdog();
    let name = unique("watched");
    let mut watch = start(&["show", &name, "--watch", "--json"]);
    assert_eq!(parsed(&watch.line()), json!({ "name": name, "kind": null }));
    for _ in 0..2 {
        let mut server = Running::serve(&[&name]);
        let mut there = parsed(&watch.line());
        assert_eq!(there["name"], name);
        server.kill();
        // Another process that inspects the section is a holder for a moment.
        while there["kind"] == "section" {
            there = parsed(&watch.line());
        }
        assert_eq!(there["kind"], Value::Null);
        run(&["show", &name], 1);
    }
    assert!(watch.is_running());
}

#[test]
fn show_watch_prints_block_after_change() {
    let _watchdog = watchdog();
    let mut trio = Trio::serve("blocks", &["--manual-reset"]);
    let mut watch = start(&["show", &trio.event, "--watch"]);
    let mut until = |words: &str| {
        let mut block = Vec::new();
        while block
            .last()
            .is_none_or(|line: &String| !line.contains(words))
        {
            block.push(watch.line());
        }
        block
    };
    let first = until("not signaled");
    assert_eq!(first[0], format!("name        {}", trio.event));
    run(&["signal", &trio.event], 0);
    let second = until("state       signaled");
    assert!(second.contains(&String::new()), "{second:?}");
    trio.server.kill();
    until("is gone; waiting");
}

#[test]
fn dump_watch_prints_only_changed_rows() {
    let _watchdog = watchdog();
    let name = unique("rows");
    let mut watch = start(&["dump", &name, "--watch", "--offset", "16", "--length", "64"]);
    contains(&watch.line(), &[&name, "is not there yet"]);
    let nothing = format!(
        "00000010 {} |{}|",
        " 00".repeat(8) + " " + &" 00".repeat(8) + " ",
        ".".repeat(16)
    );
    let mut server = Running::serve(&[&name, "--size", "4096"]);
    for line in [nothing.as_str(), "*", "00000050"] {
        assert_eq!(watch.line(), line);
    }
    run(
        &[
            "write",
            &name,
            "--offset",
            "0x30",
            "--u64",
            "0x4847464544434241",
        ],
        0,
    );
    contains(&watch.line(), &["00000030  41 42 43", "|ABCDEFGH........|"]);
    run(&["write", &name, "--offset", "0x4f", "--hex", "7e"], 0);
    contains(&watch.line(), &["00000040  00", "7e  |...............~|"]);
    server.kill();
    contains(&watch.line(), &[&name, "is gone"]);
    run(&["show", &name], 1);
    let _server = Running::serve(&[&name, "--size", "4096"]);
    assert_eq!(watch.line(), nothing);
}

#[test]
fn dump_watch_refuses_json_and_bad_ranges() {
    let _watchdog = watchdog();
    let name = unique("reason");
    let _server = Running::serve(&[&name]);
    for more in [&["--json"][..], &["--out", "file"]] {
        let refused = run(&[&["dump", &name, "--watch"], more].concat(), 2);
        contains(&refused.err, &["--watch", more[0]]);
    }
    for more in [["--offset", "1M"], ["--length", "1M"], ["--length", "0"]] {
        run(&[&["dump", &name, "--watch"], &more[..]].concat(), 2);
    }
}

#[test]
fn tools_tolerate_closed_output_pipe() {
    let _watchdog = watchdog();
    let name = unique("closed");
    let _server = Running::serve(&[&name]);
    for args in [
        &["show", &name, "--watch"][..],
        &["dump", &name, "--watch"],
        &["list", "--kind", "all"],
        &["completions", "bash"],
        &["man"],
        &["clean", "--json"],
        &["hold", &name, "--for", "0.05"],
    ] {
        let mut child = started(|| {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut child = command(args);
            child.stdin(Stdio::null()).stderr(Stdio::null());
            child.stdout(writer).spawn()
        });
        assert!(child.wait().unwrap().success(), "{args:?}");
    }
}
