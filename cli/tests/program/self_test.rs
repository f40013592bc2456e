//! Tests `shmkit doctor --self-test`: that it passes here, what it reports, and that it leaves no
//! objects.

use crate::common::{eventually, step, unique, watchdog};
use crate::run::{Ended, Running, command, contains, parsed, shmkit};
use serde_json::Value;
use shmkit::Mutex;
use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

const AREAS: [&str; 10] = [
    "access", "calls", "deaths", "events", "mutexes", "queue", "sections", "topic", "values",
    "waiting",
];

fn start(more: &[&str]) -> Running {
    Running::start(command(&["doctor", "--self-test"]).args(more))
}

/// Waits for a self-test that prints a single line at its end. The self-test ends by itself,
/// because each check has a time limit, but on a loaded machine it takes longer than the watchdog
/// would wait.
fn finish(test: Running) -> Ended {
    let (over, ended) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                step();
            }
        });
        let told = test.finish();
        drop::<Sender<()>>(over);
        told
    })
}

/// Checks that no object of these processes is left.
fn nothing_is_left(pids: [u32; 2]) {
    let stems = pids.map(|pid| format!("shmkit-self-test-{pid}-"));
    let is_theirs = |name: &str| stems.iter().any(|stem| name.contains(stem));
    eventually("nothing is left", || {
        let listed = shmkit::inspect::list().unwrap();
        !listed.iter().any(|one| is_theirs(&one.name))
    });
    if cfg!(target_os = "linux") {
        let files = std::fs::read_dir("/dev/shm").unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap_or_default());
        let left: Vec<String> = names.filter(|name| is_theirs(name)).collect();
        assert_eq!(left, [""; 0]);
    }
}

/// Returns the name and the number of this user. The owner of an object is printed as the name,
/// with the number in brackets.
fn me() -> (String, String) {
    let owner = Mutex::create_new(unique("me")).unwrap().info().owner;
    let owner = owner.unwrap();
    let (name, number) = owner.split_once(" (").unwrap_or((&owner, ""));
    (name.to_string(), number.trim_end_matches(')').to_string())
}

fn account(report: &Value) -> &str {
    let findings = report["findings"].as_array().unwrap();
    let account = findings.iter().find(|one| one["topic"] == "account");
    account.unwrap()["says"].as_str().unwrap()
}

/// Runs two self-tests at once. Only the self-test with `--full` prints the user.
#[test]
fn self_test_passes_and_masks_the_user() {
    let _watchdog = watchdog();
    let full = start(&["--json", "--full"]);
    let mut text = start(&[]);
    let pids = [full.id(), text.id()];
    let mut lines = Vec::new();
    while let Some(line) = Some(text.line()).filter(|line| !line.contains("checks passed")) {
        step();
        lines.push(line);
    }
    let text = text.finish();
    assert_eq!((text.code, &*text.err), (0, ""), "{}", lines.join("\n"));
    let full = finish(full);
    assert_eq!((full.code, &*full.err), (0, ""), "{}", full.out);
    nothing_is_left(pids);

    let report = parsed(&full.out);
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() >= 55, "{}", checks.len());
    let areas = checks.iter().map(|one| one["area"].as_str().unwrap());
    let areas: BTreeSet<_> = areas.collect();
    assert_eq!(areas, BTreeSet::from(AREAS));
    for check in checks {
        let outcome = check["outcome"].as_str().unwrap();
        assert!(["passed", "skipped"].contains(&outcome), "{check}");
        assert_eq!(outcome == "skipped", check["reason"].is_string(), "{check}");
        assert!(check["milliseconds"].as_f64().unwrap() >= 0.0, "{check}");
        let line = format!("{outcome:<8} {}: ", check["area"].as_str().unwrap());
        assert!(lines.iter().any(|said| said.starts_with(&line)), "{line}");
    }
    for speed in report["speed"].as_array().unwrap() {
        // On a busy machine a floor may take so long that the ratio is rounded to zero.
        assert!(speed["ratio"].as_f64().unwrap() >= 0.0, "{speed}");
        for time in ["nanoseconds", "floor_nanoseconds"] {
            assert!(speed[time].as_f64().unwrap() > 0.0, "{speed}");
        }
    }
    assert_eq!(report["shmkit"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["failed"], 0);
    let summary = report["summary"].as_str().unwrap();
    contains(summary, &[&format!(" of {} checks passed", checks.len())]);

    let (name, number) = me();
    assert_eq!(report["masked"], false);
    contains(account(&report), &[&name, &number]);
    let account = lines
        .iter()
        .find(|line| line.contains("account: "))
        .unwrap();
    contains(account, &["<user>"]);
    let said = lines.join("\n");
    for part in name.split('\\') {
        assert!(!account.contains(part), "{account}");
        assert!(!said.contains(&format!("{part} (")), "{said}");
    }
    assert!(
        !number.starts_with("S-1-5-21-") || !said.contains(&number),
        "{said}"
    );
}

#[test]
fn self_test_ends_when_output_pipe_closes() {
    let _watchdog = watchdog();
    let mut test = start(&[]);
    while !test.line().starts_with("passed") {}
    assert_eq!(test.leave().code, 0);
}

#[test]
fn full_option_requires_self_test() {
    let ended = shmkit(&["doctor", "--full"]);
    assert_eq!(ended.code, 2);
    contains(&ended.err, &["--self-test"]);
}
