//! The objects of this session and of the whole machine.

use super::naming::{GLOBAL, local};
use super::section::Section;
use super::{access, call, ntdll};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{HowToOpen, Kind, Listed, SectionBackend};
use std::os::windows::io::AsHandle;
use windows_sys::Win32::Storage::FileSystem::READ_CONTROL;

/// Lists every object in reach, under the name that opens it.
pub(crate) fn list() -> Result<Vec<Listed>> {
    let local = local();
    let mut folders = vec![("Global\\", GLOBAL)];
    if local != GLOBAL {
        folders.push(("Local\\", &local));
    }

    let mut found = Vec::new();
    let mut read = 0;
    for (prefix, folder) in folders {
        let Some(objects) = ntdll::directory(folder) else {
            continue;
        };
        read += 1;
        let known = objects.iter().filter_map(|(base, kind)| {
            let kind = kind_of(kind)?;
            Some(look(format!("{prefix}{base}"), kind))
        });
        found.extend(known);
    }

    if read == 0 {
        let meaning = "the system does not show its object directories to this account";
        let error = Error::new(ErrorKind::AccessDenied, Operation::List, &local, meaning);
        return Err(error.with_advice("run outside the sandbox"));
    }
    Ok(found)
}

/// Returns nothing: killed processes leave no objects on Windows.
pub(crate) fn clean() -> Result<Vec<String>> {
    Ok(Vec::new())
}

/// Returns the kind of an object; `None` for directories and links.
fn kind_of(kind: &str) -> Option<Kind> {
    match kind {
        "Section" => Some(Kind::Section),
        "Event" => Some(Kind::Event),
        "Mutant" => Some(Kind::Mutex),
        "Semaphore" | "Timer" | "Job" => Some(Kind::Other),
        _ => None,
    }
}

fn look(name: String, kind: Kind) -> Listed {
    let (mut len, mut owner) = (None, None);
    if let Ok(name) = Name::new(&name) {
        if kind == Kind::Section {
            let section = Section::open(&name, &HowToOpen::default()).ok();
            len = section.as_ref().and_then(|s| s.kernel_len().ok());
            owner = section.and_then(|s| s.owner());
        } else if let Ok(handle) = call::open(kind, &name, READ_CONTROL) {
            owner = access::owner(handle.as_handle());
        }
    }

    Listed {
        name,
        kind,
        len,
        owner,
    }
}
