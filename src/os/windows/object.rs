//! The common part of sections, events and mutexes: creating, opening, and the reasons for a
//! refusal.

use super::access::{self, Attributes, account, rights, token};
use super::call::{self, Called};
use super::error::{denied_create, explain};
use super::{RawObject, ntdll};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{HowToCreate, HowToOpen, Kind, ObjectInfo, other_kind_advice};
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_INVALID_HANDLE,
};
use windows_sys::Win32::Storage::FileSystem::READ_CONTROL;

/// Creates an object, and fails where an object has the name already. The system opens the existing
/// object: "If the object exists before the function call, the function returns a handle to the
/// existing object ..., and GetLastError returns ERROR_ALREADY_EXISTS" (CreateFileMappingW).
// layout: L016 L219
pub(super) fn create(
    name: &Name,
    kind: Kind,
    how: &HowToCreate,
    call: impl FnOnce(&Attributes) -> Called<(OwnedHandle, bool)>,
) -> Result<OwnedHandle> {
    let attributes = access::attributes(how, kind, name)?;
    match call(&attributes) {
        Ok((handle, false)) => {
            if how.inheritable {
                let_inherit(&handle, name)?;
            }
            Ok(handle)
        }
        Ok((existing, true)) => Err(taken(name, kind, existing.as_handle())),
        Err(code) => Err(refused_create(name, kind, code)),
    }
}

/// Opens an object with the first of `rights` that the system grants, and checks the owner of the
/// object.
pub(super) fn open(
    name: &Name,
    kind: Kind,
    how: &HowToOpen,
    rights: &[u32],
) -> Result<OwnedHandle> {
    let opened = call::open_with_any(kind, name, rights);
    let handle = opened.map_err(|code| refused_open(name, kind, code, how.write))?;
    if let Some(expected) = &how.owner {
        access::check_owner(handle.as_handle(), expected, name)?;
    }
    if how.inheritable {
        let_inherit(&handle, name)?;
    }
    Ok(handle)
}

pub(super) fn info(handle: &OwnedHandle, kind: Kind) -> ObjectInfo {
    let (owner, access, grants) = access::describe(handle.as_handle(), kind);
    ObjectInfo {
        owner,
        access,
        grants,
        path: ntdll::object_path(raw(handle)),
    }
}

pub(super) fn raw(handle: &OwnedHandle) -> RawObject {
    handle.as_raw_handle()
}

fn let_inherit(handle: &OwnedHandle, subject: &dyn std::fmt::Display) -> Result<()> {
    call::set_inheritable(handle.as_handle(), true)
        .map_err(|code| explain(Operation::Open, subject, code))
}

fn taken(name: &Name, kind: Kind, existing: BorrowedHandle<'_>) -> Error {
    let error = explain(Operation::Create, name, ERROR_ALREADY_EXISTS);
    match access::owner(existing) {
        Some(owner) => {
            let owner = account::brief(&owner);
            let meaning = format!(
                "{} of this name is held already; it belongs to {owner}",
                kind.noun()
            );
            let advice = error.advice().to_string();
            Error::new(ErrorKind::AlreadyExists, Operation::Create, name, meaning)
                .with_code(ERROR_ALREADY_EXISTS.cast_signed())
                .with_advice(advice)
        }
        None => error,
    }
}

fn refused_create(name: &Name, kind: Kind, code: u32) -> Error {
    match code {
        ERROR_INVALID_HANDLE => wrong_kind(name, Operation::Create),
        ERROR_ACCESS_DENIED => {
            let there = call::object_there(name, READ_CONTROL);
            // Events and mutexes need no privilege.
            let may_create = kind != Kind::Section || token::may_create_global();
            let (kind, meaning, advice) = denied_create(there.is_some(), name.scope(), may_create);
            Error::new(kind, Operation::Create, name, meaning)
                .with_code(code.cast_signed())
                .with_advice(advice)
        }
        _ => explain(Operation::Create, name, code),
    }
}

fn refused_open(name: &Name, kind: Kind, code: u32, write: bool) -> Error {
    match code {
        ERROR_INVALID_HANDLE => wrong_kind(name, Operation::Open),
        ERROR_ACCESS_DENIED if write => {
            let least = HowToOpen::default();
            if open(name, kind, &least, &[rights::least(kind)]).is_err() {
                return explain(Operation::Open, name, code);
            }
            let meaning = "its owner lets this account read it, but not change it";
            Error::new(ErrorKind::AccessDenied, Operation::Open, name, meaning)
                .with_code(code.cast_signed())
                .with_advice("open it without the right to write, or have the owner grant more")
        }
        _ => explain(Operation::Open, name, code),
    }
}

/// Returns the error for ERROR_INVALID_HANDLE (code 6), which names the kind and the owner of the
/// object that has the name.
fn wrong_kind(name: &Name, operation: Operation) -> Error {
    let (noun, handle) = call::object_there(name, READ_CONTROL).unwrap_or(("another object", None));
    let owner = handle.and_then(|handle| access::owner(handle.as_handle()));
    let whose = owner.map_or(String::new(), |owner| {
        format!(", which belongs to {}", account::brief(&owner))
    });
    let meaning = format!("the name is held by {noun}{whose}");
    Error::new(ErrorKind::WrongKind, operation, name, meaning)
        .with_code(ERROR_INVALID_HANDLE.cast_signed())
        .with_advice(other_kind_advice(operation))
}
