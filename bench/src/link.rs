//! The queues and topics of shmkit between the two processes.

use crate::pair::Pair;
use shmkit::{
    Publisher, QueueOptions, Receiver, RecvError, Sender, Start, Subscriber, TopicOptions,
};
use shmkit_measure::{Inbox, Result};

/// An endpoint that polls. Without this wrapper, an endpoint sleeps if no message comes.
pub struct Spinning<'a, E>(pub &'a mut E);

/// An endpoint that reads messages in place.
pub struct Standing<'a>(pub &'a mut Receiver);

impl Inbox for Standing<'_> {
    #[inline(always)]
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let message = self.0.recv_ref()?;
        // SAFETY: the only sender does not change the message while it is read.
        Ok(look(unsafe { message.as_slice() }))
    }
}

macro_rules! spinning {
    ($($endpoint:ty),*) => { $(
        impl Inbox for Spinning<'_, $endpoint> {
            #[inline(always)]
            fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
                loop {
                    match self.0.try_recv() {
                        Ok(message) => return Ok(look(message)),
                        Err(RecvError::Empty) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
    )* };
}

spinning!(Receiver, Subscriber);

/// A queue in each direction: the endpoints that one process has.
pub struct Queues {
    pub inbox: Receiver,
    pub outbox: Sender,
}

impl Queues {
    pub fn new(pair: &Pair, options: QueueOptions) -> Queues {
        Queues::tagged(pair, "queue", options)
    }

    pub fn tagged(pair: &Pair, tag: &str, options: QueueOptions) -> Queues {
        let [mine, theirs] = pair.names(tag);
        let inbox = options.prefault(true).create(mine.as_str()).unwrap();
        pair.meet();
        let outbox = Sender::open(theirs.as_str()).unwrap();
        pair.meet();
        Queues { inbox, outbox }
    }
}

/// A topic in each direction: the endpoints that one process has.
pub struct Topics {
    pub inbox: Subscriber,
    pub outbox: Publisher,
}

impl Topics {
    pub fn new(pair: &Pair, options: TopicOptions) -> Topics {
        let [mine, theirs] = pair.names("topic");
        let outbox = options.prefault(true).create(mine.as_str()).unwrap();
        pair.meet();
        let new = Subscriber::options().start(Start::New);
        let inbox = new.open(theirs.as_str()).unwrap();
        pair.meet();
        Topics { inbox, outbox }
    }
}
