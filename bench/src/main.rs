//! What our checks cost: create + map + unmap + close, and open + map + unmap +
//! close, against the same system calls made directly. And what a wake costs, by an
//! event and by a death, against a bare one of the same kind.
//!
//! Batches of the two are interleaved, so that both meet the same machine; of each
//! pair of batches the ratio is taken, and its median printed. With `--check` a median
//! above the limit is a failure.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod direct;
mod waits;

use shmkit::Section;
use std::process::ExitCode;
use std::time::Instant;

/// Ours may cost at most this many times the bare system calls.
const LIMIT: f64 = 1.3;
/// A death may wake a waiter this much later than who waits for nothing else.
const DEATH_LIMIT: f64 = 10.0;
const SIZE: u64 = 4096;
const PAIRS: usize = 200;
const BATCH: u32 = 50;

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == waits::IDLE) {
        waits::idle();
        return ExitCode::SUCCESS;
    }
    let check = std::env::args().any(|arg| arg == "--check");
    let name = format!("Local\\shmkit-bench-{}", std::process::id());
    let direct = direct::Direct::new(&name);

    let create = compare(
        || {
            let section = Section::create_new(&name, SIZE).unwrap();
            drop(section.map_rw(..).unwrap());
        },
        || direct.create(),
    );
    let plain = time(|| direct.plain_create());
    report("create + map + unmap + close", &create, plain);

    let held = Section::create_new(&name, SIZE).unwrap();
    let open = compare(
        || {
            let section = Section::open(&name).unwrap();
            drop(section.map(..).unwrap());
        },
        || direct.open(),
    );
    drop(held);
    let plain = direct.with_plain(|| time(|| direct.plain_open()));
    report("open + map + unmap + close", &open, plain);

    let (ours, bare) = waits::round_trip(&name);
    wake("two threads wake each other", ours, bare);
    let (ours, bare) = waits::death(&name);
    wake("a death wakes a waiter", ours, bare);
    if check && ours / bare > DEATH_LIMIT {
        eprintln!("a death is told more than {DEATH_LIMIT} times as late");
        return ExitCode::FAILURE;
    }

    if check && [&create, &open].iter().any(|c| c.ratio > LIMIT) {
        eprintln!("a ratio is above {LIMIT}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

struct Compared {
    ours: f64,
    direct: f64,
    ratio: f64,
}

/// Microseconds for one call, the median of batches.
fn compare(mut ours: impl FnMut(), mut direct: impl FnMut()) -> Compared {
    let mut pairs: Vec<(f64, f64)> = (0..PAIRS)
        .map(|n| {
            // Whoever comes second may find warmer caches: take turns.
            if n % 2 == 0 {
                let first = batch(&mut ours);
                (first, batch(&mut direct))
            } else {
                let first = batch(&mut direct);
                (batch(&mut ours), first)
            }
        })
        .collect();
    pairs.drain(..PAIRS / 10);
    Compared {
        ours: median(pairs.iter().map(|p| p.0)),
        direct: median(pairs.iter().map(|p| p.1)),
        ratio: median(pairs.iter().map(|p| p.0 / p.1)),
    }
}

fn time(mut call: impl FnMut()) -> f64 {
    median((0..PAIRS).map(|_| batch(&mut call)))
}

fn batch(call: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..BATCH {
        call();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn wake(what: &str, ours: f64, bare: f64) {
    println!("{what}");
    println!("  shmkit                     {ours:8.2} µs");
    println!("  a bare wait                {bare:8.2} µs");
    println!("  ratio                      {:8.2}", ours / bare);
}

fn report(what: &str, compared: &Compared, plain: f64) {
    println!("{what}");
    println!("  shmkit                     {:8.2} µs", compared.ours);
    println!("  the same calls, direct     {:8.2} µs", compared.direct);
    println!("  ratio                      {:8.2}", compared.ratio);
    println!("  {:26} {plain:8.2} µs", direct::PLAIN);
}
