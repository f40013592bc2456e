//! The facts about a queue, a topic, values or calls at one moment, and the rates since the
//! previous moment.

use crate::inspect::fields;
use crate::names::open;
use crate::output;
use serde_json::{Value, json};
use shmkit::Section;
use shmkit::inspect::{Participant, Pattern, SegmentInfo};
use std::time::Instant;

/// The facts about the messages, or why they cannot be read.
#[derive(Debug)]
pub enum Traffic {
    Seen(Box<Seen>),
    Hidden(String),
}

#[derive(Debug)]
pub struct Seen {
    info: SegmentInfo,
    at: Instant,
    /// Messages per second since the previous moment: of the owner, and of each other participant.
    rates: Option<(f64, Vec<Option<f64>>)>,
}

impl Traffic {
    /// Returns the facts; `None` if the section is not the ownership record of a segment.
    pub fn of(name: &str, section: &Section) -> Option<Traffic> {
        if !open::holds_messages(section) {
            return None;
        }
        Some(match shmkit::inspect::segment_info(name) {
            Ok(info) => Traffic::Seen(Box::new(Seen {
                info,
                at: Instant::now(),
                rates: None,
            })),
            Err(error) => Traffic::Hidden(error.meaning().to_string()),
        })
    }

    /// Computes the rates since the facts `before`.
    pub fn since(&mut self, before: &Traffic) {
        let (Traffic::Seen(now), Traffic::Seen(before)) = (self, before) else {
            return;
        };
        if now.info.owner.identity == before.info.owner.identity {
            now.rates = Some(now.rates_since(before));
        }
    }

    pub fn json(&self) -> Value {
        match self {
            Traffic::Seen(seen) => seen.json(),
            Traffic::Hidden(why) => json!({ "error": why }),
        }
    }

    /// Returns the facts as rows of a title and a text. The title is empty if it is the title of
    /// the row above.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        match self {
            Traffic::Seen(seen) => seen.rows(),
            Traffic::Hidden(why) => vec![("messages", why.clone())],
        }
    }
}

impl Seen {
    fn rates_since(&self, before: &Seen) -> (f64, Vec<Option<f64>>) {
        let time = (self.at - before.at).as_secs_f64().max(1e-9);
        let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / time;
        let counted = |one: &Participant| self.counted(one);
        let owner = rate(self.owned(&self.info), self.owned(&before.info));
        let (new, old) = (all(&self.info.others), all(&before.info.others));
        let others = new.iter().enumerate().map(|(n, one)| {
            // A process can be several participants.
            let nth = new[..n].iter().filter(|other| other.pid == one.pid).count();
            let same = old.iter().filter(|other| other.pid == one.pid).nth(nth)?;
            Some(rate(counted(one), counted(same)))
        });
        (owner, others.collect())
    }

    /// Returns the number of messages that the owner of `info` has sent or received.
    fn owned(&self, info: &SegmentInfo) -> u64 {
        match self.info.pattern {
            Pattern::Topic | Pattern::Values => info.owner.sent,
            Pattern::Queue | Pattern::Calls => info.owner.received,
        }
    }

    /// Returns the number of messages that another participant has received or sent.
    fn counted(&self, one: &Participant) -> u64 {
        match self.info.pattern {
            Pattern::Topic | Pattern::Values if !one.publishes => one.received,
            _ => one.sent,
        }
    }

    fn json(&self) -> Value {
        let info = &self.info;
        let (major, minor) = info.version;
        let (pattern, counted) = match info.pattern {
            Pattern::Queue => ("queue", "received"),
            Pattern::Topic => ("topic", "sent"),
            Pattern::Values => ("latest", "set"),
            Pattern::Calls => ("rpc", "received"),
        };

        let mut owner = person(&info.owner);
        owner[counted] = self.owned(info).into();
        let mut json = json!({
            "pattern": pattern,
            "format": format!("{major}.{minor}"),
            "generation": info.generation,
            "capacity": info.capacity,
            "max_message": info.max_message,
            "lossless": info.lossless,
            "timestamps": info.timestamps,
            "closed": info.closed,
            "layout": info.layout.as_ref().map(fields::json),
        });

        let others = info.others.as_ref().map(|others| {
            let others = others.iter().map(|one| self.other(one));
            others.collect::<Vec<Value>>()
        });
        json["participants"] = others.into();

        match info.pattern {
            Pattern::Queue => json["senders"] = info.lanes.into(),
            Pattern::Topic => json["publishers"] = info.lanes.into(),
            Pattern::Values => json["values"] = info.values.into(),
            Pattern::Calls => {
                owner["sent"] = info.owner.sent.into();
                json["clients"] = info.lanes.into();
                json["in_flight"] = info.in_flight.into();
                json["response_layout"] = info.response_layout.as_ref().map(fields::json).into();
            }
        }

        let is_counted = info.pattern != Pattern::Values;
        if let Some((rate, rates)) = &self.rates {
            owner["rate"] = rate.round().into();
            for (n, rate) in rates.iter().enumerate().filter(|_| is_counted) {
                json["participants"][n]["rate"] = rate.map(f64::round).into();
            }
        }
        json["owner"] = Some(owner).filter(|_| !info.ownerless).into();
        json
    }

    /// Returns a participant other than the owner as JSON.
    fn other(&self, one: &Participant) -> Value {
        let mut json = person(one);
        json["publishes"] = one.publishes.into();
        let (key, count) = match self.info.pattern {
            Pattern::Values => return json,
            Pattern::Topic if one.publishes => {
                json["sent"] = one.sent.into();
                return json;
            }
            Pattern::Queue | Pattern::Calls => ("sent", one.sent),
            Pattern::Topic => ("missed", one.missed),
        };
        json[key] = count.into();
        json["received"] = one.received.into();
        json["behind"] = one.behind.into();
        if let Some(key) = one.source {
            json["source"] = key.into();
        }
        json
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let info = &self.info;
        let (major, minor) = info.version;
        let [what, owner, verb, other] = words(info);
        let capacity = output::bytes(info.capacity);
        let room = match info.pattern {
            Pattern::Queue => format!("{capacity} for each of up to {} senders", info.lanes),
            Pattern::Topic if info.lanes == 1 => capacity,
            Pattern::Topic => format!("{capacity} for each of up to {} publishers", info.lanes),
            Pattern::Values => format!("{capacity} for {} of them", info.values),
            Pattern::Calls => format!(
                "{capacity} each way for each of up to {} clients, {} calls at a time",
                info.lanes, info.in_flight
            ),
        };

        let longest = info.max_message;
        let one = match info.pattern {
            Pattern::Values => "value",
            _ => "message",
        };

        let stamps = match info.timestamps {
            true => ", with time stamps",
            false => "",
        };
        let mut rows = vec![
            ("messages", format!("{what} (format {major}.{minor})")),
            (
                "capacity",
                format!("{room}, {longest} bytes the longest {one}{stamps}"),
            ),
        ];

        let title = match info.pattern {
            Pattern::Calls => "requests",
            _ => "type",
        };
        rows.extend(under(title, info.layout.iter().flat_map(fields::rows)));
        let responses = info.response_layout.iter().flat_map(fields::rows);
        rows.extend(under("responses", responses));

        rows.push((owner, self.owner(verb)));

        let others = all(&info.others).iter().enumerate().map(|(n, one)| {
            let rate = self.rates.as_ref().and_then(|(_, rates)| rates[n]);
            (one.publishes, self.row(one, rate))
        });
        let (publishers, others): (Vec<_>, Vec<_>) = others.partition(|(publishes, _)| *publishes);
        rows.extend(publishers.into_iter().map(|(_, row)| ("", row)));
        let first = rows.len();
        rows.extend(under(other, others.into_iter().map(|(_, row)| row)));
        if rows.len() == first {
            let none = info.others.as_ref().map(|_| "none");
            rows.push((
                other,
                none.unwrap_or("this account has no right to read them")
                    .to_string(),
            ));
        }
        rows
    }

    fn row(&self, one: &Participant, rate: Option<f64>) -> String {
        let rate = per_second(rate);
        match self.info.pattern {
            Pattern::Values => who(one, "waiting", ""),
            Pattern::Topic if one.publishes => {
                let who = who(one, "waiting for a slow subscriber", "");
                format!("{who}, sent {}{rate}", one.sent)
            }
            Pattern::Topic => {
                let (who, received) = (who(one, "waiting", "busy"), one.received);
                let (behind, missed) = (one.behind, one.missed);
                format!("{who}, received {received}{rate}, {behind} behind, missed {missed}")
            }
            Pattern::Calls => {
                let (who, sent) = (who(one, "waiting", ""), one.sent);
                format!(
                    "{who}, asked {sent}{rate}, of them {} not taken yet",
                    one.behind
                )
            }
            Pattern::Queue => {
                let (who, sent) = (who(one, "waiting for space", ""), one.sent);
                let source = one.source.map(|key| format!(", source key {key}"));
                let source = source.unwrap_or_default();
                format!(
                    "{who}{source}, sent {sent}{rate}, of them {} not received yet",
                    one.behind
                )
            }
        }
    }

    /// Returns the row of the owner. `verb` says what it has done with messages.
    fn owner(&self, verb: &str) -> String {
        let info = &self.info;
        if info.ownerless {
            return "has not come yet".to_string();
        }
        let who = match info.pattern {
            Pattern::Topic => who(&info.owner, "waiting for a slow subscriber", ""),
            Pattern::Values => who(&info.owner, "", ""),
            Pattern::Queue | Pattern::Calls => who(&info.owner, "waiting", "busy"),
        };
        let state = if info.closed { ", has closed" } else { "" };
        let rate = per_second(self.rates.as_ref().map(|(rate, _)| *rate));
        let answered = match info.pattern {
            Pattern::Calls => format!(", answered {}", info.owner.sent),
            _ => String::new(),
        };
        format!("{who}{state}, {verb} {}{rate}{answered}", self.owned(info))
    }
}

/// Returns four texts: what the segment is, the name of its owner, what the owner has done with
/// messages, and the name of the other participants.
fn words(info: &SegmentInfo) -> [&'static str; 4] {
    match (info.pattern, info.lossless) {
        (Pattern::Queue, _) => [
            "a queue: no message is lost",
            "receiver",
            "received",
            "senders",
        ],
        (Pattern::Topic, true) => [
            "a topic: its publisher waits for slow subscribers",
            "publisher",
            "sent",
            "subscribers",
        ],
        (Pattern::Topic, false) => [
            "a topic: slow subscribers miss messages, and learn how many",
            "publisher",
            "sent",
            "subscribers",
        ],
        (Pattern::Calls, _) => [
            "calls: each request gets a response",
            "server",
            "received",
            "clients",
        ],
        (Pattern::Values, _) => [
            "values: readers get the newest value",
            "writer",
            "set",
            "readers",
        ],
    }
}

/// Returns several rows, of which the first has the title.
fn under(
    title: &'static str,
    rows: impl Iterator<Item = String>,
) -> impl Iterator<Item = (&'static str, String)> {
    std::iter::once(title)
        .chain(std::iter::repeat(""))
        .zip(rows)
}

fn all(others: &Option<Vec<Participant>>) -> &[Participant] {
    others.as_deref().unwrap_or_default()
}

fn person(one: &Participant) -> Value {
    json!({
        "pid": one.pid,
        "alive": one.alive,
        "waiting": one.asleep,
    })
}

/// Returns a text with the process of a participant, whether the process is alive, and the word
/// `waiting` or `busy` for what the participant does.
fn who(one: &Participant, waiting: &str, busy: &str) -> String {
    let doing = if one.asleep { waiting } else { busy };
    let state = match one.alive {
        Some(false) => ", dead",
        Some(true) if doing.is_empty() => ", alive",
        Some(true) => ", alive, ",
        None if doing.is_empty() => "",
        None => ", ",
    };
    let doing = if one.alive == Some(false) { "" } else { doing };
    format!("process {}{state}{doing}", one.pid)
}

fn per_second(rate: Option<f64>) -> String {
    rate.map_or(String::new(), |rate| format!(" ({rate:.0}/s)"))
}
