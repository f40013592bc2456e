//! The access lists of objects that a group, or programs in AppContainers, may use. Under Wine there is
//! no second user and no AppContainer: these tests show which rights the lists give, and, in a build
//! with NT's rules, that a program of low integrity may write what it has to.

use crate::access::{my_sid, other, refused};
use crate::closed::nt_rules;
use crate::common::{TestChild, hear, say, unique, watchdog};
use shmkit::inspect::ObjectInfo;
use shmkit::{Access, ErrorKind, Event, Mutex, Publisher, Receiver, Reset, Section, Sender};

const APP_CONTAINERS: &str = "S-1-15-2-1";

pub fn play(role: &str, args: &[&str]) {
    assert_eq!(role, "send");
    match Sender::open(args[0]) {
        Ok(mut sender) => {
            sender.send(b"from below").unwrap();
            say("sent");
        }
        Err(error) => say(&format!("{:?}", error.kind())),
    }
    while hear().is_some() {}
}

/// Returns the rights of an account, in words, and the label of an object.
fn rights(info: &ObjectInfo, sid: &str) -> (String, String) {
    let grants = info.grants.iter();
    let mut of_account = grants.filter(|grant| grant.account.contains(sid));
    let may = of_account.next().map_or("nothing", |grant| &*grant.may);
    let access = info.access.as_deref().unwrap();
    let label = access.rsplit_once("S:").map_or("", |(_, label)| label);
    (may.to_string(), label.to_string())
}

fn section(name: &str) -> ObjectInfo {
    Section::open(name).unwrap().info().unwrap().object
}

/// Asserts the rights of an account to all objects of a segment. Its lanes are written by participants
/// (`are_written`), or by the owner.
fn assert_rights(name: &str, sid: &str, are_written: bool, low: &str) {
    let lanes = if are_written { "read, write" } else { "read" };
    for (part, may, is_low) in [
        ("", "read", false),
        ("~control-00000001", "read", false),
        ("~roster-00000001", "read, write", true),
        ("~lanes-00000001", lanes, are_written),
    ] {
        let (found, label) = rights(&section(&format!("{name}{part}")), sid);
        assert_eq!(found, may, "{part}");
        assert_eq!(
            is_low && label == low,
            is_low && !low.is_empty(),
            "{part}: {label}"
        );
    }
    let event = format!("{name}~wake-3ff-{:x}-1", std::process::id());
    let (found, label) = rights(&Event::open(event).unwrap().info(), sid);
    assert_eq!((found.as_str(), label == low), ("set", !low.is_empty()));
    let alive = Mutex::open(format!("{name}~alive-00000001")).unwrap();
    assert_eq!(rights(&alive.info(), sid).0, "take");
}

// layout: L020 L223 L226 L227 L272 L274
#[test]
fn segment_objects_give_the_documented_rights() {
    let _watchdog = watchdog();
    let group = (Access::Group(other().to_string()), other(), "");
    let containers = (Access::AppContainer, APP_CONTAINERS, "(ML;;NW;;;LW)");
    for (access, sid, low) in [group, containers] {
        let name = unique("group");
        let queue = Receiver::options()
            .access(access.clone())
            .create(&*name)
            .unwrap();
        assert_rights(&name, sid, true, low);
        drop(queue);
        let name = unique("group");
        let _topic = Publisher::options().access(access).create(&*name).unwrap();
        assert_rights(&name, sid, false, low);
    }
}

// layout: L223
#[test]
fn plain_objects_give_the_documented_rights() {
    for (access, sid) in [
        (Access::Group(other().to_string()), other()),
        (Access::AppContainer, APP_CONTAINERS),
    ] {
        let sections = Section::options().access(access.clone());
        let section = sections.create_new(unique("group"), 1).unwrap();
        let events = Event::options().access(access.clone());
        let event = events.create_new(unique("group"), Reset::Auto).unwrap();
        let mutexes = Mutex::options().access(access);
        let mutex = mutexes.create_new(unique("group")).unwrap();
        let infos = [section.info().unwrap().object, event.info(), mutex.info()];
        for (info, may) in infos.iter().zip(["read, write", "wait, set", "take"]) {
            assert_eq!(rights(info, sid).0, may);
            assert!(info.owner.as_ref().unwrap().contains(&my_sid()));
            assert_eq!(info.grants.len(), 2, "{:?}", info.grants);
        }
    }
}

// layout: L024 L273
#[test]
fn group_name_and_sid_are_one_access() {
    let _watchdog = watchdog();
    let name = unique("group");
    let by_sid: Access = "group:S-1-5-18".parse().unwrap();
    let by_name: Access = "group:SYSTEM".parse().unwrap();
    let first = Receiver::options().access(by_sid).create(&*name).unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    drop(first);
    let mut second = Receiver::options().access(by_name).create(&*name).unwrap();
    sender.send(b"again").unwrap();
    assert_eq!(second.recv().unwrap(), b"again");

    for wrong in ["shmkit-no-such-group", "S-1-5-18)(A;;GA;;;WD", "S-1-"] {
        let options = Receiver::options().access(Access::Group(wrong.into()));
        let said = refused(ErrorKind::InvalidArgument, options.create(unique("group")));
        assert!(said.contains(wrong), "{said}");
    }
}

/// A program in an AppContainer has low integrity. NT's rules simulate the integrity, and not the
/// AppContainer.
// layout: L274
#[test]
fn low_program_sends_with_app_container_access() {
    let _watchdog = watchdog();
    if !nt_rules() {
        println!("skipped: only NT's rules simulate low integrity");
        return;
    }
    for (access, said) in [
        (Access::AppContainer, "sent"),
        (Access::SameUser, "AccessDenied"),
    ] {
        let name = unique("low");
        let mut receiver = Receiver::options().access(access).create(&*name).unwrap();
        let mut child = TestChild::spawn_with("group/send", &[&name], |command| {
            command.env("SHMKIT_NT_RULES", "low");
        });
        child.expect(said);
        if said == "sent" {
            assert_eq!(receiver.recv().unwrap(), b"from below");
        }
        assert!(child.finish().success());
    }
}
