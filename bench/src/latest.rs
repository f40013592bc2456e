//! Latest values: reads beside a writer that sets a value as fast as it can.

use crate::pair::Pair;
use crate::repeat::{Bound, Entry, Found, Place, Row, Scenario};
use crate::traffic::{stamp, word};
use shmkit::{GetError, Reader, Writer};
use shmkit_measure::{Times, clock};
use std::sync::atomic::Ordering;
use std::time::Duration;

const EACH: Duration = Duration::from_millis(10);
const LENS: [usize; 4] = [64, 1 << 10, 8 << 10, 64 << 10];

pub const ENTRY: Entry = Entry {
    name: "latest",
    rows: &[
        read("latest, 64 B, read, p50"),
        read("latest, 1 KiB, read, p50"),
        read("latest, 8 KiB, read, p50"),
        read("latest, 64 KiB, read, p50"),
    ],
    make: |pair| {
        let ends = LENS.map(|len| End::new(pair, len));
        Box::new(Latest { ends })
    },
};

const fn read(what: &'static str) -> Row {
    Row {
        what,
        against: "ping-pong and a copy",
        unit: "ns",
        bound: Bound::AtMost(3.0, 2.0),
        place: Place::Near,
    }
}

/// The endpoint of one process: the reader in the first process, the writer in the second process.
enum End {
    Writer(Writer),
    Reader(Reader),
}

impl End {
    fn new(pair: &Pair, len: usize) -> End {
        let name = pair.name(&format!("latest-{len}"));
        if pair.is_here() {
            pair.meet();
            return End::Reader(Reader::open(name.as_str()).unwrap());
        }
        let options = Writer::options().max_value(len as u64).prefault(true);
        let mut writer = options.create(name.as_str()).unwrap();
        writer.set(&vec![0; len]).unwrap();
        pair.meet();
        End::Writer(writer)
    }
}

struct Latest {
    ends: [End; LENS.len()],
}

impl Scenario for Latest {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let mut found = Vec::new();
        pair.reply().store(0, Ordering::Relaxed);
        for (n, end) in (1..).zip(&mut self.ends) {
            let End::Reader(reader) = end else {
                unreachable!("the reader is here");
            };
            pair.meet();
            let times = hot_reads(reader);
            // Pairs with the writer's load.
            pair.reply().store(n, Ordering::Release);
            pair.meet();
            let copy = copy_ns(reader.max_value());
            found.push(Found::beside_the_line(times.percentile(0.5), 0.5, copy));
        }
        found
    }

    fn there(&mut self, pair: &Pair) {
        for (n, end) in (1..).zip(&mut self.ends) {
            let End::Writer(writer) = end else {
                unreachable!("the writer is there");
            };
            let mut value = vec![0; writer.max_value()];
            let mut number = 0;
            pair.meet();
            // Pairs with the reader's store.
            while pair.reply().load(Ordering::Acquire) < n {
                number += 1;
                stamp(&mut value, number);
                writer.set(&value).unwrap();
            }
            pair.meet();
        }
    }
}

/// Reads for some time, and returns the times of the reads that found another value than the read
/// before. The other reads do not count: they found the value in their own cache.
fn hot_reads(reader: &mut Reader) -> Times {
    // The times are added to a histogram at the end, since adding a time would be a part of the
    // next read.
    let mut hot = Vec::with_capacity(1 << 18);
    let mut start = clock::now();
    let end = start + clock::ticks(EACH);
    let mut last = u64::MAX;

    while start < end {
        let ends = match reader.get() {
            Ok(value) => Some((word(value), word(&value[value.len() - 8..]))),
            Err(GetError::Busy) => None,
            Err(error) => panic!("{error}"),
        };
        let now = clock::now();
        if let Some((number, again)) = ends {
            assert_eq!(number, again, "torn");
            if number != last {
                hot.push(now - start);
                last = number;
            }
        }
        start = clock::now();
    }

    let mut times = Times::new();
    hot.into_iter().for_each(|ticks| times.record(ticks));
    times
}

/// Measures how many nanoseconds a copy of this many bytes takes, from near caches.
fn copy_ns(len: usize) -> f64 {
    const TIMES: usize = 100;
    let (from, mut to) = (vec![1u8; len], vec![0u8; len]);
    let start = clock::now();
    for _ in 0..TIMES {
        std::hint::black_box(&mut to).copy_from_slice(std::hint::black_box(&from));
    }
    clock::ns(clock::now() - start) / TIMES as f64
}
