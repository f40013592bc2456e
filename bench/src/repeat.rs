//! Repetitions of a scenario. The distance of the two processors is measured before and after each
//! repetition.

use crate::median;
use crate::pair::Pair;
use crate::{floor, table};
use shmkit_measure::Times;
use std::time::Duration;

/// The work that two processes do together. Each process creates the scenario, and both run its
/// repetitions in step.
pub trait Scenario {
    /// Runs one repetition in the first process, and returns the result for each row.
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
    /// The distance of the processors at which the row has to be measured.
    pub place: Place,
}

/// The bound of the ratio ours ÷ theirs: first the gate, which must be met, and then the goal,
/// which should be met.
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

/// A number of shmkit, and the number with which it is compared.
pub struct Found {
    ours: f64,
    theirs: Theirs,
}

enum Theirs {
    /// A percentile of the round trips of the line, and the time that is added to it.
    Line(f64, f64),
    Measured(f64),
}

/// How many repetitions are wanted, and how many are tried at most.
pub struct Effort {
    pub wanted: usize,
    pub tries: usize,
}

/// The kept repetitions of one row: ours and theirs.
pub type Kept = Vec<(f64, f64)>;

/// The pause after a repetition on far processors. The processors change places every few hundred
/// milliseconds.
const MOVE: Duration = Duration::from_millis(50);
const BRACKET: Duration = Duration::from_millis(5);
/// The processors are far from each other if a round trip of the line takes this many nanoseconds
/// or more.
const FAR: f64 = 200.0;
/// A repetition is dropped if a round trip of the line takes more nanoseconds than this.
const ABSURD: f64 = 900.0;
/// The greatest ratio of two measurements of the same distance.
const STEADY: f64 = 1.3;

impl Found {
    pub fn new(ours: f64, theirs: f64) -> Found {
        Found {
            ours,
            theirs: Theirs::Measured(theirs),
        }
    }

    /// Compares a percentile of these times with the same percentile of the round trips of the
    /// line.
    pub fn percentile(times: &Times, part: f64) -> Found {
        Found::beside_the_line(times.percentile(part), part, 0.0)
    }

    /// Compares a number with a percentile of the round trips of the line plus `besides`, the time
    /// of work that has to be done in addition.
    pub fn beside_the_line(ours: f64, part: f64, besides: f64) -> Found {
        Found {
            ours,
            theirs: Theirs::Line(part, besides),
        }
    }
}

/// Runs a scenario, and returns whether all rows meet their gates.
pub fn run(entry: &Entry, base: &str, effort: &Effort) -> bool {
    let pair = Pair::start(base, entry.name);
    let mut scenario = (entry.make)(&pair);
    let rows = entry.rows.len();
    let mut near: Vec<Kept> = vec![Vec::new(); rows];
    let mut far = near.clone();
    let mut dropped = 0;

    // Not kept: this repetition touches memory for the first time, and caches are cold.
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

/// Runs the repetitions of a scenario in the second process.
pub fn serve(entry: &Entry, base: &str, peer: &str) {
    let pair = Pair::join(entry.name, base, peer);
    let mut scenario = (entry.make)(&pair);
    while pair.again(false) {
        floor::pong(&pair);
        scenario.there(&pair);
        floor::pong(&pair);
    }
}

/// Runs a repetition. Returns the distance of the processors, or `None` if the distance changed
/// meanwhile, and the numbers.
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

/// Returns the ratio of a row: the median of the ratios of its repetitions.
pub fn ratio(kept: &Kept) -> f64 {
    median(kept.iter().map(|(ours, theirs)| ours / theirs))
}
