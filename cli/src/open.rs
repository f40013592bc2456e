//! Opening what a command is about.

use crate::object::{self, Object};
use crate::{Failure, output};
use shmkit::{ErrorKind, Name, Scope, Section};

/// Opens a section for reading. Where it is not there, says so, and whether the
/// other scope has something of that name.
pub fn section(name: &str) -> Result<Section, Failure> {
    Section::open(name).map_err(|error| explain(name, error))
}

/// Opens a section, an event or a mutex.
pub fn any(name: &str) -> Result<Object, Failure> {
    Object::open(name).map_err(|error| explain(name, error))
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
