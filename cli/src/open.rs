//! Opening what a command is about, and which part of it that is.

use crate::args::Dump;
use crate::object::{self, Object};
use crate::{Failure, output};
use shmkit::{ErrorKind, Name, Scope, Section};
use std::ops::Range;

/// Opens a section for reading. Where it is not there, says so, and whether the
/// other scope has something of that name.
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

fn elsewhere(name: &str) -> Option<(&'static str, String)> {
    let name = Name::new(name).ok()?;
    let prefix = match name.scope() {
        Scope::Session => "Global",
        Scope::Global => "Local",
    };
    let other = format!("{prefix}\\{}", name.base());
    let found = Object::open(&other).ok()?;
    Some((object::noun(found.kind()), other))
}
