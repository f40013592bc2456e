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
mod joined;
pub(crate) mod notifier;
pub(crate) mod options;
mod owned;
pub(crate) mod owner_monitor;
pub(crate) mod ownership;
pub(crate) mod participant;
pub(crate) mod roster;

pub(crate) use joined::{Found, HowToJoin};
pub(crate) use owned::Owned;

use crate::error::channel::DisconnectReason;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::{Layout, MAX_TEXT};
use crate::format::layout::{
    ALIVE_SUFFIX, CONTROL_SUFFIX, LANES_SUFFIX, LINE, MAX_IN_FLIGHT, MAX_RING, MIN_RING, OWNER,
    ROSTER_SUFFIX, SLOTS, control, cursor, delivery, lane, record,
};
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::object::section::Section;
use crate::os;
use crate::segment::participant::event_name;
use crate::slots::TableGeometry;
use crate::sync::{Fixed, Round, Window, WindowMut, Words};
use std::ops::Range;
use std::sync::Arc;

/// What a segment is, once for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub kind: u32,
    pub lanes: usize,
    pub ring_geometry: RingGeometry,
    pub delivery: u32,
    /// How many calls of a client can be open at a time, where there are calls.
    pub in_flight: usize,
    /// Of latest values, which have no lanes.
    pub table_geometry: Option<TableGeometry>,
}

impl Geometry {
    fn stride(&self) -> u64 {
        lane::HEAD as u64 + self.ring_geometry.bytes()
    }

    /// Those of latest values.
    pub fn of_values(table_geometry: TableGeometry) -> Geometry {
        Geometry {
            kind: control::kind::LATEST,
            lanes: 0,
            ring_geometry: RingGeometry::NONE,
            delivery: delivery::LOSSY,
            in_flight: 0,
            table_geometry: Some(table_geometry),
        }
    }

    /// The bytes of all lanes, or values.
    fn len(&self) -> u64 {
        match self.table_geometry {
            Some(table_geometry) => table_geometry.len(),
            None => self.stride() * self.rings() as u64,
        }
    }

    /// How many rings there are: where there are calls, one for the responses to each lane too.
    pub fn rings(&self) -> usize {
        match self.kind {
            control::kind::RPC => 2 * self.lanes,
            _ => self.lanes,
        }
    }

    /// Which ring has the responses to a lane.
    // layout: L057
    fn responses(&self, lane: usize) -> usize {
        self.lanes + lane
    }

    // layout: L054
    fn place(&self, lane: usize) -> Range<u64> {
        let at = self.stride() * lane as u64;
        at..at + self.stride()
    }

    fn map(
        &self,
        lanes: &Section,
        lane: usize,
        prefault: bool,
    ) -> Result<Lane<Window<Head>, Window<Round>>> {
        let view = Arc::new(lanes.map(self.place(lane))?);
        if prefault {
            view.prefault()?;
        }
        Ok(Lane {
            head: view.window(0, lane::HEAD)?.part(0),
            ring: view.window(lane::HEAD, view.len() - lane::HEAD)?.round(),
        })
    }

    fn map_mut(
        &self,
        lanes: &Section,
        lane: usize,
        prefault: bool,
    ) -> Result<Lane<WindowMut<Head>, WindowMut<Round>>> {
        let view = Arc::new(lanes.map_rw(self.place(lane))?);
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

    /// Those of calls, with requests and responses of up to `max` bytes. Both rings of a client
    /// take all its open calls, so that no server ever waits for room.
    pub fn of_calls(clients: usize, max: u64, in_flight: usize, subject: &str) -> Result<Geometry> {
        let needed = Geometry::needed(max, in_flight as u64);
        if needed > MAX_RING {
            let head = record::PAYLOAD as u64;
            let each = MAX_RING / 8 * 7 / (in_flight as u64 + 2) - 2 * head - 1;
            let most = each.min(MAX_RING / 4 - head);
            let open = format!("with in_flight = {in_flight}");
            let meaning = format!("messages of {max} bytes are too long {open}");
            let advice = format!("{open}, a message can have {most} bytes");
            return Err(refused(subject, meaning, advice));
        }
        Ok(Geometry {
            kind: control::kind::RPC,
            lanes: clients,
            ring_geometry: Geometry::ring_geometry_for(needed, Some(max), subject)?,
            delivery: delivery::LOSSLESS,
            in_flight,
            table_geometry: None,
        })
    }

    /// The bytes of a ring that always has room for one more of so many messages: with the
    /// pad in front of the ring's end, and an eighth that the reader gives back late.
    // layout: L143
    fn needed(max: u64, messages: u64) -> u64 {
        let need = max
            .saturating_add(2 * record::PAYLOAD as u64)
            .max(LINE as u64);
        let records = need.saturating_mul(messages + 2);
        records.saturating_add(records / 7 + 1)
    }

    /// The longest message, where this one was asked for and all messages have one of these types:
    /// that of the types, each of which fixes the size of a message.
    // layout: L033
    pub fn longest(asked: Option<u64>, layouts: &[Layout], subject: &str) -> Result<Option<u64>> {
        let Some(size) = layouts.iter().map(|layout| layout.size as u64).max() else {
            return Ok(asked);
        };
        match asked {
            Some(asked) if asked < size => {
                let meaning = format!(
                    "the longest message has {asked} bytes, and a message of its type has {size} \
                     bytes"
                );
                let advice = "leave the longest message out: the type tells it";
                Err(refused(subject, meaning, advice.to_string()))
            }
            _ => Ok(Some(size)),
        }
    }

    /// The longest message, or value.
    fn max(&self) -> usize {
        self.table_geometry
            .map_or(self.ring_geometry.max(), |table_geometry| {
                table_geometry.max()
            })
    }

    /// A ring that takes messages of `max` bytes, and `capacity` bytes of them.
    pub fn ring_geometry_for(
        capacity: u64,
        max: Option<u64>,
        subject: &str,
    ) -> Result<RingGeometry> {
        if capacity > MAX_RING {
            let meaning = format!("a capacity of {capacity} bytes is too large");
            let advice = format!("a capacity can have at most 1 GiB ({MAX_RING} bytes)");
            return Err(refused(subject, meaning, advice));
        }
        let for_max = max.map_or(0, |max| max.saturating_add(record::PAYLOAD as u64));
        let bytes = capacity.max(MIN_RING).max(for_max.saturating_mul(4));
        let ring_geometry = (bytes <= MAX_RING).then(|| {
            let bytes = bytes.next_power_of_two();
            RingGeometry::new(
                bytes,
                max.map_or(RingGeometry::longest(bytes), |max| max as usize),
            )
        });
        ring_geometry.flatten().ok_or_else(|| {
            let (max, head) = (max.unwrap_or_default(), record::PAYLOAD as u64);
            let most = MAX_RING / 4 - head;
            let meaning = format!("a message of {max} bytes is too long");
            let advice =
                format!("a message can have at most 256 MiB less {head} bytes ({most} bytes)");
            refused(subject, meaning, advice)
        })
    }
}

/// The error for measures that cannot be.
fn refused(subject: &str, meaning: String, advice: String) -> Error {
    let (kind, create) = (ErrorKind::InvalidArgument, Operation::Create);
    Error::new(kind, create, &subject, meaning).with_advice(advice)
}

pub(crate) type Control = Fixed<{ control::LEN }>;
pub(crate) type Cursor = Fixed<{ cursor::LEN }>;
pub(crate) type Head = Fixed<{ lane::HEAD }>;

/// A lane, mapped.
#[derive(Debug)]
pub(crate) struct Lane<H, R> {
    pub head: H,
    pub ring: R,
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

/// The measures in a header, if they can be.
// layout: L009 L174 L175
fn geometry(words: &impl Words) -> Option<Geometry> {
    let kind = words.load32(control::KIND);
    let lanes = words.load32(control::LANES) as usize;
    let bytes = u64::from(words.load32(control::RING_BYTES));
    let max = words.load32(control::MAX_MESSAGE) as usize;
    let in_flight = words.load32(control::IN_FLIGHT) as usize;
    if kind == control::kind::LATEST {
        let [count, slots] = [control::VALUES, control::VALUE_SLOTS].map(|at| words.load32(at));
        let table_geometry = TableGeometry::new(count as usize, max, u64::from(slots))?;
        return Some(Geometry::of_values(table_geometry));
    }
    let known = match kind {
        control::kind::QUEUE => (1..=SLOTS).contains(&lanes),
        control::kind::TOPIC => lanes == 1,
        control::kind::RPC => {
            let needed = Geometry::needed(max as u64, in_flight as u64);
            let counts = in_flight.is_power_of_two() && in_flight <= MAX_IN_FLIGHT;
            counts && (1..=SLOTS).contains(&lanes) && needed <= bytes
        }
        _ => false,
    };
    let delivery = words.load32(control::DELIVERY);
    let known = known && matches!(delivery, delivery::LOSSY | delivery::LOSSLESS);
    let sound = known && (MIN_RING..=MAX_RING).contains(&bytes);
    let ring_geometry = RingGeometry::new(bytes, max).filter(|_| sound)?;
    Some(Geometry {
        kind,
        lanes,
        ring_geometry,
        delivery,
        in_flight,
        table_geometry: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{WordsMut as _, heap};

    #[test]
    fn refused_measures_name_what_was_asked_for() {
        let told = |refused: Result<RingGeometry>| refused.unwrap_err().to_string();
        let long = told(Geometry::ring_geometry_for(1 << 20, Some(1 << 30), "x"));
        assert!(
            long.contains("a message of 1073741824 bytes is too long"),
            "{long}"
        );
        assert!(
            long.contains("at most 256 MiB less 8 bytes (268435448 bytes)"),
            "{long}"
        );
        assert!(Geometry::ring_geometry_for(1 << 20, Some(268_435_448), "x").is_ok());
        assert!(Geometry::ring_geometry_for(1 << 20, Some(268_435_449), "x").is_err());
        let large = told(Geometry::ring_geometry_for(2 << 30, None, "x"));
        assert!(
            large.contains("a capacity of 2147483648 bytes is too large"),
            "{large}"
        );
        assert!(large.contains("at most 1 GiB"), "{large}");
        assert!(Geometry::ring_geometry_for(1 << 30, None, "x").is_ok());
        assert!(Geometry::ring_geometry_for(u64::MAX, Some(u64::MAX), "x").is_err());
    }

    #[test]
    fn refused_calls_name_a_possible_length() {
        for in_flight in [1, 8, MAX_IN_FLIGHT] {
            let refused = Geometry::of_calls(1, 1 << 30, in_flight, "x").unwrap_err();
            let told = refused.to_string();
            assert!(
                told.contains("messages of 1073741824 bytes are too long"),
                "{told}"
            );
            let (_, most) = told.split_once("a message can have ").unwrap();
            let most: u64 = most.strip_suffix(" bytes").unwrap().parse().unwrap();
            assert!(
                Geometry::of_calls(1, most, in_flight, "x").is_ok(),
                "{told}"
            );
            let more = Geometry::of_calls(1, most + most / 100, in_flight, "x");
            assert!(more.is_err(), "{told}");
        }
    }

    /// Whether a header of this kind is accepted with these words in it.
    fn accepts(kind: u32, words: &[(usize, u32)]) -> bool {
        let header = heap::window(control::LEN);
        let sound = [
            (control::KIND, kind),
            (control::LANES, 1),
            (control::RING_BYTES, 4096),
            (control::MAX_MESSAGE, 100),
            (control::DELIVERY, 1),
            (control::IN_FLIGHT, 2),
            (control::VALUES, 1),
            (control::VALUE_SLOTS, 8),
        ];
        for (at, word) in sound.iter().chain(words) {
            header.store32(*at, *word);
        }
        geometry(&header).is_some()
    }

    /// Which of these words are accepted in a header of each kind: a queue, a topic, values, calls.
    fn accepted(at: usize, words: &[u32]) -> [Vec<u32>; 4] {
        let of = |kind| {
            let all = words.iter().copied();
            all.filter(|word| accepts(kind, &[(at, *word)])).collect()
        };
        [1, 2, 3, 4].map(of)
    }

    // layout: L174
    #[test]
    fn header_is_checked_as_the_document_says() {
        let kinds = [0, 1, 2, 3, 4, 5, u32::MAX];
        assert_eq!(
            kinds.map(|kind| accepts(kind, &[])).map(u8::from),
            [0, 1, 1, 1, 1, 0, 0]
        );
        let all = [0, 1, 2, 63, 64, u32::MAX];
        let many = vec![1, 2, 63];
        let is = [many.clone(), vec![1], all.to_vec(), many];
        assert_eq!(accepted(control::LANES, &all), is);
        let all = [0, 2048, 4095, 4096, 4097, 6144, 8192, 1 << 30, 1 << 31];
        let rings = vec![4096, 8192, 1 << 30];
        let is = [rings.clone(), rings.clone(), all.to_vec(), rings];
        assert_eq!(accepted(control::RING_BYTES, &all), is);
        let all = [0, 1016, 1017, 4096, 1 << 24, (1 << 24) + 1, u32::MAX];
        let long = vec![0, 1016];
        let values = vec![0, 1016, 1017, 4096, 1 << 24];
        // Two calls of the longest do not fit into this ring.
        let is = [long.clone(), long, values, vec![0]];
        assert_eq!(accepted(control::MAX_MESSAGE, &all), is);
        let all = [0, 1, 2, u32::MAX];
        let is = [vec![0, 1], vec![0, 1], all.to_vec(), vec![0, 1]];
        assert_eq!(accepted(control::DELIVERY, &all), is);
    }

    // layout: L143 L175
    #[test]
    fn header_of_calls_has_room_for_all_of_them() {
        let calls = |in_flight, max, ring| {
            accepts(
                control::kind::RPC,
                &[
                    (control::IN_FLIGHT, in_flight),
                    (control::MAX_MESSAGE, max),
                    (control::RING_BYTES, ring),
                ],
            )
        };
        for in_flight in [0, 3, 6, 1025, 2048, 1 << 31, u32::MAX] {
            assert!(!calls(in_flight, 0, 1 << 30), "{in_flight}");
        }
        for (in_flight, max) in [(1, 100), (2, 48), (16, 1000), (1024, 4096)] {
            let each = u64::from(max + 16).max(64) * u64::from(in_flight + 2);
            let needed = each + each / 7 + 1;
            let ring = needed.next_power_of_two().max(4096) as u32;
            assert!(calls(in_flight, max, ring), "{in_flight} {max}");
            let is_enough = u64::from(ring / 2) >= needed.max(4096);
            assert_eq!(calls(in_flight, max, ring / 2), is_enough);
        }
        // The longest of which so many fit.
        let most = (4096 - 4096 / 8) / 10 - 16;
        let fits = (most - 3..most + 3).map(|max| {
            let each = u64::from(max + 16) * 10;
            calls(8, max, 4096) == (each + each / 7 < 4096)
        });
        assert!(fits.into_iter().all(|as_it_should| as_it_should));
    }

    // layout: L176
    #[test]
    fn header_of_values_is_checked_as_the_document_says() {
        let all = [0, 1, 1 << 20, (1 << 20) + 1, u32::MAX];
        let short = (control::MAX_MESSAGE, 8);
        let counts = all.map(|count| accepts(3, &[short, (control::VALUES, count)]));
        assert_eq!(counts, [false, true, true, false, false]);
        let all = [0, 4, 8, 9, 16, 48, 64, 128, u32::MAX];
        assert_eq!(accepted(control::VALUE_SLOTS, &all)[2], [8, 16, 64]);
        let long = (control::MAX_MESSAGE, 1 << 24);
        let counts = [1, 7, 8].map(|count| accepts(3, &[long, (control::VALUES, count)]));
        assert_eq!(counts, [true, true, false], "1 GiB in all");
    }

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
