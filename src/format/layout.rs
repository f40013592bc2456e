//! Every offset, size, magic and version in the shared memory of the patterns. This file has no
//! behaviour. `docs/layout.md` states the same numbers, and a test compares both.
//!
//! All numbers are little-endian. An offset counts bytes from the start of its section, or of its
//! structure. A byte that has no name in this file is zero.

// layout: L001
#[cfg(not(target_endian = "little"))]
compile_error!(
    "shmkit is for little-endian processors: all numbers in shared memory are little-endian, and \
     shmkit stores them as the processor does"
);

/// The first word of an ownership record and of a control section. Its creator stores this word
/// last.
pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"SHMK");
/// The major version of the format. A program refuses every other major version.
pub(crate) const MAJOR: u32 = 3;
/// The major version whose ownership record has the same words in its first 36 bytes. A dead segment
/// of that version may be replaced.
pub(crate) const OLDER_MAJOR: u32 = 2;
/// The minor version of the format. A minor version gives a meaning only to bytes that were zero
/// before, and zero keeps the old meaning.
// layout: L022 L023
pub(crate) const MINOR: u32 = 0;

/// The size of a cache line, the unit that processors exchange. A record of at most this size never
/// lies across two lines.
pub(crate) const LINE: usize = 64;
/// The distance between words with different writers: two cache lines, since processors fetch two
/// lines at a time.
pub(crate) const APART: usize = 128;

/// The greatest number of slots. Each participant except the owner takes a slot, so with the owner
/// there can be 1024 participants.
pub(crate) const MAX_SLOTS: usize = 1023;
/// The number of slots, unless the creator sets another number: with the owner there can be 64
/// participants.
pub(crate) const DEFAULT_SLOTS: usize = 63;
/// The number of the owner in names of events.
pub(crate) const OWNER: usize = MAX_SLOTS;

/// The suffix of the control section. The name of the segment is in front of the suffix, and the
/// number of the generation follows in hexadecimal.
pub(crate) const CONTROL_SUFFIX: &str = "~control-";
/// The suffix of the roster section, which participants write. The number of the generation follows
/// in hexadecimal.
pub(crate) const ROSTER_SUFFIX: &str = "~roster-";
/// The suffix of the lanes section. The number of the generation follows in hexadecimal.
pub(crate) const LANES_SUFFIX: &str = "~lanes-";
/// The suffix of the owner's liveness mutex. The number of the generation follows in hexadecimal.
pub(crate) const ALIVE_SUFFIX: &str = "~alive-";
/// The suffix of a participant's wake event (Windows). The slot, the pid and the slot epoch follow in
/// hexadecimal.
pub(crate) const WAKE_SUFFIX: &str = "~wake-";
/// The suffix of a participant's liveness mutex (Windows). The slot, the pid and the slot epoch
/// follow in hexadecimal.
pub(crate) const LIVE_SUFFIX: &str = "~live-";

/// The ownership record: the section that has the name of the segment. Owners, and processes that
/// try to become the owner, write this section. All other processes map it read-only.
// layout: L021
pub(crate) mod ownership {
    /// `u32`.
    pub(crate) const MAGIC: usize = 0;
    /// `u32`: major in the upper half, minor in the lower.
    pub(crate) const VERSION: usize = 4;
    /// `u64`: the fingerprint of the access with which the section was created.
    pub(crate) const ACCESS: usize = 8;
    /// `u64`: the process word of the owner, or 0 if no process owns the name. After the first
    /// store, this word changes by compare and swap only.
    pub(crate) const OWNER: usize = 16;
    /// `u32`: the namespaces in which [`OWNER`](self::OWNER) has a meaning (Linux). The next owner
    /// stores this word after it has become the owner.
    pub(crate) const SPACE: usize = 24;
    /// `u32`: the generation in use, or 0 if there is none yet.
    pub(crate) const GENERATION: usize = 28;
    /// `u32`: no generation before this one has participants.
    pub(crate) const OLDEST: usize = 32;
    /// The length of the section. The section is longer than its fields: bare memory hardly ever
    /// has this length.
    pub(crate) const LEN: usize = 4 * 4096 + 64;
}

/// The control section of a generation. The owner writes this section. All other processes map it
/// read-only.
// layout: L025
pub(crate) mod control {
    use super::{APART, MAX_SLOTS};

    /// `u32`.
    pub(crate) const MAGIC: usize = 0;
    /// `u32`: major in the upper half, minor in the lower.
    pub(crate) const VERSION: usize = 4;
    /// `u32`: the pattern of the segment; see [`kind`].
    pub(crate) const KIND: usize = 8;
    /// `u32`: the number of lanes: of slots that can send (queue, calls), or of publishers (topic).
    pub(crate) const LANES: usize = 12;
    /// `u64`: the start time of the owner's process, in the form of its process identity.
    pub(crate) const OWNER_START: usize = 16;
    /// `u64`: the pid of the owner in the lower half, the owner's namespaces in the upper half.
    pub(crate) const OWNER_PID: usize = 24;
    /// `u64`: the length of a ring in bytes: a power of two, or a multiple of
    /// [`RING_UNIT`](super::RING_UNIT).
    pub(crate) const RING_BYTES: usize = 32;
    /// `u32`: the number of this generation.
    pub(crate) const GENERATION: usize = 40;
    /// `u32`: how the publisher treats slow subscribers; see [`delivery`](super::delivery).
    pub(crate) const DELIVERY: usize = 44;
    /// `u32`: the number of values (pattern values).
    pub(crate) const VALUES: usize = 48;
    /// `u32`: the number of slots of each value (pattern values).
    pub(crate) const VALUE_SLOTS: usize = 52;
    /// `u32`: the number of calls that a client can have open at a time, a power of two.
    pub(crate) const IN_FLIGHT: usize = 56;
    /// `u32`: the number of slots in the roster.
    pub(crate) const SLOTS: usize = 60;
    /// `u32`: the length of the longest message in bytes.
    pub(crate) const MAX_MESSAGE: usize = 64;
    /// `u32`: the words that each record has between its commit word and its payload (queue, topic);
    /// see [`record::extra`](super::record::extra).
    pub(crate) const RECORD_EXTRA: usize = 68;
    /// `u32`: how many milliseconds a lossless publisher waits for a slow subscriber; 0 for no limit
    /// (topic).
    pub(crate) const PATIENCE: usize = 76;
    /// `u32`: the bits of [`end`], or 0 until the owner ends the generation.
    pub(crate) const END: usize = 128;
    /// The lanes that the owner polls at each look (queue, calls): 16 words of 8 bytes, with a bit for
    /// each lane. No word that is stored often lies near, since a sender loads its word with each
    /// message, and a processor may fetch the next line too.
    pub(crate) const WATCHED: usize = 512;
    /// `u64`: the fingerprint of [`TYPE`](self::TYPE). The fingerprint and
    /// [`TYPE_LEN`](self::TYPE_LEN) are 0 if messages are bare bytes.
    pub(crate) const TYPE_FINGERPRINT: usize = 256;
    /// `u32`: the length of [`TYPE`](self::TYPE) in bytes.
    pub(crate) const TYPE_LEN: usize = 264;
    /// The text that describes the type of the messages.
    pub(crate) const TYPE: usize = 1024;
    pub(crate) const TYPE_MAX: usize = CURSORS - TYPE;
    /// The cursors of the owner, for a queue and for calls. The cursor in lane i is at
    /// `CURSORS + i * CURSOR_STRIDE`.
    pub(crate) const CURSORS: usize = 4096;
    pub(crate) const CURSOR_STRIDE: usize = 2 * APART;
    /// The length of the longest control section.
    pub(crate) const MAX_LEN: usize = CURSORS + MAX_SLOTS * CURSOR_STRIDE;

    /// The bits that say how a generation ended.
    // layout: L027
    pub(crate) mod end {
        /// The owner has closed the generation in good order.
        pub(crate) const CLOSED: u32 = 1;
        /// Another generation is in use.
        pub(crate) const FOLLOWED: u32 = 2;
        /// The owner of that other generation is the same process. This bit is set together with
        /// [`FOLLOWED`].
        pub(crate) const RESIZED: u32 = 4;
        /// All bits that say that the generation has ended.
        pub(crate) const ENDED: u32 = CLOSED | FOLLOWED | RESIZED;
        /// The server (calls) has no worker any more. Requests that it has received may still be
        /// answered, so this bit does not end the generation.
        pub(crate) const DRAINING: u32 = 8;
    }

    /// The pattern of a segment.
    pub(crate) mod kind {
        pub(crate) const QUEUE: u32 = 1;
        pub(crate) const TOPIC: u32 = 2;
        pub(crate) const VALUES: u32 = 3;
        pub(crate) const CALLS: u32 = 4;
    }
}

/// How the publisher of a topic treats slow subscribers: it overwrites, or it waits.
pub(crate) mod delivery {
    pub(crate) const LOSSY: u32 = 0;
    pub(crate) const LOSSLESS: u32 = 1;
}

/// The cursor of a reader in a lane. The cursor of a queue's receiver is in the control section.
/// The cursor of a subscriber is in its slot.
// layout: L044
pub(crate) mod cursor {
    /// `u64`: the writer may overwrite the bytes before this position. The reader stores this word
    /// rarely.
    pub(crate) const ROOM: usize = 0;
    /// `u64`: the position of the next record to be read.
    pub(crate) const EXACT: usize = 128;
    /// `u64`: the number of messages that were read.
    pub(crate) const RECEIVED: usize = 136;
    /// `u64`: the number of messages that were missed.
    pub(crate) const MISSED: usize = 144;
    /// `u64`: the number of messages that were sent before the next record to be read (subscriber),
    /// or of calls that were begun in this slot (client).
    pub(crate) const NUMBER: usize = 152;
    /// The length of a cursor in bytes.
    pub(crate) const LEN: usize = 160;
}

/// The roster: the table of participants. Participants and the owner write this section, and no
/// process trusts it.
// layout: L047 L048
pub(crate) mod roster {
    use super::{APART, MAX_SLOTS};

    /// `u64`: bit 63 is set while the owner sleeps or is about to sleep, and bit 62 while the owner
    /// does not poll every lane. The lower bits are the summary of [`SLEEPERS`](self::SLEEPERS).
    pub(crate) const ASLEEP: usize = 0;
    /// The bit of a sleeping owner in [`ASLEEP`](self::ASLEEP).
    pub(crate) const OWNER_BIT: u64 = 1 << 63;
    /// The bit in [`ASLEEP`](self::ASLEEP) of an owner that does not poll every lane.
    pub(crate) const UNWATCHED_BIT: u64 = 1 << 62;
    /// `u32`: a participant that joins adds 1, and a participant that leaves adds 65536.
    pub(crate) const PARTICIPANT_CHANGES: usize = APART;
    /// `u32`: the park epoch of the owner. The owner adds 1 before each sleep.
    pub(crate) const OWNER_PARK_EPOCH: usize = 2 * APART;
    /// `u32`: the number of the generation, which is also in the name of the owner's wake event
    /// (Windows).
    pub(crate) const OWNER_EPOCH: usize = 2 * APART + 4;
    /// `u32`: the park word of the owner (Linux).
    pub(crate) const OWNER_PARK_WORD: usize = 2 * APART + 8;
    /// `u64`: the guards that hold a slot of a value, with a bit for each of [`GUARDS`](self::GUARDS)
    /// (values).
    pub(crate) const GUARDED: usize = 3 * APART;
    /// The participants that sleep or are about to sleep: 16 words of 8 bytes, with a bit for each
    /// slot. Each participant changes its own bit.
    pub(crate) const SLEEPERS: usize = 4 * APART;
    /// `u64`: the summary of [`NEWS_OF`](self::NEWS_OF).
    pub(crate) const NEWS: usize = 6 * APART;
    /// The lanes that have got a message while the owner did not poll them: 16 words of 8 bytes. The
    /// participant of a lane sets its bit, and the owner clears it.
    pub(crate) const NEWS_OF: usize = 7 * APART;
    /// The guards (values): words of 8 bytes, two less than a value has slots.
    // layout: L303
    pub(crate) const GUARDS: usize = 8 * APART;
    /// The most guards that a table has.
    pub(crate) const MAX_GUARDS: usize = super::values::MAX_SLOTS as usize - 2;
    /// The length of the words of a set of slots.
    pub(crate) const SET_LEN: usize = (MAX_SLOTS + 1) / 8;
    /// The slots. Slot i is at `SLOTS_AT + i * SLOT_STRIDE`.
    pub(crate) const SLOTS_AT: usize = 4096;
    pub(crate) const SLOT_STRIDE: usize = 512;
    /// The alignment of the ROOM words of a slot behind all slots: one `u64` for each lane but
    /// the first (topic).
    pub(crate) const ROOM_ALIGN: usize = APART;

    /// `u64` in a slot: the process word of the participant, or 0 for a free slot. The upper half
    /// is the pid. The lower half is a fold of the start time, and never 0.
    pub(crate) const PROCESS: usize = 0;
    /// `u32`: whether the participant concerns the owner; see [`state`].
    pub(crate) const STATE: usize = 8;
    /// `u32`: the park epoch of the participant. The participant adds 1 before each sleep.
    pub(crate) const PARK_EPOCH: usize = 12;
    /// `u32`: the slot epoch. Each process that takes the slot adds 1.
    pub(crate) const SLOT_EPOCH: usize = 16;
    /// `u32`: the namespaces in which [`PROCESS`](self::PROCESS) has a meaning (Linux).
    pub(crate) const SPACE: usize = 20;
    /// `u64`: the position of a sender's first message, or of a client's first request, in its lane.
    pub(crate) const BEGINNING: usize = 32;
    /// `u32`: the park word of the participant (Linux): 1 after it was woken, and 0 after it has
    /// taken the wake-up.
    pub(crate) const PARK_WORD: usize = 40;
    /// `u64`: the start time of the participant's process, in the form of its process identity.
    pub(crate) const START: usize = 48;
    /// `u64`: the source key of the sender, or 0 (queue).
    pub(crate) const SOURCE_KEY: usize = 64;
    /// `u64`: the end of a record that has a source number, plus 1, or 0. It counts once the record is
    /// committed.
    pub(crate) const SOURCE_END_0: usize = 72;
    /// `u64`: the source number of the record that ends at [`SOURCE_END_0`](self::SOURCE_END_0).
    pub(crate) const SOURCE_NUMBER_0: usize = 80;
    /// `u64`: as [`SOURCE_END_0`](self::SOURCE_END_0), for another record.
    pub(crate) const SOURCE_END_1: usize = 88;
    /// `u64`: the source number of the record that ends at [`SOURCE_END_1`](self::SOURCE_END_1).
    pub(crate) const SOURCE_NUMBER_1: usize = 96;
    /// `u64`: [`KEPT`](self::KEPT) if the owner has taken the source key over from an earlier
    /// generation, and in the lower half the generation that
    /// [`INHERITED_NUMBER`](self::INHERITED_NUMBER) comes from, or 0.
    pub(crate) const INHERITED: usize = 104;
    /// The bit in [`INHERITED`](self::INHERITED) of a source key that the owner has taken over.
    pub(crate) const KEPT: u64 = 1 << 32;
    /// `u64`: the source number that the owner has found in an earlier generation.
    pub(crate) const INHERITED_NUMBER: usize = 112;
    /// The cursor of a subscriber, or of a client in its lane of responses.
    pub(crate) const CURSOR: usize = APART;

    /// The states of a participant.
    pub(crate) mod state {
        /// The participant does not concern the owner, or does not concern it yet.
        pub(crate) const PASSIVE: u32 = 0;
        /// A sender, client or publisher that may send, or a subscriber for which publishers wait.
        pub(crate) const ACTIVE: u32 = 1;
        /// A subscriber for which the publisher no longer waits.
        pub(crate) const DROPPED: u32 = 2;
    }
}

/// The lanes section. Lane i begins at `i * (HEAD + RING_BYTES)`, and has one writer.
// layout: L055 L056
pub(crate) mod lane {
    /// `u64`: the publisher may write the bytes before this position at any moment (topic).
    pub(crate) const RESERVED: usize = 0;
    /// `u64`: the number of messages that were sent since the lane was made.
    pub(crate) const SENT: usize = 128;
    /// The marks (topic). Mark k is at `MARKS + k * MARK_STRIDE`.
    pub(crate) const MARKS: usize = 256;
    pub(crate) const MARK_STRIDE: usize = 16;
    pub(crate) const MARK_COUNT: usize = 8;
    /// The mark of the oldest record that the publisher of a long ring keeps.
    pub(crate) const OLDEST: usize = 496;
    /// `u64` in a mark: the position at which a record begins.
    pub(crate) const MARK_POSITION: usize = 0;
    /// `u64` in a mark: the number of messages before that record.
    pub(crate) const MARK_NUMBER: usize = 8;
    /// `u64`: twice the number of publishers that have taken the lane, plus 1 while a publisher is
    /// taking it (topic). The words up to [`CLOSED`](self::CLOSED) belong to the publisher that took
    /// the lane last.
    pub(crate) const TENURE: usize = 384;
    /// `u64`: the number of the publisher.
    pub(crate) const PUBLISHER: usize = 392;
    /// `u64`: the start time of the publisher's process, in the form of its process identity.
    pub(crate) const PUBLISHER_START: usize = 400;
    /// `u64`: the pid of the publisher in the lower half, its namespaces in the upper half.
    pub(crate) const PUBLISHER_PID: usize = 408;
    /// `u64`: the position of the publisher's first record.
    pub(crate) const BEGINNING: usize = 416;
    /// `u64`: the slot epoch of the publisher.
    pub(crate) const SLOT_EPOCH: usize = 424;
    /// `u64`: the [`TENURE`](self::TENURE) of the last publisher that has closed in good order.
    pub(crate) const CLOSED: usize = 432;
    /// `u64`: the number of the publisher before this one, or 0 if it is not known.
    pub(crate) const BEFORE: usize = 440;
    /// `u64`, and the two words behind it: as [`PUBLISHER_START`](self::PUBLISHER_START),
    /// [`PUBLISHER_PID`](self::PUBLISHER_PID) and [`BEGINNING`](self::BEGINNING), for the publisher
    /// before this one.
    pub(crate) const BEFORE_START: usize = 448;
    pub(crate) const BEFORE_PID: usize = 456;
    pub(crate) const BEFORE_BEGINNING: usize = 464;
    /// `u64`: the number of messages in the lane before the publisher's first one.
    pub(crate) const FIRST: usize = 472;
    /// `u64`: as [`FIRST`](self::FIRST), for the publisher before this one.
    pub(crate) const BEFORE_FIRST: usize = 480;
    /// `u64`: bit 0 is set if the publisher before this one closed in good order, and bit 1 if the one
    /// before that did.
    pub(crate) const BEFORE_CLOSED: usize = 488;
    /// The offset of the ring. It makes the distance of two lanes unequal to a power of two, so
    /// that equal places in two lanes do not share a set of the cache.
    pub(crate) const HEAD: usize = 512;
}

/// The table of values (pattern values), which takes the place of the lanes.
// layout: L072 L073 L074
pub(crate) mod values {
    pub(crate) use super::APART;

    /// `u64`: the number of stores.
    pub(crate) const CHANGES: usize = 0;
    /// `u32` each: the index of the value that store n changed, at `RECENT + n % RECENT_COUNT * 4`.
    pub(crate) const RECENT: usize = APART;
    pub(crate) const RECENT_COUNT: u64 = 1024;
    /// The names of the values. Each name is a byte with the length, and the bytes of the name.
    pub(crate) const NAMES: usize = 8192;
    pub(crate) const NAME_LEN: usize = 64;
    /// `u64` in an entry: the number of the newest value, or 0 if there is no value yet.
    pub(crate) const NEWEST: usize = 0;
    /// The value slots of an entry. Value n is in slot n modulo the number of slots.
    pub(crate) const SLOTS_AT: usize = APART;
    /// `u64` in a value slot: twice the number of the value, plus 1 while the value is written.
    pub(crate) const MARK: usize = 0;
    /// `u32` in a value slot: the length of the value.
    pub(crate) const LEN: usize = 8;
    pub(crate) const VALUE: usize = 16;

    pub(crate) const MIN_SLOTS: u64 = 8;
    pub(crate) const MAX_SLOTS: u64 = 64;
    pub(crate) const MAX_COUNT: usize = 1 << 20;
    pub(crate) const MAX_LEN: usize = 1 << 24;
    pub(crate) const MAX_TABLE: u64 = 1 << 30;
}

/// A record in a ring: the commit word, the tag of a call, and the payload.
// layout: L060
pub(crate) mod record {
    /// The number of lower bits of the commit word that hold the kind of the record. The bits above
    /// hold the length of the payload.
    pub(crate) const KIND_BITS: u32 = 2;
    pub(crate) const EMPTY: u32 = 0;
    pub(crate) const MESSAGE: u32 = 1;
    /// A record without payload, which fills the ring up to its end.
    pub(crate) const PAD: u32 = 2;
    /// The bit in the tag of a response (the `u32` behind the commit word) that means: the server
    /// dropped the request without an answer.
    pub(crate) const UNANSWERED: u32 = 1 << 31;
    /// The offset of the payload, if the record has no extra words.
    pub(crate) const PAYLOAD: usize = 8;
    /// The offset of the first extra word.
    pub(crate) const EXTRA: usize = 8;
    /// The alignment of a record: each record begins at a multiple of this number.
    pub(crate) const ALIGN: usize = 8;

    /// The extra words of a record. Each has 8 bytes; they are in the order of these bits.
    // layout: L286
    pub(crate) mod extra {
        /// The time at which the message was sent, in nanoseconds since the Unix epoch.
        pub(crate) const TIME: u32 = 1;
        /// All bits that have a meaning.
        pub(crate) const ALL: u32 = TIME;
    }

    /// Returns the length of the head of a record: the offset of its payload.
    pub(crate) const fn head(extra: u32) -> usize {
        PAYLOAD + 8 * extra.count_ones() as usize
    }
}

/// The value near which new counters and positions start. It is 0, except in test builds with
/// `--cfg shmkit_late="31"` or `"32"`. In these builds, counters and positions start shortly before
/// 2^31 or 2^32, so that the tests carry each of them across that value.
const LATE: u64 = if cfg!(shmkit_late = "31") {
    1 << 31
} else if cfg!(shmkit_late = "32") {
    1 << 32
} else {
    0
};
/// The first value of a counter.
pub(crate) const FIRST_COUNT: u64 = LATE.saturating_sub(4);
/// The first value of PARTICIPANT_CHANGES.
pub(crate) const FIRST_CHANGES: u32 = if LATE == 0 { 0 } else { 0xfffe_fffe };

/// Returns the position of the first record in a new lane whose ring has this number of bytes.
/// A lap begins at this position.
pub(crate) const fn first_position(bytes: u64) -> u64 {
    (LATE / bytes).saturating_sub(1) * bytes
}

/// The largest number of calls that a client can have open at a time.
pub(crate) const MAX_IN_FLIGHT: usize = 1024;
/// The length of the smallest ring: 4 KiB.
pub(crate) const MIN_RING: u64 = 4096;
/// A ring whose length is no power of two has a multiple of this length.
pub(crate) const RING_UNIT: u64 = LINE as u64;
/// In a ring whose length is no power of two, the longest message has at least this length: 64 KiB.
pub(crate) const LONG_MESSAGE: u64 = 64 << 10;
/// The length of the largest ring: 4 GiB.
pub(crate) const MAX_RING: u64 = 1 << 32;
/// The length of the longest message that a queue, a topic or a server can have: 1 GiB less 64 bytes.
pub(crate) const LONGEST_MESSAGE: u64 = (1 << 30) - 64;

const _: () = {
    assert!(control::END >= control::RECORD_EXTRA + 4);
    assert!(control::TYPE >= control::TYPE_LEN + 4);
    assert!(cursor::NUMBER + 8 <= cursor::LEN && cursor::LEN <= control::CURSOR_STRIDE);
    assert!(roster::CURSOR + cursor::LEN <= roster::SLOT_STRIDE);
    assert!(values::RECENT + values::RECENT_COUNT as usize * 4 <= values::NAMES);
    assert!(roster::INHERITED_NUMBER + 8 <= roster::CURSOR && roster::SET_LEN <= APART);
    assert!(roster::NEWS_OF + roster::SET_LEN <= roster::SLOTS_AT);
    // A summary has a bit for each word of its set, below the bit of the owner.
    assert!(roster::SET_LEN / 8 < 62 && control::WATCHED + roster::SET_LEN <= control::TYPE);
    assert!(lane::MARKS + lane::MARK_COUNT * lane::MARK_STRIDE <= lane::TENURE);
    assert!(lane::BEFORE_CLOSED + 8 <= lane::OLDEST);
    assert!(lane::OLDEST + lane::MARK_STRIDE <= lane::HEAD);
    assert!(record::PAYLOAD < LINE);
    assert!(MIN_RING.is_power_of_two() && MAX_RING.is_power_of_two());
    // The length of a payload and the kind of its record fit into one word.
    assert!(LONGEST_MESSAGE < 1 << (32 - record::KIND_BITS));
    assert!(LONGEST_MESSAGE <= MAX_RING / 4 - record::head(record::extra::ALL) as u64);
    // An eighth of a ring is a multiple of the alignment of a record.
    assert!(RING_UNIT.is_multiple_of(8 * record::ALIGN as u64));
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Returns the tables of the document by their headings: the name, offset and size of each row.
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

    fn ownership_rows() -> Vec<(String, usize, usize)> {
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

    fn roster_rows() -> Vec<(String, usize, usize)> {
        table(&[
            ("ASLEEP", roster::ASLEEP, 8),
            ("PARTICIPANT_CHANGES", roster::PARTICIPANT_CHANGES, 4),
            ("OWNER_PARK_EPOCH", roster::OWNER_PARK_EPOCH, 4),
            ("OWNER_EPOCH", roster::OWNER_EPOCH, 4),
            ("OWNER_PARK_WORD", roster::OWNER_PARK_WORD, 4),
            ("GUARDED", roster::GUARDED, 8),
            ("SLEEPERS", roster::SLEEPERS, roster::SET_LEN),
            ("NEWS", roster::NEWS, 8),
            ("NEWS_OF", roster::NEWS_OF, roster::SET_LEN),
            ("GUARDS", roster::GUARDS, roster::MAX_GUARDS * 8),
            ("SLOTS_AT", roster::SLOTS_AT, roster::SLOT_STRIDE),
            ("PROCESS", roster::PROCESS, 8),
            ("STATE", roster::STATE, 4),
            ("PARK_EPOCH", roster::PARK_EPOCH, 4),
            ("SLOT_EPOCH", roster::SLOT_EPOCH, 4),
            ("SPACE", roster::SPACE, 4),
            ("BEGINNING", roster::BEGINNING, 8),
            ("PARK_WORD", roster::PARK_WORD, 4),
            ("START", roster::START, 8),
            ("SOURCE_KEY", roster::SOURCE_KEY, 8),
            ("SOURCE_END_0", roster::SOURCE_END_0, 8),
            ("SOURCE_NUMBER_0", roster::SOURCE_NUMBER_0, 8),
            ("SOURCE_END_1", roster::SOURCE_END_1, 8),
            ("SOURCE_NUMBER_1", roster::SOURCE_NUMBER_1, 8),
            ("INHERITED", roster::INHERITED, 8),
            ("INHERITED_NUMBER", roster::INHERITED_NUMBER, 8),
            (
                "CURSOR",
                roster::CURSOR,
                roster::SLOT_STRIDE - roster::CURSOR,
            ),
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

    fn lane_rows() -> Vec<(String, usize, usize)> {
        table(&[
            ("RESERVED", lane::RESERVED, 8),
            ("SENT", lane::SENT, 8),
            ("MARKS", lane::MARKS, lane::MARK_COUNT * lane::MARK_STRIDE),
            ("TENURE", lane::TENURE, 8),
            ("PUBLISHER", lane::PUBLISHER, 8),
            ("PUBLISHER_START", lane::PUBLISHER_START, 8),
            ("PUBLISHER_PID", lane::PUBLISHER_PID, 8),
            ("BEGINNING", lane::BEGINNING, 8),
            ("SLOT_EPOCH", lane::SLOT_EPOCH, 8),
            ("CLOSED", lane::CLOSED, 8),
            ("BEFORE", lane::BEFORE, 8),
            ("BEFORE_START", lane::BEFORE_START, 8),
            ("BEFORE_PID", lane::BEFORE_PID, 8),
            ("BEFORE_BEGINNING", lane::BEFORE_BEGINNING, 8),
            ("FIRST", lane::FIRST, 8),
            ("BEFORE_FIRST", lane::BEFORE_FIRST, 8),
            ("BEFORE_CLOSED", lane::BEFORE_CLOSED, 8),
            ("OLDEST", lane::OLDEST, lane::MARK_STRIDE),
            ("HEAD", lane::HEAD, LINE),
            ("MARK_POSITION", lane::MARK_POSITION, 8),
            ("MARK_NUMBER", lane::MARK_NUMBER, 8),
        ])
    }

    // layout: L021 L025 L044 L047 L048 L055 L056 L072 L073 L074
    #[test]
    fn document_tables_match_the_layout_constants() {
        let page = include_str!("../../docs/layout.md").replace("\r\n", "\n");
        assert!(page.contains(&format!("Version {MAJOR}.{MINOR}.")));
        let tables = tables(&page);
        assert_eq!(tables["Ownership record"], ownership_rows());

        let control = [
            ("MAGIC", control::MAGIC, 4),
            ("VERSION", control::VERSION, 4),
            ("KIND", control::KIND, 4),
            ("LANES", control::LANES, 4),
            ("OWNER_START", control::OWNER_START, 8),
            ("OWNER_PID", control::OWNER_PID, 8),
            ("RING_BYTES", control::RING_BYTES, 8),
            ("GENERATION", control::GENERATION, 4),
            ("DELIVERY", control::DELIVERY, 4),
            ("VALUES", control::VALUES, 4),
            ("VALUE_SLOTS", control::VALUE_SLOTS, 4),
            ("IN_FLIGHT", control::IN_FLIGHT, 4),
            ("SLOTS", control::SLOTS, 4),
            ("MAX_MESSAGE", control::MAX_MESSAGE, 4),
            ("RECORD_EXTRA", control::RECORD_EXTRA, 4),
            ("PATIENCE", control::PATIENCE, 4),
            ("END", control::END, 4),
            ("TYPE_FINGERPRINT", control::TYPE_FINGERPRINT, 8),
            ("TYPE_LEN", control::TYPE_LEN, 4),
            ("WATCHED", control::WATCHED, roster::SET_LEN),
            ("TYPE", control::TYPE, control::TYPE_MAX),
            ("CURSORS", control::CURSORS, control::CURSOR_STRIDE),
        ];
        assert_eq!(tables["Control"], table(&control));
        assert_eq!(tables["Cursor"], cursor_rows());

        assert_eq!(tables["Roster"], roster_rows());

        assert_eq!(tables["Lanes"], lane_rows());
        assert_eq!(tables["Values"], value_rows());
        assert_eq!(tables["Records"].last().unwrap().1, record::PAYLOAD);

        let says = format!("power of two up to {MAX_IN_FLIGHT};");
        assert!(page.contains(&says), "{says}");
        let [cursors, slots] = [control::CURSORS, roster::SLOTS_AT];
        let [cursor, slot] = [control::CURSOR_STRIDE, roster::SLOT_STRIDE];
        for len in [
            ownership::LEN.to_string(),
            format!("{cursors} + {cursor} * LANES"),
            format!("{slots} + {slot} * SLOTS + ROW * SLOTS"),
        ] {
            let says = format!("The section has {len} bytes.");
            assert!(page.contains(&says), "{says}");
        }
    }

    // layout: L004
    #[test]
    fn words_are_aligned_to_their_sizes() {
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
