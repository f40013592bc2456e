//! `clean`: removes the files that killed programs left.

use crate::args::Clean;
use crate::{Outcome, output};

pub fn run(args: &Clean) -> Outcome {
    let removed = shmkit::inspect::clean()?;
    if args.json {
        output::json(&removed.into())?;
        return Ok(());
    }
    if removed.is_empty() {
        output::remark("there is nothing to remove");
    }
    for name in removed {
        output::line(&output::name(&name))?;
    }
    Ok(())
}
