//! The second process: it answers messages, and then sends a stream, as the plan says.

use super::connect;
use super::link::Stream;
use super::plan::{Plan, Transport};
use super::{machine, second};
use crate::args::BenchPeer;
use crate::{Failure, Outcome, platform};
use shmkit::ProcessIdentity;
use shmkit_measure::{Burst, Outbox, Result};

pub fn run(args: &BenchPeer) -> Outcome {
    // Ctrl-C is for the first process, and this process ends with the first process.
    platform::on_end(|_| {}).map_err(Failure::Other)?;
    take_part(args).map_err(second::failure)
}

fn take_part(args: &BenchPeer) -> Result<()> {
    let plan = Plan {
        base: args.base.clone(),
        sizes: args.sizes.clone(),
        each: args.each,
    };

    let first = ProcessIdentity::of(args.first)?.watch()?;
    let is_pinned = args.processor.is_some_and(machine::pin);
    let (reader, writer) = platform::standard_pipes()?;
    let mut links = connect::join(&plan, args.port, Stream::new(reader, writer))?;

    let mut hello = Burst::new(1, 1);
    hello.number(is_pinned.into());
    links.pipe.outbox.send(hello.first())?;
    links.floor.answer(&first)?;

    for size in &plan.sizes {
        let len = usize::try_from(*size)?;
        for transport in Transport::ALL {
            match transport {
                Transport::SharedMemory => links.queues.serve(len, plan.each),
                Transport::Pipe => links.pipe.serve(len, plan.each),
                Transport::Local => links.local.serve(len, plan.each),
                Transport::Tcp => links.tcp.serve(len, plan.each),
            }?;
        }
    }
    Ok(())
}
