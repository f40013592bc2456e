//! What this account finds here: kernel, `/dev/shm`, limits, namespaces.

use super::naming::FOLDER;
use super::owner;
use crate::os::{Finding, Health};
use rustix::fs::{Access, access, stat, statvfs};
use rustix::process::{Resource, getrlimit};

/// futex_waitv is the newest call that is used.
const OLDEST: (u32, u32) = (5, 16);
/// What a container gets where nobody asks for more.
const SMALL: u64 = 64 << 20;
/// The inode of the first pid namespace (PROC_PID_INIT_INO).
const MACHINE: u64 = 0xEFFF_FFFC;

pub(crate) fn findings() -> Vec<Finding> {
    vec![
        system(),
        Finding::new("account", Health::Good, owner::describe(owner::me())),
        memory(),
        namespace(),
        processes(),
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
        Finding::new("system", Health::Bad, says).advise("use Linux 5.16 or later")
    }
}

fn memory() -> Finding {
    let topic = FOLDER;
    let (Ok(space), Ok(folder)) = (statvfs(FOLDER), stat(FOLDER)) else {
        return Finding::new(topic, Health::Bad, "it is missing")
            .advise("mount a tmpfs there: mount -t tmpfs -o mode=1777 tmpfs /dev/shm");
    };
    let mib = |blocks: u64| (blocks * space.f_frsize) >> 20;
    let (all, free) = (mib(space.f_blocks), mib(space.f_bavail));
    let says = format!("{free} of {all} MiB are free");
    if access(FOLDER, Access::WRITE_OK).is_err() {
        return Finding::new(
            topic,
            Health::Bad,
            format!("{says}, and it may not be written"),
        )
        .advise("make it writable for all: chmod 1777 /dev/shm");
    }
    if folder.st_mode & 0o1000 == 0 && folder.st_mode & 0o002 != 0 {
        return Finding::new(
            topic,
            Health::Limited,
            format!("{says}, without a sticky bit"),
        )
        .advise("without it anybody removes everybody's objects: chmod +t /dev/shm");
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
            Finding::new(topic, Health::Good, "that of the machine")
        }
        Ok(found) => Finding::new(
            topic,
            Health::Good,
            format!(
                "a container's ({}); mutexes and deaths end at its border",
                found.st_ino
            ),
        ),
        Err(_) => Finding::new(topic, Health::Bad, "/proc does not tell").advise("mount proc"),
    }
}

fn processes() -> Finding {
    let topic = "processes of others";
    match std::fs::read("/proc/1/stat") {
        Ok(_) => Finding::new(topic, Health::Good, "can be told apart"),
        Err(_) => Finding::new(topic, Health::Limited, "are hidden (hidepid)")
            .advise("they cannot be watched: mount /proc without hidepid"),
    }
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
