//! The geometry of a segment: how many lanes or values it has, and how large they are.

use crate::error::Result;
use crate::format::describe::Layout;
use crate::format::layout::{
    LINE, LONG_MESSAGE, LONGEST_MESSAGE, MAX_IN_FLIGHT, MAX_RING, MAX_SLOTS, MIN_RING, control,
    delivery, lane, record,
};
use crate::lane::ring::RingGeometry;
use crate::object::section::Section;
use crate::segment::pattern::{Delivery, Pattern};
use crate::segment::ring_size::{RingSize, refused};
use crate::segment::roster::{Roster, roster_len};
use crate::slots::TableGeometry;
use crate::sync::{Shared, Words, WordsMut};
use std::ops::Range;
use std::time::Duration;

/// The geometry of a segment, which does not change in a generation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Geometry {
    /// A lane for each sender.
    Queue { senders: usize, ring: RingGeometry },
    /// A lane for each publisher.
    Topic {
        /// The number of publishers. The first one is the owner, and the others have slots.
        publishers: usize,
        delivery: Delivery,
        /// The number of subscribers that can have a slot.
        subscribers: usize,
        ring: RingGeometry,
    },
    /// A table, and no lanes.
    Values {
        /// The number of readers that can have a slot.
        slots: usize,
        table: TableGeometry,
    },
    /// A lane for the requests and one for the responses of each client.
    Calls {
        clients: usize,
        /// How many calls of one client can be open at a time.
        in_flight: usize,
        ring: RingGeometry,
    },
}

/// The pattern that a program expects behind a name, and the part of the geometry that it needs.
#[derive(Clone, Copy)]
pub(crate) struct Expected<G> {
    pub pattern: Pattern,
    pub sizes: fn(&Geometry) -> Option<G>,
}

/// The program expects a queue. The size is the ring of each sender.
pub(crate) const QUEUE: Expected<RingGeometry> = Expected {
    pattern: Pattern::Queue,
    sizes: |geometry| match *geometry {
        Geometry::Queue { ring, .. } => Some(ring),
        _ => None,
    },
};

/// The program expects a topic. The size is its ring.
pub(crate) const TOPIC: Expected<RingGeometry> = Expected {
    pattern: Pattern::Topic,
    sizes: |geometry| match *geometry {
        Geometry::Topic { ring, .. } => Some(ring),
        _ => None,
    },
};

/// The program expects values. The size is their table.
pub(crate) const VALUES: Expected<TableGeometry> = Expected {
    pattern: Pattern::Values,
    sizes: |geometry| match *geometry {
        Geometry::Values { table, .. } => Some(table),
        _ => None,
    },
};

/// The program expects calls. The size is that of both rings of each client.
pub(crate) const CALLS: Expected<RingGeometry> = Expected {
    pattern: Pattern::Calls,
    sizes: |geometry| match *geometry {
        Geometry::Calls { ring, .. } => Some(ring),
        _ => None,
    },
};

impl Geometry {
    pub fn pattern(&self) -> Pattern {
        match self {
            Geometry::Queue { .. } => Pattern::Queue,
            Geometry::Topic { .. } => Pattern::Topic,
            Geometry::Values { .. } => Pattern::Values,
            Geometry::Calls { .. } => Pattern::Calls,
        }
    }

    /// Returns the number of lanes, without the lanes of responses.
    pub fn lanes(&self) -> usize {
        match *self {
            Geometry::Queue { senders, .. } => senders,
            Geometry::Topic { publishers, .. } => publishers,
            Geometry::Values { .. } => 0,
            Geometry::Calls { clients, .. } => clients,
        }
    }

    /// Returns the number of slots in the roster.
    pub fn slots(&self) -> usize {
        match *self {
            Geometry::Queue { senders, .. } => senders,
            Geometry::Calls { clients, .. } => clients,
            Geometry::Topic { .. } => self.subscriber_slots().end,
            Geometry::Values { slots, .. } => slots,
        }
    }

    /// Returns the slots of the publishers of a topic. The publisher in slot i writes lane i + 1.
    // layout: L290
    pub fn publisher_slots(&self) -> Range<usize> {
        match *self {
            Geometry::Topic { publishers, .. } => 0..publishers - 1,
            _ => 0..0,
        }
    }

    /// Returns the slots of the subscribers of a topic, or of all participants of another pattern.
    // layout: L290
    pub fn subscriber_slots(&self) -> Range<usize> {
        match *self {
            Geometry::Topic { subscribers, .. } => {
                let first = self.publisher_slots().end;
                first..first + subscribers
            }
            _ => 0..self.slots(),
        }
    }

    /// Returns the length of the control section in bytes.
    // layout: L025
    pub fn control_len(&self) -> usize {
        control::CURSORS + self.lanes() * control::CURSOR_STRIDE
    }

    /// Returns the length of the roster in bytes.
    // layout: L047
    pub fn roster_len(&self) -> usize {
        roster_len(self.slots(), self.roster_lanes())
    }

    /// Returns the roster that has these words.
    pub fn roster<W: Shared>(&self, words: W) -> Roster<W> {
        Roster::new(words, self.slots()).with_lanes(self.roster_lanes())
    }

    /// Returns the number of lanes in which each slot of the roster has a room.
    pub fn roster_lanes(&self) -> usize {
        match *self {
            Geometry::Topic { publishers, .. } => publishers,
            Geometry::Queue { .. } | Geometry::Values { .. } | Geometry::Calls { .. } => 1,
        }
    }

    /// Returns whether the participants get memory for their lanes. Otherwise the owner has memory
    /// for the whole section of lanes or values when it creates the section.
    // layout: L253
    pub fn is_committed_late(&self) -> bool {
        matches!(self, Geometry::Queue { .. } | Geometry::Calls { .. })
    }

    /// Gets memory for a ring in the lanes section, unless the whole section has memory. This changes
    /// nothing if the ring has memory already.
    // layout: L253
    pub fn commit(&self, lanes: &Section, ring: usize) -> Result<()> {
        match self.is_committed_late() {
            true => lanes.commit(self.place(ring)),
            false => Ok(()),
        }
    }

    /// Returns an error if there cannot be this number of participants, which are `what`: senders,
    /// subscribers, readers or clients.
    pub fn check_slots(slots: usize, what: &str, subject: &str) -> Result<()> {
        match (1..=MAX_SLOTS).contains(&slots) {
            true => Ok(()),
            false => {
                let meaning = format!("there cannot be {slots} {what}");
                let advice = format!("there can be 1 to {MAX_SLOTS} {what}");
                Err(refused(subject, meaning, advice))
            }
        }
    }

    /// Returns an error if a topic cannot have this number of publishers beside its subscribers.
    pub fn check_publishers(publishers: usize, subscribers: usize, subject: &str) -> Result<()> {
        let most = MAX_SLOTS + 1 - subscribers;
        match (1..=most).contains(&publishers) {
            true => Ok(()),
            false => {
                let meaning = format!("there cannot be {publishers} publishers");
                let advice =
                    format!("beside {subscribers} subscribers there can be 1 to {most} publishers");
                Err(refused(subject, meaning, advice))
            }
        }
    }

    /// Returns how many calls of one client can be open at a time; 0 for the other patterns.
    pub fn in_flight(&self) -> usize {
        match *self {
            Geometry::Calls { in_flight, .. } => in_flight,
            Geometry::Queue { .. } | Geometry::Topic { .. } | Geometry::Values { .. } => 0,
        }
    }

    /// Returns whether the writer of a lane waits for its readers.
    pub fn is_lossless(&self) -> bool {
        match *self {
            Geometry::Queue { .. } | Geometry::Calls { .. } => true,
            Geometry::Topic { delivery, .. } => delivery != Delivery::Lossy,
            Geometry::Values { .. } => false,
        }
    }

    /// Returns what the publishers of a topic do about slow subscribers.
    pub fn delivery(&self) -> Delivery {
        match *self {
            Geometry::Topic { delivery, .. } => delivery,
            Geometry::Queue { .. } | Geometry::Calls { .. } => Delivery::Lossless,
            Geometry::Values { .. } => Delivery::Lossy,
        }
    }

    /// Returns the length of the longest message or value, in bytes.
    pub fn max(&self) -> usize {
        match self {
            Geometry::Queue { ring, .. }
            | Geometry::Topic { ring, .. }
            | Geometry::Calls { ring, .. } => ring.max(),
            Geometry::Values { table, .. } => table.max(),
        }
    }

    /// Returns whether each message has the time at which it was sent.
    pub fn is_stamped(&self) -> bool {
        match self {
            Geometry::Queue { ring, .. }
            | Geometry::Topic { ring, .. }
            | Geometry::Calls { ring, .. } => ring.is_stamped(),
            Geometry::Values { .. } => false,
        }
    }

    /// Returns the length of each ring, or of the whole table, in bytes.
    pub fn capacity(&self) -> u64 {
        match self {
            Geometry::Queue { ring, .. }
            | Geometry::Topic { ring, .. }
            | Geometry::Calls { ring, .. } => ring.bytes(),
            Geometry::Values { table, .. } => table.len(),
        }
    }

    /// Returns the number of rings. Calls have a second ring for each client, for the responses.
    pub fn rings(&self) -> usize {
        match *self {
            Geometry::Queue { senders, .. } => senders,
            Geometry::Topic { publishers, .. } => publishers,
            Geometry::Values { .. } => 0,
            Geometry::Calls { clients, .. } => 2 * clients,
        }
    }

    /// Returns the number of the ring that has the responses to a lane of requests.
    // layout: L057
    pub fn responses(&self, lane: usize) -> usize {
        self.lanes() + lane
    }

    /// Returns the range of a ring in the lanes section, with its head.
    // layout: L054
    pub fn place(&self, ring: usize) -> Range<u64> {
        let stride = lane::HEAD as u64 + self.capacity();
        let at = stride * ring as u64;
        at..at + stride
    }

    /// Returns the length of the lanes section in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Geometry::Values { table, .. } => table.len(),
            lanes => lanes.place(lanes.rings()).start,
        }
    }

    /// Returns the geometry of a ring of calls, for requests and responses of up to `max` bytes.
    /// Both rings of a client have space for all its open calls, so the server never waits for
    /// space.
    pub fn ring_of_calls(max: u64, in_flight: usize, subject: &str) -> Result<RingGeometry> {
        let needed = Geometry::needed(max, in_flight as u64);
        if needed > MAX_RING {
            let head = record::PAYLOAD as u64;
            let each = MAX_RING / 8 * 7 / (in_flight as u64 + 2) - 2 * head - 1;
            let most = each.min(LONGEST_MESSAGE);
            let open = format!("with in_flight = {in_flight}");
            let meaning = format!("messages of {max} bytes are too long {open}");
            let advice = format!("{open}, a message can have {most} bytes");
            return Err(refused(subject, meaning, advice));
        }
        let size = RingSize {
            capacity: needed,
            longest: Some(max),
            ..RingSize::default()
        };
        size.ring(subject)
    }

    /// Returns the length, in bytes, of a ring that always has space for the next of `messages`
    /// messages. The length includes the pad in front of the ring's end, and an eighth that the
    /// reader frees late.
    // layout: L143
    fn needed(max: u64, messages: u64) -> u64 {
        let need = max
            .saturating_add(2 * record::PAYLOAD as u64)
            .max(LINE as u64);
        let records = need.saturating_mul(messages + 2);
        records.saturating_add(records / 7 + 1)
    }

    /// Returns the length of the longest message: the size of the longest of these types, or
    /// `asked` if there are no types. An `asked` that is shorter than a type is an error.
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
                let advice = "leave out the longest message: the type sets it";
                Err(refused(subject, meaning, advice.to_string()))
            }
            _ => Ok(Some(size)),
        }
    }

    /// Reads the geometry from a header; `None` if the geometry is impossible.
    // layout: L009 L174 L175 L280 L286
    pub fn read(words: &impl Words) -> Option<Geometry> {
        let lanes = words.load32(control::LANES) as usize;
        let slots = words.load32(control::SLOTS) as usize;
        if !(1..=MAX_SLOTS).contains(&slots) {
            return None;
        }
        let lane_for_each = Some(lanes).filter(|lanes| *lanes == slots);
        let bytes = words.load64(control::RING_BYTES);
        let max = words.load32(control::MAX_MESSAGE) as usize;
        let extra = words.load32(control::RECORD_EXTRA);
        let is_lossless = match words.load32(control::DELIVERY) {
            delivery::LOSSY => Some(false),
            delivery::LOSSLESS => Some(true),
            _ => None,
        };
        let ring = || {
            is_lossless?;
            let is_ring = (MIN_RING..=MAX_RING).contains(&bytes)
                && (bytes.is_power_of_two() || max as u64 >= LONG_MESSAGE)
                && extra & !record::extra::ALL == 0;
            RingGeometry::of(bytes, max, extra).filter(|_| is_ring)
        };

        match words.load32(control::KIND) {
            control::kind::QUEUE => Some(Geometry::Queue {
                senders: lane_for_each?,
                ring: ring()?,
            }),
            control::kind::TOPIC => Some(Geometry::Topic {
                publishers: Some(lanes).filter(|lanes| (1..=slots).contains(lanes))?,
                delivery: match (is_lossless?, words.load32(control::PATIENCE)) {
                    (false, _) => Delivery::Lossy,
                    (true, 0) => Delivery::Lossless,
                    (true, patience) => {
                        Delivery::LosslessFor(Duration::from_millis(patience.into()))
                    }
                },
                subscribers: slots + 1 - lanes,
                ring: ring()?,
            }),
            control::kind::VALUES => {
                let words = [control::VALUES, control::VALUE_SLOTS].map(|at| words.load32(at));
                let [count, value_slots] = words;
                let table = TableGeometry::new(count as usize, max, u64::from(value_slots));
                table.map(|table| Geometry::Values { slots, table })
            }
            control::kind::CALLS => {
                let in_flight = words.load32(control::IN_FLIGHT) as usize;
                let is_count = in_flight.is_power_of_two() && in_flight <= MAX_IN_FLIGHT;
                let fits = is_count
                    && extra == 0
                    && Geometry::needed(max as u64, in_flight as u64) <= bytes;
                Some(Geometry::Calls {
                    clients: lane_for_each.filter(|_| fits)?,
                    in_flight,
                    ring: ring()?,
                })
            }
            _ => None,
        }
    }

    /// Stores the geometry in a header.
    // layout: L003 L026
    pub fn write(&self, words: &impl WordsMut) {
        let kind = match self.pattern() {
            Pattern::Queue => control::kind::QUEUE,
            Pattern::Topic => control::kind::TOPIC,
            Pattern::Values => control::kind::VALUES,
            Pattern::Calls => control::kind::CALLS,
        };
        let delivery = match self.is_lossless() {
            true => delivery::LOSSLESS,
            false => delivery::LOSSY,
        };

        words.store32(control::KIND, kind);
        words.store32(control::LANES, self.lanes() as u32);
        words.store32(control::SLOTS, self.slots() as u32);
        words.store32(control::MAX_MESSAGE, self.max() as u32);
        words.store32(control::DELIVERY, delivery);
        words.store32(control::IN_FLIGHT, self.in_flight() as u32);
        if let Delivery::LosslessFor(limit) = self.delivery() {
            let patience = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
            words.store32(control::PATIENCE, patience.max(1));
        }

        match self {
            Geometry::Values { table, .. } => {
                words.store32(control::VALUES, table.count() as u32);
                words.store32(control::VALUE_SLOTS, table.slots() as u32);
            }
            Geometry::Queue { ring, .. }
            | Geometry::Topic { ring, .. }
            | Geometry::Calls { ring, .. } => {
                words.store64(control::RING_BYTES, ring.bytes());
                words.store32(control::RECORD_EXTRA, ring.extra());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::heap;

    #[test]
    fn refused_geometry_reports_request_and_limit() {
        let told = |refused: Result<RingGeometry>| refused.unwrap_err().to_string();
        let ring = |capacity, longest| {
            let size = RingSize {
                capacity,
                longest,
                ..RingSize::default()
            };
            size.ring("x")
        };
        let long = told(ring(1 << 20, Some(1 << 30)));
        assert!(
            long.contains("a message of 1073741824 bytes is too long"),
            "{long}"
        );
        assert!(
            long.contains("at most 1 GiB less 64 bytes (1073741760 bytes)"),
            "{long}"
        );
        assert!(ring(1 << 20, Some(1_073_741_760)).is_ok());
        assert!(ring(1 << 20, Some(1_073_741_761)).is_err());
        let large = told(ring(8 << 30, None));
        assert!(
            large.contains("a capacity of 8589934592 bytes is too large"),
            "{large}"
        );
        assert!(large.contains("at most 4 GiB"), "{large}");
        let largest = ring(4 << 30, None).unwrap();
        assert_eq!(largest.max(), 1_073_741_760);
        assert!(ring(u64::MAX, Some(u64::MAX)).is_err());
    }

    #[test]
    fn refused_call_geometry_reports_longest_message() {
        for in_flight in [1, 8, MAX_IN_FLIGHT] {
            let refused = Geometry::ring_of_calls(1 << 32, in_flight, "x").unwrap_err();
            let told = refused.to_string();
            assert!(
                told.contains("messages of 4294967296 bytes are too long"),
                "{told}"
            );
            let (_, most) = told.split_once("a message can have ").unwrap();
            let most: u64 = most.strip_suffix(" bytes").unwrap().parse().unwrap();
            assert!(
                Geometry::ring_of_calls(most, in_flight, "x").is_ok(),
                "{told}"
            );
            let more = Geometry::ring_of_calls(most + most / 100, in_flight, "x");
            assert!(more.is_err(), "{told}");
        }
    }

    /// Returns whether a header of this kind is accepted with these words.
    fn accepts(kind: u32, words: &[(usize, u32)]) -> bool {
        let header = heap::window(control::CURSORS);
        let sound = [
            (control::KIND, kind),
            (control::LANES, 1),
            (control::SLOTS, 1),
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
        Geometry::read(&header).is_some()
    }

    /// Returns which of these words are accepted in a header of each kind: queue, topic, values,
    /// calls.
    fn accepted(at: usize, words: &[u32]) -> [Vec<u32>; 4] {
        let of = |kind| {
            let all = words.iter().copied();
            all.filter(|word| accepts(kind, &[(at, *word)])).collect()
        };
        [1, 2, 3, 4].map(of)
    }

    // layout: L174
    #[test]
    fn header_fields_are_checked_as_documented() {
        let kinds = [0, 1, 2, 3, 4, 5, u32::MAX];
        assert_eq!(
            kinds.map(|kind| accepts(kind, &[])).map(u8::from),
            [0, 1, 1, 1, 1, 0, 0]
        );
        let all = [0, 1, 2, 63, 1023, 1024, u32::MAX];
        // A sender or a client has a lane for its slot. A topic has one lane.
        let is = [vec![1], vec![1], all.to_vec(), vec![1]];
        assert_eq!(accepted(control::LANES, &all), is);
        let is = [vec![1], all[1..5].to_vec(), all[1..5].to_vec(), vec![1]];
        assert_eq!(accepted(control::SLOTS, &all), is);
        let both = |count| [(control::LANES, count), (control::SLOTS, count)];
        let counts = all.map(|count| [1, 4].map(|kind| accepts(kind, &both(count))));
        let possible = [false, true, true, true, true, false, false];
        assert_eq!(counts, possible.map(|is| [is; 2]));
        let all = [0, 2048, 4095, 4096, 4097, 6144, 8192, 1 << 30, 1 << 31];
        let rings = vec![4096, 8192, 1 << 30, 1 << 31];
        let is = [rings.clone(), rings.clone(), all.to_vec(), rings];
        assert_eq!(accepted(control::RING_BYTES, &all), is);
        let large = |lower, upper| {
            let words = [
                (control::RING_BYTES, lower),
                (control::RING_BYTES + 4, upper),
            ];
            accepts(control::kind::QUEUE, &words)
        };
        assert!(large(0, 1), "4 GiB");
        assert!(!large(0, 2) && !large(4096, 1) && !large(1 << 31, 1));
        let all = [0, 1016, 1017, 4096, 1 << 24, (1 << 24) + 1, u32::MAX];
        let long = vec![0, 1016];
        let values = vec![0, 1016, 1017, 4096, 1 << 24];
        // Two calls with the longest messages do not fit into this ring.
        let is = [long.clone(), long, values, vec![0]];
        assert_eq!(accepted(control::MAX_MESSAGE, &all), is);
        let all = [0, 1, 2, u32::MAX];
        let is = [vec![0, 1], vec![0, 1], all.to_vec(), vec![0, 1]];
        assert_eq!(accepted(control::DELIVERY, &all), is);
    }

    // layout: L174 L286
    #[test]
    fn header_with_unknown_extra_words_is_refused() {
        let all = [0, 1, 2, 3, 1 << 31, u32::MAX];
        let is = [vec![0, 1], vec![0, 1], all.to_vec(), vec![0]];
        assert_eq!(accepted(control::RECORD_EXTRA, &all), is);
        let max = |max| [(control::RECORD_EXTRA, 1), (control::MAX_MESSAGE, max)];
        // Each record takes at most a quarter of the ring, with its time stamp.
        assert!(accepts(control::kind::TOPIC, &max(1008)));
        assert!(!accepts(control::kind::TOPIC, &max(1009)));
    }

    // layout: L174 L280
    #[test]
    fn long_ring_header_is_checked_as_documented() {
        const LONG: u32 = 64 << 10;
        let ring = |max, bytes| {
            let words = [(control::MAX_MESSAGE, max), (control::RING_BYTES, bytes)];
            [1, 2, 4].map(|kind| accepts(kind, &words))
        };
        let least = 3 * (LONG + 8);
        let least = least.next_multiple_of(64);
        // Two calls need more.
        assert_eq!(ring(LONG, least), [true, true, false]);
        assert_eq!(ring(LONG, least - 64), [false; 3]);
        for off in [8, 16, 32, 63] {
            assert_eq!(ring(LONG, least + off), [false; 3], "{off}");
        }
        assert_eq!(ring(LONG, 2 * least), [true; 3]);
        assert_eq!(ring(LONG - 8, least), [false; 3]);
        assert_eq!(ring(u32::MAX, 3 << 30), [false; 3]);
        assert_eq!(ring((1 << 30) - 64, 3 << 30), [true, true, false]);
        assert_eq!(ring((1 << 30) - 63, 3 << 30), [false; 3]);
        // In a ring that is a power of two, a record takes a quarter.
        assert_eq!(ring(LONG, 256 << 10), [false; 3]);
        assert_eq!(ring(LONG - 8, 256 << 10), [true, true, false]);
    }

    // layout: L143 L175
    #[test]
    fn calls_header_needs_room_for_every_call() {
        let calls = |in_flight, max, ring| {
            accepts(
                control::kind::CALLS,
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
        // Tries lengths around the longest message of which ten fit into the ring.
        let most = (4096 - 4096 / 8) / 10 - 16;
        let fits = (most - 3..most + 3).map(|max| {
            let each = u64::from(max + 16) * 10;
            calls(8, max, 4096) == (each + each / 7 < 4096)
        });
        assert!(fits.into_iter().all(|as_it_should| as_it_should));
    }

    // layout: L176
    #[test]
    fn values_header_is_checked_as_documented() {
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
}
