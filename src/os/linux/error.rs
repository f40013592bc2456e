//! The meaning of an errno at the place where it arose.

use super::folder::here;
use crate::error::{Error, ErrorKind, Operation};
use rustix::fs::StatVfs;
use rustix::io::Errno;
use std::fmt::Display;

/// Returns the error for a refused system call on `subject`.
pub(super) fn explain(operation: Operation, subject: &dyn Display, errno: Errno) -> Error {
    let (kind, meaning, advice) = meaning(operation, errno);
    Error::new(kind, operation, subject, meaning)
        .with_code(errno.raw_os_error())
        .with_advice(here(advice))
}

/// Returns the error for memory that `space`, the file system of `subject`, refused. The error
/// tells how many bytes were asked for, and how many are free.
pub(super) fn explain_space(
    operation: Operation,
    subject: &dyn Display,
    errno: Errno,
    asked: u64,
    space: rustix::io::Result<StatVfs>,
) -> Error {
    let is_full = matches!(errno, Errno::NOSPC | Errno::DQUOT);
    let Some(space) = space.ok().filter(|_| is_full) else {
        return explain(operation, subject, errno);
    };

    let (meaning, advice) = if space.f_files > 0 && space.f_favail == 0 {
        (
            "the file system that holds it has no free inodes".to_string(),
            "remove files there (df -i /dev/shm)",
        )
    } else {
        let [all, free] =
            [space.f_blocks, space.f_bavail].map(|n| n.saturating_mul(space.f_frsize));
        (
            format!(
                "the file system that holds it is full: {asked} bytes were asked for, and {free} of \
                 {all} bytes are free"
            ),
            if asked > all {
                "ask for less, or enlarge the file system (mount -o remount,size=SIZE /dev/shm; in a \
                     container, --shm-size)"
            } else {
                FULL_ADVICE
            },
        )
    };

    Error::new(ErrorKind::NoSpace, operation, subject, meaning)
        .with_code(errno.raw_os_error())
        .with_advice(here(advice))
}

/// The advice for a full file system.
const FULL_ADVICE: &str =
    "free space there (df -h /dev/shm; in a container, --shm-size), or ask for less";

/// Returns the error for a refused call of the standard library on `subject`.
pub(super) fn explain_io(
    operation: Operation,
    subject: &dyn Display,
    error: &std::io::Error,
) -> Error {
    explain(operation, subject, errno_of(error))
}

/// Returns the errno in an error of the standard library.
pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn meaning(operation: Operation, errno: Errno) -> (ErrorKind, &'static str, &'static str) {
    match errno {
        Errno::NOENT => not_found(operation),
        // A wait and a watch concern objects and processes that this process may use
        // already.
        Errno::ACCESS | Errno::PERM if is_of_a_call(operation) => (
            ErrorKind::System,
            "the system does not allow this call here, as a sandbox does (seccomp)",
            "let the sandbox allow it, or see `shmkit doctor`",
        ),
        Errno::ACCESS | Errno::PERM => (
            ErrorKind::AccessDenied,
            "its owner does not let this account in",
            "run as the owner, or have the owner grant access",
        ),
        Errno::EXIST => (
            ErrorKind::AlreadyExists,
            "the name is taken",
            "use another name, or open what is there",
        ),
        Errno::NOSPC | Errno::DQUOT => (
            ErrorKind::NoSpace,
            "the file system that holds it is full",
            FULL_ADVICE,
        ),
        // MADV_POPULATE_*: "populating (prefaulting) page tables failed because a
        // SIGBUS would have been generated" (madvise).
        Errno::FAULT if operation == Operation::Prefault => (
            ErrorKind::NoSpace,
            "there is not enough memory for all of its pages",
            "free space there (df -h /dev/shm), or prefault less",
        ),
        Errno::NOMEM => (
            ErrorKind::NoSpace,
            "memory or address space is exhausted",
            "ask for less, or map a part",
        ),
        Errno::FBIG | Errno::OVERFLOW | Errno::INVAL => (
            ErrorKind::InvalidArgument,
            "the system does not accept this size or range",
            "ask for less",
        ),
        Errno::LOOP => (
            ErrorKind::WrongKind,
            "a symbolic link stands at its place, and is not followed",
            "find out who put it there, and remove it",
        ),
        Errno::NXIO | Errno::ISDIR | Errno::NODEV => (
            ErrorKind::WrongKind,
            "the file at its path is not shared memory",
            "find out who put it there, and remove it",
        ),
        Errno::MFILE | Errno::NFILE => (
            ErrorKind::System,
            "too many descriptors are open",
            "close sections, or raise the limit (ulimit -n)",
        ),
        Errno::OPNOTSUPP | Errno::NOSYS => (
            ErrorKind::Unsupported,
            "this kernel or file system cannot do it",
            "use Linux 5.16 or later, with a tmpfs at /dev/shm",
        ),
        Errno::ROFS => (
            ErrorKind::AccessDenied,
            "the file system is mounted read-only",
            "mount /dev/shm so that it can be written",
        ),
        _ => (ErrorKind::System, "the system refused", ""),
    }
}

/// Returns whether a refusal concerns the system call, and not an object that its owner protects.
fn is_of_a_call(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Wait | Operation::Watch | Operation::Lock | Operation::Signal
    )
}

fn not_found(operation: Operation) -> (ErrorKind, &'static str, &'static str) {
    match operation {
        Operation::Create | Operation::List => (
            ErrorKind::Unsupported,
            "the folder that is to hold it, or /proc, is missing",
            "mount a tmpfs at /dev/shm and proc at /proc",
        ),
        _ => (
            ErrorKind::NotFound,
            "no process holds an object of this name",
            "start the server first; check spelling, case, and Local\\ against Global\\",
        ),
    }
}
