//! Replaces `plot.rs` in a program that was built without the feature `plots`.

use super::report::Report;
use crate::{Failure, Outcome};
use std::path::Path;

/// Refuses a plot before anything is measured.
pub fn expect_writable(_path: &Path) -> Outcome {
    Err(without_plots())
}

pub fn write(_report: &Report, _path: &Path) -> Outcome {
    Err(without_plots())
}

fn without_plots() -> Failure {
    let text =
        "this shmkit was built without plots; leave out --svg, or build it with --features plots";
    Failure::Other(text.to_string())
}
