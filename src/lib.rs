//! Named shared memory for programs that talk on one machine, on Windows and
//! Linux, with the rules of the Windows kernel on both.
//!
//! A *message server* creates a named [`Section`], maps it and writes; *message
//! consumers* open it by name, map it and read:
//!
//! ```
//! use shmkit::Section;
//!
//! // The server. Nobody but this user gets in.
//! # let name = format!("Local\\shmkit-doc-{}", std::process::id());
//! # let name = name.as_str();
//! // let name = "Local\\MyFileMappingObject";
//! let section = Section::create_new(name, 256)?;
//! section.map_rw(..)?.write(0, b"Message from first process.\0")?;
//!
//! // A consumer, in any other process. It cannot create, and it cannot write.
//! let view = Section::open(name)?.map(..)?;
//! let mut text = [0; 27];
//! view.read(0, &mut text)?;
//! assert_eq!(&text, b"Message from first process.");
//! # Ok::<(), shmkit::Error>(())
//! ```
//!
//! # What holds, on every system
//!
//! - The section lives as long as anybody holds it: a [`Section`] or a [`Mapping`]
//!   in any process. It is gone with the last, also when that was killed, and its
//!   name is then free at once. Nothing is left behind that matters.
//! - Creating never hands out what exists, opening never creates, and reading
//!   asks for no right to write.
//! - A new section is all zero bytes and belongs to this user alone, unless its
//!   [`Access`] says otherwise.
//! - Beside sections stand [`Event`]s and [`Mutex`]es, with the same names and the same
//!   lifetime. A mutex tells when its owner died, and a wait for an event can watch a
//!   [`Process`] too; nothing is polled.
//! - What other processes wrote is never believed: every range is checked, and no
//!   `&[u8]` points into memory that somebody else may be writing.
//! - An [`Error`] says what was asked, on which name, the system's code, what that
//!   most probably means here, and what to do.
//!
//! What the two systems do differently stands under "Platform notes" at each
//! item and, in one table, in `docs/platform.md`.

#![warn(clippy::cast_lossless)]

mod access;
mod doctor;
mod error;
mod event;
mod mapping;
mod mutex;
mod name;
mod options;
mod os;
mod process;
mod section;
mod stat;
mod sync;

pub use access::{Access, Owner};
pub use doctor::doctor;
pub use error::{Error, ErrorKind, Operation, Result};
pub use event::{Event, EventOptions};
pub use mapping::{CopyOnWrite, Mapping, Mode, ReadOnly, ReadWrite, Writable};
pub use mutex::{Locked, Mutex, MutexGuard, MutexOptions};
pub use name::{Name, Scope};
pub use options::{Options, Origin};
pub use os::{
    Backing, Finding, Grant, Health, Holder, Holders, Kind, Listed, ObjectInfo, OwnedObject,
    ProcessIdentity, RawObject, Reset, Wake,
};
pub use process::{Liveness, Process};
pub use section::{Section, SectionInfo, SectionOptions};
pub use stat::{clean, holders, list};
pub use sync::ReadCell;
pub use zerocopy;
