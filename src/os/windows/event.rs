//! An event of the kernel.

use super::call;
use super::error::explain;
use super::signal::{Signal, wait_any};
use super::{RawObject, ntdll, object};
use crate::error::{Operation, Result};
use crate::name::Name;
use crate::os::{
    EventBackend, HowToCreate, HowToOpen, Kind, MAX_PEERS, ObjectBackend, ObjectInfo, Process,
    ProcessBackend, Reset, Wake, Woken, deadline_after,
};
use std::os::windows::io::{AsHandle, AsRawHandle, OwnedHandle};
use std::sync::Arc;
use std::time::Duration;
use windows_sys::Win32::Storage::FileSystem::READ_CONTROL;
use windows_sys::Win32::System::Threading::{EVENT_MODIFY_STATE, SYNCHRONIZATION_SYNCHRONIZE};

/// The right EVENT_QUERY_STATE, for NtQueryEvent.
const QUERY: u32 = 1;

#[derive(Debug)]
pub(crate) struct Event {
    handle: Arc<OwnedHandle>,
    writable: bool,
    /// The name of the event in error messages.
    subject: String,
}

impl Event {
    fn new(handle: OwnedHandle, name: &Name, writable: bool) -> Event {
        Event {
            handle: Arc::new(handle),
            writable,
            subject: name.to_string(),
        }
    }

    /// Opens an event for setting. "SetEvent … requires the EVENT_MODIFY_STATE access right":
    /// an account that may set an event need not have the right to wait for it.
    // layout: L228
    pub(super) fn open_to_set(name: &Name) -> Result<Event> {
        let how = HowToOpen {
            write: true,
            ..HowToOpen::default()
        };
        let handle = object::open(name, Kind::Event, &how, &[EVENT_MODIFY_STATE])?;
        Ok(Event::new(handle, name, true))
    }

    fn changed(&self, called: call::Called<()>) -> Result<()> {
        called.map_err(|code| explain(Operation::Signal, &self.subject, code))
    }
}

impl ObjectBackend for Event {
    fn raw(&self) -> RawObject {
        object::raw(&self.handle)
    }

    fn info(&self) -> ObjectInfo {
        object::info(&self.handle, Kind::Event)
    }
}

impl EventBackend for Event {
    // layout: L229
    fn create(name: &Name, reset: Reset, how: &HowToCreate) -> Result<Event> {
        let manual = reset == Reset::Manual;
        let handle = object::create(name, Kind::Event, how, |attributes| {
            call::create_event(attributes.get(), manual, name)
        })?;
        Ok(Event::new(handle, name, true))
    }

    fn open(name: &Name, how: &HowToOpen) -> Result<Event> {
        let wait = if how.write {
            SYNCHRONIZATION_SYNCHRONIZE | EVENT_MODIFY_STATE
        } else {
            SYNCHRONIZATION_SYNCHRONIZE
        };
        let rights = [wait | READ_CONTROL | QUERY, wait | READ_CONTROL, wait];
        let handle = object::open(name, Kind::Event, how, &rights)?;
        Ok(Event::new(handle, name, how.write))
    }

    fn reset_mode(&self) -> Option<Reset> {
        ntdll::event_state(self.handle.as_raw_handle()).map(|(reset, _)| reset)
    }

    fn is_set(&self) -> Option<bool> {
        ntdll::event_state(self.handle.as_raw_handle()).map(|(_, set)| set)
    }

    fn writable(&self) -> bool {
        self.writable
    }

    fn set(&self) -> Result<()> {
        self.changed(call::set_event(self.handle.as_handle()))
    }

    fn reset(&self) -> Result<()> {
        self.changed(call::reset_event(self.handle.as_handle()))
    }

    fn signal(&self) -> Result<Signal> {
        Ok(Signal::Object(Arc::clone(&self.handle)))
    }

    // layout: L229
    fn wait(&self, peers: &[&Process], timeout: Option<Duration>) -> Result<Wake> {
        debug_assert!(peers.len() <= MAX_PEERS);
        let mut signals = Vec::with_capacity(1 + peers.len());
        signals.push(self.signal()?);
        for peer in peers {
            signals.push(peer.signal()?);
        }
        Ok(match wait_any(&signals, deadline_after(timeout), false)? {
            Woken::Signal(0) => Wake::Signaled,
            Woken::Signal(_) => Wake::PeerDied,
            Woken::TimedOut | Woken::Input => Wake::TimedOut,
        })
    }
}
