//! The sections of this session and of the whole machine.

use super::section::Section;
use super::{nt, security};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{HowToOpen, Listed, SectionBackend};

const GLOBAL: &str = "\\BaseNamedObjects";

/// The directory behind `Local\`; that of the services is the global one.
fn local() -> String {
    match security::session() {
        0 => GLOBAL.to_string(),
        session => format!("\\Sessions\\{session}\\BaseNamedObjects"),
    }
}

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

/// The name that opens the object at a path of the kernel's namespace.
pub(super) fn name_of(path: &str) -> Option<Name> {
    let strip = |folder: &str| path.strip_prefix(folder)?.strip_prefix('\\');
    let text = match (strip(GLOBAL), strip(&local())) {
        (Some(base), _) => format!("Global\\{base}"),
        (None, Some(base)) => format!("Local\\{base}"),
        (None, None) => return None,
    };
    Name::new(&text).ok()
}
