//! The places of names in the kernel's namespace.

use super::access::token;
use crate::name::Name;

/// The directory behind `Global\`.
pub(super) const GLOBAL: &str = "\\BaseNamedObjects";

/// Returns the directory behind `Local\`, which for services is [`GLOBAL`].
pub(super) fn local() -> String {
    match token::session() {
        0 => GLOBAL.to_string(),
        session => format!("\\Sessions\\{session}\\BaseNamedObjects"),
    }
}

/// Returns the name that opens the object at a path of the kernel's namespace.
pub(super) fn name_of(path: &str) -> Option<Name> {
    let strip = |folder: &str| path.strip_prefix(folder)?.strip_prefix('\\');
    let text = match (strip(GLOBAL), strip(&local())) {
        (Some(base), _) => format!("Global\\{base}"),
        (None, Some(base)) => format!("Local\\{base}"),
        (None, None) => return None,
    };
    Name::new(&text).ok()
}
