//! A section on Linux is a file in `/dev/shm` that exists as long as it has holders. These tests
//! show that, and the effects of other programs, other users and a full disk.

mod posix;

use crate::common::{NOBODY, TestChild, eventually, gone, hear, me, nobody, say, start, unique};
use shmkit::inspect::Backing;
use shmkit::{
    Client, Error, ErrorKind as Kind, Name, Receiver, RecvError, Section, Sender, Server,
};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const TEXT: &str = "Message from first process.";
const MIB: u64 = 1 << 20;

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    match role {
        "create" => {
            let _section = with_text(args[0]);
            say("created");
            hold();
        }
        "try" => try_all(args[0]),
        "umask" => umask(args[0], args[1]),
        "fork" => fork_and_close(args[0]),
        "full" => full(args[0]),
        "idle" => hold(),
        other => panic!("no role {other}"),
    }
}

fn hold() {
    while hear().is_some() {}
}

/// Opens and creates a section, and says the result of each call.
fn try_all(name: &str) {
    for result in [
        Section::open(name),
        Section::open_rw(name),
        Section::create_new(name, 4096),
    ] {
        say(&match result {
            Ok(_) => "Ok".to_string(),
            Err(error) => format!("{:?}: {error}", error.kind()),
        });
    }
}

fn umask(name: &str, mask: &str) {
    let mask = libc::mode_t::from_str_radix(mask, 8).unwrap();
    // SAFETY: the call only sets the mask of this process.
    unsafe { libc::umask(mask) };
    let _section = with_text(name);
    let mode = fs::metadata(local(name)).unwrap().mode();
    say(&format!("{:o}", mode & 0o7777));
}

fn fork_and_close(name: &str) {
    let section = with_text(name);
    let (reader, writer) = std::io::pipe().unwrap();
    let (from, to) = (reader.as_raw_fd(), writer.as_raw_fd());
    let mut byte = 0u8;
    // SAFETY: the child makes system calls only, on descriptors of its own, and
    // never returns: it waits until the parent closes the pipe.
    let child = unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::close(to);
            libc::read(from, (&raw mut byte).cast(), 1);
            libc::_exit(0);
        }
        child
    };
    assert!(child > 0);
    drop(section);
    say("closed");
    hear();
    drop(writer);
    // SAFETY: waits for our own child; no status is asked for.
    let ended = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(ended, child);
    say("ended");
    hold();
}

/// Mounts a `/dev/shm` of 1 MiB that this process alone sees. Returns `false` if the system does
/// not allow that.
fn tiny_shm() -> bool {
    let (none, shm) = (c"none".as_ptr(), c"/dev/shm".as_ptr());
    let private = libc::MS_REC | libc::MS_PRIVATE;
    let size = c"size=1m".as_ptr().cast();
    let null = std::ptr::null();
    // SAFETY: NUL-terminated strings, and null where none is needed; the calls change
    // the mounts of this thread's own namespace only.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(none, c"/".as_ptr(), null, private, null.cast()) == 0
            && libc::mount(none, shm, c"tmpfs".as_ptr(), 0, size) == 0
    }
}

fn full(name: &str) {
    if !tiny_shm() {
        return say("no namespace");
    }
    let error = refused(Kind::NoSpace, Section::create_new(name, 2 * MIB));
    assert!(
        error.advice().contains("enlarge the file system"),
        "{error}"
    );
    let sizes = "2097152 bytes were asked for, and 1048576 of 1048576 bytes are free";
    assert!(error.meaning().contains(sizes), "{error}");
    assert_eq!(fs::read_dir("/dev/shm").unwrap().count(), 0);

    let small = Section::create_new(name, MIB / 2).unwrap();
    put(&small, TEXT);
    // The error of a taken name comes first, although the file system is full.
    refused(Kind::AlreadyExists, Section::create_new(name, 2 * MIB));
    drop(small);

    let reserved = reserve(name, 2 * MIB);
    let error = refused(Kind::NoSpace, reserved.commit(..));
    assert!(
        error.meaning().contains("2097152 bytes were asked for"),
        "{error}"
    );
    reserved.commit(0..MIB / 2).unwrap();
    put(&reserved, TEXT);
    assert_eq!(text(&Section::open(name).unwrap()), TEXT);
    // There is no space for all pages, and `prefault` must succeed for committed pages only.
    if let Err(error) = reserved.map_rw(..).unwrap().prefault() {
        assert_eq!(error.kind(), Kind::NoSpace, "{error}");
    }
    drop(reserved);
    join_a_full_file_system(name);
    say("done");
}

/// A sender or a client that gets no memory for its lane is refused, and nobody else notices.
// layout: L253 L259
fn join_a_full_file_system(name: &str) {
    let options = Receiver::options().capacity(MIB / 4).senders(8);
    let mut receiver = options.create(name).unwrap();
    let mut senders = vec![Sender::open(name).unwrap()];
    let error = loop {
        match Sender::open(name) {
            Ok(sender) => senders.push(sender),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), Kind::NoSpace, "{error}");
    assert!(error.meaning().contains("262656 bytes were asked for"));
    assert_eq!(
        senders.len(),
        3,
        "the ownership record, control and the roster take some memory"
    );

    let message = vec![7; 60_000];
    for n in 0..100 {
        senders[n % 3].send(&message).unwrap();
        assert_eq!(receiver.recv().unwrap(), message);
    }
    // The lanes keep their memory for the next senders.
    senders.clear();
    let mut next = [0, 1, 2].map(|_| Sender::open(name).unwrap());
    next[2].send(TEXT.as_bytes()).unwrap();
    assert_eq!(receiver.recv().unwrap(), TEXT.as_bytes());
    refused(Kind::NoSpace, Sender::open(name));
    // The receiver does not notice the sender that was refused.
    assert!(matches!(receiver.try_recv(), Err(RecvError::Empty)));
    let soon = std::time::Duration::from_millis(20);
    let nothing = receiver.recv_timeout(soon);
    assert!(matches!(nothing, Err(RecvError::Timeout)), "{nothing:?}");
    drop((receiver, next));

    let options = Server::options().max_message(10_000).in_flight(2);
    let mut server = options.clients(9).create(name).unwrap();
    let clients: Vec<Client> = std::iter::from_fn(|| Client::open(name).ok()).collect();
    assert!((1..9).contains(&clients.len()));
    for mut client in clients {
        let call = client.send(TEXT.as_bytes()).unwrap();
        server.recv().unwrap().respond(&message[..10_000]).unwrap();
        assert_eq!(client.recv(&call).unwrap(), &message[..10_000]);
    }
}

#[track_caller]
fn refused<T>(kind: Kind, result: shmkit::Result<T>) -> Error {
    let error = result.err().expect("it must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    error
}

#[track_caller]
fn assert_gone(name: &str) {
    gone(|| Section::open(name));
}

fn with_text(name: &str) -> Section {
    let section = Section::create_new(name, 4096).unwrap();
    put(&section, TEXT);
    section
}

fn reserve(name: &str, len: u64) -> Section {
    let options = Section::options().reserve(true);
    options.create_new(name, len).unwrap()
}

fn put(section: &Section, text: &str) {
    let view = section.map_rw(..text.len() as u64).unwrap();
    view.write(0, text.as_bytes()).unwrap();
}

fn text(section: &Section) -> String {
    let mut found = [0; TEXT.len()];
    section.read_at(0, &mut found).unwrap();
    String::from_utf8(found.into()).unwrap()
}

fn shm(file: &str) -> PathBuf {
    Path::new("/dev/shm").join(file)
}

fn local_of(uid: u32, name: &str) -> PathBuf {
    shm(&format!("shmkit.local.{uid}.{name}"))
}

fn local(name: &str) -> PathBuf {
    local_of(me(), name)
}

fn global(name: &str) -> PathBuf {
    shm(&format!("shmkit.global.{name}"))
}

/// An entry of `/dev/shm` that this test made without the library, and removes. As long as the
/// descriptor is open, the entry has a holder, and no process sweeps it.
struct ByHand(PathBuf, Option<fs::File>);

impl ByHand {
    fn file(path: PathBuf, content: &[u8]) -> ByHand {
        fs::write(&path, content).unwrap();
        ByHand(path, None)
    }

    /// Makes a held file that has this owner and mode from its first moment on.
    fn owned(path: PathBuf, uid: u32, mode: u32) -> ByHand {
        let hidden = shm(&unique("hidden"));
        fs::write(&hidden, TEXT).unwrap();
        fs::set_permissions(&hidden, fs::Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&hidden, Some(uid), Some(uid)).unwrap();
        let file = fs::File::open(&hidden).unwrap();
        assert!(lock(&file, libc::LOCK_SH));
        fs::rename(&hidden, &path).unwrap();
        ByHand(path, Some(file))
    }
}

fn lock(file: &fs::File, how: libc::c_int) -> bool {
    // SAFETY: an open descriptor.
    unsafe { libc::flock(file.as_raw_fd(), how | libc::LOCK_NB) == 0 }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_dir(&self.0);
    }
}

// layout: L187 L188 L200
#[test]
fn section_name_maps_to_encoded_file_path() {
    let (_test, name) = start("file");
    let (uid, slashes) = (me(), format!("{name}/a%b/é$"));
    let encoded = slashes.replace('%', "%25").replace('/', "%2F");
    for (written, path) in [
        (name.clone(), local(&name)),
        (format!("Local\\{name}"), local(&name)),
        (format!("Global\\{name}"), global(&name)),
        (slashes.clone(), local(&encoded)),
        (format!("Global\\{slashes}"), global(&encoded)),
    ] {
        let section = with_text(&written);
        assert!(fs::read(&path).unwrap().starts_with(TEXT.as_bytes()));
        let there = fs::symlink_metadata(&path).unwrap();
        assert!(there.is_file());
        assert_eq!(
            (there.len(), there.uid(), there.mode() & 0o7777),
            (4096, uid, 0o600)
        );
        let opened = Section::open(&written).unwrap();
        let info = opened.info().unwrap();
        assert_eq!(info.object.path.as_deref(), path.to_str());
        assert_eq!(info.object.access.as_deref(), Some("mode 0600"));
        assert!(info.object.owner.unwrap().contains(&format!("uid {uid}")));
        assert_eq!(info.backing, Some(Backing::Memory));
        let path_of_creator = section.info().unwrap().object.path;
        drop((section, opened));
        eventually("the file is removed with the section", || !path.exists());
        assert_eq!(path_of_creator.as_deref(), path.to_str());
    }
}

// layout: L192
#[test]
fn creator_and_opener_see_requested_length() {
    let (_test, name) = start("length");
    for len in [1, 256, 4097] {
        let section = Section::create_new(&name, len).unwrap();
        let opened = Section::open(&name).unwrap();
        assert_eq!(opened.len().unwrap(), len);
        assert_eq!(opened.map(..).unwrap().len() as u64, len);
        assert_eq!(section.info().unwrap().kernel_len, len);
        refused(Kind::OutOfBounds, opened.map(..=len));
    }
}

// layout: L189
#[test]
fn longest_name_fits_file_name_limit() {
    let (_test, name) = start("longest");
    for prefix in ["", "Global\\"] {
        let fill = |units: usize| format!("{:x<units$}", format!("{prefix}{name}"));
        let too_long = |n: &usize| Section::create_new(fill(*n), 1).is_err();
        let limit = (150..=Name::MAX_UTF16).find(too_long).unwrap();
        let error = refused(Kind::InvalidName, Section::open(fill(limit)));
        assert_eq!(error.code(), None);
        assert!(error.to_string().contains("limit"), "{error}");
        let longest = with_text(&fill(limit - 1));
        assert_eq!(text(&Section::open(fill(limit - 1)).unwrap()), TEXT);
        let path = longest.info().unwrap().object.path.unwrap();
        assert!(path.strip_prefix("/dev/shm/").unwrap().len() <= 255);
    }
}

#[test]
fn umask_does_not_change_section_mode() {
    let (mut test, name) = start("umask");
    for mask in ["000", "022", "777"] {
        let mut child = test.child("facts/umask", &[&name, mask]);
        child.expect("600");
        assert!(child.finish().success());
    }
}

// layout: L195
#[test]
fn section_appears_with_full_size_and_mode() {
    let (_test, name) = start("whole");
    let (stop, seen) = (AtomicBool::new(false), AtomicU32::new(0));
    let watch = || {
        let path = local(&name);
        while !stop.load(Ordering::Acquire) {
            if let Ok(there) = fs::metadata(&path) {
                assert_eq!((there.len(), there.mode() & 0o7777), (70_001, 0o600));
            }
            if let Ok(section) = Section::open_rw(&name) {
                assert_eq!(section.len().unwrap(), 70_001);
                section.read_at(70_000, &mut [0]).unwrap();
                seen.fetch_add(1, Ordering::Release);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(watch);
        for round in 0..500 {
            let section = with_size(&name, 70_001);
            if round % 10 == 0 {
                let before = seen.load(Ordering::Acquire);
                eventually("it was seen", || seen.load(Ordering::Acquire) > before);
            }
            drop(section);
        }
        stop.store(true, Ordering::Release);
    });
    assert_gone(&name);
}

// layout: L196
#[test]
fn nonregular_file_is_wrong_kind_and_kept() {
    let (mut test, name) = start("kinds");
    let target = ByHand::file(shm(&unique("target")), TEXT.as_bytes());
    for kind in ["link", "folder", "fifo"] {
        let base = format!("{name}-{kind}");
        for (name, path) in [
            (base.clone(), local(&base)),
            (format!("Global\\{base}"), global(&base)),
            (format!("/{base}"), shm(&base)),
        ] {
            match kind {
                "link" => symlink(&target.0, &path).unwrap(),
                "folder" => fs::create_dir(&path).unwrap(),
                _ => make_fifo(&path),
            }
            let made = ByHand(path, None);
            refused(Kind::WrongKind, Section::open(&name));
            refused(Kind::WrongKind, Section::open_rw(&name));
            refused(Kind::WrongKind, Section::open_or_create(&name, 4096));
            if !name.starts_with('/') {
                refused(Kind::WrongKind, Section::create_new(&name, 4096));
            }
            let listed = test.alone(shmkit::inspect::list).unwrap();
            assert!(listed.iter().all(|l| !l.name.contains(&base)), "{name}");
            assert!(fs::symlink_metadata(&made.0).is_ok(), "{name}");
        }
    }
    assert_eq!(fs::read_to_string(&target.0).unwrap(), TEXT);
}

fn make_fifo(path: &Path) {
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a NUL-terminated path.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

#[test]
fn create_in_new_process_sweeps_stale_files() {
    let (mut test, name) = start("dead");
    let other = unique("sweeper");
    for dead in [name.clone(), format!("Global\\{name}")] {
        let mut victim = test.child("facts/create", &[&dead]);
        victim.expect("created");
        let path = Section::open(&dead)
            .unwrap()
            .info()
            .unwrap()
            .object
            .path
            .unwrap();
        victim.kill();
        let mut sweeper = test.child("facts/create", &[&other]);
        sweeper.expect("created");
        assert!(!Path::new(&path).exists());
        assert!(sweeper.finish().success());
    }
}

// layout: L016 L194 L197
#[test]
fn stale_file_counts_as_absent() {
    let (mut test, name) = start("nothing");
    let path = local(&name);
    let dead = || ByHand::file(path.clone(), TEXT.as_bytes());
    let file = dead();
    let listed = test.alone(shmkit::inspect::list).unwrap();
    assert!(listed.iter().all(|l| !l.name.contains(&name)));
    drop(file);
    let file = dead();
    assert_gone(&name);
    drop(file);
    let file = dead();
    let section = Section::create_new(&name, 4096).unwrap();
    assert_eq!(text(&section), "\0".repeat(TEXT.len()));
    drop(section);
    eventually("no file is left", || !file.0.exists());
}

/// Creates a section as soon as its name has no holder.
fn with_size(name: &str, len: u64) -> Section {
    let mut made = None;
    eventually("the name is free", || {
        made = Section::create_new(name, len).ok();
        made.is_some()
    });
    made.unwrap()
}

// layout: L196
#[test]
fn exclusively_locked_file_is_busy() {
    let (_test, name) = start("judged");
    let file = ByHand::owned(local(&name), me(), 0o600);
    // A process that finds a file without a holder takes this lock, and then removes the file.
    assert!(lock(file.1.as_ref().unwrap(), libc::LOCK_EX));
    refused(Kind::Busy, Section::open(&name));
    refused(Kind::Busy, Section::create_new(&name, 1));
    drop(file);
    drop(with_text(&name));
}

// layout: L194 L201
#[test]
fn forked_child_holds_section_after_parent_closes() {
    let (mut test, name) = start("fork");
    let mut child = test.child("facts/fork", &[&name]);
    child.expect("closed");
    // The parent has closed the section, and the forked process still holds the name.
    for _ in 0..2 {
        assert_eq!(text(&Section::open(&name).unwrap()), TEXT);
        refused(Kind::AlreadyExists, Section::create_new(&name, 1));
    }
    child.tell("end");
    child.expect("ended");
    assert_gone(&name);
    drop(with_text(&name));
    assert!(child.finish().success());
    eventually("no file is left", || !local(&name).exists());
}

// layout: L195
#[test]
fn dropped_section_vanishes_while_children_start() {
    let (mut test, stem) = start("starting");
    test.spawning(|| {
        let stop = AtomicBool::new(false);
        let start_children = || {
            while !stop.load(Ordering::Acquire) {
                drop(TestChild::spawn("facts/idle", &[]));
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(start_children);
            for n in 0..200 {
                let name = format!("{stem}-{n}");
                drop(with_text(&name));
                eventually("the name is free", || Section::open(&name).is_err());
                with_size(&name, 1);
            }
            stop.store(true, Ordering::Release);
        });
        shmkit::inspect::list().unwrap();
    });
    let left = fs::read_dir("/dev/shm").unwrap();
    let mut left = left.map(|entry| entry.unwrap().file_name());
    assert!(left.all(|file| !file.to_string_lossy().contains(&stem)));
}

#[test]
fn section_operations_leak_no_descriptors() {
    let (mut test, name) = start("descriptors");
    let fifo = ByHand(local(&(name.clone() + "fifo")), None);
    make_fifo(&fifo.0);
    let work = || {
        let section = with_text(&name);
        let view = Section::open_rw(&name).unwrap().map_rw(..).unwrap();
        refused(Kind::AlreadyExists, Section::create_new(&name, 1));
        refused(Kind::OutOfBounds, Section::open_or_create(&name, MIB));
        refused(Kind::WrongKind, Section::open(&(name.clone() + "fifo")));
        refused(
            Kind::WrongKind,
            Section::create_new(&(name.clone() + "fifo"), 1),
        );
        drop((section, view));
        assert_gone(&name);
        shmkit::inspect::list().unwrap();
    };
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    test.spawning(|| {
        work();
        let before = open();
        (0..50).for_each(|_| work());
        assert_eq!(open(), before);
    });
}

#[test]
fn reserved_section_uses_only_committed_memory() {
    let (_test, name) = start("reserve");
    let section = reserve(&name, 64 * MIB);
    let taken = || fs::metadata(local(&name)).unwrap().blocks() * 512;
    assert_eq!(taken(), 0);
    section.commit(8 * MIB..9 * MIB).unwrap();
    assert_eq!(taken(), MIB);
    section.read_at(0, &mut vec![0; 16 << 20]).unwrap();
    assert_eq!(taken(), MIB, "a read commits nothing");
    let info = Section::open(&name).unwrap().info().unwrap();
    assert_eq!(info.reserved, Some(true));
}

#[test]
fn prefault_commits_covered_pages() {
    let (_test, name) = start("prefault");
    let section = reserve(&name, 64 * MIB);
    section.commit(8 * MIB..9 * MIB).unwrap();
    let taken = || fs::metadata(local(&name)).unwrap().blocks() * 512;
    section.map(8 * MIB..9 * MIB).unwrap().prefault().unwrap();
    assert_eq!(taken(), MIB);
    section
        .map_rw(8 * MIB..10 * MIB)
        .unwrap()
        .prefault()
        .unwrap();
    assert_eq!(taken(), 2 * MIB);
}

// layout: L192
#[test]
#[ignore = "needs root"]
fn full_shm_reports_no_space_without_fault() {
    let (mut test, name) = start("full");
    let mut child = test.child("facts/full", &[&name]);
    match child.hear().as_str() {
        "done" => assert!(child.finish().success()),
        said => println!("skipped: {said}"),
    }
}

// layout: L196
#[test]
#[ignore = "needs root"]
fn squatted_local_name_is_refused() {
    let (mut test, name) = start("squat");
    for mode in [0o666, 0o644, 0o600] {
        let squat = ByHand::owned(local(&name), NOBODY, mode);
        for result in [
            Section::open(&name),
            Section::open_rw(&name),
            Section::create_new(&name, 4096),
        ] {
            let error = refused(Kind::WrongOwner, result);
            assert!(error.to_string().contains("uid 65534"), "{error}");
            assert!(error.advice().contains(squat.0.to_str().unwrap()));
        }
        drop(squat);
        let squat = ByHand::owned(local_of(NOBODY, &name), 0, mode);
        let mut child = nobody(&mut test, "facts/try", &[&name]);
        for way in ["open", "open_rw", "create_new"] {
            let said = child.hear();
            assert!(said.contains("root (uid 0)"), "{mode:o} {way}: {said}");
            assert!(said.starts_with("WrongOwner: "), "{mode:o} {way}: {said}");
        }
        assert!(squat.0.exists());
    }
}

#[test]
#[ignore = "needs root"]
fn denied_section_error_names_its_owner() {
    let (mut test, name) = start("denied");
    let name = format!("Global\\{name}");
    let section = with_text(&name);
    let mut child = nobody(&mut test, "facts/try", &[&name]);
    for kind in ["AccessDenied: ", "AccessDenied: ", "AlreadyExists: "] {
        let said = child.hear();
        assert!(said.starts_with(kind), "{said}");
        assert!(said.contains("root (uid 0)"), "{said}");
    }
    assert_eq!(text(&section), TEXT);
}

// layout: L199
#[test]
#[ignore = "needs root"]
fn stale_file_error_names_other_user() {
    let (mut test, name) = start("leftover");
    let full = format!("Global\\{name}");
    for mode in [0o600, 0o644, 0o666] {
        // A program of root may remove the file at any time; then the test makes another file.
        let [opened, _, created] = loop {
            let mut dead = ByHand::owned(global(&name), NOBODY - 1, mode);
            dead.1 = None;
            let mut child = nobody(&mut test, "facts/try", &[&full]);
            let said = [(); 3].map(|()| child.hear());
            if fs::metadata(&dead.0).is_ok_and(|m| m.uid() == NOBODY - 1) {
                break said;
            }
        };
        assert!(created.contains("uid 65533"), "{mode:o}: {created}");
        // A process cannot find out whether an unreadable file is stale.
        if mode != 0o600 {
            assert!(opened.starts_with("NotFound: "), "{mode:o}: {opened}");
            assert!(created.starts_with("WrongOwner: "), "{mode:o}: {created}");
        }
    }
    // Root may remove the file, and so can create the section.
    let mut dead = ByHand::owned(global(&name), NOBODY, 0o600);
    dead.1 = None;
    drop(with_text(&full));
    eventually("no file is left", || !dead.0.exists());
}

#[test]
#[ignore = "needs root"]
fn newline_in_name_keeps_error_single_line() {
    let (_test, name) = start("break");
    let name = format!("{name}\nX");
    let _squat = ByHand::owned(local(&name), NOBODY, 0o600);
    refused(Kind::WrongOwner, Section::open(&name));
    refused(Kind::WrongOwner, Section::create_new(&name, 1));
}
