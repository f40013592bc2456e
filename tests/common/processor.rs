//! The processor time that a process has used.

use std::time::Duration;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// Returns the processor time that this process has used until now.
pub fn time_used() -> Duration {
    let me = sysinfo::get_current_pid().unwrap();
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_cpu().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[me]), false, what);
    Duration::from_millis(system.process(me).unwrap().accumulated_cpu_time())
}
