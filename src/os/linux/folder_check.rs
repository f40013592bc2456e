//! The conditions that the folder of the objects has to meet.

use super::error::explain;
use super::folder::{VARIABLE, chosen, folder};
use super::lasting_lock::keeps_locks;
use super::user::{ROOT, describe, me};
use crate::error::{Error, ErrorKind, Operation, Result};
use rustix::fs::{self, FileType, FlockOperation, Mode, OFlags, flock, stat};
use rustix::io::Errno;
use std::fmt::Display;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;

/// Why a folder cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// A condition that the folder does not meet, as the end of a sentence.
    Unfit(String),
    /// A refusal of the system, which may pass.
    Refused(Errno),
}

/// Returns why the folder that SHMKIT_DIR names cannot be used; `None` if it can.
pub(super) fn fault() -> Option<String> {
    look().map(|fault| match fault {
        Fault::Unfit(why) => format!("{VARIABLE} names {}, {why}", folder()),
        Fault::Refused(errno) => {
            format!(
                "{VARIABLE} names {}, which cannot be looked at: {errno}",
                folder()
            )
        }
    })
}

// layout: L247
fn look() -> Option<Fault> {
    static KNOWN: OnceLock<Option<Fault>> = OnceLock::new();
    let named = chosen()?;
    if let Some(known) = KNOWN.get() {
        return known.clone();
    }
    let fault = fault_of(named, Path::new(folder()));
    if !matches!(fault, Some(Fault::Refused(_))) {
        let _ = KNOWN.set(fault.clone());
    }
    fault
}

/// Fails if the folder that SHMKIT_DIR names cannot be used.
pub(super) fn check(operation: Operation, subject: &dyn Display) -> Result<()> {
    match look() {
        None => Ok(()),
        Some(Fault::Refused(errno)) => Err(explain(operation, subject, errno)),
        Some(Fault::Unfit(why)) => {
            let kind = ErrorKind::InvalidArgument;
            let meaning = format!("{VARIABLE} names {}, {why}", folder());
            let error = Error::new(kind, operation, subject, meaning);
            Err(error.with_advice("let it name another folder, or unset it"))
        }
    }
}

/// Returns the condition that a folder does not meet.
// layout: L247
fn fault_of(chosen: &Path, real: &Path) -> Option<Fault> {
    let unfit = |why: &str| Some(Fault::Unfit(why.to_string()));
    if !chosen.is_absolute() {
        return unfit("which is not an absolute path");
    }
    if real.to_str().is_none() {
        return unfit("which is not Unicode");
    }
    let found = match stat(real) {
        Ok(found) => found,
        Err(Errno::NOENT | Errno::NOTDIR) => return unfit("which does not exist"),
        Err(errno) => return Some(Fault::Refused(errno)),
    };
    if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
        return unfit("which is not a folder");
    }
    if found.st_uid != ROOT && found.st_uid != me() {
        let owner = describe(found.st_uid);
        return unfit(&format!(
            "which belongs to {owner}, not to root or this user"
        ));
    }
    if found.st_mode & 0o022 != 0 && found.st_mode & 0o1000 == 0 {
        return unfit("in which others may write, without a sticky bit (chmod +t)");
    }

    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = match fs::open(real, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
            return unfit("whose file system makes no file without a name (O_TMPFILE)");
        }
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
            return unfit("where this account cannot make a file");
        }
        Err(errno) => return Some(Fault::Refused(errno)),
    };
    if let Err(errno) = flock(&file, FlockOperation::NonBlockingLockShared) {
        return Some(Fault::Refused(errno));
    }
    match keeps_locks(file.as_fd()) {
        Ok(true) => None,
        Ok(false) => unfit("whose file system drops a lock when a descriptor is closed"),
        Err(errno) => Some(Fault::Refused(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::SHM;
    use super::*;

    fn fault_at(path: &str) -> Option<Fault> {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        fault_of(Path::new(path), &real)
    }

    // layout: L247
    #[test]
    fn unusable_folder_is_refused_with_reason() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("shmkit-folder-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.to_str().unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let contains = |path: &str, text: &str| {
            let fault = fault_at(path);
            let is_it = matches!(&fault, Some(Fault::Unfit(why)) if why.contains(text));
            assert!(is_it, "{fault:?}");
        };

        contains("relative", "absolute");
        contains("/proc/self/nothing", "does not exist");
        contains("/proc/self/stat", "not a folder");
        contains("/proc/self", "cannot make a file");
        mode(0o777);
        contains(path, "sticky");
        mode(0o1777);
        assert_eq!(fault_at(path), None);
        mode(0o700);
        assert_eq!(fault_at(path), None);
        std::fs::remove_dir(&folder).unwrap();
        assert_eq!(fault_at(SHM), None);
    }
}
