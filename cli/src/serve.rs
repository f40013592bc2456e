//! `serve --raw`: the classic message server.

use crate::args::Serve;
use crate::hold::Ends;
use crate::{Failure, Outcome, output, text};
use serde_json::json;
use shmkit::{Mapping, ReadWrite, Section};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::{Ordering, fence};

/// What the classic recipe calls BUF_SIZE.
const CLASSIC_SIZE: u64 = 256;

pub fn run(args: &Serve) -> Outcome {
    debug_assert!(args.raw, "the only kind so far, and required");
    let content = content(args)?;
    let size = args.size.unwrap_or(match &args.file {
        Some(_) => content.len() as u64,
        None => CLASSIC_SIZE,
    });
    if content.len() as u64 > size {
        let len = content.len();
        return Err(Failure::Other(match &args.file {
            Some(_) => format!(
                "the file has more than the {size} bytes of the section\n  use a larger --size, or leave it out"
            ),
            None => format!(
                "the text needs {len} bytes with its NUL, and the section has {size}\n  use --size {len} or more"
            ),
        }));
    }
    // Before the section exists, so that no signal finds it without a caretaker.
    let ends = Ends::watch().map_err(Failure::Other)?;
    let section = Section::create_new(&args.name, size)?;
    if !content.is_empty() {
        fill(&section.map_rw(..content.len() as u64)?, &content)?;
    }
    announce(args, &section, &ends)?;
    let reason = ends.wait(args.duration);
    drop(section);
    output::remark(&format!("{} ended: {reason}", output::name(&args.name)));
    Ok(())
}

/// The first word comes last: whoever looks meanwhile sees an empty text, and not
/// half of one.
fn fill(view: &Mapping<ReadWrite>, content: &[u8]) -> shmkit::Result<()> {
    let first = content.len().min(8);
    view.write(first, &content[first..])?;
    // Release: the rest is there before the first word; pairs with whatever the
    // reader does between the two.
    fence(Ordering::Release);
    view.write(0, &content[..first])
}

fn content(args: &Serve) -> Result<Vec<u8>, Failure> {
    if let Some(file) = &args.file {
        return load(file, args.size).map_err(|error| {
            let why = format!("cannot load {}: {error}", file.display());
            match error.kind() {
                ErrorKind::NotFound => Failure::Absent(why),
                _ => Failure::Other(why),
            }
        });
    }
    let Some(text) = &args.text else {
        return Ok(Vec::new());
    };
    text::encode(text, args.encoding).ok_or_else(|| {
        Failure::other(
            "the ANSI code page lacks a character of the text; use --encoding utf16 or utf8",
        )
    })
}

/// At most one byte more than fits: what comes from a device need not end.
fn load(path: &Path, size: Option<u64>) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut content = Vec::new();
    match size {
        Some(size) => file
            .take(size.saturating_add(1))
            .read_to_end(&mut content)?,
        None if !file.metadata()?.is_file() => {
            return Err(std::io::Error::other(
                "it is no ordinary file; say how much (--size)",
            ));
        }
        None => (&file).read_to_end(&mut content)?,
    };
    if content.is_empty() && size.is_none() {
        return Err(std::io::Error::other(
            "it is empty; say how large the section is to be (--size)",
        ));
    }
    Ok(content)
}

fn announce(args: &Serve, section: &Section, ends: &Ends) -> Outcome {
    let info = section.info()?;
    let printed = if args.json {
        output::json(&json!({
            "name": args.name,
            "requested_len": info.requested_len,
            "kernel_len": info.kernel_len,
            "pid": std::process::id(),
        }))
    } else {
        let how_to_end = match (args.duration, ends.takes_keys()) {
            (Some(time), true) => {
                format!("for {} s, or until a key is pressed", time.as_secs_f64())
            }
            (Some(time), false) => format!("for {} s", time.as_secs_f64()),
            (None, true) => "until a key is pressed".to_string(),
            (None, false) => "until Ctrl-C or SIGTERM".to_string(),
        };
        output::line(&format!(
            "serving {}, {}, {how_to_end}",
            output::name(&args.name),
            output::bytes(section.len()?),
        ))
    };
    match printed {
        // A server serves on when nobody reads what it prints.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}
