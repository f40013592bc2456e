//! `subscribe`: prints the messages of a topic.

use crate::args::Subscribe;
use crate::input::ends::{Ends, Woken};
use crate::names::open::{self, Sought};
use crate::output::printer::Printer;
use crate::{Failure, Outcome, output};
use shmkit::{DisconnectReason, RecvError, Subscriber};

pub fn run(args: &Subscribe) -> Outcome {
    let options = Subscriber::options().start(args.from.start());
    let opened = open::in_time(args.wait, |left| {
        options.clone().wait(left).open(&args.name)
    });
    let mut subscriber = opened.map_err(|error| {
        let failure = open::explain(&args.name, Sought::Topic, error);
        open::after(args.wait, failure)
    })?;

    let info = shmkit::inspect::segment_info(&args.name)?;
    // A signal then ends the subscriber in good order, and a publisher that waits for this
    // subscriber continues at once.
    let ends = Ends::watch(None).map_err(Failure::Other)?;

    let mut printer = Printer::new(args.json, args.count)
        .of(info.layout)
        .with_times(info.timestamps);
    let received = receive(args, &mut subscriber, &mut printer, &ends);
    // The messages that were received are printed, also after an error.
    printer.flush()?;
    received
}

fn receive(
    args: &Subscribe,
    subscriber: &mut Subscriber,
    printer: &mut Printer,
    ends: &Ends,
) -> Outcome {
    let mut waits = ends.waits_of_printer().map_err(Failure::Other)?;

    while !printer.is_done() && ends.now().is_none() {
        match subscriber.try_recv() {
            Ok(message) if printer.shows_times() => {
                let message = message.to_vec();
                printer.sent_at(&message, subscriber.sent_at())?;
            }
            Ok(message) => printer.message(message)?,
            Err(RecvError::Empty) => {
                printer.flush()?;
                if waits.wait(subscriber, None)? == Woken::ReaderLeft {
                    return Err(Failure::ClosedPipe);
                }
            }
            Err(RecvError::Lagged(missed)) => printer.missed(missed)?,
            Err(error @ RecvError::PublisherGone { .. }) => output::remark(&error.to_string()),
            Err(RecvError::Disconnected(how)) => return gone(args, how),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn gone(args: &Subscribe, how: DisconnectReason) -> Outcome {
    let name = output::name(&args.name);
    match how {
        DisconnectReason::Closed => {
            output::remark(&format!("the publisher of {name} has closed"));
            Ok(())
        }
        DisconnectReason::Died => Err(Failure::Absent(format!(
            "the publisher of {name} died\n  no more messages will come; start the publisher again"
        ))),
    }
}
