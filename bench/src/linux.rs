//! The system calls that shmkit makes on Linux, made directly and without its checks.

use crate::pair::Pair;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, FlockOperation, Mode, OFlags, fallocate, fchmod, flock,
    fstat, ftruncate, linkat, mknodat, open, statat, unlink,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::futex;
use shmkit::{Mapping, ReadWrite, Section};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// The label for the calls of a program without a lifetime rule.
pub const PLAIN: &str = "for information: shm_open";

const SIZE: usize = 4096;
const CAREFULLY: OFlags = OFlags::CLOEXEC
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

pub struct Direct {
    path: String,
    plain: String,
}

impl Direct {
    pub fn new(name: &str) -> Direct {
        let base = name.strip_prefix("Local\\").unwrap();
        let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
        Direct {
            path: format!("/dev/shm/shmkit.local.{uid}.{base}"),
            plain: format!("/dev/shm/{base}.plain"),
        }
    }

    pub fn create(&self) {
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = open("/dev/shm", flags, mode).unwrap();
        fchmod(&file, mode).unwrap();
        flock(&file, FlockOperation::NonBlockingLockShared).unwrap();
        fallocate(&file, FallocateFlags::empty(), 0, SIZE as u64).unwrap();
        let anonymous = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
        linkat(CWD, anonymous, CWD, &self.path, AtFlags::SYMLINK_FOLLOW).unwrap();
        map(&file, ProtFlags::READ | ProtFlags::WRITE);
        drop(file);
        self.close(true);
    }

    pub fn open(&self) {
        let file = open(&self.path, OFlags::RDONLY | CAREFULLY, Mode::empty()).unwrap();
        fstat(&file).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap_err();
        flock(&file, FlockOperation::NonBlockingLockShared).unwrap();
        statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        map(&file, ProtFlags::READ);
        drop(file);
        self.close(false);
    }

    fn close(&self, last: bool) {
        let file = open(&self.path, OFlags::RDONLY | CAREFULLY, Mode::empty()).unwrap();
        let held = flock(&file, FlockOperation::NonBlockingLockExclusive).is_err();
        assert_ne!(held, last);
        if last {
            fstat(&file).unwrap();
            statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW).unwrap();
            unlink(&self.path).unwrap();
        }
    }

    pub fn plain_create(&self) {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = open(&self.plain, flags, Mode::RUSR | Mode::WUSR).unwrap();
        ftruncate(&file, SIZE as u64).unwrap();
        map(&file, ProtFlags::READ | ProtFlags::WRITE);
        drop(file);
        unlink(&self.plain).unwrap();
    }

    pub fn with_plain<T>(&self, work: impl FnOnce() -> T) -> T {
        std::fs::write(&self.plain, [0; SIZE]).unwrap();
        let done = work();
        unlink(&self.plain).unwrap();
        done
    }

    pub fn plain_open(&self) {
        let file = open(&self.plain, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        fstat(&file).unwrap();
        map(&file, ProtFlags::READ);
    }
}

fn map(file: &OwnedFd, prot: ProtFlags) {
    // SAFETY: the kernel chooses the address, and no code uses the view.
    unsafe {
        let at = mmap(std::ptr::null_mut(), SIZE, prot, MapFlags::SHARED, file, 0).unwrap();
        munmap(at, SIZE).unwrap();
    }
}

/// The bare futex of an auto-reset event. A word of this process is as good as a word in a shared
/// file.
pub struct Signal(AtomicU32);

impl Signal {
    pub fn new(_name: &str) -> Signal {
        Signal(AtomicU32::new(0))
    }

    pub fn set(&self) {
        self.0.store(1, Ordering::Release);
        futex::wake(&self.0, futex::Flags::empty(), 1).unwrap();
    }

    pub fn wait(&self) {
        while self.0.swap(0, Ordering::Acquire) == 0 {
            // An error is EAGAIN: the word was set meanwhile.
            let _ = futex::wait(&self.0, futex::Flags::empty(), 0, None);
        }
    }
}

/// A bare pidfd.
pub struct Peer(OwnedFd);

impl Peer {
    pub fn new(pid: u32) -> Peer {
        let pid = Pid::from_raw(pid.cast_signed()).unwrap();
        Peer(pidfd_open(pid, PidfdFlags::empty()).unwrap())
    }

    pub fn wait(&self) {
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None).unwrap();
    }
}

/// A bare wake-up of another process: a futex in shared memory.
pub struct WakeUp(Mapping<ReadWrite>);

impl WakeUp {
    pub fn new(pair: &Pair, tag: &str) -> WakeUp {
        let name = pair.name(tag);
        let (section, _) = Section::open_or_create(name.as_str(), SIZE as u64).unwrap();
        pair.meet();
        WakeUp(section.map_rw(..).unwrap())
    }

    pub fn ring(&self) {
        let word = self.0.atomic_u32(0).unwrap();
        word.store(1, Ordering::Release);
        futex::wake(word, futex::Flags::empty(), 1).unwrap();
    }

    pub fn wait(&self) {
        let word = self.0.atomic_u32(0).unwrap();
        // Pairs with the store of `ring`.
        while word.swap(0, Ordering::Acquire) == 0 {
            // An error is EAGAIN: the word was set meanwhile.
            let _ = futex::wait(word, futex::Flags::empty(), 0, None);
        }
    }
}

/// The name of a pipe on this system.
pub const PIPE: &str = "pipe";

fn path(pair: &Pair, tag: &str) -> [PathBuf; 2] {
    let file = |name: String| std::env::temp_dir().join(name.replace('\\', "."));
    pair.names(tag).map(file)
}

/// Creates a pipe in each direction. Returns the end to read and the end to write.
pub fn pipe(pair: &Pair) -> (File, File) {
    let [mine, theirs] = path(pair, "pipe");
    mknodat(CWD, &mine, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    pair.meet();
    // Opening one end waits until another process opens the other end.
    let ends = if pair.is_here() {
        let reader = File::open(&mine).unwrap();
        (reader, File::options().write(true).open(&theirs).unwrap())
    } else {
        let writer = File::options().write(true).open(&theirs).unwrap();
        (File::open(&mine).unwrap(), writer)
    };
    unlink(&mine).unwrap();
    ends
}

pub fn socket(pair: &Pair) -> UnixStream {
    let [mine, theirs] = path(pair, "socket");
    if pair.is_here() {
        let listener = UnixListener::bind(&mine).unwrap();
        pair.meet();
        let socket = listener.accept().unwrap().0;
        unlink(&mine).unwrap();
        socket
    } else {
        pair.meet();
        UnixStream::connect(&theirs).unwrap()
    }
}
