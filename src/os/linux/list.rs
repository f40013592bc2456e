//! What stands in `/dev/shm`, and who holds it.

use super::error::explain_io;

use super::naming::{Entry, FOLDER, PREFIX, PlaceKind, entries};
use super::section::file_of;
use super::{RawObject, access, lifetime, object};
use crate::error::{Operation, Result};
use crate::os::{Holder, Holders, Kind, Listed, ProcessBackend};
use rustix::fs::{Mode, OFlags, fstat, major, minor, open};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Every living object of ours, and every other file, under the name that opens
/// it. Dead files do not exist by the rules of this crate and are left out.
pub(crate) fn list() -> Result<Vec<Listed>> {
    let living = entries(access::me())?
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
            owner: Some(access::describe(meta.uid())),
        }
    });
    Ok(listed.collect())
}

/// Only what is no section has to be opened to know what it is.
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

/// The processes that have a descriptor or a view of the file behind `raw`.
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
            // It ended meanwhile, or belongs to somebody else.
            None if entry.path().exists() => holders.hidden += 1,
            None => {}
        }
    }
    holders.found.sort_by_key(|holder| holder.pid);
    Ok(holders)
}

/// Whether the process of this number has the object open still: a program that replaced another
/// one in it (exec) has not. `None` where that may not be seen.
pub(crate) fn has_open(pid: u32, raw: RawObject) -> Option<bool> {
    let file = std::fs::metadata(format!("/proc/self/fd/{raw}")).ok()?;
    holds(Path::new(&format!("/proc/{pid}")), &file, true)
}

/// The processes that hold objects of ours whose names were removed, as far as this account may
/// see, and how many such objects each of them holds.
pub(crate) fn nameless() -> Vec<(Holder, usize)> {
    let (Ok(folder), Ok(processes)) = (std::fs::metadata(FOLDER), std::fs::read_dir("/proc"))
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

/// How many files without a name a process holds on this device as a holder of ours does: with a
/// shared lock.
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

/// Whether a process has the file open or mapped; `None` where it may not be seen.
///
/// Holders of ours have a descriptor. To read the maps of a process that is killed at
/// this moment would keep its memory, and so its locks, a little longer.
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

/// The owner in a list has its name already.
pub(crate) fn account_name(owner: &str) -> String {
    owner.to_string()
}
