//! `consume`: the messages of a server, or the text in bare memory.

use crate::args::Consume;
use crate::input::ends::Ends;
use crate::input::source::LOOK_EVERY;
use crate::names::open;
use crate::names::open::Sought;
use crate::output::printer::Printer;
use crate::recipe::consume::Found;
use crate::{Failure, Outcome, output, platform, recipe};
use shmkit::inspect::Pattern;
use shmkit::{DisconnectReason, ErrorKind, Layout, RecvError, Section, Subscriber};
use std::time::{Duration, Instant};

/// There is nothing to wait on before a name exists, so it is tried this often.
const NAP: Duration = Duration::from_millis(10);

/// What stands behind the name.
enum Behind {
    Messages(Box<Subscriber>, Option<Layout>),
    /// What is consumed by other commands.
    Other(Pattern),
    Text(Found),
    /// A POSIX object that exists and has no bytes yet.
    Nothing,
}

pub fn run(args: &Consume) -> Outcome {
    match wait_for(args)? {
        Behind::Messages(subscriber, layout) => follow(args, *subscriber, layout),
        Behind::Other(pattern) => Err(Failure::Other(open::purpose(&args.name, pattern))),
        Behind::Text(found) => recipe::consume::print(args, &found),
        Behind::Nothing => Err(Failure::Absent(format!(
            "{} exists, and its owner has not given it a size",
            output::name(&args.name)
        ))),
    }
}

/// With --wait, for a server, and for the text that it writes into bare memory a moment
/// after that appears.
fn wait_for(args: &Consume) -> Result<Behind, Failure> {
    let start = Instant::now();
    let patience = args.wait.unwrap_or(Duration::ZERO);
    loop {
        let late = start.elapsed() >= patience;
        match look(args) {
            Ok(Behind::Text(found)) if late && found.is_empty() && args.wait.is_some() => {
                return Err(Failure::Absent(format!(
                    "{} has no text yet\n  waited {} s",
                    output::name(&args.name),
                    patience.as_secs_f64()
                )));
            }
            Ok(Behind::Text(found)) if !late && found.is_empty() => {}
            Ok(Behind::Nothing) if !late => {}
            Ok(behind) => return Ok(behind),
            Err(error) if late || error.kind() != ErrorKind::NotFound => {
                return Err(
                    match (open::explain(&args.name, Sought::Topic, error), args.wait) {
                        (Failure::Absent(why), Some(time)) => {
                            Failure::Absent(format!("{why}\n  waited {} s", time.as_secs_f64()))
                        }
                        (failure, _) => failure,
                    },
                );
            }
            Err(_) => {}
        }
        std::thread::sleep(NAP.min(patience.saturating_sub(start.elapsed())));
    }
}

fn look(args: &Consume) -> shmkit::Result<Behind> {
    let section = Section::open(&args.name)?;
    if !open::may_hold_messages(&section)? {
        return Ok(match recipe::consume::look(args, &section)? {
            Some(found) => Behind::Text(found),
            None => Behind::Nothing,
        });
    }
    // Not held while the library looks: that would keep what a dead server half made.
    drop(section);
    match shmkit::inspect::segment_info(&args.name) {
        Ok(info) => Ok(match info.pattern {
            Pattern::Topic => {
                let options = Subscriber::options().start(args.from.start());
                Behind::Messages(Box::new(options.open(&args.name)?), info.layout)
            }
            other => Behind::Other(other),
        }),
        Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::WrongKind) => {
            let section = Section::open(&args.name)?;
            let found = recipe::consume::look(args, &section)?;
            Ok(found.map_or(Behind::Nothing, Behind::Text))
        }
        Err(error) => Err(error),
    }
}

fn follow(args: &Consume, mut subscriber: Subscriber, layout: Option<Layout>) -> Outcome {
    if args.encoding.is_some() || args.message_box {
        let option = match args.message_box {
            true => "--message-box",
            false => "--encoding",
        };
        return Err(Failure::Other(format!(
            "{} serves messages, and {option} is for the text in bare memory\n  leave it out",
            output::name(&args.name)
        )));
    }
    // So that whoever waits for us is told that we left.
    let ends = Ends::watch(None).map_err(Failure::Other)?;
    let mut printer = Printer::new(args.json, args.count).of(layout);
    let received = receive(args, &mut subscriber, &mut printer, &ends);
    // What came is printed, whatever came after it.
    printer.flush()?;
    received
}

fn receive(
    args: &Consume,
    subscriber: &mut Subscriber,
    printer: &mut Printer,
    ends: &Ends,
) -> Outcome {
    while !printer.is_done() {
        let got = match subscriber.try_recv() {
            Err(RecvError::Empty) => {
                printer.flush()?;
                subscriber.recv_timeout(LOOK_EVERY)
            }
            got => got,
        };
        match got {
            Ok(message) => printer.message(message)?,
            Err(RecvError::Lagged(missed)) => printer.missed(missed)?,
            Err(RecvError::Timeout) if platform::reader_left() => return Err(Failure::ClosedPipe),
            Err(RecvError::Timeout) => {}
            Err(RecvError::Disconnected(how)) => return gone(args, how),
            Err(error) => return Err(error.into()),
        }
        if ends.within(Duration::ZERO).is_some() {
            break;
        }
    }
    Ok(())
}

fn gone(args: &Consume, how: DisconnectReason) -> Outcome {
    let name = output::name(&args.name);
    match how {
        DisconnectReason::Closed => {
            output::remark(&format!("the server of {name} has closed"));
            Ok(())
        }
        DisconnectReason::Died => Err(Failure::Absent(format!(
            "the server of {name} died\n  this was all it had sent; start it again"
        ))),
    }
}
