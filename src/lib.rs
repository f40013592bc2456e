//! Named shared memory for programs that talk on one machine, on Windows and
//! Linux, with the rules of the Windows kernel on both.
//!
//! A *message server* creates a name and sends messages; *message consumers* open it by
//! name and receive them:
//!
//! ```
//! use shmkit::{Publisher, Subscriber};
//!
//! // The server. Nobody but this user gets in.
//! # let name = format!("Local\\shmkit-doc-{}", std::process::id());
//! # let name = name.as_str();
//! // let name = "Local\\MyFileMappingObject";
//! let mut server = Publisher::create(name)?;
//! server.send(b"Message from first process.")?;
//!
//! // A consumer, in any other process. It cannot create, and it cannot write.
//! let mut consumer = Subscriber::open(name)?;
//! assert_eq!(consumer.recv()?, b"Message from first process.");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | |
//! |---|---|
//! | [`Publisher`], [`Subscriber`] | a topic: one sends, many receive; who is too slow learns how many messages it missed, or is waited for |
//! | [`Receiver`], [`Sender`] | a queue: many send, one receives, nothing is lost |
//! | [`Server`], [`Client`] | calls: a request, and its response or at once the news that the server has gone |
//! | [`Writer`], [`Reader`] | the newest value, of one or of a table of thousands: one writes and never waits, many read |
//! | [`Payload`] | what messages are: bytes, or values of one type, whose layout is compared when a name is opened |
//! | [`Section`], [`Mapping`] | bare memory, for formats of your own and of others |
//! | [`Event`], [`Mutex`], [`Process`] | what stands beside it |
//! | [`WaitSet`] | waiting for many of these at once, in a message loop too; with the feature `async`, `Async` for tasks |
//!
//! # What holds, on every system
//!
//! - The section lives as long as anybody holds it: a [`Section`] or a [`Mapping`]
//!   in any process. It is gone with the last, also when that was killed, and its
//!   name is then free at once. Nothing is left behind that matters.
//! - Creating never hands out what exists, opening never creates, and reading
//!   asks for no right to write.
//! - A new section is all zero bytes and belongs to this user alone, unless its
//!   [`Access`] says otherwise.
//! - A message arrives whole, and is sent when `send` returns. Whoever waits is woken by a
//!   message, and by the death of whom it waits for. A participant that is killed loses
//!   nothing that it had sent, leaves nothing half-done, and is in nobody's way.
//! - Beside sections stand [`Event`]s and [`Mutex`]es, with the same names and the same
//!   lifetime. A mutex tells when its owner died, and a wait for an event can watch a
//!   [`Process`] too; nothing is polled.
//! - What other processes wrote is never believed: every range is checked, and no
//!   `&[u8]` points into memory that somebody else may be writing.
//! - An [`Error`] says what was asked, on which name, the system's code, what that
//!   most probably means here, and what to do.
//!
//! What the two systems do differently stands under "Platform notes" at each
//! item and, in one table, in `docs/platform.md`.

#![warn(clippy::cast_lossless)]

mod access;
mod calls;
mod error;
mod format;
#[cfg(feature = "async")]
mod future;
pub mod inspect;
mod lane;
// The model is of the memory and not of a system; its coroutines cannot unwind on Windows.
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
pub use error::channel::{CallError, DisconnectReason, RecvError, SendError};
pub use error::{Error, ErrorKind, Operation, Result};
pub use format::describe::{Described, Field, FieldKind, Layout};
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
pub use sync::ReadCell;
pub use topic::publisher::{Publisher, TopicOptions};
pub use topic::publishing::Delivery;
pub use topic::subscriber::{Subscriber, SubscriberOptions};
pub use topic::subscribing::Start;
pub use values::reader::{Reader, ReaderOptions};
pub use values::writer::{ValuesOptions, Writer};
pub use wait::set::{Ready, WaitSet};
pub use wait::source::Waitable;
pub use zerocopy;

/// What [`describe!`] writes into other crates.
#[doc(hidden)]
pub mod __describe {
    pub use crate::format::describe::{Part, Structure, check};
}

/// The recipes of `docs/cookbook.md`, which are run as all examples here are.
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/cookbook.md")]
pub mod cookbook {}
