//! The files of a segment in `/dev/shm`: names, sizes, modes and locks, as docs/layout.md says.

use crate::common::{me, refused, start};
use shmkit::ErrorKind::Unsupported;
use shmkit::{Access, Publisher, Receiver, Sender};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

fn file(name: &str, beside: &str) -> PathBuf {
    let folder = Path::new("/dev/shm");
    folder.join(format!("shmkit.local.{}.{name}{beside}", me()))
}

/// Returns the mode and the size of a file, which has memory for all of its bytes.
fn mode_and_length(name: &str, beside: &str) -> (u32, u64) {
    let (mode, len, allocated) = mode_length_and_memory(name, beside);
    assert!(allocated >= len);
    (mode, len)
}

/// Returns the mode, the size and the allocated bytes of a file.
fn mode_length_and_memory(name: &str, beside: &str) -> (u32, u64, u64) {
    let meta = fs::symlink_metadata(file(name, beside)).unwrap();
    assert!(meta.is_file());
    (meta.mode() & 0o7777, meta.len(), meta.blocks() * 512)
}

// layout: L011 L187 L190 L191 L192 L258 L259 L261
#[test]
fn queue_files_match_the_layout_document() {
    let (_test, name) = start("files");
    let options = Receiver::options().capacity(4096).senders(3);
    let mut receiver = options.create(&*name).unwrap();
    let lanes = || mode_length_and_memory(&name, "~lanes-00000001");
    assert_eq!(lanes(), (0o600, 3 * 4608, 0));
    let sender = Sender::open(&*name).unwrap();
    assert_eq!(mode_and_length(&name, ""), (0o600, 16448));
    assert_eq!(
        mode_and_length(&name, "~control-00000001"),
        (0o600, 4096 + 3 * 256)
    );
    assert_eq!(
        mode_and_length(&name, "~roster-00000001"),
        (0o600, 4096 + 3 * 512)
    );
    // The lane of the sender lies in the first two pages.
    assert_eq!(lanes(), (0o600, 3 * 4608, 2 * 4096));
    let parts = fs::read_dir("/dev/shm").unwrap().flatten();
    let parts = parts.filter(|entry| entry.file_name().to_string_lossy().contains(&*name));
    assert_eq!(parts.count(), 4, "there are no events and no mutexes");
    drop(sender);
    assert!(receiver.recv().is_err());
}

// layout: L020 L190
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
        let modes = || sections.map(|beside| mode_length_and_memory(&name, beside).0);
        assert_eq!(modes(), [0o644, 0o644, 0o600, 0o600]);
        drop(receiver);
        let publisher = Publisher::options().access(access).create(&*name).unwrap();
        assert_eq!(modes(), [0o644, 0o644, 0o600, 0o644]);
        drop(publisher);
    }
    let options = Receiver::options().access(Access::Sddl("D:P".to_string()));
    refused(Unsupported, options.create(&*name));
}
