//! A mutex: two words in a small file, which name the thread that has locked the mutex.
//!
//! The lower word, on which waiters sleep, is the thread id of the owner, or 0 while no thread has
//! the mutex, with [`WAITERS`] and [`ABANDONED`] beside it. The upper word is folded from the start
//! time of the owner, so that a thread which gets the number of a dead thread is not taken for that
//! thread. Both words change by one compare-exchange, so at every instant the file tells which
//! thread has the mutex.
//!
//! A waiter also sleeps on the death of the owner's process. A thread that ends while its process
//! lives on unlocks its mutexes as abandoned.

use super::error::explain;
use super::mutex_word::{ABANDONED, Lock, THREAD, WAITERS};
use super::object::{self, LEN, Object};
use super::park_word::HAPPENED;
use super::proc::{identity_of, is_there, process_of, start_time};
use super::view::View;
use super::{RawObject, futex};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{
    HowToCreate, HowToOpen, Kind, LONGEST_SLEEP, LOOK_BACK, MutexBackend, ObjectBackend,
    ObjectInfo, Process, ProcessBackend, ProcessIdentity, Protection, Taken, deadline_after,
    deadline_within,
};
use crate::sync::{AtomicU32, AtomicU64};
use rustix::fs::{FallocateFlags, fstat};
use rustix::io::{Errno, pwrite};
use rustix::thread::gettid;
use std::cell::RefCell;
use std::fmt::Display;
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// The offset of the words.
const STATE: usize = 64;

#[derive(Debug)]
pub(crate) struct Mutex {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Declared before the object, so the view is unmapped before the file is closed.
    view: View,
    object: Object,
    /// The device and inode number of the file, which are the same for all handles.
    file: (u64, u64),
    /// Whether the mutex was created in the pid and time namespaces of this process.
    is_here: bool,
    writable: bool,
    subject: String,
    /// The owner that the last wait found, so that the next wait need not look it up again.
    last: std::sync::Mutex<Option<(u64, Arc<Process>)>>,
}

/// A mutex that this thread has locked, and how often.
struct HeldMutex {
    mutex: Arc<Shared>,
    state: u64,
    depth: u32,
}

/// The mutexes that a thread has locked, which are abandoned when the thread ends.
#[derive(Default)]
struct Thread {
    id: u64,
    state: u64,
    held: Vec<HeldMutex>,
}

thread_local! {
    static THIS: RefCell<Thread> = RefCell::default();
}

impl Thread {
    /// Returns the word that names this thread in a mutex. The child of a fork is another
    /// thread, and has no mutexes.
    fn state(&mut self) -> rustix::io::Result<u64> {
        let id = thread_id();
        if self.id != id {
            self.held.clear();
            self.state = state_of(id, start_time("/proc/thread-self/stat")?);
            self.id = id;
        }
        Ok(self.state)
    }

    fn find(&mut self, mutex: &Arc<Shared>) -> Option<usize> {
        self.held
            .iter()
            .position(|held| held.mutex.file == mutex.file)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // The child of a fork has the mutexes of its parent's thread in its memory only.
        if self.id == thread_id() {
            for held in self.held.drain(..) {
                TimedLock(&held.mutex, None).give_back(held.state, ABANDONED);
            }
        }
    }
}

fn thread_id() -> u64 {
    gettid().as_raw_nonzero().get().cast_unsigned().into()
}

/// Returns the word that names a thread in a mutex.
fn state_of(thread: u64, start: u64) -> u64 {
    let fold = (start ^ start >> 32) << 32;
    fold | thread
}

impl Shared {
    /// Returns the lower word, for sleeping. This process never loads or stores it.
    fn sleep_word(&self) -> &AtomicU32 {
        self.view.word(STATE)
    }

    /// Returns the process of the owner; `None` where the owning thread has ended.
    fn owner_of(&self, now: u64) -> Result<Option<Arc<Process>>> {
        let state = now & !WAITERS;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, process)) = last.as_ref().filter(|(before, _)| *before == state) {
            // A thread may have ended by a bare system call, while its process lives
            // on.
            let here = is_there((now & THREAD) as u32);
            return Ok(here.then(|| Arc::clone(process)));
        }

        let Some(identity) = self.identity_of(now)? else {
            return Ok(None);
        };

        let process = Arc::new(Process::watch(identity)?);
        // Where the thread still exists, its process is the one that is watched now.
        if !is_there((now & THREAD) as u32) {
            return Ok(None);
        }

        *last = Some((state, Arc::clone(&process)));
        Ok(Some(process))
    }

    /// Returns the identity of the owner's process. `None` proves that the thread has ended; a
    /// thread that may not be looked at is an error.
    fn identity_of(&self, now: u64) -> Result<Option<ProcessIdentity>> {
        let thread = now & THREAD;
        let Some((pid, start)) = process_of(thread as u32)? else {
            return Ok(None);
        };
        if state_of(thread, start) != now & !(WAITERS | ABANDONED) {
            return Ok(None);
        }
        identity_of(pid)
    }
}

/// A mutex with the deadline of a wait for it.
struct TimedLock<'a>(&'a Shared, Option<Instant>);

impl Lock for TimedLock<'_> {
    type Word = AtomicU64;
    type Owner = Arc<Process>;

    fn word(&self) -> &AtomicU64 {
        self.0.view.long(STATE)
    }

    fn owner(&self, word: u64) -> Result<Option<Arc<Process>>> {
        self.0.owner_of(word)
    }

    fn has_ended(&self, owner: &Arc<Process>, late: bool) -> Result<bool> {
        // The watcher may not have learned of the end yet.
        if late {
            return owner.wait(Some(Duration::ZERO));
        }
        match owner.death() {
            Ok(latch) => Ok(latch.value() == HAPPENED),
            // This process has no descriptor left for a watch.
            Err(_) => owner.wait(Some(Duration::ZERO)),
        }
    }

    fn is_late(&self) -> bool {
        self.1.is_some_and(|at| Instant::now() >= at)
    }

    fn sleep(&self, lower: u32, owner: &Arc<Process>) -> Result<()> {
        // `owner` lives until the sleep is over, and with it the watch.
        let death = owner.death().ok();
        let own = (self.0.sleep_word(), lower);
        match death.as_deref() {
            Some(latch) => futex::sleep(
                &[own, (latch.word(), 0)],
                deadline_within(LONGEST_SLEEP, self.1),
            ),
            None => futex::sleep(&[own], deadline_within(LOOK_BACK, self.1)),
        }
        .map_err(|errno| explain(Operation::Lock, &self.0.subject, errno))
    }

    fn wake(&self) {
        futex::wake(self.0.sleep_word());
    }
}

impl Mutex {
    fn new(object: Object, name: &Name, writable: bool, is_here: bool) -> Result<Mutex> {
        let protection = if writable {
            Protection::ReadWrite
        } else {
            Protection::ReadOnly
        };

        let subject = name.to_string();
        let view = View::new(object.file().as_fd(), protection, 0, LEN, subject.clone())?;
        let stat = fstat(object.file()).map_err(|e| explain(Operation::Open, name, e))?;

        Ok(Mutex {
            shared: Arc::new(Shared {
                view,
                object,
                file: (stat.st_dev, stat.st_ino),
                is_here,
                writable,
                subject,
                last: std::sync::Mutex::default(),
            }),
        })
    }

    /// Makes a mutex of an object that another process may have created.
    fn opened(object: Object, name: &Name, writable: bool) -> Result<Mutex> {
        let is_here = match Process::current() {
            Ok(me) => me.space == object::detail(&object),
            Err(error) if error.kind() == ErrorKind::Unsupported => false,
            Err(error) => return Err(error),
        };
        Mutex::new(object, name, writable, is_here)
    }

    /// Returns the process that has the mutex; `None` where no process has it.
    fn owning_process(&self) -> Result<Option<ProcessIdentity>> {
        self.check_here()?;
        self.shared.identity_of(self.shared.view.peek(STATE))
    }

    /// Notes that this thread has locked the mutex once.
    fn remember(&self) -> Result<()> {
        this_thread(&self.shared.subject, |this, state| {
            this.held.push(HeldMutex {
                mutex: Arc::clone(&self.shared),
                state,
                depth: 1,
            });
            Ok(())
        })
    }

    fn check_usable(&self) -> Result<()> {
        if !self.shared.writable {
            let meaning =
                "its owner lets this account only read it, and locking a mutex changes it";
            let kind = ErrorKind::AccessDenied;
            let error = Error::new(kind, Operation::Lock, &self.shared.subject, meaning);
            return Err(error.with_advice("run as its owner"));
        }
        self.check_here()
    }

    fn check_here(&self) -> Result<()> {
        if self.shared.is_here {
            return Ok(());
        }
        let meaning = "it was created in another pid or time namespace, where the number and start time of a thread may identify another thread";
        let kind = ErrorKind::Unsupported;
        let error = Error::new(kind, Operation::Lock, &self.shared.subject, meaning);
        Err(error.with_advice("run both programs in one container, or start it with --pid=host"))
    }
}

/// Calls `work` with the mutexes of this thread.
fn this_thread<T>(
    subject: &dyn Display,
    work: impl FnOnce(&mut Thread, u64) -> Result<T>,
) -> Result<T> {
    let fail = |errno| explain(Operation::Lock, subject, errno);
    let worked = THIS.try_with(|this| {
        let mut this = this.borrow_mut();
        let state = this.state().map_err(fail)?;
        work(&mut this, state)
    });
    // A thread whose locals are gone has unlocked its mutexes.
    worked.unwrap_or_else(|_| Err(fail(Errno::SRCH)))
}

impl ObjectBackend for Mutex {
    fn raw(&self) -> RawObject {
        object::raw(&self.shared.object)
    }

    fn info(&self) -> ObjectInfo {
        self.shared.object.info()
    }
}

impl MutexBackend for Mutex {
    fn create(name: &Name, taken: bool, how: &HowToCreate) -> Result<Mutex> {
        let space = Process::current()?.space;
        let mine = this_thread(name, |_, state| Ok(state))?;
        let object = Object::create(name, Kind::Mutex, LEN as u64, how, |file| {
            object::allocate(file, FallocateFlags::empty(), 0, LEN as u64)?;
            let state = if taken { mine } else { 0 };
            pwrite(file, &state.to_le_bytes(), STATE as u64)?;
            pwrite(file, &object::header(Kind::Mutex, space), 0).map(|_| ())
        })?;
        let mutex = Mutex::new(object, name, true, true)?;
        if taken {
            mutex.remember()?;
        }
        Ok(mutex)
    }

    fn open(name: &Name, how: &HowToOpen) -> Result<Mutex> {
        let write = HowToOpen {
            write: true,
            ..how.clone()
        };
        let (object, writable) = match Object::open(name, Kind::Mutex, &write) {
            // This account may look at the mutex, and watch its owner.
            Err(error) if error.kind() == ErrorKind::AccessDenied => {
                let object = Object::open(name, Kind::Mutex, how).map_err(|_| error)?;
                (object, false)
            }
            opened => (opened?, true),
        };
        Mutex::opened(object, name, writable)
    }

    fn open_to_watch(name: &Name) -> Result<Mutex> {
        let object = Object::open(name, Kind::Mutex, &HowToOpen::default())?;
        Mutex::opened(object, name, false)
    }

    fn lock(&self, timeout: Option<Duration>) -> Result<Option<Taken>> {
        self.check_usable()?;
        let again = this_thread(&self.shared.subject, |this, _| {
            let at = this.find(&self.shared);
            Ok(at.map(|at| this.held[at].depth += 1))
        })?;
        if again.is_some() {
            return Ok(Some(Taken::Clean));
        }
        let mine = this_thread(&self.shared.subject, |_, state| Ok(state))?;
        let taken = TimedLock(&self.shared, deadline_after(timeout)).lock(mine)?;
        if taken.is_some() {
            self.remember()?;
        }
        Ok(taken)
    }

    fn unlock(&self) {
        let given = this_thread(&self.shared.subject, |this, _| {
            let at = this.find(&self.shared);
            let last = at.filter(|at| {
                this.held[*at].depth -= 1;
                this.held[*at].depth == 0
            });
            Ok(last.map(|at| this.held.swap_remove(at)))
        });
        if let Ok(Some(held)) = given {
            TimedLock(&held.mutex, None).give_back(held.state, 0);
        }
    }

    fn is_taken(&self) -> Option<bool> {
        self.owning_process().ok().map(|owner| owner.is_some())
    }

    fn owner(&self) -> Option<u32> {
        self.owning_process().ok()?.map(|owner| owner.pid)
    }

    fn watch_owner(self) -> Result<Process> {
        match self.owning_process()? {
            Some(identity) => Process::watch(identity),
            None => Ok(Process::nobody()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "there are no files there")]
    fn watched_mutex_is_mapped_read_only() {
        let name = format!("Local\\shmkit-test-watched-{}", std::process::id());
        let name = Name::new(&name).unwrap();
        let mutex = Mutex::create(&name, true, &HowToCreate::default()).unwrap();
        let watched = Mutex::open_to_watch(&name).unwrap();
        assert!(!watched.shared.writable);
        assert_eq!(watched.owner(), Some(std::process::id()));
        assert!(
            !watched
                .watch_owner()
                .unwrap()
                .wait(Some(Duration::ZERO))
                .unwrap()
        );
        mutex.unlock();
        let free = Mutex::open_to_watch(&name).unwrap();
        assert!(free.watch_owner().unwrap().wait(None).unwrap());
    }
}
