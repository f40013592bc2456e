//! What a backend owes. Each one is a folder with the same types; nothing above
//! this module knows which system it runs on.
//!
//! - A [`SectionBackend`] is one handle of one section. Creating is exclusive:
//!   what exists already, with living holders, is `AlreadyExists`, never handed
//!   out. Opening never creates.
//! - The object lives as long as anybody holds a handle, in any process, and is
//!   gone with the last, however that ended. A new section is all zero and
//!   appears under its name whole, or not at all.
//! - Sections, events and mutexes share one namespace: a name that is held by one
//!   kind is `WrongKind` for the others. What is opened is checked for its kind,
//!   and for its owner where one is expected, before a byte of it is read.
//! - Handles do not reach child processes unless that was asked for.
//! - A [`ViewBackend`] is mapped memory: any offset, any length, unmapped when
//!   dropped. Ranges are checked by the caller against
//!   [`kernel_len`](SectionBackend::kernel_len), so a refusal by the system is
//!   about access.
//! - An [`EventBackend`] and a [`MutexBackend`] wait without using the processor. A
//!   wait sees the death of a process at once; a mutex sees that of its owner.
//! - What is waited for has a [`Signal`], and [`wait_any`] waits for several, up to
//!   [`MOST_SIGNALS`], the first that has happened in their order. A signal that one waiter
//!   takes, as that of an auto-reset event, is taken of the one that it tells, and of no other.
//!   A [`GateBackend`] is a signal of a process to itself, a [`WaitHandleBackend`] one of somebody
//!   else's.
//! - A [`ProcessBackend`] is one process for good: another one that gets its number
//!   later is never taken for it.
//! - Errors carry the system's code, taken on the line of the call, and say what
//!   it means at that place.
//! - [`list`] names what can be opened here, [`holders`] who has it, [`clean`] removes
//!   what the dead left, [`findings`] tells what this account may do.
//!   `account_name` is the owner of a [`Listed`] for people. [`check_name`] refuses what no object
//!   can be called.
//!   [`has_several_processors`] is about the machine, whatever this thread is bound to.

use crate::access::{Access, Owner};
use crate::error::channel::Fault;
use crate::error::{Operation, Result};
use crate::name::Name;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

mod per_process;
pub(crate) use per_process::PerProcess;

#[cfg(not(target_os = "linux"))]
mod unforked;

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

pub(crate) use backend::{
    Event, Gate, MOST_SIGNALS, Mutex, Process, Section, Signal, Validity, View, WaitHandle,
    check_name, clean, findings, has_open, has_several_processors, holders, list, nameless,
    wait_any,
};
pub use backend::{OwnedObject, RawObject};
#[cfg(all(test, shmkit_nt_rules))]
pub(crate) use backend::{account_name, names_looked_up};

/// How an object is created.
#[derive(Clone, Debug, Default)]
pub(crate) struct HowToCreate {
    /// Reserve addresses only; memory is committed later, by range (sections).
    pub reserve: bool,
    /// Children of this process inherit the handle.
    pub inheritable: bool,
    pub access: Access,
}

/// How an object is opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct HowToOpen {
    /// Ask for the right to write a section, to set an event.
    pub write: bool,
    /// Children of this process inherit the handle.
    pub inheritable: bool,
    /// Whose it must be.
    pub owner: Option<Owner>,
}

/// What a name stands for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A section; what Win32 calls a file-mapping object.
    Section,
    /// An event.
    Event,
    /// A mutex.
    Mutex,
    /// Something else that shares the names: a semaphore, timer or job (Windows), or
    /// a file that no program of ours made.
    Other,
}

impl Kind {
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Kind::Section => "a section",
            Kind::Event => "an event",
            Kind::Mutex => "a mutex",
            Kind::Other => "something else",
        }
    }
}

/// What takes the signal of an event away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The one wait that it ends.
    Auto,
    /// [`Event::reset`](crate::Event::reset) only; until then it ends all waits.
    Manual,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// What was waited for.
    Signaled,
    /// The end of the process that was watched.
    PeerDied,
    /// The time.
    TimedOut,
}

/// What ended a wait for several things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The one with this index.
    Signal(usize),
    /// A message to a window of this thread, where that was waited for (Windows).
    Input,
    TimedOut,
}

/// How a mutex came to its new owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Clean,
    Abandoned,
}

/// A process, told apart from every other one that has had or will have its number.
///
/// It is plain data, and so can stand in shared memory: see
/// [`to_words`](ProcessIdentity::to_words).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessIdentity {
    pub(crate) pid: u32,
    /// The namespaces in which number and time mean something (Linux).
    pub(crate) space: u32,
    pub(crate) start: u64,
}

/// One entry of an access list, in words.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The account: `DOMAIN\name (SID)`, `name (uid N)`, `everybody else`.
    pub account: String,
    /// What it may do, or may not.
    pub may: String,
}

/// What the system tells about an object; `None` where it refuses to tell.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ObjectInfo {
    /// Who owns it: `DOMAIN\name (SID)` on Windows, `name (uid N)` on Linux.
    pub owner: Option<String>,
    /// Who may do what: SDDL on Windows, the mode on Linux.
    pub access: Option<String>,
    /// The same in words; empty where nobody is let in, or the system does not tell.
    pub grants: Vec<Grant>,
    /// Its path: in the kernel's namespace on Windows, in the file system on Linux.
    pub path: Option<String>,
}

/// A process that holds an object.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// The path of its program; `None` where the system does not tell.
    pub image: Option<String>,
}

/// Who holds an object, as far as this account may see.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Holders {
    /// Those that were found, by number, this process among them.
    pub found: Vec<Holder>,
    /// How many processes do not let this account look.
    pub hidden: usize,
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
    pub object: ObjectInfo,
    pub backing: Option<Backing>,
    pub attributes: Option<String>,
}

/// An object that [`list`](crate::inspect::list) found.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name that opens it: `Global\X`, `Local\X`, or `/X` for a POSIX object
    /// (Linux). Names that are not Unicode are left out on Linux, and shown with
    /// replacement characters on Windows.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The bytes of a section, as the kernel counts them; `None` where this account
    /// may not look.
    pub len: Option<u64>,
    /// Its owner: a SID on Windows, `name (uid N)` on Linux; `None` where this account may not
    /// look.
    pub owner: Option<String>,
}

impl Listed {
    /// Its owner as in [`ObjectInfo`], with a name.
    ///
    /// # Platform notes
    ///
    /// On Windows the name is looked up, once for each account. "This function will try to resolve
    /// the name using domain controllers" (LookupAccountSidW), which can take seconds.
    #[must_use]
    pub fn owner_name(&self) -> Option<String> {
        self.owner.as_deref().map(backend::account_name)
    }
}

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// It works, and not for everything.
    Limited,
    /// It does not work.
    Bad,
}

/// Something that [`doctor`](crate::inspect::doctor) found.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is about.
    pub topic: String,
    /// How well that is.
    pub health: Health,
    /// What was found.
    pub says: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    pub(crate) fn new(topic: &str, health: Health, says: impl Into<String>) -> Finding {
        Finding {
            topic: topic.to_string(),
            health,
            says: says.into(),
            advice: None,
        }
    }

    pub(crate) fn advise(mut self, advice: &str) -> Finding {
        self.advice = Some(advice.to_string());
        self
    }
}

/// What to do about a name that another kind of object has.
pub(crate) fn other_kind_advice(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "all kinds share one namespace: use another name",
        _ => "open it as what it is, or check the name",
    }
}

/// With the event itself, as many as `WaitForMultipleObjects` takes handles.
pub(crate) const MAX_PEERS: usize = 63;

/// The longest sleep before a wait looks again, though nothing woke it: a wake-up can fail for want
/// of descriptors, and a death can be told late.
// layout: L088 L098
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// The longest sleep of a wait that is told of nothing: it waits for a process whose end the system
/// does not tell, or for a participant that knows another owner.
// layout: L098 L162
pub(crate) const LOOK_BACK: Duration = Duration::from_millis(100);

/// When a wait of this length ends; `None` where nobody lives to see it.
pub(crate) fn deadline_after(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

/// The moment `time` from now, or `until` where that is earlier.
pub(crate) fn deadline_within(time: Duration, until: Option<Instant>) -> Option<Instant> {
    let next = Instant::now() + time;
    Some(until.map_or(next, |until| until.min(next)))
}

/// What every named object can be asked.
pub(crate) trait ObjectBackend {
    fn raw(&self) -> RawObject;
    fn info(&self) -> ObjectInfo;
}

pub(crate) trait SectionBackend: ObjectBackend + Sized {
    fn create(name: &Name, len: u64, how: &HowToCreate) -> Result<Self>;
    fn open(name: &Name, how: &HowToOpen) -> Result<Self>;
    /// Makes the file, which must not exist, with `len` zero bytes.
    fn create_file(path: &Path, len: u64, how: &HowToCreate) -> Result<Self>;
    /// Opens a file that exists, with its present length.
    fn open_file(path: &Path, how: &HowToOpen) -> Result<Self>;
    /// Takes over a handle, and says under which name it can be found, if any.
    fn from_owned(object: OwnedObject) -> Result<(Self, Option<Name>)>;
    /// The bytes that can be mapped: never less than asked for, and on Windows
    /// rounded up to pages.
    fn kernel_len(&self) -> Result<u64>;
    fn writable(&self) -> bool;
    /// Whether parts of it may be uncommitted; `None` where that is not told.
    fn is_reserved(&self) -> Option<bool>;
    fn commit(&self, offset: u64, len: u64) -> Result<()>;
    /// Who may use an event or a mutex that belongs to this section: whoever may write the section
    /// may set the event, and whoever may read it may wait for the mutex.
    fn companion_access(&self, kind: Kind) -> Result<Access>;
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

pub(crate) trait EventBackend: ObjectBackend + Sized {
    fn create(name: &Name, reset: Reset, how: &HowToCreate) -> Result<Self>;
    fn open(name: &Name, how: &HowToOpen) -> Result<Self>;
    /// Opens it with the right to set it and no other.
    fn open_to_set(name: &Name) -> Result<Self>;
    /// `None` where that is not told.
    fn reset_mode(&self) -> Option<Reset>;
    /// Whether it is signaled now; `None` where that is not told.
    fn is_set(&self) -> Option<bool>;
    fn writable(&self) -> bool;
    /// This and the next only where it is writable.
    fn set(&self) -> Result<()>;
    fn reset(&self) -> Result<()>;
    fn signal(&self) -> Result<Signal>;
    /// A signal goes before a death, and both before the time. At most
    /// [`MAX_PEERS`] peers.
    fn wait(&self, peers: &[&Process], timeout: Option<Duration>) -> Result<Wake>;
}

pub(crate) trait MutexBackend: ObjectBackend + Sized {
    /// Where `taken`, this thread has it before anybody can open it.
    fn create(name: &Name, taken: bool, how: &HowToCreate) -> Result<Self>;
    fn open(name: &Name, how: &HowToOpen) -> Result<Self>;
    /// Opens it to ask for its owner only.
    fn open_to_watch(name: &Name) -> Result<Self> {
        Self::open(name, &HowToOpen::default())
    }
    /// Takes it for this thread, which may own it already; `None` when the time is up.
    fn lock(&self, timeout: Option<Duration>) -> Result<Option<Taken>>;
    /// Gives back what this thread has taken once.
    fn unlock(&self);
    /// Whether anybody has it; `None` where that is not told.
    fn is_taken(&self) -> Option<bool>;
    /// The process that has it; `None` where nobody has, or that is not told.
    fn owner(&self) -> Option<u32>;
    /// The process that has it, which has ended when the mutex is free.
    fn watch_owner(self) -> Result<Process>;
}

pub(crate) trait ProcessBackend: Sized {
    /// Whether another process of this user may be one that it cannot watch.
    const MAY_BE_CLOSED: bool;
    /// This process.
    fn current() -> Result<ProcessIdentity>;
    /// The living process of this number.
    fn identify(pid: u32) -> Result<ProcessIdentity>;
    fn watch(identity: ProcessIdentity) -> Result<Self>;
    /// `None` for a process that had ended before it was watched.
    fn raw(&self) -> Option<RawObject>;
    /// The path of the program that runs in the process of this number; `None` where the
    /// system does not tell.
    fn image(pid: u32) -> Option<String>;
    /// When a process with this start time was started.
    fn started(start: u64) -> Option<SystemTime>;
    /// That it ends.
    fn signal(&self) -> Result<Signal>;
    /// Whether it has ended, at the latest when the time is up.
    fn wait(&self, timeout: Option<Duration>) -> Result<bool>;
}

/// Whether an endpoint may be used by this process.
pub(crate) trait ValidityBackend: Sized {
    /// That of an endpoint which this process makes.
    fn new() -> Self;
    /// The same for the owner of a name, which this section has.
    fn of_owner(named: &Section) -> Self;
    /// Whether the endpoint may be used for certain. It takes three instructions; `false` asks for
    /// a closer look.
    fn is_valid(&self) -> bool;
    /// Whether this process was forked from the one that made the endpoint.
    fn is_forked(&self) -> bool;
    /// Whether there is a fault to be told.
    fn has_fault(&self) -> bool;
    /// The fault, which is told by this, and only once where it passes.
    fn fault(&self) -> Option<Fault>;

    /// Whether there is a fault to be told; seldom more than three instructions.
    #[inline(always)]
    fn is_faulty(&self) -> bool {
        !self.is_valid() && self.has_fault()
    }

    /// Tells a fault.
    #[inline(always)]
    fn check(&self) -> std::result::Result<(), Fault> {
        match self.is_valid() {
            true => Ok(()),
            false => self.fault().map_or(Ok(()), Err),
        }
    }
}

pub(crate) trait GateBackend: Sized {
    fn new() -> Result<Self>;
    /// Lets one waiter through, now or later.
    fn open(&self);
    fn signal(&self) -> Signal;
}

pub(crate) trait WaitHandleBackend {
    /// Whether a wait may take what it waits for.
    const IS_TAKEN: bool;
    fn new(object: OwnedObject) -> Self;
    fn object(&self) -> &OwnedObject;
    /// Whether it is signaled, or readable; takes the signal where one waiter may take it.
    fn try_wait(&self) -> Result<bool>;
    /// That it is. Each lasts until the next is asked for.
    fn signal(&self) -> Result<Signal>;
}

/// Fails to compile where a backend lacks a part.
const _: fn() = || {
    fn complete<S, V, E, M, P, G, H, L>(_: fn() -> Result<Vec<Listed>>)
    where
        S: SectionBackend,
        V: ViewBackend,
        E: EventBackend,
        M: MutexBackend,
        P: ProcessBackend,
        G: GateBackend,
        H: WaitHandleBackend,
        L: ValidityBackend,
    {
    }
    complete::<Section, View, Event, Mutex, Process, Gate, WaitHandle, Validity>(list);
    let _: fn(&[Signal], Option<Instant>, bool) -> Result<Woken> = wait_any;
    let _: fn() -> Result<Vec<String>> = clean;
    let _: fn(RawObject) -> Result<Holders> = holders;
    let _: fn(u32, RawObject) -> Option<bool> = has_open;
    let _: fn() -> Vec<(Holder, usize)> = nameless;
    let _: fn() -> Vec<Finding> = findings;
    let _: fn() -> bool = has_several_processors;
    let _: fn(&str) -> String = backend::account_name;
    let _: fn(&Name) -> Result<()> = check_name;
};
