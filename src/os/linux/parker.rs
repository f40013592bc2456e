//! Where a participant sleeps: on its park word in the roster.

use super::park_word::ParkWord;
use super::signal::{Signal, wait_any};
use crate::access::Access;
use crate::error::Result;
use crate::name::Name;
use crate::os::{
    LONGEST_SLEEP, LOOK_BACK, ParkPlace, ParkerBackend, Process, ProcessBackend, Wake, Woken,
    deadline_after, deadline_within,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A sleeper asks for each of so few peers whether it is alive, when the time of its sleep is over.
const FEW: usize = 64;

#[derive(Debug)]
pub(crate) struct Parker {
    word: Arc<ParkWord>,
}

impl ParkerBackend for Parker {
    /// The watcher thread watches any number of processes: more than can take part in a segment.
    const MAX_PEERS: usize = 1 << 16;

    fn create(place: ParkPlace, _event: &Name, _access: &Access) -> Result<Parker> {
        Ok(Parker {
            word: Arc::new(ParkWord::new(place)),
        })
    }

    fn open(place: ParkPlace, _event: &Name) -> Result<Option<Parker>> {
        Ok(Some(Parker {
            word: Arc::new(ParkWord::new(place)),
        }))
    }

    fn unpark(&self) {
        self.word.wake();
    }

    fn signal(&self) -> Result<Signal> {
        Ok(Signal::Park(Arc::clone(&self.word)))
    }

    // layout: L207
    fn park(&self, peers: &[&Process], timeout: Duration) -> Result<Wake> {
        let until = deadline_after(Some(timeout));
        // Where this process has no descriptor or thread left for the watch of a peer, it asks
        // below whether the peer has ended.
        let watched = |peer: &&Process| peer.wake_when_ended(&self.word).is_ok();
        let slice = match peers.iter().filter(|peer| watched(peer)).count() == peers.len() {
            true => LONGEST_SLEEP,
            false => LOOK_BACK,
        };

        let signals = [Signal::Park(Arc::clone(&self.word))];
        loop {
            let woken = wait_any(&signals, deadline_within(slice, until), false)?;
            // A death goes before the time-out, also a death of which no thread has learned yet.
            if woken == Woken::TimedOut || peers.iter().any(|peer| peer.has_report()) {
                // To ask for each of many takes long. Their watches report all ends but an `exec`.
                let asks_all = peers.len() <= FEW;
                for peer in peers
                    .iter()
                    .filter(|peer| asks_all || peer.may_have_ended())
                {
                    if peer.wait(Some(Duration::ZERO))? {
                        return Ok(Wake::PeerDied);
                    }
                }
            }

            if woken != Woken::TimedOut {
                return Ok(Wake::Signaled);
            }
            if until.is_some_and(|at| Instant::now() >= at) {
                return Ok(Wake::TimedOut);
            }
        }
    }
}
