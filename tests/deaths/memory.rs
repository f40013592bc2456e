//! All shared memory of a name, with a copy from the last look.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::ptr::null_mut;

/// The files of a name, mapped without becoming their holder, and copies of them.
pub struct Memory {
    stem: String,
    files: Vec<Mapped>,
}

struct Mapped {
    file: u64,
    at: *mut libc::c_void,
    copy: Vec<u8>,
}

impl Memory {
    pub fn of(name: &str) -> Memory {
        let files = Vec::new();
        let stem = format!("{name}~");
        let mut memory = Memory { stem, files };
        memory.look_for_files();
        memory
    }

    /// Maps files that have appeared. To be called after each system call, since files appear in no
    /// other way.
    pub fn look_for_files(&mut self) {
        let root = self.stem.trim_end_matches('~').to_string();
        for entry in std::fs::read_dir("/dev/shm").unwrap().flatten() {
            let file = entry.file_name().into_string().unwrap_or_default();
            let is_ours = file.contains(&self.stem) || file.ends_with(&root);
            if is_ours && let Some(mapped) = Mapped::new(&entry.path(), &self.files) {
                self.files.push(mapped);
            }
        }
    }

    /// Returns whether anything has changed since the last look.
    pub fn has_changed(&mut self) -> bool {
        let files = self.files.iter_mut();
        files.fold(false, |any, file| file.has_changed() | any)
    }
}

impl Mapped {
    fn new(path: &PathBuf, known: &[Mapped]) -> Option<Mapped> {
        // The file may have been removed again.
        let file = File::open(path).ok()?;
        let meta = file.metadata().ok()?;
        let (number, len) = (meta.ino(), meta.len() as usize);
        if len == 0 || known.iter().any(|one| one.file == number) {
            return None;
        }
        let (prot, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: a new mapping, which lives as long as the `Mapped` made of it.
        let at = unsafe { libc::mmap(null_mut(), len, prot, flags, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        let mut mapped = Mapped {
            file: number,
            at,
            copy: vec![0; len],
        };
        mapped.has_changed();
        Some(mapped)
    }

    fn has_changed(&mut self) -> bool {
        let (at, copy, len) = (self.at, self.copy.as_mut_ptr().cast(), self.copy.len());
        // SAFETY: both have this length. Mostly other processes write to the mapping, and memory
        // that changes while it is read is compared again.
        unsafe {
            let differs = libc::memcmp(at, copy, len) != 0;
            if differs {
                libc::memcpy(copy, at, len);
            }
            differs
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: address and length are those of the mapping.
        unsafe { libc::munmap(self.at, self.copy.len()) };
    }
}
