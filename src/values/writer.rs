//! The writer of values, and the options to create values: one value, or a table.

use super::writing::Writing;
use crate::error::channel::SetError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::{Described, Layout};
use crate::format::layout::values;
use crate::format::payload::{self, Payload};
use crate::name::Name;
use crate::segment::Geometry;
use crate::segment::options::{Create, CreateOptions};
use crate::slots::TableGeometry;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

/// The length of the longest value, unless the options set it.
const MAX_VALUE: u64 = 1024;

/// Options to create values; see [`Writer::options`].
pub type ValuesOptions<M = [u8]> = CreateOptions<Writer<M>>;

/// Options that only values have.
#[derive(Clone, Debug)]
pub struct ValuesChoices {
    names: Option<Vec<String>>,
}

impl<M: Payload + ?Sized> CreateOptions<Writer<M>> {
    /// Sets the length of the longest value in bytes (default: 1024). With a
    /// [layout](ValuesOptions::layout), the longest value has the size of the layout, and a shorter
    /// `max_value` is refused.
    #[must_use]
    pub fn max_value(mut self, bytes: u64) -> ValuesOptions<M> {
        self.common.max_message = Some(bytes);
        self
    }

    /// Sets how many readers can have a slot at a time, 1 to 1023 (default: 63). A reader with a
    /// slot is woken by the writer. A reader that finds no free slot becomes an observer, which
    /// polls; the number of observers has no limit.
    #[must_use]
    pub fn readers(mut self, readers: usize) -> ValuesOptions<M> {
        self.common.slots = readers;
        self
    }

    /// Makes a table of values with these names. Each name has 1 to 63 bytes and occurs once.
    /// Without this option there is one value, which has no name.
    #[must_use]
    pub fn names<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> ValuesOptions<M> {
        self.choices.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Returns the names of all values. A single value has the empty name.
    fn all_names(&self) -> Vec<String> {
        self.choices
            .names
            .clone()
            .unwrap_or_else(|| vec![String::new()])
    }

    fn table(&self, name: &Name) -> Result<TableGeometry> {
        self.check_names(name)?;
        let count = self.all_names().len();
        let common = &self.common;
        Geometry::check_slots(common.slots, "readers with a slot", name.as_str())?;
        let longest = Geometry::longest(common.max_message, &common.layouts, name.as_str())?;
        let max = usize::try_from(longest.unwrap_or(MAX_VALUE)).unwrap_or(usize::MAX);
        TableGeometry::with_slots_for(count, max).ok_or_else(|| {
            let meaning = format!("{count} values of up to {max} bytes are not possible");
            let error = Error::new(ErrorKind::InvalidArgument, Operation::Create, name, meaning);
            let advice = "there can be 1 to 1048576 values, each of up to 16 MiB, and 1 GiB in all";
            error.with_advice(advice)
        })
    }

    // layout: L075
    fn check_names(&self, name: &Name) -> Result<()> {
        let refuse = |meaning| {
            let kind = ErrorKind::InvalidArgument;
            Err(Error::new(kind, Operation::Create, name, meaning))
        };

        let mut known = HashSet::new();
        for value in self.choices.names.iter().flatten() {
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

impl ValuesOptions {
    /// Sets the layout of each value, which the programs that open the values can read. This method
    /// is for programs that learn the layout when they run; other programs use
    /// [`typed`](ValuesOptions::typed). The layout also sets the longest value; a shorter
    /// [`max_value`](ValuesOptions::max_value) is refused.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> ValuesOptions {
        self.common.layouts = vec![layout];
        self
    }

    /// Makes each value a value of the type `T`.
    #[must_use]
    pub fn typed<T: Described>(self) -> ValuesOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> Create for Writer<M> {
    type Choices = ValuesChoices;

    fn create_with(options: &ValuesOptions<M>, name: &Name) -> Result<Writer<M>> {
        let table = options.table(name)?;
        Ok(Writer {
            core: Writing::create(&options.common, table, options.all_names(), name)?,
            messages: PhantomData,
        })
    }
}

/// The writer of values, which owns their name. There is one value, or a table of values with names
/// of their own.
///
/// A reader gets the newest whole value, and no other. Earlier values are not kept. The writer
/// never waits.
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
/// // Another program.
/// let mut reader = Reader::open(name)?;
/// let outdoors = reader.index("outdoors").unwrap();
/// assert_eq!(reader.get_at(outdoors)?, b"-3.6");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer<M: Payload + ?Sized = [u8]> {
    core: Writing,
    messages: PhantomData<fn(&M)>,
}

impl Writer {
    /// Creates a single value of bytes that the programs of this user can open.
    ///
    /// # Errors
    ///
    /// The errors of [`ValuesOptions::create`](CreateOptions::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Writer> {
        Writer::options().create(name)
    }

    /// Returns the options to create values.
    #[must_use]
    pub fn options() -> ValuesOptions {
        CreateOptions::new(ValuesChoices { names: None })
    }
}

impl<M: Payload + ?Sized> Writer<M> {
    /// Creates the next generation of the values, with other options and other values in the table,
    /// while readers are attached. Values with the same names keep their content if it fits.
    /// Readers reattach by themselves if the table still has the names of their values. The name
    /// and the access rights stay as they are.
    ///
    /// # Errors
    ///
    /// The errors of [`ValuesOptions::create`]. After an error the values are unchanged.
    pub fn resize(&mut self, options: &ValuesOptions<M>) -> Result<()> {
        let table = options.table(self.name())?;
        self.core
            .resize(&options.common, table, options.all_names())
    }

    /// Returns the number of the values' generation. The number changes with each restart of the
    /// writer, and with each [`resize`](Writer::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.segment.generation
    }

    /// Returns the name by which the values were created.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.core.segment.name()
    }

    /// Returns the length of the longest value in bytes.
    #[must_use]
    pub fn max_value(&self) -> usize {
        self.core.values.table_geometry().max()
    }

    /// Returns the names of the values. A single value has the empty name.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.core.names
    }

    /// Stores the value; of a table, the first value. Readers see the value when `set` returns.
    ///
    /// # Errors
    ///
    /// The errors of [`set_at`](Writer::set_at).
    #[inline]
    pub fn set(&mut self, value: &M) -> Result<(), SetError> {
        self.core.set_at(0, value.bytes())
    }

    /// Stores a value of a table. Readers see the value when `set_at` returns.
    ///
    /// # Errors
    ///
    /// - [`SetError::TooLong`] if the value is longer than [`max_value`](Writer::max_value).
    /// - [`SetError::Forked`] in a process that was forked from the process that created the
    ///   writer.
    /// - [`SetError::NameLost`] once, if the name of the values was removed (Linux). The value of
    ///   that call was not stored.
    ///
    /// # Panics
    ///
    /// Panics if there is no value with this index.
    #[inline]
    pub fn set_at(&mut self, index: usize, value: &M) -> Result<(), SetError> {
        self.core.set_at(index, value.bytes())
    }

    /// Returns this writer as a writer of bytes. The programs that open the values still see the
    /// type.
    #[must_use]
    pub fn into_untyped(self) -> Writer {
        Writer {
            core: self.core,
            messages: PhantomData,
        }
    }
}

impl<M: Payload + ?Sized> fmt::Debug for Writer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
