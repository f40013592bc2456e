//! `recv`: the receiving end of a queue, which makes it.

use crate::args::Recv;
use crate::input::ends::{Ends, Woken};
use crate::output::printer::Printer;
use crate::{Failure, Outcome, output};
use shmkit::{DisconnectReason, Receiver, RecvError};

pub fn run(args: &Recv) -> Outcome {
    // Before the queue exists, so that no signal finds it without a caretaker.
    let ends = Ends::watch(args.duration).map_err(Failure::Other)?;
    let mut receiver = create(args)?;
    output::remark(&format!(
        "receiving on {}; shmkit send sends to it",
        output::name(&args.name)
    ));
    let mut printer = Printer::new(args.json, args.count).of(args.layout.clone());
    let received = receive(&mut receiver, &mut printer, &ends);
    // What came is printed, whatever came after it.
    printer.flush()?;
    received
}

fn create(args: &Recv) -> shmkit::Result<Receiver> {
    let mut options = Receiver::options()
        .senders(args.senders)
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
                output::remark("the last sender died; what it had sent came");
            }
            Err(RecvError::Corrupt) => {
                output::remark("a sender wrote what is no message, and is not heard any more");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
