//! The speed that the machine allows: a line that goes to and fro, and bare rings.

use crate::pair::Pair;
use shmkit::{Mapping, ReadWrite, Section};
use shmkit_measure::{Inbox, Message, Outbox, Result, Times, clock, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Measures round trips of the line in the same way as round trips of messages.
pub fn ping_pong(pair: &Pair, time: Duration) -> Times {
    pair.meet();
    let times = pair.floor().serve(time, pair.peer()).unwrap();
    pair.meet();
    times
}

pub fn pong(pair: &Pair) {
    pair.meet();
    pair.floor().answer(pair.peer()).unwrap();
    pair.meet();
}

/// How messages are stored in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stores {
    Plain,
    /// Past the caches.
    NonTemporal,
}

/// A bare ring: slots and two indices, and nothing else.
pub struct Ring {
    memory: Mapping<ReadWrite>,
    slots: u64,
    size: usize,
    /// The number of messages after which an index is published.
    every: u64,
    stores: Stores,
    position: u64,
    shown: u64,
    /// The index of the other process, as last loaded.
    seen: u64,
}

const SENT: usize = 0;
const FREED: usize = 256;
const SLOTS: usize = 4096;

impl Ring {
    /// Creates a ring that the first process writes and the second process reads.
    pub fn new(pair: &Pair, tag: &str, slots: u64, size: usize, every: u64) -> Ring {
        let name = pair.name(tag);
        let len = SLOTS as u64 + slots * size as u64;
        let section = if pair.is_here() {
            let made = Section::create_new(name.as_str(), len).unwrap();
            pair.meet();
            made
        } else {
            pair.meet();
            Section::open_rw(name.as_str()).unwrap()
        };

        let memory = section.map_rw(..).unwrap();
        memory.prefault().unwrap();
        pair.meet();

        Ring {
            memory,
            slots,
            size,
            every,
            stores: Stores::Plain,
            position: 0,
            shown: 0,
            seen: 0,
        }
    }

    pub fn stores(&mut self, stores: Stores) -> &mut Ring {
        self.stores = stores;
        self
    }

    fn index(&self, at: usize) -> &AtomicU64 {
        // SAFETY: the word is inside the mapping, which lives as long as the reference, and is
        // aligned.
        unsafe { AtomicU64::from_ptr(self.memory.as_mut_ptr().add(at).cast()) }
    }

    fn slot(&self) -> *mut u8 {
        let slot = (self.position & (self.slots - 1)) as usize;
        self.memory
            .as_mut_ptr()
            .wrapping_add(SLOTS + slot * self.size)
    }

    fn show(&mut self, at: usize) {
        self.shown = self.position;
        // Pairs with the load in the other process.
        self.index(at).store(self.position, Ordering::Release);
    }
}

impl Outbox for Ring {
    #[inline(always)]
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        let message = message.body();
        if self.position == self.seen + self.slots {
            self.show(SENT);
            while self.position == self.seen + self.slots {
                // Pairs with the reader's `show`.
                self.seen = self.index(FREED).load(Ordering::Acquire);
            }
        }

        // SAFETY: the slot is as long as the messages, and the reader has left the slot.
        unsafe {
            match self.stores {
                Stores::Plain => self.slot().copy_from(message.as_ptr(), message.len()),
                Stores::NonTemporal => copy_past_caches(message, self.slot()),
            }
        }

        self.position += 1;
        if self.position - self.shown >= self.every {
            self.show(SENT);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.show(SENT);
        Ok(())
    }
}

impl Inbox for Ring {
    #[inline(always)]
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        if self.position == self.seen {
            if self.shown != self.position {
                self.show(FREED);
            }
            while self.position == self.seen {
                // Pairs with the writer's `show`.
                self.seen = self.index(SENT).load(Ordering::Acquire);
            }
        }

        // SAFETY: the writer has left the slot, and writes it again only after the slot was
        // published as free.
        let done = look(unsafe { std::slice::from_raw_parts(self.slot(), self.size) });

        self.position += 1;
        if self.position - self.shown >= self.every {
            self.show(FREED);
        }
        Ok(done)
    }
}

/// # Safety
///
/// `to` is aligned to 16 and has space for the message. The length of the message is a multiple of
/// 16.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_past_caches(message: &[u8], to: *mut u8) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
    for at in (0..message.len()).step_by(16) {
        // SAFETY: the 16 bytes are inside the message, and inside the space for the message.
        unsafe {
            let from: *const __m128i = message.as_ptr().add(at).cast();
            _mm_stream_si128(to.add(at).cast(), _mm_loadu_si128(from));
        }
    }
    // SAFETY: every processor of this architecture has the instruction.
    unsafe { _mm_sfence() };
}

/// # Safety
///
/// `to` is aligned to 16 and has space for the message. The length of the message is a multiple of
/// 16.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_past_caches(message: &[u8], to: *mut u8) {
    // SAFETY: the caller promises that `to` has space for the message. For these processors, not
    // all compilers have a store past the caches.
    unsafe { to.copy_from(message.as_ptr(), message.len()) };
}

/// Measures the ring of the crate `rtrb` between two threads on the same two processors. The
/// messages have 64 bytes. The producer writes sixteen messages at a time, and the consumer takes
/// all messages that are there. Returns the number of messages in a microsecond. The peer process
/// has to rest meanwhile.
pub fn rtrb(time: Duration) -> f64 {
    const CHUNK: usize = 16;
    /// The number of messages that are made at a time. `produce` makes the same number at a time.
    const BURST: usize = 64;
    let (mut producer, mut consumer) = rtrb::RingBuffer::<[u64; 8]>::new(4096);

    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            assert!(pin(1), "pinned");
            let (mut start, mut number) = (None, 0);
            loop {
                let Ok(chunk) = consumer.read_chunk(consumer.slots()) else {
                    continue;
                };
                for item in chunk {
                    if item[0] == u64::MAX {
                        let start = start.unwrap();
                        return number as f64 / clock::ns(clock::now() - start) * 1e3;
                    }
                    start.get_or_insert_with(clock::now);
                    assert_eq!(item[0] + item[7], 2 * number);
                    number += 1;
                }
            }
        });

        let end = clock::now() + clock::ticks(time);
        let mut made = [[0; 8]; BURST];
        let mut number = 0;
        while clock::now() < end {
            for message in &mut made {
                (message[0], message[7]) = (number, number);
                number += 1;
            }
            // Forces the messages into memory, since messages that are sent are in memory too.
            for some in std::hint::black_box(&made).as_chunks::<CHUNK>().0 {
                let chunk = loop {
                    if let Ok(chunk) = producer.write_chunk_uninit(CHUNK) {
                        break chunk;
                    }
                };
                chunk.fill_from_iter(some.iter().copied());
            }
        }

        while producer.push([u64::MAX; 8]).is_err() {}
        reader.join().unwrap()
    })
}
