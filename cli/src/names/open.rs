//! Opens the object of a command, and explains why an object cannot be opened.

use crate::args::Dump;
use crate::names::companions;
use crate::names::object::{self, Object};
use crate::{Failure, output, platform};
use shmkit::inspect::Pattern;
use shmkit::{ErrorKind, Name, Section};
use std::ops::Range;
use std::time::{Duration, Instant};

/// The kind of object that a command looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    Topic,
    /// A text in bare memory.
    Text,
    Queue,
    Values,
    Calls,
    Section,
    Event,
    /// An event or a mutex to wait for, or a section to appear.
    Waitable,
    /// An object of any kind.
    Object,
}

impl Sought {
    /// Returns what to do if no object has this name.
    fn advice(self, name: &str) -> String {
        let arg = platform::argument(&output::name(name));
        match self {
            Sought::Topic => format!("start the publisher first: shmkit publish {arg} MESSAGE"),
            Sought::Text => format!("start the server first: shmkit serve {arg} TEXT"),
            Sought::Queue => format!("start the receiver first: shmkit recv {arg}"),
            Sought::Values => format!("start the writer first: shmkit set {arg} VALUE"),
            Sought::Calls => {
                format!("start the server of calls first: shmkit answer {arg} --exec COMMAND")
            }
            Sought::Section => format!("create the section first: shmkit serve {arg}"),
            Sought::Event => {
                format!("create the event first: shmkit serve SECTION --event {arg}")
            }
            Sought::Waitable => format!(
                "create the event first: shmkit serve SECTION --event {arg}\n  \
                 or the mutex: shmkit serve SECTION --mutex {arg}"
            ),
            Sought::Object => format!("start the program that creates {arg} first"),
        }
    }
}

impl Sought {
    /// Returns whether the object carries messages or values.
    fn is_segment(self) -> bool {
        matches!(
            self,
            Sought::Topic | Sought::Queue | Sought::Values | Sought::Calls
        )
    }
}

/// Opens a section for reading. If no object has the name, the error says so, and names an object
/// with a similar name if there is one.
pub fn section(name: &str) -> Result<Section, Failure> {
    Section::open(name).map_err(|error| explain(name, Sought::Section, error))
}

/// Opens a section, an event or a mutex.
pub fn any(name: &str) -> Result<Object, Failure> {
    Object::open(name).map_err(|error| explain(name, Sought::Object, error))
}

/// Returns whether a section may be the ownership record of a segment.
///
/// This function is quick and may return a wrong `true`; the library knows for certain. The first
/// word of an ownership record is written last, so a section of the right size whose first word is
/// zero may be an ownership record that is not complete yet. The library waits for such a section.
pub fn may_hold_messages(section: &Section) -> shmkit::Result<bool> {
    Ok(match first_word(section)? {
        Some(MAGIC) => true,
        Some([0, 0, 0, 0]) => {
            section.len()?.next_multiple_of(PAGE) == HEADER.next_multiple_of(PAGE)
        }
        _ => false,
    })
}

/// Returns whether a section looks like the ownership record of a segment.
pub fn holds_messages(section: &Section) -> bool {
    matches!(first_word(section), Ok(Some(MAGIC)))
}

/// Returns the first four bytes of a section; `None` if the section is too small for an ownership
/// record.
fn first_word(section: &Section) -> shmkit::Result<Option<[u8; 4]>> {
    let mut first = [0; 4];
    if section.len()? < HEADER {
        return Ok(None);
    }
    section.read_at(0, &mut first)?;
    Ok(Some(first))
}

/// The pause between two attempts to join a segment that has no free place.
const PLACE_EVERY: Duration = Duration::from_millis(10);

/// The first four bytes of an ownership record.
const MAGIC: [u8; 4] = *b"SHMK";
/// The size of an ownership record.
const HEADER: u64 = 4 * 4096 + 64;
/// Some systems report the size of a section in whole pages only.
const PAGE: u64 = 4096;

/// Returns the requested range of a section of `size` bytes.
pub fn range(args: &Dump, size: u64) -> Result<Range<u64>, Failure> {
    let start = args.offset;
    let Some(rest) = size.checked_sub(start).filter(|rest| *rest > 0) else {
        return Err(Failure::Other(format!(
            "offset {start} is outside of a section of {size} bytes"
        )));
    };
    let len = args.length.unwrap_or(rest);
    if len > rest {
        return Err(Failure::Other(format!(
            "only {rest} bytes follow from offset {start} on; leave out --length to get all of them"
        )));
    }
    Ok(start..start + len)
}

/// The beginning of the advice that the library gives if no object has a name. The library does not
/// know what the caller looks for.
const ANY_ADVICE: &str = "start the server first; ";

/// Returns the failure for a `name` that should stand for `sought` and could not be opened.
pub fn explain(name: &str, sought: Sought, error: shmkit::Error) -> Failure {
    let missing = error.kind() == ErrorKind::NotFound;
    if missing && error.subject() != name && companions::whole_of(error.subject()).is_some() {
        let name = output::name(name);
        return Failure::Absent(format!(
            "{name} was closed at this moment\n  start its owner again"
        ));
    }

    if error.kind() == ErrorKind::WrongKind
        && let Ok(info) = shmkit::inspect::segment_info(name)
    {
        return Failure::Other(purpose(name, info.pattern));
    }
    if sought.is_segment()
        && matches!(error.kind(), ErrorKind::WrongKind | ErrorKind::Busy)
        && is_bare(name)
    {
        return Failure::Other(format!(
            "{} is bare memory, and has no messages\n  shmkit consume prints its text, and shmkit dump its bytes",
            output::name(name)
        ));
    }

    let failure = match error.advice().strip_prefix(ANY_ADVICE) {
        Some(rest) => {
            let advice = format!("{}\n  or {rest}", sought.advice(name));
            Failure::with_advice(&error, &advice)
        }
        None => Failure::from(error),
    };

    match (failure, elsewhere(name)) {
        (Failure::Absent(why), Some((kind, other))) if missing => Failure::Absent(format!(
            "{why}\n  there is {kind} {}; is that the one?",
            output::name(&other)
        )),
        (failure, _) => failure,
    }
}

/// Returns whether the name stands for a section that is not part of a queue, topic, values or
/// calls.
fn is_bare(name: &str) -> bool {
    let opened = Section::open(name);
    opened.is_ok_and(|section| matches!(may_hold_messages(&section), Ok(false)))
}

/// Adds the time that a command waited, if it waited, to a failure that says what is absent.
pub fn after(wait: Option<Duration>, failure: Failure) -> Failure {
    match (failure, wait) {
        (Failure::Absent(why), Some(time)) => {
            Failure::Absent(format!("{why}\n  waited {} s", time.as_secs_f64()))
        }
        (failure, _) => failure,
    }
}

/// Opens an endpoint. With `wait`, waits until the owner exists and has a free place.
///
/// `open` gets the time that is left, and the library waits for the owner for this time. No event
/// reports a free place, so this function tries again and again.
pub fn in_time<T>(
    wait: Option<Duration>,
    open: impl Fn(Duration) -> shmkit::Result<T>,
) -> shmkit::Result<T> {
    let (start, wait) = (Instant::now(), wait.unwrap_or_default());
    loop {
        let left = wait.saturating_sub(start.elapsed());
        match open(left) {
            Err(error) if error.kind() == ErrorKind::Busy && !left.is_zero() => {
                std::thread::sleep(left.min(PLACE_EVERY));
            }
            opened => return opened,
        }
    }
}

/// Returns a text that says what a name stands for, and which commands use it.
pub fn purpose(name: &str, pattern: Pattern) -> String {
    let is = match pattern {
        Pattern::Queue => {
            "is a queue: its messages go to the program that created it\n  shmkit send sends messages to it, and shmkit recv creates a queue"
        }
        Pattern::Topic => {
            "is a topic: each message of its publisher goes to all subscribers\n  shmkit subscribe prints the messages, and shmkit publish creates a topic"
        }
        Pattern::Values => {
            "holds values: each reader gets the newest value\n  shmkit get prints them, and shmkit set creates values"
        }
        Pattern::Calls => {
            "is a server of calls: each response goes to the client that sent the request\n  shmkit call calls it, and shmkit answer starts a server"
        }
    };
    format!("{} {is}", output::name(name))
}

/// Returns the kind and name of an object whose name is easily mistaken for `name`: a name in the
/// other scope, with other capitals, or with the backslash that a shell has removed.
fn elsewhere(name: &str) -> Option<(&'static str, String)> {
    let wanted = Name::new(name).ok()?;
    let plain = |text: &str| text.replace('\\', "").to_lowercase();
    let listed = shmkit::inspect::list().ok()?;
    let found = listed.into_iter().find(|l| {
        l.name != name
            && (plain(object::base_of(&l.name)) == plain(wanted.base())
                || plain(&l.name) == plain(name))
    })?;
    Some((object::noun(found.kind), found.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_found_advice_names_creating_command() {
        for (sought, command) in [
            (Sought::Topic, "shmkit publish Name"),
            (Sought::Text, "shmkit serve Name TEXT"),
            (Sought::Queue, "shmkit recv Name"),
            (Sought::Values, "shmkit set Name"),
            (Sought::Calls, "shmkit answer Name --exec"),
            (Sought::Section, "shmkit serve Name"),
            (Sought::Event, "shmkit serve SECTION --event Name"),
            (Sought::Waitable, "shmkit serve SECTION --mutex Name"),
            (Sought::Object, "the program that creates Name"),
        ] {
            let advice = sought.advice("Name");
            assert!(advice.contains(command), "{sought:?}: {advice}");
        }
    }
}
