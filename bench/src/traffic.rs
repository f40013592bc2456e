//! Round trips and streams that panic if they fail, and other helpers for messages.

use shmkit_measure::{Inbox, Outbox, Times, clock};
use std::time::Duration;

/// Returns the first 8 bytes of a message as a number.
pub fn word(message: &[u8]) -> u64 {
    u64::from_ne_bytes(message[..8].try_into().unwrap())
}

/// Writes a number at both ends of a message.
#[inline(always)]
pub fn stamp(message: &mut [u8], number: u64) {
    let last = message.len() - 8;
    message[last..].copy_from_slice(&number.to_ne_bytes());
    message[..8].copy_from_slice(&number.to_ne_bytes());
}

/// Reads all of a message, as numbers of 8 bytes, and returns their sum.
#[inline(always)]
pub fn whole(message: &[u8]) -> u64 {
    let words = message.as_chunks::<8>().0.iter();
    words.fold(0, |sum, word| sum.wrapping_add(u64::from_ne_bytes(*word)))
}

#[inline(always)]
pub fn ask(outbox: &mut impl Outbox, inbox: &mut impl Inbox, len: usize, time: Duration) -> Times {
    shmkit_measure::ask(outbox, inbox, len, time).unwrap()
}

#[inline(always)]
pub fn answer(outbox: &mut impl Outbox, inbox: &mut impl Inbox, len: usize) {
    shmkit_measure::answer(outbox, inbox, len).unwrap();
}

#[inline(always)]
pub fn produce(outbox: &mut impl Outbox, len: usize, time: Duration) {
    shmkit_measure::produce(outbox, len, time).unwrap();
}

/// Receives a stream, and returns how many messages arrive in a microsecond.
#[inline(always)]
pub fn consume(inbox: &mut impl Inbox, len: usize, look: impl FnMut(&[u8]) -> u64) -> f64 {
    let flow = shmkit_measure::consume(inbox, len, look);
    flow.unwrap().messages_per_s() / 1e6
}

/// Keeps the processor busy, and so awake.
pub fn busy_for(time: Duration) {
    let end = clock::now() + clock::ticks(time);
    while clock::now() < end {
        std::hint::spin_loop();
    }
}
