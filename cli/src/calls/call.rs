//! `call`: a request to a server, and its response.

use crate::args::Call;
use crate::input::ends::{Ends, Woken};
use crate::input::source::{self, Source};
use crate::names::open;
use crate::names::open::Sought;
use crate::output::printer::Printer;
use crate::output::record;
use crate::{Failure, Outcome, output};
use shmkit::{CallError, Client, DisconnectReason, Layout};
use std::time::{Duration, Instant};

pub fn run(args: &Call) -> Outcome {
    let source = Source::of(&args.request);
    if source.is_none() && args.hex.is_none() {
        return Err(Failure::Other(
            "there is nothing to ask\n  give a REQUEST, or - to type it".to_string(),
        ));
    }
    let mut client = open_in_time(args)?;
    let info = shmkit::inspect::segment_info(&args.name)?;
    // So that the server is told that we left, and did not die.
    let ends = Ends::watch(None).map_err(Failure::Other)?;
    let request = match (&args.hex, source) {
        (Some(hex), _) => hex.0.clone(),
        (None, Some(Source::Given(request))) => given(request, info.layout.as_ref())?,
        (None, _) => match source::all(&ends, client.max_message())? {
            Ok(request) => request,
            Err(reason) => return Err(Failure::Other(format!("nothing was asked: {reason}"))),
        },
    };
    fits(args, &request, info.layout.as_ref(), client.max_message())?;
    let mut printer = Printer::new(args.json, None).of(info.response_layout);
    let asked = ask(args, &mut client, &request, &mut printer, &ends);
    printer.flush()?;
    asked
}

/// Opens the server; with --wait, once it is there and has a place for us.
fn open_in_time(args: &Call) -> Result<Client, Failure> {
    let opened = open::in_time(args.wait, |left| {
        Client::options().wait(left).open(&args.name)
    });
    opened.map_err(|error| {
        let failure = open::explain(&args.name, Sought::Calls, error);
        open::after(args.wait, failure)
    })
}

/// The request of the command line.
fn given(request: &[String], layout: Option<&Layout>) -> Result<Vec<u8>, Failure> {
    match (layout, request) {
        (Some(layout), fields) => record::parse(layout, fields).map_err(Failure::Other),
        (None, [text]) => Ok(text.as_bytes().to_vec()),
        (None, several) => Err(Failure::Other(format!(
            "a call has one request, and {} were given\n  quote it where it has blanks",
            several.len()
        ))),
    }
}

/// The server would drop it without a reason.
fn fits(args: &Call, request: &[u8], layout: Option<&Layout>, max: usize) -> Outcome {
    let name = output::name(&args.name);
    if request.len() > max {
        return Err(Failure::Other(format!(
            "the request is longer than the {max} bytes that {name} takes\n  ask for less, or start it with a greater --max-message"
        )));
    }
    match layout {
        Some(layout) if layout.size != request.len() => Err(Failure::Other(format!(
            "the request has {}, and those of {name} have {}\n  shmkit show tells what they are made of; give a FIELD=VALUE for each",
            output::bytes(request.len() as u64),
            layout.size
        ))),
        _ => Ok(()),
    }
}

fn ask(
    args: &Call,
    client: &mut Client,
    request: &[u8],
    printer: &mut Printer,
    ends: &Ends,
) -> Outcome {
    let until = args
        .timeout
        .and_then(|time| Instant::now().checked_add(time));
    let mut waits = ends.waits_of_printer().map_err(Failure::Other)?;
    let call = client.send(request).map_err(|why| explain(args, why))?;
    loop {
        match client.recv_timeout(&call, Duration::ZERO) {
            Ok(response) => return Ok(printer.only(response)?),
            Err(CallError::Timeout) if until.is_none_or(|until| Instant::now() < until) => {}
            Err(why) => return Err(explain(args, why)),
        }
        if waits.wait(client, until)? == Woken::ReaderLeft {
            return Err(Failure::ClosedPipe);
        }
        if let Some(reason) = ends.now() {
            return Err(Failure::Other(format!(
                "the response did not come: {reason}"
            )));
        }
    }
}

/// Why there is no response, and what to do.
fn explain(args: &Call, why: CallError) -> Failure {
    let name = output::name(&args.name);
    let what = match why {
        CallError::Disconnected(DisconnectReason::Died) => format!(
            "the server of {name} died and did not answer\n  it may have done what was asked; start it again"
        ),
        CallError::Disconnected(DisconnectReason::Closed) => format!(
            "the server of {name} has closed and did not answer\n  it may have done what was asked; start it again"
        ),
        CallError::Unanswered => format!(
            "the server of {name} left the request unanswered\n  what it prints itself may tell why"
        ),
        CallError::Timeout => format!(
            "{name}: {why}\n  the server may do what was asked yet; give it a longer --timeout"
        ),
        CallError::System(error) => return error.into(),
        why => return Failure::Other(format!("{name}: {why}")),
    };
    Failure::Absent(what)
}
