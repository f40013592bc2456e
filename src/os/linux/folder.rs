//! The folder that holds the objects: `/dev/shm`, or the folder that the variable SHMKIT_DIR names.
//!
//! Programs that use one folder see the same objects, for example programs in containers that mount
//! one folder. The variable is read once. It does not count in a program that has more rights than
//! the user who started it (setuid), since that user chose the variable.
//! [`folder_check`](super::folder_check) checks the folder.

use std::borrow::Cow;
use std::ffi::c_ulong;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The folder of all programs that choose no other, and of POSIX objects.
pub(super) const SHM: &str = "/dev/shm";
/// The variable that names another folder.
pub(super) const VARIABLE: &str = "SHMKIT_DIR";

/// Returns the folder that the variable names, as it is written there; `None` if it names none.
// layout: L187
pub(super) fn chosen() -> Option<&'static PathBuf> {
    static CHOSEN: OnceLock<Option<PathBuf>> = OnceLock::new();
    let read = || {
        let named = std::env::var_os(VARIABLE).filter(|named| !named.is_empty());
        named.filter(|_| !is_privileged()).map(PathBuf::from)
    };
    CHOSEN.get_or_init(read).as_ref()
}

/// Returns the path of the folder of this process.
// layout: L187
pub(super) fn folder() -> &'static str {
    static FOLDER: OnceLock<Cow<'static, str>> = OnceLock::new();
    if let Some(known) = FOLDER.get() {
        return known;
    }
    let path = match chosen() {
        // The real path: nobody else may turn a link on the way to it later.
        Some(named) => {
            let real = std::fs::canonicalize(named).unwrap_or_else(|_| named.clone());
            real.to_string_lossy().into_owned().into()
        }
        None => SHM.into(),
    };
    // No system call while the value is set: a fork at that moment would leave the child waiting.
    FOLDER.get_or_init(|| path)
}

/// Returns the folder of the objects, and whether SHMKIT_DIR names it.
pub(crate) fn objects_folder() -> Option<(PathBuf, bool)> {
    Some((folder().into(), chosen().is_some()))
}

/// Returns a text that names `/dev/shm`, with the folder of this process in its place.
pub(super) fn here(text: &'static str) -> Cow<'static, str> {
    match chosen() {
        Some(_) => text.replace(SHM, folder()).into(),
        None => text.into(),
    }
}

unsafe extern "C" {
    fn getauxval(kind: c_ulong) -> c_ulong;
}

/// AT_SECURE (linux/auxvec.h).
const SECURE: c_ulong = 23;

/// Returns whether this program has more rights than the user who started it: "AT_SECURE: Has a
/// nonzero value if this executable should be treated securely" (getauxval(3)).
fn is_privileged() -> bool {
    // SAFETY: the function takes any number, and returns one (getauxval(3)).
    unsafe { getauxval(SECURE) != 0 }
}
