//! How the numbers of source keys get from one generation to the next.
//!
//! ```text
//!   the owner of the next generation           a sender that opens the next generation
//!     1  reserve a slot for each key of the      1  take the slot of the key, full fence
//!        earlier generations, with the number    2  a living sender has the key in an earlier
//!        that is known now                          generation? leave
//!     2  put the generation in use               3  the slot has a committed pair? that number
//!     3  store the numbers that are known now    4  the number in the newest earlier generation
//!     4  an earlier generation has no message       that has one, or the one that the owner has
//!        and no sender left: store its numbers,     stored, whichever was sent in the later
//!        and then close it                          generation
//! ```
//!
//! A sender that reattaches knows its last number, and looks nowhere.

use super::geometry::{Geometry, QUEUE};
use super::joined::{Found, looking};
use super::owned::{Owned, control_len_of, geometry_in, is_none_of_ours};
use super::roster::{Roster, occupant_in};
use super::source_claim::key_is_open;
use super::sources::{KnownNumber, SourceClaim, SourceWords};
use super::{Companions, Control, ReadLane, cursor_at};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{control, cursor, roster};
use crate::lane::lossless::tail_of;
use crate::lane::ring::RingGeometry;
use crate::object::section::Section;
use crate::os::{LivesBackend, Occupant, ProcessIdentity, pid_of};
use crate::sync::{AtLeast, Window, Words};

/// How often an owner looks at a slot whose sender is sending.
const LOOKS: u32 = 16;

/// A generation before the one in use, as a participant opens it.
struct Earlier {
    number: u32,
    geometry: Geometry,
    control: Window<Control>,
    names: Companions,
}

impl Found {
    /// Opens a generation before this one; `None` if it was never completed.
    fn earlier(&self, number: u32) -> Result<Option<Earlier>> {
        let names = Companions::of(&self.name, number)?;
        let options = looking(self.expect.clone());
        let section = options
            .expect_len(control::CURSORS as u64)
            .open(&names.control)?;
        let len = control_len_of(&section)?;
        let control: Window<Control> = section.words_from(len)?;
        let geometry = geometry_in(&control, len);
        Ok(geometry.map(|geometry| Earlier {
            number,
            geometry,
            control,
            names,
        }))
    }

    /// Opens the rosters of the generations before this one that may still have participants.
    // layout: L158
    pub fn earlier_rosters(&self) -> Vec<(Geometry, Section)> {
        let open = |number| -> Result<Option<(Geometry, Section)>> {
            let Some(earlier) = self.earlier(number)? else {
                return Ok(None);
            };
            let roster = looking(self.expect.clone()).write(true);
            let roster = roster.expect_len(earlier.geometry.roster_len() as u64);
            Ok(Some((
                earlier.geometry,
                roster.open(&earlier.names.roster)?,
            )))
        };
        // A generation that cannot be opened has no participants that this process can wait for.
        let earlier = self.record.before(self.generation).map(open);
        earlier.filter_map(|opened| opened.ok()?).collect()
    }

    /// Returns the last number of a source key in the generations before this one. The participant of
    /// this process has this slot, which is that of the key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] if a living sender has the key in an earlier generation, or if another
    /// generation is in use now.
    // layout: L322
    pub fn last_number(&self, key: u64, roster: &Roster, slot: usize) -> Result<Option<u64>> {
        let before = self.number_before(key)?;
        // The generations before come first: an owner that closes one stores its number here before
        // that.
        let inherited = SourceWords::read(roster.words(), slot).inherited();
        // The owner of another generation stores the number there.
        if !self.record.is_still(self.generation) {
            let meaning = "its owner is changing";
            let error = Error::new(ErrorKind::Busy, Operation::Open, &self.name, meaning);
            return Err(error.with_advice("try again"));
        }
        let last = KnownNumber::later(inherited, before);
        Ok(last.map(|last| last.number))
    }

    /// Returns the last number of a source key in the generations before this one that still exist.
    // layout: L158 L322
    fn number_before(&self, key: u64) -> Result<Option<KnownNumber>> {
        let mut last = None;
        for generation in self.record.before(self.generation).rev() {
            match self.number_in(generation, key) {
                Err(error) if is_none_of_ours(&error) => {}
                known => last = KnownNumber::later(last, known?),
            }
        }
        Ok(last)
    }

    fn number_in(&self, generation: u32, key: u64) -> Result<Option<KnownNumber>> {
        let Some(earlier) = self.earlier(generation)? else {
            return Ok(None);
        };
        let of = |words: &Window<Control>| words.load64(control::TYPE_FINGERPRINT);
        let ring = (QUEUE.sizes)(&earlier.geometry);
        let Some(ring) = ring.filter(|_| of(&earlier.control) == of(&self.control)) else {
            return Ok(None);
        };

        let options = looking(self.expect.clone());
        let len = earlier.geometry.roster_len();
        let section = options.expect_len(len as u64).open(&earlier.names.roster)?;
        let words: Window<AtLeast<{ roster::SLOTS_AT }>> = section.words_from(len)?;
        let lives = section.lives()?;

        let mut last = None;
        for slot in 0..earlier.geometry.lanes() {
            if SourceWords::read(&words, slot).key != key {
                continue;
            }
            let occupant = occupant_in(&words, slot);
            let is_alive = |occupant: Occupant| {
                !matches!(lives.has_ended(slot, occupant.word), Ok(true))
                    && !lives.is_ending(occupant)
            };
            if occupant.word != 0 && is_alive(occupant) {
                return Err(key_is_open(&self.name, pid_of(occupant.word)));
            }
            // Loaded after the sender has left or has died.
            let source = SourceWords::read(&words, slot);
            let tail = match source.is_reserved() {
                true => self.tail_in(&earlier, slot, ring)?,
                false => None,
            };
            last = KnownNumber::later(last, source.known(earlier.number, tail));
        }
        Ok(last)
    }

    /// Returns the position behind the last message in a lane of an earlier generation; `None` if the
    /// lane is damaged.
    // layout: L253 L322
    fn tail_in(&self, earlier: &Earlier, slot: usize, ring: RingGeometry) -> Result<Option<u64>> {
        let options = looking(self.expect.clone()).write(true);
        let geometry = &earlier.geometry;
        let lanes = options
            .expect_len(geometry.len())
            .open(&earlier.names.lanes)?;
        geometry.commit(&lanes, slot)?;
        let lane = ReadLane::map(&lanes, geometry.place(slot), false)?;
        let gate = earlier.control.load64(cursor_at(slot) + cursor::ROOM);
        Ok(tail_of(lane.ring, ring, gate))
    }
}

impl Owned {
    /// Returns the source key that has this slot reserved, and the last number that is known now.
    // layout: L321
    fn source_in(&self, slot: usize) -> Result<Option<(u64, Option<KnownNumber>)>> {
        let read = || SourceWords::read(self.roster().words(), slot);
        let ring = (QUEUE.sizes)(&self.geometry);
        let (Some(ring), true) = (ring, self.roster().is_reserved(slot)) else {
            return Ok(None);
        };
        let source = self.lane_source();
        source.commit(slot)?;
        let (lane, cursor) = source.map(slot, false)?;
        let tail = || tail_of(lane.ring.clone(), ring, cursor.load64(cursor::ROOM));

        // If the tail has not changed, the pair of the last message was not changed either.
        for _ in 0..LOOKS {
            let (before, words) = (tail(), read());
            if tail() == before {
                return Ok(Some((words.key, words.known(self.generation, before))));
            }
        }
        let words = read();
        Ok(Some((words.key, words.inherited())))
    }

    /// Stores a number of an earlier generation in the slot of its key, unless the number there is a
    /// later one.
    // layout: L321
    fn keep_number(&self, slot: usize, key: u64, known: Option<KnownNumber>) {
        let there = SourceWords::read(self.roster().words(), slot).inherited();
        let later = KnownNumber::later(there, known);
        self.roster().set_inherited(slot, key, later);
    }

    /// Reserves a slot for each source key of an earlier generation. It is called before this
    /// generation is in use, for the latest generation first: of two copies of a number, the first one
    /// is kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if there are more keys than slots.
    // layout: L321
    pub fn reserve_sources(&self, older: &Owned) -> Result<()> {
        if !older.has_type_of(self) {
            return Ok(());
        }
        let slots = self.geometry.lanes();
        let is_new = |slot: &usize| *slot < slots && self.roster().source_key(*slot) == 0;
        for slot in 0..older.geometry.lanes() {
            let Some((key, known)) = older.source_in(slot)? else {
                continue;
            };
            let same = Some(slot).filter(is_new);
            let home = self.roster().reserved_for(key, 0..slots).or(same);
            let Some(home) = home.or_else(|| (0..slots).find(is_new)) else {
                let meaning = format!("it has more source keys than the {slots} senders allowed");
                let kind = ErrorKind::InvalidArgument;
                let error = Error::new(kind, Operation::Create, self.name(), meaning);
                return Err(error.with_advice("allow more senders"));
            };
            self.keep_number(home, key, known);
        }
        Ok(())
    }

    /// Stores the last numbers of the source keys of an earlier generation. Returns whether all of
    /// them are stored: a key that has no slot here stays where it is.
    // layout: L321
    pub fn carry_numbers(&self, older: &Owned) -> bool {
        if !older.has_type_of(self) {
            return true;
        }
        (0..older.geometry.lanes()).all(|slot| match older.source_in(slot) {
            Ok(Some((key, Some(known)))) => self.carry(key, known),
            Ok(_) => true,
            Err(_) => false,
        })
    }

    fn carry(&self, key: u64, known: KnownNumber) -> bool {
        let slots = 0..self.geometry.lanes();
        if let Some(slot) = self.roster().reserved_for(key, slots.clone()) {
            self.keep_number(slot, key, Some(known));
            return true;
        }

        // The sender has sent its first number after the slots were reserved.
        let Ok(me) = ProcessIdentity::current() else {
            return false;
        };
        let me = Occupant::of(&me);
        let lives = &self.notifier().system().lives;
        let begin = |slot, word| lives.take(slot, word);
        let claimed = self
            .roster()
            .claim_source(me, slots, key, begin, |_| Ok(()));
        let Ok(SourceClaim::Taken(slot, _life)) = claimed else {
            return false;
        };
        self.keep_number(slot, key, Some(known));
        self.roster().leave(slot, me.word);
        true
    }
}
