//! A reading end of latest values.

use crate::access::Owner;
use crate::error::channel::RecvError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::Layout;
use crate::format::layout::{SLOTS, control, values};
use crate::name::Name;
use crate::os::{Validity, ValidityBackend, deadline_after};
use crate::segment::owner_monitor::{self, OwnerMonitor, Reattach};
use crate::segment::participant::Participant;
use crate::segment::roster::{JOINED, Roster};
use crate::segment::{Found, HowToJoin};
use crate::slots::{Hold, Look, TableGeometry, ValueReader};
use crate::sync::{Shared, Window};
use crate::wait::source::{Signals, Wait, Waitable};
use crate::wait::spin::Spin;
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

/// How to open latest values; see [`Reader::options`].
#[derive(Clone, Debug, Default)]
pub struct ReaderOptions {
    how: HowToJoin,
}

impl ReaderOptions {
    /// Read only what belongs to this owner.
    #[must_use]
    pub fn expect_owner(mut self, owner: Owner) -> ReaderOptions {
        self.how.owner = Some(owner);
        self
    }

    /// Waits so long for a writer that is not there yet (not at all). It looks again every
    /// few milliseconds.
    #[must_use]
    pub fn wait(mut self, deadline: Duration) -> ReaderOptions {
        self.how.wait = deadline;
        self
    }

    /// Opens them.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`], and [`ErrorKind::WrongOwner`].
    pub fn open(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Reader> {
        self.how
            .join(&Name::checked(name)?, control::kind::LATEST, Reader::join)
    }

    /// Open only values of this type.
    pub(crate) fn expect_layout(mut self, layout: Layout) -> ReaderOptions {
        self.how.layouts = vec![layout];
        self
    }
}

/// After how long a next writer is tried again that could not be gone on with for now.
const AGAIN: Duration = Duration::from_millis(10);

/// Whether a refusal is one for good.
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

/// Where values stand in the table of a later writer.
#[derive(Debug)]
struct Moved {
    /// By our index.
    places: Box<[usize]>,
    /// Our index by the place.
    indices: HashMap<usize, usize>,
}

impl Moved {
    /// Finds values by their names; the error is a name that the table lacks.
    fn find<'a>(
        ours: &'a [String],
        theirs: &HashMap<String, usize>,
    ) -> std::result::Result<Moved, &'a str> {
        let place = |name: &'a String| theirs.get(name).copied().ok_or(&**name);
        let places: Box<[usize]> = ours
            .iter()
            .map(place)
            .collect::<std::result::Result<_, _>>()?;
        let indices = places.iter().copied().zip(0..).collect();
        Ok(Moved { places, indices })
    }
}

/// A reading end of latest values. See [`Writer`](crate::Writer).
///
/// It maps the values read-only, so that it can do no harm to anybody, and there can be any
/// number of them.
///
/// # Platform notes
///
/// A program that the writer's [`Access`](crate::Access) lets only look, that of another
/// user, is no participant, and neither is the sixty-fourth: it cannot ask the writer to leave
/// a value alone while it reads, nobody sees it, and where nothing changes it looks again each
/// millisecond.
pub struct Reader {
    values: ValueReader<Window>,
    names: Vec<String>,
    indices: HashMap<String, usize>,
    owner_monitor: OwnerMonitor,
    buffer: Box<[u8]>,
    participant: Option<Participant>,
    validity: Validity,
    /// Where the values stand now, where that is not where they stood when they were opened.
    moved: Option<Moved>,
    /// The generation that was last looked at, and when it is to be looked at again.
    tried: (u32, Option<Instant>),
    /// Why we could not go on with that one.
    failed: Option<Error>,
    // Declared last, and so let go last.
    found: Found,
}

impl Reader {
    /// Opens latest values to read them. Never creates them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] where there are none, [`ErrorKind::WrongKind`] where it is
    /// something else, [`ErrorKind::Busy`] where they are not ready after a second,
    /// [`ErrorKind::WrongVersion`]; otherwise as [`Section::open`](crate::Section::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Reader> {
        Reader::options().open(name)
    }

    /// Other ways to open them.
    #[must_use]
    pub fn options() -> ReaderOptions {
        ReaderOptions::default()
    }

    fn join(found: Found) -> Result<Reader> {
        Reader::with(found, ValueReader::new)
    }

    /// One that was there before.
    fn go_on(found: Found) -> Result<Reader> {
        Reader::with(found, ValueReader::from_the_beginning)
    }

    fn with(
        found: Found,
        values: impl Fn(Window, TableGeometry) -> ValueReader<Window>,
    ) -> Result<Reader> {
        let owner_monitor = OwnerMonitor::begin(&found)?;
        let Some(table_geometry) = found.geometry.table_geometry else {
            unreachable!("latest values have a table_geometry");
        };
        let values = values(found.values()?, table_geometry);
        let names: Vec<String> = (0..table_geometry.count())
            .map(|index| values.name(index))
            .collect();
        let indices = names.iter().cloned().zip(0..).collect();
        let participant = Reader::take_slot(&found)?;
        Ok(Reader {
            values,
            names,
            indices,
            owner_monitor,
            buffer: vec![0; table_geometry.max()].into_boxed_slice(),
            participant,
            validity: Validity::new(),
            moved: None,
            tried: (found.generation, None),
            failed: None,
            found,
        })
    }

    /// A slot, where this account may have one and there is one left.
    // layout: L103
    fn take_slot(found: &Found) -> Result<Option<Participant>> {
        let Some(roster) = found.roster_if_let_in()? else {
            return Ok(None);
        };
        match found.take_slot(&roster, SLOTS) {
            Ok(participant) => {
                participant.roster().tell(JOINED);
                Ok(Some(participant))
            }
            Err(error) if error.kind() == ErrorKind::Busy => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The name they were opened by.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.found.name
    }

    /// The longest value in bytes.
    #[must_use]
    pub fn max_value(&self) -> usize {
        self.values.table_geometry().max()
    }

    /// The names of the values; where there is one value, it is empty.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The index of the value with that name. It stays the same, also where another writer follows
    /// whose table has more values or another order. Values that were not there when the values
    /// were opened are seen by a reader that is opened later.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<usize> {
        self.indices.get(name).copied()
    }

    /// The newest value, the first one of a table.
    ///
    /// The writer is not waited for, and need not be alive. Where another writer has followed, the
    /// value is that of the new one.
    ///
    /// # Errors
    ///
    /// [`RecvError::System`] where another writer has followed and does not let us in, or lacks one
    /// of the names; [`RecvError::Empty`] where none was set yet; [`RecvError::Busy`] where it changed each
    /// of 64 times that it was read. A participant then has the writer leave it alone for a
    /// moment, and tries as often again.
    #[inline]
    pub fn get(&mut self) -> std::result::Result<&[u8], RecvError> {
        self.get_at(0)
    }

    /// The newest value of a table, by its index.
    ///
    /// # Errors
    ///
    /// As [`get`](Reader::get).
    ///
    /// # Panics
    ///
    /// Where there is no value with that index.
    // layout: L138
    #[inline]
    pub fn get_at(&mut self, index: usize) -> std::result::Result<&[u8], RecvError> {
        let is_plain = self.validity.is_valid() && self.moved.is_none() && !self.found.is_ended();
        let place = match is_plain {
            true => index,
            false => self.place_now(index)?,
        };
        let participant = self.participant.as_ref();
        let hold = participant.map(|participant| hold_in(participant.roster(), participant.slot()));
        match self.values.load(place, &mut self.buffer, hold) {
            Look::Value(len, _) => Ok(&self.buffer[..len]),
            Look::Nothing => Err(RecvError::Empty),
            Look::Busy => Err(RecvError::Busy),
            Look::Corrupt => Err(RecvError::Corrupt),
        }
    }

    /// Where the value with this index stands, once the next writer was looked for.
    #[cold]
    fn place_now(&mut self, index: usize) -> std::result::Result<usize, RecvError> {
        self.validity.check()?;
        if self.found.is_ended() {
            self.reattach()?;
        }
        Ok(self.place(index))
    }

    /// A number that grows each time that this value is set; 0: it was not set yet.
    ///
    /// # Panics
    ///
    /// Where there is no value with that index.
    #[must_use]
    pub fn version(&self, index: usize) -> u64 {
        self.values.number(self.place(index))
    }

    /// Where the value with this index stands in the table.
    #[inline]
    fn place(&self, index: usize) -> usize {
        match &self.moved {
            None => index,
            Some(moved) => moved.places[index],
        }
    }

    /// The next value that changed, by our index. A value that was not there when the values were
    /// opened has none, and is left out.
    #[inline]
    fn next_change(&mut self) -> Option<usize> {
        let Some(moved) = &self.moved else {
            return self.values.next_change();
        };
        // So many changes there are at most, but for a writer that does not stop.
        let most = values::RECENT_COUNT as usize + self.values.table_geometry().count();
        for _ in 0..most {
            let place = self.values.next_change()?;
            if let Some(index) = moved.indices.get(&place) {
                return Some(*index);
            }
        }
        None
    }

    /// The index of a value that changed since it was opened or this was last asked, if there
    /// is one. A value that changed several times may come several times; after more than a
    /// thousand changes every value comes once.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`]; [`RecvError::Disconnected`] when the writer has gone, and all
    /// changes were told.
    pub fn try_change(&mut self) -> std::result::Result<usize, RecvError> {
        self.validity.check()?;
        if let Some(index) = self.next_change() {
            return Ok(index);
        }
        if self.owner_monitor.is_told() && self.reattach()? {
            return self.try_change();
        }
        if self.owner_monitor.look(&self.found) {
            // What was set before the end is seen now.
            if let Some(index) = self.next_change() {
                return Ok(index);
            }
            if let Some(how) = self.owner_monitor.tell() {
                return Err(RecvError::Disconnected(how));
            }
        }
        Err(RecvError::Empty)
    }

    /// Goes on with the next writer, where there is one; says whether. A writer with which we
    /// cannot go on is told of by each call, until there is another one.
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
            // Of no use for ever is what is of another kind or type; all else may pass.
            let is_final = self
                .failed
                .as_ref()
                .is_some_and(|error| is_final(error.kind()));
            let again =
                (newest != self.found.generation && !is_final).then(|| Instant::now() + AGAIN);
            self.tried = (newest, again);
        }
        self.failed
            .as_ref()
            .map_or(Ok(false), |error| Err(error.again()))
    }

    // layout: L172
    fn reattach_now(&mut self) -> Result<bool> {
        let Some(mut next) = self.found.follow(Reader::go_on)? else {
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

    /// Where our values stand in the table of another writer, by its names.
    fn find_in(&self, theirs: &HashMap<String, usize>) -> Result<Moved> {
        Moved::find(&self.names, theirs).map_err(|lacking| {
            let meaning = format!("its next writer has no value {lacking:?}");
            let error = Error::new(ErrorKind::WrongType, Operation::Open, self.name(), meaning);
            error.with_advice("open it again")
        })
    }

    /// The names of the values of a generation.
    fn names_in(found: &Found) -> Result<HashMap<String, usize>> {
        let Some(table_geometry) = found.geometry.table_geometry else {
            unreachable!("latest values have a table_geometry");
        };
        let values = ValueReader::new(found.values()?, table_geometry);
        Ok((0..table_geometry.count())
            .map(|index| (values.name(index), index))
            .collect())
    }

    /// Waits for the next writer, at most this long; says whether there is one. The values of
    /// the one before are there until then, and go over where they fit.
    ///
    /// # Errors
    ///
    /// As [`open`](Reader::open), where there is one that does not let us in.
    pub fn wait_for_writer(&mut self, timeout: Duration) -> Result<bool> {
        owner_monitor::wait_for_next(self, timeout)
    }

    /// The number of its generation: another one with each writer that follows, and each time
    /// that one changes its measures.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.found.generation
    }

    /// Waits for a value to change, and says which. What was set before it was opened is there
    /// ([`get`](Reader::get)), and no change.
    ///
    /// # Errors
    ///
    /// As [`try_change`](Reader::try_change).
    pub fn wait_change(&mut self) -> std::result::Result<usize, RecvError> {
        self.change_until(None)
    }

    /// Waits for a value to change, at most this long.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`]; otherwise as [`try_change`](Reader::try_change).
    pub fn wait_change_timeout(
        &mut self,
        timeout: Duration,
    ) -> std::result::Result<usize, RecvError> {
        self.change_until(deadline_after(Some(timeout)))
    }

    fn change_until(&mut self, until: Option<Instant>) -> std::result::Result<usize, RecvError> {
        loop {
            let mut spin = Spin::new(until);
            loop {
                match self.try_change() {
                    Err(RecvError::Empty) => {}
                    found => return found,
                }
                if !spin.again() {
                    break;
                }
            }
            if until.is_some_and(|at| Instant::now() >= at) {
                return Err(RecvError::Timeout);
            }
            let has_news = || self.values.has_news();
            self.owner_monitor
                .sleep(&self.found, self.participant.as_mut(), has_news, until)?;
        }
    }
}

/// How the participant in a slot asks the writer to leave a value alone.
pub(crate) fn hold_in<W: Shared>(roster: &Roster<W>, slot: usize) -> impl Fn(Hold) {
    move |hold: Hold| {
        roster.set_hold(slot, hold.0);
        // Between the hold and the copy: pairs with the writer's look (L3).
        roster.words().full();
    }
}

impl Reattach for Reader {
    fn parts(&mut self) -> (&Found, Option<&mut Participant>) {
        (&self.found, self.participant.as_mut())
    }

    /// What is left here goes before, and then that the one before has gone.
    fn reattach_if_ended(&mut self) -> Result<bool> {
        self.found.check(&self.validity)?;
        if self.owner_monitor.is_told() {
            return self.reattach();
        }
        match self.found.follow(|next| Reader::names_in(&next))? {
            Some(theirs) => self.find_in(&theirs).map(|_| true),
            None => Ok(false),
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("name", &self.found.name)
            .field("values", &self.names.len())
            .finish_non_exhaustive()
    }
}

impl Waitable for Reader {}

impl Wait for Reader {
    fn has_news(&mut self) -> bool {
        self.values.has_news()
            || self.validity.is_faulty()
            || self.owner_monitor.has_news(&self.found)
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        self.owner_monitor
            .register(self.participant.as_mut(), signals)
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
