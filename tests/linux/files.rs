//! The files of a segment in `/dev/shm`: names, sizes, modes, and the words of events and mutexes,
//! as docs/layout.md says.

use crate::common::{me, refused, start};
use shmkit::ErrorKind::{AlreadyExists, Unsupported};
use shmkit::inspect::segment_info;
use shmkit::{Access, Event, ProcessIdentity, Publisher, Receiver, Reset, Section, Sender};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

fn file(name: &str, beside: &str) -> PathBuf {
    let folder = Path::new("/dev/shm");
    folder.join(format!("shmkit.local.{}.{name}{beside}", me()))
}

/// Returns the mode and the size of a file.
fn mode_and_length(name: &str, beside: &str) -> (u32, u64) {
    let meta = fs::symlink_metadata(file(name, beside)).unwrap();
    assert!(meta.is_file() && meta.blocks() * 512 >= meta.len());
    (meta.mode() & 0o7777, meta.len())
}

/// Returns the words of an event or a mutex.
fn words(name: &str, beside: &str) -> Vec<u32> {
    let bytes = fs::read(file(name, beside)).unwrap();
    let words = bytes.chunks_exact(4);
    words
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

/// Returns the words of an event in the state `word`.
fn event(word: u32) -> Vec<u32> {
    let mut words = vec![0; 32];
    words[..2].copy_from_slice(&[u32::from_le_bytes(*b"shmk"), 1]);
    words[16] = word;
    words
}

// layout: L011 L187 L190 L191 L192 L203 L204 L206 L211
#[test]
fn queue_files_match_the_layout_document() {
    let (_test, name) = start("files");
    let options = Receiver::options().capacity(4096).senders(3);
    let mut receiver = options.create(&*name).unwrap();
    let sender = Sender::open(&*name).unwrap();
    assert_eq!(mode_and_length(&name, ""), (0o600, 16448));
    assert_eq!(mode_and_length(&name, "~control-00000001"), (0o600, 20224));
    assert_eq!(mode_and_length(&name, "~roster-00000001"), (0o600, 36352));
    assert_eq!(mode_and_length(&name, "~lanes-00000001"), (0o600, 3 * 4608));
    assert!(!file(&name, "~alive-00000001").exists());
    let slot_epoch = {
        let roster = Section::open(format!("{name}~roster-00000001")).unwrap();
        let mut word = [0; 4];
        roster.read_at(4096 + 16, &mut word).unwrap();
        u32::from_le_bytes(word)
    };
    let pid = std::process::id();
    for beside in [
        format!("~wake-3f-{pid:x}-1"),
        format!("~wake-00-{pid:x}-{slot_epoch:x}"),
    ] {
        assert_eq!(mode_and_length(&name, &beside), (0o1600, 128));
        assert_eq!(words(&name, &beside), event(0));
        let wake = Event::open_rw(format!("{name}{beside}")).unwrap();
        wake.set().unwrap();
        wake.set().unwrap();
        assert_eq!(words(&name, &beside), event(1));
        assert!(wake.try_wait().unwrap() && !wake.try_wait().unwrap());
        assert_eq!(words(&name, &beside), event(0));
    }
    let manual = format!("{name}-manual");
    let _manual = Event::create_new(&*manual, Reset::Manual).unwrap();
    assert_eq!(words(&manual, "")[..3], [event(0)[0], 1, 1]);
    drop(sender);
    assert!(receiver.recv().is_err());
}

/// Returns the start time of a thread.
fn start_of(thread: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{thread}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(22 - 3).unwrap().parse().unwrap()
}

// layout: L020 L190 L209 L210 L211
#[test]
fn readonly_preset_files_match_layout_document() {
    let (_test, name) = start("shared-files");
    for access in [Access::UsersReadOnly, Access::InteractiveReadOnly] {
        let options = Receiver::options().access(access.clone());
        let receiver = options.create(&*name).unwrap();
        let sections = [
            "",
            "~control-00000001",
            "~roster-00000001",
            "~lanes-00000001",
        ];
        let modes = || sections.map(|beside| mode_and_length(&name, beside).0);
        assert_eq!(modes(), [0o644, 0o644, 0o600, 0o600]);
        drop(receiver);
        let publisher = Publisher::options().access(access).create(&*name).unwrap();
        assert_eq!(modes(), [0o644, 0o644, 0o600, 0o644]);
        assert_eq!(mode_and_length(&name, "~alive-00000001"), (0o1644, 128));
        let mutex = words(&name, "~alive-00000001");
        let [_, identity] = ProcessIdentity::current().unwrap().to_words();
        assert_eq!(mutex[..3], [event(0)[0], 2, (identity >> 32) as u32]);
        let (thread, started) = (mutex[16], start_of(mutex[16]));
        assert!(Path::new(&format!("/proc/self/task/{thread}")).exists());
        assert_eq!(mutex[17], (started >> 32) as u32 ^ started as u32);
        assert!(
            mutex
                .iter()
                .skip(18)
                .chain(&mutex[3..16])
                .all(|word| *word == 0)
        );
        drop(publisher);
    }
    let options = Receiver::options().access(Access::Sddl("D:P".to_string()));
    refused(Unsupported, options.create(&*name));
}

// layout: L079
#[test]
fn segment_of_another_namespace_is_refused() {
    let (_test, name) = start("space");
    let receiver = Receiver::create(&*name).unwrap();
    let change = |section: &str, at: usize| {
        let view = Section::open_rw(format!("{name}{section}")).unwrap();
        let view = view.map_rw(..).unwrap();
        let space: u32 = view.read_value(at).unwrap();
        view.write_value(at, &(space ^ 1)).unwrap();
    };
    // The upper half of OWNER_PID.
    change("~control-00000001", 28);
    refused(Unsupported, Sender::open(&*name));
    change("~control-00000001", 28);
    let sender = Sender::open(&*name).unwrap();
    drop(receiver);
    // SPACE in the ownership record.
    change("", 24);
    let error = refused(AlreadyExists, Receiver::create(&*name));
    assert!(error.meaning().contains("namespace"), "{error}");
    change("", 24);
    let _receiver = Receiver::create(&*name).unwrap();
    assert!(segment_info(&*name).is_ok());
    drop(sender);
}
