//! Read-only facts about objects and segments, for tools; and the removal of stale files.

use crate::error::channel::DisconnectReason;
use crate::error::{Error, Result};
use crate::format::describe::Layout;
use crate::format::layout::{MAJOR, cursor, roster};
use crate::name::Name;
use crate::os::{self, Holders, Listed, LivesBackend, ProcessIdentity, RawObject, pid_of};
use crate::segment::roster::{identity_of, occupant_in, slot_at};
use crate::segment::slot_set::SLEEPERS;
use crate::segment::sources::SourceWords;
use crate::segment::{Found, Geometry, Pattern};
use crate::sync::{AtLeast, Window, Words};
use std::path::PathBuf;

/// Lists the named sections, events and mutexes of this session and of the whole machine, sorted by
/// name. On Linux the list also has the POSIX objects in `/dev/shm`.
///
/// # Errors
///
/// [`ErrorKind::AccessDenied`](crate::ErrorKind::AccessDenied) if the system does not show the
/// objects to this account.
///
/// # Platform notes
///
/// On Windows this function opens each object to read its facts. So this process holds each object
/// for a moment.
pub fn list() -> Result<Vec<Listed>> {
    let mut found = os::list()?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Returns the processes that hold an object. `object` is a handle or descriptor of the object in
/// this process (`as_raw`).
///
/// # Errors
///
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if the system does not show the
/// holders of an object.
pub fn holders(object: RawObject) -> Result<Holders> {
    os::holders(object)
}

/// Unlinks the stale files that killed processes of this user left (Linux), and returns the names
/// of their objects.
///
/// A stale file blocks no process: opening ignores the file, and creating removes it too.
///
/// # Errors
///
/// [`ErrorKind::AccessDenied`](crate::ErrorKind::AccessDenied) if this account may not read
/// `/dev/shm`.
///
/// # Platform notes
///
/// On Windows a killed process leaves nothing behind, so the list is empty.
pub fn clean() -> Result<Vec<String>> {
    let mut removed = os::clean()?;
    removed.sort();
    Ok(removed)
}

/// The folder that holds the objects of this process.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The path of the folder.
    pub path: PathBuf,
    /// Whether the variable `SHMKIT_DIR` names the folder.
    pub is_chosen: bool,
}

/// Returns the folder that holds the objects of this process: `/dev/shm`, or the folder that the
/// variable `SHMKIT_DIR` names. Returns `None` on Windows, where objects are in no folder.
///
/// # Platform notes
///
/// Programs with one folder share the names of their objects; containers can mount one folder. The
/// variable is read once. A program with more rights than the user who started it (setuid) ignores
/// the variable. Every call that creates, opens or lists objects fails with
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) unless the folder has an absolute path,
/// belongs to root or to this user, has the sticky bit if others may write there, and is on a file
/// system with `O_TMPFILE` and lasting locks, as tmpfs and ext4 are. The error says which condition
/// failed.
#[must_use]
pub fn folder() -> Option<Folder> {
    let (path, is_chosen) = os::objects_folder()?;
    Some(Folder { path, is_chosen })
}

/// A process with an endpoint of a segment: the owner, or a participant with a slot.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The id of its process.
    pub pid: u32,
    /// The identity of its process, which a later process with the same id does not have. The
    /// identity also gives the program and the start time. `None` if the process has ended, or if
    /// the system does not show the identity.
    pub identity: Option<ProcessIdentity>,
    /// Whether it is alive; `None` if the system does not show this. On Linux a participant also ends
    /// when another program replaces the program of its process (exec).
    pub alive: Option<bool>,
    /// Whether the participant is sleeping or about to sleep.
    pub asleep: bool,
    /// Whether the participant is a publisher of a topic.
    pub publishes: bool,
    /// The [source key](crate::SenderOptions::source) of a sender, if it has one.
    pub source: Option<u64>,
    /// The number of messages that the participant has sent. For a sender, a client or a publisher,
    /// this is the count of its lane, and includes the messages of earlier participants in the slot.
    pub sent: u64,
    /// The number of messages that the participant has received. For a sender or client, the number
    /// of its messages that the owner has received.
    pub received: u64,
    /// The number of messages that a subscriber has missed.
    pub missed: u64,
    /// The number of messages that a subscriber has not received yet. For a sender or client, the
    /// number of its messages that the owner has not received yet.
    pub behind: u64,
}

/// The facts about a queue, a topic, a table of values or a server of calls.
///
/// The numbers are read one after the other while other processes change them. So they need not
/// belong to one moment.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct SegmentInfo {
    /// The pattern of the segment.
    pub pattern: Pattern,
    /// The number of the generation in use. Each new owner makes the next generation, and so does
    /// an owner that changes the geometry.
    pub generation: u32,
    /// The version of the format: major and minor.
    pub version: (u32, u32),
    /// The length of the longest message or value, in bytes.
    pub max_message: usize,
    /// The length of the ring of each lane, or of the whole table of values, in bytes.
    pub capacity: u64,
    /// The largest number of senders (queue), clients (calls) or publishers (topic).
    pub lanes: usize,
    /// The number of calls that a client can have open at a time; 0 for other patterns.
    pub in_flight: usize,
    /// The number of values in a table of values; 0 for other patterns.
    pub values: usize,
    /// Whether the publisher of a topic waits for slow subscribers. Always `true` for a queue and
    /// for calls, and `false` for values.
    pub lossless: bool,
    /// Whether each message has the time at which it was sent (queue, topic).
    pub timestamps: bool,
    /// The layout of a message or request; see [`Payload`](crate::Payload). `None` if messages are
    /// bytes, or if the layout in shared memory is invalid.
    pub layout: Option<Layout>,
    /// The layout of a response (calls). `None` if responses are bytes, or if the layout in shared
    /// memory is invalid.
    pub response_layout: Option<Layout>,
    /// Whether the owner has closed the generation in good order.
    pub closed: bool,
    /// Whether a sender or a subscriber has created the generation, and no receiver or publisher has
    /// come yet. The pid of the [`owner`](SegmentInfo::owner) is 0 then.
    pub ownerless: bool,
    /// The owner of the generation: the receiver of a queue, the publisher of a topic, the writer
    /// of values, the server of calls.
    pub owner: Participant,
    /// The participants besides the owner; `None` if this account may not read the roster.
    pub others: Option<Vec<Participant>>,
}

type Roster = Window<AtLeast<{ roster::SLOTS_AT }>>;

/// Returns the facts about a queue, a topic, a table of values or a server of calls. The call takes
/// no slot, and writes nothing. It blocks for up to a second if the owner is creating the name.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) if no process has created the name;
/// [`WrongKind`](crate::ErrorKind::WrongKind) if the name belongs to an object that is none of
/// these patterns; [`Busy`](crate::ErrorKind::Busy) if the name is not ready after a second;
/// [`WrongVersion`](crate::ErrorKind::WrongVersion) if another major version of the format is in
/// use; [`Corrupt`](crate::ErrorKind::Corrupt) if the shared memory is damaged;
/// [`NameLost`](crate::ErrorKind::NameLost) if a part of the segment was removed;
/// [`InvalidName`](crate::ErrorKind::InvalidName) if the name is invalid; otherwise the errors of
/// [`Section::open`](crate::Section::open).
pub fn segment_info(name: impl TryInto<Name, Error: Into<Error>>) -> Result<SegmentInfo> {
    let found = Found::open(&Name::checked(name)?, None)?;
    let (geometry, pattern) = (found.geometry, found.geometry.pattern());
    let values = match geometry {
        Geometry::Values { table, .. } => table.count(),
        Geometry::Queue { .. } | Geometry::Topic { .. } | Geometry::Calls { .. } => 0,
    };

    let section = found.roster_to_look();
    let roster = section
        .as_ref()
        .map(|section| section.words_from(found.roster_len()));

    let lives = section
        .as_ref()
        .ok()
        .and_then(|section| section.lives().ok());

    let sent = found
        .sent()
        .unwrap_or_else(|_| vec![0; geometry.rings().max(1)]);
    let others = roster.as_ref().ok().and_then(|words| {
        let words = words.as_ref().ok()?;
        let slots = (0..geometry.slots())
            .filter(|slot| words.load64(slot_at(*slot) + roster::PROCESS) != 0);
        let is_alive = |slot: usize, words: &Roster| {
            let word = words.load64(slot_at(slot) + roster::PROCESS);
            let has_ended = lives.as_ref()?.has_ended(slot, word).ok()?;
            Some(!has_ended)
        };
        let all = slots.map(|slot| (slot, participant(&found, pattern, words, slot, &sent)));
        let all = all.map(|(slot, one)| Participant {
            alive: is_alive(slot, words),
            ..one
        });
        Some(all.collect())
    });

    let words = roster.as_ref().ok().and_then(|words| words.as_ref().ok());
    let owner = owner(&found, pattern, words, &sent);

    let mut layouts = found.layouts().unwrap_or_default().into_iter();
    Ok(SegmentInfo {
        pattern,
        generation: found.generation,
        version: (MAJOR, found.minor),
        max_message: geometry.max(),
        capacity: geometry.capacity(),
        lanes: geometry.lanes(),
        values,
        in_flight: geometry.in_flight(),
        lossless: geometry.is_lossless(),
        timestamps: geometry.is_stamped(),
        layout: layouts.next(),
        response_layout: layouts.next(),
        closed: found.reason() == Some(DisconnectReason::Closed),
        ownerless: found.is_ownerless(),
        owner,
        others,
    })
}

/// Returns the facts about the owner. Without the roster, which this account may not be allowed to
/// read, the owner counts as awake.
fn owner(found: &Found, pattern: Pattern, roster: Option<&Roster>, sent: &[u64]) -> Participant {
    let received = |lane| found.cursor(lane).load64(cursor::RECEIVED);
    Participant {
        pid: found.owner.pid(),
        identity: Some(found.owner).filter(|_| !found.is_ownerless()),
        alive: found.is_owner_alive().ok(),
        asleep: roster.is_some_and(|words| words.load64(roster::ASLEEP) & roster::OWNER_BIT != 0),
        publishes: pattern == Pattern::Topic,
        source: None,
        sent: match pattern {
            Pattern::Queue => 0,
            Pattern::Topic | Pattern::Values => sent[0],
            Pattern::Calls => sent[found.geometry.lanes()..]
                .iter()
                .copied()
                .fold(0, u64::wrapping_add),
        },
        received: match pattern {
            Pattern::Queue | Pattern::Calls => (0..found.geometry.lanes())
                .map(received)
                .fold(0, u64::wrapping_add),
            Pattern::Topic | Pattern::Values => 0,
        },
        missed: 0,
        behind: 0,
    }
}

fn participant(
    found: &Found,
    pattern: Pattern,
    words: &Roster,
    slot: usize,
    sent: &[u64],
) -> Participant {
    let occupant = occupant_in(words, slot);
    let own = |at| words.load64(slot_at(slot) + roster::CURSOR + at);
    let (at, bit) = SLEEPERS.place(slot);

    let mut seen = Participant {
        pid: pid_of(occupant.word),
        identity: identity_of(occupant),
        alive: None,
        asleep: words.load64(at) & bit != 0,
        publishes: found.geometry.publisher_slots().contains(&slot),
        source: Some(SourceWords::read(words, slot).key)
            .filter(|key| *key != 0 && pattern == Pattern::Queue),
        sent: 0,
        received: 0,
        missed: 0,
        behind: 0,
    };

    match pattern {
        Pattern::Queue | Pattern::Calls if slot < found.geometry.lanes() => {
            seen.sent = sent[slot];
            seen.received = found.cursor(slot).load64(cursor::RECEIVED);
            seen.behind = seen.sent.saturating_sub(seen.received);
        }
        Pattern::Topic if seen.publishes => seen.sent = sent[slot + 1],
        Pattern::Topic => {
            seen.received = own(cursor::RECEIVED);
            seen.missed = own(cursor::MISSED);
            let sent = sent.iter().copied().fold(0, u64::wrapping_add);
            seen.behind = sent.saturating_sub(own(cursor::NUMBER));
        }
        // There are no counts for a reader of values, and for a slot without a lane.
        Pattern::Queue | Pattern::Calls | Pattern::Values => {}
    }
    seen
}

#[cfg(all(test, shmkit_nt_rules))]
mod tests {
    use super::*;
    use crate::access::Access;
    use crate::queue::receiver::Receiver;
    use crate::queue::sender::Sender;
    use crate::topic::publisher::Publisher;
    use crate::topic::subscriber::Subscriber;

    #[test]
    fn messaging_and_listing_look_up_no_accounts() {
        let name = format!("shmkit-test-names-{}", std::process::id());
        let mut receiver = Receiver::create(&*name).unwrap();
        assert!(Receiver::create(&*name).is_err(), "the name is taken");
        let mut sender = Sender::open(&*name).unwrap();
        sender.send(b"one").unwrap();
        assert_eq!(receiver.recv().unwrap(), b"one");

        let topic = format!("{name}-topic");
        let options = Publisher::options().access(Access::UsersReadOnly);
        let mut publisher = options.create(&*topic).unwrap();
        publisher.send(b"two").unwrap();
        assert_eq!(Subscriber::open(&*topic).unwrap().recv().unwrap(), b"two");

        assert!(
            list()
                .unwrap()
                .iter()
                .any(|found| found.name.contains(&name))
        );

        assert_eq!(os::names_looked_up(), 0);
        assert!(os::account_name("S-1-5-18") != "S-1-5-18");
        assert_eq!(os::names_looked_up(), 1);
    }
}
