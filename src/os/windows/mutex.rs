//! A mutex of the kernel.

use super::call::{self, Ended};
use super::error::explain;
use super::{RawObject, ntdll, object};
use crate::access::Owner;
use crate::error::{ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{
    HowToCreate, HowToOpen, Kind, MutexBackend, ObjectBackend, ObjectInfo, Process, Taken,
    deadline_after,
};
use std::os::windows::io::{AsHandle, AsRawHandle, OwnedHandle};
use std::time::Duration;
use windows_sys::Win32::Storage::FileSystem::READ_CONTROL;
use windows_sys::Win32::System::Threading::SYNCHRONIZATION_SYNCHRONIZE;

/// The right MUTANT_QUERY_STATE, for NtQueryMutant.
const QUERY: u32 = 1;

#[derive(Debug)]
pub(crate) struct Mutex {
    handle: OwnedHandle,
    /// The name of the mutex in error messages.
    subject: String,
}

impl Mutex {
    fn new(handle: OwnedHandle, name: &Name) -> Mutex {
        Mutex {
            handle,
            subject: name.to_string(),
        }
    }
}

/// Locks for this thread a mutex of this user that has lost its owner; `None` where there is none.
fn inherit(name: &Name, how: &HowToCreate) -> Option<Mutex> {
    let ours = HowToOpen {
        owner: Some(Owner::Me),
        inheritable: how.inheritable,
        ..HowToOpen::default()
    };
    let mutex = Mutex::open(name, &ours).ok()?;
    // A thread that has the mutex already would lock it again.
    if mutex.is_taken() != Some(false) {
        return None;
    }
    mutex.lock(Some(Duration::ZERO)).ok()??;
    Some(mutex)
}

impl ObjectBackend for Mutex {
    fn raw(&self) -> RawObject {
        object::raw(&self.handle)
    }

    fn info(&self) -> ObjectInfo {
        object::info(&self.handle, Kind::Mutex)
    }
}

impl MutexBackend for Mutex {
    fn create(name: &Name, taken: bool, how: &HowToCreate) -> Result<Mutex> {
        let made = object::create(name, Kind::Mutex, how, |attributes| {
            call::create_mutex(attributes.get(), taken, name)
        });
        match made {
            Ok(handle) => Ok(Mutex::new(handle, name)),
            // A watcher of the last owner keeps the name alive.
            Err(error) if taken && error.kind() == ErrorKind::AlreadyExists => {
                inherit(name, how).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens a mutex. "Only the SYNCHRONIZE access right is required to use a mutex"
    /// (OpenMutexW).
    // layout: L228
    fn open(name: &Name, how: &HowToOpen) -> Result<Mutex> {
        let wait = SYNCHRONIZATION_SYNCHRONIZE;
        let rights = [wait | READ_CONTROL | QUERY, wait | READ_CONTROL, wait];
        let handle = object::open(name, Kind::Mutex, how, &rights)?;
        Ok(Mutex::new(handle, name))
    }

    fn lock(&self, timeout: Option<Duration>) -> Result<Option<Taken>> {
        let woken = call::wait(&[self.handle.as_handle()], deadline_after(timeout))
            .map_err(|code| explain(Operation::Lock, &self.subject, code))?;
        Ok(match woken {
            Ended::Signaled(_) => Some(Taken::Clean),
            Ended::Abandoned(_) => Some(Taken::Abandoned),
            Ended::TimedOut | Ended::Input => None,
        })
    }

    fn unlock(&self) {
        let released = call::release_mutex(self.handle.as_handle());
        debug_assert!(released.is_ok(), "ReleaseMutex of our own: {released:?}");
    }

    fn is_taken(&self) -> Option<bool> {
        ntdll::mutex_is_taken(self.handle.as_raw_handle())
    }

    fn owner(&self) -> Option<u32> {
        ntdll::mutex_owner(self.handle.as_raw_handle())
    }

    fn watch_owner(self) -> Result<Process> {
        Ok(Process::of_liveness(self.handle))
    }
}
