//! The objects in `/dev/shm`, and the processes that hold them.

use super::error::explain_io;
use super::folder::folder;
use super::naming::{Entry, PREFIX, PlaceKind, entries};
use super::section::file_of;
use super::{RawObject, lifetime, object, user};
use crate::error::{Operation, Result};
use crate::os::{Holder, Holders, Kind, Listed, ProcessBackend};
use rustix::fs::{Mode, OFlags, fstat, major, minor, open};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Lists every held object of this crate, and every other file, under the name that opens it. Stale
/// files are left out: by the rules of this crate they do not exist.
pub(crate) fn list() -> Result<Vec<Listed>> {
    let living = entries(user::me())?
        .filter(|Entry { place, .. }| place.kind == PlaceKind::Posix || lifetime::retire(place));
    let listed = living.map(|Entry { name, place, meta }| {
        let kind = match place.kind {
            PlaceKind::Posix => Kind::Section,
            _ => kind_of(&meta, &place.path),
        };
        Listed {
            name: name.to_string(),
            kind,
            len: (kind == Kind::Section).then_some(meta.len()),
            owner: Some(user::describe(meta.uid())),
        }
    });
    Ok(listed.collect())
}

/// Returns the kind of a file. Only a file that is not a section has to be opened.
fn kind_of(meta: &Metadata, path: &str) -> Kind {
    if meta.mode() & Mode::SVTX.as_raw_mode() == 0 {
        return Kind::Section;
    }
    let flags = OFlags::RDONLY | lifetime::OPEN_FLAGS;
    let Ok(file) = open(path, flags, Mode::empty()) else {
        return Kind::Other;
    };
    fstat(&file).map_or(Kind::Other, |stat| object::kind_of(&file, &stat))
}

/// Returns the processes that have a descriptor or a view of the file behind `raw`.
pub(crate) fn holders(raw: RawObject) -> Result<Holders> {
    let path = format!("/proc/self/fd/{raw}");
    let file = std::fs::metadata(&path).map_err(|e| explain_io(Operation::List, &path, &e))?;
    let ours = file_of(file.dev(), file.ino()).is_some_and(|name| name.starts_with(PREFIX));

    let mut holders = Holders {
        found: Vec::new(),
        hidden: 0,
    };
    for entry in std::fs::read_dir("/proc")
        .map_err(|e| explain_io(Operation::List, &"/proc", &e))?
        .flatten()
    {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };

        match holds(&entry.path(), &file, ours) {
            Some(false) => {}
            Some(true) => holders.found.push(Holder {
                pid,
                image: super::Process::image(pid),
            }),
            // The process ended meanwhile, or belongs to another user.
            None if entry.path().exists() => holders.hidden += 1,
            None => {}
        }
    }

    holders.found.sort_by_key(|holder| holder.pid);
    Ok(holders)
}

/// Returns the processes that hold objects of this crate whose names were removed, as far as this
/// account may see, and the number of such objects for each of them.
pub(crate) fn nameless() -> Vec<(Holder, usize)> {
    let (Ok(folder), Ok(processes)) = (std::fs::metadata(folder()), std::fs::read_dir("/proc"))
    else {
        return Vec::new();
    };

    let pids = processes.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.path()))
    });

    let holding = pids.filter_map(|(pid, path)| {
        let count = nameless_of(&path, folder.dev());
        let image = || super::Process::image(pid);
        (count > 0).then(|| {
            (
                Holder {
                    pid,
                    image: image(),
                },
                count,
            )
        })
    });

    holding.collect()
}

/// Returns the number of files without a name that a process holds on this device by a shared lock,
/// as a holder does.
fn nameless_of(process: &Path, device: u64) -> usize {
    let Ok(open) = std::fs::read_dir(process.join("fd")) else {
        return 0;
    };
    let is_held = |entry: &std::fs::DirEntry| {
        let info = process.join("fdinfo").join(entry.file_name());
        std::fs::read_to_string(info).is_ok_and(|info| info.contains("FLOCK  ADVISORY  READ"))
    };
    let is_nameless = |entry: &std::fs::DirEntry| {
        let meta = std::fs::metadata(entry.path());
        meta.is_ok_and(|meta| meta.nlink() == 0 && meta.dev() == device && meta.is_file())
    };
    let entries = open.flatten();
    entries
        .filter(|entry| is_nameless(entry) && is_held(entry))
        .count()
}

/// Returns whether a process has the file open or mapped; `None` where this account may not look.
///
/// A holder of an object of this crate has a descriptor, so its maps are not read: reading the maps
/// of a process that is killed at this moment would keep its memory, and so its locks, a little
/// longer.
fn holds(process: &Path, file: &Metadata, ours: bool) -> Option<bool> {
    let same = |meta: Metadata| (meta.dev(), meta.ino()) == (file.dev(), file.ino());
    let mut open = std::fs::read_dir(process.join("fd")).ok()?.flatten();
    if open.any(|entry| std::fs::metadata(entry.path()).is_ok_and(same)) {
        return Some(true);
    }

    if ours {
        return Some(false);
    }

    let device = format!("{:02x}:{:02x}", major(file.dev()), minor(file.dev()));
    let inode = file.ino().to_string();
    let maps = std::fs::read_to_string(process.join("maps")).ok()?;
    Some(maps.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(3);
        fields.next() == Some(&device) && fields.next() == Some(&inode)
    }))
}

/// Returns the owner as it is: in a list on Linux the owner has a name already.
pub(crate) fn account_name(owner: &str) -> String {
    owner.to_string()
}
