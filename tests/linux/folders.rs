//! Another folder than `/dev/shm`, which the variable SHMKIT_DIR names.

use crate::common::{Test, TestChild, hear, say, start};
use shmkit::{Access, Publisher, Receiver, Section, Sender};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
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
        "group" => {
            let gid = fs::metadata("/proc/self").unwrap().gid();
            let options = Section::options().access(Access::Group(gid.to_string()));
            let _section = options.create_new(format!("Global\\{name}"), 1).unwrap();
            let path = shmkit::inspect::folder().unwrap().path;
            let path = path.join(format!("shmkit.global.{name}"));
            let meta = fs::metadata(&path).unwrap();
            let listed = has_list(&path);
            say(&format!(
                "{:o} {} {listed}",
                meta.mode() & 0o7777,
                meta.gid() == gid
            ));
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

fn as_c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// Returns whether a file has a list of accounts (acl(5)).
fn has_list(path: &Path) -> bool {
    let (path, name) = (as_c(path), c"system.posix_acl_access");
    // SAFETY: two NUL-terminated texts, and no place for an answer.
    unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}

/// Gives a folder the list of accounts that its new files get: the user 64003 may do everything.
fn give_default_list(path: &Path) -> bool {
    const VERSION: u32 = 2;
    const NONE: u32 = u32::MAX;
    let (user_obj, user, group_obj, mask, other) = (1, 2, 4, 0x10, 0x20_u16);
    let mut list = VERSION.to_le_bytes().to_vec();
    for (tag, rights, id) in [
        (user_obj, 7, NONE),
        (user, 7, 64003_u32),
        (group_obj, 5_u16, NONE),
        (mask, 7, NONE),
        (other, 0, NONE),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let (path, name) = (as_c(path), c"system.posix_acl_default");
    let (at, len) = (list.as_ptr().cast(), list.len());
    // SAFETY: two NUL-terminated texts, and a value with its length.
    unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), at, len, 0) == 0 }
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

/// The files of a folder may get another group, and a list of accounts to which the rights of the
/// group would apply.
// layout: L271
#[test]
fn folder_gives_group_files_no_other_rights() {
    let (mut test, name) = start("folders-group");
    let folder = Folder::new(&name);
    // SAFETY: a path that ends with NUL. Only root may do this; another user tests the rest.
    unsafe { libc::chown(as_c(&folder.0).as_ptr(), u32::MAX, 64010) };
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o2700)).unwrap();
    if !give_default_list(&folder.0) {
        println!("skipped: this file system has no lists of accounts");
        return;
    }
    let mut creator = child(&mut test, "group", &name, &folder.0);
    creator.expect("660 true false");
    assert!(creator.finish().success());
}
