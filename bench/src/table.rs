//! Prints the table of results.

use crate::median;
use crate::repeat::{Bound, Kept, Place, Row, ratio};

/// The number of repetitions below which a row is not judged.
const ENOUGH: usize = 5;

pub fn head() {
    println!(
        "{:34} {:>13}  {:>13} {:22} {:>6}  {:>5}  {:>5}  {:>7}  place",
        "", "ours", "", "against", "ratio", "gate", "goal", "reps"
    );
}

/// Prints a line of the table. Returns `false` if the row misses its gate.
pub fn row(row: &Row, near: &Kept, far: &Kept, dropped: usize) -> bool {
    let (asked, other) = match row.place {
        Place::Near => (near, far),
        Place::Far => (far, near),
    };
    let is_as_asked = asked.len() >= ENOUGH || asked.len() >= other.len();
    let kept = if is_as_asked { asked } else { other };

    if kept.is_empty() {
        println!("{:34} nothing kept, {dropped} dropped", row.what);
        return true;
    }
    if row.place == Place::Far && !is_as_asked {
        println!("{:34} not measured: placement near", row.what);
        return true;
    }

    let place = match is_as_asked == (row.place == Place::Near) {
        true => "near",
        false => "far",
    };
    let ratio = ratio(kept);

    let (gate, goal) = match row.bound {
        Bound::AtMost(gate, goal) | Bound::AtLeast(gate, goal) => {
            (format!("{gate:.2}"), format!("{goal:.2}"))
        }
        Bound::None => (String::new(), String::new()),
    };
    let unit = row.unit;
    let ours = number(median(kept.iter().map(|k| k.0)), unit);
    let theirs = number(median(kept.iter().map(|k| k.1)), unit);

    let (verdict, good) = match is_as_asked && kept.len() >= ENOUGH {
        true => verdict(row.bound, ratio),
        false => (
            format!("not measured: {} repetitions, {place}", kept.len()),
            true,
        ),
    };

    println!(
        "{:34} {ours:>13}  {theirs:>13} {:22} {ratio:>6.2}  {gate:>5}  {goal:>5}  {:>7}  {place:5} {verdict}",
        row.what,
        row.against,
        format!("{}/{dropped}", kept.len()),
    );
    good
}

fn number(value: f64, unit: &str) -> String {
    let digits = if value < 100.0 { 2 } else { 0 };
    format!("{value:.digits$} {unit}")
}

fn verdict(bound: Bound, ratio: f64) -> (String, bool) {
    let (gate, goal) = match bound {
        Bound::AtMost(gate, goal) => (ratio <= gate, ratio <= goal),
        Bound::AtLeast(gate, goal) => (ratio >= gate, ratio >= goal),
        Bound::None => return (String::new(), true),
    };
    match (gate, goal) {
        (false, _) => ("MISSED".into(), false),
        (true, false) => (String::new(), true),
        (true, true) => ("goal".into(), true),
    }
}
