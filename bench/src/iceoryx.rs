//! The publish-subscribe pattern of iceoryx2, polled.

use crate::pair::Pair;
use crate::peers::SIZE;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use shmkit_measure::{Inbox, Outbox, Result};

type Message = [u8; SIZE];

pub struct In {
    subscriber: Subscriber<ipc::Service, Message, ()>,
    _node: Node<ipc::Service>,
}

pub struct Out(Publisher<ipc::Service, Message, ()>);

/// Creates a service in each direction that loses no message.
pub fn ports(pair: &Pair) -> (In, Out) {
    set_log_level(LogLevel::Fatal);
    let node = NodeBuilder::new().create::<ipc::Service>().unwrap();
    let services = pair.names("service").map(|name| {
        let name = ServiceName::new(&name).unwrap();
        let service = node.service_builder(&name).publish_subscribe::<Message>();
        let service = service
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(64);
        service.open_or_create().unwrap()
    });

    let publisher = services[0]
        .publisher_builder()
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
    let publisher = publisher.create().unwrap();
    let subscriber = services[1].subscriber_builder().create().unwrap();

    pair.meet();
    let inbox = In {
        subscriber,
        _node: node,
    };
    (inbox, Out(publisher))
}

impl Inbox for In {
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                return Ok(look(sample.payload()));
            }
        }
    }
}

impl Outbox for Out {
    fn send(&mut self, message: shmkit_measure::Message<'_>) -> Result<()> {
        let sample = self.0.loan_uninit()?;
        let sample = sample.write_payload(message.body().try_into()?);
        sample.send()?;
        Ok(())
    }
}
