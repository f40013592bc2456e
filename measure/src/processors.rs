//! The two processors on which the two processes run.

use core_affinity::CoreId;

/// Returns a processor for each of two processes, from the processors that this process may use.
/// Returns `None` if there is only one, or if the system does not list them.
///
/// The two are the first and the fourth processor, or the first and the last if there are fewer
/// than four. Neighbours are not used, since they are often two halves of one core.
pub fn two_processors() -> Option<[usize; 2]> {
    let all = core_affinity::get_core_ids()?;
    match all.iter().take(4).collect::<Vec<_>>()[..] {
        [first, .., last] => Some([first.id, last.id]),
        _ => None,
    }
}

/// Lets this thread run on this processor only, from now on. Returns `false` if the system refuses.
pub fn pin(processor: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: processor })
}
