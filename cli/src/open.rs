//! Opening the section that a command is about.

use crate::{Failure, output};
use shmkit::{ErrorKind, Name, Scope, Section};

/// Opens a section for reading. Where it is not there, says so, and whether the
/// other scope has one of that name.
pub fn section(name: &str) -> Result<Section, Failure> {
    Section::open(name).map_err(|error| explain(name, error))
}

/// What to say when a section could not be opened.
pub fn explain(name: &str, error: shmkit::Error) -> Failure {
    let missing = error.kind() == ErrorKind::NotFound;
    match (Failure::from(error), elsewhere(name)) {
        (Failure::Absent(why), Some(other)) if missing => Failure::Absent(format!(
            "{why}\n  there is a section {}; is that the one?",
            output::name(&other)
        )),
        (failure, _) => failure,
    }
}

fn elsewhere(name: &str) -> Option<String> {
    let name = Name::new(name).ok()?;
    let prefix = match name.scope() {
        Scope::Session => "Global",
        Scope::Global => "Local",
    };
    let other = format!("{prefix}\\{}", name.base());
    Section::open(&other).ok().map(|_| other)
}
