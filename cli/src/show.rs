//! `show`: all that is known about one object.

use crate::args::Show;
use crate::facts::Facts;
use crate::{Outcome, open, output};

pub fn run(args: &Show) -> Outcome {
    let object = open::any(&args.name)?;
    print(args, &Facts::of(&args.name, &object)?)
}

fn print(args: &Show, facts: &Facts) -> Outcome {
    match args.json {
        true => output::json(&facts.json())?,
        false => output::line(&facts.lines().join("\n"))?,
    }
    Ok(())
}
