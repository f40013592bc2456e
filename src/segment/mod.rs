//! Sections with our header: who made them, what is in them, and who takes part.
//!
//! A segment is a name and generations behind it, of which one is in use. A generation is three
//! sections, split by who writes them. Its owner writes *control*; everybody else maps it
//! read-only. Participants write the *roster*, in which nothing is believed. The *lanes* hold
//! the messages; each is written by its one writer. The measures are read once, checked against
//! the sections, and kept.
//!
//! Where an owner ends and another one comes, or the same wants other measures, a new
//! generation follows. It says so in those before it, whose participants go over when they have
//! read what is left for them.

pub(crate) mod ending;
pub(crate) mod fan_in;
pub(crate) mod geometry;
mod joined;
pub(crate) mod notifier;
pub(crate) mod options;
mod owned;
pub(crate) mod owner_monitor;
pub(crate) mod ownership;
pub(crate) mod participant;
pub(crate) mod roster;

pub(crate) use geometry::Geometry;
pub use geometry::Pattern;
pub(crate) use joined::{Found, HowToJoin};
pub(crate) use owned::Owned;

use crate::error::channel::DisconnectReason;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::{Layout, MAX_TEXT};
use crate::format::layout::{
    ALIVE_SUFFIX, CONTROL_SUFFIX, LANES_SUFFIX, OWNER, ROSTER_SUFFIX, control, cursor, lane,
};
use crate::name::Name;
use crate::object::section::Section;
use crate::os;
use crate::segment::participant::event_name;
use crate::sync::{Fixed, Round, Window, WindowMut};
use std::ops::Range;
use std::sync::Arc;

pub(crate) type Control = Fixed<{ control::LEN }>;
pub(crate) type Cursor = Fixed<{ cursor::LEN }>;
pub(crate) type Head = Fixed<{ lane::HEAD }>;

/// A lane, mapped.
#[derive(Debug)]
pub(crate) struct Lane<H, R> {
    pub head: H,
    pub ring: R,
}

/// A lane to be read, mapped.
pub(crate) type ReadLane = Lane<Window<Head>, Window<Round>>;

/// A lane to be written, mapped.
pub(crate) type WriteLane = Lane<WindowMut<Head>, WindowMut<Round>>;

impl ReadLane {
    fn map(lanes: &Section, place: Range<u64>, prefault: bool) -> Result<ReadLane> {
        let view = Arc::new(lanes.map(place)?);
        if prefault {
            view.prefault()?;
        }
        Ok(Lane {
            head: view.window(0, lane::HEAD)?.part(0),
            ring: view.window(lane::HEAD, view.len() - lane::HEAD)?.round(),
        })
    }
}

impl WriteLane {
    fn map_mut(lanes: &Section, place: Range<u64>, prefault: bool) -> Result<WriteLane> {
        let view = Arc::new(lanes.map_rw(place)?);
        if prefault {
            view.prefault()?;
        }
        Ok(Lane {
            head: view.window_mut(0, lane::HEAD)?.part(0),
            ring: view
                .window_mut(lane::HEAD, view.len() - lane::HEAD)?
                .round(),
        })
    }
}

/// What stands beside a name for a generation.
struct Companions {
    control: Name,
    roster: Name,
    lanes: Name,
    alive: Name,
}

impl Companions {
    // layout: L011 L012 L013
    fn of(name: &Name, generation: u32) -> Result<Companions> {
        // Refused now, and not when a participant has to sleep.
        if let Err(error) = Companions::fit(name) {
            return Err(Companions::too_long(name).unwrap_or(error));
        }
        let beside = |suffix| Name::new(&format!("{name}{suffix}{generation:08x}"));
        Ok(Companions {
            control: beside(CONTROL_SUFFIX)?,
            roster: beside(ROSTER_SUFFIX)?,
            lanes: beside(LANES_SUFFIX)?,
            alive: beside(ALIVE_SUFFIX)?,
        })
    }

    /// Whether `name` and the longest name beside it are possible here.
    // layout: L014
    fn fit(name: &Name) -> Result<()> {
        os::check_name(name)?;
        os::check_name(&event_name(name, OWNER, (u64::MAX, u32::MAX))?)
    }

    /// The error for a name of which only the beginning fits, with the length of that beginning.
    fn too_long(name: &Name) -> Option<Error> {
        let text = name.as_str();
        let fits = |text: &str| Name::new(text).is_ok_and(|name| Companions::fit(&name).is_ok());
        let mut ends = text.char_indices().map(|(end, _)| end).rev();
        let most = ends.find(|end| fits(&text[..*end]))?;
        let [has, most] = [text, &text[..most]].map(|text| text.chars().count());
        let meaning = format!(
            "the name has {has} characters, and the name of a queue, a topic, values or a server of \
             calls can have {most}"
        );
        let error = Error::new(ErrorKind::InvalidName, Operation::Create, name, meaning);
        Some(error.with_advice("use a shorter name"))
    }
}

// layout: L002
fn cursor_at(lane: usize) -> usize {
    control::CURSORS + lane * control::CURSOR_STRIDE
}

/// How a generation has ended, as its owner or the next one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GenerationEnd {
    Gone(DisconnectReason),
    /// The same owner goes on in the next one.
    Resized,
}

impl GenerationEnd {
    // layout: L029
    fn of(bits: u32) -> Option<GenerationEnd> {
        match bits {
            bits if bits & control::end::ENDED == 0 => None,
            bits if bits & control::end::CLOSED != 0 => {
                Some(GenerationEnd::Gone(DisconnectReason::Closed))
            }
            bits if bits & control::end::RESIZED != 0 => Some(GenerationEnd::Resized),
            _ => Some(GenerationEnd::Gone(DisconnectReason::Died)),
        }
    }
}

/// The types of messages as they stand in control: texts with `>` between them.
// layout: L038
fn text_of(layouts: &[Layout]) -> String {
    let texts: Vec<String> = layouts.iter().map(Layout::to_string).collect();
    texts.join(">")
}

fn layouts_in(text: &str) -> Option<Vec<Layout>> {
    let inside = text.len() <= MAX_TEXT;
    inside.then(|| text.split('>').map(Layout::parse).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    // layout: L014
    #[test]
    fn refused_name_tells_the_longest_name() {
        let long = Name::new(&"a".repeat(250)).unwrap();
        let error = Companions::of(&long, 1).err().unwrap();
        assert_eq!(error.subject(), long.as_str());
        let (_, rest) = error
            .meaning()
            .split_once("calls can have ")
            .expect("the limit");
        let most: usize = rest.parse().unwrap();
        let [fits, too_long] = [most, most + 1].map(|len| Name::new(&"a".repeat(len)).unwrap());
        assert!(Companions::of(&fits, 1).is_ok() && Companions::of(&too_long, 1).is_err());
    }
}
