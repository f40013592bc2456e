//! A handle from outside this crate, which a program can wait for together with the objects of this
//! crate.

use crate::error::Result;
use crate::os::{self, OwnedObject, WaitHandleBackend};
use crate::wait::source::{Kept, Signals, Wait, Waitable};

/// A handle of the system for a [`WaitSet`](crate::WaitSet): of a socket, a timer, a process, a
/// thread, the console.
///
/// ```
/// # #[cfg(unix)] {
/// use shmkit::{WaitHandle, WaitSet};
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
///
/// let (mut here, there) = UnixStream::pair()?;
/// let mut socket = WaitHandle::new(there.into());
/// here.write_all(b"news")?;
/// assert_eq!(WaitSet::new().wait(&mut [&mut socket])?, 0);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Platform notes
///
/// On Windows it is any handle that `WaitForSingleObject` takes. A wait for the handle takes the
/// signal of an auto-reset event, or one count of a semaphore, as `WaitForSingleObject` does. A
/// mutex is not suitable, since it would belong to the thread that happened to wait. On Linux it is
/// a descriptor that can be polled, and it is ready as long as it can be read.
#[derive(Debug)]
pub struct WaitHandle {
    os: os::WaitHandle,
    /// The signal, if there is one, that a wait has taken and that the caller has not asked for
    /// yet.
    kept: Kept,
}

impl WaitHandle {
    /// Takes the handle over. To keep using the handle elsewhere, pass a duplicate
    /// (`as_handle().try_clone_to_owned()`, `as_fd().try_clone_to_owned()`).
    #[must_use]
    pub fn new(object: OwnedObject) -> WaitHandle {
        WaitHandle {
            os: os::WaitHandle::new(object),
            kept: Kept::default(),
        }
    }

    /// Returns the handle or descriptor.
    #[must_use]
    pub fn get(&self) -> &OwnedObject {
        self.os.object()
    }

    /// Returns whether the handle is signaled, or can be read. Takes the signal if a wait would
    /// take it. Call it when a [`WaitSet`](crate::WaitSet) reports that the handle is ready.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System): the system cannot wait for this handle.
    pub fn try_wait(&self) -> Result<bool> {
        Ok(self.kept.take() || self.os.try_wait()?)
    }

    fn keep(&self) {
        if os::WaitHandle::IS_TAKEN {
            self.kept.keep();
        }
    }
}

impl Waitable for WaitHandle {}

impl Wait for WaitHandle {
    fn has_news(&mut self) -> bool {
        self.kept.is_there()
    }

    fn ask(&mut self) -> Result<bool> {
        let is_ready = self.try_wait()?;
        if is_ready {
            self.keep();
        }
        Ok(is_ready)
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        signals.add(self.os.signal()?);
        Ok(())
    }

    fn deregister(&mut self) {}

    fn woken(&mut self) -> Result<bool> {
        self.keep();
        Ok(true)
    }
}
