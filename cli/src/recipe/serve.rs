//! `serve`: the message server of the classic recipe.

use crate::args::Serve;
use crate::input::content;
use crate::input::ends::Ends;
use crate::{Failure, Outcome, output};
use serde_json::json;
use shmkit::{Event, Mapping, Mutex, Name, ReadWrite, Reset, Section, SectionInfo};
use std::sync::atomic::{Ordering, fence};

/// The size that the classic recipe calls `BUF_SIZE`.
const CLASSIC_SIZE: u64 = 256;

pub fn run(args: &Serve) -> Outcome {
    if args.text.len() > 1 {
        return Err(Failure::Other(
            "the section holds one text, and several were given\n  quote the text, or use shmkit publish for several messages"
                .to_string(),
        ));
    }

    let content = content(args)?;
    let size = args.size.unwrap_or(match &args.file {
        Some(_) => content.len() as u64,
        None => CLASSIC_SIZE,
    });
    if content.len() as u64 > size {
        let len = content.len();
        return Err(Failure::Other(match &args.file {
            Some(_) => format!(
                "the file is longer than the {size} bytes of the section\n  use a larger --size, or leave out --size"
            ),
            None => format!(
                "the text needs {len} bytes with its NUL, and the section has {size} bytes\n  use --size {len} or more"
            ),
        }));
    }

    apart(args)?;
    // The signals are watched before the section exists, so that no signal ends the program without
    // a clean end of the section.
    let ends = Ends::watch(args.duration).map_err(Failure::Other)?;
    // The event and the mutex are created before the section, so that a program that finds the
    // section finds them too.
    let beside = Beside::create(args)?;

    let section = Section::options()
        .access(args.access.clone())
        .create_new(&args.name, size)?;
    if !content.is_empty() {
        fill(&section.map_rw(..content.len() as u64)?, &content)?;
        beside.event.as_ref().map_or(Ok(()), Event::set)?;
    }

    let info = section.info()?;
    // The server continues if no process reads its output.
    output::announce(|| say(args, &info, &ends))?;

    let reason = ends.wait();
    drop((section, beside));
    output::remark(&format!("{} ended: {reason}", output::name(&args.name)));
    Ok(())
}

/// Checks that the section, the event and the mutex have different names: all kinds of objects
/// share one namespace.
fn apart(args: &Serve) -> Outcome {
    let names = [Some(&args.name), args.event.as_ref(), args.mutex.as_ref()];
    let names: Vec<Name> = names
        .into_iter()
        .flatten()
        .map(|name| Name::new(name))
        .collect::<shmkit::Result<_>>()?;

    let same = |a: &Name, b: &Name| (a.scope(), a.base()) == (b.scope(), b.base());
    for (n, name) in names.iter().enumerate() {
        if names[..n].iter().any(|other| same(name, other)) {
            return Err(Failure::Other(format!(
                "{} is given as the name of two objects\n  give the section, the event and the mutex different names",
                output::name(name.as_str())
            )));
        }
    }
    Ok(())
}

/// Writes the content to the section. The first bytes are written last, so a program that reads at
/// the same time sees an empty text and not a part of the text.
fn fill(view: &Mapping<ReadWrite>, content: &[u8]) -> shmkit::Result<()> {
    let first = content.len().min(8);
    view.write(first, &content[first..])?;
    // Release: the rest is written before the first bytes. Pairs with the fence or acquiring load,
    // if any, that the reader has between its reads of the first bytes and of the rest.
    fence(Ordering::Release);
    view.write(0, &content[..first])
}

fn content(args: &Serve) -> Result<Vec<u8>, Failure> {
    match (&args.file, args.text.first()) {
        (Some(file), _) => content::of_file(file, args.size),
        (None, Some(text)) => content::of_text(text, args.encoding),
        (None, None) => Ok(Vec::new()),
    }
}

/// The event and the mutex that are created together with the section.
struct Beside {
    event: Option<Event>,
    /// The mutex, which the server keeps alive and does not use.
    _mutex: Option<Mutex>,
}

impl Beside {
    fn create(args: &Serve) -> shmkit::Result<Beside> {
        let reset = match args.manual_reset {
            true => Reset::Manual,
            false => Reset::Auto,
        };
        let events = Event::options().access(args.access.clone());
        let mutexes = Mutex::options().access(args.access.clone());
        let event = args.event.as_ref().map(|n| events.create_new(n, reset));
        let mutex = args.mutex.as_ref().map(|n| mutexes.create_new(n));
        Ok(Beside {
            event: event.transpose()?,
            _mutex: mutex.transpose()?,
        })
    }
}

fn say(args: &Serve, info: &SectionInfo, ends: &Ends) -> std::io::Result<()> {
    if args.json {
        return output::json(&json!({
            "name": args.name,
            "requested_len": info.requested_len,
            "kernel_len": info.kernel_len,
            "pid": std::process::id(),
            "event": args.event,
            "mutex": args.mutex,
        }));
    }

    let len = output::bytes(info.requested_len.unwrap_or(info.kernel_len));
    let mut line = format!("serving {}, {len}", output::name(&args.name));
    for (what, name) in [("event", &args.event), ("mutex", &args.mutex)] {
        if let Some(name) = name {
            line += &format!(", {what} {}", output::name(name));
        }
    }
    output::line(&format!("{line}, {}", ends.how()))
}
