//! An object of any kind that a name stands for.

use shmkit::inspect::Kind;
use shmkit::{Error, ErrorKind, Event, Mutex, RawObject, Section};

/// An object that is open for reading.
#[derive(Debug)]
pub enum Object {
    Section(Section),
    Event(Event),
    Mutex(Mutex),
}

impl Object {
    /// Opens a name. If the object is of none of the three kinds, returns the error of opening a
    /// section.
    pub fn open(name: &str) -> shmkit::Result<Object> {
        let is_other = |error: &Error| error.kind() == ErrorKind::WrongKind;
        let no_section = match Section::open(name) {
            Err(error) if is_other(&error) => error,
            opened => return opened.map(Object::Section),
        };
        match Event::open(name) {
            Err(error) if is_other(&error) => {}
            opened => return opened.map(Object::Event),
        }
        match Mutex::open(name) {
            Err(error) if is_other(&error) => Err(no_section),
            opened => opened.map(Object::Mutex),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Object::Section(_) => Kind::Section,
            Object::Event(_) => Kind::Event,
            Object::Mutex(_) => Kind::Mutex,
        }
    }

    pub fn as_raw(&self) -> RawObject {
        match self {
            Object::Section(section) => section.as_raw(),
            Object::Event(event) => event.as_raw(),
            Object::Mutex(mutex) => mutex.as_raw(),
        }
    }
}

/// Returns the kind as one word, which is also a value in JSON.
pub fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Section => "section",
        Kind::Event => "event",
        Kind::Mutex => "mutex",
        _ => "other",
    }
}

/// Returns the kind with its article, for a sentence.
pub fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Section => "a section",
        Kind::Event => "an event",
        Kind::Mutex => "a mutex",
        _ => "something else",
    }
}

/// Returns the part of a listed name behind its scope. A listed name can break the rules for names,
/// so `Name` cannot parse it.
pub fn base_of(name: &str) -> &str {
    name.split_once('\\').map_or(name, |(_, base)| base)
}
