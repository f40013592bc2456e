//! Holders of a section on Linux, and what is no holder: descriptors that did not come from the
//! library, names that look like those of the library, and tools that only list.

use crate::common::{eventually, hear, say, start};
use shmkit::{Error, ErrorKind as Kind, Section};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

const TEXT: &str = "Message from first process.";

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    match role {
        "serve" => {
            let _section = with_text(args[0]);
            say("serving");
            while hear().is_some() {}
        }
        "list" => {
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Acquire) {
                        shmkit::inspect::list().unwrap();
                    }
                });
                say("listing");
                while hear().is_some() {}
                stop.store(true, Ordering::Release);
            });
        }
        other => panic!("no role {other}"),
    }
}

#[track_caller]
fn refused<T>(kind: Kind, result: shmkit::Result<T>) -> Error {
    let error = result.err().expect("it must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    error
}

fn with_text(name: &str) -> Section {
    let section = Section::create_new(name, 4096).unwrap();
    section
        .map_rw(..)
        .unwrap()
        .write(0, TEXT.as_bytes())
        .unwrap();
    section
}

fn text(section: &Section) -> String {
    let mut bytes = [0; TEXT.len()];
    section.read_at(0, &mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn local(name: &str) -> PathBuf {
    let uid = fs::metadata("/proc/self").unwrap().uid();
    format!("/dev/shm/shmkit.local.{uid}.{name}").into()
}

/// A descriptor that was opened by the path of a section makes a holder too.
#[test]
fn section_from_descriptor_counts_as_holder() {
    let (_test, name) = start("elsewhere");
    let section = with_text(&name);
    let path = section.info().unwrap().object.path.unwrap();
    let file = fs::File::open(path).unwrap();
    let other = Section::from_owned(file.into()).unwrap();
    drop(section);
    assert_eq!(other.name().unwrap().base(), name);
    assert_eq!(text(&Section::open(&name).unwrap()), TEXT);
    drop(other);
    refused(Kind::NotFound, Section::open(&name));
}

#[test]
fn unreadable_or_unmappable_descriptor_is_refused() {
    let (_test, name) = start("unfit");
    let _section = with_text(&name);
    let blind = fs::File::options().write(true).open(local(&name)).unwrap();
    refused(Kind::InvalidArgument, Section::from_owned(blind.into()));
    let folder = fs::File::open("/dev/shm").unwrap();
    refused(Kind::WrongKind, Section::from_owned(folder.into()));
}

#[test]
fn alias_is_refused_and_foreign_file_kept() {
    let (mut test, name) = start("alias");
    let _section = with_text(&name);
    let file = local(&name);
    let alias = format!("/{}", file.file_name().unwrap().to_str().unwrap());
    let error = refused(Kind::InvalidName, Section::open(&alias));
    assert!(error.advice().contains("Global"), "{error}");

    let foreign = PathBuf::from(format!("/dev/shm/shmkit.{name}"));
    fs::write(&foreign, "not ours").unwrap();
    let mut child = test.child("holders/serve", &[&format!("{name}-2")]);
    child.hear();
    let kept = foreign.exists();
    fs::remove_file(&foreign).unwrap();
    assert!(
        kept,
        "a create sweeps stale files of the library, and nothing else"
    );
}

/// A list that reads a stale file must not become a holder of the file.
#[test]
fn stale_section_stays_absent_during_list() {
    let (mut test, name) = start("lists");
    let mut listers = [
        test.child("holders/list", &[""]),
        test.child("holders/list", &[""]),
    ];
    for lister in &mut listers {
        lister.expect("listing");
    }
    for _ in 0..100 {
        let mut server = test.child("holders/serve", &[&name]);
        server.hear();
        server.kill();
        refused(Kind::NotFound, Section::open(&name));
    }
    for lister in listers {
        assert!(lister.finish().success());
    }
}

#[test]
fn creator_sees_length_of_truncated_file() {
    let (_test, name) = start("shrunk");
    let path = std::env::temp_dir().join(&name);
    let section = Section::options().create_new_file(&path, 8192).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(100).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(section.len().unwrap(), 100);
    refused(Kind::OutOfBounds, section.map(4096..8192));
    refused(Kind::OutOfBounds, section.read_at(50, &mut [0; 100]));
    section.commit(..).unwrap();
    assert_eq!(section.len().unwrap(), 100, "a commit grows no file");
}

/// A child that is being started has copies of all descriptors for a moment.
#[test]
fn name_is_recreatable_while_children_start() {
    let (_test, name) = start("busy");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                std::process::Command::new("true").status().unwrap();
            }
        });
        for _ in 0..300 {
            drop(Section::create_new(&name, 4096).unwrap());
        }
        stop.store(true, Ordering::Release);
    });
    eventually("the name has no holder", || Section::open(&name).is_err());
}
