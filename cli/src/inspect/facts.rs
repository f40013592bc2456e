//! The facts about an object at one moment, as text and as JSON.

use crate::inspect::traffic::Traffic;
use crate::names::companions;
use crate::names::object::{self, Object};
use crate::output;
use serde_json::{Value, json};
use shmkit::inspect::{Backing, Holders, Kind, Listed, ObjectInfo};
use shmkit::{Name, Reset, SectionInfo};

/// The facts about an object. A fact that the system does not report is `None`.
pub struct Facts {
    name: String,
    kind: Kind,
    about: About,
    object: ObjectInfo,
    companions: Option<Vec<Listed>>,
    /// The facts about the messages, if the object is a queue, topic, values or calls.
    traffic: Option<Traffic>,
    /// The processes that have the object open, without this process.
    holders: Option<Holders>,
}

/// The facts that objects of one kind have.
enum About {
    Section(SectionInfo),
    Event {
        reset: Option<Reset>,
        signaled: Option<bool>,
    },
    Mutex {
        taken: Option<bool>,
        taken_by: Option<u32>,
    },
}

impl Facts {
    pub fn of(name: &str, object: &Object) -> shmkit::Result<Facts> {
        let (about, info) = match object {
            Object::Section(section) => {
                let info = section.info()?;
                (About::Section(info.clone()), info.object)
            }
            Object::Event(event) => {
                let (reset, signaled) = (event.reset_mode(), event.is_set());
                (About::Event { reset, signaled }, event.info())
            }
            Object::Mutex(mutex) => {
                let (taken, taken_by) = (mutex.is_taken(), mutex.owner());
                (About::Mutex { taken, taken_by }, mutex.info())
            }
        };

        let traffic = match object {
            Object::Section(section) => Traffic::of(name, section),
            _ => None,
        };

        let full = Name::new(name)?;
        let listed = shmkit::inspect::list().ok();
        let mut holders = shmkit::inspect::holders(object.as_raw()).ok();
        if let Some(holders) = &mut holders {
            let me = std::process::id();
            holders.found.retain(|holder| holder.pid != me);
        }

        Ok(Facts {
            name: name.to_string(),
            kind: object.kind(),
            about,
            object: info,
            companions: listed.map(|listed| companions::of(&full, listed)),
            traffic,
            holders,
        })
    }

    /// Computes the rates since the facts `before`.
    pub fn since(&mut self, before: &Facts) {
        if let (Some(now), Some(before)) = (&mut self.traffic, &before.traffic) {
            now.since(before);
        }
    }

    pub fn json(&self) -> Value {
        let mut json = json!({
            "name": self.name,
            "kind": object::word(self.kind),
            "owner": self.object.owner,
            "access": self.object.access,
            "grants": self.object.grants.iter()
                .map(|grant| json!({ "account": grant.account, "may": grant.may }))
                .collect::<Vec<_>>(),
            "path": self.object.path,
            "companions": self.companions.as_ref().map(|all| all.iter()
                .map(|one| json!({ "name": one.name, "kind": object::word(one.kind) }))
                .collect::<Vec<_>>()),
            "holders": self.holders.as_ref().map(|holders| holders.found.iter()
                .map(|holder| json!({ "pid": holder.pid, "image": holder.image }))
                .collect::<Vec<_>>()),
            "hidden": self.holders.as_ref().map(|holders| holders.hidden),
        });

        if let Some(traffic) = &self.traffic {
            json["messages"] = traffic.json();
        }

        match &self.about {
            About::Section(info) => {
                json["kernel_len"] = info.kernel_len.into();
                json["reserved"] = info.reserved.into();
                json["backing"] = info.backing.map(backing).into();
                json["attributes"] = info.attributes.clone().into();
            }
            About::Event { reset, signaled } => {
                json["reset"] = reset.map(reset_word).into();
                json["signaled"] = (*signaled).into();
            }
            About::Mutex { taken, taken_by } => {
                json["taken"] = (*taken).into();
                json["taken_by"] = (*taken_by).into();
            }
        }

        json
    }

    /// Returns a line for each fact, with the title of the fact.
    pub fn lines(&self) -> Vec<String> {
        let mut table = Table::default();
        table.row("name", &self.name);
        table.row("kind", object::word(self.kind));
        if let Some(whole) = companions::whole_of(&self.name) {
            table.row("part of", whole);
        }

        for (title, value) in self.traffic.iter().flat_map(Traffic::rows) {
            table.row(title, &value);
        }

        match &self.about {
            About::Section(info) => {
                table.row("size", &output::bytes(info.kernel_len));
                table.row("memory", memory(info.reserved));
                table.row("lives in", lives_in(info.backing));
                table.maybe("attributes", info.attributes.as_deref());
            }
            About::Event { reset, signaled } => {
                table.maybe("reset", reset.map(reset_words));
                table.maybe(
                    "state",
                    signaled.map(|on| if on { "signaled" } else { "not signaled" }),
                );
            }
            About::Mutex { taken, taken_by } => {
                let by = taken_by.map(|pid| format!("taken by process {pid}"));
                let state = taken.map(|on| if on { "taken" } else { "free" });
                table.maybe("state", by.as_deref().or(state));
            }
        }

        table.maybe("owner", self.object.owner.as_deref());
        table.maybe("access", self.object.access.as_deref());
        let grants = self.object.grants.iter();
        table.rows(
            "grants",
            grants.map(|g| format!("{}: {}", g.account, g.may)),
            UNKNOWN,
        );
        table.maybe("path", self.object.path.as_deref());
        self.others(&mut table);
        table.lines
    }

    /// Adds the companions and the holders to the table.
    fn others(&self, table: &mut Table) {
        match &self.companions {
            Some(all) => {
                let words = |one: &Listed| format!("{}, {}", one.name, object::noun(one.kind));
                // Of the objects that belong to a queue, topic, values or calls, only the number is
                // shown.
                let is_own = |one: &&Listed| {
                    self.traffic.is_some() && companions::whole_of(&one.name).is_some()
                };
                let (own, others): (Vec<_>, Vec<_>) = all.iter().partition(is_own);
                let own = (!own.is_empty()).then(|| match own.len() {
                    1 => "1 object of its own (list --all)".to_string(),
                    n => format!("{n} objects of its own (list --all)"),
                });
                let others = others.into_iter().map(words);
                table.rows("companions", own.into_iter().chain(others), "none");
            }
            None => table.row("companions", UNKNOWN),
        }

        let Some(holders) = &self.holders else {
            return table.row("holders", UNKNOWN);
        };
        let found = holders.found.iter().map(|holder| match &holder.image {
            Some(image) => format!("process {}, {image}", holder.pid),
            None => format!("process {}", holder.pid),
        });

        let hidden = match holders.hidden {
            0 => None,
            1 => Some("1 process cannot be inspected".to_string()),
            n => Some(format!("{n} processes cannot be inspected")),
        };
        table.rows("holders", found.chain(hidden), "no other process");
    }
}

const UNKNOWN: &str = "the system does not report this";

/// Lines that each have a title.
#[derive(Default)]
struct Table {
    lines: Vec<String>,
}

impl Table {
    fn row(&mut self, title: &str, value: &str) {
        self.lines
            .push(format!("{title:<11} {}", output::name(value)));
    }

    fn maybe(&mut self, title: &str, value: Option<&str>) {
        self.row(title, value.unwrap_or(UNKNOWN));
    }

    /// Adds a line for each value under one title, or a line with `none` if there is no value.
    fn rows(&mut self, title: &str, values: impl Iterator<Item = String>, none: &str) {
        let before = self.lines.len();
        for value in values {
            let title = if self.lines.len() == before {
                title
            } else {
                ""
            };
            self.row(title, &value);
        }
        if self.lines.len() == before {
            self.row(title, none);
        }
    }
}

fn memory(reserved: Option<bool>) -> &'static str {
    match reserved {
        Some(true) => "reserved, committed in parts",
        Some(false) => "committed",
        None => UNKNOWN,
    }
}

fn backing(backing: Backing) -> &'static str {
    match backing {
        Backing::Memory => "memory",
        Backing::File => "file",
        Backing::Image => "image",
        Backing::Posix => "posix",
        _ => "other",
    }
}

fn lives_in(backing: Option<Backing>) -> &'static str {
    match backing {
        Some(Backing::Memory) => "memory that ends with its last holder",
        Some(Backing::File) => "a file, which stays",
        Some(Backing::Image) => "an executable image",
        Some(Backing::Posix) => "memory, under a POSIX name that stays until it is unlinked",
        _ => UNKNOWN,
    }
}

fn reset_word(reset: Reset) -> &'static str {
    match reset {
        Reset::Auto => "auto",
        Reset::Manual => "manual",
    }
}

fn reset_words(reset: Reset) -> &'static str {
    match reset {
        Reset::Auto => "auto-reset: a signal ends one wait",
        Reset::Manual => "manual-reset: a signal ends all waits until it is reset",
    }
}
