//! Another folder than `/dev/shm`, which the variable SHMKIT_DIR names.

use crate::common::{Test, TestChild, hear, say, start};
use shmkit::{Publisher, Receiver, Sender};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    let name = args[0];
    match role {
        "receive" => {
            let mut receiver = Receiver::create(name).unwrap();
            say("ready");
            say(str::from_utf8(receiver.recv().unwrap()).unwrap());
        }
        "send" => {
            let mut sender = Sender::open(name).unwrap();
            say("ready");
            while let Some(line) = hear() {
                sender.send(line.as_bytes()).unwrap();
            }
        }
        "list" => {
            let all = shmkit::inspect::list().unwrap();
            let found = all.iter().filter(|listed| listed.name.contains(name));
            say(&found.count().to_string());
            let doctor = shmkit::inspect::doctor();
            say(&doctor
                .iter()
                .map(|one| &*one.topic)
                .collect::<Vec<_>>()
                .join(" "));
        }
        "refused" => say(&Publisher::create(name).unwrap_err().to_string()),
        other => panic!("no role {other}"),
    }
}

/// A folder for objects, which is removed when this value is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn child(test: &mut Test, role: &str, name: &str, folder: &Path) -> TestChild {
    test.spawning(|| {
        TestChild::spawn_with(&format!("folders/{role}"), &[name], |command| {
            command.env("SHMKIT_DIR", folder);
        })
    })
}

/// One name is two queues in two folders.
// layout: L187 L247
#[test]
fn each_folder_has_its_own_objects() {
    let (mut test, name) = start("folders");
    let folder = Folder::new(&name);
    let mut receiver = Receiver::create(&*name).unwrap();
    let mut there = child(&mut test, "receive", &name, &folder.0);
    there.expect("ready");
    let mut sender = child(&mut test, "send", &name, &folder.0);
    sender.expect("ready");

    let mut here = Sender::open(&*name).unwrap();
    here.send(b"here").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"here");
    // The queue of the other folder has four sections.
    let mut lister = child(&mut test, "list", &name, &folder.0);
    lister.expect("4");
    assert!(lister.hear().contains(folder.0.to_str().unwrap()));
    sender.tell("there");
    there.expect("there");
    assert!(receiver.try_recv().is_err());
    assert!(sender.finish().success() && there.finish().success());
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

// layout: L247
#[test]
fn unusable_folder_error_names_folder_and_reason() {
    let (mut test, name) = start("folders-bad");
    let folder = Folder::new(&name);
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).unwrap();
    for (path, reason) in [
        (&*folder.0, "sticky"),
        (Path::new("relative"), "absolute"),
        (Path::new("/nowhere"), "does not exist"),
    ] {
        let mut refused = child(&mut test, "refused", &name, path);
        let error = refused.hear();
        let named = path.to_str().unwrap();
        assert!(error.contains(named) && error.contains(reason), "{error}");
        assert!(error.contains("SHMKIT_DIR"), "{error}");
    }
}
