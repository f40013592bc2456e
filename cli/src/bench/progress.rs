//! The progress bar on standard error, if standard error is a terminal.

use crossterm::cursor::MoveToColumn;
use crossterm::queue;
use crossterm::style::Print;
use crossterm::terminal::{self, Clear, ClearType};
use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write, stderr};

/// The width of the bar.
const WIDTH: usize = 30;

/// The width of a terminal that does not report its width.
const COLUMNS: u16 = 80;

pub struct Progress {
    steps: usize,
    done: Cell<usize>,
    what: RefCell<String>,
    is_shown: bool,
}

impl Progress {
    /// Creates a bar for this number of steps.
    pub fn new(steps: usize) -> Progress {
        Progress {
            steps,
            done: Cell::new(0),
            what: RefCell::default(),
            is_shown: stderr().is_terminal(),
        }
    }

    pub fn begins(&self, what: impl Into<String>) {
        self.what.replace(what.into());
        self.draw();
    }

    pub fn is_done(&self) {
        self.done.set(self.done.get() + 1);
        self.draw();
    }

    /// Removes the bar while `print` runs, which may print to the same terminal.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.replace("");
        let printed = print();
        self.draw();
        printed
    }

    fn draw(&self) {
        let columns = match terminal::size() {
            Ok((columns, _)) if columns > 0 => columns,
            _ => COLUMNS,
        };
        let line = line(self.done.get(), self.steps, &self.what.borrow());
        // A line that ends before the last column does not wrap.
        let line: String = line
            .chars()
            .take(usize::from(columns).saturating_sub(1))
            .collect();
        self.replace(&line);
    }

    /// Shows a line in place of the line before.
    fn replace(&self, line: &str) {
        if !self.is_shown {
            return;
        }
        let mut terminal = stderr();
        let clear = Clear(ClearType::CurrentLine);
        // An error is ignored: the benchmark does not need the bar.
        let _ = queue!(terminal, MoveToColumn(0), clear, Print(line));
        let _ = terminal.flush();
    }
}

fn line(done: usize, steps: usize, what: &str) -> String {
    let part = |whole: usize| whole * done / steps.max(1);
    let (full, percent) = (part(WIDTH), part(100));
    let (full, empty) = ("█".repeat(full), "░".repeat(WIDTH.saturating_sub(full)));
    format!("{full}{empty} {percent:>3} %  {what}")
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.replace("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_bar_fills_with_steps() {
        let bar = |full, percent| {
            let (full, empty) = ("█".repeat(full), "░".repeat(WIDTH - full));
            format!("{full}{empty} {percent} %  TCP")
        };
        assert_eq!(line(0, 16, "TCP"), bar(0, "  0"));
        assert_eq!(line(8, 16, "TCP"), bar(15, " 50"));
        assert_eq!(line(16, 16, "TCP"), bar(30, "100"));
    }
}
