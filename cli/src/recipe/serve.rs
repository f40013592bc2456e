//! `serve`: the message server of the classic recipe.

use crate::args::Serve;
use crate::input::content;
use crate::input::ends::Ends;
use crate::{Failure, Outcome, output};
use serde_json::json;
use shmkit::{Event, Mapping, Mutex, Name, ReadWrite, Reset, Section, SectionInfo};
use std::sync::atomic::{Ordering, fence};

/// What the classic recipe calls BUF_SIZE.
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
                "the file has more than the {size} bytes of the section\n  use a larger --size, or leave it out"
            ),
            None => format!(
                "the text needs {len} bytes with its NUL, and the section has {size}\n  use --size {len} or more"
            ),
        }));
    }
    apart(args)?;
    // Before the section exists, so that no signal finds it without a caretaker.
    let ends = Ends::watch(args.duration).map_err(Failure::Other)?;
    // Before the section: a program that finds the section finds them too.
    let beside = Beside::create(args)?;
    let section = Section::options()
        .access(args.access.clone())
        .create_new(&args.name, size)?;
    if !content.is_empty() {
        fill(&section.map_rw(..content.len() as u64)?, &content)?;
        beside.event.as_ref().map_or(Ok(()), Event::set)?;
    }
    let info = section.info()?;
    // A server serves on when nobody reads what it prints.
    output::announce(|| say(args, &info, &ends))?;
    let reason = ends.wait();
    drop((section, beside));
    output::remark(&format!("{} ended: {reason}", output::name(&args.name)));
    Ok(())
}

/// All kinds share one namespace.
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
                "{} cannot be two things at once\n  give the event and the mutex names of their own",
                output::name(name.as_str())
            )));
        }
    }
    Ok(())
}

/// The first word comes last: a program that looks meanwhile sees an empty text, and not
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
    match (&args.file, args.text.first()) {
        (Some(file), _) => content::of_file(file, args.size),
        (None, Some(text)) => content::of_text(text, args.encoding),
        (None, None) => Ok(Vec::new()),
    }
}

/// What stands beside the section.
struct Beside {
    event: Option<Event>,
    /// Held, and not used.
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
