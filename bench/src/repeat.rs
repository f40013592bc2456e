//! Repetitions of a scenario, each between two looks at where the processors are.

use crate::median;
use crate::pair::Pair;
use crate::{floor, table};
use shmkit_measure::Times;
use std::time::Duration;

/// What two processes do together. Both make one, and run its repetitions in step.
pub trait Scenario {
    /// One repetition, and what was found for each of the rows.
    fn here(&mut self, pair: &Pair) -> Vec<Found>;

    fn there(&mut self, pair: &Pair);
}

pub struct Entry {
    pub name: &'static str,
    pub rows: &'static [Row],
    pub make: fn(&Pair) -> Box<dyn Scenario>,
}

/// A line of the table.
pub struct Row {
    pub what: &'static str,
    pub against: &'static str,
    pub unit: &'static str,
    pub bound: Bound,
    /// Where it is to be measured.
    pub place: Place,
}

/// What is asked of ours ÷ theirs: what must be, and what is wished for.
#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64, f64),
    AtLeast(f64, f64),
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Near,
    Far,
}

/// One number of ours, and what it is held against.
pub struct Found {
    ours: f64,
    theirs: Theirs,
}

enum Theirs {
    /// That part of the round trips of the line took less, and so much comes to that.
    Line(f64, f64),
    Measured(f64),
}

/// How many repetitions.
pub struct Effort {
    pub wanted: usize,
    pub tries: usize,
}

/// What is kept of one row: ours and theirs.
pub type Kept = Vec<(f64, f64)>;

/// The processors change places every few hundred milliseconds.
const MOVE: Duration = Duration::from_millis(50);
const BRACKET: Duration = Duration::from_millis(5);
/// Round trips of the line, in nanoseconds.
const FAR: f64 = 200.0;
const ABSURD: f64 = 900.0;
/// By how much two looks at the same place may differ.
const STEADY: f64 = 1.3;

impl Found {
    pub fn new(ours: f64, theirs: f64) -> Found {
        Found {
            ours,
            theirs: Theirs::Measured(theirs),
        }
    }

    /// Against the same percentile of the line's round trips.
    pub fn percentile(times: &Times, part: f64) -> Found {
        Found::beside_the_line(times.percentile(part), part, 0.0)
    }

    /// Against a percentile of the line's round trips, and something that has to be done besides.
    pub fn beside_the_line(ours: f64, part: f64, besides: f64) -> Found {
        Found {
            ours,
            theirs: Theirs::Line(part, besides),
        }
    }
}

/// Runs a scenario; says whether everything that must be is.
pub fn run(entry: &Entry, base: &str, effort: &Effort) -> bool {
    let pair = Pair::start(base, entry.name);
    let mut scenario = (entry.make)(&pair);
    let rows = entry.rows.len();
    let mut near: Vec<Kept> = vec![Vec::new(); rows];
    let mut far = near.clone();
    let mut dropped = 0;
    // Memory is touched for the first time, and caches are cold.
    repetition(&pair, &mut *scenario);
    for _ in 0..effort.tries {
        let (place, found) = repetition(&pair, &mut *scenario);
        let kept = match place {
            Some(Place::Near) => &mut near,
            Some(Place::Far) => &mut far,
            None => {
                dropped += 1;
                continue;
            }
        };
        for (row, found) in kept.iter_mut().zip(found) {
            row.push(found);
        }
        if near[0].len() == effort.wanted {
            break;
        }
        if place == Some(Place::Far) {
            std::thread::sleep(MOVE);
        }
    }
    pair.again(false);
    drop(scenario);
    drop(pair);
    let rows = entry.rows.iter().zip(near.iter().zip(&far));
    let good = rows.map(|(row, (near, far))| table::row(row, near, far, dropped));
    good.fold(true, |all, good| all & good)
}

/// The second process.
pub fn serve(entry: &Entry, base: &str, peer: &str) {
    let pair = Pair::join(entry.name, base, peer);
    let mut scenario = (entry.make)(&pair);
    while pair.again(false) {
        floor::pong(&pair);
        scenario.there(&pair);
        floor::pong(&pair);
    }
}

/// Where it was run, unless that changed meanwhile.
fn repetition(pair: &Pair, scenario: &mut dyn Scenario) -> (Option<Place>, Kept) {
    pair.again(true);
    let before = floor::ping_pong(pair, BRACKET);
    let found = scenario.here(pair);
    let after = floor::ping_pong(pair, BRACKET);
    let resolve = |found: Found| match found.theirs {
        Theirs::Measured(theirs) => (found.ours, theirs),
        Theirs::Line(part, besides) => {
            let sum = before.percentile(part) + after.percentile(part);
            (found.ours, sum / 2.0 + besides)
        }
    };
    let found = found.into_iter().map(resolve).collect();
    (place(before.percentile(0.5), after.percentile(0.5)), found)
}

fn place(before: f64, after: f64) -> Option<Place> {
    let (low, high) = (before.min(after), before.max(after));
    if high > ABSURD || high > STEADY * low || (low < FAR) != (high < FAR) {
        return None;
    }
    Some(if high < FAR { Place::Near } else { Place::Far })
}

/// The ratio of a row: the median of those of its repetitions.
pub fn ratio(kept: &Kept) -> f64 {
    median(kept.iter().map(|(ours, theirs)| ours / theirs))
}
