//! The order of the messages of a sender across generations.

use crate::lane::Step;

/// Finds a message in the earlier generations, or in the newest generation, so that the messages of
/// each sender keep their order.
///
/// A sender leaves an earlier generation for good before it sends in the newest one. So when a
/// message of the newest generation is found, all messages that its sender has sent in the earlier
/// generation are visible.
// layout: L161
pub(crate) fn in_order<E>(
    endpoint: &mut E,
    earlier: impl Fn(&mut E) -> Option<Step>,
    newest: impl Fn(&mut E) -> Step,
) -> Step {
    if let Some(step) = earlier(endpoint) {
        return step;
    }
    let step = newest(endpoint);
    match step {
        // Between the two looks, the sender may have sent a message in the earlier generation and
        // then this message.
        Step::Message(_) => earlier(endpoint).unwrap_or(step),
        _ => step,
    }
}
