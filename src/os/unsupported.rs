//! Systems without a backend: everything compiles, and says so when it is called.

use super::{Facts, HowToCreate, HowToOpen, Listed, Protection, SectionBackend, ViewBackend};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use std::path::Path;

/// A handle of this system, if it had any that serve here.
pub type RawObject = usize;

/// Cannot exist.
#[derive(Debug)]
pub enum OwnedObject {}

/// Cannot exist.
#[derive(Debug)]
pub(crate) enum Section {}

/// Cannot exist.
#[derive(Debug)]
pub(crate) enum View {}

fn unsupported<T>(operation: Operation, subject: &dyn std::fmt::Display) -> Result<T> {
    let meaning = "shmkit has no backend for this system";
    Err(
        Error::new(ErrorKind::Unsupported, operation, subject, meaning)
            .with_advice("use Windows or Linux"),
    )
}

pub(crate) fn list() -> Result<Vec<Listed>> {
    unsupported(Operation::List, &"")
}

impl SectionBackend for Section {
    fn create(name: &Name, _len: u64, _how: HowToCreate) -> Result<Section> {
        unsupported(Operation::Create, name)
    }

    fn open(name: &Name, _how: HowToOpen) -> Result<Section> {
        unsupported(Operation::Open, name)
    }

    fn create_file(path: &Path, _len: u64, _how: HowToCreate) -> Result<Section> {
        unsupported(Operation::Create, &path.display())
    }

    fn open_file(path: &Path, _how: HowToOpen) -> Result<Section> {
        unsupported(Operation::Open, &path.display())
    }

    fn from_owned(object: OwnedObject) -> Result<(Section, Option<Name>)> {
        match object {}
    }

    fn raw(&self) -> RawObject {
        match *self {}
    }

    fn kernel_len(&self) -> Result<u64> {
        match *self {}
    }

    fn writable(&self) -> bool {
        match *self {}
    }

    fn is_reserved(&self) -> Option<bool> {
        match *self {}
    }

    fn commit(&self, _offset: u64, _len: u64) -> Result<()> {
        match *self {}
    }

    fn map(&self, _protection: Protection, _offset: u64, _len: usize) -> Result<View> {
        match *self {}
    }

    fn flush(&self, _view: &View) -> Result<()> {
        match *self {}
    }

    fn read_at(&self, _offset: u64, _to: &mut [u8]) -> Result<()> {
        match *self {}
    }

    fn facts(&self) -> Facts {
        match *self {}
    }
}

impl ViewBackend for View {
    fn as_ptr(&self) -> *mut u8 {
        match *self {}
    }

    fn len(&self) -> usize {
        match *self {}
    }

    fn is_committed(&self, _offset: usize, _len: usize) -> bool {
        match *self {}
    }

    fn prefault(&self) -> Result<()> {
        match *self {}
    }
}
