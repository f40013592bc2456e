//! A named section: create, open, size, map.

use crate::access::Access;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::object::mapping::{CopyOnWrite, Mapping, Mode, ReadOnly, ReadWrite};
use crate::object::options::{Options, Origin, open_or_create};
use crate::os::{
    self, Backing, Kind, LivesBackend, ObjectBackend, ObjectInfo, OwnedObject, Protection,
    RawObject, SectionBackend,
};
use crate::sync::{AtLeast, Fixed, Window, WindowMut};
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;

/// The options to create or open a [`Section`].
pub type SectionOptions = Options<Section>;

/// A handle of a named section: memory that is shared by all processes that open the name.
///
/// The section and its name live until the last [`Section`] and the last [`Mapping`] of the section
/// are dropped, or their processes end.
///
/// Names are given as `&str` or [`Name`].
///
/// # Platform notes
///
/// On Windows a section is a section object of the kernel, backed by the paging file ("file mapping
/// object"). On Linux a section is a file in `/dev/shm` (see [`Name`] for the name of the file),
/// and its holders keep a shared `flock` on the file. A POSIX object that another program made with
/// `shm_open("/X")` is opened as `/X`. The crate does not change the object, which keeps its own
/// lifetime.
pub struct Section {
    os: Arc<os::Section>,
    name: Option<Name>,
    subject: Arc<str>,
    requested: Option<u64>,
}

/// The facts that the system reports about a section. A field is `None` if the system does not
/// report it.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct SectionInfo {
    /// The number of bytes that the creator asked for; only the creator's handle has it.
    pub requested_len: Option<u64>,
    /// The number of bytes that the kernel holds for the section.
    pub kernel_len: u64,
    /// Whether parts of the section may be uncommitted.
    pub reserved: Option<bool>,
    /// Where the bytes of the section live.
    pub backing: Option<Backing>,
    /// Other facts: `SEC_COMMIT` and similar flags on Windows, the allocated memory on Linux.
    pub attributes: Option<String>,
    /// The owner, the access list and the path of the section.
    pub object: ObjectInfo,
}

impl Section {
    /// Creates a section of `len` zero bytes for this user alone, and commits its memory.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::AlreadyExists`]: a process holds a section of this name, of any size (never
    ///   `Ok` as in Win32), or a stale file of another user has the name and may not be read
    ///   (Linux).
    /// - [`ErrorKind::WrongKind`]: the name belongs to another kind of object.
    /// - [`ErrorKind::WrongOwner`]: a stale file of another user has the name (Linux).
    /// - [`ErrorKind::PrivilegeMissing`]: the name is in `Global\` and this process may not create
    ///   there (Windows), or the access names a group that this process is not in (Linux).
    /// - [`ErrorKind::NoSpace`]: the system has not enough memory.
    /// - [`ErrorKind::InvalidName`]: the system cannot have an object of this name.
    /// - [`ErrorKind::InvalidArgument`]: `len` is 0, or more than the system can have.
    /// - [`ErrorKind::Busy`]: other processes create and close the name all the time.
    ///
    /// # Platform notes
    ///
    /// On Linux a child process has copies of all descriptors from its fork until its program is
    /// loaded. A section that is closed meanwhile lives until then. A call that creates a section
    /// of the same name again waits for up to 10 ms.
    pub fn create_new(name: impl TryInto<Name, Error: Into<Error>>, len: u64) -> Result<Section> {
        SectionOptions::new().create(Name::checked(name)?, len)
    }

    /// Opens a section for reading. Never creates a section.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::NotFound`]: no process holds a section of this name.
    /// - [`ErrorKind::AccessDenied`]: the owner does not let this account read the section.
    /// - [`ErrorKind::WrongKind`]: the name belongs to another kind of object.
    /// - [`ErrorKind::WrongOwner`]: another user has put a file at a name of this session (Linux).
    /// - [`ErrorKind::Busy`]: another process keeps the file locked (Linux).
    /// - [`ErrorKind::InvalidName`]: the system cannot have an object of this name.
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Section> {
        SectionOptions::new().open(name)
    }

    /// Opens a section for reading and writing. Never creates a section.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Section::open).
    pub fn open_rw(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Section> {
        SectionOptions::new().write(true).open(name)
    }

    /// Opens a section for reading and writing, or creates a section of `len` bytes. Returns which
    /// of the two happened.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::OutOfBounds`]: the section exists with fewer than `len` bytes.
    /// - The errors of [`open`](Section::open) and [`create_new`](Section::create_new).
    pub fn open_or_create(
        name: impl TryInto<Name, Error: Into<Error>>,
        len: u64,
    ) -> Result<(Section, Origin)> {
        SectionOptions::new().open_or_create(name, len)
    }

    /// Returns options to create and open sections in other ways.
    #[must_use]
    pub fn options() -> SectionOptions {
        SectionOptions::new()
    }

    /// Takes over a handle (Windows) or descriptor (Linux), for example one that this process
    /// inherited; see [`SectionOptions::inheritable`]. Closes it on failure.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::WrongKind`]: the object is not a section.
    /// - [`ErrorKind::InvalidArgument`]: the object was opened for writing only.
    pub fn from_owned(object: OwnedObject) -> Result<Section> {
        let (section, name) = os::Section::from_owned(object)?;
        let subject = match &name {
            Some(name) => name.as_str().into(),
            None => "an inherited section".into(),
        };
        Ok(Section {
            os: Arc::new(section),
            name,
            subject,
            requested: None,
        })
    }

    /// Returns the handle (Windows) or descriptor (Linux), which the section still owns.
    #[must_use]
    pub fn as_raw(&self) -> RawObject {
        self.os.raw()
    }

    /// Returns the name by which the section was created or opened; `None` for a file.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// Returns the number of usable bytes: for the creator's handle the number that was asked for,
    /// for other handles the number that the kernel holds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`]: the system does not report the length of a file or POSIX object,
    /// which may change.
    ///
    /// # Platform notes
    ///
    /// Windows rounds a section up to pages and does not keep the number that was asked for: a
    /// section of 256 bytes has 256 for its creator, and 4096 for all others. On Linux the section
    /// has 256 bytes for all.
    #[expect(clippy::len_without_is_empty, reason = "a section is never empty")]
    pub fn len(&self) -> Result<u64> {
        match self.requested {
            // A file may have become smaller since.
            Some(len) => Ok(len.min(self.os.kernel_len()?)),
            None => self.os.kernel_len(),
        }
    }

    /// Returns the facts that the system reports about the section.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`]: the system does not report the length of a file or POSIX object.
    pub fn info(&self) -> Result<SectionInfo> {
        let facts = self.os.facts();
        Ok(SectionInfo {
            requested_len: self.requested,
            kernel_len: self.os.kernel_len()?,
            reserved: self.os.is_reserved(),
            backing: facts.backing,
            attributes: facts.attributes,
            object: facts.object,
        })
    }

    /// Returns whether the section was opened for writing.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.os.writable()
    }

    /// Maps a range for reading, at any offset and of any length: `map(..)`, `map(4096..8192)`.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::OutOfBounds`]: the range reaches beyond [`len`](Section::len), or beyond the
    ///   addresses of a 32-bit process.
    /// - [`ErrorKind::InvalidArgument`]: the range is empty.
    /// - [`ErrorKind::NoSpace`]: memory or address space is exhausted.
    pub fn map(&self, range: impl RangeBounds<u64>) -> Result<Mapping<ReadOnly>> {
        self.map_as(&range)
    }

    pub(crate) fn os(&self) -> &os::Section {
        &self.os
    }

    /// Returns the name of the section in error messages.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns the lives of the participants of this section.
    pub(crate) fn lives(&self) -> Result<os::Lives> {
        os::Lives::of(&self.os)
    }

    /// Returns the first `LEN` bytes as words. The words keep the section alive.
    pub(crate) fn words<const LEN: usize>(&self) -> Result<Window<Fixed<LEN>>> {
        let view = Arc::new(self.map(..LEN as u64)?);
        Ok(view.window(0, LEN)?.part(0))
    }

    /// Returns the first `LEN` bytes as writable words. The words keep the section alive.
    pub(crate) fn words_mut<const LEN: usize>(&self) -> Result<WindowMut<Fixed<LEN>>> {
        let view = Arc::new(self.map_rw(..LEN as u64)?);
        Ok(view.window_mut(0, LEN)?.part(0))
    }

    /// Returns the first `len` bytes as words; `len` is a multiple of 8 and at least `MIN`.
    pub(crate) fn words_from<const MIN: usize>(&self, len: usize) -> Result<Window<AtLeast<MIN>>> {
        let view = Arc::new(self.map(..len as u64)?);
        Ok(view.window(0, len)?.at_least())
    }

    /// Returns the first `len` bytes as writable words; `len` is a multiple of 8 and at least `MIN`.
    pub(crate) fn words_from_mut<const MIN: usize>(
        &self,
        len: usize,
    ) -> Result<WindowMut<AtLeast<MIN>>> {
        let view = Arc::new(self.map_rw(..len as u64)?);
        Ok(view.window_mut(0, len)?.at_least())
    }

    /// Maps a range for reading and writing.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::ReadOnly`]: the section was opened for reading.
    /// - The errors of [`map`](Section::map).
    pub fn map_rw(&self, range: impl RangeBounds<u64>) -> Result<Mapping<ReadWrite>> {
        self.map_as(&range)
    }

    /// Maps a range for reading, and for writes that only this view sees.
    ///
    /// # Errors
    ///
    /// The errors of [`map`](Section::map).
    pub fn map_copy_on_write(&self, range: impl RangeBounds<u64>) -> Result<Mapping<CopyOnWrite>> {
        self.map_as(&range)
    }

    /// Commits a range of a reserved section, for every process and for good. Committed pages keep
    /// their content.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::NoSpace`]: there is not enough memory. It is allocated now, not when a page
    ///   is accessed.
    /// - [`ErrorKind::OutOfBounds`]: the range reaches beyond the section.
    /// - [`ErrorKind::ReadOnly`]: the section was opened for reading.
    pub fn commit(&self, range: impl RangeBounds<u64>) -> Result<()> {
        let (offset, len) = self.resolve(Operation::Commit, &range)?;
        self.check_writable(Operation::Commit)?;
        self.os.commit(offset, len)
    }

    /// Returns the access for an event or a mutex that belongs to this section.
    pub(crate) fn companion_access(&self, kind: Kind) -> Result<Access> {
        self.os.companion_access(kind)
    }

    /// Copies `to.len()` bytes out, beginning at `offset`, without a lasting view. Use it to look
    /// into a section once: uncommitted memory reads as zero and stays uncommitted. If the owner
    /// shrinks the section, the call returns an error, and does not fault.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::OutOfBounds`]: the range reaches beyond the section.
    /// - The errors of [`map`](Section::map).
    pub fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<()> {
        if to.is_empty() {
            return Ok(());
        }
        let end = offset.saturating_add(to.len() as u64);
        self.resolve(Operation::Read, &(offset..end))?;
        self.os.read_at(offset, to)
    }

    fn map_as<M: Mode>(&self, range: &impl RangeBounds<u64>) -> Result<Mapping<M>> {
        let protection = Mapping::<M>::PROTECTION;
        let (offset, len) = self.resolve(Operation::Map, range)?;
        if protection == Protection::ReadWrite {
            self.check_writable(Operation::Map)?;
        }

        let Some(len) = usize::try_from(len)
            .ok()
            .filter(|len| isize::try_from(*len).is_ok())
        else {
            let meaning = format!("{len} bytes do not fit into the addresses of this process");
            let error = self.error(ErrorKind::OutOfBounds, Operation::Map, meaning);
            return Err(error.with_advice("map a part"));
        };

        let view = self.os.map(protection, offset, len)?;
        Ok(Mapping::new(
            view,
            Arc::clone(&self.os),
            Arc::clone(&self.subject),
        ))
    }

    /// Returns offset and length of a range that lies in the section and is not empty.
    fn resolve(&self, operation: Operation, range: &impl RangeBounds<u64>) -> Result<(u64, u64)> {
        let size = self.len()?;
        let start = match range.start_bound() {
            Bound::Included(at) => Some(*at),
            Bound::Excluded(at) => at.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let end = match range.end_bound() {
            Bound::Included(at) => at.checked_add(1),
            Bound::Excluded(at) => Some(*at),
            Bound::Unbounded => Some(size),
        };

        let (Some(start), Some(end)) = (start, end) else {
            let meaning = "the range reaches beyond the last 64-bit offset".to_string();
            return Err(self.error(ErrorKind::OutOfBounds, operation, meaning));
        };

        if start > size || end > size {
            let meaning = format!("bytes {start} to {end} reach beyond a section of {size} bytes");
            let error = self.error(ErrorKind::OutOfBounds, operation, meaning);
            return Err(error.with_advice("ask for a range inside it; .. is all of it"));
        }
        if start >= end {
            let meaning = match size {
                0 => "it has no bytes yet".to_string(),
                _ => format!("the range from {start} to {end} is empty"),
            };
            return Err(self.error(ErrorKind::InvalidArgument, operation, meaning));
        }
        Ok((start, end - start))
    }

    fn check_writable(&self, operation: Operation) -> Result<()> {
        if self.os.writable() {
            return Ok(());
        }
        let meaning = "it was opened for reading only".to_string();
        let error = self.error(ErrorKind::ReadOnly, operation, meaning);
        Err(error.with_advice("open it for writing (open_rw, SectionOptions::write)"))
    }

    fn error(&self, kind: ErrorKind, operation: Operation, meaning: String) -> Error {
        Error::new(kind, operation, &self.subject, meaning)
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section")
            .field("name", &self.subject)
            .field("len", &self.len().ok())
            .field("writable", &self.is_writable())
            .finish_non_exhaustive()
    }
}

impl SectionOptions {
    /// Opens sections for writing too. A created section can always be written.
    #[must_use]
    pub fn write(self, on: bool) -> SectionOptions {
        self.set_write(on)
    }

    /// Opens only sections with at least this many bytes, and fails with [`ErrorKind::OutOfBounds`]
    /// for smaller ones. The kernel's number of bytes counts: on Windows whole pages.
    #[must_use]
    pub fn expect_len(mut self, len: u64) -> SectionOptions {
        self.min_len = len;
        self
    }

    /// Reserves the size only. [`Section::commit`] then gets memory for parts of the section.
    /// Committed memory cannot be given back.
    ///
    /// # Platform notes
    ///
    /// On Windows an access to uncommitted memory is an error ([`ErrorKind::NotCommitted`]). Linux
    /// allocates memory when a page is accessed, and ends the process (SIGBUS) if no memory is
    /// left: commit first.
    #[must_use]
    pub fn reserve(mut self, on: bool) -> SectionOptions {
        self.create.reserve = on;
        self
    }

    /// Creates a section; see [`Section::create_new`].
    ///
    /// # Errors
    ///
    /// The errors of [`Section::create_new`].
    pub fn create_new(
        &self,
        name: impl TryInto<Name, Error: Into<Error>>,
        len: u64,
    ) -> Result<Section> {
        self.create(Name::checked(name)?, len)
    }

    /// Opens a section; see [`Section::open`].
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::WrongOwner`]: the section does not belong to the expected owner.
    /// - [`ErrorKind::OutOfBounds`]: the section has fewer bytes than expected.
    /// - The errors of [`Section::open`].
    pub fn open(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Section> {
        self.open_checked(Name::checked(name)?)
    }

    /// Opens a section for reading and writing, or creates a section; see
    /// [`Section::open_or_create`].
    ///
    /// # Errors
    ///
    /// The errors of [`Section::open_or_create`].
    pub fn open_or_create(
        &self,
        name: impl TryInto<Name, Error: Into<Error>>,
        len: u64,
    ) -> Result<(Section, Origin)> {
        let name = Name::checked(name)?;
        check_len(&name, len)?;
        let enough = len.max(self.min_len);
        let options = self.clone().write(true).expect_len(enough);
        open_or_create(
            &name,
            || options.open_checked(name.clone()),
            || options.create(name.clone(), len),
        )
    }

    /// Creates a file of `len` zero bytes, which must not exist, and makes the file a section
    /// without a name. All processes that open the file share the section. The file stays when
    /// these processes have ended.
    ///
    /// ```
    /// # let path = std::env::temp_dir().join(format!("shmkit-doc-{}", std::process::id()));
    /// use shmkit::{ErrorKind, Section};
    ///
    /// let section = match Section::options().write(true).open_file(&path) {
    ///     Err(missing) if missing.kind() == ErrorKind::NotFound => {
    ///         Section::options().create_new_file(&path, 4096)?
    ///     }
    ///     section => section?,
    /// };
    /// let view = section.map_rw(..)?;
    /// view.write(0, b"still here tomorrow")?;
    /// view.flush()?;
    /// # drop((view, section));
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), shmkit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::AlreadyExists`]: the file exists.
    /// - [`ErrorKind::NotFound`]: the folder does not exist.
    /// - [`ErrorKind::AccessDenied`]: this account may not create files in the folder.
    /// - [`ErrorKind::NoSpace`]: the file system is full.
    /// - [`ErrorKind::InvalidArgument`]: `len` is 0, or more than the system can have.
    /// - [`ErrorKind::Unsupported`]: the options have an [`Access`], which is for named objects: a
    ///   file has mode 0600 on Linux, and the access list of its folder on Windows.
    pub fn create_new_file(&self, path: impl AsRef<Path>, len: u64) -> Result<Section> {
        let path = path.as_ref();
        check_len(&path.display(), len)?;
        if self.create.access != Access::SameUser {
            let meaning = "the file system decides which accounts may use a file";
            let kind = ErrorKind::Unsupported;
            let error = Error::new(kind, Operation::Create, &path.display(), meaning);
            return Err(
                error.with_advice("leave out the access, and set the permissions of the file")
            );
        }
        let os = os::Section::create_file(path, len, &self.create)?;
        Ok(Section::unnamed(os, path, Some(len)))
    }

    /// Makes an existing file a section, with the length of the file.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::NotFound`]: the file does not exist.
    /// - [`ErrorKind::AccessDenied`]: this account may not open the file.
    /// - [`ErrorKind::WrongKind`]: the path names something else than a file.
    /// - [`ErrorKind::OutOfBounds`]: the file is empty.
    pub fn open_file(&self, path: impl AsRef<Path>) -> Result<Section> {
        let path = path.as_ref();
        let os = os::Section::open_file(path, &self.open)?;
        Section::unnamed(os, path, None).at_least(self.min_len)
    }

    fn open_checked(&self, name: Name) -> Result<Section> {
        let os = os::Section::open(&name, &self.open)?;
        Section::named(os, name, None).at_least(self.min_len)
    }

    fn create(&self, name: Name, len: u64) -> Result<Section> {
        check_len(&name, len)?;
        let os = os::Section::create(&name, len, &self.create)?;
        Ok(Section::named(os, name, Some(len)))
    }
}

impl Section {
    fn named(os: os::Section, name: Name, requested: Option<u64>) -> Section {
        Section {
            os: Arc::new(os),
            subject: name.as_str().into(),
            name: Some(name),
            requested,
        }
    }

    fn unnamed(os: os::Section, path: &Path, requested: Option<u64>) -> Section {
        Section {
            os: Arc::new(os),
            name: None,
            subject: path.display().to_string().into(),
            requested,
        }
    }

    fn at_least(self, len: u64) -> Result<Section> {
        let size = self.os.kernel_len()?;
        if size >= len {
            return Ok(self);
        }
        let meaning = format!("it exists with {size} bytes, fewer than the {len} asked for");
        let error = self.error(ErrorKind::OutOfBounds, Operation::Open, meaning);
        Err(error.with_advice("stop the program that holds it, or use another name"))
    }
}

/// Refuses a length that no section can have. "An attempt to map a file with a length of 0 (zero)
/// fails" (CreateFileMappingW); both systems count in signed 64 bits.
fn check_len(subject: &dyn fmt::Display, len: u64) -> Result<()> {
    let meaning = match len {
        0 => "a section has at least one byte",
        _ if i64::try_from(len).is_err() => "a section has fewer than 2^63 bytes",
        _ => return Ok(()),
    };
    let error = Error::new(
        ErrorKind::InvalidArgument,
        Operation::Create,
        subject,
        meaning,
    );
    Err(error.with_advice("choose another size"))
}
