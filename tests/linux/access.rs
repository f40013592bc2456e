//! Access for another user, for a forked child and from another namespace, and hostile files. On
//! Linux access is the mode of a file, and a mutex is a word in a file.

use crate::common::{TestChild, hear, me, nobody, say, start};
use shmkit::{
    Access, ErrorKind as Kind, Event, Liveness, Locked, Mutex, Owner, Process, ProcessIdentity,
    Reset, Section, Wake,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const TEXT: &[u8] = b"Message from first process.";
const SOON: Duration = Duration::from_millis(50);
const ROUNDS: usize = 100;

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    match role {
        "publish" => publish(args[0]),
        "look" => look(args[0]),
        "refuse" => refuse(args[0]),
        "wait" => wait(args[0]),
        "storm" => storm(args[0]),
        "fork" => fork(args[0]),
        "elsewhere" => elsewhere(args[0]),
        "starve" => starve(args[0]),
        "leave" => leave(args[0]),
        other => panic!("no role {other}"),
    }
}

/// Returns the names of two events and a mutex beside a section.
fn beside(name: &str) -> [String; 3] {
    ["manual", "auto", "mutex"].map(|kind| format!("{name}.{kind}"))
}

#[track_caller]
fn refused<T>(kind: Kind, result: shmkit::Result<T>) -> String {
    let error = result.err().expect("it must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    error.to_string()
}

fn read(section: &Section) -> Vec<u8> {
    let mut found = vec![0; TEXT.len()];
    section.read_at(0, &mut found).unwrap();
    found
}

struct Published {
    _section: Section,
    manual: Event,
    _auto: Event,
    _mutex: Mutex,
}

fn published(name: &str, access: &Access) -> Published {
    let [manual, auto, mutex] = beside(name);
    let options = Event::options().access(access.clone());
    let section = Section::options()
        .access(access.clone())
        .create_new(name, 4096)
        .unwrap();
    section.map_rw(..).unwrap().write(0, TEXT).unwrap();
    Published {
        _section: section,
        manual: options.create_new(manual.as_str(), Reset::Manual).unwrap(),
        _auto: options.create_new(auto.as_str(), Reset::Auto).unwrap(),
        _mutex: Mutex::options()
            .access(access.clone())
            .create_new(mutex.as_str())
            .unwrap(),
    }
}

fn publish(name: &str) {
    let _published = published(name, &Access::UsersReadOnly);
    let alive = format!("{name}.alive");
    let _alive = Liveness::announce(alive.as_str(), Access::UsersReadOnly).unwrap();
    say("published");
    while hear().is_some() {}
}

/// As another user: reads in every way, and can do nothing else.
fn look(name: &str) {
    let [manual, auto, mutex] = beside(name);
    let section = Section::open(name).unwrap();
    assert_eq!(read(&section), TEXT);
    refused(Kind::AccessDenied, Section::open_rw(name));
    refused(Kind::ReadOnly, section.map_rw(..));
    let taken = refused(Kind::AlreadyExists, Section::create_new(name, 1));
    assert!(taken.contains("root (uid 0)"), "{taken}");
    let owner = |account: &str| Owner::Account(account.into());
    for account in ["root", "0"] {
        let expected = Section::options().expect_owner(owner(account));
        expected.open(name).unwrap();
    }
    let squatted = Section::options().expect_owner(Owner::Me).open(name);
    assert!(refused(Kind::WrongOwner, squatted).contains("root (uid 0)"));

    let event = Event::open(manual.as_str()).unwrap();
    assert!(!event.is_writable());
    refused(Kind::ReadOnly, event.set());
    refused(Kind::AccessDenied, Event::open_rw(manual.as_str()));
    let auto = Event::open(auto.as_str()).unwrap();
    assert_eq!(auto.is_set(), Some(false));
    let denied = refused(Kind::AccessDenied, auto.try_wait());
    assert!(denied.contains("auto-reset"), "{denied}");
    let mutex = Mutex::open(mutex.as_str()).unwrap();
    assert_eq!(mutex.owner(), None);
    refused(Kind::AccessDenied, mutex.lock());
    say("waiting");
    event.wait().unwrap();
    say("woken");
}

#[test]
#[ignore = "needs root"]
fn readonly_preset_lets_other_users_only_read() {
    let (mut test, name) = start("preset");
    let name = format!("Global\\{name}");
    for access in [Access::UsersReadOnly, Access::InteractiveReadOnly] {
        let published = published(&name, &access);
        let info = published.manual.info();
        assert_eq!(info.access.as_deref(), Some("mode 0644"));
        let grants: Vec<_> = info.grants.iter().map(|g| g.may.as_str()).collect();
        assert_eq!(grants, ["read and write", "read", "read"]);
        let mut child = nobody(&mut test, "access/look", &[&name]);
        child.expect("waiting");
        published.manual.set().unwrap();
        child.expect("woken");
        assert!(child.finish().success());
    }
}

/// As another user: can do nothing.
fn refuse(name: &str) {
    let [manual, _, mutex] = beside(name);
    let mut said = vec![
        refused(Kind::AccessDenied, Section::open(name)),
        refused(Kind::AccessDenied, Event::open(manual.as_str())),
        refused(Kind::AccessDenied, Mutex::open(mutex.as_str())),
    ];
    let created = Event::create_new(manual.as_str(), Reset::Auto);
    said.push(refused(Kind::AlreadyExists, created));
    assert!(said.iter().all(|s| s.contains("root (uid 0)")), "{said:?}");
    say("refused");
}

#[test]
#[ignore = "needs root"]
fn same_user_access_refuses_others_naming_owner() {
    let (mut test, name) = start("same-user");
    let name = format!("Global\\{name}");
    let _published = published(&name, &Access::SameUser);
    nobody(&mut test, "access/refuse", &[&name]).expect("refused");
}

/// As another user: waits for the death of a process that it may not signal.
fn wait(name: &str) {
    let alive = format!("{name}.alive");
    let publisher = Process::by_liveness(alive.as_str()).unwrap();
    let event = Event::open(beside(name)[0].as_str()).unwrap();
    assert!(!publisher.has_ended().unwrap());
    say("waiting");
    assert_eq!(
        event.wait_or_death(&publisher, None).unwrap(),
        Wake::PeerDied
    );
    say("died");
}

#[test]
#[ignore = "needs root"]
fn liveness_mutex_reports_death_to_another_user() {
    let (mut test, name) = start("liveness");
    let name = format!("Global\\{name}");
    let mut publisher = test.child("access/publish", &[&name]);
    publisher.expect("published");
    let mut waiter = nobody(&mut test, "access/wait", &[&name]);
    waiter.expect("waiting");
    publisher.kill();
    waiter.expect("died");
}

/// As another user: opens a section again and again, and says how often it was found after its last
/// holder ended.
fn storm(name: &str) {
    let open = || Section::open(name).is_ok();
    assert!(open());
    say("open");
    while hear().as_deref() == Some("again") {
        let found = (0..ROUNDS).filter(|_| open()).count();
        say(&format!("found {found}"));
    }
}

/// None of these users may remove the stale file, so each finds it again. None of them may take the
/// others for holders.
// layout: L198
#[test]
#[ignore = "needs root"]
fn stale_section_stays_absent_during_concurrent_opens() {
    let (mut test, name) = start("dead");
    let name = format!("Global\\{name}");
    let mut publisher = test.child("access/publish", &[&name]);
    publisher.expect("published");
    let mut storms: Vec<TestChild> = (0..4)
        .map(|_| nobody(&mut test, "access/storm", &[&name]))
        .collect();
    storms.iter_mut().for_each(|child| child.expect("open"));
    // Other programs of root remove stale files, so the other tests wait meanwhile.
    test.alone(|| {
        publisher.kill();
        for _ in 0..10 {
            storms.iter_mut().for_each(|child| child.tell("again"));
            storms.iter_mut().for_each(|child| child.expect("found 0"));
        }
    });
}

fn file(name: &str) -> PathBuf {
    format!("/dev/shm/shmkit.local.{}.{name}", me()).into()
}

/// Overwrites the words of an object, as any program of this user could.
fn scribble(name: &str, at: usize, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new().write(true).open(file(name)).unwrap();
    file.write_all_at(bytes, at as u64).unwrap();
}

#[test]
fn corrupt_event_or_mutex_word_never_hangs() {
    let (_test, name) = start("scribble");
    let event = Event::create_new(name.as_str(), Reset::Manual).unwrap();
    for word in [u32::MAX, 2, 1 << 31, 0] {
        scribble(&name, 64, &word.to_le_bytes());
        event.wait_timeout(SOON).unwrap();
        event.set().unwrap();
        assert!(event.try_wait().unwrap());
        event.reset().unwrap();
    }
    drop(event);
    let mutex = Mutex::create_new(name.as_str()).unwrap();
    // Threads that do not exist, a thread of another process, and marks without an owner.
    for state in [u64::MAX, 1, 0x3fff_ffff, 3 << 30, 1 << 31, 1 << 30, 1 << 40] {
        scribble(&name, 64, &state.to_le_bytes());
        let locked = mutex.lock_timeout(Duration::from_secs(10)).unwrap();
        drop(locked.unwrap_or_else(|| panic!("the mutex has no owner: {state:#x}")));
        assert!(
            matches!(mutex.lock().unwrap(), Locked::Clean(_)),
            "{state:#x}"
        );
    }
}

#[test]
fn invalid_object_file_is_wrong_kind() {
    let (_test, name) = start("odd");
    let path = file(&name);
    for content in [&b""[..], b"short", &[0; 128], b"shmk\x01\0\0\0\0\0\0\0"] {
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1600)).unwrap();
        let held = fs::File::open(&path).unwrap();
        // SAFETY: an open descriptor.
        let locked = unsafe { libc::flock(std::os::fd::AsRawFd::as_raw_fd(&held), libc::LOCK_SH) };
        assert_eq!(locked, 0);
        refused(Kind::WrongKind, Section::open(name.as_str()));
        refused(Kind::WrongKind, Event::open(name.as_str()));
        refused(Kind::WrongKind, Mutex::open(name.as_str()));
        refused(Kind::WrongKind, Mutex::create_new(name.as_str()));
        fs::remove_file(&path).unwrap();
    }
}

/// Forks a child, which has no watcher thread, and waits in it for the death of its parent.
fn fork(name: &str) {
    let event = Event::open_rw(name).unwrap();
    let parent = ProcessIdentity::current().unwrap().watch().unwrap();
    // This wait starts the watcher thread of this process.
    assert_eq!(
        event.wait_or_death(&parent, Some(SOON)).unwrap(),
        Wake::TimedOut
    );
    let mutex = Mutex::open(format!("{name}.mutex").as_str()).unwrap();
    let guard = mutex.lock().unwrap();
    // SAFETY: the child only waits, says what it found, and exits.
    match unsafe { libc::fork() } {
        0 => {
            // The thread of the parent has the mutex, and the thread of the child does not.
            assert!(mutex.lock_timeout(SOON).unwrap().is_none());
            say("waiting");
            let died = event.wait_or_death(&parent, None).unwrap() == Wake::PeerDied;
            let abandoned = mutex.lock().unwrap().is_abandoned();
            say(&format!("child: {died} {abandoned}"));
            std::process::exit(0);
        }
        _ => {
            while hear().is_some() {}
            drop(guard);
        }
    }
}

/// Forks a child, which ends while its parent has the mutex.
fn leave(name: &str) {
    let mutex = Mutex::open(name).unwrap();
    let _guard = mutex.lock().unwrap();
    // SAFETY: the child only ends, as programs do.
    match unsafe { libc::fork() } {
        0 => std::process::exit(0),
        child => {
            // SAFETY: waits for that child.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
    }
    assert_eq!(mutex.owner(), Some(std::process::id()));
    say("still ours");
    while hear().is_some() {}
}

#[test]
fn forked_child_exit_keeps_parent_mutex_locked() {
    let (mut test, name) = start("leave");
    let mutex = Mutex::create_new(name.as_str()).unwrap();
    let mut parent = test.child("access/leave", &[&name]);
    parent.expect("still ours");
    assert!(mutex.try_lock().unwrap().is_none());
    parent.kill();
    assert!(mutex.lock().unwrap().is_abandoned());
}

#[test]
fn forked_child_notices_parent_death_and_abandonment() {
    let (mut test, name) = start("fork");
    let _event = Event::create_new(name.as_str(), Reset::Auto).unwrap();
    let _mutex = Mutex::create_new(format!("{name}.mutex").as_str()).unwrap();
    let mut parent = test.child("access/fork", &[&name]);
    parent.expect("waiting");
    parent.kill_and_hear("child: true true");
}

/// In another pid or time namespace: cannot watch or lock anything of the test.
fn elsewhere(name: &str) {
    let words: Vec<u64> = name
        .split(' ')
        .skip(1)
        .map(|w| w.parse().unwrap())
        .collect();
    let name = name.split(' ').next().unwrap();
    let outside = ProcessIdentity::from_words([words[0], words[1]]);
    refused(Kind::Unsupported, outside.watch());
    let mutex = Mutex::open(name).unwrap();
    let said = refused(Kind::Unsupported, mutex.try_lock());
    assert!(said.contains("namespace"), "{said}");
    refused(Kind::Unsupported, Process::by_liveness(name));
    say("refused");
}

// layout: L214 L215
#[test]
fn objects_from_another_namespace_are_unsupported() {
    let (mut test, name) = start("namespace");
    let mutex = Mutex::create_new(name.as_str()).unwrap();
    let _guard = mutex.lock().unwrap();
    let [start, pid] = ProcessIdentity::current().unwrap().to_words();
    let args = format!("{name} {start} {pid}");
    for how in [
        &["--pid", "--fork"][..],
        &["--pid", "--fork", "--mount-proc"],
        &["--time", "--boottime", "1000"],
    ] {
        let can = Command::new("unshare")
            .args(how)
            .arg("true")
            .stderr(Stdio::null())
            .status();
        if !can.is_ok_and(|status| status.success()) {
            println!("skipped: unshare cannot {how:?} here");
            continue;
        }
        let mut child = test.spawning(|| {
            TestChild::spawn_with("access/elsewhere", &[&args], |command| {
                let mut inside = Command::new("unshare");
                inside.args(how);
                inside.arg(command.get_program()).args(command.get_args());
                inside.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
                inside.stdin(Stdio::piped()).stdout(Stdio::piped());
                *command = inside;
            })
        });
        child.expect("refused");
    }
}

/// Tries to lock a mutex while all descriptors are in use, so that it cannot read `/proc`.
fn starve(name: &str) {
    let mutex = Mutex::open(name).unwrap();
    let mut all = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        all.push(file);
    }
    let tried = mutex.try_lock().map(|locked| locked.is_some());
    let waited = mutex.lock_timeout(SOON).map(|locked| locked.is_some());
    drop(all);
    assert!(!tried.unwrap_or(false) && !waited.unwrap_or(false));
    say("not taken");
}

// layout: L080
#[test]
fn mutex_stays_owned_when_proc_is_unreadable() {
    let (mut test, name) = start("starve");
    let mutex = Mutex::create_new(name.as_str()).unwrap();
    let _guard = mutex.lock().unwrap();
    test.child("access/starve", &[&name]).expect("not taken");
    assert_eq!(mutex.owner(), Some(std::process::id()));
}

#[test]
fn clean_unlinks_and_lists_only_stale_files() {
    let (mut test, name) = start("clean");
    test.alone(|| {
        let dead = file(&name);
        fs::write(&dead, TEXT).unwrap();
        let _living = Section::create_new(format!("{name}.living").as_str(), 1).unwrap();
        // A create sweeps at most once a second, and may have removed the file already.
        let gone = !dead.exists();
        let cleaned = shmkit::inspect::clean().unwrap();
        assert!(
            gone || cleaned.contains(&format!("Local\\{name}")),
            "{cleaned:?}"
        );
        assert!(!dead.exists());
        assert!(file(&format!("{name}.living")).exists());
    });
}
