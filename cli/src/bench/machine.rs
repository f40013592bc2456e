//! The machine of the benchmark, and the two of its processors that do the work.

pub use shmkit_measure::{pin, two_processors};

use sysinfo::{CpuRefreshKind, RefreshKind, System};

/// The description of the machine.
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
