//! The order of the messages of a publisher across generations.

/// Takes the next message of the earlier generations or of the newest one, so that the messages of
/// each publisher keep their order. `find` finds a lane of the newest generation that has a message,
/// and takes nothing.
///
/// A publisher leaves an earlier generation for good before it sends in the newest one. So when a
/// message of the newest generation is found, all messages that its publisher has sent in the earlier
/// generations are visible.
// layout: L299
pub(crate) fn in_order<E, L, T>(
    subscriber: &mut E,
    earlier: impl Fn(&mut E) -> Option<T>,
    find: impl FnOnce(&mut E) -> Option<L>,
    take: impl FnOnce(&mut E, L) -> T,
) -> Option<T> {
    if let Some(taken) = earlier(subscriber) {
        return Some(taken);
    }
    let lane = find(subscriber)?;
    // Between the two looks, the publisher may have sent a message in the earlier generation and then
    // this message.
    earlier(subscriber).or_else(|| Some(take(subscriber, lane)))
}
