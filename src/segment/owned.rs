//! A segment, for its owner.

use super::{
    Companions, Control, Cursor, Geometry, Lane, Pattern, ReadLane, WriteLane, cursor_at,
    layouts_in, text_of,
};
use crate::access::{Access, Owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::{Layout, fingerprint};
use crate::format::layout::{MAGIC, MAJOR, MINOR, control};
use crate::name::Name;
use crate::object::process::Liveness;
use crate::object::section::{Section, SectionOptions};
use crate::os::{self, Kind, ProcessBackend, ProcessIdentity, word_of};
use crate::segment::ending;
use crate::segment::ownership::{OwnershipRecord, begin_life};
use crate::segment::participant::{Kernel, Life, Notifier, Participant};
use crate::segment::roster::Roster;
use crate::sync::{Window, WindowMut, Words, WordsMut};
use std::sync::Arc;

/// How many generation numbers are tried if the names of a generation are taken.
const NUMBERS: u32 = 64;

/// A generation of a segment whose name this process owns: the generation in use, or an earlier
/// generation with the messages and participants that are left in it.
#[derive(Debug)]
pub(crate) struct Owned {
    pub geometry: Geometry,
    pub generation: u32,
    notifier: Notifier,
    lanes: Arc<Section>,
    control: WindowMut<Control>,
    name: Name,
    access: Access,
    /// The life of the owner of this generation, if this process made the generation.
    _life: Option<Life>,
    /// The liveness mutex, for processes that may not watch this process.
    _alive: Option<Liveness>,
    /// The ownership record, if this generation is in use. Declared last, so that it is dropped
    /// last.
    record: Option<OwnershipRecord>,
}

/// The options to create the sections of a generation.
struct Rights {
    control: SectionOptions,
    roster: SectionOptions,
    lanes: SectionOptions,
}

impl Rights {
    // layout: L020 L272
    fn of(access: &Access, pattern: Pattern) -> Rights {
        let looking = Section::options().access(access.clone()).only_look(true);
        // Sections that participants write.
        let writing = Section::options().access(match access.admits_participants() {
            true => access.clone(),
            false => Access::SameUser,
        });
        Rights {
            control: looking.clone(),
            roster: writing.clone(),
            lanes: match pattern {
                Pattern::Topic | Pattern::Values => looking,
                Pattern::Queue | Pattern::Calls => writing,
            },
        }
    }
}

/// Returns the access to an event or a mutex that belongs to a section of a segment with this access.
// layout: L226 L227
fn companion(access: &Access, section: &Section, kind: Kind) -> Result<Access> {
    match (access.admits_participants(), kind) {
        // The access describes the rights to a section.
        (true, _) => section.companion_access(kind),
        // An account that may only look cannot wake the owner.
        (false, Kind::Event) => Ok(Access::SameUser),
        (false, _) => Ok(access.clone()),
    }
}

impl Owned {
    /// Takes the name, and creates the three sections of a generation and the owner's participant
    /// in them. No other process can use them before [`publish`](Owned::publish).
    // layout: L085 L155
    pub fn create(
        name: &Name,
        geometry: Geometry,
        access: &Access,
        layouts: &[Layout],
    ) -> Result<(Owned, Participant)> {
        let me = ProcessIdentity::current()?;
        let (mut segment, mut participant, record) =
            Owned::begin(name, geometry, access, layouts, &me, Some(&me))?;
        participant.settle(record.section())?;
        segment.record = Some(record);
        Ok((segment, participant))
    }

    /// Takes the name, and creates the three sections of a generation of this owner.
    fn begin(
        name: &Name,
        geometry: Geometry,
        access: &Access,
        layouts: &[Layout],
        me: &ProcessIdentity,
        owner: Option<&ProcessIdentity>,
    ) -> Result<(Owned, Participant, OwnershipRecord)> {
        // The longest of all names is checked before anything is created.
        Companions::of(name, u32::MAX)?;
        let access = &os::resolved(access)?;
        let record = OwnershipRecord::take(name, access, me)?;
        let (segment, participant) = Owned::make(name, geometry, access, record.before(), owner)?;
        segment.describe(layouts)?;
        Ok((segment, participant, record))
    }

    /// Creates a generation without an owner, puts it in use, and releases the name, so that the
    /// first process of the owning role can take it. `prepare` makes ready what an owner has to
    /// prepare in its generation, after the earlier ones; if it fails, nothing has changed. The caller
    /// holds the sections until it takes part itself.
    // layout: L330
    pub fn create_ownerless(
        name: &Name,
        geometry: Geometry,
        access: &Access,
        layouts: &[Layout],
        prepare: impl FnOnce(&Owned, &[(Owned, Participant)]) -> Result<()>,
    ) -> Result<Owned> {
        let me = ProcessIdentity::current()?;
        let (mut segment, _, record) = Owned::begin(name, geometry, access, layouts, &me, None)?;
        segment.record = Some(record);
        let mut older = segment.older()?;
        prepare(&segment, &older)?;
        segment.publish(&mut older);
        segment.release();
        Ok(segment)
    }

    /// Creates the generation that will follow this one, with the same owner.
    // layout: L164
    pub fn next(&self, geometry: Geometry, layouts: &[Layout]) -> Result<(Owned, Participant)> {
        let me = ProcessIdentity::current()?;
        let (segment, mut participant) = Owned::make(
            &self.name,
            geometry,
            &self.access,
            self.generation,
            Some(&me),
        )?;
        segment.describe(layouts)?;
        participant.prepare()?;
        Ok((segment, participant))
    }

    /// Puts this generation in use after a generation of the same owner, and tells the participants
    /// of that generation to reattach.
    // layout: L164
    pub fn follow(&mut self, before: &mut Owned) {
        self.record = before.record.take();
        self.put_in_use();
        before.end(control::end::FOLLOWED | control::end::RESIZED);
    }

    fn make(
        name: &Name,
        geometry: Geometry,
        access: &Access,
        before: u32,
        owner: Option<&ProcessIdentity>,
    ) -> Result<(Owned, Participant)> {
        let mut number = before;
        loop {
            // layout: L155
            number = number.wrapping_add(1).max(1);
            match Owned::make_as(name, geometry, access, number, owner) {
                // The names are taken by a generation that was never completed, or that is about to
                // go.
                Err(error)
                    if error.kind() == ErrorKind::AlreadyExists
                        && number.wrapping_sub(before) < NUMBERS => {}
                made => return made,
            }
        }
    }

    fn make_as(
        name: &Name,
        geometry: Geometry,
        access: &Access,
        generation: u32,
        owner: Option<&ProcessIdentity>,
    ) -> Result<(Owned, Participant)> {
        let companions = Companions::of(name, generation)?;
        let rights = Rights::of(access, geometry.pattern());
        let (control_len, roster_len) = (geometry.control_len(), geometry.roster_len());

        // layout: L016 L155
        let options = &rights.control;
        let section = options.create_new(&companions.control, control_len as u64)?;
        let may_watch = companion(access, &section, Kind::Mutex)?;
        let control = section.words_from_mut(control_len)?;
        let life = owner.map(|_| begin_life(&section)).transpose()?;
        let options = &rights.roster;
        let section = options.create_new(&companions.roster, roster_len as u64)?;
        let may_wake = companion(access, &section, Kind::Event)?;
        let words = section.words_from_mut(roster_len)?;
        let roster = Roster::begin(words, geometry.slots(), generation);
        let roster = roster.with_lanes(geometry.roster_lanes());
        let kernel = Kernel::new(name, &section, &roster, &may_wake)?;
        // layout: L258
        let options = rights.lanes.reserve(geometry.is_committed_late());
        let lanes = options.create_new(&companions.lanes, geometry.len())?;

        // layout: L011
        let alive = match os::Process::MAY_BE_CLOSED && owner.is_some() {
            true => Some(Liveness::announce(companions.alive, may_watch)?),
            false => None,
        };

        let owner = owner
            .copied()
            .unwrap_or(ProcessIdentity::from_words([0; 2]));
        format(&control, &geometry, &owner, generation);
        let notifier = Notifier::new(roster, kernel, word_of(&owner));
        let participant = Participant::of_owner(notifier.afresh(), &owner);
        let segment = Owned {
            geometry,
            generation,
            notifier,
            lanes: Arc::new(lanes),
            control,
            name: name.clone(),
            access: access.clone(),
            _life: life,
            _alive: alive,
            record: None,
        };
        Ok((segment, participant))
    }

    /// Opens an earlier generation, as long as it has participants, and creates the owner's
    /// participant in it.
    // layout: L157 L158
    fn inherit(&self, generation: u32) -> Result<(Owned, Participant)> {
        let companions = Companions::of(&self.name, generation)?;
        let open = |name: &Name, len: usize| {
            let options = Section::options().expect_owner(Owner::Me);
            options.write(true).expect_len(len as u64).open(name)
        };

        let section = open(&companions.control, control::CURSORS)?;
        let len = control_len_of(&section)?;
        let control: WindowMut<Control> = section.words_from_mut(len)?;
        let Some(geometry) = geometry_in(&control, len) else {
            let kind = ErrorKind::NotFound;

            let meaning = "it was never completed";
            return Err(Error::new(
                kind,
                Operation::Open,
                &companions.control,
                meaning,
            ));
        };

        let lanes = Section::options()
            .expect_owner(Owner::Me)
            .expect_len(geometry.len())
            .write(geometry.is_committed_late())
            .open(&companions.lanes)?;
        let rights = Rights::of(&self.access, geometry.pattern());
        let roster_len = geometry.roster_len();
        let section = match open(&companions.roster, roster_len) {
            // An observer holds no roster, so the roster may be gone. An empty roster replaces it.
            Err(error) if error.kind() == ErrorKind::NotFound => rights
                .roster
                .create_new(&companions.roster, roster_len as u64),
            roster => roster,
        }?;

        let may_wake = companion(&self.access, &section, Kind::Event)?;
        let words = section.words_from_mut(roster_len)?;
        let roster = geometry.roster(words);
        let owner = [control::OWNER_START, control::OWNER_PID].map(|at| control.load64(at));
        let owner = ProcessIdentity::from_words(owner);
        let kernel = Kernel::new(&self.name, &section, &roster, &may_wake)?;
        let notifier = |owner| Notifier::new(roster.clone(), kernel.clone(), owner);

        let segment = Owned {
            geometry,
            generation,
            lanes: Arc::new(lanes),
            notifier: notifier(word_of(&owner)),
            control,
            name: self.name.clone(),
            access: self.access.clone(),
            _life: None,
            _alive: None,
            record: None,
        };
        let me = ProcessIdentity::current()?;
        Ok((segment, Participant::of_owner(notifier(word_of(&me)), &me)))
    }

    /// Stores the layout of the messages, or the layouts of requests and responses, or nothing.
    fn describe(&self, layouts: &[Layout]) -> Result<()> {
        if layouts.is_empty() {
            return Ok(());
        }
        let text = text_of(layouts);
        if layouts_in(&text).as_deref() != Some(layouts) {
            let kind = ErrorKind::InvalidArgument;
            let meaning = "the layout of its messages is not possible";
            let error = Error::new(kind, Operation::Create, &self.name, meaning);
            return Err(error.with_advice("docs/layout.md says which layouts are possible"));
        }
        self.control.copy_in(control::TYPE, text.as_bytes());
        self.control.store32(control::TYPE_LEN, text.len() as u32);
        let fingerprint = fingerprint(&text);
        self.control.store64(control::TYPE_FINGERPRINT, fingerprint);
        Ok(())
    }

    /// Lets other processes join. Tells the participants of the [`older`](Owned::older)
    /// generations, whose owners are dead, to reattach.
    // layout: L155 L159
    pub fn publish(&mut self, older: &mut [(Owned, Participant)]) {
        self.put_in_use();
        for (old, _) in older.iter_mut() {
            // A generation without an owner has lost none.
            // layout: L332
            old.end(match old.is_ownerless() {
                true => control::end::FOLLOWED | control::end::RESIZED,
                false => control::end::FOLLOWED,
            });
        }
        if let Some(record) = &self.record {
            let oldest = older.first().map(|(old, _)| old.generation);
            record.forget_before(oldest.unwrap_or(self.generation));
        }
    }

    // layout: L025 L155
    fn put_in_use(&mut self) {
        // Stored last, so that a process that reads MAGIC sees all other words: pairs with the
        // opener's load.
        self.control.publish32(control::MAGIC, MAGIC);
        if let Some(record) = &mut self.record {
            record.publish(self.generation);
        }
    }

    /// Returns the generation that was in use when this process took the name; `None` if this is not
    /// the generation in use.
    pub fn before(&self) -> Option<u32> {
        self.record.as_ref().map(OwnershipRecord::before)
    }

    /// Returns whether this generation was created without an owner, by a process of another role.
    pub fn is_ownerless(&self) -> bool {
        is_ownerless(&self.control)
    }

    /// Opens the generations before this one that still have participants, the oldest first.
    // layout: L158
    pub fn older(&self) -> Result<Vec<(Owned, Participant)>> {
        let mut all = Vec::new();
        for generation in self.record.iter().flat_map(OwnershipRecord::older) {
            match self.inherit(generation) {
                Err(error) if is_none_of_ours(&error) => {}
                older => all.push(older?),
            }
        }
        Ok(all)
    }

    /// Returns whether the messages of another generation have the same type, as far as control
    /// says.
    // layout: L160
    pub fn has_type_of(&self, other: &Owned) -> bool {
        let of = |owned: &Owned| owned.control.load64(control::TYPE_FINGERPRINT);
        of(self) == of(other)
    }

    /// Says that this generation has ended, and wakes all its participants.
    fn end(&mut self, bits: u32) {
        ending::end(&self.control, &mut self.notifier, bits);
    }

    /// Says that the name is closed, wakes all participants, and releases the name, if this is the
    /// generation in use. An owner does so before it closes any object. So no process finds an
    /// object missing while its owner seems to be alive.
    // layout: L165
    pub fn close(&mut self) {
        if self.record.as_ref().is_some_and(OwnershipRecord::is_held) {
            self.end(control::end::CLOSED);
        }
        self.release();
    }

    /// Releases the name, if this is the generation in use.
    fn release(&mut self) {
        if let Some(record) = &mut self.record {
            record.let_go();
        }
    }

    /// Says that nothing more is received, and wakes all participants.
    pub fn drain(&self) {
        ending::drain(&self.control, &mut self.notifier.afresh());
    }

    pub fn control(&self) -> &WindowMut<Control> {
        &self.control
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    pub fn roster(&self) -> &Roster {
        self.notifier.roster()
    }

    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Returns the means to open the lanes that other participants write.
    pub fn lane_source(&self) -> LaneSource {
        LaneSource {
            lanes: Arc::clone(&self.lanes),
            control: self.control.clone(),
            geometry: self.geometry,
        }
    }

    /// Gets memory for a lane that the owner writes, and maps the lane.
    pub fn lane_mut(&self, lane: usize, prefault: bool) -> Result<WriteLane> {
        self.geometry.commit(&self.lanes, lane)?;
        Lane::map_mut(&self.lanes, self.geometry.place(lane), prefault)
    }

    /// Maps the lane of the responses to the requests of another lane.
    pub fn responses_mut(&self, lane: usize, prefault: bool) -> Result<WriteLane> {
        self.lane_mut(self.geometry.responses(lane), prefault)
    }

    /// Maps the values for reading.
    pub fn values(&self) -> Result<Window> {
        let view = Arc::new(self.lanes.map(..self.geometry.len())?);
        view.window(0, view.len())
    }

    /// Maps the values, which the owner writes.
    pub fn values_mut(&self, prefault: bool) -> Result<WindowMut> {
        let view = Arc::new(self.lanes.map_rw(..self.geometry.len())?);
        if prefault {
            view.prefault()?;
        }
        view.window_mut(0, view.len())
    }

    /// Returns the owner's cursor in a lane.
    pub fn cursor(&self, lane: usize) -> WindowMut<Cursor> {
        self.control.part(cursor_at(lane))
    }
}

/// Returns the geometry in a control section of which `len` bytes are mapped; `None` if the section
/// is not complete, or if its header is invalid.
pub(super) fn geometry_in(control: &impl Words, len: usize) -> Option<Geometry> {
    let whole = control.load32(control::MAGIC) == MAGIC;
    let fits = |geometry: &Geometry| whole && geometry.control_len() <= len;
    Geometry::read(control).filter(fits)
}

/// Returns whether a generation was created without an owner, by a process of another role.
// layout: L330
pub(super) fn is_ownerless(control: &impl Words) -> bool {
    control.load64(control::OWNER_PID) == 0
}

/// Returns how many bytes of a control section are mapped, before its words are known.
pub(super) fn control_len_of(section: &Section) -> Result<usize> {
    // Another process may have made a section whose length is no multiple of a word.
    Ok(section.len()?.min(control::MAX_LEN as u64) as usize & !7)
}

/// The means to open the lanes of a generation that other participants write.
#[derive(Debug)]
pub(crate) struct LaneSource {
    lanes: Arc<Section>,
    control: WindowMut<Control>,
    geometry: Geometry,
}

impl LaneSource {
    /// Gets memory for a lane. The owner does not rely on the sender for the memory, since any process
    /// of this user can claim to be a sender.
    // layout: L253
    pub fn commit(&self, lane: usize) -> Result<()> {
        self.geometry.commit(&self.lanes, lane)
    }

    /// Maps a lane that has memory. Returns the lane and the owner's cursor in it.
    pub fn map(&self, lane: usize, prefault: bool) -> Result<(ReadLane, WindowMut<Cursor>)> {
        let mapped = Lane::map(&self.lanes, self.geometry.place(lane), prefault)?;
        Ok((mapped, self.control.part(cursor_at(lane))))
    }
}

/// Returns whether an earlier generation cannot be taken over: no process has it any more, or
/// others have created the object with its name.
pub(super) fn is_none_of_ours(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::WrongOwner
            | ErrorKind::AccessDenied
            | ErrorKind::WrongKind
            | ErrorKind::OutOfBounds
    )
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.close();
    }
}

// layout: L003 L026
fn format(words: &WindowMut<Control>, geometry: &Geometry, me: &ProcessIdentity, generation: u32) {
    let [start, pid] = me.to_words();
    words.store32(control::VERSION, MAJOR << 16 | MINOR);
    words.store64(control::OWNER_START, start);
    words.store64(control::OWNER_PID, pid);
    words.store32(control::GENERATION, generation);
    geometry.write(words);
}
