//! `show`: shows all that is known about one object, once or again and again.

use crate::args::Show;
use crate::inspect::facts::Facts;
use crate::names::object::Object;
use crate::names::open;
use crate::output::live::{self, Scroll, View};
use crate::output::screen;
use crate::{Failure, Outcome, output};
use ratatui::layout::Size;
use ratatui::text::Line;
use serde_json::{Value, json};
use shmkit::inspect::Health;
use std::io::IsTerminal;
use std::time::Duration;

pub fn run(args: &Show) -> Outcome {
    if !args.watch {
        let object = open::any(&args.name).map_err(or_removed)?;
        return print(args, &Facts::of(&args.name, &object)?);
    }
    let mut watch = Watch::new(args);
    match std::io::stdout().is_terminal() && !args.json {
        true => live::on_screen(&mut watch),
        false => live::in_lines(&mut watch),
    }
}

/// Adds the processes that hold objects whose names were removed. The name may be one of these
/// names.
fn or_removed(failure: Failure) -> Failure {
    let Failure::Absent(why) = failure else {
        return failure;
    };
    let lost = shmkit::inspect::lost_names();
    Failure::Absent(match lost.health {
        Health::Good => why,
        _ => format!(
            "{why}\n  or its name was removed: {} without a name; if this program created the \
             object, start the program again",
            lost.says
        ),
    })
}

fn print(args: &Show, facts: &Facts) -> Outcome {
    match args.json {
        true => output::json(&facts.json())?,
        false => output::line(&facts.lines().join("\n"))?,
    }
    Ok(())
}

/// The state of `show --watch`.
struct Watch<'a> {
    args: &'a Show,
    was_there: bool,
    /// The facts of the last look; `None` if the object does not exist.
    facts: Option<Facts>,
    /// The first line on the screen, the number of all lines, and the number of lines that fit.
    first: u64,
    all: u64,
    page: u64,
    /// The facts that were printed last, without the facts that change all the time.
    printed: Option<Value>,
}

impl Watch<'_> {
    fn new(args: &Show) -> Watch<'_> {
        Watch {
            args,
            was_there: false,
            facts: None,
            first: 0,
            all: 0,
            page: 0,
            printed: None,
        }
    }

    /// Opens the object, reads its facts, and closes the object.
    fn look_again(&mut self) -> Outcome {
        let name = &self.args.name;
        let looked = Object::open(name).and_then(|object| Facts::of(name, &object));
        let before = self.facts.take();
        match looked {
            Ok(mut facts) => {
                self.was_there = true;
                if let Some(before) = &before {
                    facts.since(before);
                }
                self.facts = Some(facts);
                Ok(())
            }
            Err(error) if live::is_absence(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn lines(&self) -> Vec<String> {
        match &self.facts {
            Some(facts) => facts.lines(),
            None => vec![live::absence(&self.args.name, self.was_there)],
        }
    }
}

impl View for Watch<'_> {
    const EVERY: Duration = Duration::from_secs(1);

    fn look(&mut self) -> Outcome {
        self.look_again()
    }

    fn draw(&mut self, size: Size) -> Result<Vec<Line<'static>>, Failure> {
        // A wrapped line continues under the values, if the screen is wide enough.
        let indent = " ".repeat(if size.width < 40 { 1 } else { 12 });
        let options = textwrap::Options::new(size.width.into()).subsequent_indent(&indent);
        let lines = self.lines();
        let lines = lines.iter().flat_map(|l| textwrap::wrap(l, &options));
        let lines: Vec<Line> = lines.map(|line| Line::raw(line.into_owned())).collect();

        self.all = lines.len() as u64;
        self.page = u64::from(size.height).saturating_sub(1).max(1);
        self.first = self.first.min(self.all.saturating_sub(self.page));

        let help = match self.all > self.page {
            true => "arrows scroll, q ends",
            false => "q ends",
        };
        let bar = screen::bar(&output::name(&self.args.name), help, size.width);

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
        self.look_again()?;
        let absent = json!({ "name": self.args.name, "kind": null });
        let json = self.facts.as_ref().map_or(absent, Facts::json);
        let news = news(&json);
        if self.printed.as_ref() == Some(&news) {
            return Ok(());
        }
        if self.args.json {
            output::json(&json)?;
        } else {
            let between = if self.printed.is_some() { "\n" } else { "" };
            output::line(&format!("{between}{}", self.lines().join("\n")))?;
        }
        self.printed = Some(news);
        Ok(())
    }
}

/// Returns the facts without those that change all the time and are not news: the number of
/// processes that cannot be inspected, and whether a participant waits.
fn news(json: &Value) -> Value {
    let mut news = json.clone();
    news["hidden"].take();
    let Some(messages) = news.get_mut("messages") else {
        return news;
    };
    messages["owner"]["waiting"].take();
    for one in messages["participants"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        one["waiting"].take();
    }
    news
}
