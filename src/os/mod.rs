//! What a backend owes. Each one is a folder with the same types; nothing above
//! this module knows which system it runs on.
//!
//! - A [`SectionBackend`] is one handle of one section. Creating is exclusive:
//!   what exists already, with living holders, is `AlreadyExists`, never handed
//!   out. Opening never creates.
//! - The object lives as long as anybody holds a handle, in any process, and is
//!   gone with the last, however that ended. A new section is all zero and
//!   appears under its name whole, or not at all.
//! - Handles do not reach child processes unless that was asked for.
//! - A [`ViewBackend`] is mapped memory: any offset, any length, unmapped when
//!   dropped. Ranges are checked by the caller against
//!   [`kernel_len`](SectionBackend::kernel_len), so a refusal by the system is
//!   about access.
//! - Errors carry the system's code, taken on the line of the call, and say what
//!   it means at that place.
//! - [`list`] names what can be opened here.

use crate::error::Result;
use crate::name::Name;
use std::path::Path;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as backend;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as backend;

#[cfg(not(any(windows, target_os = "linux")))]
#[allow(dead_code, reason = "what cannot exist is not looked at")]
mod unsupported;
#[cfg(not(any(windows, target_os = "linux")))]
use unsupported as backend;

pub use backend::{OwnedObject, RawObject};
pub(crate) use backend::{Section, View, list};

/// How a section is created.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HowToCreate {
    /// Reserve addresses only; memory is committed later, by range.
    pub reserve: bool,
    /// Children of this process inherit the handle.
    pub inheritable: bool,
}

/// How a section is opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HowToOpen {
    /// Ask for the right to write as well.
    pub write: bool,
    /// Children of this process inherit the handle.
    pub inheritable: bool,
}

/// What a view may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    ReadOnly,
    ReadWrite,
    CopyOnWrite,
}

/// Where the bytes of a section live.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Memory (the paging file, `/dev/shm`); gone with the last holder.
    Memory,
    /// A file that stays.
    File,
    /// An executable image; Windows only, never made by this crate.
    Image,
    /// A POSIX object that somebody else made; it stays until it is unlinked.
    Posix,
}

/// What the system tells about a section; `None` where it refused to tell.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub owner: Option<String>,
    pub access: Option<String>,
    pub backing: Option<Backing>,
    pub path: Option<String>,
}

/// A section that [`list`](crate::list) found.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name that opens it: `Global\X`, `Local\X`, or `/X` for a POSIX object
    /// (Linux). Names that are not Unicode are left out on Linux, and shown with
    /// replacement characters on Windows.
    pub name: String,
    /// Its bytes, as the kernel counts them; `None` where this account may not
    /// look.
    pub len: Option<u64>,
    /// Its owner, as in [`SectionInfo`](crate::SectionInfo).
    pub owner: Option<String>,
}

pub(crate) trait SectionBackend: Sized {
    fn create(name: &Name, len: u64, how: HowToCreate) -> Result<Self>;
    fn open(name: &Name, how: HowToOpen) -> Result<Self>;
    /// Makes the file, which must not exist, with `len` zero bytes.
    fn create_file(path: &Path, len: u64, how: HowToCreate) -> Result<Self>;
    /// Opens a file that exists, with its present length.
    fn open_file(path: &Path, how: HowToOpen) -> Result<Self>;
    /// Takes over a handle, and says under which name it can be found, if any.
    fn from_owned(object: OwnedObject) -> Result<(Self, Option<Name>)>;
    fn raw(&self) -> RawObject;
    /// The bytes that can be mapped: never less than asked for, and on Windows
    /// rounded up to pages.
    fn kernel_len(&self) -> Result<u64>;
    fn writable(&self) -> bool;
    /// Whether parts of it may be uncommitted; `None` where that is not told.
    fn is_reserved(&self) -> Option<bool>;
    fn commit(&self, offset: u64, len: u64) -> Result<()>;
    /// `len` is not zero, and the range lies within `kernel_len`.
    fn map(&self, protection: Protection, offset: u64, len: usize) -> Result<View>;
    /// Returns when the file behind a file-backed section has the view's changes.
    fn flush(&self, view: &View) -> Result<()>;
    /// Copies bytes without a lasting view; uncommitted memory reads as zero.
    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<()>;
    fn facts(&self) -> Facts;
}

pub(crate) trait ViewBackend {
    fn as_ptr(&self) -> *mut u8;
    fn len(&self) -> usize;
    /// Whether all of the range, which lies in the view, may be touched.
    fn is_committed(&self, offset: usize, len: usize) -> bool;
    fn prefault(&self) -> Result<()>;
}

/// Fails to compile where a backend lacks a part.
const _: fn() = || {
    fn complete<S: SectionBackend, V: ViewBackend>(_list: fn() -> Result<Vec<Listed>>) {}
    complete::<Section, View>(list);
};
