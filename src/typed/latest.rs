//! Latest values of one type.

use super::value;
use crate::error::channel::RecvError;
use crate::error::{Error, Result};
use crate::format::describe::{Described, Layout};
use crate::name::Name;
use crate::values::reader::{self, ReaderOptions};
use crate::values::writer::{self, ValuesOptions};
use crate::wait::source::{AsWait, Wait, Waitable};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The writing end of latest values, which owns their name. See [`Writer`](crate::Writer).
pub struct Writer<T> {
    endpoint: writer::Writer,
    of: PhantomData<T>,
}

impl<T: Described> Writer<T> {
    /// Creates one value for the programs of this user.
    ///
    /// # Errors
    ///
    /// As [`Writer::create`](crate::Writer::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Writer<T>> {
        Writer::from_options(writer::Writer::options(), name)
    }

    /// Creates one, or a table, with these options.
    ///
    /// # Errors
    ///
    /// As [`ValuesOptions::create`].
    pub fn from_options(
        options: ValuesOptions,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<Writer<T>> {
        Ok(Writer {
            endpoint: options.layout(Layout::of::<T>()).create(name)?,
            of: PhantomData,
        })
    }

    /// Stores the value, the first one of a table. It is there when this returns.
    #[inline]
    pub fn set(&mut self, value: &T) {
        self.set_at(0, value);
    }

    /// Stores a value of a table. It is there when this returns.
    ///
    /// # Panics
    ///
    /// Where there is no value with that index.
    #[inline]
    pub fn set_at(&mut self, index: usize, value: &T) {
        match self.endpoint.set_at(index, value.as_bytes()) {
            Ok(()) => {}
            // It was created for values of just this size, and a writer never waits.
            Err(error) => unreachable!("{error}"),
        }
    }
    /// Goes on with other measures, but those of the type; see
    /// [`Writer::resize`](crate::Writer::resize).
    ///
    /// # Errors
    ///
    /// As [`ValuesOptions::create`].
    pub fn resize(&mut self, options: ValuesOptions) -> Result<()> {
        self.endpoint.resize(&options.layout(Layout::of::<T>()))
    }
}

impl<T> Writer<T> {
    /// The end without its type, to be asked.
    #[must_use]
    pub fn as_untyped(&self) -> &writer::Writer {
        &self.endpoint
    }

    /// The end without its type, which sets any bytes. Readers are told the type still.
    #[must_use]
    pub fn into_untyped(self) -> writer::Writer {
        self.endpoint
    }
}

impl<T> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// A reading end of latest values. See [`Reader`](crate::Reader).
pub struct Reader<T> {
    endpoint: reader::Reader,
    of: PhantomData<T>,
}

impl<T: Described> Reader<T> {
    /// Opens latest values to read them. Never creates them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) where they are of another type,
    /// with the first field that differs, or of none; otherwise as
    /// [`Reader::open`](crate::Reader::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Reader<T>> {
        Reader::from_options(reader::Reader::options(), name)
    }

    /// Opens them with these options.
    ///
    /// # Errors
    ///
    /// As [`open`](Reader::open) and [`ReaderOptions::open`].
    pub fn from_options(
        options: ReaderOptions,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<Reader<T>> {
        Ok(Reader {
            endpoint: options.expect_layout(Layout::of::<T>()).open(name)?,
            of: PhantomData,
        })
    }

    /// The index of the value with that name. It stays the same.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<usize> {
        self.endpoint.index(name)
    }

    /// The newest value, the first one of a table.
    ///
    /// # Errors
    ///
    /// As [`Reader::get`](crate::Reader::get). [`RecvError::Corrupt`] too where the writer set
    /// bytes of another length.
    #[inline]
    pub fn get(&mut self) -> std::result::Result<T, RecvError> {
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
    #[inline]
    pub fn get_at(&mut self, index: usize) -> std::result::Result<T, RecvError> {
        value(self.endpoint.get_at(index))
    }

    /// The index of a value that changed, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Reader::try_change`](crate::Reader::try_change).
    pub fn try_change(&mut self) -> std::result::Result<usize, RecvError> {
        self.endpoint.try_change()
    }

    /// Waits for a value to change, and says which.
    ///
    /// # Errors
    ///
    /// As [`Reader::wait_change`](crate::Reader::wait_change).
    pub fn wait_change(&mut self) -> std::result::Result<usize, RecvError> {
        self.endpoint.wait_change()
    }

    /// Waits for a value to change, at most this long.
    ///
    /// # Errors
    ///
    /// As [`Reader::wait_change_timeout`](crate::Reader::wait_change_timeout).
    pub fn wait_change_timeout(
        &mut self,
        timeout: Duration,
    ) -> std::result::Result<usize, RecvError> {
        self.endpoint.wait_change_timeout(timeout)
    }
    /// Waits for the next writer, at most this long; see
    /// [`Reader::wait_for_writer`](crate::Reader::wait_for_writer).
    ///
    /// # Errors
    ///
    /// As [`open`](Reader::open), where there is one that does not let us in.
    pub fn wait_for_writer(&mut self, timeout: Duration) -> Result<bool> {
        self.endpoint.wait_for_writer(timeout)
    }
}

impl<T> Reader<T> {
    /// The end without its type, to be asked.
    #[must_use]
    pub fn as_untyped(&self) -> &reader::Reader {
        &self.endpoint
    }

    /// The end without its type.
    #[must_use]
    pub fn into_untyped(self) -> reader::Reader {
        self.endpoint
    }

    pub(crate) fn endpoint_mut(&mut self) -> &mut reader::Reader {
        &mut self.endpoint
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

impl<T> Waitable for Reader<T> {}

impl<T> AsWait for Reader<T> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        self.endpoint_mut()
    }
}
