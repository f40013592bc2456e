//! `publish`: creates or joins a topic, and sends messages to all its subscribers.

use crate::args::Publish;
use crate::input::ends::Ends;
use crate::input::source::{self, Ended, LOOK_EVERY, Line, Source};
use crate::topic::pace::Pace;
use crate::{Failure, Outcome, output};
use serde_json::json;
use shmkit::{Delivery, Publisher, SendError};
use std::io::IsTerminal;
use std::time::Instant;

pub fn run(args: &Publish) -> Outcome {
    let source = Source::of(&args.messages);
    if source.is_none() && args.rate.is_none() {
        return Err(Failure::Other(
            "no message was given\n  give a MESSAGE, - to type messages line by line, or --rate NUMBER for a test"
                .to_string(),
        ));
    }

    // The signals are watched before the topic exists, so that no signal ends the program without a
    // clean end of the topic.
    let ends = Ends::watch(args.duration).map_err(Failure::Other)?;
    let mut topic = Topic {
        publisher: create(args)?,
        ends,
    };

    let ended = match (args.rate, source) {
        (Some(rate), _) => {
            announce(args, &topic)?;
            topic.stream(rate)?
        }
        (None, Some(Source::Given(messages))) => {
            let ended = topic.all(messages)?;
            announce(args, &topic)?;
            ended
        }
        (None, _) => {
            announce(args, &topic)?;
            topic.lines()?
        }
    };

    let Topic { publisher, ends } = topic;
    let reason = ended.unwrap_or_else(|| ends.wait());
    // The publisher closes, and its subscribers are notified.
    drop(publisher);
    output::remark(&format!("{} ended: {reason}", output::name(&args.name)));
    Ok(())
}

fn create(args: &Publish) -> shmkit::Result<Publisher> {
    if args.join {
        return Publisher::open(&args.name);
    }
    let mut options = Publisher::options().access(args.access.clone());
    options = options.publishers(args.publishers);
    if let Some(capacity) = args.measures.capacity {
        options = options.capacity(capacity);
    }
    if let Some(max) = args.measures.max_message {
        options = options.max_message(max);
    }
    if let Some(keep) = args.keep {
        options = options.keep(keep);
    }
    options = options.timestamps(args.measures.timestamps);
    if args.lossless {
        options = options.delivery(Delivery::Lossless);
    }
    options.create(&args.name)
}

struct Topic {
    publisher: Publisher,
    ends: Ends,
}

impl Topic {
    fn all(&mut self, messages: &[String]) -> Result<Ended, Failure> {
        let max = self.publisher.max_message();
        if let Some(long) = messages.iter().find(|message| message.len() > max) {
            let len = long.len();
            return Err(Failure::Other(format!(
                "a message has {}; the limit is {max} bytes\n  use --max-message {len}",
                output::bytes(len as u64)
            )));
        }
        for message in messages {
            match send(&mut self.publisher, &self.ends, message.as_bytes())? {
                None => {}
                ended => return Ok(ended),
            }
        }
        Ok(None)
    }

    fn lines(&mut self) -> Result<Ended, Failure> {
        let Topic { publisher, ends } = self;
        let max = publisher.max_message();
        let ended = source::each_line(ends, max, |line| match line {
            Line::Whole(message) => send(publisher, ends, &message),
            Line::TooLong { number, len } => {
                let what = source::too_long(number, len, max);
                output::remark(&format!(
                    "{what}; the line is left out\n  use --max-message {len}"
                ));
                Ok(None)
            }
        })?;

        if ended.is_none() {
            output::remark(&format!(
                "the input has ended; the topic stays {}",
                ends.how()
            ));
        }
        Ok(ended)
    }

    fn stream(&mut self, rate: f64) -> Result<Ended, Failure> {
        let _keys = self.ends.keys();
        let mut pace = Pace::new(rate, Instant::now());
        loop {
            for _ in 0..pace.due(Instant::now()) {
                let message = format!("message {}", self.publisher.sent() + 1);
                match send(&mut self.publisher, &self.ends, message.as_bytes())? {
                    None => {}
                    ended => return Ok(ended),
                }
            }
            match self.ends.within(pace.pause(Instant::now())) {
                None => {}
                ended => return Ok(ended),
            }
        }
    }
}

/// Sends a message. With --lossless, waits for slow subscribers until there is a reason to end.
fn send(publisher: &mut Publisher, ends: &Ends, message: &[u8]) -> Result<Ended, Failure> {
    loop {
        match publisher.send_timeout(message, LOOK_EVERY) {
            Ok(()) => return Ok(None),
            Err(SendError::Timeout) => match ends.now() {
                None => {}
                ended => return Ok(ended),
            },
            Err(error) => return Err(error.into()),
        }
    }
}

fn announce(args: &Publish, topic: &Topic) -> Outcome {
    let capacity = shmkit::inspect::segment_info(&args.name)?.capacity;
    let publisher = &topic.publisher;
    let typed = args.messages == ["-"] && std::io::stdin().is_terminal();

    // The publisher continues if no process reads its output.
    output::announce(|| {
        if args.json {
            return output::json(&json!({
                "name": args.name,
                "pid": std::process::id(),
                "capacity": capacity,
                "max_message": publisher.max_message(),
                "lossless": args.lossless,
                "sent": publisher.sent(),
            }));
        }
        let name = output::name(&args.name);
        let capacity = output::bytes(capacity);
        let how = match typed {
            true => "each line you type, until Ctrl-D or Ctrl-C".to_string(),
            false => topic.ends.how(),
        };
        output::line(&format!("publishing {name}, a topic of {capacity}, {how}"))
    })?;
    Ok(())
}
