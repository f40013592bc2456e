//! `hold`: keeps an object alive.

use crate::args::Hold;
use crate::input::ends::Ends;
use crate::names::object::{self, Object};
use crate::names::open;
use crate::{Failure, Outcome, output};
use serde_json::json;

pub fn run(args: &Hold) -> Outcome {
    // The signals are watched before the object is opened, so that no signal ends the program while
    // it holds the object.
    let ends = Ends::watch(args.duration).map_err(Failure::Other)?;
    let object = open::any(&args.name)?;
    output::announce(|| say(args, &object, &ends))?;
    let reason = ends.wait();
    drop(object);
    output::remark(&format!("released {}: {reason}", output::name(&args.name)));
    Ok(())
}

fn say(args: &Hold, object: &Object, ends: &Ends) -> std::io::Result<()> {
    if args.json {
        return output::json(&json!({
            "name": args.name,
            "kind": object::word(object.kind()),
            "pid": std::process::id(),
        }));
    }
    output::line(&format!(
        "holding {}, {}, {}",
        output::name(&args.name),
        object::noun(object.kind()),
        ends.how(),
    ))
}
