//! Every offset, size, magic and version of what this crate puts into shared memory for
//! messages. No behaviour. `docs/layout.md` says the same in prose, and a test holds the
//! two together.
//!
//! All numbers are little-endian, all offsets count bytes from the start of their
//! section, and whatever has no name here is zero.

// layout: L001
#[cfg(not(target_endian = "little"))]
compile_error!(
    "shmkit is for little-endian processors: all numbers in shared memory are little-endian, and \
     shmkit stores them as the processor does"
);

/// What a section begins with whose format this is; stored last of all.
pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"SHMK");
/// The version of the format. Another major is refused; a minor may only use what was
/// zero before, where zero means the old behaviour.
pub(crate) const MAJOR: u32 = 2;
// layout: L022 L023
pub(crate) const MINOR: u32 = 1;

/// What processors hand each other. Records up to a line do not lie across two.
pub(crate) const LINE: usize = 64;
/// The distance of words with different writers: two lines, since processors fetch two.
pub(crate) const APART: usize = 128;

/// Participants besides the owner of the name: with it, one for each bit of a word, and
/// with an event each as many as `WaitForMultipleObjects` takes handles.
pub(crate) const SLOTS: usize = 63;
/// The bit of the owner.
pub(crate) const OWNER: usize = 63;

/// What stands behind the name in those of a generation's objects, whose number stands behind
/// that in hexadecimal: the control section,
pub(crate) const CONTROL_SUFFIX: &str = "~control-";
/// the section that participants write,
pub(crate) const ROSTER_SUFFIX: &str = "~roster-";
/// that with the lanes,
pub(crate) const LANES_SUFFIX: &str = "~lanes-";
/// and the owner's liveness mutex.
pub(crate) const ALIVE_SUFFIX: &str = "~alive-";
/// That of a participant's event, with participant, pid and slot_epoch behind it in hexadecimal.
pub(crate) const WAKE_SUFFIX: &str = "~wake-";
/// That of its liveness mutex (Windows), in the same way.
pub(crate) const LIVE_SUFFIX: &str = "~live-";

/// The section that has the name: owners and candidates write it, everybody else maps it
/// read-only.
// layout: L021
pub(crate) mod ownership {
    /// `u32`.
    pub(crate) const MAGIC: usize = 0;
    /// `u32`: major in the upper half, minor in the lower.
    pub(crate) const VERSION: usize = 4;
    /// `u64`: fingerprint of the rights it was created with.
    pub(crate) const ACCESS: usize = 8;
    /// `u64`: the word of the process that owns the name; 0: nobody. Changed by compare and
    /// swap only.
    pub(crate) const OWNER: usize = 16;
    /// `u32`: the namespaces in which that word means something (Linux).
    pub(crate) const SPACE: usize = 24;
    /// `u32`: the generation in use; 0: none yet.
    pub(crate) const GENERATION: usize = 28;
    /// `u32`: no generation before this one has participants.
    pub(crate) const OLDEST: usize = 32;
    /// More than is used: a size that bare memory hardly has.
    pub(crate) const LEN: usize = 4 * 4096 + 64;
}

/// The control section of a generation: its owner writes it, everybody else maps it read-only.
// layout: L025
pub(crate) mod control {
    use super::{APART, SLOTS};

    /// `u32`.
    pub(crate) const MAGIC: usize = 0;
    /// `u32`: major in the upper half, minor in the lower.
    pub(crate) const VERSION: usize = 4;
    /// `u32`: see [`kind`].
    pub(crate) const KIND: usize = 8;
    /// `u32`: how many lanes there are.
    pub(crate) const LANES: usize = 12;
    /// `u64`: start time of the owner, as its process identity has it.
    pub(crate) const OWNER_START: usize = 16;
    /// `u64`: pid of the owner, and in the upper half the namespaces it lives in.
    pub(crate) const OWNER_PID: usize = 24;
    /// `u32`: bytes of a ring, a power of two.
    pub(crate) const RING_BYTES: usize = 32;
    /// `u32`: the longest message in bytes.
    pub(crate) const MAX_MESSAGE: usize = 36;
    /// `u32`: which generation it is.
    pub(crate) const GENERATION: usize = 40;
    /// `u32`: see [`delivery`](super::delivery).
    pub(crate) const DELIVERY: usize = 44;
    /// `u32`: how many latest values there are.
    pub(crate) const VALUES: usize = 48;
    /// `u32`: the slots of each.
    pub(crate) const VALUE_SLOTS: usize = 52;
    /// `u32`: how many calls of a client can be open at a time, a power of two.
    pub(crate) const IN_FLIGHT: usize = 56;
    /// `u32`: see [`end`]; 0 as long as the owner has not ended it.
    pub(crate) const END: usize = 128;
    /// `u64`: of [`TYPE`](self::TYPE); what a message is made of. Both it and its length
    /// are 0 where messages are bare bytes.
    pub(crate) const TYPE_FINGERPRINT: usize = 256;
    /// `u32`: bytes of [`TYPE`](self::TYPE).
    pub(crate) const TYPE_LEN: usize = 264;
    /// The text of the type.
    pub(crate) const TYPE: usize = 1024;
    pub(crate) const TYPE_MAX: usize = CURSORS - TYPE;
    /// The cursors of lane i, written by the receiver of a queue, stand at
    /// `CURSORS + i * CURSOR_STRIDE`.
    pub(crate) const CURSORS: usize = 4096;
    pub(crate) const CURSOR_STRIDE: usize = 2 * APART;
    pub(crate) const LEN: usize = CURSORS + SLOTS * CURSOR_STRIDE;

    /// How a generation ended: bits.
    // layout: L027
    pub(crate) mod end {
        /// The owner has closed it in good order.
        pub(crate) const CLOSED: u32 = 1;
        /// Another generation is in use.
        pub(crate) const FOLLOWED: u32 = 2;
        /// By the same owner, which goes on in it.
        pub(crate) const RESIZED: u32 = 4;
        /// The bits of a generation that has ended.
        pub(crate) const ENDED: u32 = CLOSED | FOLLOWED | RESIZED;
        /// Calls: no worker is left. Requests that were received may still be answered.
        pub(crate) const DRAINING: u32 = 8;
    }

    /// What a segment is.
    pub(crate) mod kind {
        pub(crate) const QUEUE: u32 = 1;
        pub(crate) const TOPIC: u32 = 2;
        pub(crate) const VALUES: u32 = 3;
        pub(crate) const CALLS: u32 = 4;
    }
}

/// What a topic's publisher does for slow subscribers.
pub(crate) mod delivery {
    pub(crate) const LOSSY: u32 = 0;
    pub(crate) const LOSSLESS: u32 = 1;
}

/// A reader's place in a lane: in the control section for a queue, in its slot for a
/// subscriber.
// layout: L044
pub(crate) mod cursor {
    /// `u64`: what lies before this position may be overwritten. Stored rarely.
    pub(crate) const ROOM: usize = 0;
    /// `u64`: the next record to be read.
    pub(crate) const EXACT: usize = 128;
    /// `u64`: how many messages were read.
    pub(crate) const RECEIVED: usize = 136;
    /// `u64`: how many were missed.
    pub(crate) const MISSED: usize = 144;
    /// `u64`: how many were sent before the next one to be read (subscriber).
    pub(crate) const NUMBER: usize = 152;
    /// What all of them take.
    pub(crate) const LEN: usize = 160;
}

/// The roster: participants and owner write it, and nothing in it is believed.
// layout: L047 L048
pub(crate) mod roster {
    use super::{APART, SLOTS};

    /// `u64`: bit i is set while the participant of slot i is about to sleep or asleep;
    /// each changes its own bit.
    pub(crate) const ASLEEP: usize = 0;
    /// `u32`: counted up by whoever joins, and by 65536 by whoever leaves.
    pub(crate) const PARTICIPANT_CHANGES: usize = APART;
    /// `u32`: the owner's park_epoch, counted up before each.
    pub(crate) const OWNER_PARK_EPOCH: usize = 2 * APART;
    /// `u32`: the generation, which stands in the name of the owner's event.
    pub(crate) const OWNER_EPOCH: usize = 2 * APART + 4;
    /// `u64`: bit i is set while the participant of slot i has a hold; each changes its own.
    pub(crate) const HOLDING: usize = 3 * APART;
    /// Slot i stands at `SLOTS_AT + i * SLOT_STRIDE`.
    pub(crate) const SLOTS_AT: usize = 4096;
    pub(crate) const SLOT_STRIDE: usize = 512;
    pub(crate) const LEN: usize = SLOTS_AT + SLOTS * SLOT_STRIDE;

    /// `u64` in a slot: 0, or pid in the upper half and in the lower the fold of its
    /// start time, which is never 0.
    pub(crate) const PROCESS: usize = 0;
    /// `u32`: see [`state`].
    pub(crate) const STATE: usize = 8;
    /// `u32`: park_epoch of the participant, counted up before each.
    pub(crate) const PARK_EPOCH: usize = 12;
    /// `u32`: counted up by whoever takes the slot.
    pub(crate) const SLOT_EPOCH: usize = 16;
    /// `u64`: index of a value << 8 | number of its slot + 1, which a reader of latest
    /// values asks to be left alone; or 0.
    pub(crate) const HOLD: usize = 24;
    /// `u64`: where the first request of a client stands in its lane.
    pub(crate) const BEGINNING: usize = 32;
    /// A subscriber's cursor.
    pub(crate) const CURSOR: usize = APART;

    /// What a participant is doing.
    pub(crate) mod state {
        /// Not (yet) of concern to the owner.
        pub(crate) const PASSIVE: u32 = 0;
        /// A sender that may send, a subscriber that is waited for.
        pub(crate) const ACTIVE: u32 = 1;
        /// A subscriber that the publisher gave up waiting for.
        pub(crate) const DROPPED: u32 = 2;
    }
}

/// The lanes section: lane i begins at `i * (HEAD + ring)`, written by its one writer.
// layout: L055 L056
pub(crate) mod lane {
    /// `u64`: positions up to here may be written any moment (topic).
    pub(crate) const RESERVED: usize = 0;
    /// `u64`: messages sent since the beginning.
    pub(crate) const SENT: usize = 128;
    /// Mark k stands at `MARKS + k * MARK_STRIDE` (topic).
    pub(crate) const MARKS: usize = 256;
    pub(crate) const MARK_STRIDE: usize = 16;
    pub(crate) const MARK_COUNT: usize = 8;
    /// `u64` in a mark: where a record begins.
    pub(crate) const MARK_POSITION: usize = 0;
    /// `u64` in a mark: how many messages stand before it.
    pub(crate) const MARK_NUMBER: usize = 8;
    /// Where the ring begins. With it the distance of two lanes is no power of two, so
    /// that equal places in them do not share a set of the cache.
    pub(crate) const HEAD: usize = 512;
}

/// Latest values, in place of lanes.
// layout: L072 L073 L074
pub(crate) mod values {
    pub(crate) use super::APART;

    /// `u64`: how many stores there were.
    pub(crate) const CHANGES: usize = 0;
    /// `u32` each: which value store n changed, at `RECENT + n % RECENT_COUNT * 4`.
    pub(crate) const RECENT: usize = APART;
    pub(crate) const RECENT_COUNT: u64 = 1024;
    /// The names of the values: a byte of length and the bytes.
    pub(crate) const NAMES: usize = 8192;
    pub(crate) const NAME_LEN: usize = 64;
    /// `u64` in an entry: the number of the newest value; 0: none.
    pub(crate) const NEWEST: usize = 0;
    /// Value n stands in slot n modulo their number.
    pub(crate) const SLOTS_AT: usize = APART;
    /// `u64` in a slot: twice the number of the value, and 1 while it is written.
    pub(crate) const MARK: usize = 0;
    /// `u32`: its length.
    pub(crate) const LEN: usize = 8;
    pub(crate) const VALUE: usize = 16;

    pub(crate) const MIN_SLOTS: u64 = 8;
    pub(crate) const MAX_SLOTS: u64 = 64;
    pub(crate) const MAX_COUNT: usize = 1 << 20;
    pub(crate) const MAX_LEN: usize = 1 << 24;
    pub(crate) const MAX_TABLE: u64 = 1 << 30;
}

/// A record: a word that says what it is, a tag where it is part of a call, and the payload.
// layout: L060
pub(crate) mod record {
    /// The bits of the first word that tell the kind; above them stands the length.
    pub(crate) const KIND_BITS: u32 = 2;
    pub(crate) const EMPTY: u32 = 0;
    pub(crate) const MESSAGE: u32 = 1;
    /// Nothing up to the end of the ring.
    pub(crate) const PAD: u32 = 2;
    /// In the tag of a response, the `u32` behind the first word: there is none.
    pub(crate) const UNANSWERED: u32 = 1 << 31;
    /// Where the payload begins.
    pub(crate) const PAYLOAD: usize = 8;
    /// Every record begins at a multiple of this.
    pub(crate) const ALIGN: usize = 8;
}

/// From where new counters and positions go on: 0. Test builds begin shortly before 2^31 or 2^32
/// (`--cfg shmkit_late="31"`), so that their tests carry all of them across.
const LATE: u64 = if cfg!(shmkit_late = "31") {
    1 << 31
} else if cfg!(shmkit_late = "32") {
    1 << 32
} else {
    0
};
/// The value of a new counter.
pub(crate) const FIRST_COUNT: u64 = LATE.saturating_sub(4);
/// The value of new PARTICIPANT_CHANGES.
pub(crate) const FIRST_CHANGES: u32 = if LATE == 0 { 0 } else { 0xfffe_fffe };

/// The position of the first record in a new lane of so many bytes.
pub(crate) const fn first_position(bytes: u64) -> u64 {
    LATE.saturating_sub(bytes)
}

/// The most calls of a client that can be open at a time.
pub(crate) const MAX_IN_FLIGHT: usize = 1024;
/// The smallest ring.
pub(crate) const MIN_RING: u64 = 4096;
/// The largest ring: 1 GiB.
pub(crate) const MAX_RING: u64 = 1 << 30;

const _: () = {
    assert!(control::END >= control::IN_FLIGHT + 4);
    assert!(control::TYPE >= control::TYPE_LEN + 4);
    assert!(cursor::NUMBER + 8 <= cursor::LEN && cursor::LEN <= control::CURSOR_STRIDE);
    assert!(roster::CURSOR + cursor::LEN <= roster::SLOT_STRIDE);
    assert!(values::RECENT + values::RECENT_COUNT as usize * 4 <= values::NAMES);
    assert!(roster::BEGINNING + 8 <= roster::CURSOR && roster::HOLDING + 8 <= roster::SLOTS_AT);
    assert!(lane::MARKS + lane::MARK_COUNT * lane::MARK_STRIDE <= lane::HEAD);
    assert!(record::PAYLOAD < LINE);
    assert!(MIN_RING.is_power_of_two() && MAX_RING.is_power_of_two());
    // A length and its kind fit into a word.
    assert!(MAX_RING / 4 < 1 << (32 - record::KIND_BITS));
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Each table of the document, by its heading: the name, offset and size of its rows.
    fn tables(page: &str) -> BTreeMap<String, Vec<(String, usize, usize)>> {
        let mut tables: BTreeMap<String, Vec<(String, usize, usize)>> = BTreeMap::new();
        let mut heading = String::new();
        for line in page.lines() {
            if let Some(text) = line.strip_prefix("## ") {
                heading = text.to_string();
            }
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            if let [_, offset, size, name, ..] = cells[..]
                && let (Ok(offset), Ok(size)) = (offset.parse(), size.parse())
            {
                let rows = tables.entry(heading.clone()).or_default();
                rows.push((name.to_string(), offset, size));
            }
        }
        tables
    }

    fn table(rows: &[(&str, usize, usize)]) -> Vec<(String, usize, usize)> {
        let row = |(name, at, size): &(&str, usize, usize)| (name.to_string(), *at, *size);
        rows.iter().map(row).collect()
    }

    fn cursor_rows() -> Vec<(String, usize, usize)> {
        table(&[
            ("ROOM", cursor::ROOM, 8),
            ("EXACT", cursor::EXACT, 8),
            ("RECEIVED", cursor::RECEIVED, 8),
            ("MISSED", cursor::MISSED, 8),
            ("NUMBER", cursor::NUMBER, 8),
        ])
    }

    fn root_rows() -> Vec<(String, usize, usize)> {
        table(&[
            ("MAGIC", ownership::MAGIC, 4),
            ("VERSION", ownership::VERSION, 4),
            ("ACCESS", ownership::ACCESS, 8),
            ("OWNER", ownership::OWNER, 8),
            ("SPACE", ownership::SPACE, 4),
            ("GENERATION", ownership::GENERATION, 4),
            ("OLDEST", ownership::OLDEST, 4),
        ])
    }

    fn value_rows() -> Vec<(String, usize, usize)> {
        let recent = values::RECENT_COUNT as usize * 4;
        table(&[
            ("CHANGES", values::CHANGES, 8),
            ("RECENT", values::RECENT, recent),
            ("NAMES", values::NAMES, values::NAME_LEN),
            ("NEWEST", values::NEWEST, 8),
            ("SLOTS", values::SLOTS_AT, 0),
            ("MARK", values::MARK, 8),
            ("LENGTH", values::LEN, 4),
            ("VALUE", values::VALUE, 0),
        ])
    }

    // layout: L021 L025 L044 L047 L048 L055 L056 L072 L073 L074
    #[test]
    fn the_document_says_what_the_code_does() {
        let page = include_str!("../../docs/layout.md").replace("\r\n", "\n");
        assert!(page.contains(&format!("Version {MAJOR}.{MINOR}.")));
        let tables = tables(&page);
        assert_eq!(tables["Ownership record"], root_rows());
        let control = [
            ("MAGIC", control::MAGIC, 4),
            ("VERSION", control::VERSION, 4),
            ("KIND", control::KIND, 4),
            ("LANES", control::LANES, 4),
            ("OWNER_START", control::OWNER_START, 8),
            ("OWNER_PID", control::OWNER_PID, 8),
            ("RING_BYTES", control::RING_BYTES, 4),
            ("MAX_MESSAGE", control::MAX_MESSAGE, 4),
            ("GENERATION", control::GENERATION, 4),
            ("DELIVERY", control::DELIVERY, 4),
            ("VALUES", control::VALUES, 4),
            ("VALUE_SLOTS", control::VALUE_SLOTS, 4),
            ("IN_FLIGHT", control::IN_FLIGHT, 4),
            ("END", control::END, 4),
            ("TYPE_FINGERPRINT", control::TYPE_FINGERPRINT, 8),
            ("TYPE_LEN", control::TYPE_LEN, 4),
            ("TYPE", control::TYPE, control::TYPE_MAX),
            ("CURSORS", control::CURSORS, control::CURSOR_STRIDE),
        ];
        assert_eq!(tables["Control"], table(&control));
        assert_eq!(tables["Cursor"], cursor_rows());
        let roster = [
            ("ASLEEP", roster::ASLEEP, 8),
            ("PARTICIPANT_CHANGES", roster::PARTICIPANT_CHANGES, 4),
            ("OWNER_PARK_EPOCH", roster::OWNER_PARK_EPOCH, 4),
            ("OWNER_EPOCH", roster::OWNER_EPOCH, 4),
            ("HOLDING", roster::HOLDING, 8),
            ("SLOTS_AT", roster::SLOTS_AT, roster::SLOT_STRIDE),
            ("PROCESS", roster::PROCESS, 8),
            ("STATE", roster::STATE, 4),
            ("PARK_EPOCH", roster::PARK_EPOCH, 4),
            ("SLOT_EPOCH", roster::SLOT_EPOCH, 4),
            ("HOLD", roster::HOLD, 8),
            ("BEGINNING", roster::BEGINNING, 8),
            (
                "CURSOR",
                roster::CURSOR,
                roster::SLOT_STRIDE - roster::CURSOR,
            ),
        ];
        assert_eq!(tables["Roster"], table(&roster));
        let lanes = [
            ("RESERVED", lane::RESERVED, 8),
            ("SENT", lane::SENT, 8),
            ("MARKS", lane::MARKS, lane::MARK_COUNT * lane::MARK_STRIDE),
            ("HEAD", lane::HEAD, LINE),
            ("MARK_POSITION", lane::MARK_POSITION, 8),
            ("MARK_NUMBER", lane::MARK_NUMBER, 8),
        ];
        assert_eq!(tables["Lanes"], table(&lanes));
        assert_eq!(tables["Values"], value_rows());
        assert_eq!(tables["Records"].last().unwrap().1, record::PAYLOAD);
        let says = format!("power of two up to {MAX_IN_FLIGHT};");
        assert!(page.contains(&says), "{says}");
        for len in [ownership::LEN, control::LEN, roster::LEN] {
            let says = format!("The section has {len} bytes.");
            assert!(page.contains(&says), "{says}");
        }
    }

    // layout: L004
    #[test]
    fn words_stand_at_multiples_of_their_sizes() {
        let page = include_str!("../../docs/layout.md").replace("\r\n", "\n");
        let rows: Vec<_> = tables(&page).into_values().flatten().collect();
        let words = rows.iter().filter(|(_, _, size)| matches!(size, 4 | 8));
        assert!(words.clone().count() > 40);
        for (name, offset, size) in words {
            assert!(offset.is_multiple_of(*size), "{name}");
        }
        for stride in [
            control::CURSORS,
            control::CURSOR_STRIDE,
            roster::SLOTS_AT,
            roster::SLOT_STRIDE,
            roster::CURSOR,
            lane::MARKS,
            lane::MARK_STRIDE,
            lane::HEAD,
            values::NAMES,
            values::SLOTS_AT,
        ] {
            assert!(stride.is_multiple_of(8), "{stride}");
        }
    }
}
