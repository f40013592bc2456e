//! `answer`: a server of calls, each of which a command answers.

use crate::args::Answer;
use crate::calls::exec::{self, Lack};
use crate::input::ends::Ends;
use crate::input::source::LOOK_EVERY;
use crate::{Failure, Outcome, output};
use serde_json::json;
use shmkit::{ErrorKind, RecvError, Request, Server};
use std::iter::repeat_n;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
        is_over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = repeat_n(server, args.workers.into())
            .map(|server| scope.spawn(move || work.run(server)))
            .collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            if ends.within(LOOK_EVERY).is_some() {
                work.end();
                break;
            }
        }
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
    is_over: AtomicBool,
}

impl Work<'_> {
    fn end(&self) {
        // Relaxed: nothing but the word itself is told by it.
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        // Relaxed: nothing but the word itself is told by it.
        self.is_over.load(Ordering::Relaxed)
    }

    /// Whether there is one more request to take, which is counted.
    fn goes_on(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        // Relaxed: nothing but the number itself is told by it.
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.left.fetch_update(set, fetch, one_less).is_ok()
    }

    fn run(&self, mut server: Server) -> Outcome {
        while !self.is_over() && self.goes_on() {
            if let Err(error) = self.one(&mut server) {
                // The others are to end with it.
                self.end();
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Waits for a request, and answers it.
    fn one(&self, server: &mut Server) -> Result<(), RecvError> {
        while !self.is_over() {
            match server.recv_timeout(LOOK_EVERY) {
                Ok(request) => {
                    self.answer(request);
                    return Ok(());
                }
                Err(RecvError::Timeout) => {}
                Err(RecvError::Corrupt) => {
                    output::remark("a client wrote what is no request, and is not heard any more");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn answer(&self, request: Request<'_>) {
        let (max, is_over) = (self.max, || self.is_over());
        let why = match exec::output(self.command, request.bytes(), max, is_over) {
            Ok(output) => match request.respond(&output) {
                Ok(()) => return,
                Err(why) => why.to_string(),
            },
            // Whoever asked is about to be told that the server has closed.
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
