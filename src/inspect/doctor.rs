//! Checks which objects this account can create and use on this system, and the cause of each
//! failure.

use crate::access::Access;
use crate::error::{Error, ErrorKind};
use crate::object::event::Event;
use crate::object::mutex::Mutex;
use crate::object::section::Section;
use crate::os::{self, Finding, Health, Holder, ProcessIdentity, Reset};
use std::time::Duration;

/// A timeout that is long enough to sleep in the kernel once.
const SHORT_SLEEP: Duration = Duration::from_millis(1);

/// Examines this system and this account.
///
/// The function creates objects of its own, uses them, and closes them before it returns. It also
/// asks the system for facts.
///
/// ```
/// for finding in shmkit::inspect::doctor() {
///     println!("{:?} {}: {}", finding.health, finding.topic, finding.says);
/// }
/// ```
#[must_use]
pub fn doctor() -> Vec<Finding> {
    let name = |scope: &str| format!("{scope}\\shmkit-doctor-{}", std::process::id());
    let (local, global) = (name("Local"), name("Global"));

    let mut findings = os::findings();
    findings.push(tried(
        "sections of this session",
        "can be created, written and read",
        section(&local, Access::SameUser),
    ));
    findings.push(tried(
        "sections for the whole machine",
        "can be created in Global\\, for other users to read",
        section(&global, Access::UsersReadOnly),
    ));
    findings.push(lost_names());
    findings.push(tried(
        "events and mutexes",
        "can be created and waited for, together with the death of a process",
        waiting(&local),
    ));
    findings
}

/// Looks for processes that hold objects whose names were removed. No other process can open such
/// an object.
///
/// [`doctor`] includes this finding. This function creates no objects.
///
/// # Platform notes
///
/// On Windows, a name cannot be removed while its object exists, so the finding is always good.
#[must_use]
pub fn lost_names() -> Finding {
    let topic = "names that were removed";
    let describe = |(holder, count): (Holder, usize)| {
        let image = holder
            .image
            .map_or(String::new(), |image| format!(" ({image})"));
        let objects = if count == 1 { "object" } else { "objects" };
        format!("process {}{image} holds {count} {objects}", holder.pid)
    };
    let holding: Vec<String> = os::nameless().into_iter().map(describe).collect();

    if holding.is_empty() {
        Finding::new(topic, Health::Good, "there are none")
    } else {
        Finding::new(topic, Health::Limited, holding.join("; ")).advise(
            "no other process can open these objects: start these programs again, and find out \
             what removed the names (rm, RemoveIPC)",
        )
    }
}

fn section(name: &str, access: Access) -> Result<(), Error> {
    let section = Section::options().access(access).create_new(name, 4096)?;
    section.map_rw(..)?.write(0, b"doctor")?;
    Section::open(name)?.read_at(0, &mut [0; 6])
}

fn waiting(name: &str) -> Result<(), Error> {
    let me = ProcessIdentity::current()?.watch()?;
    let event = Event::create_new(name, Reset::Auto)?;
    event.wait_or_death(&me, Some(SHORT_SLEEP))?;
    drop(event);
    Mutex::create_new(name)?.lock().map(drop)
}

fn tried(topic: &str, good: &str, outcome: Result<(), Error>) -> Finding {
    let (health, says, advice) = match outcome {
        Ok(()) => (Health::Good, good.to_string(), None),
        Err(error) => {
            let code = error
                .code()
                .map_or(String::new(), |c| format!(" (error {c})"));
            let says = format!("cannot {}: {}{code}", error.operation(), error.meaning());
            // A desktop user has no privilege for `Global\` and does not need it.
            let health = match error.kind() {
                ErrorKind::PrivilegeMissing => Health::Limited,
                _ => Health::Bad,
            };
            (health, says, Some(error.advice().to_string()))
        }
    };

    Finding {
        topic: topic.to_string(),
        health,
        says,
        advice,
    }
}
