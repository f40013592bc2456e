//! How far it is: a bar on standard error, where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

pub struct Progress(ProgressBar);

impl Progress {
    /// Of so many steps.
    pub fn new(steps: usize) -> Progress {
        let bar = ProgressBar::new(steps as u64);
        // A style that cannot be read leaves the usual one.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
            bar.set_style(style);
        }
        Progress(bar)
    }

    pub fn begins(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }

    pub fn is_done(&self) {
        self.0.inc(1);
    }

    /// Takes the bar away while something is printed, which may go to the same terminal.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
