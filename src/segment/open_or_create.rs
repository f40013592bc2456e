//! Opening a queue or a topic, and creating it if it is not there. A process of any role can create it.
//!
//! ```text
//!   a sender or a subscriber                       the first receiver or publisher
//!   open the name, and join: done
//!   there is no owner:
//!     take the name
//!     create a generation without an owner
//!     GENERATION = this generation                 (waits as long as the name is taken)
//!     release the name
//!   open the name, and join                        take the name, which has no owner
//!                                                  create the next generation
//!   reattach: nothing was disconnected             GENERATION = the next, and end this one
//! ```
//!
//! The first owner takes a generation without an owner as that of an owner that has ended: it receives
//! what senders have left there, or waits for the subscribers there if it is lossless. A process that
//! dies while it creates leaves the name to the next process, as an owner does.

use super::{Found, Geometry, Owned};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{self, deadline_after};
use crate::segment::options::Common;
use crate::segment::participant::Participant;
use std::time::{Duration, Instant};

/// How long a process waits for another one that is creating the name.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(2);

/// What a process wants of a queue or a topic that it opens or creates.
pub(crate) struct Wanted<'a> {
    pub geometry: Geometry,
    pub common: &'a Common,
}

impl Wanted<'_> {
    /// Opens the name by `open`. If there is no owner, and no generation that waits for one, creates a
    /// generation without an owner first. `prepare` makes ready what an owner has to prepare there, after
    /// the earlier generations.
    // layout: L330
    pub fn open_or_create<T>(
        &self,
        name: &Name,
        open: impl Fn() -> Result<T>,
        prepare: impl Fn(&Owned, &[(Owned, Participant)]) -> Result<()>,
    ) -> Result<T> {
        let until = deadline_after(Some(PATIENCE));
        loop {
            match open() {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                opened => return opened,
            }
            let common = self.common;
            let created = Owned::create_ownerless(
                name,
                self.geometry,
                &common.access,
                &common.layouts,
                |segment, older| {
                    give_way(name, older)?;
                    prepare(segment, older)
                },
            );
            let is_late = until.is_some_and(|at| Instant::now() >= at);
            match created {
                // The sections stay until this process has joined.
                Ok(_ownerless) => match open() {
                    // An owner has followed and ended meanwhile.
                    Err(error) if error.kind() == ErrorKind::NotFound && !is_late => {}
                    opened => return opened,
                },
                // Another process is creating the name, or has created it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && !is_late => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Creates the segment as its owner, by `create`, or opens the segment of another owner.
    pub fn create_or_open<T>(
        &self,
        create: impl Fn() -> Result<T>,
        open: impl Fn() -> Result<T>,
    ) -> Result<T> {
        let until = deadline_after(Some(PATIENCE));
        loop {
            match create() {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                created => return created,
            }
            match open() {
                // The owner has ended meanwhile, or has not finished.
                Err(error)
                    if error.kind() == ErrorKind::NotFound
                        && until.is_none_or(|at| Instant::now() < at) =>
                {
                    std::thread::sleep(PAUSE);
                }
                opened => return opened,
            }
        }
    }

    /// Returns an error if the segment was created with other options than these.
    // layout: L334
    pub fn check(&self, found: &Found) -> Result<()> {
        let layouts = &self.common.layouts;
        let differ = |meaning| Err(differs(&found.name, meaning));
        match found.layouts()? {
            there if there == *layouts => {}
            _ if layouts.is_empty() => {
                return differ("its messages have a type, and the options give none".to_string());
            }
            _ => found.expect_layouts(layouts)?,
        }
        let access = os::resolved(&self.common.access)?;
        if !found.has_access(&access) {
            return differ(format!("its access is not {access}, as the options say"));
        }
        match difference(&found.geometry, &self.geometry) {
            Some(meaning) => differ(meaning),
            None => Ok(()),
        }
    }
}

impl Owned {
    /// Opens the earlier generations as [`older`](Owned::older) does. Returns an error if one of them
    /// waits for its owner and has other options, and `common` demands the same options. The access is
    /// the same: otherwise the name cannot be taken.
    // layout: L334
    pub fn older_like(&self, common: &Common) -> Result<Vec<(Owned, Participant)>> {
        let older = self.older()?;
        let is_in_use = |old: &&Owned| Some(old.generation) == self.before();
        let waiting = older.iter().map(|(old, _)| old).find(is_in_use);
        let waiting = waiting.filter(|old| old.is_ownerless());
        if let Some(old) = waiting.filter(|_| common.same_options) {
            let difference = match self.has_type_of(old) {
                false => Some("its messages have another type, or none".to_string()),
                true => difference(&old.geometry, &self.geometry),
            };
            if let Some(meaning) = difference {
                return Err(differs(self.name(), meaning));
            }
        }
        Ok(older)
    }
}

/// Returns an error if the generation in use waits for its owner already, since another process has
/// created it while this process waited for the name. This process can join it.
// layout: L330
fn give_way(name: &Name, older: &[(Owned, Participant)]) -> Result<()> {
    if !older.last().is_some_and(|(old, _)| old.is_ownerless()) {
        return Ok(());
    }
    match Found::open(name, None) {
        Ok(found) if found.can_be_joined_without_owner() => {
            let meaning = "another process has just created it";
            Err(Error::new(
                ErrorKind::AlreadyExists,
                Operation::Create,
                name,
                meaning,
            ))
        }
        _ => Ok(()),
    }
}

fn differs(name: &Name, meaning: String) -> Error {
    let error = Error::new(ErrorKind::WrongOptions, Operation::Open, name, meaning);
    error.with_advice("use the same options in all programs that create it")
}

/// Returns the first difference of two geometries as a text.
fn difference(there: &Geometry, wanted: &Geometry) -> Option<String> {
    if there.pattern() != wanted.pattern() {
        return Some(format!("its pattern is {}", there.pattern()));
    }
    let pairs = facts(there).into_iter().zip(facts(wanted));
    let (there, wanted) = pairs.into_iter().find(|(there, wanted)| there != wanted)?;
    Some(format!("it has {there}, and the options say {wanted}"))
}

/// Returns what a caller can set of a queue or a topic.
fn facts(geometry: &Geometry) -> [String; 6] {
    let (what, slots) = match geometry {
        Geometry::Topic { subscribers, .. } => ("publishers", *subscribers),
        _ => ("senders", geometry.slots()),
    };
    [
        format!("{} {what}", geometry.lanes()),
        format!("{slots} slots"),
        format!("messages of up to {} bytes", geometry.max()),
        format!("a capacity of {} bytes", geometry.capacity()),
        format!("delivery {}", geometry.delivery()),
        match geometry.is_stamped() {
            true => "time stamps",
            false => "no time stamps",
        }
        .to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::pattern::Delivery;
    use crate::segment::ring_size::RingSize;

    fn topic(publishers: usize, delivery: Delivery, capacity: u64) -> Geometry {
        let ring = RingSize {
            capacity,
            ..RingSize::default()
        };
        Geometry::Topic {
            publishers,
            delivery,
            subscribers: 3,
            ring: ring.ring("x").unwrap(),
        }
    }

    // layout: L334
    #[test]
    fn first_different_option_is_named() {
        let (lossy, one) = (Delivery::Lossy, Duration::from_millis(1));
        let is = topic(2, lossy, 4096);
        let told = |wanted: &Geometry| difference(&is, wanted).unwrap_or_default();
        assert_eq!(told(&topic(2, lossy, 4000)), "");
        assert_eq!(
            told(&topic(1, lossy, 4096)),
            "it has 2 publishers, and the options say 1 publishers"
        );
        assert!(told(&topic(2, lossy, 8192)).starts_with("it has messages of up to 1016 bytes"));
        let delivery = told(&topic(2, Delivery::LosslessFor(one / 2), 4096));
        assert!(
            delivery.ends_with("delivery lossless for 1 ms"),
            "{delivery}"
        );
        assert_eq!(
            told(&Geometry::Queue {
                senders: 2,
                ring: RingSize::default().ring("x").unwrap()
            }),
            "its pattern is topic"
        );
    }
}
