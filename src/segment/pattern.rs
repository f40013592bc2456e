//! What a segment is for, and how a topic is delivered.

use std::fmt;
use std::time::Duration;

/// One of the four patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Many senders, one receiver ([`Receiver`](crate::Receiver)).
    Queue,
    /// One publisher, many subscribers ([`Publisher`](crate::Publisher)).
    Topic,
    /// One writer of a value or a table of values, many readers ([`Writer`](crate::Writer)).
    Values,
    /// One server, many clients ([`Server`](crate::Server)).
    Calls,
}

/// The delivery of a topic: what its publishers do about subscribers that are slower than they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// A publisher never waits. A subscriber that is overtaken receives
    /// [`Lagged(n)`](crate::RecvError::Lagged): it missed n messages.
    #[default]
    Lossy,
    /// A publisher waits for the slowest living subscriber, so that no subscriber misses a message.
    Lossless,
    /// A publisher waits this long for a slow subscriber, and then continues without it. The
    /// subscriber receives [`Lagged(n)`](crate::RecvError::Lagged): it missed n messages. From then
    /// on the publishers wait for the subscriber again. The time is kept in milliseconds.
    LosslessFor(Duration),
}

/// Prints the pattern as one word: `queue`, `topic`, `values`, `calls`.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pattern::Queue => "queue",
            Pattern::Topic => "topic",
            Pattern::Values => "values",
            Pattern::Calls => "calls",
        })
    }
}

/// Prints the delivery in words: `lossy`, `lossless`, `lossless for 50 ms`.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delivery::Lossy => f.write_str("lossy"),
            Delivery::Lossless => f.write_str("lossless"),
            Delivery::LosslessFor(limit) => {
                write!(f, "lossless for {} ms", limit.as_millis().max(1))
            }
        }
    }
}
