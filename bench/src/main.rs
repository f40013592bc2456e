//! How fast it is, as ratios to what the machine and its system can do, measured in the
//! same run: set-up and waits against bare system calls, messages against a line that goes
//! to and fro between two processors, bare rings, and others that carry messages.
//!
//!     shmkit-bench [--check] [--quick] [--only NAME]
//!
//! With `--check` a ratio that misses its gate is a failure; with `--quick` it is only seen
//! to run. The names: calls, waits, steps, and those of the scenarios.

mod bulk;
mod calls;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod direct;
mod floor;
mod hand_off;
#[cfg(feature = "peers")]
mod iceoryx;
mod latency;
mod latest;
mod link;
mod pair;
mod peers;
mod repeat;
mod rpc;
#[cfg(all(feature = "peers", target_os = "linux"))]
mod shmem;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod steps;
mod stream;
mod table;
mod topic;
mod traffic;
mod waits;

use repeat::{Effort, Entry};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (mut check, mut quick, mut only) = (false, false, None);
    match args[..] {
        [waits::IDLE] => {
            waits::idle();
            return ExitCode::SUCCESS;
        }
        [waits::SERVE, name] => {
            waits::serve(name);
            return ExitCode::SUCCESS;
        }
        [pair::THERE, scenario, base, peer] => {
            let entry = entries().into_iter().find(|entry| entry.name == scenario);
            repeat::serve(&entry.unwrap(), base, peer);
            return ExitCode::SUCCESS;
        }
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        [steps::STEPPED, name] => {
            steps::stepped(name);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let mut rest = args.into_iter();
    while let Some(arg) = rest.next() {
        match arg {
            "--check" => check = true,
            "--quick" => quick = true,
            "--only" => only = rest.next(),
            other => {
                eprintln!("what is {other}?");
                return ExitCode::FAILURE;
            }
        }
    }
    let good = run(only, quick);
    if check && !good {
        eprintln!("a limit is missed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    all.extend(latency::ENTRIES);
    all.extend(rpc::ENTRIES);
    all.extend(stream::ENTRIES);
    all.extend(bulk::ENTRIES);
    all.push(hand_off::ENTRY);
    all.extend(topic::ENTRIES);
    all.push(latest::ENTRY);
    all.extend(peers::entries());
    all
}

/// Says whether everything is within its limits.
fn run(only: Option<&str>, quick: bool) -> bool {
    let name = format!("Local\\shmkit-bench-{}", std::process::id());
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let mut good = true;
    if wanted("calls") {
        good &= calls::run(&name, if quick { 20 } else { 200 });
    }
    if wanted("waits") {
        good &= waits::run(&name);
    }
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    if wanted("steps") {
        good &= steps::run(&name);
    }
    let effort = match quick {
        true => Effort {
            wanted: 2,
            tries: 2,
        },
        false => Effort {
            wanted: 9,
            tries: 40,
        },
    };
    let entries: Vec<Entry> = entries().into_iter().filter(|e| wanted(e.name)).collect();
    if !entries.is_empty() {
        table::head();
    }
    for entry in &entries {
        good &= repeat::run(entry, &name, &effort);
    }
    // What is only seen to run is not judged.
    good || quick
}

/// The middle one; of none there is none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
