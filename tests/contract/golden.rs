//! Tests with images of what each version of the format has put into shared memory. This version
//! reads the images of its own major version, and refuses other images with an error that names
//! both versions.
//!
//! An image is a text. For each section it holds the suffix of the name, the size, and each line of
//! 16 bytes that are not all zero. `cargo test --test contract golden -- --ignored` writes the
//! images of this version to `target/golden`. If the format has changed, check these images and
//! keep them.

use crate::common::{start, unique, watchdog};
use shmkit::{
    Client, ErrorKind, Mapping, Name, ProcessIdentity, Publisher, ReadWrite, Reader, Receiver,
    Section, Sender, Server, Start, Subscriber, Writer,
};
use std::fmt::Write as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The version that this library writes and reads.
const VERSION: &str = "3.0";
const OTHERS: [&str; 2] = ["1.0", "2.0"];
const PATTERNS: [&str; 7] = [
    "queue", "first", "source", "topic", "frames", "latest", "rpc",
];

const IMAGES: [(&str, &str); 14] = [
    ("1.0-queue", include_str!("images/1.0-queue.txt")),
    ("1.0-topic", include_str!("images/1.0-topic.txt")),
    ("1.0-latest", include_str!("images/1.0-latest.txt")),
    ("2.0-queue", include_str!("images/2.0-queue.txt")),
    ("2.0-topic", include_str!("images/2.0-topic.txt")),
    ("2.0-latest", include_str!("images/2.0-latest.txt")),
    ("2.0-rpc", include_str!("images/2.0-rpc.txt")),
    ("3.0-queue", include_str!("images/3.0-queue.txt")),
    ("3.0-first", include_str!("images/3.0-first.txt")),
    ("3.0-source", include_str!("images/3.0-source.txt")),
    ("3.0-topic", include_str!("images/3.0-topic.txt")),
    ("3.0-frames", include_str!("images/3.0-frames.txt")),
    ("3.0-latest", include_str!("images/3.0-latest.txt")),
    ("3.0-rpc", include_str!("images/3.0-rpc.txt")),
];

/// The offset of the start time and the pid of the owner in control, and the offset of the
/// namespace in the ownership record.
const OWNER: usize = 16;
const SPACE: usize = 24;
const LINE: usize = 16;
/// The length of a long message in an image.
const FRAME: usize = 64 << 10;

/// Creates the sections of an image, and returns them with their views.
fn restore(image: &str, name: &str) -> Vec<(String, Section, Mapping<ReadWrite>)> {
    let (_, text) = IMAGES.iter().find(|(name, _)| *name == image).unwrap();
    let mut all: Vec<(String, Section, Mapping<ReadWrite>)> = Vec::new();
    for line in text.lines() {
        if let Some(section) = line.strip_prefix("section ") {
            let (suffix, len) = section.rsplit_once(' ').unwrap();
            let section = Section::create_new(&*format!("{name}{suffix}"), len.parse().unwrap());
            let section = section.unwrap();
            let view = section.map_rw(..).unwrap();
            all.push((suffix.to_string(), section, view));
            continue;
        }
        let (at, bytes) = line.split_once(": ").unwrap();
        let at = usize::from_str_radix(at, 16).unwrap();
        let byte = |byte: &str| u8::from_str_radix(byte, 16).unwrap();
        let bytes: Vec<u8> = bytes.split(' ').map(byte).collect();
        all.last().unwrap().2.write(at, &bytes).unwrap();
    }
    all
}

/// Changes an image as if this process were its owner, on this machine. On Linux the returned files
/// have the locks that an owner has.
fn adopt(sections: &[(String, Section, Mapping<ReadWrite>)]) -> Vec<std::fs::File> {
    let me = ProcessIdentity::current().unwrap().to_words();
    let mut lives = Vec::new();
    for (suffix, section, view) in sections {
        if suffix.is_empty() {
            view.write_value(SPACE, &((me[1] >> 32) as u32)).unwrap();
        }
        if suffix.starts_with("~control-") {
            view.write_value(OWNER, &me).unwrap();
            lives.extend(begin_life(section));
        }
    }
    lives
}

/// Begins the life of the owner in a section, until the file is closed.
#[cfg(target_os = "linux")]
fn begin_life(section: &Section) -> Option<std::fs::File> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", section.as_raw());
    let options = std::fs::OpenOptions::new().read(true).write(true).clone();
    let file = options.open(path).unwrap();
    // SAFETY: all bytes of a `flock` may be 0.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_len) = (libc::F_WRLCK as i16, 1);
    // SAFETY: an open descriptor, and a `flock` that lives as long as the call.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw mut lock) };
    assert_eq!(done, 0);
    Some(file)
}

#[cfg(windows)]
fn begin_life(_section: &Section) -> Option<std::fs::File> {
    None
}

// layout: L022 L100
#[test]
fn wrong_version_error_names_both_versions() {
    let _dog = watchdog();
    for version in OTHERS {
        for pattern in ["queue", "topic", "latest"] {
            let name = unique("golden-other");
            let _held = restore(&format!("{version}-{pattern}"), &name);
            let refusals = [
                Sender::open(&*name).map(drop),
                Subscriber::open(&*name).map(drop),
                Reader::open(&*name).map(drop),
                Client::open(&*name).map(drop),
                shmkit::inspect::segment_info(&*name).map(drop),
            ];
            for refusal in refusals {
                let error = refusal.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WrongVersion, "{error}");
                let text = error.to_string();
                assert!(text.contains(version) && text.contains(VERSION), "{text}");
            }
        }
    }
}

/// An owner replaces a dead segment of version 2 on Linux, and is refused everywhere else.
// layout: L022 L246
#[test]
fn dead_segment_of_older_version_is_replaced() {
    let _dog = watchdog();
    for version in OTHERS {
        for pattern in ["queue", "topic", "latest"] {
            let name = unique("golden-dead");
            let held = restore(&format!("{version}-{pattern}"), &name);
            let create = || Receiver::create(&*name);
            if version == "2.0" {
                // The owner of the image is this process, which lives.
                let [start, pid] = ProcessIdentity::current().unwrap().to_words();
                let word = pid << 32 | u64::from(((start >> 32) as u32 ^ start as u32).max(1));
                adopt(&held);
                let root = &held[0].2;
                let before: u64 = root.read_value(OWNER).unwrap();
                root.write_value(OWNER, &word).unwrap();
                let error = create().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WrongVersion, "{error}");
                root.write_value(OWNER, &before).unwrap();
            }

            if cfg!(target_os = "linux") && version == "2.0" {
                let mut receiver = create().unwrap();
                Sender::open(&*name).unwrap().send(b"new").unwrap();
                assert_eq!(receiver.recv().unwrap(), b"new");
            } else {
                let error = create().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WrongVersion, "{error}");
            }
        }
    }
}

// layout: L002 L022 L112 L158 L160
#[test]
fn new_receiver_reads_older_queue_image() {
    let (_test, name) = start("golden-queue");
    let held = restore(&format!("{VERSION}-queue"), &name);
    let _lives = adopt(&held);
    let mut receiver = Receiver::create(&*name).unwrap();
    assert_eq!(receiver.generation(), 2);
    assert_eq!(receiver.recv().unwrap(), b"second");
    assert_eq!(
        receiver.recv().unwrap(),
        b"third, a longer one than fits into a line of 64 bytes, by far"
    );
}

/// The image is that of a queue of which a sender with source key 7 has sent the numbers 41 and 42. The
/// receiver has received one of these messages.
// layout: L315 L318 L319 L321
#[test]
fn source_number_is_read_from_older_image() {
    let (_test, name) = start("golden-source");
    let held = restore(&format!("{VERSION}-source"), &name);
    let lives = adopt(&held);
    let open = || Sender::options().source(7).open(&*name).unwrap();
    assert_eq!(open().last_number(), Some(42));
    drop(lives);
    let mut receiver = Receiver::create(&*name).unwrap();
    let mut sender = open();
    assert_eq!((sender.generation(), sender.last_number()), (2, Some(42)));
    sender.send_numbered(43, b"third").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"second");
    assert_eq!(receiver.recv().unwrap(), b"third");
}

/// The image is that of a queue that a sender has created, and that no receiver has owned.
// layout: L330 L332
#[test]
fn first_receiver_reads_older_ownerless_image() {
    let (_test, name) = start("golden-first");
    let _held = restore(&format!("{VERSION}-first"), &name);
    let mut sender = Sender::open(&*name).unwrap();
    sender.send(b"second").unwrap();
    let mut receiver = Receiver::create(&*name).unwrap();
    assert_eq!((sender.generation(), receiver.generation()), (1, 2));
    let mut came = [receiver.recv().unwrap().to_vec(), vec![]];
    came[1] = receiver.recv().unwrap().to_vec();
    came.sort();
    assert_eq!(came, [&b"first"[..], b"second"]);
    sender.send(b"third").unwrap();
    assert_eq!(
        (sender.generation(), receiver.recv().unwrap()),
        (2, &b"third"[..])
    );
}

// layout: L022 L129
#[test]
fn subscriber_reads_older_topic_image() {
    let (_test, name) = start("golden-topic");
    let held = restore(&format!("{VERSION}-topic"), &name);
    let _lives = adopt(&held);
    let options = Subscriber::options().start(Start::Oldest);
    let mut subscriber = options.open(&*name).unwrap();
    for n in 0..3u8 {
        assert_eq!(subscriber.recv().unwrap(), [n; 40]);
    }
    let info = shmkit::inspect::segment_info(&*name).unwrap();
    assert_eq!(
        (info.version, info.max_message, info.owner.sent),
        ((3, 0), 100, 3)
    );
}

/// The image is that of a topic that keeps one frame, with time stamps. It has sent the frames 1
/// to 5.
// layout: L022 L280 L282 L286 L288
#[test]
fn subscriber_reads_older_frames_image() {
    let (_test, name) = start("golden-frames");
    let held = restore(&format!("{VERSION}-frames"), &name);
    let _lives = adopt(&held);
    let options = Subscriber::options().start(Start::Oldest);
    let mut subscriber = options.open(&*name).unwrap();
    assert!((3..=4).contains(&subscriber.next_number()));
    for n in subscriber.next_number() + 1..=5 {
        let mut frame = vec![0; FRAME];
        frame[0] = n as u8;
        assert!(subscriber.recv().unwrap() == frame, "frame {n}");
        let since = subscriber.sent_at().unwrap().duration_since(UNIX_EPOCH);
        let years = since.unwrap().as_secs() / 86400 / 365;
        assert!((50..100).contains(&years), "{years}");
    }
    let info = shmkit::inspect::segment_info(&*name).unwrap();
    assert!(info.timestamps && !info.capacity.is_power_of_two());
}

/// A reader that has ended since held the first value in the image.
// layout: L075 L137 L303 L308
#[test]
fn reader_reads_older_values_image() {
    let (_test, name) = start("golden-latest");
    let held = restore(&format!("{VERSION}-latest"), &name);
    let _lives = adopt(&held);
    let mut reader = Reader::open(&*name).unwrap();
    assert_eq!(reader.names(), ["indoors", "outdoors"]);
    assert_eq!(reader.get_at(0).unwrap(), b"21.5");
    assert_eq!(reader.get_at(1).unwrap(), b"-3.6");
    // Each guard of the table can be taken, also the one in the image.
    let guards = 6;
    let mut readers: Vec<Reader> = (0..guards).map(|_| Reader::open(&*name).unwrap()).collect();
    let held: Vec<_> = readers
        .iter_mut()
        .map(|reader| reader.get_ref_at(0).unwrap())
        .collect();
    assert!(held.iter().all(|value| value.to_vec() == b"21.5"));
    assert!(reader.get_ref_at(0).is_err(), "all guards are taken");
}

// layout: L023
#[test]
fn client_sends_call_in_older_image() {
    let (_test, name) = start("golden-rpc");
    let held = restore(&format!("{VERSION}-rpc"), &name);
    let _lives = adopt(&held);
    let mut client = Client::open(&*name).unwrap();
    assert_eq!((client.max_message(), client.in_flight()), (100, 2));
    let call = client.send(b"?").unwrap();
    assert!(client.try_recv(&call).is_err());
    let info = shmkit::inspect::segment_info(&*name).unwrap();
    // The call of the dead client in the image, and the call of this client.
    let asked = info
        .others
        .unwrap()
        .iter()
        .map(|client| client.sent)
        .sum::<u64>();
    assert_eq!(asked, 2);
}

/// Writes the images of this version.
#[test]
#[ignore = "writes the images that the other tests read"]
fn current_version_images_are_written() {
    let name = unique("golden");
    let name = name.as_str();
    let mut receiver = Receiver::options()
        .capacity(4096)
        .senders(2)
        .create(name)
        .unwrap();
    let mut sender = Sender::open(name).unwrap();
    sender.send(b"first").unwrap();
    sender.send(b"second").unwrap();
    let long = b"third, a longer one than fits into a line of 64 bytes, by far";
    sender.send(long).unwrap();
    assert_eq!(receiver.recv().unwrap(), b"first");
    keep("queue", name);
    drop((sender, receiver));

    let options = Receiver::options().capacity(4096).senders(2);
    let mut receiver = options.create(name).unwrap();
    let mut sender = Sender::options().source(7).open(name).unwrap();
    sender.send_numbered(41, b"first").unwrap();
    sender.send_numbered(42, b"second").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"first");
    drop(sender);
    keep("source", name);
    drop(receiver);

    let mut sender = Sender::options().open_or_create(name, &options).unwrap();
    sender.send(b"first").unwrap();
    keep("first", name);
    drop(sender);

    let options = Publisher::options().capacity(4096).max_message(100);
    let mut publisher = options.create(name).unwrap();
    (0..3u8).for_each(|n| publisher.send(&[n; 40]).unwrap());
    keep("topic", name);
    drop(publisher);

    let options = Publisher::options().max_message(FRAME as u64).keep(1);
    let mut publisher = options.timestamps(true).create(name).unwrap();
    for n in 1..=5 {
        let mut frame = vec![0; FRAME];
        frame[0] = n;
        publisher.send(&frame).unwrap();
    }
    keep("frames", name);
    drop(publisher);

    let options = Writer::options().names(["indoors", "outdoors"]);
    let mut writer = options.max_value(32).create(name).unwrap();
    writer.set_at(0, b"21.5").unwrap();
    writer.set_at(1, b"-3.5").unwrap();
    writer.set_at(1, b"-3.6").unwrap();
    let mut reader = Reader::open(name).unwrap();
    let held = reader.get_ref_at(0).unwrap();
    keep("latest", name);
    drop(held);
    drop((reader, writer));

    let options = Server::options().max_message(100).in_flight(2).clients(2);
    let mut server = options.create(name).unwrap();
    let mut client = Client::open(name).unwrap();
    let _call = client.send(b"17 pieces").unwrap();
    server.recv().unwrap().respond(b"18.50").unwrap();
    keep("rpc", name);
}

fn keep(pattern: &str, name: &str) {
    assert!(PATTERNS.contains(&pattern));
    let mut text = String::new();
    let suffixes = [
        "",
        "~control-00000001",
        "~roster-00000001",
        "~lanes-00000001",
    ];
    for suffix in suffixes {
        let name = Name::new(&format!("{name}{suffix}")).unwrap();
        let section = Section::open(name).unwrap();
        let mut bytes = vec![0; section.len().unwrap() as usize];
        section.read_at(0, &mut bytes).unwrap();
        writeln!(text, "section {suffix} {}", bytes.len()).unwrap();
        for (n, line) in bytes.chunks(LINE).enumerate() {
            if line.iter().any(|byte| *byte != 0) {
                let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(text, "{:08x}: {}", n * LINE, hex.join(" ")).unwrap();
            }
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/golden");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{VERSION}-{pattern}.txt")), text).unwrap();
}
