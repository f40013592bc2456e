//! The same for ends of one type.

use super::{Async, find, receive, rest};
use crate::calls::client::Call;
use crate::error::channel::{CallError, RecvError, SendError};
use crate::format::describe::Described;
use crate::typed::{
    Client, Publisher, Reader, Receiver, Request, Sender, Server, Subscriber, response, value,
};

impl<T: Described> Async<Receiver<T>> {
    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`].
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let endpoint = self.endpoint.endpoint_mut();
        let len = receive(&mut self.registration, endpoint).await?;
        value(Ok(endpoint.received(len)))
    }
}

impl<T: Described> Async<Subscriber<T>> {
    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// As [`Subscriber::recv`].
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let endpoint = self.endpoint.endpoint_mut();
        let len = receive(&mut self.registration, endpoint).await?;
        value(Ok(endpoint.received(len)))
    }
}

impl<T: Described> Async<Reader<T>> {
    /// Waits for a value to change, and says which.
    ///
    /// # Errors
    ///
    /// As [`Reader::wait_change`].
    pub async fn wait_change(&mut self) -> Result<usize, RecvError> {
        loop {
            match self.endpoint.try_change() {
                Err(RecvError::Empty) => {
                    rest(&mut self.registration, self.endpoint.endpoint_mut()).await?
                }
                changed => return changed,
            }
        }
    }
}

impl<T: Described> Async<Sender<T>> {
    /// Sends a value, and waits for room where there is none. It is sent when this is done,
    /// and not where it was dropped before.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    pub async fn send(&mut self, value: &T) -> Result<(), SendError> {
        super::send(
            &mut self.registration,
            self.endpoint.endpoint_mut(),
            value.as_bytes(),
        )
        .await
    }
}

impl<T: Described> Async<Publisher<T>> {
    /// Sends a value, and waits for slow subscribers where delivery is lossless. It is sent
    /// when this is done, and not where it was dropped before.
    ///
    /// # Errors
    ///
    /// As [`Publisher::send`].
    pub async fn send(&mut self, value: &T) -> Result<(), SendError> {
        super::publish(
            &mut self.registration,
            self.endpoint.endpoint_mut(),
            value.as_bytes(),
        )
        .await
    }
}

impl<Q: Described, R: Described> Async<Server<Q, R>> {
    /// Waits for the next request.
    ///
    /// # Errors
    ///
    /// As [`Server::recv`].
    pub async fn recv(&mut self) -> Result<Request<'_, Q, R>, RecvError> {
        let endpoint = self.endpoint.endpoint_mut();
        let (len, address) = find(&mut self.registration, endpoint).await?;
        Request::of(endpoint.request(len, address))
    }
}

impl<Q: Described, R: Described> Async<Client<Q, R>> {
    /// Sends a request, and waits for the response. Dropped before that has come, what the
    /// server answers is thrown away.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn call(&mut self, request: &Q) -> Result<R, CallError> {
        response(
            super::call(
                &mut self.registration,
                self.endpoint.endpoint_mut(),
                request.as_bytes(),
            )
            .await,
        )
    }

    /// Waits for the response to a call.
    ///
    /// # Errors
    ///
    /// As [`Client::recv`].
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub async fn recv(&mut self, call: &Call) -> Result<R, CallError> {
        let endpoint = self.endpoint.endpoint_mut();
        let index = endpoint.index(call);
        response(super::answer(&mut self.registration, endpoint, index).await)
    }
}
