//! `consume`: the message consumer of the classic recipe.

use crate::args::Consume;
use crate::names::open::{self, Sought};
use crate::text::{self, Encoding};
use crate::{Failure, Outcome, output, platform};
use serde_json::json;
use shmkit::inspect::Pattern;
use shmkit::{ErrorKind, Section};
use std::time::{Duration, Instant};

/// The most bytes that are read of a section in search of the end of its text.
const LONGEST: u64 = 16 << 20;

/// How often it looks for the section and its text: nothing tells when a section appears, nor
/// when a program of the classic recipe has written its text.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is behind the name.
enum Behind {
    Text(Found),
    /// What other commands are for.
    Other(Pattern),
    /// A POSIX object that exists and has no bytes yet.
    Nothing,
}

pub fn run(args: &Consume) -> Outcome {
    match wait_for(args)? {
        Behind::Text(found) => print(args, &found),
        Behind::Other(pattern) => Err(Failure::Other(open::purpose(&args.name, pattern))),
        Behind::Nothing => Err(Failure::Absent(format!(
            "{} exists, and its owner has not given it a size",
            output::name(&args.name)
        ))),
    }
}

/// With --wait, waits for the section, and for the text that the server writes into it a
/// moment later.
fn wait_for(args: &Consume) -> Result<Behind, Failure> {
    let start = Instant::now();
    let patience = args.wait.unwrap_or(Duration::ZERO);
    loop {
        let late = start.elapsed() >= patience;
        match look(args) {
            Ok(Behind::Text(found)) if late && found.is_empty() && args.wait.is_some() => {
                return Err(Failure::Absent(format!(
                    "{} has no text yet\n  waited {} s",
                    output::name(&args.name),
                    patience.as_secs_f64()
                )));
            }
            Ok(Behind::Text(found)) if !late && found.is_empty() => {}
            Ok(Behind::Nothing) if !late => {}
            Ok(behind) => return Ok(behind),
            Err(error) if late || error.kind() != ErrorKind::NotFound => {
                let failure = open::explain(&args.name, Sought::Text, error);
                return Err(open::after(args.wait, failure));
            }
            Err(_) => {}
        }
        std::thread::sleep(LOOK_EVERY.min(patience.saturating_sub(start.elapsed())));
    }
}

fn look(args: &Consume) -> shmkit::Result<Behind> {
    let section = Section::open(&args.name)?;
    if open::may_hold_messages(&section)? {
        // Not held while the library looks: that would keep what a dead owner half made.
        drop(section);
        match shmkit::inspect::segment_info(&args.name) {
            Ok(info) => return Ok(Behind::Other(info.pattern)),
            Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::WrongKind) => {}
            Err(error) => return Err(error),
        }
    }
    let found = read(args, &Section::open(&args.name)?)?;
    Ok(found.map_or(Behind::Nothing, Behind::Text))
}

/// A text as it was found.
struct Found {
    text: String,
    encoding: Encoding,
    why: Option<&'static str>,
    has_end: bool,
    cut: bool,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// The text at the start of a section; `None` where a POSIX object exists and has no bytes yet.
fn read(args: &Consume, section: &Section) -> shmkit::Result<Option<Found>> {
    let all = section.len()?;
    let size = all.min(LONGEST);
    if size == 0 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let (mut encoding, mut why) = (args.encoding, None);
    loop {
        // A page at first, which nearly every text fits in.
        let len = (bytes.len().max(2048) as u64 * 2).min(size);
        bytes.resize(len as usize, 0);
        section.read_at(0, &mut bytes)?;
        let encoding = *encoding.get_or_insert_with(|| {
            let (guess, reason) = text::guess(&bytes);
            why = Some(reason);
            guess
        });
        let end = text::end(&bytes, encoding);
        if end.is_some() || len == size {
            let text = text::decode(&bytes[..end.unwrap_or(bytes.len())], encoding);
            let has_end = end.is_some();
            return Ok(Some(Found {
                text,
                encoding,
                why,
                has_end,
                cut: !has_end && all > LONGEST,
            }));
        }
    }
}

fn print(args: &Consume, found: &Found) -> Outcome {
    if let Some(why) = found.why {
        let encoding = found.encoding.name();
        output::remark(&format!("guessed --encoding {encoding}: {why}"));
    }
    if found.cut {
        output::remark("no NUL ends the text within 16 MiB; use dump for the rest");
    } else if !found.has_end {
        output::remark("no NUL ends the text; this is all that the section holds");
    }
    if args.message_box {
        return platform::message_box(&args.name, &found.text).map_err(Failure::Other);
    }
    if args.json {
        output::json(&json!({
            "name": args.name,
            "text": found.text,
            "encoding": found.encoding.name(),
            "guessed": found.why.is_some(),
        }))?;
    } else {
        output::line(&output::foreign(&found.text))?;
    }
    Ok(())
}
