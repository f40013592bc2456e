//! `completions` and `man`: texts that are generated from the description of the command line.

use crate::args::{Args, Completions, Man};
use crate::{Failure, Outcome, output};
use clap::{Command, CommandFactory};
use std::io::Write;
use std::path::Path;

pub fn completions(args: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut public(), "shmkit", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}

pub fn man(args: &Man) -> Outcome {
    if let Some(folder) = &args.out {
        return write_pages(folder).map_err(|error| {
            Failure::Other(format!("cannot write to {}: {error}", folder.display()))
        });
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(documented()).render(&mut page)?;
    Ok(std::io::stdout().lock().write_all(&page)?)
}

fn write_pages(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(documented(), folder)?;
    output::remark(&format!("wrote the pages to {}", folder.display()));
    Ok(())
}

/// Returns the commands that have a manual page. `help` has none, since it prints the texts of the
/// other commands.
fn documented() -> Command {
    public().disable_help_subcommand(true)
}

/// Returns the command line without the hidden commands, which the generators would show.
fn public() -> Command {
    let all = Args::command();
    let shown = all.get_subcommands().filter(|c| !c.is_hide_set());
    Command::new("shmkit")
        .version(env!("CARGO_PKG_VERSION"))
        .about(all.get_about().cloned().unwrap_or_default())
        .after_help(all.get_after_help().cloned().unwrap_or_default())
        .subcommand_required(true)
        .subcommands(shown.cloned().collect::<Vec<_>>())
}
