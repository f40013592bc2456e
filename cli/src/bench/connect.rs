//! Connects the two processes of a benchmark by each transport.

use super::link::{Queues, Stream};
use super::plan::Plan;
use interprocess::TryClone;
use interprocess::local_socket::traits::{Listener as _, Stream as _};
use interprocess::local_socket::{
    GenericNamespaced, Listener, ListenerOptions, Name, Stream as LocalStream, ToNsName,
};
use shmkit::{Receiver, Sender};
use shmkit_measure::{Line, Polling, Result};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// The capacity of the queues: several times the size of a processor's own cache, as the
/// documentation advises for streams.
const CAPACITY: u64 = 4 << 20;

/// The connections of all transports, and the memory of the floor.
pub struct Links {
    pub queues: Queues,
    pub pipe: Stream,
    pub local: Stream,
    pub tcp: Stream,
    pub floor: Line,
}

/// The objects that the first process creates before the second process starts.
pub struct Offer {
    inbox: Receiver,
    floor: Line,
    local: Listener,
    tcp: TcpListener,
}

impl Offer {
    pub fn new(plan: &Plan) -> Result<Offer> {
        let name = local_name(plan)?;
        Ok(Offer {
            inbox: queue(plan, &plan.queue_here())?,
            floor: Line::create(&plan.floor(), Polling::Hinted)?,
            local: ListenerOptions::new().name(name).create_sync()?,
            tcp: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
        })
    }

    pub fn port(&self) -> Result<u16> {
        Ok(self.tcp.local_addr()?.port())
    }

    /// Accepts the connections that the second process has made. None of these calls waits.
    pub fn accept(self, plan: &Plan, pipe: Stream) -> Result<Links> {
        Ok(Links {
            queues: Queues {
                inbox: self.inbox,
                outbox: Sender::open(plan.queue_there().as_str())?,
            },
            pipe,
            local: local_stream(self.local.accept()?)?,
            tcp: tcp_stream(self.tcp.accept()?.0)?,
            floor: self.floor,
        })
    }
}

/// Connects the second process to all objects of the first process.
pub fn join(plan: &Plan, port: u16, pipe: Stream) -> Result<Links> {
    Ok(Links {
        queues: Queues {
            inbox: queue(plan, &plan.queue_there())?,
            outbox: Sender::open(plan.queue_here().as_str())?,
        },
        pipe,
        local: local_stream(LocalStream::connect(local_name(plan)?)?)?,
        tcp: tcp_stream(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)?,
        floor: Line::open(&plan.floor(), Polling::Hinted)?,
    })
}

fn queue(plan: &Plan, name: &str) -> shmkit::Result<Receiver> {
    // Short messages are fastest in a ring that is a power of two.
    let longest = plan.longest();
    let capacity = (longest.saturating_add(64).saturating_mul(4)).checked_next_power_of_two();
    Receiver::options()
        .capacity(capacity.unwrap_or(CAPACITY).max(CAPACITY))
        .max_message(longest)
        .senders(1)
        .prefault(true)
        .create(name)
}

/// Returns a name that leaves no file: on Linux a name of the abstract namespace.
fn local_name(plan: &Plan) -> std::io::Result<Name<'_>> {
    plan.base.as_str().to_ns_name::<GenericNamespaced>()
}

fn local_stream(stream: LocalStream) -> Result<Stream> {
    Ok(Stream::new(stream.try_clone()?, stream))
}

fn tcp_stream(stream: TcpStream) -> Result<Stream> {
    stream.set_nodelay(true)?;
    Ok(Stream::new(stream.try_clone()?, stream))
}
