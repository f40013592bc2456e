//! Opening what a command is about, and which part of it that is.

use crate::args::Dump;
use crate::names::companions;
use crate::names::object::{self, Object};
use crate::{Failure, output, platform};
use shmkit::inspect::Pattern;
use shmkit::{ErrorKind, Name, Section};
use std::ops::Range;

/// What a command looks for behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// A topic, or a text in bare memory.
    Topic,
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
    /// What to do where nothing has this name.
    fn advice(self, name: &str) -> String {
        let arg = platform::argument(&output::name(name));
        match self {
            Sought::Topic => format!("start the server first: shmkit serve {arg} MESSAGE"),
            Sought::Queue => format!("start the receiver first: shmkit recv {arg}"),
            Sought::Values => format!("start the writer first: shmkit set {arg} VALUE"),
            Sought::Calls => {
                format!("start the server of calls first: shmkit answer {arg} --exec COMMAND")
            }
            Sought::Section => format!("create the section first: shmkit serve --raw {arg}"),
            Sought::Event => {
                format!("create the event first: shmkit serve --raw SECTION --event {arg}")
            }
            Sought::Waitable => format!(
                "create the event first: shmkit serve --raw SECTION --event {arg}\n  \
                 or the mutex: shmkit serve --raw SECTION --mutex {arg}"
            ),
            Sought::Object => format!("start the program that creates {arg} first"),
        }
    }
}

/// Opens a section for reading. Where nothing has the name, the error says so, and names an object
/// of nearly that name.
pub fn section(name: &str) -> Result<Section, Failure> {
    Section::open(name).map_err(|error| explain(name, Sought::Section, error))
}

/// Opens a section, an event or a mutex.
pub fn any(name: &str) -> Result<Object, Failure> {
    Object::open(name).map_err(|error| explain(name, Sought::Object, error))
}

/// Whether a section may be one that messages go through. The library knows for certain, and
/// takes its time where one may be in the making: its first word comes last.
pub fn may_hold_messages(section: &Section) -> shmkit::Result<bool> {
    Ok(match first_word(section)? {
        Some(MAGIC) => true,
        Some([0, 0, 0, 0]) => {
            section.len()?.next_multiple_of(PAGE) == HEADER.next_multiple_of(PAGE)
        }
        _ => false,
    })
}

/// Whether a section looks like one that messages go through.
pub fn holds_messages(section: &Section) -> bool {
    matches!(first_word(section), Ok(Some(MAGIC)))
}

/// What it begins with, where it is as large as one that messages go through.
fn first_word(section: &Section) -> shmkit::Result<Option<[u8; 4]>> {
    let mut first = [0; 4];
    if section.len()? < HEADER {
        return Ok(None);
    }
    section.read_at(0, &mut first)?;
    Ok(Some(first))
}

/// What such a section begins with.
const MAGIC: [u8; 4] = *b"SHMK";
/// Its size.
const HEADER: u64 = 4 * 4096 + 64;
/// Some systems tell whole pages only.
const PAGE: u64 = 4096;

/// The bytes that are asked for, of a section of `size` bytes.
pub fn range(args: &Dump, size: u64) -> Result<Range<u64>, Failure> {
    let start = args.offset;
    let Some(rest) = size.checked_sub(start).filter(|rest| *rest > 0) else {
        return Err(Failure::Other(format!(
            "byte {start} lies beyond a section of {size} bytes"
        )));
    };
    let len = args.length.unwrap_or(rest);
    if len > rest {
        return Err(Failure::Other(format!(
            "only {rest} bytes stand from {start} on; leave --length out to get them all"
        )));
    }
    Ok(start..start + len)
}

/// The advice of the library where nothing has a name begins with this. The library does not know
/// what the caller looks for.
const ANY_ADVICE: &str = "start the server first; ";

/// What to say when `name`, behind which there was to be `sought`, could not be opened.
pub fn explain(name: &str, sought: Sought, error: shmkit::Error) -> Failure {
    let missing = error.kind() == ErrorKind::NotFound;
    if missing && error.subject() != name && companions::whole_of(error.subject()).is_some() {
        let name = output::name(name);
        return Failure::Absent(format!(
            "{name} was closed at this moment\n  start it again"
        ));
    }
    if error.kind() == ErrorKind::WrongKind
        && let Ok(info) = shmkit::inspect::segment_info(name)
    {
        return Failure::Other(purpose(name, info.pattern));
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

/// What a name is, and what to do with it.
pub fn purpose(name: &str, pattern: Pattern) -> String {
    let is = match pattern {
        Pattern::Queue => {
            "is a queue: its messages go to the one program that made it\n  shmkit send sends to it, and shmkit recv makes one"
        }
        Pattern::Topic => {
            "is a topic: what its server sends goes to all consumers\n  shmkit consume prints it, and shmkit serve makes one"
        }
        Pattern::Values => {
            "are latest values, of which each reader gets the newest\n  shmkit get prints them, and shmkit set sets its own"
        }
        Pattern::Calls => {
            "is a server of calls: each response goes to the one who asked\n  shmkit call calls it, and shmkit answer makes one"
        }
    };
    format!("{} {is}", output::name(name))
}

/// Something whose name is easily mistaken for this one: of the other scope, in other
/// letters, or with the backslash that a shell eats.
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
    fn advice_names_the_command_that_is_missing() {
        for (sought, command) in [
            (Sought::Topic, "shmkit serve Name"),
            (Sought::Queue, "shmkit recv Name"),
            (Sought::Values, "shmkit set Name"),
            (Sought::Calls, "shmkit answer Name --exec"),
            (Sought::Section, "shmkit serve --raw Name"),
            (Sought::Event, "shmkit serve --raw SECTION --event Name"),
            (Sought::Waitable, "shmkit serve --raw SECTION --mutex Name"),
            (Sought::Object, "the program that creates Name"),
        ] {
            let advice = sought.advice("Name");
            assert!(advice.contains(command), "{sought:?}: {advice}");
        }
    }
}
