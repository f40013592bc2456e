//! `call`: sends a request to a server, and prints the response.

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
            "no request was given\n  give a REQUEST, or - to type it".to_string(),
        ));
    }

    let mut client = open_in_time(args)?;
    let info = shmkit::inspect::segment_info(&args.name)?;
    // A signal then ends the client in good order, and the server does not take the end for a
    // death.
    let ends = Ends::watch(None).map_err(Failure::Other)?;

    let request = match (&args.hex, source) {
        (Some(hex), _) => hex.0.clone(),
        (None, Some(Source::Given(request))) => given(request, info.layout.as_ref())?,
        (None, _) => match source::all(&ends, client.max_message())? {
            Ok(request) => request,
            Err(reason) => return Err(Failure::Other(format!("no request was sent: {reason}"))),
        },
    };
    fits(args, &request, info.layout.as_ref(), client.max_message())?;

    let mut printer = Printer::new(args.json, None).of(info.response_layout);
    let asked = ask(args, &mut client, &request, &mut printer, &ends);
    printer.flush()?;
    asked
}

/// Opens the server. With --wait, waits until the server exists and has a place for this client.
fn open_in_time(args: &Call) -> Result<Client, Failure> {
    let opened = open::in_time(args.wait, |left| {
        Client::options().wait(left).open(&args.name)
    });
    opened.map_err(|error| {
        let failure = open::explain(&args.name, Sought::Calls, error);
        open::after(args.wait, failure)
    })
}

/// Returns the bytes of the request that is given on the command line.
fn given(request: &[String], layout: Option<&Layout>) -> Result<Vec<u8>, Failure> {
    match (layout, request) {
        (Some(layout), fields) => record::parse(layout, fields).map_err(Failure::Other),
        (None, [text]) => Ok(text.as_bytes().to_vec()),
        (None, several) => Err(Failure::Other(format!(
            "a call has one request, and {} were given\n  quote it if it contains blanks",
            several.len()
        ))),
    }
}

/// Checks the length of the request. The server drops a request of a wrong length, and does not say
/// why.
fn fits(args: &Call, request: &[u8], layout: Option<&Layout>, max: usize) -> Outcome {
    let name = output::name(&args.name);
    if request.len() > max {
        return Err(Failure::Other(format!(
            "the request is longer than {max} bytes, the limit of {name}\n  send a shorter request, or start the server with a larger --max-message"
        )));
    }
    match layout {
        Some(layout) if layout.size != request.len() => Err(Failure::Other(format!(
            "the request has {}, and a request of {name} has {} bytes\n  shmkit show prints the fields; give a FIELD=VALUE for each field",
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
            return Err(Failure::Other(format!("no response came: {reason}")));
        }
    }
}

/// Returns the failure that says why there is no response, and what to do.
fn explain(args: &Call, why: CallError) -> Failure {
    let name = output::name(&args.name);
    let what = match why {
        CallError::Disconnected(DisconnectReason::Died) => format!(
            "the server of {name} died and did not answer\n  it may have done the work; start the server again"
        ),
        CallError::Disconnected(DisconnectReason::Closed) => format!(
            "the server of {name} has closed and did not answer\n  it may have done the work; start the server again"
        ),
        CallError::Unanswered => format!(
            "the server of {name} left the request unanswered\n  the output of the server may say why"
        ),
        CallError::Timeout => {
            format!("{name}: {why}\n  the server may still do the work; use a longer --timeout")
        }
        CallError::System(error) => return error.into(),
        why => return Failure::Other(format!("{name}: {why}")),
    };

    Failure::Absent(what)
}
