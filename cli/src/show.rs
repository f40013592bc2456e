//! `show`: all that is known about one object, once or again and again.

use crate::args::Show;
use crate::facts::Facts;
use crate::live::{self, Scroll, View};
use crate::object::Object;
use crate::screen::{Line, Size};
use crate::{Failure, Outcome, open, output};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::time::Duration;

pub fn run(args: &Show) -> Outcome {
    if !args.watch {
        let object = open::any(&args.name)?;
        return print(args, &Facts::of(&args.name, &object)?);
    }
    let watch = Watch::new(args);
    match std::io::stdout().is_terminal() && !args.json {
        true => live::on_screen(watch),
        false => live::in_lines(watch),
    }
}

fn print(args: &Show, facts: &Facts) -> Outcome {
    match args.json {
        true => output::json(&facts.json())?,
        false => output::line(&facts.lines().join("\n"))?,
    }
    Ok(())
}

/// The facts of each round.
struct Watch<'a> {
    args: &'a Show,
    was_there: bool,
    lines: Vec<String>,
    /// The first line on the screen, of how many, and how many fit.
    first: u64,
    all: u64,
    page: u64,
    /// What was printed last.
    printed: Option<Value>,
}

impl Watch<'_> {
    fn new(args: &Show) -> Watch<'_> {
        Watch {
            args,
            was_there: false,
            lines: Vec::new(),
            first: 0,
            all: 0,
            page: 0,
            printed: None,
        }
    }

    /// Opens it, looks, and lets go; `None` where it is not there.
    fn facts(&mut self) -> Result<Option<Facts>, Failure> {
        let name = &self.args.name;
        let looked = Object::open(name).and_then(|object| Facts::of(name, &object));
        match looked {
            Ok(facts) => {
                self.was_there = true;
                Ok(Some(facts))
            }
            Err(error) if live::is_absence(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn lines_of(&self, facts: Option<&Facts>) -> Vec<String> {
        match facts {
            Some(facts) => facts.lines(),
            None => vec![live::absence(&self.args.name, self.was_there)],
        }
    }
}

impl View for Watch<'_> {
    const EVERY: Duration = Duration::from_secs(1);

    fn look(&mut self) -> Outcome {
        let facts = self.facts()?;
        self.lines = self.lines_of(facts.as_ref());
        Ok(())
    }

    fn draw(&mut self, size: Size) -> Result<Vec<Line>, Failure> {
        // Under the values, where there is room for that.
        let indent = " ".repeat(if size.width < 40 { 1 } else { 11 });
        let options = textwrap::Options::new(size.width).subsequent_indent(&indent);
        let lines = self.lines.iter().flat_map(|l| textwrap::wrap(l, &options));
        let lines: Vec<Line> = lines.map(Line::plain).collect();
        self.all = lines.len() as u64;
        self.page = (size.height as u64).saturating_sub(1).max(1);
        self.first = self.first.min(self.all.saturating_sub(self.page));
        let help = match self.all > self.page {
            true => "arrows scroll, q ends",
            false => "q ends",
        };
        let bar = Line::bar(&output::name(&self.args.name), help, size.width);
        let shown = lines.into_iter().skip(self.first as usize);
        Ok(match size.height {
            1 => shown.collect(),
            _ => std::iter::once(bar).chain(shown).collect(),
        })
    }

    fn scroll(&mut self, how: Scroll) {
        self.first = how.from(self.first, self.all, self.page);
    }

    fn print(&mut self) -> Outcome {
        let facts = self.facts()?;
        let absent = json!({ "name": self.args.name, "kind": null });
        let json = facts.as_ref().map_or(absent, Facts::json);
        let mut news = json.clone();
        // Processes that cannot be looked into come and go all the time.
        news["hidden"].take();
        if self.printed.as_ref() == Some(&news) {
            return Ok(());
        }
        if self.args.json {
            output::json(&json)?;
        } else {
            if self.printed.is_some() {
                output::line("")?;
            }
            output::line(&self.lines_of(facts.as_ref()).join("\n"))?;
        }
        self.printed = Some(news);
        Ok(())
    }
}
