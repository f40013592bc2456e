//! The findings of this account on this system: kernel, `/dev/shm`, limits, namespaces.

use super::folder::{folder, here};
use super::folder_check;
use super::{futex, user};
use crate::os::{Finding, Health};
use rustix::fs::{self, stat, statvfs};
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};
use std::path::{Path, PathBuf};

/// The first version that has futex_waitv, the newest call that the crate uses.
const OLDEST: (u32, u32) = (5, 16);
/// The size of /dev/shm in a container that asks for no other.
const SMALL: u64 = 64 << 20;
/// The first number of an account that is not the system's (SYS_UID_MAX and one).
const FIRST_USER: u32 = 1000;
/// The inode of the first pid namespace (PROC_PID_INIT_INO).
const MACHINE: u64 = 0xEFFF_FFFC;

pub(crate) fn findings() -> Vec<Finding> {
    vec![
        system(),
        Finding::new("account", Health::Good, user::describe(user::me())),
        memory(),
        namespace(),
        processes(),
        sleeping(),
        deaths(),
        log_out(),
        locked_memory(),
        descriptors(),
    ]
}

fn system() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.trim().parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));

    if release.is_empty() {
        return Finding::new("system", Health::Bad, "/proc is missing")
            .advise("mount proc at /proc");
    }

    let says = format!("Linux {}", release.trim());
    if version >= OLDEST {
        Finding::new("system", Health::Good, says)
    } else {
        Finding::new("system", Health::Limited, says)
            .advise("waits for several things poll every 5 ms: use Linux 5.16 or later")
    }
}

fn memory() -> Finding {
    let topic = folder();
    if let Some(fault) = folder_check::fault() {
        return Finding::new(topic, Health::Bad, fault)
            .advise("let SHMKIT_DIR name another folder, or unset it");
    }
    let (Ok(space), Ok(found)) = (statvfs(topic), stat(topic)) else {
        return Finding::new(topic, Health::Bad, "it is missing").advise(&here(
            "mount a tmpfs there: mount -t tmpfs -o mode=1777 tmpfs /dev/shm",
        ));
    };

    let mib = |blocks: u64| (blocks * space.f_frsize) >> 20;
    let (all, free) = (mib(space.f_blocks), mib(space.f_bavail));
    let says = format!("{free} of {all} MiB are free");

    if fs::access(topic, fs::Access::WRITE_OK).is_err() {
        return Finding::new(
            topic,
            Health::Bad,
            format!("{says}, but this account may not write to it"),
        )
        .advise(&here("make it writable for all: chmod 1777 /dev/shm"));
    }

    if found.st_mode & 0o1000 == 0 && found.st_mode & 0o002 != 0 {
        return Finding::new(
            topic,
            Health::Limited,
            format!("{says}, without a sticky bit"),
        )
        .advise(&here(
            "without it each user can remove the objects of all users: chmod +t /dev/shm",
        ));
    }

    if all << 20 <= SMALL {
        return Finding::new(topic, Health::Limited, says)
            .advise("in a container ask for more: --shm-size=1g");
    }
    Finding::new(topic, Health::Good, says)
}

fn namespace() -> Finding {
    let topic = "pid namespace";
    match stat("/proc/self/ns/pid") {
        Ok(found) if found.st_ino == MACHINE => {
            Finding::new(topic, Health::Good, "the namespace of the machine")
        }
        Ok(found) => Finding::new(
            topic,
            Health::Good,
            format!(
                "the namespace of a container ({}); mutexes do not work across its border, and deaths there are noticed within 100 ms",
                found.st_ino
            ),
        ),
        Err(_) => Finding::new(topic, Health::Bad, "/proc does not show it").advise("mount proc"),
    }
}

fn processes() -> Finding {
    let topic = "processes of others";
    match std::fs::read("/proc/1/stat") {
        Ok(_) => Finding::new(topic, Health::Good, "are visible"),
        Err(_) => Finding::new(topic, Health::Limited, "are hidden (hidepid)")
            .advise("they cannot be watched: mount /proc without hidepid"),
    }
}

/// Checks whether a thread can sleep on several words at once.
fn sleeping() -> Finding {
    let topic = "waits for several things";
    match futex::try_waitv() {
        Ok(()) => Finding::new(topic, Health::Good, "sleep in the system"),
        Err(errno) => Finding::new(
            topic,
            Health::Limited,
            format!("poll every 5 ms, since futex_waitv is refused ({errno})"),
        )
        .advise("let the sandbox allow futex_waitv, or use Linux 5.16 or later"),
    }
}

/// Checks whether the system reports the end of a process.
fn deaths() -> Finding {
    let topic = "deaths of processes";
    match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => Finding::new(topic, Health::Good, "are reported by the system"),
        Err(errno) => Finding::new(
            topic,
            Health::Limited,
            format!("are polled every 20 ms, since pidfd_open is refused ({errno})"),
        )
        .advise("let the sandbox allow pidfd_open, or use Linux 5.3 or later"),
    }
}

/// Checks whether a log-out removes the objects of this user. "RemoveIPC=: Controls whether System
/// V and POSIX IPC objects belonging to the user shall be removed when the user fully logs out. ...
/// Defaults to "yes"." "system users are excluded" (logind.conf).
fn log_out() -> Finding {
    let topic = "log-out";
    let is_managed = Path::new("/run/systemd/seats").exists();
    if !is_managed || user::me() < FIRST_USER {
        return Finding::new(topic, Health::Good, "leaves the objects of this account");
    }
    if !removes_ipc(&logind_files()) {
        let says = "leaves the objects of this user (RemoveIPC=no)";
        return Finding::new(topic, Health::Good, says);
    }
    let says = "removes the objects of this user from /dev/shm (RemoveIPC), also those of programs that \
                still run";
    Finding::new(topic, Health::Limited, says)
        .advise("set RemoveIPC=no in /etc/systemd/logind.conf, or run servers as a system user")
}

/// Returns the texts that configure the login manager. A later text overrides an earlier one.
fn logind_files() -> Vec<String> {
    let folders = ["/usr/lib/systemd", "/run/systemd", "/etc/systemd"];
    let mut files: Vec<PathBuf> = Vec::new();
    files.extend(folders.map(|folder| Path::new(folder).join("logind.conf")));

    for folder in folders {
        let drop_ins = std::fs::read_dir(Path::new(folder).join("logind.conf.d"));
        let mut drop_ins: Vec<PathBuf> = drop_ins
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .collect();
        drop_ins.sort();
        files.extend(drop_ins);
    }

    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .collect()
}

fn removes_ipc(files: &[String]) -> bool {
    let settings = files.iter().flat_map(|text| text.lines());
    let mut values = settings.filter_map(|line| line.trim().strip_prefix("RemoveIPC="));
    let last = values
        .next_back()
        .unwrap_or("yes")
        .trim()
        .to_ascii_lowercase();
    !matches!(&*last, "no" | "false" | "off" | "0")
}

fn locked_memory() -> Finding {
    let limit = getrlimit(Resource::Memlock).current;
    let says = match limit {
        None => "without limit".to_string(),
        Some(bytes) => format!("{} KiB", bytes >> 10),
    };
    Finding::new("memory that may be locked", Health::Good, says)
}

fn descriptors() -> Finding {
    let topic = "open descriptors";
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < 1024 => {
            Finding::new(topic, Health::Limited, format!("at most {limit}"))
                .advise("each section, event and mutex takes one: ulimit -n 4096")
        }
        Some(limit) => Finding::new(topic, Health::Good, format!("at most {limit}")),
        None => Finding::new(topic, Health::Good, "without limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_remove_ipc_setting_wins() {
        let removes = |files: &[&str]| {
            removes_ipc(&files.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert!(removes(&[]));
        assert!(removes(&["[Login]\n#RemoveIPC=no\n"]));
        assert!(!removes(&["[Login]\nRemoveIPC=no\n"]));
        assert!(removes(&["[Login]\nRemoveIPC=no\n", "RemoveIPC=yes"]));
        assert!(!removes(&["RemoveIPC=yes", "[Login]\n RemoveIPC=off"]));
    }
}
