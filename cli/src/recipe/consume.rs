//! `consume` of bare memory: the classic message consumer.

use crate::args::Consume;
use crate::text::{self, Encoding};
use crate::{Failure, Outcome, output, platform};
use serde_json::json;
use shmkit::Section;

/// A text that has not ended here is none.
const LONGEST: u64 = 16 << 20;

/// A text as it was found.
pub struct Found {
    text: String,
    encoding: Encoding,
    why: Option<&'static str>,
    has_end: bool,
    cut: bool,
}

impl Found {
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

pub fn print(args: &Consume, found: &Found) -> Outcome {
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

/// `None` where a POSIX object exists and has no bytes yet.
pub fn look(args: &Consume, section: &Section) -> shmkit::Result<Option<Found>> {
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
