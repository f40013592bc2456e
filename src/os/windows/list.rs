//! The sections of this session and of the whole machine.

use super::naming::{GLOBAL, local};
use super::nt;
use super::section::Section;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{HowToOpen, Listed, SectionBackend};

/// Every section in reach, under the name that opens it.
pub(crate) fn list() -> Result<Vec<Listed>> {
    let local = local();
    let mut folders = vec![("Global\\", GLOBAL)];
    if local != GLOBAL {
        folders.push(("Local\\", &local));
    }
    let mut found = Vec::new();
    let mut read = 0;
    for (prefix, folder) in folders {
        let Some(objects) = nt::directory(folder) else {
            continue;
        };
        read += 1;
        let sections = objects.iter().filter(|(_, kind)| kind == "Section");
        found.extend(sections.map(|(base, _)| look(format!("{prefix}{base}"))));
    }
    if read == 0 {
        let meaning = "the system does not show its object directories to this account";
        let error = Error::new(ErrorKind::AccessDenied, Operation::List, &local, meaning);
        return Err(error.with_advice("run outside the sandbox"));
    }
    Ok(found)
}

fn look(name: String) -> Listed {
    let section = Name::new(&name)
        .and_then(|n| Section::open(&n, HowToOpen::default()))
        .ok();
    Listed {
        len: section.as_ref().and_then(|s| s.kernel_len().ok()),
        owner: section.and_then(|s| s.facts().owner),
        name,
    }
}
