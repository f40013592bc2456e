//! The calls of a client, and where each of them is.

use crate::error::channel::DisconnectReason;
use crate::sync::{AtomicBool, Ordering};
use std::sync::Arc;

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Asked,
    Answered,
    /// The server dropped the request.
    Unanswered,
    /// The server has gone.
    Lost(DisconnectReason),
}

/// A place for a call.
#[derive(Debug)]
pub(super) struct PendingCall {
    pub state: State,
    pub number: u32,
    /// Where the request stands, or the pad in front of it.
    pub position: u64,
    pub response: Vec<u8>,
    /// What it came to was asked for.
    pub is_told: bool,
    /// Somebody may ask for the response still.
    pub held: Arc<AtomicBool>,
}

impl PendingCall {
    pub fn is_held(&self) -> bool {
        // Relaxed: nothing but the word itself is told by it.
        self.held.load(Ordering::Relaxed)
    }
}

/// A call that was begun; see [`Client::send`](crate::Client::send). Dropping it is to cancel it:
/// what the server answers is thrown away. The server learns nothing of that.
#[derive(Debug)]
#[must_use = "dropped, its response is thrown away"]
pub struct Call {
    pub(super) index: usize,
    pub(super) held: Arc<AtomicBool>,
}

impl Drop for Call {
    fn drop(&mut self) {
        // Relaxed: nothing but the word itself is told by it.
        self.held.store(false, Ordering::Relaxed);
    }
}
