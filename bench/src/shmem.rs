//! The ring of shmem-ipc, polled, in sections of shmkit.

use crate::pair::Pair;
use crate::peers::SIZE;
use shmem_ipc::ringbuf::{Receiver, Sender, channel_bufsize};
use shmkit::{Mapping, ReadWrite, Section};
use shmkit_measure::{Inbox, Outbox, Result};

type Message = [u64; SIZE / 8];

pub struct In {
    receiver: Receiver<Message>,
    _memory: Mapping<ReadWrite>,
}

pub struct Out {
    sender: Sender<Message>,
    _memory: Mapping<ReadWrite>,
}

/// Creates a ring in each direction.
pub fn ends(pair: &Pair) -> (In, Out) {
    let [mine, theirs] = pair.names("ring");
    let len = channel_bufsize::<Message>(4096);
    let made = Section::create_new(mine.as_str(), len as u64).unwrap();
    pair.meet();
    let opened = Section::open_rw(theirs.as_str()).unwrap();
    pair.meet();

    let [inward, outward] = [made, opened].map(|section| section.map_rw(..).unwrap());
    // SAFETY: both mappings have that length and live as long as the ends of the rings, and the
    // bytes of a new mapping are all zero.
    let (receiver, sender) = unsafe {
        (
            Receiver::attach(inward.as_mut_ptr(), len).unwrap(),
            Sender::attach(outward.as_mut_ptr(), len).unwrap(),
        )
    };

    let inbox = In {
        receiver,
        _memory: inward,
    };
    let outbox = Out {
        sender,
        _memory: outward,
    };
    (inbox, outbox)
}

impl Inbox for In {
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let mut look = Some(look);
        let mut done = None;
        while done.is_none() {
            let take = |message: *const Message, _: usize| {
                // SAFETY: the ring says that there is a message, and no process writes it
                // meanwhile.
                let message = unsafe { std::slice::from_raw_parts(message.cast(), SIZE) };
                done = look.take().map(|look| look(message));
                1
            };
            self.receiver.recv(take).unwrap();
        }
        Ok(done.unwrap())
    }
}

impl Outbox for Out {
    fn send(&mut self, message: shmkit_measure::Message<'_>) -> Result<()> {
        let message = message.body();
        let mut sent = false;
        while !sent {
            let put = |place: *mut Message, _: usize| {
                // SAFETY: the ring says that there is space for a message, and no process reads it
                // yet.
                unsafe { place.cast::<u8>().copy_from(message.as_ptr(), SIZE) };
                sent = true;
                1
            };
            self.sender.send(put).unwrap();
        }
        Ok(())
    }
}
