//! Tests `set` and `get`, and what `show` prints about values, on every system.

use crate::common::{eventually, unique, watchdog};
use crate::run::{Ended, Running, command, contains, in_time, parsed, shmkit};
use serde_json::json;

fn run(args: &[&str], code: i32) -> Ended {
    let ended = shmkit(args);
    assert_eq!(ended.code, code, "{args:?}: {}{}", ended.out, ended.err);
    ended
}

/// Starts a writer, and waits until it has set `count` values.
fn set(args: &[&str], count: u64) -> Running {
    let writer = Running::start(command(&["set"]).args(args));
    has_set(args[0], count);
    writer
}

fn has_set(name: &str, count: u64) {
    eventually("the values are set", || {
        let shown = shmkit(&["show", name, "--json"]);
        shown.code == 0 && parsed(&shown.out)["messages"]["owner"]["set"] == count
    });
}

#[test]
fn get_prints_and_follows_set_value() {
    let _watchdog = watchdog();
    let name = unique("set");
    let mut writer = set(&[&name, "first", "-5.5", "-"], 2);
    assert_eq!(run(&["get", &name], 0).out, "-5.5\n");
    let mut follower = Running::start(&mut command(&["get", &name, "--follow"]));
    assert_eq!(follower.line(), "-5.5");
    for value in ["one", "", "two words"] {
        writer.send(format!("{value}\n"));
        assert_eq!(follower.line(), value);
    }
    let json = run(&["get", &name, "--json"], 0).out;
    assert_eq!(parsed(&json), json!({ "text": "two words" }));
    let counted = run(&["get", &name, "--follow", "--count", "1"], 0);
    assert_eq!(counted.out, "two words\n");
    writer.kill();
    let ended = follower.finish();
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    contains(&ended.err, &[&name, "died"]);
    run(&["get", &name], 1);
}

#[test]
fn set_and_get_address_table_by_key() {
    let _watchdog = watchdog();
    let name = unique("table");
    let keys = [
        &name,
        "--table",
        "indoors=21.5",
        "outdoors",
        "cellar=a=b",
        "-",
    ];
    let mut writer = set(&keys, 2);
    let all = run(&["get", &name], 0).out;
    assert_eq!(all, "indoors=21.5\ncellar=a=b\n");
    assert_eq!(run(&["get", &name, "cellar"], 0).out, "a=b\n");
    contains(
        &run(&["get", &name, "outdoors"], 1).err,
        &["nothing was set"],
    );
    let wrong = run(&["get", &name, "attic"], 2).err;
    contains(&wrong, &["no value attic", "indoors, outdoors, cellar"]);
    let waiting = Running::start(&mut command(&["get", &name, "outdoors", "--wait", "50"]));
    writer.send("nonsense\nattic=1\noutdoors=-3\n");
    has_set(&name, 3);
    assert_eq!(waiting.finish().out, "-3\n");
    let lines = run(&["get", &name, "--json"], 0).out;
    let lines: Vec<_> = lines.lines().map(parsed).collect();
    assert_eq!(lines[1], json!({ "key": "outdoors", "text": "-3" }));
    let shown = run(&["show", &name], 0).out;
    contains(
        &shown,
        &[
            "values: readers get the newest",
            "for 3 of them",
            "writer",
            "set 3",
        ],
    );
    writer.kill();
    let told = writer.finish();
    contains(
        &told.err,
        &["nonsense is not of the form KEY=VALUE", "no key attic"],
    );
}

#[test]
fn get_of_unknown_key_lists_nearest_keys() {
    let _watchdog = watchdog();
    let name = unique("keys");
    let keys: Vec<String> = (0..200).map(|n| format!("SYM{n:03}=1")).collect();
    let mut args = vec![name.as_str(), "--table"];
    args.extend(keys.iter().map(String::as_str));
    args.push("-");
    let _writer = set(&args, 200);
    let wrong = run(&["get", &name, "SYM042X"], 2).err;
    contains(&wrong, &["no value SYM042X", "of the 200 keys: SYM042, "]);
    assert_eq!(wrong.matches("SYM").count(), 1 + 5, "{wrong}");
    let none = run(&["get", &name, "SYMX*"], 2).err;
    contains(&none, &["no value SYMX*", "the nearest of the 200 keys"]);
    let some = run(&["get", &name, "SYM04?"], 0).out;
    assert_eq!(some.lines().count(), 10, "{some}");
    assert!(some.starts_with("SYM040=1\nSYM041=1\n"), "{some}");
    let lines = run(&["get", &name, "*9", "--json"], 0).out;
    let lines: Vec<_> = lines.lines().map(parsed).collect();
    assert_eq!(lines.len(), 20);
    assert_eq!(lines[0], json!({ "key": "SYM009", "text": "1" }));
    let mut follower = Running::start(&mut command(&["get", &name, "SYM1*", "--follow"]));
    assert_eq!(follower.line(), "SYM100=1");
}

#[test]
fn get_reports_that_writer_closed() {
    let _watchdog = watchdog();
    in_time(|seconds| {
        let name = unique("closed");
        let follow = ["get", &name, "--follow", "--wait", seconds];
        let follower = Running::start(&mut command(&follow));
        let writer = Running::start(&mut command(&["set", &name, "value", "--for", seconds]));
        let ended = follower.finish();
        assert_eq!(writer.finish().code, 0);
        if ended.err.contains(&format!("waited {seconds} s")) {
            return None;
        }
        let told = (ended.code, ended.out.as_str());
        assert_eq!(told, (0, "value\n"), "{}", ended.err);
        contains(&ended.err, &[&name, "has closed"]);
        Some(())
    });
}

#[test]
fn misuse_of_values_is_refused_with_reason() {
    let _watchdog = watchdog();
    let name = unique("wrong");
    contains(&run(&["get", &name], 1).err, &[&name]);
    contains(&run(&["set", &name, "--table", "-"], 2).err, &["no keys"]);
    contains(
        &run(&["set", &name, &"x".repeat(2000)], 2).err,
        &["--max-value 2000"],
    );
    let _writer = set(&[&name, "here"], 1);
    contains(&run(&["set", &name, "again"], 2).err, &[&name]);
    contains(
        &run(&["consume", &name], 2).err,
        &["holds values", "shmkit get"],
    );
    contains(&run(&["send", &name, "x"], 2).err, &["holds values"]);
    let other = unique("served");
    let _topic = Running::publish(&[&other, "message"]);
    contains(&run(&["get", &other], 2).err, &["a topic"]);
}
