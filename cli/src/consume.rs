//! `consume`: the classic message consumer.

use crate::args::Consume;
use crate::text::{self, Encoding};
use crate::{Failure, Outcome, open, output, platform};
use serde_json::json;
use shmkit::{ErrorKind, Section};
use std::time::{Duration, Instant};

/// A text that has not ended here is none.
const LONGEST: u64 = 16 << 20;

/// There is nothing to wait on before a name exists, so it is tried this often.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A text as it was found.
struct Found {
    text: String,
    encoding: Encoding,
    why: Option<&'static str>,
    has_end: bool,
    cut: bool,
}

pub fn run(args: &Consume) -> Outcome {
    let found = wait_for(args)?;
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

/// With --wait, for a server, and for the text that it writes a moment after its
/// section appears.
fn wait_for(args: &Consume) -> Result<Found, Failure> {
    let start = Instant::now();
    let patience = args.wait.unwrap_or(Duration::ZERO);
    loop {
        let late = start.elapsed() >= patience;
        match look(args) {
            Ok(Some(found)) if late && found.text.is_empty() && args.wait.is_some() => {
                return Err(Failure::Absent(format!(
                    "{} has no text yet\n  waited {} s",
                    output::name(&args.name),
                    patience.as_secs_f64()
                )));
            }
            Ok(Some(found)) if late || !found.text.is_empty() => return Ok(found),
            Ok(None) if late => {
                return Err(Failure::Absent(format!(
                    "{} exists, and its owner has not given it a size",
                    output::name(&args.name)
                )));
            }
            Err(error) if late || error.kind() != ErrorKind::NotFound => {
                return Err(match (open::explain(&args.name, error), args.wait) {
                    (Failure::Absent(why), Some(time)) => {
                        Failure::Absent(format!("{why}\n  waited {} s", time.as_secs_f64()))
                    }
                    (failure, _) => failure,
                });
            }
            _ => std::thread::sleep(LOOK_EVERY.min(patience.saturating_sub(start.elapsed()))),
        }
    }
}

/// `None` where a POSIX object exists and has no bytes yet.
fn look(args: &Consume) -> shmkit::Result<Option<Found>> {
    let section = Section::open(&args.name)?;
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
