//! `doctor`: reports what this account can and cannot do on this machine, and why.

use crate::args::Doctor;
use crate::{Failure, Outcome, output, self_test};
use serde_json::{Value, json};
use shmkit::inspect::{Finding, Health};

pub fn run(args: &Doctor) -> Outcome {
    if args.self_test {
        return self_test::run(args);
    }

    let findings = shmkit::inspect::doctor();
    if args.json {
        output::json(&rows(&findings))?;
    } else {
        for finding in &findings {
            output::line(&lines(finding))?;
        }
    }

    let bad = findings.iter().filter(|f| f.health == Health::Bad).count();
    match bad {
        0 => Ok(()),
        1 => Err(Failure::Other("one thing does not work".to_string())),
        _ => Err(Failure::Other(format!("{bad} things do not work"))),
    }
}

/// Returns the findings as JSON.
pub fn rows(findings: &[Finding]) -> Value {
    let rows = findings.iter().map(|finding| {
        json!({
            "topic": finding.topic,
            "health": word(finding.health),
            "says": finding.says,
            "advice": finding.advice,
        })
    });
    rows.collect()
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Good => "good",
        Health::Limited => "limited",
        Health::Bad => "bad",
    }
}

/// Returns a finding as text, with its advice on a line of its own.
pub fn lines(finding: &Finding) -> String {
    let found = format!(
        "{:<8} {}: {}",
        word(finding.health),
        finding.topic,
        output::name(&finding.says)
    );
    match &finding.advice {
        Some(advice) => format!("{found}\n{:<8} {}", "", output::name(advice)),
        None => found,
    }
}
