//! The calls of a client, and their states.

use crate::error::channel::DisconnectReason;
use crate::sync::{AtomicBool, Ordering};
use std::sync::Arc;

/// The state of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Asked,
    Answered,
    /// The server dropped the request without an answer.
    Unanswered,
    /// The server has gone, and will not answer.
    Lost(DisconnectReason),
}

/// A place for a call.
#[derive(Debug)]
pub(super) struct PendingCall {
    pub state: State,
    pub number: u32,
    /// The position of the request, or of the pad in front of the request.
    pub position: u64,
    pub response: Vec<u8>,
    /// Whether the program has asked for the response.
    pub is_told: bool,
    /// Whether a [`Call`] exists, with which the program may still ask for the response.
    pub held: Arc<AtomicBool>,
}

impl PendingCall {
    pub fn is_held(&self) -> bool {
        // Relaxed: the word says nothing about other memory.
        self.held.load(Ordering::Relaxed)
    }
}

/// A call that was begun; see [`Client::send`](crate::Client::send). Dropping the call cancels it:
/// the response is discarded. The server does not learn that the call was cancelled.
#[derive(Debug)]
#[must_use = "the response is thrown away if the call is dropped"]
pub struct Call {
    pub(super) index: usize,
    pub(super) held: Arc<AtomicBool>,
}

impl Drop for Call {
    fn drop(&mut self) {
        // Relaxed: the word says nothing about other memory.
        self.held.store(false, Ordering::Relaxed);
    }
}
