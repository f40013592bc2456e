//! Measures how fast shmkit is, as ratios to the speed of the machine and of its system in the same
//! run. Set-up and waits are compared with bare system calls. Messages are compared with a line
//! that goes to and fro between two processors, with bare rings, and with other ways to carry
//! messages.
//!
//!     shmkit-bench [--check] [--quick] [--only NAME]
//!
//! With `--check` the program fails if a ratio misses its gate. With `--quick` the program only
//! shows that everything runs, and judges no ratio. NAME is `calls`, `waits`, `steps` or the name
//! of a scenario.

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

/// Runs the measurements, and returns whether every ratio is within its limit.
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

    // A quick run only shows that everything runs, so it is not judged.
    good || quick
}

/// Returns the median. Panics if there are no values.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
