//! Tests what `shmkit bench` prints, and that it always ends. These tests do not check how fast
//! anything is.

use crate::common::{eventually, started, watchdog};
use crate::run::{Running, command, contains, parsed, shmkit};
use std::process::Command;

const LOCAL: &str = if cfg!(windows) {
    "named pipe"
} else {
    "Unix socket"
};
const TRANSPORTS: [&str; 4] = ["shared memory", "anonymous pipe", LOCAL, "TCP"];

/// The arguments of a short measurement.
const SHORT: [&str; 5] = ["bench", "--sizes", "4K,64", "--seconds", "0.2"];

/// The arguments of a measurement that takes longer than any test.
const LONG: [&str; 5] = ["bench", "--sizes", "64", "--seconds", "100"];

#[test]
fn bench_table_has_each_transport_and_size() {
    let _watchdog = watchdog();
    let ended = shmkit(&SHORT);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
    let mut blocks = ended.out.split("\n\n");
    let head = blocks.next().unwrap();
    contains(
        head,
        &[env!("CARGO_PKG_VERSION"), "processor", "pinned", "floor: "],
    );
    for size in ["64 B", "4 KiB"] {
        let lines: Vec<&str> = blocks.next().unwrap().lines().collect();
        assert!(lines[0].ends_with("× shared memory"));
        assert!(lines[1].starts_with(size), "{size}: {}", lines[1]);
        contains(
            lines[1],
            &["p50", "p99", "p99.9", "max", "messages/s", "GB/s"],
        );
        assert_eq!(lines.len(), 2 + TRANSPORTS.len());
        for (row, transport) in lines[2..].iter().zip(TRANSPORTS) {
            assert!(row.starts_with(transport), "{transport}: {row}");
        }
        // The first transport is compared with itself.
        let columns: Vec<&str> = lines[2].split_whitespace().collect();
        assert!(columns.ends_with(&["1.00", "1.00"]), "{}", lines[2]);
    }
    contains(blocks.next().unwrap(), &["round trip"]);
}

#[test]
fn bench_json_is_complete_and_consistent() {
    let _watchdog = watchdog();
    let ended = shmkit(&[&SHORT[..], &["--json"]].concat());
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let report = parsed(&ended.out);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert!(report["processors"].as_u64() > Some(0));
    assert!(report["pinned_to_processors"].is_array() || report["pinned_to_processors"].is_null());
    makes_sense(&report["floor"]);
    let results = report["results"].as_array().unwrap();
    let what = |row: &serde_json::Value| (row["size_bytes"].clone(), row["transport"].clone());
    let want = [64, 4096].map(|size| TRANSPORTS.map(|name| (size.into(), name.into())));
    assert_eq!(results.iter().map(what).collect::<Vec<_>>(), want.concat());
    for row in results {
        makes_sense(row);
        let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key}: {row}"));
        let (messages, size) = (number("messages_per_s"), number("size_bytes"));
        assert!(number("messages") > 0.0 && messages > 0.0, "{row}");
        let bytes = number("gigabytes_per_s") * 1e9;
        assert!((bytes / (messages * size) - 1.0).abs() < 1e-6, "{row}");
        let ratios = ["round_trip_times_slower", "one_way_times_slower"].map(number);
        match row["transport"] == "shared memory" {
            true => assert_eq!(ratios, [1.0, 1.0]),
            false => assert!(ratios.iter().all(|ratio| *ratio > 0.0), "{row}"),
        }
    }
}

/// Checks that there are round trips that took some time, and that the percentiles never fall.
fn makes_sense(trips: &serde_json::Value) {
    let keys = ["p50_ns", "p99_ns", "p99_9_ns", "max_ns"];
    let times = keys.map(|key| trips[key].as_u64().unwrap());
    assert!(times[0] > 0 && times.is_sorted(), "{trips}");
    assert!(trips["round_trips"].as_u64() > Some(0), "{trips}");
}

#[test]
fn bench_refuses_wrong_arguments_before_measuring() {
    let _watchdog = watchdog();
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("bench.svg");
    let svg = svg.to_str().unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["--sizes", "0"], &["at least one byte"]),
        (&["--sizes", "64,many"], &["4096", "64K"]),
        (&["--sizes", ""], &["--sizes"]),
        (&["--sizes", "64,1T"], &["'1T'", "--sizes", "1 GiB"]),
        (&["--seconds", "soon"], &["seconds"]),
        (&["--sizes", "1T", "--svg", svg], &["'1T'", "--sizes"]),
    ];
    refused(cases);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Checks that each list of arguments is refused with these words, and that nothing is printed to
/// standard output.
fn refused(cases: &[(&[&str], &[&str])]) {
    for (args, parts) in cases {
        let ended = shmkit(&[&["bench"], *args].concat());
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (2, ""),
            "{args:?}: {}",
            ended.err
        );
        contains(&ended.err, parts);
    }
}

/// Returns the pid of the second process: the owner of the queue in which that process receives.
fn second_process(bench: &Running) -> u32 {
    let queue = format!("Local\\shmkit-bench-{}-there", bench.id());
    let mut found = None;
    eventually("the second process has its queue", || {
        found = shmkit::inspect::segment_info(queue.as_str()).ok();
        found.is_some()
    });
    found.unwrap().owner.pid
}

fn kill(pid: u32) {
    let pid = pid.to_string();
    let mut kill = match cfg!(windows) {
        true => Command::new("taskkill"),
        false => Command::new("kill"),
    };
    match cfg!(windows) {
        true => kill.args(["/F", "/PID", &pid]),
        false => kill.args(["-9", &pid]),
    };
    let killed = started(|| kill.output());
    assert!(killed.status.success(), "{killed:?}");
}

#[test]
fn bench_fails_when_second_process_dies() {
    let _watchdog = watchdog();
    // The second process is killed while the floor is measured and both processes spin.
    let bench = Running::start(&mut command(&LONG));
    kill(second_process(&bench));
    died(bench);
    // The second process is killed while messages are exchanged. The measurement of each size takes
    // at least as long as that of the floor.
    let mut bench = Running::start(&mut command(&["bench", "--seconds", "20"]));
    assert!(bench.line().contains("shmkit"));
    kill(second_process(&bench));
    died(bench);
}

fn died(bench: Running) {
    let id = bench.id();
    let ended = bench.finish();
    assert_eq!(ended.code, 1, "{}", ended.err);
    contains(&ended.err, &["the second process died"]);
    assert_eq!(left_by(id), Vec::<String>::new());
}

#[test]
fn finished_bench_leaves_no_objects() {
    let _watchdog = watchdog();
    let bench = Running::start(&mut command(&SHORT));
    let id = bench.id();
    second_process(&bench);
    assert!(!left_by(id).is_empty());
    assert_eq!(bench.finish().code, 0);
    assert_eq!(left_by(id), Vec::<String>::new());
}

/// Returns the names of the objects that a benchmark has. On Linux `list` would remove stale files,
/// so this function reads the folder `/dev/shm` instead.
fn left_by(id: u32) -> Vec<String> {
    let mine = format!("shmkit-bench-{id}-");
    let all: Vec<String> = match std::fs::read_dir("/dev/shm") {
        Ok(files) if cfg!(target_os = "linux") => {
            let names = files.flatten().map(|file| file.file_name());
            names.map(|name| name.to_string_lossy().into()).collect()
        }
        _ => {
            let listed = shmkit::inspect::list().unwrap().into_iter();
            listed.map(|listed| listed.name).collect()
        }
    };
    all.into_iter()
        .filter(|name| name.contains(&mine))
        .collect()
}

#[test]
fn bench_succeeds_when_output_pipe_closes() {
    let _watchdog = watchdog();
    let ended = Running::start(&mut command(&SHORT)).leave();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

#[cfg(feature = "plots")]
mod plots {
    use super::*;
    use roxmltree::Document;

    #[test]
    fn bench_plot_labels_transports_sizes_and_units() {
        let _watchdog = watchdog();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.svg");
        std::fs::write(&path, "older ".repeat(100_000)).unwrap();
        let svg = path.to_str().unwrap();
        let ended = shmkit(&[&SHORT[..], &["--svg", svg]].concat());
        assert_eq!(ended.code, 0, "{}", ended.err);
        contains(&ended.err, &["wrote the plot", svg]);
        let text = std::fs::read_to_string(&path).unwrap();
        let plot = Document::parse(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(plot.root_element().tag_name().name(), "svg");
        let words = plot.descendants().filter(|node| node.has_tag_name("text"));
        let words: String = words.filter_map(|node| node.text()).collect();
        contains(&words, &TRANSPORTS);
        contains(&words, &["64 B", "4 KiB", "GB/s", "floor"]);
        // On a loaded machine all times may be milliseconds.
        let has_unit = |unit: &&str| words.contains(*unit);
        assert!(["ns", "µs", "ms"].iter().any(has_unit), "{words}");
    }

    #[test]
    fn unwritable_bench_plot_path_is_refused() {
        let _watchdog = watchdog();
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("no/such/folder/bench.svg");
        let (nowhere, a_folder) = (nowhere.to_str().unwrap(), folder.path().to_str().unwrap());
        refused(&[
            (&["--svg", nowhere], &["cannot write", "no"]),
            (&["--svg", a_folder], &["cannot write", a_folder]),
        ]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[cfg(not(feature = "plots"))]
#[test]
fn svg_option_without_plots_feature_is_refused() {
    let _watchdog = watchdog();
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("bench.svg");
    let words = ["built without plots", "--features plots"];
    refused(&[(&["--svg", svg.to_str().unwrap()], &words)]);
    assert!(!svg.exists());
}
