//! `demo`: a publisher and three subscribers, each a process, with live numbers. One subscriber
//! is slow, and one is killed and started again.

mod peers;
pub mod subscriber;

use self::peers::{Peer, Publishing, Rate};
use crate::output::live::{self, Scroll, View};
use crate::output::screen;
use crate::{Failure, Outcome, output};
use ratatui::layout::Size;
use ratatui::text::Line;
use shmkit::{ErrorKind, Publisher, Section};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

const RATE: f64 = 10_000.0;
/// The capacity of the topic: the messages of more than a second, so only the slow subscriber
/// misses messages.
const CAPACITY: u64 = 1 << 20;
/// How long the demo waits for its subscribers to join, to return or to leave without any progress.
/// On a loaded machine a process may take minutes to start.
const PATIENCE: Duration = Duration::from_secs(300);

/// When a subscriber is killed and started again, as parts of the whole time.
const KILL: f64 = 5.0 / 13.0;
const RESTART: f64 = 7.0 / 13.0;

/// The subscribers, each with its pause after a message.
const SUBSCRIBERS: [(&str, Duration); 3] = [
    ("fast", Duration::ZERO),
    ("slow", Duration::from_millis(5)),
    ("unlucky", Duration::ZERO),
];
const SLOW: usize = 1;
const UNLUCKY: usize = 2;

pub fn run(time: Duration) -> Outcome {
    let mut demo = Demo::new(time);
    match std::io::stdout().is_terminal() {
        true => {
            live::on_screen(&mut demo)?;
            // The alternate screen is gone, so its last content is printed again.
            let lines = [demo.table(), vec![String::new()], demo.story.clone()].concat();
            output::line(&lines.join("\n"))?;
        }
        false => live::in_lines(&mut demo)?,
    }
    demo.end()
}

/// The next step of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Create the topic. The signals are already watched, so no signal ends the demo without a
    /// clean end of the topic.
    Create,
    Join,
    Kill,
    Restart,
    Return,
    Close,
    Leave,
    Over,
}

impl Stage {
    /// Returns whether this stage ends when the subscribers have done something, and not at a time.
    fn waits_for_subscribers(self) -> bool {
        matches!(self, Stage::Join | Stage::Return | Stage::Leave)
    }
}

struct Demo {
    name: String,
    time: Duration,
    /// The publisher, until all subscribers have joined.
    publisher: Option<Publisher>,
    publishing: Option<Publishing>,
    peers: Vec<Peer>,
    stage: Stage,
    /// When the stage began, or when its progress was last seen to change.
    since: Instant,
    /// The progress that was seen last.
    progress: u64,
    /// When the first message was sent.
    start: Instant,
    took: Duration,
    story: Vec<String>,
    printed: usize,
    rounds: u32,
    was_overtaken: bool,
}

impl Drop for Demo {
    fn drop(&mut self) {
        // The publisher first, so that the subscribers leave in good order.
        self.publisher = None;
        if let Some(publishing) = &mut self.publishing {
            let _ = publishing.close();
        }
        self.peers.clear();
        // Removes the files that the killed subscriber left. They would do no harm, but the demo
        // leaves nothing behind.
        let _ = shmkit::inspect::clean();
    }
}

impl Demo {
    fn new(time: Duration) -> Demo {
        let now = Instant::now();
        Demo {
            name: format!("Local\\shmkit-demo-{}", std::process::id()),
            time,
            publisher: None,
            publishing: None,
            peers: Vec::new(),
            stage: Stage::Create,
            since: now,
            progress: 0,
            start: now,
            took: Duration::ZERO,
            story: Vec::new(),
            printed: 0,
            rounds: 0,
            was_overtaken: false,
        }
    }

    /// Looks at all processes once, and does what is due.
    fn step(&mut self) -> Outcome {
        for peer in &mut self.peers {
            peer.look()?;
            let received = peer.number("received").unwrap_or_default();
            peer.rate.look(received);
        }
        if let Some(publishing) = &mut self.publishing {
            publishing.rate.look(publishing.sent());
        }

        self.look_at_the_slow_one();
        let before = self.stage;
        self.act()?;

        let progress = self.progress();
        if self.stage != before || self.progress != progress {
            (self.since, self.progress) = (Instant::now(), progress);
        } else if self.stage.waits_for_subscribers() && self.since.elapsed() > PATIENCE {
            return Err(Failure::other("the subscribers do not answer"));
        }
        Ok(())
    }

    fn act(&mut self) -> Outcome {
        let part = self.start.elapsed().div_duration_f64(self.time);

        match self.stage {
            Stage::Create => {
                let publisher = Publisher::options().capacity(CAPACITY).create(&self.name)?;
                self.publisher = Some(publisher);
                let what = format!(
                    "publishes {}, a topic of {}",
                    self.name,
                    output::bytes(CAPACITY)
                );
                self.tell("publisher", &what);
                for (title, pause) in SUBSCRIBERS {
                    self.peers.push(Peer::start(title, &self.name, pause)?);
                }
                self.stage = Stage::Join;
            }
            Stage::Join if self.peers.iter().all(Peer::has_joined) => {
                self.tell(
                    "all",
                    "three subscribers have joined, each in its own process",
                );
                self.publishing = self.publisher.take().map(|p| Publishing::start(p, RATE));
                self.start = Instant::now();
                self.stage = Stage::Kill;
            }
            Stage::Kill if part >= KILL => {
                self.peers[UNLUCKY].kill()?;
                self.tell("unlucky", "was killed; the others continue");
                self.stage = Stage::Restart;
            }
            Stage::Restart if part >= RESTART => {
                let (title, pause) = SUBSCRIBERS[UNLUCKY];
                self.peers[UNLUCKY] = Peer::start(title, &self.name, pause)?;
                self.stage = Stage::Return;
            }
            Stage::Return => {
                let peer = &self.peers[UNLUCKY];
                if let Some(first) = peer.number("first") {
                    let what =
                        format!("was started again; it begins with the newest message, {first}");
                    self.tell("unlucky", &what);
                    self.stage = Stage::Close;
                }
            }
            Stage::Close if part >= 1.0 => {
                if let Some(publishing) = &mut self.publishing {
                    publishing.close()?;
                }
                self.took = self.start.elapsed();
                self.tell("publisher", "closes");
                self.stage = Stage::Leave;
            }
            Stage::Leave if self.peers.iter().all(Peer::has_ended) => {
                self.tell("all", "received the last messages and the end, and left");
                self.stage = Stage::Over;
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns a number that changes as long as the subscribers do what the stage waits for: how many
    /// have joined, whether the killed one has joined again, or how many have ended and how many
    /// messages all have received.
    fn progress(&self) -> u64 {
        let count =
            |is: fn(&Peer) -> bool| self.peers.iter().filter(|peer| is(peer)).count() as u64;
        match self.stage {
            Stage::Join => count(Peer::has_joined),
            Stage::Return => u64::from(self.peers[UNLUCKY].has_joined()),
            _ => {
                let received = self.peers.iter().filter_map(|peer| peer.number("received"));
                count(Peer::has_ended) + received.sum::<u64>()
            }
        }
    }

    fn look_at_the_slow_one(&mut self) {
        let slow = self.peers.get(SLOW);
        let missed = slow
            .and_then(|slow| slow.number("missed"))
            .filter(|n| *n > 0);
        if let (Some(missed), false) = (missed, self.was_overtaken) {
            self.was_overtaken = true;
            let what = format!("was overtaken by the publisher, and missed {missed} messages");
            self.tell("slow", &what);
        }
    }

    fn tell(&mut self, who: &str, what: &str) {
        let time = match self.publishing {
            Some(_) => self.start.elapsed().as_secs_f64(),
            None => 0.0,
        };
        self.story.push(format!("{time:>4.1} s  {who:<9} {what}"));
    }

    fn sent(&self) -> u64 {
        self.publishing.as_ref().map_or(0, Publishing::sent)
    }

    fn table(&self) -> Vec<String> {
        let title = row([
            "", "process", "messages", "a second", "behind", "missed", "delay",
        ]);
        let rate = |rate: &Rate| rate.a_second.map_or(String::new(), |n| format!("{n:.0}"));
        let me = std::process::id().to_string();
        let (sent, pace) = match &self.publishing {
            Some(publishing) if publishing.is_closed() => {
                (publishing.sent().to_string(), String::new())
            }
            Some(publishing) => (publishing.sent().to_string(), rate(&publishing.rate)),
            None => ("0".to_string(), String::new()),
        };

        let mut lines = vec![title, row(["publisher", &me, &sent, &pace, "", "", ""])];
        for peer in &self.peers {
            let number = |what| peer.number(what).map_or(String::new(), |n| n.to_string());
            let (process, pace, behind, delay) = match peer.has_ended() {
                true => (
                    "ended".to_string(),
                    String::new(),
                    String::new(),
                    String::new(),
                ),
                false => (
                    peer.id().to_string(),
                    rate(&peer.rate),
                    number("behind"),
                    peer.number("delay").map_or(String::new(), duration),
                ),
            };
            let (received, missed) = (number("received"), number("missed"));
            lines.push(row([
                peer.title, &process, &received, &pace, &behind, &missed, &delay,
            ]));
        }

        lines
    }

    /// Checks that nothing is left, and prints the result.
    fn end(mut self) -> Outcome {
        if self.stage != Stage::Over {
            return Err(Failure::Other("interrupted".to_string()));
        }

        let (sent, name) = (self.sent(), self.name.clone());
        let took = self.took.as_secs_f64();
        self.peers.clear();
        drop(self);

        match Section::open(&name) {
            Err(gone) if gone.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                return Err(Failure::other(
                    "the topic still exists after its holders ended",
                ));
            }
        }

        output::line(&format!(
            "\n{sent} messages in {took:.1} s: each subscriber received every message, or the number of\nmessages that it missed. Nothing is left behind."
        ))?;
        Ok(())
    }
}

impl View for Demo {
    const EVERY: Duration = Duration::from_millis(100);

    fn look(&mut self) -> Outcome {
        self.step()
    }

    fn draw(&mut self, size: Size) -> Result<Vec<Line<'static>>, Failure> {
        let mut lines = vec![screen::bar("shmkit demo", "q ends", size.width)];
        let mut rest = self.table();
        rest.push(String::new());
        // The last lines of the story, if not all of its lines fit.
        let room = usize::from(size.height).saturating_sub(lines.len() + rest.len());
        let from = self.story.len().saturating_sub(room);
        rest.extend_from_slice(&self.story[from..]);
        lines.extend(rest.into_iter().map(Line::raw));
        Ok(lines)
    }

    fn scroll(&mut self, _: Scroll) {}

    /// Prints the new lines of the story, and the numbers once a second.
    fn print(&mut self) -> Outcome {
        self.step()?;
        for line in &self.story[self.printed..] {
            output::line(line)?;
        }
        self.printed = self.story.len();
        self.rounds += 1;
        if self.rounds.is_multiple_of(10) || self.is_over() {
            let lines = [vec![String::new()], self.table(), vec![String::new()]].concat();
            output::line(&lines.join("\n"))?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}

fn row(cells: [&str; 7]) -> String {
    let [who, process, messages, rate, behind, missed, delay] = cells;
    let line =
        format!("{who:<9} {process:>8} {messages:>9} {rate:>9} {behind:>7} {missed:>7} {delay:>9}");
    line.trim_end().to_string()
}

/// Returns a number of nanoseconds as a text with a unit.
fn duration(nanos: u64) -> String {
    match nanos {
        0..1_000_000 => format!("{:.0} µs", nanos as f64 / 1e3),
        _ => format!("{:.0} ms", nanos as f64 / 1e6),
    }
}
