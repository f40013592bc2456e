//! How a reader reads values, finds their changes, and reattaches to the next writer.
//!
//! A reader copies a value from the newest value slot of the value, and checks that the copy is
//! whole. `slots/mod.rs` explains that algorithm. This file adds the reattachment to the next writer,
//! whose table may have another order.

use crate::error::channel::{Fault, GetError, RecvError};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::values;
use crate::lane::in_place::Source;
use crate::name::Name;
use crate::os::{Validity, ValidityBackend};
use crate::segment::geometry::VALUES;
use crate::segment::guards::Guard;
use crate::segment::notifier::System;
use crate::segment::owner_monitor::{OwnerMonitor, Reattach};
use crate::segment::participant::Participant;
use crate::segment::roster::JOINED;
use crate::segment::{Found, HowToJoin};
use crate::slots::{Held, Hold, Look, TableGeometry, ValueReader};
use crate::sync::Window;
use crate::values::holding::hold;
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Spin};
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

/// The time after which a reader tries again to join a next writer that it could not join.
const AGAIN: Duration = Duration::from_millis(10);

/// Returns whether a next writer that was refused with this error can never be joined.
fn is_final(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WrongKind
            | ErrorKind::WrongType
            | ErrorKind::WrongOwner
            | ErrorKind::WrongVersion
            | ErrorKind::AccessDenied
            | ErrorKind::Corrupt
    )
}

/// The places of values in the table of a later writer.
#[derive(Debug)]
struct Moved {
    /// The places, by the index of this reader.
    places: Box<[usize]>,
    /// The index of this reader, by the place.
    indices: HashMap<usize, usize>,
}

impl Moved {
    /// Finds values by their names. The error is a name that the table lacks.
    fn find<'a>(ours: &'a [String], theirs: &HashMap<String, usize>) -> Result<Moved, &'a str> {
        let place = |name: &'a String| theirs.get(name).copied().ok_or(&**name);
        let places: Box<[usize]> = ours.iter().map(place).collect::<Result<_, _>>()?;
        let indices = places.iter().copied().zip(0..).collect();
        Ok(Moved { places, indices })
    }
}

/// The reader of values of any type.
pub struct Reading {
    pub values: ValueReader<Window>,
    pub names: Vec<String>,
    pub indices: HashMap<String, usize>,
    owner_monitor: OwnerMonitor,
    buffer: Box<[u8]>,
    participant: Option<Participant>,
    /// The guard of this reader, and the value that it holds.
    guard: Option<Guard>,
    held: Option<Held>,
    /// Whether the reader takes no slot, even if it could.
    is_observer: bool,
    validity: Validity,
    /// The places of the values, if they are not the places at which the values were opened.
    moved: Option<Moved>,
    /// The newest generation that was tried, and the time at which it is tried again.
    tried: (u32, Option<Instant>),
    /// Why this reader could not reattach to the generation that was tried.
    failed: Option<Error>,
    // Declared last, so that it is dropped last.
    pub found: Found,
}

impl Reading {
    pub fn open(how: &HowToJoin, is_observer: bool, name: &Name) -> Result<Reading> {
        let join = |found, table| Reading::with(found, table, is_observer, ValueReader::new);
        how.join(name, VALUES, join)
    }

    /// Joins a generation as the reader of an earlier generation, so that all values count as new.
    fn go_on(found: Found, table: TableGeometry, is_observer: bool) -> Result<Reading> {
        Reading::with(found, table, is_observer, ValueReader::from_the_beginning)
    }

    fn with(
        mut found: Found,
        table: TableGeometry,
        is_observer: bool,
        values: impl Fn(Window, TableGeometry) -> ValueReader<Window>,
    ) -> Result<Reading> {
        let mut owner_monitor = OwnerMonitor::begin(&found)?;
        let participant = match is_observer {
            true => None,
            false => Reading::take_slot(&found)?,
        };
        let view = match participant {
            Some(_) => found.lanes_view()?,
            None => found.observe(owner_monitor.process())?,
        };
        let values = values(view.window(0, view.len())?, table);
        let names: Vec<String> = (0..table.count()).map(|index| values.name(index)).collect();
        let indices = names.iter().cloned().zip(0..).collect();

        Ok(Reading {
            values,
            names,
            indices,
            owner_monitor,
            buffer: vec![0; table.max()].into_boxed_slice(),
            participant,
            guard: None,
            held: None,
            is_observer,
            validity: Validity::new(),
            moved: None,
            tried: (found.generation, None),
            failed: None,
            found,
        })
    }

    /// Takes a slot, if this account may take a slot and a slot is free.
    // layout: L103
    fn take_slot(found: &Found) -> Result<Option<Participant>> {
        let Some(roster) = found.roster_if_let_in()? else {
            return Ok(None);
        };
        match found.take_slot(&roster) {
            Ok(participant) => {
                participant.roster().tell(JOINED);
                Ok(Some(participant))
            }
            Err(error) if error.kind() == ErrorKind::Busy => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the value of this length that was read last.
    #[inline(always)]
    pub fn value(&self, len: usize) -> &[u8] {
        &self.buffer[..len]
    }

    /// Reads the newest value at this index, and returns its length.
    // layout: L138
    #[inline]
    pub fn get_at(&mut self, index: usize) -> Result<usize, GetError> {
        let place = self.place_for(index)?;
        match self.values.load(place, &mut self.buffer) {
            Look::Value(len, _) => Ok(len),
            Look::Nothing => Err(GetError::NotSet),
            Look::Busy => self.get_held(place),
            Look::Corrupt => Err(GetError::Corrupt),
        }
    }

    /// Copies a value that was overwritten during each attempt to copy it: holds it meanwhile.
    // layout: L138
    #[cold]
    fn get_held(&mut self, place: usize) -> Result<usize, GetError> {
        let held = self.hold(place)?;
        self.values.copy(held, 0, &mut self.buffer[..held.len]);
        self.release();
        Ok(held.len)
    }

    /// Holds the newest value at this index until it is released, and returns its length and number.
    /// An observer copies the value.
    pub fn hold_at(&mut self, index: usize) -> Result<(usize, u64), GetError> {
        let place = self.place_for(index)?;
        if self.participant.is_some() {
            let held = self.hold(place)?;
            return Ok((held.len, held.number));
        }
        match self.values.load(place, &mut self.buffer) {
            Look::Value(len, number) => Ok((len, number)),
            Look::Nothing => Err(GetError::NotSet),
            Look::Busy => Err(GetError::Busy),
            Look::Corrupt => Err(GetError::Corrupt),
        }
    }

    fn hold(&mut self, place: usize) -> Result<Held, GetError> {
        // The user may have forgotten the last reference (`mem::forget`).
        self.release();
        let Some(participant) = &self.participant else {
            return Err(GetError::Busy);
        };
        let kernel = participant.kernel();
        let found = hold(
            &self.values,
            place,
            (participant.roster(), participant.slot()),
            |slot, word| kernel.is_dead(slot, word),
            &mut self.guard,
        );
        let error = match found {
            Hold::Held(held) => {
                self.held = Some(held);
                return Ok(held);
            }
            Hold::Nothing => GetError::NotSet,
            Hold::Busy => GetError::Busy,
            Hold::Corrupt => GetError::Corrupt,
        };
        self.release();
        Err(error)
    }

    /// Returns the place of the value with this index in the table, and reattaches before if the
    /// generation has ended.
    #[inline]
    fn place_for(&mut self, index: usize) -> Result<usize, GetError> {
        let is_plain = self.validity.is_valid() && self.moved.is_none() && !self.found.is_ended();
        match is_plain {
            true => Ok(index),
            false => self.place_now(index),
        }
    }

    /// Returns the place of the value with this index, after a look for the next writer.
    #[cold]
    fn place_now(&mut self, index: usize) -> Result<usize, GetError> {
        // A reader owns no name that could be lost.
        if self.validity.check() == Err(Fault::Forked) {
            return Err(GetError::Forked);
        }
        if self.found.is_ended() {
            self.reattach()?;
        }
        Ok(self.place(index))
    }

    /// Returns the place of the value with this index in the table.
    #[inline]
    pub fn place(&self, index: usize) -> usize {
        match &self.moved {
            None => index,
            Some(moved) => moved.places[index],
        }
    }

    /// Returns the next value that changed, by the index of this reader. A value that was not there
    /// when the values were opened has no index, and is skipped.
    #[inline]
    fn next_change(&mut self) -> Option<usize> {
        let Some(moved) = &self.moved else {
            return self.values.next_change();
        };
        // There are at most this many changes, unless the writer never stops.
        let most = values::RECENT_COUNT as usize + self.values.table_geometry().count();
        for _ in 0..most {
            let place = self.values.next_change()?;
            if let Some(index) = moved.indices.get(&place) {
                return Some(*index);
            }
        }
        None
    }

    pub fn try_change(&mut self) -> Result<usize, RecvError> {
        self.validity.check()?;
        if let Some(index) = self.next_change() {
            return Ok(index);
        }

        if self.owner_monitor.is_told() && self.reattach()? {
            return self.try_change();
        }

        if self.owner_monitor.look(&self.found) {
            // The values that were set before the end are visible now.
            if let Some(index) = self.next_change() {
                return Ok(index);
            }
            if let Some(how) = self.owner_monitor.tell() {
                return Err(RecvError::Disconnected(how));
            }
        }
        Err(RecvError::Empty)
    }

    /// Reattaches to the next writer; `false` if there is none. If there is a next writer that this
    /// reader cannot join, each call returns the error until another writer follows.
    // layout: L172
    #[cold]
    fn reattach(&mut self) -> Result<bool> {
        let newest = self.found.newest();
        let (tried, again) = self.tried;
        if newest != tried || again.is_some_and(|at| Instant::now() >= at) {
            self.failed = match self.reattach_now() {
                Ok(true) => return Ok(true),
                Ok(false) => None,
                Err(error) => Some(error),
            };

            // An error for which `is_final` is true lasts until another writer follows; any other
            // error may be temporary.
            let is_final = self
                .failed
                .as_ref()
                .is_some_and(|error| is_final(error.kind()));
            let again =
                (newest != self.found.generation && !is_final).then(|| Instant::now() + AGAIN);
            self.tried = (newest, again);
        }

        self.failed.clone().map_or(Ok(false), Err)
    }

    // layout: L172
    fn reattach_now(&mut self) -> Result<bool> {
        let is_observer = self.is_observer;
        let go_on = |found, table| Reading::go_on(found, table, is_observer);
        let Some(mut next) = self.found.follow(VALUES, go_on)? else {
            self.owner_monitor.lose_the_next(&self.found);
            return Ok(false);
        };
        if next.names != self.names {
            next.moved = Some(self.find_in(&next.indices)?);
            next.names = std::mem::take(&mut self.names);
            next.indices = std::mem::take(&mut self.indices);
        }
        *self = next;
        Ok(true)
    }

    /// Returns the places of this reader's values in the table of another writer, by their names.
    fn find_in(&self, theirs: &HashMap<String, usize>) -> Result<Moved> {
        Moved::find(&self.names, theirs).map_err(|lacking| {
            let meaning = format!("its next writer has no value {lacking:?}");
            let error = Error::new(
                ErrorKind::WrongType,
                Operation::Open,
                &self.found.name,
                meaning,
            );
            error.with_advice("open the name again")
        })
    }

    /// Returns the names of the values of a generation, with their places.
    fn names_in(found: &Found, table: TableGeometry) -> Result<HashMap<String, usize>> {
        let view = found.lanes_view()?;
        let values = ValueReader::new(view.window(0, view.len())?, table);
        Ok((0..table.count())
            .map(|index| (values.name(index), index))
            .collect())
    }

    /// Waits until the deadline for a value to change, and returns its index.
    pub fn change(&mut self, deadline: Deadline) -> Result<usize, RecvError> {
        let Ok(until) = deadline.instant_or(()) else {
            return self.try_change();
        };

        let mut has_slept = false;
        loop {
            let mut spin = Spin::new(until);
            loop {
                match self.try_change() {
                    Err(RecvError::Empty) => {}
                    found => return found,
                }
                // An observer that has polled in vain does not poll again before its next interval.
                if has_slept && self.participant.is_none() || !spin.again() {
                    break;
                }
            }

            if until.is_some_and(|at| Instant::now() >= at) {
                return Err(RecvError::Timeout);
            }
            let seen = self.values.seen();
            let has_news = || self.values.has_news();
            let participant = self.participant.as_mut();
            self.owner_monitor
                .sleep(&self.found, participant, seen, has_news, until)?;
            has_slept = true;
        }
    }
}

impl Source for Reading {
    fn copy(&self, offset: usize, to: &mut [u8]) {
        match self.held {
            Some(held) => self.values.copy(held, offset, to),
            None => to.copy_from_slice(&self.buffer[offset..][..to.len()]),
        }
    }

    fn bytes(&self) -> *const u8 {
        match self.held {
            Some(held) => self.values.bytes(held),
            None => self.buffer.as_ptr(),
        }
    }

    /// Releases the guard of this reader, if it has one.
    // layout: L083 L305
    fn release(&mut self) {
        self.held = None;
        let guard = self.guard.take();
        if let (Some(guard), Some(participant)) = (guard, &self.participant) {
            // A forked child releases nothing for its parent.
            if !self.validity.is_forked() {
                participant.roster().release_guard(guard);
            }
        }
    }
}

impl Drop for Reading {
    // layout: L105
    fn drop(&mut self) {
        self.release();
    }
}

impl Reattach for Reading {
    fn parts(&mut self) -> (&Found, Option<&mut Participant>) {
        (&self.found, self.participant.as_mut())
    }

    /// Reattaches when every change and the end of the writer were reported. Before that, returns
    /// only whether there is a next writer that this reader can join.
    fn reattach_if_ended(&mut self) -> Result<bool> {
        self.found.check(&self.validity)?;
        if self.owner_monitor.is_told() {
            return self.reattach();
        }
        match self
            .found
            .follow(VALUES, |next, table| Reading::names_in(&next, table))?
        {
            Some(theirs) => self.find_in(&theirs).map(|_| true),
            None => Ok(false),
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("name", &self.found.name)
            .field("values", &self.names.len())
            .finish_non_exhaustive()
    }
}

impl Wait for Reading {
    fn has_news(&mut self) -> bool {
        self.values.has_news()
            || self.validity.is_faulty()
            || self.owner_monitor.has_news(&self.found)
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        self.owner_monitor
            .register(self.participant.as_mut(), self.values.seen(), signals)
    }

    fn deregister(&mut self) {
        if let Some(participant) = &mut self.participant {
            participant.deregister();
        }
    }

    fn woken(&mut self) -> Result<bool> {
        self.owner_monitor.look_whether_alive(&self.found);
        Ok(self.has_news())
    }
}
