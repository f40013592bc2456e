//! Opening what a command is about, and which part of it that is.

use crate::args::Dump;
use crate::object::{self, Object};
use crate::{Failure, output};
use shmkit::{ErrorKind, Name, Section};
use std::ops::Range;

/// Opens a section for reading. Where it is not there, says so, and whether there is
/// something of nearly that name.
pub fn section(name: &str) -> Result<Section, Failure> {
    Section::open(name).map_err(|error| explain(name, error))
}

/// Opens a section, an event or a mutex.
pub fn any(name: &str) -> Result<Object, Failure> {
    Object::open(name).map_err(|error| explain(name, error))
}

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

/// What to say when something could not be opened.
pub fn explain(name: &str, error: shmkit::Error) -> Failure {
    let missing = error.kind() == ErrorKind::NotFound;
    match (Failure::from(error), elsewhere(name)) {
        (Failure::Absent(why), Some((kind, other))) if missing => Failure::Absent(format!(
            "{why}\n  there is {kind} {}; is that the one?",
            output::name(&other)
        )),
        (failure, _) => failure,
    }
}

/// Something whose name is easily mistaken for this one: of the other scope, in other
/// letters, or with the backslash that a shell eats.
fn elsewhere(name: &str) -> Option<(&'static str, String)> {
    let wanted = Name::new(name).ok()?;
    let plain = |text: &str| text.replace('\\', "").to_lowercase();
    let listed = shmkit::list().ok()?;
    let found = listed.into_iter().find(|l| {
        l.name != name
            && (plain(object::base_of(&l.name)) == plain(wanted.base())
                || plain(&l.name) == plain(name))
    })?;
    Some((object::noun(found.kind), found.name))
}
