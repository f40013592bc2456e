//! The conditions that the folder of the objects has to meet.

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

/// Returns why the folder that SHMKIT_DIR names cannot be used; `None` if it can.
// layout: L247
pub(super) fn fault() -> Option<&'static str> {
    static FAULT: OnceLock<Option<String>> = OnceLock::new();
    let look = || {
        let fault = fault_of(chosen()?, Path::new(folder()))?;
        Some(format!("{VARIABLE} names {}, {fault}", folder()))
    };
    FAULT.get_or_init(look).as_deref()
}

/// Fails if the folder that SHMKIT_DIR names cannot be used.
pub(super) fn check(operation: Operation, subject: &dyn Display) -> Result<()> {
    let Some(fault) = fault() else {
        return Ok(());
    };
    let kind = ErrorKind::InvalidArgument;
    let error = Error::new(kind, operation, subject, fault);
    Err(error.with_advice("let it name another folder, or unset it"))
}

/// Returns the condition that a folder does not meet.
// layout: L247
fn fault_of(chosen: &Path, real: &Path) -> Option<String> {
    if !chosen.is_absolute() {
        return Some("which is not an absolute path".to_string());
    }
    if real.to_str().is_none() {
        return Some("which is not Unicode".to_string());
    }
    let found = match stat(real) {
        Ok(found) => found,
        Err(errno) => return Some(format!("which cannot be looked at: {errno}")),
    };
    if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
        return Some("which is not a folder".to_string());
    }
    if found.st_uid != ROOT && found.st_uid != me() {
        let owner = describe(found.st_uid);
        return Some(format!(
            "which belongs to {owner}, not to root or this user"
        ));
    }
    if found.st_mode & 0o022 != 0 && found.st_mode & 0o1000 == 0 {
        return Some("in which others may write, without a sticky bit (chmod +t)".to_string());
    }

    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = match fs::open(real, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
            return Some("whose file system makes no file without a name (O_TMPFILE)".to_string());
        }
        Err(errno) => return Some(format!("where this account cannot make a file: {errno}")),
    };
    if let Err(errno) = flock(&file, FlockOperation::NonBlockingLockShared) {
        return Some(format!("whose file system has no locks (flock): {errno}"));
    }
    match keeps_locks(file.as_fd()) {
        Ok(true) => None,
        Ok(false) => Some("whose file system drops a lock when a descriptor is closed".to_string()),
        Err(errno) => Some(format!("whose file system has no locks (fcntl): {errno}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::SHM;
    use super::*;

    fn fault_at(path: &str) -> Option<String> {
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
            let fault = fault_at(path).unwrap();
            assert!(fault.contains(text), "{fault}");
        };

        contains("relative", "absolute");
        contains("/proc/self/nothing", "cannot be looked at");
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
