//! `recv`: creates a queue, and prints its messages.

use crate::args::Recv;
use crate::input::ends::{Ends, Woken};
use crate::output::printer::Printer;
use crate::{Failure, Outcome, output};
use shmkit::{DisconnectReason, Receiver, RecvError};

pub fn run(args: &Recv) -> Outcome {
    // The signals are watched before the queue exists, so that no signal ends the program without a
    // clean end of the queue.
    let ends = Ends::watch(args.duration).map_err(Failure::Other)?;
    let mut receiver = create(args)?;
    output::remark(&format!(
        "receiving on {}; shmkit send sends messages to it",
        output::name(&args.name)
    ));
    let mut printer = Printer::new(args.json, args.count)
        .of(args.layout.clone())
        .with_times(args.measures.timestamps);
    let received = receive(&mut receiver, &mut printer, &ends);
    // The messages that were received are printed, also after an error.
    printer.flush()?;
    received
}

fn create(args: &Recv) -> shmkit::Result<Receiver> {
    let mut options = Receiver::options()
        .senders(args.senders)
        .timestamps(args.measures.timestamps)
        .access(args.access.clone());
    if let Some(capacity) = args.measures.capacity {
        options = options.capacity(capacity);
    }
    if let Some(max) = args.measures.max_message {
        options = options.max_message(max);
    }
    if let Some(layout) = &args.layout {
        options = options.layout(layout.clone());
    }
    options.create(&args.name)
}

fn receive(receiver: &mut Receiver, printer: &mut Printer, ends: &Ends) -> Outcome {
    let mut waits = ends.waits_of_printer().map_err(Failure::Other)?;

    while !printer.is_done() && ends.now().is_none() {
        match receiver.try_recv() {
            Ok(message) if printer.shows_times() => {
                let message = message.to_vec();
                printer.sent_at(&message, receiver.sent_at())?;
            }
            Ok(message) => printer.message(message)?,
            Err(RecvError::Empty) => {
                printer.flush()?;
                if waits.wait(receiver, None)? == Woken::ReaderLeft {
                    return Err(Failure::ClosedPipe);
                }
            }
            // Another sender may come.
            Err(RecvError::Disconnected(DisconnectReason::Closed)) => {}
            Err(RecvError::Disconnected(DisconnectReason::Died)) => {
                output::remark("the last sender died; all messages that it sent were received");
            }
            Err(RecvError::Corrupt) => {
                output::remark("a sender wrote an invalid message, and is ignored from now on");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
