//! The generation in which a publisher publishes, as its owner or as a guest.

use crate::segment::{Found, Owned};
use std::time::{Duration, Instant};

/// How long a publisher that cannot join the generation in use waits before it tries again.
const PAUSE: Duration = Duration::from_millis(100);

/// The generation in which a publisher publishes.
#[derive(Debug)]
pub(super) enum Home {
    /// The publisher owns the name.
    Owner(Box<Owned>),
    /// Another process owns the name.
    Guest(Box<Guest>),
}

impl Home {
    /// Returns whether the generation has ended, and this publisher may have to reattach.
    #[inline]
    pub fn has_ended(&self) -> bool {
        match self {
            Home::Owner(_) => false,
            Home::Guest(guest) => guest.found.is_ended(),
        }
    }

    /// Returns whether there is another generation to try.
    pub fn may_follow(&self) -> bool {
        match self {
            Home::Owner(_) => false,
            Home::Guest(guest) => guest.may_follow(),
        }
    }
}

/// Where a publisher that opened a topic has it from.
#[derive(Debug)]
pub(super) struct Guest {
    pub found: Found,
    /// When this publisher could not join the generation in use.
    pub refused: Option<Instant>,
}

impl Guest {
    /// Returns whether there is another generation to try.
    pub fn may_follow(&self) -> bool {
        self.found.is_followed() && self.refused.is_none_or(|at| at.elapsed() > PAUSE)
    }
}
