//! Requests that a server has received, and the means to answer them.

use super::serving::{ResponseAddress, Serving, Shared};
use crate::error::channel::{RecvError, SendError};
use crate::format::describe::Described;
use crate::format::payload::Payload;
use crate::os::ProcessIdentity;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// The duty to answer a request. Dropping the duty sends the client a response that says that there
/// is no answer.
struct Duty<'a> {
    shared: &'a Arc<Shared>,
    address: ResponseAddress,
}

impl Drop for Duty<'_> {
    fn drop(&mut self) {
        let _ = self.shared.answer(self.address, None);
    }
}

/// A request that a [`Server`](crate::Server) has received. If the request is dropped without an
/// answer, the call fails with [`CallError::Unanswered`](crate::CallError::Unanswered).
pub struct Request<'a, Q: Payload + ?Sized = [u8], R: Payload + ?Sized = [u8]> {
    received: Q::Received<'a>,
    duty: Duty<'a>,
    response: PhantomData<fn(&R)>,
}

impl<'a, R: Payload + ?Sized> Request<'a, [u8], R> {
    /// Returns the bytes that the client has sent.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.received
    }
}

impl<T: Described, R: Payload + ?Sized> Request<'_, T, R> {
    /// Returns the value that the client has sent.
    #[must_use]
    pub fn value(&self) -> &T {
        &self.received
    }
}

impl<'a, Q: Payload + ?Sized, R: Payload + ?Sized> Request<'a, Q, R> {
    #[inline]
    pub(crate) fn new(
        server: &'a Serving,
        len: usize,
        address: ResponseAddress,
    ) -> Result<Request<'a, Q, R>, RecvError> {
        let shared = &server.shared;
        let duty = Duty { shared, address };
        let received = Q::received(server.received(len)).ok_or(RecvError::Corrupt)?;
        Ok(Request {
            received,
            duty,
            response: PhantomData,
        })
    }

    /// Returns the process of the client; `None` if the client has gone.
    ///
    /// The identity is what the client itself has stored: it identifies the process of a client that
    /// follows the rules, and authenticates nobody. Any process that may call can store another
    /// identity. [`ProcessIdentity::image`] and [`ProcessIdentity::user`] ask the system about the
    /// process.
    #[must_use]
    pub fn peer(&self) -> Option<ProcessIdentity> {
        self.duty.shared.peer(self.duty.address)
    }

    /// Answers the request, without blocking. The response is visible to the client when `respond`
    /// returns. If the client has gone, nothing happens, and the result is `Ok`.
    ///
    /// # Errors
    ///
    /// - [`SendError::TooLong`] if the response is longer than
    ///   [`max_message`](crate::Server::max_message). The call then fails with
    ///   [`CallError::Unanswered`](crate::CallError::Unanswered).
    /// - [`SendError::Full`] if a client breaks the rules and has more calls open than it has space
    ///   for.
    /// - [`SendError::Forked`] in a process that was forked from the process that created the
    ///   server.
    #[inline]
    pub fn respond(self, response: &R) -> Result<(), SendError> {
        let Duty { shared, address } = self.duty;
        shared.answer(address, Some(response.bytes()))?;
        std::mem::forget(self.duty);
        Ok(())
    }

    /// Returns the means to answer the request later, from any thread of this process.
    pub fn defer(self) -> Responder<R> {
        let Duty { shared, address } = self.duty;
        let shared = Arc::clone(shared);
        std::mem::forget(self.duty);
        Responder {
            shared,
            address: Some(address),
            response: PhantomData,
        }
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> fmt::Debug for Request<'_, Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("address", &self.duty.address)
            .finish_non_exhaustive()
    }
}

/// The means to answer a request later; see [`Request::defer`].
///
/// A responder holds the name of the server. When the last [`Server`](crate::Server) is dropped,
/// new calls fail at once, and a responder can still answer. If the responder is dropped without an
/// answer, the call fails with [`CallError::Unanswered`](crate::CallError::Unanswered).
#[must_use = "the call fails if the responder is dropped"]
pub struct Responder<R: Payload + ?Sized = [u8]> {
    shared: Arc<Shared>,
    /// The address of the response, until the request is answered.
    address: Option<ResponseAddress>,
    response: PhantomData<fn(&R)>,
}

impl<R: Payload + ?Sized> Responder<R> {
    /// Answers the request, without blocking, as [`Request::respond`] does.
    ///
    /// # Errors
    ///
    /// The errors of [`Request::respond`].
    pub fn respond(mut self, response: &R) -> Result<(), SendError> {
        if let Some(address) = self.address {
            self.shared.answer(address, Some(response.bytes()))?;
            self.address = None;
        }
        Ok(())
    }
}

impl<R: Payload + ?Sized> Drop for Responder<R> {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let _ = self.shared.answer(address, None);
        }
    }
}

impl<R: Payload + ?Sized> fmt::Debug for Responder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}
