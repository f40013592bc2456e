//! Tests the program as a person and a script use it, on every system.

use crate::common::{
    eventually, is_one_namespace, listed_as, may_create_global, prefixes, started, unique, watchdog,
};
use crate::run::{Running, command, contains, in_time, parsed, shmkit};
use serde_json::json;
use std::io::Write;
use std::process::Stdio;

#[test]
fn consume_prints_served_text_in_every_encoding() {
    let _watchdog = watchdog();
    for scope in prefixes() {
        for encoding in ["utf16", "utf8", "ansi"] {
            let name = format!("{scope}{}", unique("text"));
            let text = "Grüße: 100 %";
            let _server = Running::serve(&[&name, text, "--encoding", encoding]);
            let told = shmkit(&["consume", &name, "--encoding", encoding]);
            assert_eq!((told.code, told.out), (0, format!("{text}\n")));
            let guessed = shmkit(&["consume", &name, "--json"]);
            let want = json!({ "name": name, "text": text, "encoding": encoding, "guessed": true });
            assert_eq!(parsed(&guessed.out), want);
            contains(&guessed.err, &["guessed --encoding", encoding]);
        }
    }
}

#[test]
fn ansi_text_is_consumed_as_written() {
    let _watchdog = watchdog();
    for text in [
        "CPU 45°C",
        "Straße 17, München",
        "Señor",
        "£100",
        "naïve café",
    ] {
        let name = unique("ansi");
        let _server = Running::serve(&[&name, text, "--encoding", "ansi"]);
        let guessed = shmkit(&["consume", &name]);
        assert_eq!((guessed.code, guessed.out), (0, format!("{text}\n")));
        contains(&guessed.err, &["guessed --encoding ansi", "plausible"]);
    }
}

#[test]
fn commands_on_missing_name_create_nothing() {
    let _watchdog = watchdog();
    let name = unique("nobody");
    for command in ["consume", "subscribe", "show", "dump"] {
        let ended = shmkit(&[command, &name]);
        assert_eq!((ended.code, ended.out.as_str()), (1, ""));
        contains(&ended.err, &[&name, "nobody"]);
    }
    let server = Running::serve(&[&format!("{name}s"), "elsewhere"]);
    let ended = shmkit(&["consume", &format!("{name}S")]);
    assert_eq!(ended.code, 1);
    let other = listed_as(&format!("{name}s"));
    contains(&ended.err, &["there is a section", &other]);
    if may_create_global() && !is_one_namespace() {
        let other = format!("Global\\{name}");
        let _server = Running::serve(&[&other, "elsewhere"]);
        let ended = shmkit(&["consume", &name]);
        assert_eq!(ended.code, 1);
        contains(&ended.err, &["there is a section", &other]);
    }
    drop(server);
    // A section that another process is removing at this moment is still listed.
    eventually("no section of that name is listed", || {
        shmkit(&["list", &name]).code == 1
    });
}

#[test]
fn missing_name_error_advises_creating_command() {
    let _watchdog = watchdog();
    let name = unique("missing");
    for (args, advice) in [
        (
            &["subscribe", &name][..],
            "publisher first: shmkit publish NAME",
        ),
        (&["consume", &name], "server first: shmkit serve NAME TEXT"),
        (&["send", &name, "x"], "receiver first: shmkit recv NAME"),
        (&["get", &name], "writer first: shmkit set NAME"),
        (
            &["call", &name, "x"],
            "calls first: shmkit answer NAME --exec",
        ),
        (&["dump", &name], "section first: shmkit serve NAME"),
        (
            &["write", &name, "--offset", "0", "--u32", "1"],
            "shmkit serve NAME",
        ),
        (
            &["signal", &name],
            "event first: shmkit serve SECTION --event NAME",
        ),
        (
            &["wait", &name, "--timeout", "0"],
            "serve SECTION --event NAME",
        ),
        (&["hold", &name], "the program that creates NAME first"),
        (&["show", &name], "the program that creates NAME first"),
    ] {
        let ended = shmkit(args);
        assert_eq!(ended.code, 1, "{args:?}: {}", ended.err);
        let advice = advice.replace("NAME", &name);
        contains(&ended.err, &[&advice, "\n  or check spelling, case"]);
    }
}

#[test]
fn name_without_backslash_causes_one_warning() {
    let _watchdog = watchdog();
    let base = unique("eaten");
    let eaten = format!("Local{base}");
    let mut server = Running::serve(&[&eaten, "hello"]);
    let read = shmkit(&["consume", &eaten, "--encoding", "utf16"]);
    assert_eq!((read.code, read.out.as_str()), (0, "hello\n"));
    server.kill();
    let form = format!("'Local\\{base}' in sh");
    for err in [read.err, server.finish().err] {
        assert_eq!(err.matches("has no backslash").count(), 1, "{err}");
        contains(&err, &[&eaten, &form, "in cmd"]);
    }
    let whole = format!("Local\\{base}");
    let _server = Running::serve(&[&whole, "hello"]);
    let read = shmkit(&["consume", &whole, "--encoding", "utf16"]);
    assert_eq!((read.code, read.err.as_str()), (0, ""));
}

#[test]
fn size_error_names_option_and_limit() {
    let name = unique("sizes");
    for (args, parts) in [
        (
            &["publish", &name, "x", "--max-message", "1G"][..],
            &["'1G'", "--max-message", "a message can have at most 1 GiB"][..],
        ),
        (
            &["recv", &name, "--max-message", "1073741761"],
            &["'1073741761'", "--max-message", "at most 1 GiB"],
        ),
        (
            &["publish", &name, "x", "--capacity", "8G"],
            &["'8G'", "--capacity", "at most 4 GiB"],
        ),
        (
            &["set", &name, "x", "--max-value", "2G"],
            &["'2G'", "--max-value", "at most 16 MiB"],
        ),
        (
            &["answer", &name, "--exec", "cat", "--max-message", "500M"],
            &[
                "524288000 bytes",
                "in_flight = 8",
                "smaller --max-message or --in-flight",
            ],
        ),
    ] {
        let ended = shmkit(args);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{args:?}");
        contains(&ended.err, parts);
    }
}

#[test]
fn too_long_name_error_states_limit() {
    let _watchdog = watchdog();
    let long = unique(&"x".repeat(230));
    let refused = shmkit(&["publish", &long, "hello"]);
    assert_eq!(refused.code, 2);
    contains(&refused.err, &["a topic", "can have "]);
    assert!(!refused.err.contains('~'), "{}", refused.err);
    let (_, most) = refused.err.split_once("can have ").unwrap();
    let most: usize = most.lines().next().unwrap().parse().unwrap();
    let (fits, beyond) = (&long[long.len() - most..], &long[long.len() - most - 1..]);
    let _server = Running::publish(&[fits, "hello"]);
    assert_eq!(shmkit(&["subscribe", fits, "--count", "1"]).out, "hello\n");
    contains(&shmkit(&["publish", beyond, "hello"]).err, &["can have "]);
}

#[test]
fn killed_server_frees_its_name() {
    let _watchdog = watchdog();
    let name = unique("killed");
    for round in 0..5 {
        let text = format!("round {round}");
        let mut server = Running::serve(&[&name, &text]);
        assert_eq!(shmkit(&["consume", &name]).out, format!("{text}\n"));
        server.kill();
        assert_eq!(shmkit(&["consume", &name]).code, 1);
    }
}

#[test]
fn second_server_with_same_name_is_refused() {
    let _watchdog = watchdog();
    let name = unique("second");
    let _server = Running::serve(&[&name, "first"]);
    let second = shmkit(&["serve", &name, "second", "--size", "1M"]);
    assert_eq!(second.code, 2);
    contains(&second.err, &[&name, "another name"]);
    assert_eq!(shmkit(&["consume", &name]).out, "first\n");
}

#[test]
fn server_ends_after_time_not_on_input() {
    let _watchdog = watchdog();
    in_time(|seconds| {
        let name = unique("time");
        let mut server = Running::serve(&[&name, "hello", "--for", seconds]);
        server.send("q\n\n");
        server.close_input();
        let consumed = shmkit(&["consume", &name]);
        // Neither input nor the end of the input ends the server.
        let ended = server.finish();
        assert_eq!(ended.code, 0);
        contains(&ended.err, &["the time is up"]);
        assert_eq!(shmkit(&["consume", &name]).code, 1);
        (consumed.code == 0).then_some(())
    });
}

#[test]
fn wrong_arguments_are_refused_with_advice() {
    let name = unique("wrong");
    let long = "x".repeat(300);
    let cases: &[(&[&str], &[&str])] = &[
        (&["serve", "global\\x"], &["Global\\"]),
        (&["serve", "a\\b"], &["backslash"]),
        (&["serve", ""], &["empty"]),
        (&["serve", "Local\\"], &["after the prefix"]),
        (&["serve", &long], &["300"]),
        (&["serve", &name, "--size", "0"], &["at least one byte"]),
        (&["serve", &name, &long], &["602", "--size"]),
        (
            &["serve", &name, "日本", "--encoding", "ansi"],
            &["code page", "utf16"],
        ),
        (
            &["serve", &name, "--size", "4611686018427387904"],
            &["ask for less"],
        ),
        (&["publish", &name, "text", "--size", "4K"], &["--size"]),
        (&["serve"], &["NAME"]),
        (&["consume", &name, "--wait", "soon"], &["seconds"]),
        (&["dump", &name, "--offset", "many"], &["4096"]),
        (&["juggle"], &["juggle"]),
    ];
    for (args, parts) in cases {
        let ended = shmkit(args);
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (2, ""),
            "{args:?}: {}",
            ended.err
        );
        contains(&ended.err, parts);
    }
    let ended = shmkit(&["serve", &name, "--file", "no-such-file"]);
    assert_eq!(ended.code, 1);
    contains(&ended.err, &["no-such-file"]);
}

#[test]
fn consume_waits_for_server_until_timeout() {
    let _watchdog = watchdog();
    let name = unique("wait");
    let late = shmkit(&["consume", &name, "--wait", "0.2"]);
    assert_eq!((late.code, late.out.as_str()), (1, ""));
    let consumer = Running::start(&mut command(&["consume", &name, "--wait", "50"]));
    let _server = Running::serve(&[&name, "at last"]);
    let ended = consumer.finish();
    assert_eq!((ended.code, ended.out.as_str()), (0, "at last\n"));
}

#[test]
fn commands_tolerate_closed_output_pipe() {
    let _watchdog = watchdog();
    let name = unique("pipe");
    let mut server = Running::serve(&[&name, "hello", "--size", "64K"]);
    for args in [
        &["dump", &name][..],
        &["dump", &name, "--out", "-"],
        &["list"],
        &["show", &name],
    ] {
        let mut child = command(args);
        child.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = started(|| child.spawn());
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{args:?}");
        assert!(ended.stderr.is_empty(), "{args:?}");
    }
    // A server continues when the reader of its output closes the pipe.
    let other = unique("pipe");
    let mut unread = command(&["serve", &other, "still here"]);
    unread.stdin(Stdio::null()).stderr(Stdio::null());
    let mut unread = started(|| unread.stdout(Stdio::piped()).spawn());
    drop(unread.stdout.take());
    eventually("the unread server serves", || {
        shmkit(&["consume", &other]).code == 0
    });
    unread.kill().unwrap();
    unread.wait().unwrap();
    assert!(server.is_running());
}

#[test]
fn list_and_show_describe_section() {
    let _watchdog = watchdog();
    let base = unique("list");
    let name = listed_as(&base);
    let _server = Running::serve(&[&base, "--size", "8192"]);
    let rows = parsed(&shmkit(&["list", &base, "--json"]).out);
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(
        (&rows[0]["name"], &rows[0]["kernel_len"]),
        (&json!(name), &json!(8192))
    );
    let table = shmkit(&["list", &format!("{name}*")]).out;
    contains(&table, &["SIZE", "OWNER", "NAME", &name, "8192"]);

    let facts = parsed(&shmkit(&["show", &name, "--json"]).out);
    assert_eq!(facts["kernel_len"], 8192);
    assert_eq!(facts["backing"], "memory");
    assert_eq!(facts["reserved"], false);
    assert_eq!(facts["owner"], rows[0]["owner"]);
    assert!(facts["path"].as_str().unwrap().contains(&base));
    let shown = shmkit(&["show", &name]);
    assert_eq!(shown.code, 0);
    contains(
        &shown.out,
        &[
            &name,
            "8192 bytes (8 KiB)",
            facts["owner"].as_str().unwrap(),
        ],
    );
}

#[test]
fn dump_copies_bytes_exactly() {
    let _watchdog = watchdog();
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..70_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let input = folder.path().join("input");
    std::fs::File::create(&input)
        .unwrap()
        .write_all(&bytes)
        .unwrap();
    let name = unique("dump");
    let _server = Running::serve(&[&name, "--file", input.to_str().unwrap()]);

    let output = folder.path().join("output");
    std::fs::write(&output, "older").unwrap();
    let path = output.to_str().unwrap();
    let ended = shmkit(&["dump", &name, "--length", "70000", "--out", path]);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{}", ended.err);
    assert_eq!(std::fs::read(&output).unwrap(), bytes);

    let ended = shmkit(&[
        "dump", &name, "--offset", "0xFFFF", "--length", "3", "--json",
    ]);
    let hex: String = bytes[0xffff..][..3]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(parsed(&ended.out)["hex"], hex);

    let rows = shmkit(&["dump", &name, "--length", "32"]).out;
    assert!(
        rows.starts_with("00000000  00 07 0e 15 1c 23 2a 31  38 3f"),
        "{rows}"
    );
    assert!(rows.ends_with("\n00000020\n"), "{rows}");

    for wrong in [["--offset", "1G"], ["--length", "1G"]] {
        assert_eq!(shmkit(&["dump", &name, wrong[0], wrong[1]]).code, 2);
    }
    let nowhere = folder.path().join("no/such/folder");
    let ended = shmkit(&["dump", &name, "--out", nowhere.to_str().unwrap()]);
    assert_eq!(ended.code, 2);
    contains(&ended.err, &["cannot write"]);
}

#[test]
fn demo_completes_and_prints_every_step() {
    let _watchdog = watchdog();
    let story = [
        "three subscribers have joined",
        "was killed",
        "was started again; it begins with the newest",
        "received the last messages and the end, and left",
        "a second",
        "Nothing is left behind",
    ];
    // On a loaded machine the processes of the demo may need longer to start than the demo lasts.
    for seconds in ["1.5", "10"] {
        let ended = shmkit(&["demo", "--seconds", seconds]);
        if story.iter().all(|part| ended.out.contains(part)) {
            assert_eq!(ended.code, 0, "{}", ended.err);
            return;
        }
    }
    let ended = shmkit(&["demo", "--seconds", "40"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    contains(&ended.out, &story);
}

#[test]
fn help_and_version_print_without_error() {
    for args in [
        &["--help"][..],
        &["help", "publish"],
        &["subscribe", "-h"],
        &["help", "serve"],
        &["consume", "-h"],
        &["--version"],
    ] {
        let ended = shmkit(args);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""));
        assert!(!ended.out.is_empty());
    }
}
