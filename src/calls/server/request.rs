//! Requests that a server has received, and their answers.

use super::Shared;
use crate::error::channel::SendError;
use std::fmt;
use std::sync::Arc;

/// What is left of a request when its bytes are gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseAddress {
    pub(super) slot: usize,
    pub(super) tag: u32,
    /// Which occupant of the slot is to have the response.
    pub(super) slot_epoch: u32,
}

/// A request that a [`Server`](crate::Server) has received. Dropped without an answer, it fails at
/// the client as [`CallError::Unanswered`](crate::CallError::Unanswered).
pub struct Request<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) shared: &'a Arc<Shared>,
    pub(super) address: ResponseAddress,
}

impl<'a> Request<'a> {
    /// What the client has sent.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Answers it. It is answered when this returns; nobody is waited for. Where the client
    /// has gone nothing is done, and that is no error.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLong`]: the client is told that there is no answer.
    /// [`SendError::Full`] where a client breaks the rules and has more calls open than it
    /// has room for.
    #[inline]
    pub fn respond(self, response: &[u8]) -> std::result::Result<(), SendError> {
        self.shared.answer(self.address, Some(response))?;
        std::mem::forget(self);
        Ok(())
    }

    /// Keeps what is needed to answer it later, from anywhere in this process.
    pub fn defer(self) -> Responder {
        let responder = Responder {
            shared: Arc::clone(self.shared),
            address: Some(self.address),
        };
        std::mem::forget(self);
        responder
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let _ = self.shared.answer(self.address, None);
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// What is needed to answer a request; see [`Request::defer`]. As long as there is one the
/// server's name is held; when the last [`Server`](crate::Server) has gone, new calls end at once,
/// and the responder may still answer. Dropped without an answer, it is as a [`Request`] that is.
#[must_use = "dropped, it fails at the client"]
pub struct Responder {
    shared: Arc<Shared>,
    /// Until it is answered.
    address: Option<ResponseAddress>,
}

impl Responder {
    /// Answers the request, as [`Request::respond`] does.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLong`]: the client is told that there is no answer.
    /// [`SendError::Full`] where a client breaks the rules and has more calls open than it has room
    /// for.
    pub fn respond(mut self, response: &[u8]) -> std::result::Result<(), SendError> {
        if let Some(address) = self.address {
            self.shared.answer(address, Some(response))?;
            self.address = None;
        }
        Ok(())
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let _ = self.shared.answer(address, None);
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}
