//! What stands in `/dev/shm`.

use super::errno::explain;
use super::naming::{FOLDER, name_of, place};
use super::{lifetime, owner};
use crate::error::{Operation, Result};
use crate::os::Listed;
use rustix::io::Errno;
use std::os::unix::fs::MetadataExt;

/// Every living section of ours, and every other file, under the name that opens
/// it. Dead files do not exist by the rules of this crate and are left out.
pub(crate) fn list() -> Result<Vec<Listed>> {
    let fail = |e: std::io::Error| {
        let errno = Errno::from_io_error(&e).unwrap_or(Errno::IO);
        explain(Operation::List, &FOLDER, errno)
    };
    let me = owner::me();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(FOLDER).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let Some(name) = entry.file_name().to_str().and_then(|f| name_of(f, me)) else {
            continue;
        };
        let Ok(place) = place(&name, me, Operation::List) else {
            continue;
        };
        let Ok(meta) = entry.metadata() else {
            continue;
        };
        let ours = !name.as_str().starts_with('/');
        if meta.is_file() && (!ours || lifetime::retire(&place)) {
            found.push(Listed {
                name: name.to_string(),
                len: Some(meta.len()),
                owner: Some(owner::describe(meta.uid())),
            });
        }
    }
    Ok(found)
}
