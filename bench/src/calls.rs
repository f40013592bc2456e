//! The cost of the checks of shmkit: create + map + unmap + close, and open + map + unmap + close,
//! compared with the same system calls made directly.
//!
//! Batches of the two kinds are interleaved, so that both run under the same conditions. The
//! program computes the ratio of each pair of batches, and prints the median of the ratios.

use crate::{direct, median};
use shmkit::Section;
use std::time::Instant;

/// The greatest allowed ratio of the cost of shmkit to the cost of the bare system calls.
const LIMIT: f64 = 1.3;
const SIZE: u64 = 4096;
const BATCH: u32 = 50;

/// Returns whether both ratios are within the limit.
pub fn run(name: &str, pairs: usize) -> bool {
    let direct = direct::Direct::new(name);

    let create = compare(
        pairs,
        || {
            let section = Section::create_new(name, SIZE).unwrap();
            drop(section.map_rw(..).unwrap());
        },
        || direct.create(),
    );
    let plain = time(pairs, || direct.plain_create());
    report("create + map + unmap + close", &create, plain);

    let held = Section::create_new(name, SIZE).unwrap();
    let open = compare(
        pairs,
        || {
            let section = Section::open(name).unwrap();
            drop(section.map(..).unwrap());
        },
        || direct.open(),
    );
    drop(held);
    let plain = direct.with_plain(|| time(pairs, || direct.plain_open()));
    report("open + map + unmap + close", &open, plain);
    create.ratio <= LIMIT && open.ratio <= LIMIT
}

struct Compared {
    ours: f64,
    direct: f64,
    ratio: f64,
}

/// Returns the microseconds for one call of each kind, and their ratio. Each is a median of
/// batches.
fn compare(pairs: usize, mut ours: impl FnMut(), mut direct: impl FnMut()) -> Compared {
    let mut batches: Vec<(f64, f64)> = (0..pairs)
        .map(|n| {
            // The second batch of a pair may find warmer caches, so the two kinds take turns.
            if n % 2 == 0 {
                let first = batch(&mut ours);
                (first, batch(&mut direct))
            } else {
                let first = batch(&mut direct);
                (batch(&mut ours), first)
            }
        })
        .collect();

    batches.drain(..pairs / 10);

    Compared {
        ours: median(batches.iter().map(|p| p.0)),
        direct: median(batches.iter().map(|p| p.1)),
        ratio: median(batches.iter().map(|p| p.0 / p.1)),
    }
}

fn time(pairs: usize, mut call: impl FnMut()) -> f64 {
    median((0..pairs).map(|_| batch(&mut call)))
}

fn batch(call: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..BATCH {
        call();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
}

fn report(what: &str, compared: &Compared, plain: f64) {
    println!("{what}");
    println!("  shmkit                     {:8.2} µs", compared.ours);
    println!("  the same calls, direct     {:8.2} µs", compared.direct);
    println!("  ratio                      {:8.2}", compared.ratio);
    println!("  {:26} {plain:8.2} µs", direct::PLAIN);
}
