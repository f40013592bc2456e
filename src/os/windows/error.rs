//! The meaning of a Win32 error code at the place where it arose.

use crate::error::{Error, ErrorKind, Operation};
use crate::name::Scope;
use std::fmt::Display;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_BAD_PATHNAME, ERROR_COMMITMENT_LIMIT,
    ERROR_DISK_FULL, ERROR_FILE_EXISTS, ERROR_FILE_INVALID, ERROR_FILE_NOT_FOUND,
    ERROR_FILENAME_EXCED_RANGE, ERROR_INVALID_HANDLE, ERROR_INVALID_LABEL, ERROR_INVALID_NAME,
    ERROR_INVALID_OWNER, ERROR_INVALID_PARAMETER, ERROR_NO_SYSTEM_RESOURCES,
    ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_ENOUGH_QUOTA, ERROR_OUTOFMEMORY, ERROR_PATH_NOT_FOUND,
    ERROR_PRIVILEGE_NOT_HELD, ERROR_SHARING_VIOLATION, ERROR_USER_MAPPED_FILE,
    ERROR_WORKING_SET_QUOTA,
};

/// Returns the code of the call that has just failed. It is called right after that call, before
/// any other call can change the code.
pub(super) fn last() -> u32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .map_or(0, i32::cast_unsigned)
}

/// Returns the error for a refused system call on `subject`.
pub(super) fn explain(operation: Operation, subject: &dyn Display, code: u32) -> Error {
    let (kind, meaning, advice) = meaning(operation, code);
    Error::new(kind, operation, subject, meaning)
        .with_code(code.cast_signed())
        .with_advice(advice)
}

type Meaning = (ErrorKind, &'static str, &'static str);

fn meaning(operation: Operation, code: u32) -> Meaning {
    match code {
        ERROR_FILE_NOT_FOUND => (
            ErrorKind::NotFound,
            "no object of this name exists in the namespaces that this process can see",
            "start the server first; check spelling, case, and Local\\ against Global\\ \
             (a service and a desktop program meet only in Global\\)",
        ),
        ERROR_PATH_NOT_FOUND | ERROR_INVALID_NAME | ERROR_BAD_PATHNAME => (
            ErrorKind::InvalidName,
            "the name has a prefix or path that does not exist",
            "write Local\\X, Global\\X or X",
        ),
        ERROR_FILENAME_EXCED_RANGE => (
            ErrorKind::InvalidName,
            "the name is too long",
            "use a shorter name",
        ),
        ERROR_ALREADY_EXISTS | ERROR_FILE_EXISTS => (
            ErrorKind::AlreadyExists,
            "the name is taken",
            "stop the program that holds it, use another name, or open what is there",
        ),
        // "If the function fails because an existing object of another type has
        // this name, GetLastError returns ERROR_INVALID_HANDLE" (CreateFileMappingW).
        ERROR_INVALID_HANDLE => (
            ErrorKind::WrongKind,
            "the name is held by an event, mutex, semaphore, timer or job",
            "all kinds share one namespace: use another name",
        ),
        ERROR_ACCESS_DENIED => denied(operation),
        ERROR_INVALID_PARAMETER => (
            ErrorKind::InvalidArgument,
            "the system does not accept this size, range or protection",
            "ask for a smaller size, or for read-only access",
        ),
        // "Not a SID that the caller is authorized to assign as the owner of an object"
        // (SeAssignSecurity).
        ERROR_INVALID_OWNER => (
            ErrorKind::AccessDenied,
            "this account may not give an object to the owner that the access list names",
            "leave O: out, or name your own SID",
        ),
        ERROR_PRIVILEGE_NOT_HELD | ERROR_INVALID_LABEL => (
            ErrorKind::PrivilegeMissing,
            "the access list needs a privilege that this process lacks",
            "remove the part after S:, or use a label that is not higher than your own integrity level",
        ),
        ERROR_FILE_INVALID => (
            ErrorKind::OutOfBounds,
            "the file is empty",
            "a section has at least one byte",
        ),
        ERROR_SHARING_VIOLATION | ERROR_USER_MAPPED_FILE => (
            ErrorKind::Busy,
            "another program has the file open and does not share it",
            "close the file in that program",
        ),
        _ => no_space(code).unwrap_or((ErrorKind::System, "the system refused", "")),
    }
}

fn no_space(code: u32) -> Option<Meaning> {
    let meaning = match code {
        ERROR_NOT_ENOUGH_MEMORY | ERROR_OUTOFMEMORY | ERROR_NO_SYSTEM_RESOURCES => (
            ErrorKind::NoSpace,
            "memory or address space is exhausted, or the section is too big",
            "ask for less, or map a part",
        ),
        ERROR_WORKING_SET_QUOTA | ERROR_NOT_ENOUGH_QUOTA => (
            ErrorKind::NoSpace,
            "the quota of this process is used up",
            "ask for less, or raise the limits of the process (job object, working set)",
        ),
        ERROR_COMMITMENT_LIMIT => (
            ErrorKind::NoSpace,
            "the commit limit of the system is reached",
            "reserve the section and commit parts of it, or enlarge the paging file",
        ),
        ERROR_DISK_FULL => (ErrorKind::NoSpace, "the disk is full", "free space there"),
        _ => return None,
    };
    Some(meaning)
}

/// Returns the meaning of ERROR_ACCESS_DENIED, for which the system has five reasons. Two of them
/// are refused before the system is asked: a view that asks for more rights than the handle has,
/// and a view that is longer than the section. A third is an executable view, which this crate does
/// not offer. [`denied_create`] tells the two that remain apart.
fn denied(operation: Operation) -> Meaning {
    match operation {
        Operation::Map => (
            ErrorKind::AccessDenied,
            "the section was created with a protection that does not allow this view",
            "map it read-only",
        ),
        _ => (
            ErrorKind::AccessDenied,
            "it exists, but its access list or integrity level refuses this account",
            "run as the same user and at the same elevation as its owner, or have the owner \
             grant access; to read only, open it without the right to write",
        ),
    }
}

/// Returns the meaning of ERROR_ACCESS_DENIED for a create. "Creating a file-mapping object in the
/// global namespace, from a session other than session zero, requires the SeCreateGlobalPrivilege
/// privilege" (CreateFileMappingW).
pub(super) fn denied_create(exists: bool, scope: Scope, may_create_global: bool) -> Meaning {
    if exists {
        (
            ErrorKind::AlreadyExists,
            "an object that this account may not open has the name",
            "use another name, or stop the program that holds it",
        )
    } else if scope == Scope::Global && !may_create_global {
        (
            ErrorKind::PrivilegeMissing,
            "creating a section in Global\\ needs the privilege SeCreateGlobalPrivilege, \
             which this process lacks",
            "run elevated or as a service, or use Local\\ (opening a Global\\ section needs \
             no privilege)",
        )
    } else {
        (
            ErrorKind::AccessDenied,
            "this account may not create objects in that namespace",
            "use Local\\, or run this program outside its sandbox (AppContainer)",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_denied_is_explained_by_its_cause() {
        let kind = |m: Meaning| m.0;
        assert_eq!(
            kind(denied_create(true, Scope::Global, false)),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            kind(denied_create(false, Scope::Global, false)),
            ErrorKind::PrivilegeMissing
        );
        assert_eq!(
            kind(denied_create(false, Scope::Global, true)),
            ErrorKind::AccessDenied
        );
        assert_eq!(
            kind(denied_create(false, Scope::Session, false)),
            ErrorKind::AccessDenied
        );
        assert_eq!(kind(denied(Operation::Open)), ErrorKind::AccessDenied);
        assert_ne!(denied(Operation::Map).1, denied(Operation::Open).1);
    }
}
