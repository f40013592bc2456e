//! The report of the self-test: line by line while it runs, and as one JSON object.

use super::check::{Check, Wrong};
use super::mask::Mask;
use super::speed::{Ratio, Speed};
use crate::inspect::doctor;
use crate::output;
use serde_json::{Value, json};
use shmkit::inspect::Finding;
use std::env::consts::{ARCH, OS};
use std::time::Duration;

/// What a user should do about a failed check.
pub const ADVICE: &str =
    "please report this: attach the output of `shmkit doctor --self-test --json`";

/// The results of the self-test, in which private names are already masked.
#[derive(Debug)]
pub struct Report {
    mask: Option<Mask>,
    findings: Vec<Finding>,
    checks: Vec<Value>,
    speeds: Vec<Value>,
    passed: usize,
    failed: usize,
}

impl Report {
    /// Creates a report with the findings of the doctor. With `full`, nothing is masked.
    pub fn new(mut findings: Vec<Finding>, full: bool) -> Report {
        let mask = (!full).then(|| Mask::of(&findings));
        for finding in &mut findings {
            finding.says = shown(&mask, &finding.says);
            let advice = finding.advice.as_deref();
            finding.advice = advice.map(|advice| shown(&mask, advice));
        }
        Report {
            mask,
            findings,
            checks: Vec::new(),
            speeds: Vec::new(),
            passed: 0,
            failed: 0,
        }
    }

    /// Returns the lines in front of the lines of the checks.
    pub fn head(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let first = format!(
            "shmkit {version}, {}, {} bits, {} build, processors: {}",
            target(),
            usize::BITS,
            build(),
            processors()
        );
        let findings = self.findings.iter().map(doctor::lines);
        let lines: Vec<_> = [first].into_iter().chain(findings).collect();
        lines.join("\n") + "\n"
    }

    /// Adds the result of a check, and returns it as text.
    pub fn check(&mut self, check: &Check, took: Duration, result: &Result<(), Wrong>) -> String {
        let mut row = json!({
            "area": check.area,
            "name": check.name,
            "milliseconds": milliseconds(took),
        });
        let took = format!("{:.0} ms", took.as_secs_f64() * 1e3);
        let line = |outcome| format!("{outcome:<8} {}: {}   {took}", check.area, check.name);

        match result {
            Ok(()) => {
                row["outcome"] = "passed".into();
                self.passed += 1;
                self.checks.push(row);
                line("passed")
            }
            Err(Wrong::Skipped(why)) => {
                let why = shown(&self.mask, why);
                let lines = format!("{}\n         {}", line("skipped"), output::name(&why));
                row["outcome"] = "skipped".into();
                row["reason"] = why.into();
                self.checks.push(row);
                lines
            }
            Err(Wrong::Failed { expected, came, at }) => {
                let [expected, came, at] = [expected, came, at].map(|text| shown(&self.mask, text));
                let lines = format!(
                    "{}\n         expected: {}\n         came: {}\n         at {at}",
                    line("failed"),
                    output::name(&expected),
                    output::name(&came)
                );
                row["outcome"] = "failed".into();
                row["expected"] = expected.into();
                row["came"] = came.into();
                row["at"] = at.into();
                row["advice"] = ADVICE.into();
                self.failed += 1;
                self.checks.push(row);
                lines
            }
        }
    }

    /// Adds the result of a measurement, and returns it as a line.
    pub fn speed(&mut self, speed: &Speed, result: &Result<Ratio, Wrong>) -> String {
        let mut row = json!({ "name": speed.name, "floor": speed.floor });

        let told = match result {
            Ok(Ratio { took, floor }) => {
                let ratio = took / floor.max(1e-3);
                row["nanoseconds"] = rounded(*took);
                row["floor_nanoseconds"] = rounded(*floor);
                row["ratio"] = rounded(ratio);
                format!("{took:.0} ns, {ratio:.2} × {} ({floor:.0} ns)", speed.floor)
            }
            Err(Wrong::Failed { came: why, .. } | Wrong::Skipped(why)) => {
                let why = shown(&self.mask, why);
                let told = format!("not measured: {}", output::name(&why));
                row["not_measured"] = why.into();
                told
            }
        };

        self.speeds.push(row);
        format!("speed    {}: {told}", speed.name)
    }

    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Returns a line with the number of checks that passed, failed and were skipped.
    pub fn summary(&self) -> String {
        let all = self.checks.len();
        let skipped = all - self.passed - self.failed;
        let mut line = format!("{} of {all} checks passed", self.passed);
        for (count, what) in [(self.failed, "failed"), (skipped, "skipped")] {
            if count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        }
        line
    }

    pub fn json(&self) -> Value {
        json!({
            "shmkit": env!("CARGO_PKG_VERSION"),
            "target": target(),
            "bits": usize::BITS,
            "build": build(),
            "processors": processors(),
            "masked": self.mask.is_some(),
            "findings": doctor::rows(&self.findings),
            "checks": self.checks,
            "speed": self.speeds,
            "passed": self.passed,
            "failed": self.failed,
            "skipped": self.checks.len() - self.passed - self.failed,
            "summary": self.summary(),
        })
    }
}

fn shown(mask: &Option<Mask>, text: &str) -> String {
    match mask {
        Some(mask) => mask.apply(text),
        None => text.to_string(),
    }
}

fn milliseconds(time: Duration) -> Value {
    rounded(time.as_secs_f64() * 1e3)
}

/// Rounds a number to two decimals, which are enough for a reader.
fn rounded(number: f64) -> Value {
    ((number * 100.0).round() / 100.0).into()
}

fn build() -> &'static str {
    match cfg!(debug_assertions) {
        true => "debug",
        false => "release",
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// Returns the target for which this program was compiled, as rustc writes it.
fn target() -> String {
    let arch = match ARCH {
        "x86" => "i686",
        arch => arch,
    };
    let vendor = if cfg!(windows) { "pc" } else { "unknown" };
    let environments = [
        (cfg!(target_env = "gnu"), "-gnu"),
        (cfg!(target_env = "musl"), "-musl"),
        (cfg!(target_env = "msvc"), "-msvc"),
    ];
    let environment = environments.iter().find(|(is, _)| *is);
    let environment = environment.map_or("", |(_, name)| name);
    format!("{arch}-{vendor}-{OS}{environment}")
}

#[cfg(test)]
mod tests {
    use super::super::check::same;
    use super::*;

    const CHECK: Check = Check::new("queue", "two and two are four", |_| Ok(()));

    fn report(results: &[Result<(), Wrong>]) -> (Report, String) {
        let mut report = Report::new(Vec::new(), true);
        let took = Duration::from_micros(2_700);
        let lines = results
            .iter()
            .map(|result| report.check(&CHECK, took, result));
        let lines: Vec<_> = lines.collect();
        (report, lines.join("\n"))
    }

    #[test]
    fn report_lists_passed_and_skipped_checks() {
        let (report, lines) = report(&[Ok(()), Err(Wrong::Skipped("no luck".into()))]);
        assert_eq!(
            lines,
            "passed   queue: two and two are four   3 ms\n\
             skipped  queue: two and two are four   3 ms\n         no luck"
        );
        assert_eq!(report.summary(), "1 of 2 checks passed, 1 skipped");
        assert_eq!(report.failed(), 0);
        let told = report.json();
        assert_eq!(told["checks"][0]["milliseconds"], 2.7);
        assert_eq!(told["checks"][1]["reason"], "no luck");
        assert_eq!(told["summary"], "1 of 2 checks passed, 1 skipped");
    }

    #[test]
    fn failed_check_reports_expected_and_actual_value() {
        let (report, lines) = report(&[same("the sum", 5, 4)]);
        for part in [
            "failed   queue",
            "expected: the sum: 4",
            "came: 5",
            "report.rs:",
        ] {
            assert!(lines.contains(part), "{part}: {lines}");
        }
        assert_eq!(report.summary(), "0 of 1 checks passed, 1 failed");
        let told = &report.json()["checks"][0];
        assert_eq!(told["outcome"], "failed");
        assert_eq!(told["expected"], "the sum: 4");
        assert_eq!(told["came"], "5");
        assert_eq!(told["advice"], ADVICE);
    }

    #[test]
    fn report_masks_account_names_unless_full() {
        for full in [false, true] {
            let mut report = Report::new(Vec::new(), full);
            let wrong = Wrong::new("no error", "it belongs to A\\ann (S-1-5-21-1-2-3-1001)");
            let line = report.check(&CHECK, Duration::ZERO, &Err(wrong));
            let told = report.json().to_string();
            assert_eq!(line.contains("ann"), full, "{line}");
            assert_eq!(told.contains("S-1-5-21-1-2"), full, "{told}");
        }
    }
}
