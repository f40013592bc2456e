//! `consume`: the message consumer of the classic recipe.

use crate::args::Consume;
use crate::names::open::{self, Sought};
use crate::text::{self, Encoding};
use crate::{Failure, Outcome, output, platform};
use serde_json::json;
use shmkit::inspect::Pattern;
use shmkit::{ErrorKind, Section};
use std::time::{Duration, Instant};

/// The number of bytes of a section that are searched for the end of the text.
const LONGEST: u64 = 16 << 20;

/// The pause between two looks for the section and its text. The system does not notify a program
/// when a section appears or when a program of the classic recipe has written its text.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a name stands for.
enum Behind {
    Text(Found),
    /// A queue, topic, values or calls, which other commands read.
    Other(Pattern),
    /// A POSIX object that exists and has no bytes yet.
    Nothing,
}

pub fn run(args: &Consume) -> Outcome {
    match wait_for(args)? {
        Behind::Text(found) => print(args, &found),
        Behind::Other(pattern) => Err(Failure::Other(open::purpose(&args.name, pattern))),
        Behind::Nothing => Err(Failure::Absent(format!(
            "{} exists, but its owner has not set its size yet",
            output::name(&args.name)
        ))),
    }
}

/// Looks for the section. With --wait, waits for the section and for its text, which the server
/// writes a moment after it has created the section.
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
        // The section is closed before the library looks: an open section would keep alive what a
        // dead owner had not completed.
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

/// The text of a section, and how it was read.
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

/// Reads the text at the start of a section. Returns `None` if a POSIX object exists and has no
/// bytes yet.
fn read(args: &Consume, section: &Section) -> shmkit::Result<Option<Found>> {
    let all = section.len()?;
    let size = all.min(LONGEST);
    if size == 0 {
        return Ok(None);
    }

    let mut bytes = Vec::new();
    let (mut encoding, mut why) = (args.encoding, None);
    loop {
        // The first read is one page, into which nearly every text fits.
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
        output::remark("the text has no NUL within 16 MiB; use shmkit dump for the rest");
    } else if !found.has_end {
        output::remark("the text has no NUL at its end; it fills the whole section");
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
