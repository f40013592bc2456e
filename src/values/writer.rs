//! The writing end of latest values.

use crate::access::Access;
use crate::error::channel::SendError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::Layout;
use crate::format::layout::{SLOTS, values};
use crate::name::Name;
use crate::os::ValidityBackend;
use crate::segment::ending::ALL_SLOTS;
use crate::segment::participant::Participant;
use crate::segment::roster::Roster;
use crate::segment::{Geometry, Owned};
use crate::slots::{Hold, Look, TableGeometry, ValueReader, ValueWriter};
use crate::sync::{Shared, WindowMut, WordsMut};
use std::collections::{HashMap, HashSet};

/// The longest value where nothing is said of it.
const MAX_VALUE: u64 = 1024;

/// How to create latest values; see [`Writer::options`].
#[derive(Clone, Debug)]
pub struct ValuesOptions {
    max: Option<u64>,
    names: Option<Vec<String>>,
    access: Access,
    prefault: bool,
    layout: Option<Layout>,
}

impl ValuesOptions {
    /// The longest value in bytes (1024). With a [layout](ValuesOptions::layout) it is the size of the
    /// layout, and a shorter `max_value` is refused.
    #[must_use]
    pub fn max_value(mut self, bytes: u64) -> ValuesOptions {
        self.max = Some(bytes);
        self
    }

    /// A table of values with these names, of 1 to 63 bytes, each once. Without it there is
    /// one value, which has no name.
    #[must_use]
    pub fn names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> ValuesOptions {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Who may read. What is let in only to look is no participant; see [`Reader`](crate::Reader).
    #[must_use]
    pub fn access(mut self, access: Access) -> ValuesOptions {
        self.access = access;
        self
    }

    /// Touches all memory now, so that no store has to.
    #[must_use]
    pub fn prefault(mut self, on: bool) -> ValuesOptions {
        self.prefault = on;
        self
    }

    /// What every value is made of, which is told to those who open them. For who learns it
    /// when the program runs; others use [`typed::Writer`](crate::typed::Writer). It sets the
    /// longest value too; a shorter [`max_value`](ValuesOptions::max_value) is refused.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> ValuesOptions {
        self.layout = Some(layout);
        self
    }

    /// Creates them.
    ///
    /// # Errors
    ///
    /// As [`Writer::create`]; [`ErrorKind::InvalidArgument`] for names, measures or a
    /// layout that cannot be.
    pub fn create(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Writer> {
        Writer::make(self, &Name::checked(name)?)
    }

    /// Where there is one value, it has no name.
    fn all_names(&self) -> Vec<String> {
        self.names.clone().unwrap_or_else(|| vec![String::new()])
    }

    fn geometry(&self, name: &Name) -> Result<Geometry> {
        self.check_names(name)?;
        let count = self.all_names().len();
        let longest = Geometry::longest(self.max, self.layout.as_slice(), name.as_str())?;
        let max = usize::try_from(longest.unwrap_or(MAX_VALUE)).unwrap_or(usize::MAX);
        let Some(table_geometry) = TableGeometry::with_slots_for(count, max) else {
            let meaning = format!("{count} values of up to {max} bytes cannot be");
            let error = Error::new(ErrorKind::InvalidArgument, Operation::Create, name, meaning);
            let advice = "there can be 1 to 1048576 values, each of up to 16 MiB, and 1 GiB in all";
            return Err(error.with_advice(advice));
        };
        Ok(Geometry::of_values(table_geometry))
    }

    /// The table, with its names.
    // layout: L075
    fn lay_out(&self, segment: &Owned) -> Result<ValueWriter<WindowMut>> {
        let Some(table_geometry) = segment.geometry.table_geometry else {
            unreachable!("latest values have a table_geometry");
        };
        let values = ValueWriter::new(segment.values_mut(self.prefault)?, table_geometry);
        for (index, name) in self.all_names().iter().enumerate() {
            values.name(index, name);
        }
        Ok(values)
    }

    // layout: L075
    fn check_names(&self, name: &Name) -> Result<()> {
        let refuse = |meaning| {
            let kind = ErrorKind::InvalidArgument;
            Err(Error::new(kind, Operation::Create, name, meaning))
        };
        let mut known = HashSet::new();
        for value in self.names.iter().flatten() {
            if value.is_empty() || value.len() >= values::NAME_LEN {
                return refuse(format!(
                    "the name of a value has 1 to 63 bytes, and not {value:?}"
                ));
            }
            if !known.insert(value) {
                return refuse(format!("two values have the name {value:?}"));
            }
        }
        Ok(())
    }
}

/// The writing end of latest values, which owns their name: one value, or a table of values
/// that have names of their own.
///
/// A reader gets the newest whole value, and never anything else; what was there before is
/// of no interest any more. The writer never waits.
///
/// ```
/// # let name = format!("Local\\shmkit-doc-latest-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Reader, Writer};
///
/// // One program.
/// let mut sensors = Writer::options().names(["indoors", "outdoors"]).create(name)?;
/// sensors.set_at(1, b"-3.5")?;
/// sensors.set_at(1, b"-3.6")?;
///
/// // Another one.
/// let mut reader = Reader::open(name)?;
/// let outdoors = reader.index("outdoors").unwrap();
/// assert_eq!(reader.get_at(outdoors)?, b"-3.6");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    values: ValueWriter<WindowMut>,
    names: Vec<String>,
    participant: Participant,
    // Declared last, and so let go last: it has the name.
    segment: Owned,
}

impl Writer {
    /// Creates one value for the programs of this user.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] where the name is held, with the process that owns it;
    /// [`ErrorKind::InvalidName`] where it leaves no room for the names of what stands beside
    /// it, 26 characters longer; otherwise as
    /// [`Section::create_new`](crate::Section::create_new).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Writer> {
        Writer::options().create(name)
    }

    /// Other ways to create them.
    #[must_use]
    pub fn options() -> ValuesOptions {
        ValuesOptions {
            max: None,
            names: None,
            access: Access::SameUser,
            prefault: false,
            layout: None,
        }
    }

    fn make(options: &ValuesOptions, name: &Name) -> Result<Writer> {
        let geometry = options.geometry(name)?;
        let layouts = options.layout.as_slice();
        let (mut segment, participant) = Owned::create(name, geometry, &options.access, layouts)?;
        let mut values = options.lay_out(&segment)?;
        // What a dead writer has set stays. Nothing is set there meanwhile.
        let mut older = segment.older()?;
        for (older, _) in &older {
            if older.has_type_of(&segment) {
                carry_over(older, &mut values, &options.all_names());
            }
        }
        segment.publish(&mut older);
        Ok(Writer {
            values,
            names: options.all_names(),
            participant,
            segment,
        })
    }

    /// Goes on with other measures, and with other values in the table, while readers are
    /// there: values of the same names stay, as far as they fit. Readers come over by
    /// themselves where the names are the same. Rights and name stay as they are.
    ///
    /// # Errors
    ///
    /// As [`ValuesOptions::create`]; everything is as before then.
    pub fn resize(&mut self, options: &ValuesOptions) -> Result<()> {
        self.participant.check()?;
        let geometry = options.geometry(self.name())?;
        let (mut segment, participant) = self.segment.next(geometry, options.layout.as_slice())?;
        let mut values = options.lay_out(&segment)?;
        if self.segment.has_type_of(&segment) {
            carry_over(&self.segment, &mut values, &options.all_names());
        }
        segment.follow(&mut self.segment);
        self.names = options.all_names();
        let mut participant = participant;
        participant.stay(&mut self.participant);
        (self.values, self.participant, self.segment) = (values, participant, segment);
        Ok(())
    }

    /// The number of their generation: another one after each restart, and
    /// [`resize`](Writer::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.segment.generation
    }

    /// The name they were created by.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.segment.name()
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

    /// Stores the value, the first one of a table. It is there when this returns.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLong`].
    #[inline]
    pub fn set(&mut self, value: &[u8]) -> std::result::Result<(), SendError> {
        self.set_at(0, value)
    }

    /// Stores a value of a table. It is there when this returns.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLong`].
    ///
    /// # Panics
    ///
    /// Where there is no value with that index.
    // layout: L097 L136
    #[inline]
    pub fn set_at(&mut self, index: usize, value: &[u8]) -> std::result::Result<(), SendError> {
        self.participant.validity.check()?;
        let (len, max) = (value.len(), self.values.table_geometry().max());
        if len > max {
            return Err(SendError::TooLong { len, max });
        }
        store(&mut self.values, self.segment.roster(), index, value);
        self.participant.wake(ALL_SLOTS);
        Ok(())
    }
}

/// Stores a value, and leaves alone what readers hold.
#[inline]
pub(crate) fn store<V: WordsMut, W: Shared>(
    values: &mut ValueWriter<V>,
    roster: &Roster<W>,
    index: usize,
    value: &[u8],
) {
    // Pairs with a reader's hold (L3).
    match roster.holding() {
        0 => values.store(index, value, std::iter::empty()),
        holding => store_beside(values, roster, index, value, holding),
    }
}

/// Where readers ask that slots be left alone.
#[cold]
fn store_beside<V: WordsMut, W: Shared>(
    values: &mut ValueWriter<V>,
    roster: &Roster<W>,
    index: usize,
    value: &[u8],
    holding: u64,
) {
    let holding = (0..SLOTS).filter(|slot| holding >> slot & 1 == 1);
    let holds = holding.map(|slot| Hold(roster.hold(slot)));
    values.store(index, value, holds);
}

impl Drop for Writer {
    // layout: L165
    fn drop(&mut self) {
        self.segment.close();
    }
}

/// Sets the values that an earlier generation has by the same names, where they fit.
fn carry_over(older: &Owned, values: &mut ValueWriter<WindowMut>, names: &[String]) {
    let (Some(table_geometry), Ok(words)) = (older.geometry.table_geometry, older.values()) else {
        return;
    };
    let reader = ValueReader::new(words, table_geometry);
    let theirs: HashMap<String, usize> = (0..table_geometry.count())
        .map(|n| (reader.name(n), n))
        .collect();
    let mut buffer = vec![0; table_geometry.max()];
    for (index, name) in names.iter().enumerate() {
        let Some(&there) = theirs.get(name) else {
            continue;
        };
        if let Look::Value(len, _) = reader.load(there, &mut buffer, None::<fn(Hold)>)
            && len <= values.table_geometry().max()
        {
            values.store(index, &buffer[..len], std::iter::empty());
        }
    }
}
