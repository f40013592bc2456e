//! The contract of an OS backend. Each backend is a folder with the same types; the code above this
//! module does not know on which system it runs.
//!
//! - A [`SectionBackend`] is one handle of one section. Creating is exclusive: a name that a
//!   process holds is `AlreadyExists`, and is never handed out. Opening never creates.
//! - An object lives as long as a process holds a handle of it, and is gone with the last handle,
//!   however its process ended. A new section is all zero and appears under its name whole, or not
//!   at all.
//! - Sections, events and mutexes share one namespace: a name that is held by one kind is
//!   `WrongKind` for the others. An opener checks the kind, and the expected owner, before it reads
//!   a byte.
//! - Handles do not reach child processes unless the caller asks for that.
//! - A [`ViewBackend`] is mapped memory: any offset, any length, unmapped when dropped. The caller
//!   checks ranges against [`kernel_len`](SectionBackend::kernel_len), so a refusal by the system
//!   is about access.
//! - An [`EventBackend`] and a [`MutexBackend`] wait without using the processor. A wait notices
//!   the end of a process at once; a wait for a mutex notices the end of its owner.
//! - Everything that can be waited for has a [`Signal`]. [`wait_any`] waits for up to
//!   [`MOST_SIGNALS`] signals, and reports the first that has happened, in their order. A signal
//!   that one waiter takes, such as that of an auto-reset event, is taken only if [`wait_any`]
//!   reports it. A [`GateBackend`] is a signal of a process to itself, a [`WaitHandleBackend`] a
//!   signal of a handle from outside this crate.
//! - A [`LivesBackend`] tells which participants of a section are alive.
//! - A [`ParkerBackend`] is the place where a participant sleeps: a word in the roster, or a named
//!   event.
//! - A [`ProcessBackend`] is one process for good: another process that gets its number later is
//!   never taken for it.
//! - Errors carry the code of the system, which is read right after the call, and tell what the
//!   code means at that place.
//! - [`list`] lists the objects that can be opened, [`holders`] the processes that hold an object.
//!   [`clean`] removes what killed processes left. [`findings`] tells what this account may do.
//!   `account_name` returns the owner of a [`Listed`] with a name, for people. [`check_name`]
//!   refuses a name that no object can have. [`has_several_processors`] tells whether the machine
//!   has more than one processor, no matter to which processor this thread is bound. [`resolved`]
//!   returns an access with the number of its group in place of the name.

use crate::access::{Access, Owner};
use crate::error::channel::Fault;
use crate::error::{Operation, Result};
use crate::name::Name;
use crate::sync::{Fixed, WindowMut};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

mod occupant;
mod per_process;
pub(crate) use occupant::{Occupant, pid_of, word_of};
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
    Event, Gate, Lives, MOST_SIGNALS, Mutex, Parker, Process, Section, Signal, Validity, View,
    WaitHandle, check_name, clean, findings, has_several_processors, holders, list, nameless,
    objects_folder, resolved, wait_any,
};
pub use backend::{OwnedObject, RawObject};
#[cfg(all(test, shmkit_nt_rules))]
pub(crate) use backend::{account_name, names_looked_up};

/// The options to create an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct HowToCreate {
    /// Reserves addresses only; memory is committed later, by range (sections).
    pub reserve: bool,
    /// Lets children of this process inherit the handle.
    pub inheritable: bool,
    pub access: Access,
    /// Lets the accounts that a [`Group`](Access::Group) or an
    /// [`AppContainer`](Access::AppContainer) admits only look at the object.
    pub only_look: bool,
}

/// The options to open an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct HowToOpen {
    /// Asks for the right to write a section, or to set an event.
    pub write: bool,
    /// Lets children of this process inherit the handle.
    pub inheritable: bool,
    /// The expected owner of the object.
    pub owner: Option<Owner>,
}

/// The kind of an object.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A section; what Win32 calls a file-mapping object.
    Section,
    /// An event.
    Event,
    /// A mutex.
    Mutex,
    /// An object of another kind that shares the names: a semaphore, timer or job (Windows), or
    /// a file that this crate did not make (Linux).
    Other,
}

/// Prints `section`, `event`, `mutex` or `other object`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Section => "section",
            Kind::Event => "event",
            Kind::Mutex => "mutex",
            Kind::Other => "other object",
        })
    }
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

/// The way in which the signal of an event is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The one wait that the signal ends takes the signal.
    Auto,
    /// Only [`Event::reset`](crate::Event::reset) takes the signal away; until then it ends all
    /// waits.
    Manual,
}

/// Prints `automatic` or `manual`.
impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reset::Auto => "automatic",
            Reset::Manual => "manual",
        })
    }
}

/// The reason why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The event was signaled.
    Signaled,
    /// The watched process ended.
    PeerDied,
    /// The time was over.
    TimedOut,
}

/// Prints `signaled`, `peer died` or `timed out`.
impl fmt::Display for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wake::Signaled => "signaled",
            Wake::PeerDied => "peer died",
            Wake::TimedOut => "timed out",
        })
    }
}

/// The reason why a wait for several signals ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The signal with this index.
    Signal(usize),
    /// A message to a window of this thread, if the wait included such messages (Windows).
    Input,
    TimedOut,
}

/// The state in which a mutex was locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Clean,
    Abandoned,
}

/// The identity of a process. No other process has the same identity, even if it had or will have
/// the same number.
///
/// An identity is plain data, so it can be stored in shared memory: see
/// [`to_words`](ProcessIdentity::to_words).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessIdentity {
    pub(crate) pid: u32,
    /// The namespaces in which number and start time are valid (Linux).
    pub(crate) space: u32,
    pub(crate) start: u64,
}

/// An entry of an access list, in words.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The account: `DOMAIN\name (SID)`, `name (uid N)`, `everybody else`.
    pub account: String,
    /// The rights that the account has, or does not have.
    pub may: String,
}

/// What the system tells about an object; a field is `None` where the system refuses to tell.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ObjectInfo {
    /// The owner: `DOMAIN\name (SID)` on Windows, `name (uid N)` on Linux.
    pub owner: Option<String>,
    /// The access list: SDDL on Windows, the mode on Linux.
    pub access: Option<String>,
    /// The access list in words; empty where the list is empty, or the system does not tell.
    pub grants: Vec<Grant>,
    /// The path of the object: in the kernel's namespace on Windows, in the file system on
    /// Linux.
    pub path: Option<String>,
}

/// A process that holds an object.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The number of the process.
    pub pid: u32,
    /// The path of the program; `None` where the system does not tell.
    pub image: Option<String>,
}

/// The processes that hold an object, as far as this account may see.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Holders {
    /// The holders that were found, by number. This process may be one of them.
    pub found: Vec<Holder>,
    /// The number of processes that this account may not look at.
    pub hidden: usize,
}

/// The accesses that a view allows.
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
    /// In memory (the paging file, `/dev/shm`); they are gone with the last holder.
    Memory,
    /// In a file, which stays.
    File,
    /// In an executable image (Windows only); this crate makes no such section.
    Image,
    /// In a POSIX object that another program made; it stays until it is unlinked (Linux).
    Posix,
}

/// Prints `memory`, `file`, `image` or `POSIX object`.
impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backing::Memory => "memory",
            Backing::File => "file",
            Backing::Image => "image",
            Backing::Posix => "POSIX object",
        })
    }
}

/// What the system tells about a section; a field is `None` where the system refuses to tell.
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
    /// The name that opens the object: `Global\X`, `Local\X`, or `/X` for a POSIX object
    /// (Linux). Names that are not Unicode are left out on Linux, and have replacement
    /// characters on Windows.
    pub name: String,
    /// The kind of the object.
    pub kind: Kind,
    /// The bytes of a section, as the kernel counts them; `None` where this account may not
    /// look.
    pub len: Option<u64>,
    /// The owner: a SID on Windows, `name (uid N)` on Linux; `None` where this account may not
    /// look.
    pub owner: Option<String>,
}

impl Listed {
    /// Returns the owner with a name, as in [`ObjectInfo`].
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

/// The state of something that [`doctor`](crate::inspect::doctor) checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Good,
    /// It works, with limits.
    Limited,
    /// It does not work.
    Bad,
}

/// A result of [`doctor`](crate::inspect::doctor).
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Finding {
    /// The subject of the check.
    pub topic: String,
    /// The state of the subject.
    pub health: Health,
    /// The facts that were found.
    pub says: String,
    /// The way to improve the state.
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

/// Returns the advice for a name that an object of another kind has.
pub(crate) fn other_kind_advice(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "all kinds share one namespace: use another name",
        _ => "open it as an object of its own kind, or check the name",
    }
}

/// The most processes of a wait for an event. Together with the event they are as many handles as
/// `WaitForMultipleObjects` takes.
pub(crate) const MAX_PEERS: usize = 63;

/// The longest sleep of a wait before it checks its conditions again. A wake-up can fail for want
/// of descriptors, and a death can be reported late.
// layout: L088 L098
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// The longest sleep of a wait that may get no report, since it waits for a process whose end the
/// system does not report, or for a participant that knows another owner.
// layout: L098 L162
pub(crate) const LOOK_BACK: Duration = Duration::from_millis(100);

/// Returns the end of a wait of this length; `None` where no clock can hold it.
pub(crate) fn deadline_after(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

/// Returns the moment `time` from now, or `until` where that is earlier.
pub(crate) fn deadline_within(time: Duration, until: Option<Instant>) -> Option<Instant> {
    let next = Instant::now() + time;
    Some(until.map_or(next, |until| until.min(next)))
}

/// A named object of any kind.
pub(crate) trait ObjectBackend {
    fn raw(&self) -> RawObject;
    fn info(&self) -> ObjectInfo;
}

pub(crate) trait SectionBackend: ObjectBackend + Sized {
    fn create(name: &Name, len: u64, how: &HowToCreate) -> Result<Self>;
    fn open(name: &Name, how: &HowToOpen) -> Result<Self>;
    /// Creates the file, which must not exist, with `len` zero bytes.
    fn create_file(path: &Path, len: u64, how: &HowToCreate) -> Result<Self>;
    /// Opens an existing file, with its present length.
    fn open_file(path: &Path, how: &HowToOpen) -> Result<Self>;
    /// Takes over a handle. Returns the name by which the section can be opened, if there is
    /// one.
    fn from_owned(object: OwnedObject) -> Result<(Self, Option<Name>)>;
    /// Returns the number of bytes that can be mapped: never less than asked for, and on
    /// Windows rounded up to pages.
    fn kernel_len(&self) -> Result<u64>;
    fn writable(&self) -> bool;
    /// Returns whether parts of the section may be uncommitted; `None` where the system does
    /// not tell.
    fn is_reserved(&self) -> Option<bool>;
    fn commit(&self, offset: u64, len: u64) -> Result<()>;
    /// Returns the access for an event or a mutex that belongs to this section: an account that
    /// may write the section may set the event, and an account that may read the section may
    /// wait for the mutex.
    fn companion_access(&self, kind: Kind) -> Result<Access>;
    /// Maps a range, which lies within `kernel_len`. `len` is not zero.
    fn map(&self, protection: Protection, offset: u64, len: usize) -> Result<View>;
    /// Waits until the file behind a file-backed section has the changes of the view.
    fn flush(&self, view: &View) -> Result<()>;
    /// Copies bytes without a lasting view; uncommitted memory reads as zero.
    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<()>;
    fn facts(&self) -> Facts;
    /// Removes the name of the section, so that others can create it anew. Returns `false` where the
    /// system removes no name while a process holds the object.
    fn remove_name(&self) -> Result<bool>;
}

pub(crate) trait ViewBackend {
    fn as_ptr(&self) -> *mut u8;
    fn len(&self) -> usize;
    /// Returns whether the whole range, which lies in the view, is committed.
    fn is_committed(&self, offset: usize, len: usize) -> bool;
    fn prefault(&self) -> Result<()>;
}

pub(crate) trait EventBackend: ObjectBackend + Sized {
    fn create(name: &Name, reset: Reset, how: &HowToCreate) -> Result<Self>;
    fn open(name: &Name, how: &HowToOpen) -> Result<Self>;
    /// Returns how the event is reset; `None` where the system does not tell.
    fn reset_mode(&self) -> Option<Reset>;
    /// Returns whether the event is signaled now; `None` where the system does not tell.
    fn is_set(&self) -> Option<bool>;
    fn writable(&self) -> bool;
    /// Signals the event. `set` and `reset` require that the event is writable.
    fn set(&self) -> Result<()>;
    fn reset(&self) -> Result<()>;
    fn signal(&self) -> Result<Signal>;
    /// Waits for a signal, or for the end of one of at most [`MAX_PEERS`] peers. A signal goes
    /// before a death, and both go before the time-out.
    fn wait(&self, peers: &[&Process], timeout: Option<Duration>) -> Result<Wake>;
}

/// The park word of a participant, and the 4 bytes behind it, in the roster.
pub(crate) type ParkPlace = WindowMut<Fixed<8>>;

/// The place where a participant sleeps, and where others wake it: its park word (Linux), or its
/// wake event (Windows).
pub(crate) trait ParkerBackend: Sized {
    /// The most processes of a sleep.
    const MAX_PEERS: usize;
    /// Creates the parker of a participant of this process. `access` names the accounts that may
    /// wake the participant.
    fn create(word: ParkPlace, event: &Name, access: &Access) -> Result<Self>;
    /// Opens the parker of another participant; `None` if it is gone.
    fn open(word: ParkPlace, event: &Name) -> Result<Option<Self>>;
    /// Wakes the participant, now or at its next sleep.
    fn unpark(&self);
    /// Returns the signal of a wake-up, for the participant.
    fn signal(&self) -> Result<Signal>;
    /// Sleeps until a wake-up, until the end of one of at most
    /// [`MAX_PEERS`](ParkerBackend::MAX_PEERS) peers, or until the time is over.
    fn park(&self, peers: &[&Process], timeout: Duration) -> Result<Wake>;
}

pub(crate) trait MutexBackend: ObjectBackend + Sized {
    /// Creates a mutex. Where `taken`, this thread has the mutex before any process can open
    /// it.
    fn create(name: &Name, taken: bool, how: &HowToCreate) -> Result<Self>;
    fn open(name: &Name, how: &HowToOpen) -> Result<Self>;
    /// Opens a mutex to ask for its owner only.
    fn open_to_watch(name: &Name) -> Result<Self> {
        Self::open(name, &HowToOpen::default())
    }
    /// Locks the mutex for this thread, which may have it already; `None` when the time is
    /// over.
    fn lock(&self, timeout: Option<Duration>) -> Result<Option<Taken>>;
    /// Undoes one `lock` of this thread.
    fn unlock(&self);
    /// Returns whether a thread has the mutex; `None` where the system does not tell.
    fn is_taken(&self) -> Option<bool>;
    /// Returns the process that has the mutex; `None` where no process has it, or the system
    /// does not tell.
    fn owner(&self) -> Option<u32>;
    /// Returns the process that has the mutex, to be watched. Returns a process that has ended
    /// where no process has the mutex.
    fn watch_owner(self) -> Result<Process>;
}

pub(crate) trait ProcessBackend: Sized {
    /// Whether another process of this user may be one that it cannot watch.
    const MAY_BE_CLOSED: bool;
    /// Returns the identity of this process.
    fn current() -> Result<ProcessIdentity>;
    /// Returns the identity of the living process of this number.
    fn identify(pid: u32) -> Result<ProcessIdentity>;
    fn watch(identity: ProcessIdentity) -> Result<Self>;
    /// Returns the handle; `None` for a process that had ended before it was watched.
    fn raw(&self) -> Option<RawObject>;
    /// Returns the path of the program that runs in the process of this number; `None` where
    /// the system does not tell.
    fn image(pid: u32) -> Option<String>;
    /// Returns the user of the process of this number, in words; `None` where the system does not
    /// tell.
    fn user(pid: u32) -> Option<String>;
    /// Returns when a process with this start time was started.
    fn started(start: u64) -> Option<SystemTime>;
    /// Returns the signal of the end of the process.
    fn signal(&self) -> Result<Signal>;
    /// Returns `false` if the system has not reported the end of the process, and would have. It may
    /// return `true` at any time.
    fn may_have_ended(&self) -> bool {
        true
    }
    /// Waits until the process has ended, and returns whether it has when the time is over.
    fn wait(&self, timeout: Option<Duration>) -> Result<bool>;
}

/// The lives of the participants of a section, by their numbers: the slots of a roster, or
/// [`OWNER_LIFE`].
pub(crate) trait LivesBackend: Clone + Sized {
    /// The life of a participant of this process. It ends when the value is dropped, and when the
    /// process ends.
    type Life;
    fn of(section: &Arc<Section>) -> Result<Self>;
    /// Begins the life of a participant. `word` is the process word of the participant that had the
    /// number before, or 0. Returns `None` if that participant, or another one with the number, is
    /// alive.
    fn take(&self, number: usize, word: u64) -> Result<Option<Self::Life>>;
    /// Returns whether the participant with this number and process word has certainly ended.
    fn has_ended(&self, number: usize, word: u64) -> Result<bool>;
    /// Returns whether the process of a participant that seems to be alive has ended, so that its life
    /// will be over in a moment.
    fn is_ending(&self, occupant: Occupant) -> bool;
    /// Returns whether both values are for one section. Both sections were opened by one name.
    fn is_of_same_section(&self, other: &Self) -> bool;
    /// Watches the process of the participant with this number; `None` if the participant has
    /// certainly ended.
    fn watch(&self, number: usize, occupant: Occupant) -> Result<Option<Process>>;
}

/// The number of the owner's life, in the ownership record and in control.
// layout: L239
pub(crate) const OWNER_LIFE: usize = 0;

/// The mark of an endpoint that tells whether this process may use the endpoint.
pub(crate) trait ValidityBackend: Sized {
    /// Creates the mark of an endpoint that this process makes.
    fn new() -> Self;
    /// Creates the mark of the owner of a name, which this section has.
    fn of_owner(named: &Section) -> Self;
    /// Returns `true` only if the endpoint may be used, in three instructions. After `false` the
    /// endpoint may still be usable, and the caller asks `has_fault`.
    fn is_valid(&self) -> bool;
    /// Returns whether this process was forked from the process that made the endpoint.
    fn is_forked(&self) -> bool;
    /// Returns whether there is a fault to report.
    fn has_fault(&self) -> bool;
    /// Returns the fault. A fault that passes is returned once.
    fn fault(&self) -> Option<Fault>;

    /// Returns whether there is a fault to report, mostly in three instructions.
    #[inline(always)]
    fn is_faulty(&self) -> bool {
        !self.is_valid() && self.has_fault()
    }

    /// Fails with the fault, if there is one.
    #[inline(always)]
    fn check(&self) -> Result<(), Fault> {
        if self.is_valid() {
            Ok(())
        } else {
            self.fault().map_or(Ok(()), Err)
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
    /// Whether a wait may take the signal for which it waits.
    const IS_TAKEN: bool;
    fn new(object: OwnedObject) -> Self;
    fn object(&self) -> &OwnedObject;
    /// Returns whether the handle is signaled, or readable. Takes a signal that one waiter may
    /// take.
    fn try_wait(&self) -> Result<bool>;
    /// Returns the signal of the handle, which is valid until the next call.
    fn signal(&self) -> Result<Signal>;
}

/// Fails to compile where a backend lacks a part.
const _: fn() = || {
    fn complete<S, V, E, M, P, I, K, G, H, L>(_: fn() -> Result<Vec<Listed>>)
    where
        S: SectionBackend,
        V: ViewBackend,
        E: EventBackend,
        M: MutexBackend,
        P: ProcessBackend,
        I: LivesBackend,
        K: ParkerBackend,
        G: GateBackend,
        H: WaitHandleBackend,
        L: ValidityBackend,
    {
    }
    complete::<Section, View, Event, Mutex, Process, Lives, Parker, Gate, WaitHandle, Validity>(
        list,
    );
    let _: fn(&[Signal], Option<Instant>, bool) -> Result<Woken> = wait_any;
    let _: fn() -> Result<Vec<String>> = clean;
    let _: fn(RawObject) -> Result<Holders> = holders;
    let _: fn() -> Vec<(Holder, usize)> = nameless;
    let _: fn() -> Vec<Finding> = findings;
    let _: fn() -> bool = has_several_processors;
    let _: fn() -> Option<(PathBuf, bool)> = objects_folder;
    let _: fn(&str) -> String = backend::account_name;
    let _: fn(&Name) -> Result<()> = check_name;
    let _: fn(&Access) -> Result<Access> = resolved;
};
