//! A segment, for participants that open it.

use super::geometry::Expected;
use super::{
    Companions, Control, Cursor, GenerationEnd, Geometry, Lane, Pattern, ReadLane, WriteLane,
    cursor_at,
};
use crate::access::{Access, Owner};
use crate::error::channel::DisconnectReason;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::Layout;
use crate::format::layout::{control, lane, values};
use crate::name::Name;
use crate::object::mapping::Mapping;
use crate::object::process::Process;
use crate::object::section::{Section, SectionOptions};
use crate::os::{
    self, LivesBackend, OWNER_LIFE, Occupant, ProcessIdentity, Validity, ValidityBackend,
    deadline_after, deadline_within, pid_of,
};
use crate::segment::observing::{self, Observed};
use crate::segment::owned::{control_len_of, geometry_in, is_ownerless};
use crate::segment::ownership::{RecordView, access_word};
use crate::segment::participant::Participant;
use crate::sync::{Window, Words};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an opener waits for a segment that is being created, unless the options set a time.
const OPEN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an opener repeats its look for a missing part: a slow next owner may still be creating
/// its parts.
const LOST: Duration = Duration::from_millis(100);
/// How often an opener tries to join the next generation, if owners follow one another.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(2);
/// The time between two looks for an owner that is not there yet.
const LOOK: Duration = Duration::from_millis(5);

/// How to open a name and take part in its segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct HowToJoin {
    pub owner: Option<Owner>,
    /// The expected message layouts, if the caller gave any.
    pub layouts: Vec<Layout>,
    /// How long to wait for an owner that is not there yet.
    pub wait: Duration,
}

impl HowToJoin {
    /// Returns the same for a call that does not wait for an owner.
    pub fn without_wait(&self) -> HowToJoin {
        HowToJoin {
            wait: Duration::ZERO,
            ..self.clone()
        }
    }

    pub fn join<G, T>(
        &self,
        name: &Name,
        expected: Expected<G>,
        join: impl Fn(Found, G) -> Result<T>,
    ) -> Result<T> {
        let until = deadline_after(Some(self.wait));
        let half_made = match self.wait.is_zero() {
            true => deadline_after(Some(OPEN_TIMEOUT)),
            false => until,
        };
        let expect = self.owner.as_ref();

        loop {
            match Found::join(
                name,
                &expected,
                expect,
                &self.layouts,
                half_made,
                None,
                &join,
            ) {
                // A segment with a missing part may be closing.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NameLost)
                        && until.is_none_or(|at| Instant::now() < at) =>
                {
                    std::thread::sleep(LOOK);
                }
                joined => return joined,
            }
        }
    }
}

/// The generation of a segment that was in use when the segment was opened. Its header is checked.
#[derive(Debug)]
pub(crate) struct Found {
    pub geometry: Geometry,
    pub owner: ProcessIdentity,
    pub control: Window<Control>,
    /// The life of the owner of this generation.
    lives: os::Lives,
    pub name: Name,
    pub minor: u32,
    pub generation: u32,
    pub(super) expect: Option<Owner>,
    /// The expected message layouts, if the caller gave any.
    layouts: Vec<Layout>,
    /// Holds the name.
    pub(super) record: RecordView,
    /// What this observer shares with the other observers of this process.
    observed: Option<Arc<Observed>>,
}

impl Found {
    /// Returns how this segment was opened, for another participant that does not wait.
    pub fn how(&self) -> HowToJoin {
        HowToJoin {
            owner: self.expect.clone(),
            layouts: self.layouts.clone(),
            wait: Duration::ZERO,
        }
    }

    /// Opens the segment with this name, and checks its header.
    pub fn open(name: &Name, expect: Option<Owner>) -> Result<Found> {
        Found::open_until(name, expect, deadline_after(Some(OPEN_TIMEOUT)))
    }

    /// Opens the segment with this name, and checks its header. Waits until the deadline for a
    /// segment that is being created.
    fn open_until(name: &Name, expect: Option<Owner>, until: Option<Instant>) -> Result<Found> {
        let options = looking(expect.clone());
        Found::look_until(name, &expect, until, || RecordView::open(name, &options))
    }

    /// Opens the generation in use of an ownership record that `record` opens, and checks its
    /// header. Waits until the deadline for a segment that is being created.
    // layout: L101 L235
    fn look_until(
        name: &Name,
        expect: &Option<Owner>,
        until: Option<Instant>,
        record: impl Fn() -> Result<RecordView>,
    ) -> Result<Found> {
        let is_late = |until: Option<Instant>| until.is_some_and(|at| Instant::now() >= at);
        let lost_until = deadline_within(LOST, until);
        loop {
            match record().and_then(|record| Found::look(name, expect, record)) {
                // The segment was created a moment ago. The record is not held while this thread
                // sleeps: otherwise a segment that a dead process has half created would stay.
                Err(error) if error.kind() == ErrorKind::Busy && !is_late(until) => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) if error.kind() == ErrorKind::NameLost && !is_late(lost_until) => {
                    std::thread::sleep(PAUSE);
                }
                found => return found,
            }
        }
    }

    // layout: L100
    fn look(name: &Name, expect: &Option<Owner>, record: RecordView) -> Result<Found> {
        let options = looking(expect.clone());
        let generation = record.generation();
        let refuse = |kind, meaning: &'static str, advice: &'static str| {
            let error = Error::new(kind, Operation::Open, name, meaning);
            Err(error.with_advice(advice))
        };
        let again = "try again";
        if generation == 0 {
            return refuse(ErrorKind::Busy, "it is not ready", again);
        }

        let companions = Companions::of(name, generation)?;
        let section = match options
            .expect_len(control::CURSORS as u64)
            .open(&companions.control)
        {
            Ok(section) => section,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if record.generation() != generation {
                    return refuse(ErrorKind::Busy, "its owner is changing", again);
                }
                return Err(missing(&record, name, &companions.control, false));
            }
            Err(error) => return Err(error),
        };

        let len = control_len_of(&section)?;
        let words: Window<Control> = section.words_from(len)?;
        let Some(geometry) = geometry_in(&words, len) else {
            let advice = "restart the program that created it";
            return refuse(ErrorKind::Corrupt, "its header is invalid", advice);
        };

        let owner = [control::OWNER_START, control::OWNER_PID].map(|at| words.load64(at));
        Ok(Found {
            geometry,
            owner: ProcessIdentity::from_words(owner),
            generation,
            control: words,
            lives: section.lives()?,
            name: name.clone(),
            minor: record.minor,
            expect: expect.clone(),
            layouts: Vec::new(),
            record,
            observed: None,
        })
    }

    /// Opens the segment with this name, kind and message types, and joins it. Waits until the
    /// deadline for a segment that is being created.
    fn join<G, T>(
        name: &Name,
        expected: &Expected<G>,
        expect: Option<&Owner>,
        layouts: &[Layout],
        until: Option<Instant>,
        record: Option<&RecordView>,
        join: impl Fn(Found, G) -> Result<T>,
    ) -> Result<T> {
        let mut tries = 0;
        loop {
            let before = record.map(RecordView::generation);
            let opened = Found::open_as(name, expected, expect.cloned(), layouts, until, record);
            let (found, sizes) = match opened {
                // The owner has put another generation in use meanwhile, and closed this one.
                Err(error)
                    if is_passing(error.kind())
                        && before != record.map(RecordView::generation)
                        && tries < TRIES =>
                {
                    tries += 1;
                    continue;
                }
                opened => opened?,
            };
            let (record, generation) = (found.record.clone(), found.generation);
            let joined = join(found, sizes);
            tries += 1;
            if record.is_still(generation) || tries == TRIES {
                return joined;
            }
        }
    }

    /// Joins the generation that follows this one, without waiting; `None` if there is none.
    // layout: L166 L167
    pub fn follow<G, T>(
        &self,
        expected: Expected<G>,
        join: impl Fn(Found, G) -> Result<T>,
    ) -> Result<Option<T>> {
        if !self.is_followed() {
            return Ok(None);
        }

        let expect = self.expect.as_ref();
        let now = Some(Instant::now());
        // Uses the record that this process holds, since the name may have been removed.
        let record = Some(&self.record);

        match Found::join(
            &self.name,
            &expected,
            expect,
            &self.layouts,
            now,
            record,
            join,
        ) {
            // The next generation has ended as well, or the generation after it is being created.
            Err(error) if is_passing(error.kind()) => Ok(None),
            joined => joined.map(Some),
        }
    }

    /// Returns whether there is a next generation. A next generation that this process cannot join
    /// is an error.
    pub fn is_followed_well<G>(&self, expected: Expected<G>) -> Result<bool> {
        Ok(self.follow(expected, |_, _| Ok(()))?.is_some())
    }

    /// Opens the segment with this name, kind and message types.
    fn open_as<G>(
        name: &Name,
        expected: &Expected<G>,
        expect: Option<Owner>,
        layouts: &[Layout],
        until: Option<Instant>,
        record: Option<&RecordView>,
    ) -> Result<(Found, G)> {
        let mut found = match record {
            None => Found::open_until(name, expect, until)?,
            Some(record) => Found::look_until(name, &expect, until, || Ok(record.clone()))?,
        };

        let Some(sizes) = (expected.sizes)(&found.geometry) else {
            return Err(wrong_pattern(
                name,
                found.geometry.pattern(),
                expected.pattern,
            ));
        };

        if !layouts.is_empty() {
            found.expect_layouts(layouts)?;
            found.layouts = layouts.to_vec();
        }
        Ok((found, sizes))
    }

    /// Returns whether the segment was created with this access.
    pub fn has_access(&self, access: &Access) -> bool {
        self.record.access() == access_word(access)
    }

    /// Opens the roster for writing. An account that may take part may open the roster.
    pub fn roster(&self) -> Result<Section> {
        let companions = Companions::of(&self.name, self.generation)?;
        self.beside(&companions.roster, self.roster_len() as u64, true)
    }

    /// Opens the roster for writing; `None` if this account may only read.
    // layout: L103 L235
    pub fn roster_if_let_in(&self) -> Result<Option<Section>> {
        match self.roster() {
            Err(error) if error.kind() == ErrorKind::AccessDenied => Ok(None),
            roster => roster.map(Some),
        }
    }

    /// Takes a slot for a participant that is no publisher, and gets memory for its lanes.
    pub fn take_slot(&self, roster: &Section) -> Result<Participant> {
        self.take_slot_of(roster, self.geometry.subscriber_slots())
    }

    /// Takes one of these slots, and gets memory for its lanes.
    pub fn take_slot_of(&self, roster: &Section, slots: Range<usize>) -> Result<Participant> {
        self.take_any(roster, (slots, None))
    }

    /// Takes a slot for a sender, which may have a source key, and gets memory for its lane.
    pub fn take_sender_slot(&self, roster: &Section, source: Option<u64>) -> Result<Participant> {
        self.take_any(roster, (self.geometry.subscriber_slots(), source))
    }

    fn take_any(
        &self,
        roster: &Section,
        slots: (Range<usize>, Option<u64>),
    ) -> Result<Participant> {
        let prepare = |slot| self.commit_lanes(slot);
        let (name, geometry) = (&self.name, &self.geometry);
        Participant::take(roster, name, geometry, slots, &self.owner, prepare)
    }

    /// Gets memory for the lanes that belong to a slot.
    // layout: L253 L259
    fn commit_lanes(&self, slot: usize) -> Result<()> {
        if !self.geometry.is_committed_late() {
            return Ok(());
        }
        let lanes = self.lanes(true)?;
        self.geometry.commit(&lanes, slot)?;
        match self.geometry.pattern() {
            Pattern::Calls => self.geometry.commit(&lanes, self.geometry.responses(slot)),
            Pattern::Queue | Pattern::Topic | Pattern::Values => Ok(()),
        }
    }

    /// Returns the length of the roster in bytes.
    pub fn roster_len(&self) -> usize {
        self.geometry.roster_len()
    }

    /// Opens the roster for reading.
    pub fn roster_to_look(&self) -> Result<Section> {
        let companions = Companions::of(&self.name, self.generation)?;
        self.beside(&companions.roster, self.roster_len() as u64, false)
    }

    /// Maps a lane for writing.
    pub fn lane_mut(&self, lane: usize) -> Result<WriteLane> {
        Lane::map_mut(&self.lanes(true)?, self.geometry.place(lane), false)
    }

    /// Maps the lane of the responses to the requests of another lane, for reading.
    pub fn responses(&self, lane: usize) -> Result<ReadLane> {
        let ring = self.geometry.responses(lane);
        Lane::map(&self.lanes(false)?, self.geometry.place(ring), false)
    }

    /// Maps the whole section of lanes, or of values, for reading.
    pub fn lanes_view(&self) -> Result<Arc<Mapping>> {
        let lanes = self.lanes(false)?;
        Ok(Arc::new(lanes.map(..self.geometry.len())?))
    }

    /// Maps the whole section of lanes, or of values, for an observer, and shares what the observer
    /// has open, and the watch of its owner, with the other observers of this process.
    pub fn observe(&mut self, owner: &mut Option<Arc<Process>>) -> Result<Arc<Mapping>> {
        let observed = observing::share(
            &self.name,
            Observed {
                record: self.record.clone(),
                generation: self.generation,
                control: self.control.clone(),
                lives: self.lives.clone(),
                owner: owner.clone(),
                lanes: self.lanes_view()?,
            },
        );
        owner.clone_from(&observed.owner);
        self.record = observed.record.clone();
        self.control = observed.control.clone();
        self.lives = observed.lives.clone();
        let lanes = Arc::clone(&observed.lanes);
        self.observed = Some(observed);
        Ok(lanes)
    }

    fn lanes(&self, write: bool) -> Result<Section> {
        let companions = Companions::of(&self.name, self.generation)?;
        self.beside(&companions.lanes, self.geometry.len(), write)
    }

    /// Returns how many messages were sent in each lane, or how often values were set.
    pub fn sent(&self) -> Result<Vec<u64>> {
        let lanes = self.lanes(false)?;
        let read = |at| {
            let mut word = [0; 8];
            lanes.read_at(at, &mut word)?;
            Ok(u64::from_le_bytes(word))
        };
        match self.geometry.pattern() {
            Pattern::Values => Ok(vec![read(values::CHANGES as u64)?]),
            Pattern::Queue | Pattern::Topic | Pattern::Calls => (0..self.geometry.rings())
                .map(|lane| read(self.geometry.place(lane).start + lane::SENT as u64))
                .collect(),
        }
    }

    /// Returns the owner's cursor in a lane.
    // layout: L046
    pub fn cursor(&self, lane: usize) -> Window<Cursor> {
        self.control.part(cursor_at(lane))
    }

    /// Returns a fault of the endpoint that has this generation, as the error of a call that sends
    /// and receives no message.
    pub fn check(&self, validity: &Validity) -> Result<()> {
        let told = validity.check();
        told.map_err(|fault| fault.error(Operation::Wait, &self.name))
    }

    /// Returns whether this generation has ended, so that its participants leave it.
    // layout: L028
    #[inline]
    pub fn is_ended(&self) -> bool {
        self.control.load32(control::END) & control::end::ENDED != 0
    }

    /// Returns whether the owner receives nothing more. The owner may still answer requests that it
    /// has received.
    #[inline]
    pub fn is_draining(&self) -> bool {
        self.control.load32(control::END) & control::end::DRAINING != 0
    }

    /// Returns whether another generation is in use, as the ownership record says. END of this
    /// generation may not say so yet.
    pub fn is_followed(&self) -> bool {
        self.newest() != self.generation
    }

    /// Returns the number of the generation in use.
    pub fn newest(&self) -> u32 {
        self.record.generation()
    }

    /// Returns how the last owner of the name has gone. It is called when the name has no living
    /// owner.
    // layout: L111
    pub fn last_reason(&self) -> DisconnectReason {
        match self.record.is_free() {
            true => DisconnectReason::Closed,
            false => DisconnectReason::Died,
        }
    }

    /// Returns how the owner of this generation has gone, if END says so.
    pub fn reason(&self) -> Option<DisconnectReason> {
        match self.end() {
            Some(GenerationEnd::Gone(how)) => Some(how),
            _ => None,
        }
    }

    /// Returns how this generation has ended, if END says so. An owner that was killed has stored
    /// nothing.
    pub fn end(&self) -> Option<GenerationEnd> {
        GenerationEnd::of(self.control.load32(control::END))
    }

    /// Returns whether the owner is alive.
    pub fn is_owner_alive(&self) -> Result<bool> {
        let word = Occupant::of(&self.owner).word;
        self.lives.has_ended(OWNER_LIFE, word).map(|ended| !ended)
    }

    /// Returns whether this generation was created without an owner, by a process of another role.
    /// The first owner follows with a generation of its own.
    // layout: L330
    pub fn is_ownerless(&self) -> bool {
        is_ownerless(&self.control)
    }

    /// Returns whether this generation waits for its owner, and all its parts are there.
    pub fn can_be_joined_without_owner(&self) -> bool {
        self.is_ownerless()
            && !self.has_to_be_left()
            && self.roster_to_look().is_ok()
            && self.lanes(false).is_ok()
    }

    /// Returns whether the participants of this generation have to leave it. END says so, except in a
    /// generation without an owner whose first owner has died before it stored END.
    // layout: L331
    pub fn has_to_be_left(&self) -> bool {
        self.is_ended() || self.is_ownerless() && self.is_followed()
    }

    /// Watches the owner; `None` if no owner has come yet. Returns an error if the owner is not alive.
    // layout: L079 L082 L100 L330
    pub fn watch_owner(&self) -> Result<Option<Process>> {
        if self.is_ownerless() && !self.has_to_be_left() {
            return Ok(None);
        }
        let owner = match self.lives.watch(OWNER_LIFE, Occupant::of(&self.owner)) {
            Err(error) if error.kind() == ErrorKind::AccessDenied => {
                let companions = Companions::of(&self.name, self.generation)?;
                match Process::by_liveness(companions.alive) {
                    Ok(owner) => Some(owner),
                    // The owner has released its liveness mutex.
                    Err(_) if self.is_ended() => None,
                    Err(_) => return Err(error),
                }
            }
            watched => watched?.map(Process::of_participant),
        };

        let how = match owner {
            Some(owner) if !owner.has_ended()? && !self.is_ended() => return Ok(Some(owner)),
            _ if self.is_ended() => "closed it",
            _ => "ended",
        };

        let pid = self.owner.pid();
        let meaning =
            format!("its owner, process {pid}, has {how}; other processes still hold its sections");
        let error = Error::new(ErrorKind::NotFound, Operation::Open, &self.name, meaning);
        Err(error.with_advice("stop the other processes, and start the owner again"))
    }

    // layout: L019 L177
    fn beside(&self, name: &Name, len: u64, write: bool) -> Result<Section> {
        let options = looking(self.expect.clone()).write(write).expect_len(len);
        match options.open(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(missing(&self.record, &self.name, name, self.is_ended()))
            }
            opened => opened,
        }
    }
}

/// Returns whether the next look may succeed after an error of this kind.
// layout: L168
fn is_passing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::Busy | ErrorKind::NameLost
    )
}

/// Returns the error for a name that belongs to another pattern than the expected one.
fn wrong_pattern(name: &Name, is: Pattern, expected: Pattern) -> Error {
    let (is, advice) = match is {
        Pattern::Queue => ("a queue", "send to it: Sender::open"),
        Pattern::Topic => ("a topic", "subscribe to it: Subscriber::open"),
        Pattern::Calls => ("a server of calls", "call it: Client::open"),
        Pattern::Values => ("values", "read them: Reader::open"),
    };
    let expected = match expected {
        Pattern::Queue => "a queue",
        Pattern::Topic => "a topic",
        Pattern::Calls => "a server of calls",
        Pattern::Values => "values",
    };
    let meaning = format!("it is {is}, not {expected}");
    let error = Error::new(ErrorKind::WrongKind, Operation::Open, name, meaning);
    error.with_advice(advice)
}

/// Returns the error for a missing part of a generation: its owner has gone, or a process has
/// removed the part.
// layout: L235
fn missing(record: &RecordView, name: &Name, part: &Name, is_closed: bool) -> Error {
    let how = match record.owner() {
        0 => "closed it",
        _ if is_closed => "closed it",
        _ if record.has_dead_owner() => "died",
        owner => {
            // The owner may also be closing the part at this moment. Another look shows that.
            let meaning = format!(
                "its part \"{part}\" is missing, and its owner, process {}, is alive: another program removed that part",
                pid_of(owner)
            );
            let error = Error::new(ErrorKind::NameLost, Operation::Open, name, meaning);
            return error.with_advice("start the owner again");
        }
    };

    let meaning = format!("its owner has {how}; other processes still hold its sections");
    let error = Error::new(ErrorKind::NotFound, Operation::Open, name, meaning);
    error.with_advice("start the owner again")
}

pub(super) fn looking(expect: Option<Owner>) -> SectionOptions {
    match expect {
        Some(owner) => Section::options().expect_owner(owner),
        None => Section::options(),
    }
}
