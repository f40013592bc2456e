//! Segments: all sections of one queue, topic, table of values or server of calls, under one name.
//!
//! A segment is a name and the generations behind it, one of which is in use. A generation has
//! three sections, one for each group of writers. The owner writes *control*, and all others map it
//! read-only. The participants write the *roster*, which no process trusts. The *lanes* hold the
//! messages, and each lane has one writer. The geometry is read once, checked against the sections,
//! and kept.
//!
//! A new generation follows when another process becomes the owner, or when the owner wants another
//! geometry. The owner says so in the earlier generations. The participants of these generations
//! read the messages that are left for them, and then reattach.

pub(crate) mod ending;
pub(crate) mod fan_in;
pub(crate) mod geometry;
pub(crate) mod guards;
mod joined;
mod lanes;
mod message_types;
pub(crate) mod notifier;
pub(crate) mod observing;
pub(crate) mod open_or_create;
pub(crate) mod options;
mod owned;
pub(crate) mod owner_monitor;
pub(crate) mod ownership;
pub(crate) mod participant;
pub(crate) mod pattern;
pub(crate) mod peer_watch;
pub(crate) mod ring_size;
pub(crate) mod roster;
mod seen_slot;
pub(crate) mod slot_set;
pub(crate) mod source_carry;
pub(crate) mod source_claim;
pub(crate) mod sources;

pub(crate) use geometry::Geometry;
pub(crate) use joined::{Found, HowToJoin};
pub(crate) use owned::Owned;
pub use pattern::Pattern;

use crate::error::channel::DisconnectReason;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::{Layout, MAX_TEXT};
use crate::format::layout::{
    ALIVE_SUFFIX, CONTROL_SUFFIX, LANES_SUFFIX, OWNER, ROSTER_SUFFIX, control, cursor, lane,
};
use crate::name::Name;
use crate::object::mapping::Mapping;
use crate::object::section::Section;
use crate::os;
use crate::segment::participant::event_name;
use crate::sync::{AtLeast, Fixed, RingWindow, RingWindowMut, Window, WindowMut};
use std::ops::Range;
use std::sync::Arc;

/// The words of control. The words before the cursors are accessed without a check of the length.
pub(crate) type Control = AtLeast<{ control::CURSORS }>;
pub(crate) type Cursor = Fixed<{ cursor::LEN }>;
pub(crate) type Head = Fixed<{ lane::HEAD }>;

/// A mapped lane.
#[derive(Debug)]
pub(crate) struct Lane<H, R> {
    pub head: H,
    pub ring: R,
}

/// A lane that is mapped for reading.
pub(crate) type ReadLane = Lane<Window<Head>, RingWindow>;

/// A lane that is mapped for writing.
pub(crate) type WriteLane = Lane<WindowMut<Head>, RingWindowMut>;

impl ReadLane {
    fn map(lanes: &Section, place: Range<u64>, prefault: bool) -> Result<ReadLane> {
        let view = Arc::new(lanes.map(place)?);
        if prefault {
            view.prefault()?;
        }
        ReadLane::of(&view)
    }

    /// Returns the lane that has this view.
    fn of(view: &Arc<Mapping>) -> Result<ReadLane> {
        ReadLane::at(view, 0..view.len() as u64)
    }

    /// Returns the lane at this place of a view.
    pub fn at(view: &Arc<Mapping>, place: Range<u64>) -> Result<ReadLane> {
        // The view has all of these bytes, so their offsets fit.
        let [start, end] = [place.start, place.end].map(|at| at as usize);
        let ring = start.saturating_add(lane::HEAD);
        Ok(Lane {
            head: view.window(start, lane::HEAD)?.part(0),
            ring: view.window(ring, end.saturating_sub(ring))?.ring(),
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
            ring: view.window_mut(lane::HEAD, view.len() - lane::HEAD)?.ring(),
        })
    }
}

/// The names of the companions of a generation.
struct Companions {
    control: Name,
    roster: Name,
    lanes: Name,
    alive: Name,
}

impl Companions {
    // layout: L011 L012 L013
    fn of(name: &Name, generation: u32) -> Result<Companions> {
        // The name is refused now, and not when a participant has to sleep.
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

    /// Returns an error if this system does not allow `name`, or the longest name of a companion.
    // layout: L014
    fn fit(name: &Name) -> Result<()> {
        os::check_name(name)?;
        os::check_name(&event_name(name, OWNER, (u64::MAX, u32::MAX))?)
    }

    /// Returns the error for a name of which only the beginning is allowed, with the length of that
    /// beginning.
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

/// Returns the offset of the word in control, and the bit in it, that says whether the owner polls a
/// lane at each look.
fn watched_at(lane: usize) -> (usize, u64) {
    slot_set::place_of(control::WATCHED, lane)
}

/// The end of a generation, as its owner or the next owner has stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GenerationEnd {
    Gone(DisconnectReason),
    /// The same owner continues in the next generation.
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

/// Returns the text in control for these message types: a text for each type, with `>` between
/// them.
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
    fn refused_name_reports_the_longest_length() {
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
