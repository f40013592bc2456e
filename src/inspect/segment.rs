//! Read-only facts about what is there, for tools, and tidying up.

use crate::error::channel::DisconnectReason;
use crate::error::{Error, Result};
use crate::format::describe::Layout;
use crate::format::layout::{MAJOR, OWNER, SLOTS, cursor, roster};
use crate::name::Name;
use crate::os::{self, Holders, Listed, ProcessIdentity, RawObject};
use crate::segment::roster::{identity_of, is_dead, pid_of, slot_at};
use crate::segment::{Found, Geometry, Pattern};
use crate::sync::{Fixed, Window, Words};

/// The named sections, events and mutexes in reach, sorted by name: those of this
/// session and those of the whole machine, and on Linux the POSIX objects in
/// `/dev/shm` too.
///
/// # Errors
///
/// [`ErrorKind::AccessDenied`](crate::ErrorKind::AccessDenied) where the system
/// does not show them.
///
/// # Platform notes
///
/// On Windows an object is opened to be looked at, and so held for a moment.
pub fn list() -> Result<Vec<Listed>> {
    let mut found = os::list()?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The processes that hold an object, given by its handle or descriptor (`as_raw`).
///
/// # Errors
///
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the system does
/// not tell.
pub fn holders(object: RawObject) -> Result<Holders> {
    os::holders(object)
}

/// Removes the files that killed programs of this user left (Linux), and says what
/// names they had. They are dead by the rules of this crate and in nobody's way;
/// creating removes them too. On Windows nothing is ever left.
///
/// # Errors
///
/// [`ErrorKind::AccessDenied`](crate::ErrorKind::AccessDenied) where `/dev/shm` may
/// not be read.
pub fn clean() -> Result<Vec<String>> {
    let mut removed = os::clean()?;
    removed.sort();
    Ok(removed)
}

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they have the names of the ends")]
pub enum Role {
    Receiver,
    Sender,
    Publisher,
    Subscriber,
    Writer,
    Reader,
    Server,
    Client,
}

/// Somebody who sends or receives.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// What it does.
    pub role: Role,
    /// Its process.
    pub pid: u32,
    /// The same for good, with what runs in it and since when; `None` where it has ended, or the
    /// system does not tell.
    pub identity: Option<ProcessIdentity>,
    /// Whether that is alive; `None` where the system does not tell.
    pub alive: Option<bool>,
    /// Whether its process has the segment open still. A program that was started in its place
    /// (exec, Linux) has not, and keeps the slot until the process ends. `None` where the system
    /// does not tell.
    pub attached: Option<bool>,
    /// Whether it is waiting, or about to.
    pub asleep: bool,
    /// How many messages it has sent. That of a sender or client counts its lane, which it may
    /// have from another one.
    pub sent: u64,
    /// How many messages it has received, or how many of a sender's or client's were received.
    pub received: u64,
    /// How many messages it has missed.
    pub missed: u64,
    /// How many messages a subscriber has still to receive, or are to be received of a
    /// sender or client.
    pub behind: u64,
}

/// What is known about a queue, a topic, latest values or a server of calls. The numbers are
/// looked at one after the other, while they change.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct SegmentInfo {
    /// What it is.
    pub pattern: Pattern,
    /// Which generation is in use: counted up with each owner, and each time that one changes
    /// the measures.
    pub generation: u32,
    /// The version of its format: major and minor.
    pub version: (u32, u32),
    /// The longest message, or value, in bytes.
    pub max_message: usize,
    /// The bytes of each lane, or of all values.
    pub capacity: u64,
    /// How many senders (queue) or clients (calls) there can be.
    pub lanes: usize,
    /// How many calls of a client can be open at a time.
    pub in_flight: usize,
    /// How many latest values there are.
    pub values: usize,
    /// Whether the publisher waits for slow subscribers; always so in a queue.
    pub lossless: bool,
    /// What a message or a request is made of, where it has a type; see
    /// [`Payload`](crate::Payload). `None` too where what stands there makes no sense.
    pub layout: Option<Layout>,
    /// What a response is made of.
    pub response_layout: Option<Layout>,
    /// Whether its owner has closed it in good order.
    pub closed: bool,
    /// Who made it: the receiver of a queue, the publisher of a topic, the writer of values, the
    /// server of calls.
    pub owner: Participant,
    /// Who made it, for good.
    pub owner_identity: ProcessIdentity,
    /// Who else takes part; `None` where this account may not look.
    pub others: Option<Vec<Participant>>,
}

type Roster = Window<Fixed<{ roster::LEN }>>;

/// What is known about a queue, a topic, latest values or a server of calls, without taking
/// part in it.
///
/// # Errors
///
/// As [`Sender::open`](crate::Sender::open);
/// [`ErrorKind::WrongKind`](crate::ErrorKind::WrongKind) where it is none of them.
pub fn segment_info(name: impl TryInto<Name, Error: Into<Error>>) -> Result<SegmentInfo> {
    let found = Found::open(&Name::checked(name)?, None)?;
    let (geometry, pattern) = (found.geometry, found.geometry.pattern());
    let values = match geometry {
        Geometry::Values(table) => table.count(),
        Geometry::Queue { .. } | Geometry::Topic { .. } | Geometry::Calls { .. } => 0,
    };
    let section = found.roster_to_look();
    let roster = section.as_ref().map(|section| section.words());
    let attached = |pid| os::has_open(pid, section.as_ref().ok()?.as_raw());
    let sent = found
        .sent()
        .unwrap_or_else(|_| vec![0; geometry.rings().max(1)]);
    let others = roster.as_ref().ok().and_then(|words| {
        let words = words.as_ref().ok()?;
        let slots = (0..SLOTS).filter(|slot| words.load64(slot_at(*slot) + roster::PROCESS) != 0);
        let all = slots.map(|slot| participant(&found, pattern, words, slot, &sent));
        let all = all.map(|one| Participant {
            attached: attached(one.pid),
            ..one
        });
        Some(all.collect())
    });
    let owner = Participant {
        attached: attached(found.owner.pid()),
        ..owner(
            &found,
            pattern,
            roster.as_ref().ok().and_then(|words| words.as_ref().ok()),
            &sent,
        )
    };
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
        layout: layouts.next(),
        response_layout: layouts.next(),
        closed: found.reason() == Some(DisconnectReason::Closed),
        owner,
        owner_identity: found.owner,
        others,
    })
}

/// The owner of what was found, as its roster tells where this account may look at that.
fn owner(found: &Found, pattern: Pattern, roster: Option<&Roster>, sent: &[u64]) -> Participant {
    let received = |lane| found.cursor(lane).load64(cursor::RECEIVED);
    let [role, _] = roles(pattern);
    Participant {
        role,
        pid: found.owner.pid(),
        identity: Some(found.owner),
        alive: found.owner.is_alive().ok(),
        attached: None,
        asleep: roster.is_some_and(|words| words.load64(roster::ASLEEP) >> OWNER & 1 == 1),
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

/// What the owner does, and the others.
fn roles(pattern: Pattern) -> [Role; 2] {
    match pattern {
        Pattern::Queue => [Role::Receiver, Role::Sender],
        Pattern::Topic => [Role::Publisher, Role::Subscriber],
        Pattern::Values => [Role::Writer, Role::Reader],
        Pattern::Calls => [Role::Server, Role::Client],
    }
}

fn participant(
    found: &Found,
    pattern: Pattern,
    words: &Roster,
    slot: usize,
    sent: &[u64],
) -> Participant {
    let [_, role] = roles(pattern);
    let process_word = words.load64(slot_at(slot) + roster::PROCESS);
    let own = |at| words.load64(slot_at(slot) + roster::CURSOR + at);
    let mut seen = Participant {
        role,
        pid: pid_of(process_word),
        identity: identity_of(process_word),
        alive: Some(!is_dead(process_word)),
        attached: None,
        asleep: words.load64(roster::ASLEEP) >> slot & 1 == 1,
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
        Pattern::Topic => {
            seen.received = own(cursor::RECEIVED);
            seen.missed = own(cursor::MISSED);
            seen.behind = sent[0].saturating_sub(own(cursor::NUMBER));
        }
        // Nothing is counted for a reader of values, and a slot behind the lanes has none.
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
    fn nothing_but_what_is_shown_asks_for_names() {
        let name = format!("shmkit-test-names-{}", std::process::id());
        let mut receiver = Receiver::create(&*name).unwrap();
        assert!(Receiver::create(&*name).is_err(), "it is taken");
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
