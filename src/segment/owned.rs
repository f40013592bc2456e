//! A segment, for its owner.

use super::{
    Companions, Control, Cursor, Geometry, Lane, Pattern, ReadLane, WriteLane, cursor_at,
    layouts_in, text_of,
};
use crate::access::{Access, Owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::{Layout, fingerprint};
use crate::format::layout::{MAGIC, MAJOR, MINOR, control, roster};
use crate::name::Name;
use crate::object::process::Liveness;
use crate::object::section::Section;
use crate::os::{self, Kind, ProcessBackend, ProcessIdentity};
use crate::segment::ending;
use crate::segment::ownership::OwnershipRecord;
use crate::segment::participant::{Kernel, Notifier, Participant};
use crate::segment::roster::{Roster, word_of};
use crate::sync::{Window, WindowMut, Words, WordsMut};
use std::sync::Arc;

/// How many numbers are tried for a generation, where somebody has what is named so.
const NUMBERS: u32 = 64;

/// A generation of a segment, for whoever owns its name; or one of those before it, with what
/// is left in it.
#[derive(Debug)]
pub(crate) struct Owned {
    pub geometry: Geometry,
    pub generation: u32,
    notifier: Notifier,
    lanes: Section,
    control: WindowMut<Control>,
    name: Name,
    access: Access,
    /// For those who may not watch this process.
    _alive: Option<Liveness>,
    /// Where this is the one in use. Declared last, and so let go last.
    record: Option<OwnershipRecord>,
}

/// Who may do what with the roster, and with the lanes.
// layout: L020
fn rights(access: &Access, pattern: Pattern) -> [Access; 2] {
    match (access, pattern) {
        (Access::Sddl(_), _) => [access.clone(), access.clone()],
        // Others may look; what is written by participants is for this user alone.
        (_, Pattern::Topic | Pattern::Values) => [Access::SameUser, access.clone()],
        (_, Pattern::Queue | Pattern::Calls) => [Access::SameUser, Access::SameUser],
    }
}

/// Who may use an event or a mutex that belongs to a section of this access.
fn companion(access: &Access, section: &Section, kind: Kind) -> Result<Access> {
    match access {
        // What it says is said of a section.
        Access::Sddl(_) => section.companion_access(kind),
        preset => Ok(preset.clone()),
    }
}

impl Owned {
    /// Takes the name and makes the three sections of a generation, and the owner's participant in
    /// them. Nobody can use them before [`publish`](Owned::publish).
    // layout: L085 L155
    pub fn create(
        name: &Name,
        geometry: Geometry,
        access: &Access,
        layouts: &[Layout],
    ) -> Result<(Owned, Participant)> {
        let me = ProcessIdentity::current()?;
        // Before anything is made: the longest of all names is refused now.
        Companions::of(name, u32::MAX)?;
        let record = OwnershipRecord::take(name, access, &me)?;
        let (mut segment, mut participant) = Owned::make(name, geometry, access, record.before())?;
        segment.describe(layouts)?;
        participant.settle(record.section())?;
        segment.record = Some(record);
        Ok((segment, participant))
    }

    /// Makes the generation that is to follow this one, by the same owner.
    // layout: L164
    pub fn next(&self, geometry: Geometry, layouts: &[Layout]) -> Result<(Owned, Participant)> {
        let (segment, mut participant) =
            Owned::make(&self.name, geometry, &self.access, self.generation)?;
        segment.describe(layouts)?;
        participant.prepare()?;
        Ok((segment, participant))
    }

    /// Puts this one in use after one of the same owner, whose participants are told to come.
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
    ) -> Result<(Owned, Participant)> {
        let mut number = before;
        loop {
            // layout: L155
            number = number.wrapping_add(1).max(1);
            match Owned::make_as(name, geometry, access, number) {
                // What is left of one that never came to be, or that is about to go.
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
    ) -> Result<(Owned, Participant)> {
        let companions = Companions::of(name, generation)?;
        let me = ProcessIdentity::current()?;
        let [inner, lanes_access] = rights(access, geometry.pattern());
        let create = |access: &Access, name: &Name, len: u64| {
            Section::options()
                .access(access.clone())
                .create_new(name, len)
        };
        // layout: L016 L155
        let section = create(access, &companions.control, control::LEN as u64)?;
        let may_watch = companion(access, &section, Kind::Mutex)?;
        let control = section.words_mut()?;
        let section = create(&inner, &companions.roster, roster::LEN as u64)?;
        let may_wake = companion(&inner, &section, Kind::Event)?;
        let roster = Roster::begin(section.words_mut()?, generation);
        let lanes = create(&lanes_access, &companions.lanes, geometry.len())?;
        // layout: L011 L211
        let alive = match access {
            Access::SameUser if !os::Process::MAY_BE_CLOSED => None,
            _ => Some(Liveness::announce(companions.alive, may_watch)?),
        };
        format(&control, &geometry, &me, generation);
        let notifier = Notifier::new(roster, Kernel::new(name, &may_wake), word_of(&me));
        let participant = Participant::of_owner(notifier.afresh(), &me);
        let segment = Owned {
            geometry,
            generation,
            notifier,
            lanes,
            control,
            name: name.clone(),
            access: access.clone(),
            _alive: alive,
            record: None,
        };
        Ok((segment, participant))
    }

    /// An earlier generation, with a participant in it, as long as anybody takes part in it still.
    // layout: L157 L158
    fn inherit(&self, generation: u32) -> Result<(Owned, Participant)> {
        let companions = Companions::of(&self.name, generation)?;
        let open = |name: &Name, write| {
            let options = Section::options().expect_owner(Owner::Me);
            options.write(write).open(name)
        };
        let section = open(&companions.control, true)?;
        let control: WindowMut<Control> = section.words_mut()?;
        let whole = control.load32(control::MAGIC) == MAGIC;
        let Some(geometry) = Geometry::read(&control).filter(|_| whole) else {
            let kind = ErrorKind::NotFound;
            let meaning = "it never came to be";
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
            .open(&companions.lanes)?;
        let [inner, _] = rights(&self.access, geometry.pattern());
        let section = match open(&companions.roster, true) {
            // Who may only look has none: an empty one stands in for it.
            Err(error) if error.kind() == ErrorKind::NotFound => Section::options()
                .access(inner.clone())
                .create_new(&companions.roster, roster::LEN as u64),
            roster => roster,
        }?;
        let may_wake = companion(&inner, &section, Kind::Event)?;
        let roster = Roster::new(section.words_mut()?);
        let owner = [control::OWNER_START, control::OWNER_PID].map(|at| control.load64(at));
        let owner = ProcessIdentity::from_words(owner);
        let notifier =
            |owner| Notifier::new(roster.clone(), Kernel::new(&self.name, &may_wake), owner);
        let segment = Owned {
            geometry,
            generation,
            lanes,
            notifier: notifier(word_of(&owner)),
            control,
            name: self.name.clone(),
            access: self.access.clone(),
            _alive: None,
            record: None,
        };
        let me = ProcessIdentity::current()?;
        Ok((segment, Participant::of_owner(notifier(word_of(&me)), &me)))
    }

    /// Tells what a message is made of: one type, or that of requests and that of responses, or
    /// none.
    fn describe(&self, layouts: &[Layout]) -> Result<()> {
        if layouts.is_empty() {
            return Ok(());
        }
        let text = text_of(layouts);
        if layouts_in(&text).as_deref() != Some(layouts) {
            let kind = ErrorKind::InvalidArgument;
            let meaning = "the layout of its messages cannot be";
            let error = Error::new(kind, Operation::Create, &self.name, meaning);
            return Err(error.with_advice("docs/layout.md says which can"));
        }
        self.control.copy_in(control::TYPE, text.as_bytes());
        self.control.store32(control::TYPE_LEN, text.len() as u32);
        let fingerprint = fingerprint(&text);
        self.control.store64(control::TYPE_FINGERPRINT, fingerprint);
        Ok(())
    }

    /// Lets others in. Those who are in the [`older`](Owned::older) generations, of dead owners,
    /// are told to come.
    // layout: L155 L159
    pub fn publish(&mut self, older: &mut [(Owned, Participant)]) {
        self.put_in_use();
        for (old, _) in older.iter_mut() {
            old.end(control::end::FOLLOWED);
        }
        if let Some(record) = &self.record {
            let oldest = older.first().map(|(old, _)| old.generation);
            record.forget_before(oldest.unwrap_or(self.generation));
        }
    }

    // layout: L025 L155
    fn put_in_use(&mut self) {
        // Last, so that whoever reads it sees the rest: pairs with the opener's load.
        self.control.publish32(control::MAGIC, MAGIC);
        if let Some(record) = &mut self.record {
            record.publish(self.generation);
        }
    }

    /// The generations before this one in which anybody is still, the oldest first.
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

    /// Whether messages of another one are of the same type, as far as it tells.
    // layout: L160
    pub fn has_type_of(&self, other: &Owned) -> bool {
        let of = |owned: &Owned| owned.control.load64(control::TYPE_FINGERPRINT);
        of(self) == of(other)
    }

    /// Says that it has ended, and wakes everybody.
    fn end(&mut self, bits: u32) {
        ending::end(&self.control, &mut self.notifier, bits);
    }

    /// Says that the name is closed, wakes everybody, and lets go of the name, where this is the
    /// generation in use. An owner does so before it closes anything, so that nobody misses an object
    /// of an owner that seems to live.
    // layout: L165
    pub fn close(&mut self) {
        if self.record.as_ref().is_some_and(OwnershipRecord::is_held) {
            self.end(control::end::CLOSED);
        }
        if let Some(record) = &mut self.record {
            record.let_go();
        }
    }

    /// Says that nothing more is received, and wakes everybody.
    pub fn drain(&self) {
        ending::drain(&self.control, &mut self.notifier.afresh());
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

    /// A lane that others write.
    pub fn lane(&self, lane: usize, prefault: bool) -> Result<ReadLane> {
        Lane::map(&self.lanes, self.geometry.place(lane), prefault)
    }

    /// A lane that the owner writes.
    pub fn lane_mut(&self, lane: usize, prefault: bool) -> Result<WriteLane> {
        Lane::map_mut(&self.lanes, self.geometry.place(lane), prefault)
    }

    /// The lane of the responses to another.
    pub fn responses_mut(&self, lane: usize, prefault: bool) -> Result<WriteLane> {
        self.lane_mut(self.geometry.responses(lane), prefault)
    }

    /// The values, to be read.
    pub fn values(&self) -> Result<Window> {
        let view = Arc::new(self.lanes.map(..self.geometry.len())?);
        view.window(0, view.len())
    }

    /// The values, which the owner writes.
    pub fn values_mut(&self, prefault: bool) -> Result<WindowMut> {
        let view = Arc::new(self.lanes.map_rw(..self.geometry.len())?);
        if prefault {
            view.prefault()?;
        }
        view.window_mut(0, view.len())
    }

    /// The owner's cursor in a lane.
    pub fn cursor(&self, lane: usize) -> WindowMut<Cursor> {
        self.control.part(cursor_at(lane))
    }
}

/// Whether an earlier generation cannot be inherited: nobody has it any more, or what has its name
/// was made by others.
fn is_none_of_ours(error: &Error) -> bool {
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
