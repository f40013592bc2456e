//! `show`: all that is known about one section.

use crate::args::Show;
use crate::{Outcome, open, output};
use serde_json::json;
use shmkit::Backing;

pub fn run(args: &Show) -> Outcome {
    let section = open::section(&args.name)?;
    let info = section.info()?;
    let backing = info.backing.map(|backing| match backing {
        Backing::Memory => "memory",
        Backing::File => "file",
        Backing::Image => "image",
        Backing::Posix => "posix",
        _ => "other",
    });
    if args.json {
        output::json(&json!({
            "name": args.name,
            "kernel_len": info.kernel_len,
            "reserved": info.reserved,
            "backing": backing,
            "owner": info.owner,
            "access": info.access,
            "path": info.path,
        }))?;
        return Ok(());
    }
    let lives = match info.backing {
        Some(Backing::Memory) => "memory, gone with its last holder",
        Some(Backing::File) => "a file, which stays",
        Some(Backing::Image) => "an executable image",
        Some(Backing::Posix) => "memory, under a POSIX name that stays until it is unlinked",
        _ => "the system does not tell",
    };
    let memory = match info.reserved {
        Some(true) => "reserved, committed in parts",
        Some(false) => "committed",
        None => "the system does not tell",
    };
    let unknown = || "the system does not tell".to_string();
    let rows = [
        ("name", args.name.clone()),
        ("size", output::bytes(info.kernel_len)),
        ("memory", memory.to_string()),
        ("lives in", lives.to_string()),
        ("owner", info.owner.unwrap_or_else(unknown)),
        ("access", info.access.unwrap_or_else(unknown)),
        ("path", info.path.unwrap_or_else(unknown)),
    ];
    let lines = rows.map(|(title, value)| format!("{title:<9} {}", output::name(&value)));
    output::line(&lines.join("\n"))?;
    Ok(())
}
