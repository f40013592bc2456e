//! The machine that is measured, and the two processors of it that do the work.

use core_affinity::CoreId;
use sysinfo::{CpuRefreshKind, RefreshKind, System};

/// The machine, in words.
#[derive(Debug)]
pub struct Machine {
    pub os: String,
    pub processor: String,
    pub processors: usize,
}

impl Machine {
    pub fn look() -> Machine {
        let what = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
        let system = System::new_with_specifics(what);
        let model = system.cpus().first().map(|cpu| cpu.brand().trim());
        let model = model.filter(|model| !model.is_empty());
        Machine {
            os: System::long_os_version().unwrap_or_else(|| std::env::consts::OS.to_string()),
            processor: model.unwrap_or(std::env::consts::ARCH).to_string(),
            processors: system.cpus().len(),
        }
    }
}

/// A processor for each of the two processes, among those that this one may use; `None`
/// where there is one only, or nobody tells.
///
/// The first and the fourth, or the last where there are fewer: neighbours are often two
/// halves of one core.
pub fn two_processors() -> Option<[usize; 2]> {
    let all = core_affinity::get_core_ids()?;
    match all.iter().take(4).collect::<Vec<_>>()[..] {
        [first, .., last] => Some([first.id, last.id]),
        _ => None,
    }
}

/// From now on this thread runs on that processor, if this returns true.
pub fn pin(processor: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: processor })
}
