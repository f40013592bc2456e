//! The backend for all other systems: everything compiles, and each call that needs the system
//! fails with `Unsupported`.

use super::{
    EventBackend, Facts, Finding, GateBackend, Health, Holders, HowToCreate, HowToOpen, Kind,
    Listed, LivesBackend, MutexBackend, ObjectBackend, ObjectInfo, Occupant, ParkPlace,
    ParkerBackend, ProcessBackend, ProcessIdentity, Protection, Reset, SectionBackend, Taken,
    ViewBackend, WaitHandleBackend, Wake, Woken,
};
use crate::access::Access;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use super::unforked::{Validity, nameless, objects_folder};

pub(crate) fn account_name(owner: &str) -> String {
    owner.to_string()
}

/// A placeholder for the raw handle of a system. This system has no handles that serve here.
pub type RawObject = usize;

/// A handle that is closed when it is dropped. No value of this type exists.
#[derive(Debug)]
pub enum OwnedObject {}

/// A section. No value of this type exists.
#[derive(Debug)]
pub(crate) enum Section {}

/// A view. No value of this type exists.
#[derive(Debug)]
pub(crate) enum View {}

/// An event. No value of this type exists.
#[derive(Debug)]
pub(crate) enum Event {}

/// A mutex. No value of this type exists.
#[derive(Debug)]
pub(crate) enum Mutex {}

/// A process. No value of this type exists.
#[derive(Debug)]
pub(crate) enum Process {}

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

pub(crate) fn clean() -> Result<Vec<String>> {
    unsupported(Operation::List, &"")
}

pub(crate) fn findings() -> Vec<Finding> {
    let says = "shmkit has no backend for it";
    let finding = Finding::new("system", Health::Bad, says);
    vec![finding.advise("use Windows or Linux")]
}

pub(crate) fn holders(_object: RawObject) -> Result<Holders> {
    unsupported(Operation::Inspect, &"")
}

impl ObjectBackend for Section {
    fn raw(&self) -> RawObject {
        match *self {}
    }

    fn info(&self) -> ObjectInfo {
        match *self {}
    }
}

impl ObjectBackend for Event {
    fn raw(&self) -> RawObject {
        match *self {}
    }

    fn info(&self) -> ObjectInfo {
        match *self {}
    }
}

impl ObjectBackend for Mutex {
    fn raw(&self) -> RawObject {
        match *self {}
    }

    fn info(&self) -> ObjectInfo {
        match *self {}
    }
}

impl EventBackend for Event {
    fn create(name: &Name, _reset: Reset, _how: &HowToCreate) -> Result<Event> {
        unsupported(Operation::Create, name)
    }

    fn open(name: &Name, _how: &HowToOpen) -> Result<Event> {
        unsupported(Operation::Open, name)
    }

    fn reset_mode(&self) -> Option<Reset> {
        match *self {}
    }

    fn is_set(&self) -> Option<bool> {
        match *self {}
    }

    fn writable(&self) -> bool {
        match *self {}
    }

    fn set(&self) -> Result<()> {
        match *self {}
    }

    fn reset(&self) -> Result<()> {
        match *self {}
    }

    fn signal(&self) -> Result<Signal> {
        match *self {}
    }

    fn wait(&self, _peers: &[&Process], _timeout: Option<Duration>) -> Result<Wake> {
        match *self {}
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Lives;

impl LivesBackend for Lives {
    type Life = ();

    fn of(_section: &Arc<Section>) -> Result<Lives> {
        unsupported(Operation::Watch, &"a participant")
    }

    fn take(&self, _number: usize, _word: u64) -> Result<Option<()>> {
        unsupported(Operation::Watch, &"a participant")
    }

    fn has_ended(&self, _number: usize, _word: u64) -> Result<bool> {
        unsupported(Operation::Watch, &"a participant")
    }

    fn is_ending(&self, _occupant: Occupant) -> bool {
        false
    }

    fn is_of_same_section(&self, _other: &Lives) -> bool {
        true
    }

    fn watch(&self, _number: usize, _occupant: Occupant) -> Result<Option<Process>> {
        unsupported(Operation::Watch, &"a participant")
    }
}

#[derive(Debug)]
pub(crate) enum Parker {}

impl ParkerBackend for Parker {
    const MAX_PEERS: usize = 0;

    fn create(_word: ParkPlace, event: &Name, _access: &Access) -> Result<Parker> {
        unsupported(Operation::Create, event)
    }

    fn open(_word: ParkPlace, event: &Name) -> Result<Option<Parker>> {
        unsupported(Operation::Open, event)
    }

    fn unpark(&self) {
        match *self {}
    }

    fn signal(&self) -> Result<Signal> {
        match *self {}
    }

    fn park(&self, _peers: &[&Process], _timeout: Duration) -> Result<Wake> {
        match *self {}
    }
}

impl MutexBackend for Mutex {
    fn create(name: &Name, _taken: bool, _how: &HowToCreate) -> Result<Mutex> {
        unsupported(Operation::Create, name)
    }

    fn open(name: &Name, _how: &HowToOpen) -> Result<Mutex> {
        unsupported(Operation::Open, name)
    }

    fn lock(&self, _timeout: Option<Duration>) -> Result<Option<Taken>> {
        match *self {}
    }

    fn unlock(&self) {
        match *self {}
    }

    fn is_taken(&self) -> Option<bool> {
        match *self {}
    }

    fn owner(&self) -> Option<u32> {
        match *self {}
    }

    fn watch_owner(self) -> Result<Process> {
        match self {}
    }
}

impl ProcessBackend for Process {
    const MAY_BE_CLOSED: bool = false;

    fn current() -> Result<ProcessIdentity> {
        unsupported(Operation::Watch, &"this process")
    }

    fn identify(pid: u32) -> Result<ProcessIdentity> {
        unsupported(Operation::Watch, &format!("process {pid}"))
    }

    fn watch(identity: ProcessIdentity) -> Result<Process> {
        unsupported(Operation::Watch, &format!("process {}", identity.pid))
    }

    fn raw(&self) -> Option<RawObject> {
        match *self {}
    }

    fn image(_pid: u32) -> Option<String> {
        None
    }

    fn user(_pid: u32) -> Option<String> {
        None
    }

    fn started(_start: u64) -> Option<std::time::SystemTime> {
        None
    }

    fn signal(&self) -> Result<Signal> {
        match *self {}
    }

    fn wait(&self, _timeout: Option<Duration>) -> Result<bool> {
        match *self {}
    }
}

/// A signal. No value of this type exists.
#[derive(Clone, Debug)]
pub(crate) enum Signal {}

impl Signal {
    pub fn is_taken(&self) -> bool {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Gate {}

#[derive(Debug)]
pub(crate) enum WaitHandle {}

pub(crate) const MOST_SIGNALS: usize = 2;

pub(crate) fn wait_any(_: &[Signal], _until: Option<Instant>, _input: bool) -> Result<Woken> {
    unsupported(Operation::Wait, &"several things")
}

impl GateBackend for Gate {
    fn new() -> Result<Gate> {
        unsupported(Operation::Create, &"a gate")
    }

    fn open(&self) {
        match *self {}
    }

    fn signal(&self) -> Signal {
        match *self {}
    }
}

impl WaitHandleBackend for WaitHandle {
    const IS_TAKEN: bool = false;

    fn new(object: OwnedObject) -> WaitHandle {
        match object {}
    }

    fn object(&self) -> &OwnedObject {
        match *self {}
    }

    fn try_wait(&self) -> Result<bool> {
        match *self {}
    }

    fn signal(&self) -> Result<Signal> {
        match *self {}
    }
}

impl SectionBackend for Section {
    fn create(name: &Name, _len: u64, _how: &HowToCreate) -> Result<Section> {
        unsupported(Operation::Create, name)
    }

    fn open(name: &Name, _how: &HowToOpen) -> Result<Section> {
        unsupported(Operation::Open, name)
    }

    fn create_file(path: &Path, _len: u64, _how: &HowToCreate) -> Result<Section> {
        unsupported(Operation::Create, &path.display())
    }

    fn open_file(path: &Path, _how: &HowToOpen) -> Result<Section> {
        unsupported(Operation::Open, &path.display())
    }

    fn from_owned(object: OwnedObject) -> Result<(Section, Option<Name>)> {
        match object {}
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

    fn companion_access(&self, _kind: Kind) -> Result<Access> {
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

    fn remove_name(&self) -> Result<bool> {
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

pub(crate) fn resolved(access: &Access) -> Result<Access> {
    Ok(access.clone())
}

pub(crate) fn check_name(_name: &Name) -> Result<()> {
    Ok(())
}

pub(crate) fn has_several_processors() -> bool {
    true
}
