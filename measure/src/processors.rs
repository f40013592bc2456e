//! The two processors that do the work.

use core_affinity::CoreId;

/// Returns a processor for each of two processes, among those that this process may use; `None` where
/// there is only one, or the system does not tell.
///
/// They are the first and the fourth, or the last where there are fewer: neighbours are often two halves
/// of one core.
pub fn two_processors() -> Option<[usize; 2]> {
    let all = core_affinity::get_core_ids()?;
    match all.iter().take(4).collect::<Vec<_>>()[..] {
        [first, .., last] => Some([first.id, last.id]),
        _ => None,
    }
}

/// Lets this thread run on this processor only, from now on. Returns false where the system refuses.
pub fn pin(processor: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: processor })
}
