//! `bench`: measures how fast messages go between two processes of this machine, by shared memory
//! and by other transports of the system.

mod connect;
mod link;
pub mod machine;
mod peer;
mod plan;
#[cfg_attr(not(feature = "plots"), path = "no_plot.rs")]
mod plot;
mod progress;
mod report;
mod second;
mod table;
mod units;

pub use peer::run as run_peer;

use crate::args::Bench;
use crate::{Failure, Outcome, output};
use connect::{Links, Offer};
use link::{Link, Stream};
use machine::Machine;
use plan::{Plan, Transport};
use progress::Progress;
use report::{Block, Report, Row};
use second::{Guard, Second};
use shmkit_measure::{Inbox, Outbox, Result, clock};
use std::time::Duration;

pub fn run(args: &Bench) -> Outcome {
    if let Some(path) = &args.svg {
        plot::expect_writable(path)?;
    }
    let report = measure_all(args).inspect_err(|_| {
        // Removes the files that a killed second process left. They would do no harm.
        let _ = shmkit::inspect::clean();
    })?;
    if args.json {
        output::json(&report.json())?;
    }
    if let Some(path) = &args.svg {
        plot::write(&report, path)?;
        output::remark(&format!("wrote the plot to {}", path.display()));
    }
    Ok(())
}

/// Starts the second process, and follows the plan with it.
fn measure_all(args: &Bench) -> Result<Report, Failure> {
    let plan = Plan::new(args);
    let processors = machine::two_processors();
    let guard = Guard::watch()?;
    let offer = Offer::new(&plan).map_err(second::failure)?;
    let port = offer.port().map_err(second::failure)?;
    let peer_args = peer_args(&plan, port, processors);
    let (second, mut pipe) = Second::start(&guard, &peer_args).map_err(second::failure)?;
    let blame = |error| second.blame(error);

    clock::calibrate();
    let is_pinned = processors.is_some_and(|[here, _]| machine::pin(here));
    let is_pinned = hello(&mut pipe).map_err(blame)? && is_pinned;
    let mut links = offer.accept(&plan, pipe).map_err(blame)?;
    let process = second.process();
    let floor = links.floor.serve(plan.each, process);
    let mut report = Report {
        machine: Machine::look(),
        pinned: processors.filter(|_| is_pinned),
        floor: floor.map_err(blame)?.into(),
        blocks: Vec::new(),
    };
    let say = |text: &str| match args.json {
        true => Ok(()),
        false => output::line(text),
    };
    say(&table::head(&report))?;
    let progress = Progress::new(plan.sizes.len() * Transport::ALL.len());
    for size in &plan.sizes {
        let block = measure_size(&mut links, *size, plan.each, &progress);
        let block = block.map_err(blame)?;
        progress.aside(|| say(&format!("\n{}", table::block(&block))))?;
        report.blocks.push(block);
    }
    second.finish().map_err(blame)?;
    drop(progress);
    say(&format!("\n{}", table::LEGEND))?;
    Ok(report)
}

/// Waits until the second process is ready. Returns whether that process is pinned to its
/// processor.
fn hello(pipe: &mut Stream) -> Result<bool> {
    pipe.inbox.receive(|message| message == [1])
}

fn measure_size(
    links: &mut Links,
    size: u64,
    time: Duration,
    progress: &Progress,
) -> Result<Block> {
    let len = usize::try_from(size)?;
    let mut rows = Vec::new();
    for transport in Transport::ALL {
        let name = transport.name();
        progress.begins(format!("{}, {name}", units::size(size)));
        rows.push(match transport {
            Transport::SharedMemory => measure_one(&mut links.queues, transport, len, time),
            Transport::Pipe => measure_one(&mut links.pipe, transport, len, time),
            Transport::Local => measure_one(&mut links.local, transport, len, time),
            Transport::Tcp => measure_one(&mut links.tcp, transport, len, time),
        }?);
        progress.is_done();
    }
    Ok(Block { size, rows })
}

fn measure_one(
    link: &mut Link<impl Outbox, impl Inbox>,
    transport: Transport,
    len: usize,
    time: Duration,
) -> Result<Row> {
    let (trips, flow) = link.measure(len, time)?;
    Ok(Row {
        transport,
        trips: trips.into(),
        flow,
    })
}

/// Returns the arguments of the second process.
fn peer_args(plan: &Plan, port: u16, processors: Option<[usize; 2]>) -> Vec<String> {
    let mut args = vec![
        "bench-peer".to_string(),
        plan.base.clone(),
        std::process::id().to_string(),
        port.to_string(),
        plan.each.as_secs_f64().to_string(),
    ];
    args.extend(plan.sizes.iter().map(u64::to_string));
    if let Some([_, there]) = processors {
        args.push(format!("--processor={there}"));
    }
    args
}
