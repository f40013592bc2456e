//! Tests of the sensors example, which has a foreign protocol of a section, a mutex and an event.
//! The Rust programs run against each other, and on Windows also against the C programs, in both
//! roles. `ci/classic` compiles the C programs.

#![allow(clippy::duplicate_mod, reason = "both programs have the protocol")]

#[allow(dead_code, reason = "its main is for those who run the example")]
#[path = "../../examples/sensors_publisher.rs"]
mod publisher;
#[allow(dead_code, reason = "its main is for those who run the example")]
#[path = "../../examples/sensors_reader.rs"]
mod reader;

use crate::common::{eventually, in_role, started, unique, watchdog};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Far more than a reader waits for; the publisher is killed when the reader has enough.
const UPDATES: &str = "100000";
const READ: usize = 60;

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    {
        let updates = args[1].parse().unwrap();
        match role {
            "publisher" => publisher::run(args[0], updates).unwrap(),
            _ => reader::run(args[0], updates).unwrap(),
        }
    }
}

/// Makes a command from the name of a section and a number of updates.
type Program = fn(&str, &str) -> Command;

fn our_publisher(name: &str, updates: &str) -> Command {
    in_role("sensors/publisher", &[name, updates])
}

fn our_reader(name: &str, updates: &str) -> Command {
    in_role("sensors/reader", &[name, updates])
}

#[cfg(windows)]
fn theirs(program: &str, name: &str, updates: &str) -> Command {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        std::path::PathBuf::from,
    );
    let path = folder.join(format!("classic/sensors-{program}.exe"));
    assert!(path.exists(), "missing: run ci/classic first");
    let mut command = Command::new(path);
    command.args([name, updates]);
    command
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a publisher and a reader. Asserts that each update is read as a whole, and that the updates
/// are in order.
fn pair(publisher: Program, reader: Program) {
    let _watchdog = watchdog();
    let name = format!("Local\\{}", unique("sensors"));
    let mut publisher = publisher(&name, UPDATES);
    let mut publisher = Killed(started(|| publisher.stdout(Stdio::piped()).spawn()));
    let told = BufReader::new(publisher.0.stdout.take().unwrap());
    let ready = |line: std::io::Result<String>| line.unwrap().contains("publishing");
    assert!(told.lines().any(ready));

    let read = started(|| reader(&name, &READ.to_string()).output());
    let (out, err) = (text(&read.stdout), text(&read.stderr));
    assert!(read.status.success(), "{err}");
    assert_eq!(err, "", "the reader reported an error");
    let updates: Vec<u32> = out.lines().filter_map(whole).collect();
    assert_eq!(updates.len(), READ);
    // An update that came between a signal and the copy is signaled again, and so read twice.
    assert!(updates.is_sorted(), "{updates:?}");

    drop(publisher);
    eventually("the section is gone with the publisher", || {
        let read = started(|| reader(&name, "1").output());
        !read.status.success() && read.stdout.windows(2).all(|bytes| bytes != b" [")
    });
}

/// Returns the number of an update, or `None` for other lines. Asserts that all values belong to
/// the update.
fn whole(line: &str) -> Option<u32> {
    let (update, values) = line.rsplit("... ").next()?.split_once(" [")?;
    let update: u32 = update.parse().ok()?;
    for (n, value) in values.trim_end_matches(']').split(", ").enumerate() {
        let value: f64 = value.parse().unwrap();
        assert_eq!(value, f64::from(update) + n as f64 / 8.0, "torn: {line}");
    }
    Some(update)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn our_sensor_reader_reads_our_publisher() {
    pair(our_publisher, our_reader);
}

#[cfg(windows)]
#[test]
fn c_sensor_reader_reads_our_publisher() {
    pair(our_publisher, |name, updates| {
        theirs("reader", name, updates)
    });
}

#[cfg(windows)]
#[test]
fn our_sensor_reader_reads_c_publisher() {
    pair(
        |name, updates| theirs("publisher", name, updates),
        our_reader,
    );
}
