//! What all that carries messages has in common, and ours.

use crate::pair::Pair;
use shmkit::{
    Batch, Publisher, QueueOptions, Receiver, RecvError, Sender, Start, Subscriber, TopicOptions,
};

pub trait Outbox {
    fn send(&mut self, message: &[u8]);

    /// Lets go of what was kept back.
    fn flush(&mut self) {}
}

pub trait Inbox {
    /// Waits for a message and lets it be looked at.
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> T;
}

/// An end that looks again and again.
pub struct Spinning<'a, E>(pub &'a mut E);

/// An end that sleeps where nothing comes.
pub struct Waiting<'a, E>(pub &'a mut E);

/// An end that looks at messages where they stand.
pub struct Standing<'a>(pub &'a mut Receiver);

impl Inbox for Standing<'_> {
    #[inline(always)]
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> T {
        let message = self.0.recv_ref().unwrap();
        // SAFETY: the only sender leaves it alone.
        look(unsafe { message.as_slice() })
    }
}

macro_rules! inboxes {
    ($($end:ty),*) => { $(
        impl Inbox for Spinning<'_, $end> {
            #[inline(always)]
            fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> T {
                loop {
                    match self.0.try_recv() {
                        Ok(message) => return look(message),
                        Err(RecvError::Empty) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }

        impl Inbox for Waiting<'_, $end> {
            #[inline(always)]
            fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> T {
                look(self.0.recv().unwrap())
            }
        }
    )* };
}

inboxes!(Receiver, Subscriber);

impl Outbox for Sender {
    #[inline(always)]
    fn send(&mut self, message: &[u8]) {
        Sender::send(self, message).unwrap();
    }
}

impl Outbox for Batch<'_> {
    #[inline(always)]
    fn send(&mut self, message: &[u8]) {
        Batch::send(self, message).unwrap();
    }

    fn flush(&mut self) {
        Batch::flush(self).unwrap();
    }
}

impl Outbox for Publisher {
    #[inline(always)]
    fn send(&mut self, message: &[u8]) {
        Publisher::send(self, message).unwrap();
    }
}

/// A queue in each direction: what one of the two has of them.
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

/// A topic in each direction.
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
