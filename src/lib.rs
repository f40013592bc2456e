//! Named shared memory for processes on one machine, on Windows and Linux, with the rules of the
//! Windows kernel on both systems.
//!
//! A *message server* creates a name and sends messages. *Message consumers* open the name and
//! receive the messages:
//!
//! ```
//! use shmkit::{Publisher, Subscriber};
//!
//! // The server. Only this user can open the name.
//! # let name = format!("Local\\shmkit-doc-{}", std::process::id());
//! # let name = name.as_str();
//! // let name = "Local\\MyFileMappingObject";
//! let mut server = Publisher::create(name)?;
//! server.send(b"Message from first process.")?;
//!
//! // A consumer, in any other process. A consumer cannot create the name, and cannot send.
//! let mut consumer = Subscriber::open(name)?;
//! assert_eq!(consumer.recv()?, b"Message from first process.");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Patterns
//!
//! | pattern | creates the name | opens the name | use the pattern when |
//! |---|---|---|---|
//! | topic | [`Publisher`] | [`Subscriber`], many | one process sends to many, or [several](TopicOptions::publishers) do; a subscriber that is too slow receives [`Lagged(n)`](RecvError::Lagged) in place of the n messages that it missed, or the publisher waits for it ([`Delivery`]) |
//! | queue | [`Receiver`] | [`Sender`], many | many processes send, one process receives, and no message may be lost |
//! | calls | [`Server`] | [`Client`], many | a process sends a request and needs the response; if the server ends, the call fails at once |
//! | values | [`Writer`] | [`Reader`], many | readers need only the newest value, of one value or of a table of thousands; the writer never waits |
//!
//! A message is bytes, or a value of one type ([`Payload`]). With a type, each endpoint that opens
//! the name compares the layout of its type with the layout that the creator wrote.
//!
//! These types are for other tasks:
//!
//! | types | task |
//! |---|---|
//! | [`Section`], [`Mapping`] | bare shared memory, for formats of your own and of other programs |
//! | [`Event`], [`Mutex`], [`Process`] | synchronization beside a section; a process to watch |
//! | [`WaitSet`] | waiting for several endpoints and objects at once, also in a message loop |
//! | `Async` (feature `async`) | waiting in tasks |
//! | [`inspect`] | facts for tools: the names that exist, the processes that hold them |
//!
//! # Guarantees on every system
//!
//! - A section lives as long as a process holds a [`Section`] or a [`Mapping`] of it. The section
//!   is gone when the last process closes it, ends or is killed. The name is then free at once.
//!   `docs/platform.md` has one exception: `Global\` names of other users on Linux.
//! - Creating a section, an event or a mutex never returns an object that exists. Creating an
//!   endpoint takes over a name whose owner has closed or died. Opening never creates an object. A
//!   section that is opened for reading asks for no right to write.
//! - All bytes of a new section are zero. A new section belongs to this user alone, unless its
//!   [`Access`] says otherwise.
//! - A message arrives whole. The message is visible to receivers when `send` returns.
//! - A blocking call returns when a message arrives. The call returns `Disconnected` when the peer
//!   that it waits for has closed or died.
//! - A kill of a participant loses no message that the participant had sent. A killed participant
//!   leaves nothing half-done, and blocks no other participant.
//! - An [`Event`] and a [`Mutex`] share the namespace of sections, and have the same lifetime. A
//!   mutex reports that its owner died. A wait for an event can watch a [`Process`] too. A wait
//!   does not poll, with these exceptions: Linux before 5.16, some sandboxes, a subscriber or
//!   reader whose account may only read or that found no free slot, and `wait` for a name that does
//!   not exist yet.
//! - The crate checks everything that another process wrote before it uses it: no content leads to
//!   an access outside of a section. `docs/safety.md` has what a peer can still do. Without
//!   `unsafe`, no `&[u8]` points into memory that another process may be writing.
//! - An [`Error`] contains the operation, the name, the system's code, the most probable meaning of
//!   the code at this place, and what to do.
//!
//! The section "Platform notes" of each item says how the two systems differ. `docs/platform.md`
//! has all differences in one table.

#![warn(clippy::cast_lossless)]

mod access;
mod calls;
mod error;
mod format;
#[cfg(feature = "async")]
mod future;
pub mod inspect;
mod lane;
// The models check the memory order and no system. The coroutines of loom cannot unwind on Windows.
#[cfg(all(test, not(miri), not(windows)))]
mod models;
mod name;
mod object;
mod os;
mod queue;
mod segment;
mod slots;
mod sync;
mod topic;
mod values;
mod wait;

pub use access::{Access, Owner};
pub use calls::client::{Client, ClientOptions};
pub use calls::pending::Call;
pub use calls::request::{Request, Responder};
pub use calls::server::{Server, ServerOptions};
pub use error::channel::{CallError, DisconnectReason, GetError, RecvError, SendError, SetError};
pub use error::publisher_id::PublisherId;
pub use error::{Error, ErrorKind, Operation, Result};
pub use format::describe::{Described, EnumValue, Field, FieldKind, Layout, NumberKind, Repeat};
pub use format::payload::Payload;
#[cfg(feature = "async")]
pub use future::Async;
pub use lane::claim::Claim;
pub use name::{Name, Scope};
pub use object::event::{Event, EventOptions};
pub use object::mapping::{CopyOnWrite, Mapping, Mode, ReadOnly, ReadWrite, Writable};
pub use object::mutex::{Locked, Mutex, MutexGuard, MutexOptions};
pub use object::options::{Options, Origin};
pub use object::process::{Liveness, Process};
pub use object::section::{Section, SectionInfo, SectionOptions};
pub use object::wait_handle::WaitHandle;
pub use os::{OwnedObject, ProcessIdentity, RawObject, Reset, Wake};
pub use queue::batch::Batch;
pub use queue::message_ref::MessageRef;
pub use queue::receiver::{QueueOptions, Receiver};
pub use queue::sender::{Sender, SenderOptions};
pub use segment::options::{CreateOptions, OpenOptions};
pub use segment::pattern::Delivery;
pub use sync::ReadCell;
pub use topic::publisher::{Publisher, PublisherOptions, TopicOptions};
pub use topic::subscriber::{Subscriber, SubscriberOptions};
pub use topic::subscribing::Start;
pub use topic::topic_ref::TopicRef;
pub use values::reader::{Reader, ReaderOptions};
pub use values::value_ref::ValueRef;
pub use values::writer::{ValuesOptions, Writer};
pub use wait::set::{Ready, WaitSet};
pub use wait::source::Waitable;
pub use zerocopy;

/// The items that the expansion of [`describe!`] names in other crates.
#[doc(hidden)]
pub mod __describe {
    pub use crate::format::describe::{Part, Structure, check};
}

/// The recipes of `docs/cookbook.md`. The tests run them like all examples of this crate.
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/cookbook.md")]
pub mod cookbook {}
