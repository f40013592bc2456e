//! Round trips and streams, the same for all that carries messages.

use crate::clock::{self, Samples};
use crate::link::{Inbox, Outbox};
use std::time::Duration;

/// The first word of the last message.
const END: u64 = u64::MAX;

pub fn word(message: &[u8]) -> u64 {
    u64::from_ne_bytes(message[..8].try_into().unwrap())
}

#[inline(always)]
pub fn stamp(message: &mut [u8], number: u64) {
    let last = message.len() - 8;
    message[last..].copy_from_slice(&number.to_ne_bytes());
    message[..8].copy_from_slice(&number.to_ne_bytes());
}

/// Sends messages and waits for each to come back.
#[inline(always)]
pub fn ask(
    outbox: &mut impl Outbox,
    inbox: &mut impl Inbox,
    message: &mut [u8],
    time: Duration,
) -> Samples {
    let mut samples = Samples::new();
    let mut last = clock::now();
    let end = last + clock::ticks(time);
    let mut number = 0;
    while last < end {
        stamp(message, number);
        outbox.send(message);
        assert_eq!(inbox.receive(word), number);
        let now = clock::now();
        samples.push(now - last);
        last = now;
        number += 1;
    }
    stamp(message, END);
    outbox.send(message);
    assert_eq!(inbox.receive(word), END);
    samples
}

/// Sends back what comes.
#[inline(always)]
pub fn echo(outbox: &mut impl Outbox, inbox: &mut impl Inbox) {
    let answer = |message: &[u8]| {
        outbox.send(message);
        word(message)
    };
    let mut answer = answer;
    while inbox.receive(&mut answer) != END {}
}

/// Sends messages of this length as fast as it can. They are made some time before they
/// are sent: to copy what was just written by narrower stores is to wait until all stores
/// before are done, and that would be measured instead.
#[inline(always)]
pub fn produce(outbox: &mut impl Outbox, len: usize, time: Duration) {
    let burst = burst(len);
    let mut made = vec![0; burst * len];
    let end = clock::now() + clock::ticks(time);
    let mut number = 0;
    while clock::now() < end {
        for message in made.chunks_exact_mut(len) {
            stamp(message, number);
            number += 1;
        }
        for message in made.chunks_exact(len) {
            outbox.send(message);
        }
    }
    let last = &mut made[..len];
    stamp(last, END);
    outbox.send(last);
    outbox.flush();
}

/// How many messages are made at a time: as many as stay in the first cache.
pub const fn burst(len: usize) -> usize {
    match 16384 / len {
        0 => 1,
        many if many > 64 => 64,
        some => some,
    }
}

/// How many messages come in a microsecond. `look` is what is done with each.
#[inline(always)]
pub fn consume(inbox: &mut impl Inbox, mut look: impl FnMut(&[u8]) -> u64) -> f64 {
    assert_eq!(inbox.receive(word), 0);
    let start = clock::now();
    let mut number = 0;
    loop {
        let (first, found) = inbox.receive(|message| (word(message), look(message)));
        if first == END {
            break;
        }
        number += 1;
        assert_eq!((first, found), (number, 2 * number));
    }
    number as f64 / clock::ns(clock::now() - start) * 1e3
}

/// Looks at both ends of a message.
#[inline(always)]
pub fn ends(message: &[u8]) -> u64 {
    word(message).wrapping_add(word(&message[message.len() - 8..]))
}

/// Looks at all of it.
#[inline(always)]
pub fn whole(message: &[u8]) -> u64 {
    let words = message.as_chunks::<8>().0.iter();
    words.fold(0, |sum, word| sum.wrapping_add(u64::from_ne_bytes(*word)))
}
