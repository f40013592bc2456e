//! `doctor --self-test`: checks that shmkit keeps its promises on this machine, with objects and
//! processes of its own.

mod access;
mod check;
mod child;
mod deaths;
mod mask;
mod messages;
mod objects;
mod report;
mod roles;
mod runner;
mod speed;
mod waiting;
mod wakes;

pub use child::run as run_peer;

use crate::args::Doctor;
use crate::input::ends::Ends;
use crate::{Failure, Outcome, output};
use check::{Check, Wrong, unique};
use child::Child;
use report::Report;
use runner::guarded;
use std::time::{Duration, Instant};

/// The longest time of a check. A check that takes longer fails.
const LIMIT: Duration = Duration::from_secs(60);

pub fn run(args: &Doctor) -> Outcome {
    let ends = Ends::watch(None).map_err(Failure::Other)?;
    let interrupted = || ends.now().is_some();
    let outcome = start_once(&interrupted).and_then(|()| {
        let mut report = Report::new(shmkit::inspect::doctor(), args.full);
        test(args.json, &mut report, &interrupted)
    });
    // Removes the files that killed children left. They would do no harm.
    let _ = shmkit::inspect::clean();
    outcome
}

/// Checks that another process can be started, which most checks need.
fn start_once(interrupted: &dyn Fn() -> bool) -> Outcome {
    let start = || Child::start("idle", &unique())?.leave();
    match guarded(LIMIT, interrupted, start) {
        Some(Ok(())) => Ok(()),
        Some(Err(Wrong::Failed { came: why, .. } | Wrong::Skipped(why))) => Err(Failure::Other(
            format!("the self-test cannot start another process: {why}"),
        )),
        None => Err(was_interrupted()),
    }
}

fn was_interrupted() -> Failure {
    Failure::Other("interrupted".to_string())
}

fn test(json: bool, report: &mut Report, interrupted: &dyn Fn() -> bool) -> Outcome {
    let say = |text: &str| match json {
        true => Ok(()),
        false => output::line(text),
    };

    say(&report.head())?;
    for check in checks() {
        let (run, begin) = (check.run, Instant::now());
        let result = guarded(LIMIT, interrupted, move || run(&unique()));
        let result = result.ok_or_else(was_interrupted)?;
        say(&report.check(check, begin.elapsed(), &result))?;
    }

    say("")?;
    for speed in &speed::SPEEDS {
        let run = speed.run;
        let result = guarded(LIMIT, interrupted, move || run(&unique()));
        say(&report.speed(speed, &result.ok_or_else(was_interrupted)?))?;
    }
    say(&format!("\n{}", report.summary()))?;
    if json {
        output::json(&report.json())?;
    }

    match report.failed() {
        0 => Ok(()),
        1 => Err(Failure::Unsound(format!(
            "a check failed; {}",
            report::ADVICE
        ))),
        n => Err(Failure::Unsound(format!(
            "{n} checks failed; {}",
            report::ADVICE
        ))),
    }
}

fn checks() -> impl Iterator<Item = &'static Check> {
    let all: [&[Check]; 6] = [
        &objects::CHECKS,
        &messages::CHECKS,
        &deaths::CHECKS,
        &access::CHECKS,
        &wakes::CHECKS,
        &waiting::CHECKS,
    ];
    all.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn checks_have_unique_names_and_known_areas() {
        let areas = [
            "sections", "events", "mutexes", "deaths", "queue", "topic", "values", "calls",
            "access", "waiting",
        ];
        let found: BTreeSet<_> = checks().map(|check| check.area).collect();
        assert_eq!(found, BTreeSet::from(areas));
        let names: BTreeSet<_> = checks().map(|check| (check.area, check.name)).collect();
        assert_eq!(names.len(), checks().count());
    }
}
