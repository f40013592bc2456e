//! `answer`: a server of calls that runs a command for each request.

use crate::args::Answer;
use crate::calls::exec::{self, Lack};
use crate::input::ends::{Ends, Waits};
use crate::{Failure, Outcome, output};
use serde_json::json;
use shmkit::{ErrorKind, RecvError, Request, Server};
use std::iter::repeat_n;
use std::sync::atomic::{AtomicU64, Ordering};

pub fn run(args: &Answer) -> Outcome {
    let Some(command) = args.exec.as_deref() else {
        return Err(Failure::Other(
            "no command was given\n  give --exec COMMAND; the output of the command is the response"
                .to_string(),
        ));
    };

    // The signals are watched before the server exists, so that no signal ends the program without
    // a clean end of the server.
    let ends = Ends::watch(args.duration).map_err(Failure::Other)?;
    let server = Server::options()
        .max_message(args.max_message)
        .clients(args.clients)
        .in_flight(args.in_flight)
        .access(args.access.clone())
        .create(&args.name)
        .map_err(refused)?;

    announce(args, &server)?;
    let work = Work {
        command,
        max: server.max_message(),
        left: AtomicU64::new(args.count.unwrap_or(u64::MAX)),
        ends,
    };

    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = repeat_n(server, args.workers.into())
            .map(|server| scope.spawn(move || work.run(server)))
            .collect();
        let mut outcomes = workers.into_iter().map(|worker| {
            let outcome = worker.join();
            outcome.unwrap_or_else(|_| Err(Failure::other("a worker panicked")))
        });
        outcomes.find(Result::is_err).unwrap_or(Ok(()))
    })
}

/// Adds the names of the options to the error of the library about sizes that are too large.
fn refused(error: shmkit::Error) -> Failure {
    if error.kind() != ErrorKind::InvalidArgument || error.advice().is_empty() {
        return error.into();
    }
    let advice = format!(
        "{}\n  use a smaller --max-message or --in-flight",
        error.advice()
    );
    Failure::with_advice(&error, &advice)
}

/// The state that the workers share.
struct Work<'a> {
    command: &'a str,
    max: usize,
    /// The number of requests that the workers may still take.
    left: AtomicU64,
    ends: Ends,
}

impl Work<'_> {
    /// Returns whether one more request may be taken, and counts the request.
    fn goes_on(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        // Relaxed: only the number itself counts.
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.left.fetch_update(set, fetch, one_less).is_ok()
    }

    fn run(&self, server: Server) -> Outcome {
        let outcome = self.answer_all(server);
        if outcome.is_err() {
            // The other workers end together with this worker.
            self.ends.end("a worker failed");
        }
        outcome
    }

    fn answer_all(&self, mut server: Server) -> Outcome {
        let mut waits = self.ends.waits().map_err(Failure::Other)?;
        while self.ends.now().is_none() && self.goes_on() {
            self.one(&mut server, &mut waits)?;
        }
        Ok(())
    }

    /// Waits for a request, and answers it.
    fn one(&self, server: &mut Server, waits: &mut Waits) -> Outcome {
        while self.ends.now().is_none() {
            let error = match server.try_recv() {
                Ok(request) => {
                    self.answer(request, waits);
                    return Ok(());
                }
                Err(error) => error,
            };

            match error {
                RecvError::Empty => {
                    waits.wait(server, None)?;
                }
                RecvError::Corrupt => {
                    output::remark("a client wrote an invalid request, and is ignored from now on");
                }
                error => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn answer(&self, request: Request<'_>, waits: &mut Waits) {
        let max = self.max;
        let why = match exec::output(self.command, request.bytes(), max, waits) {
            Ok(output) => match request.respond(&output) {
                Ok(()) => return,
                Err(why) => why.to_string(),
            },
            // The server closes now, and the call of the client ends with `Disconnected`. If the
            // request were dropped here, the call would end with `Unanswered`.
            Err(Lack::Over) => return std::mem::forget(request),
            Err(Lack::TooLong) => {
                format!("the response has more than {max} bytes; use a larger --max-message")
            }
            Err(Lack::Failed(why)) => why,
        };

        // The request is dropped after this remark, so the reason is printed before the call of the
        // client ends.
        output::remark(&format!("a request was left unanswered: {why}"));
    }
}

fn announce(args: &Answer, server: &Server) -> Outcome {
    output::remark(&format!(
        "answering on {}; shmkit call sends requests to it",
        output::name(&args.name)
    ));
    if !args.json {
        return Ok(());
    }

    let info = shmkit::inspect::segment_info(&args.name)?;
    // The server continues if no process reads its output.
    output::announce(|| {
        output::json(&json!({
            "name": args.name,
            "pid": std::process::id(),
            "max_message": server.max_message(),
            "clients": info.lanes,
            "in_flight": info.in_flight,
            "workers": args.workers,
        }))
    })?;
    Ok(())
}
