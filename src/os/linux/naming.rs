//! The file of a name in the folder of the objects, and the name of a file.
//!
//! | name | file |
//! |---|---|
//! | `Global\X` | `shmkit.global.X` |
//! | `Local\X`, `X` | `shmkit.local.UID.X`, with the user id of the caller |
//! | `/X` | `X`, a POSIX object that another program made; never `shmkit.…` |
//!
//! In `X`, `/` is written `%2F` and `%` is written `%25`, nothing else, so two names never have one
//! file. Sections, events and mutexes share the files, as they share their names on Windows: the
//! file system itself refuses a second object of the name.

use super::error::explain_io;
use super::folder::{SHM, folder};
use super::folder_check;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::{Name, Scope};
use std::fs::Metadata;

pub(super) const PREFIX: &str = "shmkit.";
const GLOBAL: &str = "shmkit.global.";
const LOCAL: &str = "shmkit.local.";

/// The longest file name of tmpfs, in bytes.
const NAME_MAX: usize = 255;
/// The bytes that stay free behind a name, for the names of its companion objects.
const COMPANION_ROOM: usize = 32;

/// Separates a name from the suffix of a companion object, whose name may use that room.
const BESIDE: char = '~';

/// The file that a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub path: String,
    pub kind: PlaceKind,
    /// The user of this process, for which the name was resolved.
    pub me: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceKind {
    /// A file of this crate, which only its user finds.
    Local,
    /// A file of this crate, which all users find.
    Global,
    /// A file of another program, under its POSIX name; it is never locked, checked or
    /// unlinked.
    Posix,
}

/// Returns the file of a name, as the user `uid` sees it.
// layout: L187 L188 L189
pub(super) fn place(name: &Name, uid: u32, operation: Operation) -> Result<Place> {
    if name.is_bare()
        && let Some(posix) = name.base().strip_prefix('/')
    {
        return posix_place(name, posix, uid, operation);
    }
    folder_check::check(operation, name)?;

    let encoded = name.base().replace('%', "%25").replace('/', "%2F");
    let (kind, head) = match name.scope() {
        Scope::Global => (PlaceKind::Global, GLOBAL.to_string()),
        Scope::Session => (PlaceKind::Local, format!("{LOCAL}{uid}.")),
    };

    let kept = if name.base().contains(BESIDE) {
        0
    } else {
        COMPANION_ROOM
    };
    let room = NAME_MAX - kept - head.len();

    if encoded.len() > room {
        let meaning = format!(
            "it has {} bytes as a file name, and {room} is the limit",
            encoded.len()
        );
        return Err(refuse(name, operation, meaning, "use a shorter name"));
    }

    Ok(Place {
        path: format!("{}/{head}{encoded}", folder()),
        kind,
        me: uid,
    })
}

fn posix_place(name: &Name, file: &str, me: u32, operation: Operation) -> Result<Place> {
    let meaning = if matches!(file, "" | "." | "..") {
        "no file can have this name".to_string()
    } else if file.contains('/') {
        "a POSIX name has one slash, at its beginning".to_string()
    } else if file.starts_with(PREFIX) {
        let meaning = "files with this prefix are objects of shmkit, not POSIX objects".to_string();
        let advice = "open it by its own name: Global\\X or Local\\X";
        return Err(refuse(name, operation, meaning, advice));
    } else if file.len() > NAME_MAX {
        format!("it has {} bytes, and {NAME_MAX} is the limit", file.len())
    } else {
        return Ok(Place {
            path: format!("{SHM}/{file}"),
            kind: PlaceKind::Posix,
            me,
        });
    };

    let advice = "write /X for a POSIX object, Local\\/X for a section with a slash in its name";
    Err(refuse(name, operation, meaning, advice))
}

fn refuse(name: &Name, operation: Operation, meaning: String, advice: &'static str) -> Error {
    Error::new(ErrorKind::InvalidName, operation, name, meaning).with_advice(advice)
}

/// Returns the name under which the user `uid` can open a file of the folder; `None` for the files
/// of other users' sessions.
pub(super) fn name_of(file: &str, uid: u32) -> Option<Name> {
    let ours = || {
        if let Some(encoded) = file.strip_prefix(GLOBAL) {
            return Name::new(&format!("Global\\{}", decode(encoded)?)).ok();
        }
        let (owner, encoded) = file.strip_prefix(LOCAL)?.split_once('.')?;
        if owner != uid.to_string() {
            return None;
        }
        Name::new(&format!("Local\\{}", decode(encoded)?)).ok()
    };
    if file.starts_with(PREFIX) {
        ours()
    } else {
        Name::new(&format!("/{file}")).ok()
    }
}

/// A file in the folder, or in [`SHM`], that has a name.
pub(super) struct Entry {
    pub name: Name,
    pub place: Place,
    pub meta: Metadata,
}

/// Returns the files that the user `uid` can name, held or stale.
pub(super) fn entries(uid: u32) -> Result<impl Iterator<Item = Entry>> {
    folder_check::check(Operation::List, &"objects")?;
    let files = |path: &str| {
        std::fs::read_dir(path).map_err(|e| explain_io(Operation::List, &path.to_string(), &e))
    };
    let posix = match folder() {
        SHM => None,
        // POSIX objects are always there.
        _ => Some(files(SHM)?),
    };
    let all = files(folder())?.chain(posix.into_iter().flatten());
    Ok(all.flatten().filter_map(move |entry| {
        let name = name_of(entry.file_name().to_str()?, uid)?;
        let place = place(&name, uid, Operation::List).ok()?;
        // A file of the folder has no POSIX name, and a file elsewhere has no other name.
        if entry.path().to_str() != Some(&place.path) {
            return None;
        }
        let meta = entry.metadata().ok().filter(Metadata::is_file)?;
        Some(Entry { name, place, meta })
    }))
}

/// Undoes the encoding of [`place`]; `None` for a text that [`place`] does not write.
fn decode(encoded: &str) -> Option<String> {
    let base = encoded.replace("%2F", "/").replace("%25", "%");
    let again = base.replace('%', "%25").replace('/', "%2F");
    (again == encoded).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> String {
        let path = found(text).path;
        path.strip_prefix("/dev/shm/").unwrap().to_string()
    }

    fn found(text: &str) -> Place {
        place(&Name::new(text).unwrap(), 1000, Operation::Open).unwrap()
    }

    // layout: L187 L188
    #[test]
    fn names_map_to_expected_files() {
        for (text, name, kind) in [
            ("Global\\X", "shmkit.global.X", PlaceKind::Global),
            ("Local\\X", "shmkit.local.1000.X", PlaceKind::Local),
            ("X", "shmkit.local.1000.X", PlaceKind::Local),
            (
                "Local\\/a%b",
                "shmkit.local.1000.%2Fa%25b",
                PlaceKind::Local,
            ),
            ("/MumbleLink.1000", "MumbleLink.1000", PlaceKind::Posix),
        ] {
            assert_eq!((file(text).as_str(), found(text).kind), (name, kind));
        }
    }

    // layout: L188
    #[test]
    fn distinct_names_map_to_distinct_files() {
        let odd = [
            "a/b", "a%2Fb", "a%b", "a%25b", "%", "%2", "%252F", "%/", "/%", "global.X", "X.event",
            "1000.X", ".", "..", "a.b",
        ];
        let names = odd
            .iter()
            .flat_map(|n| [format!("Local\\{n}"), format!("Global\\{n}")]);
        let mut files: Vec<String> = names.map(|n| file(&n)).collect();
        files.sort();
        let all = files.len();
        files.dedup();
        assert_eq!(files.len(), all);
        assert!(files.iter().all(|f| !f.contains('/')));
    }

    #[test]
    fn file_names_map_back_to_names() {
        for text in ["Global\\a/b%c", "Local\\X.section", "/MumbleLink.1000"] {
            assert_eq!(name_of(&file(text), 1000).unwrap().as_str(), text);
        }
        // Files of other users, and names that `place` does not write.
        for foreign in [
            "shmkit.global.%2f",
            "shmkit.local.7.X",
            "shmkit.global.",
            "shmkit.local.1000.",
        ] {
            assert!(name_of(foreign, 1000).is_none(), "{foreign}");
        }
    }

    // layout: L187 L189
    #[test]
    fn invalid_posix_and_long_names_are_refused() {
        for text in ["/", "/.", "/..", "/a/b", "//", "/shmkit.global.X"] {
            let error = place(&Name::new(text).unwrap(), 1000, Operation::Open).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidName, "{text}");
        }
        let long = Name::new(&"é".repeat(110)).unwrap();
        let error = place(&long, 1000, Operation::Open).unwrap_err();
        assert!(error.to_string().contains("220 bytes"), "{error}");
    }
}
