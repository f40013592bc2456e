//! `answer`: a server of calls, each of which a command answers.

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
            "there is nothing to answer with\n  give --exec COMMAND, whose output is the response"
                .to_string(),
        ));
    };
    // Before the server exists, so that no signal finds it without a caretaker.
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

/// Names the options behind measures that the library refused.
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

/// What the workers share.
struct Work<'a> {
    command: &'a str,
    max: usize,
    /// How many requests are still to be taken.
    left: AtomicU64,
    ends: Ends,
}

impl Work<'_> {
    /// Whether there is one more request to take, which is counted.
    fn goes_on(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        // Relaxed: nothing but the number itself is told by it.
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.left.fetch_update(set, fetch, one_less).is_ok()
    }

    fn run(&self, server: Server) -> Outcome {
        let outcome = self.answer_all(server);
        if outcome.is_err() {
            // The other workers are to end with this one.
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
                    output::remark("a client wrote what is no request, and is not heard any more");
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
            // The client is about to be told that the server has closed.
            Err(Lack::Over) => return std::mem::forget(request),
            Err(Lack::TooLong) => {
                format!("the response has more than {max} bytes; use --max-message")
            }
            Err(Lack::Failed(why)) => why,
        };
        // The client is told behind this, and may look here why.
        output::remark(&format!("a request was left unanswered: {why}"));
    }
}

fn announce(args: &Answer, server: &Server) -> Outcome {
    output::remark(&format!(
        "answering on {}; shmkit call calls it",
        output::name(&args.name)
    ));
    if !args.json {
        return Ok(());
    }
    let info = shmkit::inspect::segment_info(&args.name)?;
    // A server serves on when nobody reads what it prints.
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
